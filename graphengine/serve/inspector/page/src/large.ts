// Values that the server left out of a document because they are long: each is read when the reader asks for it.

/** A value that was left out. It is a text object with how the value begins, so that code for texts shows that. */
export interface Large extends String {
  /** The length of the value, in characters. */
  characters: number;
  /** How many items or fields the value contains; null for a text. */
  items: number | null;
  load: () => Promise<unknown>;
}

export const isLarge = (value: unknown): value is Large => value instanceof String;

/** Put what the server left out of a document in its place; `again` reads one value of the same document. */
export function placed(document: any, again: (part: string) => Promise<unknown>): any {
  for (const { part, digest, begins, ...size } of document?.large ?? []) {
    const path = part.split("/").slice(1) as string[];
    const [last, ...around] = path.map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~")).reverse();
    const value = Object.assign(new String(begins), {
      ...size,
      load: () => again(new URLSearchParams({ part, digest }).toString()),
      toJSON: () => `${begins} (${digest})`, // which differs for values that only begin alike
    });
    around.reduceRight((inside, name) => inside[name], document)[last!] = value;
  }
  return document;
}

/** The values inside a value that were left out, by their paths. */
export function largeIn(value: unknown, path = ""): [string, Large][] {
  if (isLarge(value)) return [[path, value]];
  if (!value || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([name, each]) => largeIn(each, path ? `${path}.${name}` : name));
}

/** A value with all that was left out of it. */
export async function whole(value: unknown): Promise<any> {
  if (isLarge(value)) return value.load();
  if (!largeIn(value).length) return value;
  const members = Object.entries(value as object).map(async ([name, each]) => [name, await whole(each)] as const);
  const found = await Promise.all(members);
  return Array.isArray(value) ? found.map(([, each]) => each) : Object.fromEntries(found);
}

/** How long a text is, in characters. */
export const lengthOf = (text: string): number => (isLarge(text) ? text.characters : text.length);
