// How amounts and times are written: as `graphengine.records.words` writes them, with the reader's signs in numbers.

import type { Usage } from "./types";

type Amounts = Partial<Usage>;

/** A number rounded to so many decimals: exactly, and to an even last one if it is half-way. */
function rounded(value: number, decimals: number): number {
  const scaled = value * 10 ** decimals;
  const below = Math.floor(scaled);
  const isHalf = Number.isInteger(value * 8) && scaled - below === 0.5; // only such numbers are half-way exactly
  return isHalf ? (below + (below % 2)) / 10 ** decimals : Number(value.toFixed(decimals));
}

/** A number with so many decimals, as the reader's locale writes it. */
export const places = (value: number, most: number, least = most): string =>
  rounded(value, most).toLocaleString(undefined, { minimumFractionDigits: least, maximumFractionDigits: most });

const UNITS: [number, string][] = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** A duration in at most two units; "" if there is none. */
export function seconds(duration: number | null | undefined): string {
  if (duration === null || duration === undefined) return "";
  if (duration < 0.0995) return `${rounded(Math.max(0, duration) * 1000, 0)} ms`;
  const whole = rounded(duration, 0);
  for (const [at, [size, name]] of UNITS.slice(0, -1).entries()) {
    if (whole < size) continue;
    const [small, smallName] = UNITS[at + 1]!;
    const rest = Math.floor((whole % size) / small);
    return `${Math.floor(whole / size)} ${name}${rest ? ` ${rest} ${smallName}` : ""}`;
  }
  return `${places(duration, duration >= 1 ? 1 : 2)} s`;
}

/** How long ago something was, in its largest unit. */
export function age(duration: number): string {
  const [size, name] = UNITS.find(([each]) => duration >= each) || UNITS.at(-1)!;
  return `${Math.max(0, Math.floor(duration / size))} ${name} ago`;
}

export function count(number: number, noun: string): string {
  return `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;
}

/** US dollars, with at least four places: `$0.0123`. */
export function dollars(amount: number | null | undefined): string {
  if (amount === null || amount === undefined) return "unknown cost";
  if (!amount) return "$0";
  const exponent = Number(amount.toExponential(1).split("e")[1]);
  return `$${places(amount, Math.max(4, Math.min(20, 1 - exponent)), 4)}`;
}

/** What models cost; "" if none was asked. An unknown cost is never shown as 0. */
export function cost(usage: Amounts | null | undefined): string {
  if (!usage?.calls && !usage?.unknown_calls) return "";
  if (!usage.unknown_calls && usage.calls === (usage.offline_calls || 0)) return "offline";
  const known = usage.priced_usd ? `, at least ${dollars(usage.priced_usd)}` : "";
  return usage.cost_usd === null ? `unknown${known}` : dollars(usage.cost_usd ?? 0);
}

const LOSSES: Record<string, [string, string]> = {
  failed_items: ["item failed", "items failed"],
  failed_children: ["child run failed", "child runs failed"],
  unused_results: ["recorded result not used again", "recorded results not used again"],
  fallbacks: ["fallback", "fallbacks"],
  retries: ["retry", "retries"],
  rejected_answers: ["answer rejected", "answers rejected"],
  failed_tools: ["tool call failed", "tool calls failed"],
};

/** What a run lost on its way, in words; "" if nothing. */
export function lost(losses: Record<string, number> | null | undefined): string {
  const found = Object.entries(losses || {}).filter(([name]) => LOSSES[name]);
  return found.map(([name, number]) => `${number} ${LOSSES[name]![number === 1 ? 0 : 1]}`).join(", ");
}
