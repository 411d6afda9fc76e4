// JSON whose whole numbers keep their digits: one that a double would round is a bigint.

const MARK = `${Math.random()} `; // before such a number in the text that stands for it, for JSON has none
const MARKED = new RegExp(`"${MARK}(-?\\d+)"`, "g");
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g; // texts and numbers

/** The number that digits stand for, without rounding it. */
export function numberOf(digits: string): number | bigint {
  const rounded = Number(digits);
  return /^-?\d+$/.test(digits) && !Number.isSafeInteger(rounded) ? BigInt(digits) : rounded;
}

export function readJson(text: string): any {
  const rounded = JSON.parse(text);
  if (!/\d{16}/.test(text)) return rounded;
  const marked = text.replace(TOKENS, (each) =>
    each[0] !== '"' && typeof numberOf(each) === "bigint" ? `"${MARK}${each}"` : each,
  );
  return JSON.parse(marked, (_, value) =>
    typeof value === "string" && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value,
  );
}

export function writeJson(value: unknown, indent?: number): string {
  const marked = JSON.stringify(value, (_, each) => (typeof each === "bigint" ? MARK + each : each), indent);
  return marked?.replace(MARKED, "$1") ?? "";
}
