// Whatever text the page shows is harmless: each text of an element comes through here.

import { options } from "preact";

/** Control codes, line separators, controls of the writing direction, and what is not seen, as
 * `graphengine.cli.terminal` knows them. */
const UNSEEN = "\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\u00ad\\u180e\\u200b\\u2060-\\u2064\\ufeff";
const UNSAFE = new RegExp(`[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f${UNSEEN}\\u{e0000}-\\u{e007f}\\ud800-\\udfff]`, "gu");

function escaped(found: string): string {
  const code = (found.codePointAt(0) as number).toString(16);
  if (code.length > 4) return `\\U${code.padStart(8, "0")}`;
  return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
}

/** A text as the command line shows it: what would reverse or hide a part of it is an escape. */
export function harmless(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(UNSAFE, escaped);
}

/** Preact makes a node without a type for each text. Values of fields, addresses and what is copied stay the same. */
options.vnode = (node) => {
  const made = node as { type: unknown; props: unknown };
  if (made.type === null || made.type === undefined) {
    if (typeof made.props === "string") made.props = harmless(made.props);
  } else if (typeof made.type === "string") {
    const props = made.props as Record<string, unknown>;
    for (const name of ["title", "aria-label"]) {
      if (typeof props[name] === "string") props[name] = harmless(props[name]);
    }
  }
};
