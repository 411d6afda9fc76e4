// The elements of the page. Whatever text they show is harmless: this is the only way to make them.

import { html as made } from "./vendor/preact-htm.js";

export * from "./vendor/preact-htm.js";

/** Control codes, line separators and controls of the writing direction, as `graphengine.cli.terminal` knows them. */
const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu;

function escaped(found) {
  const code = found.charCodeAt(0).toString(16);
  return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
}

/** A text as the command line shows it: what would reverse or hide a part of it is an escape. */
export function harmless(text) {
  return text.replaceAll("\r\n", "\n").replace(UNSAFE, escaped);
}

function shown(child) {
  if (typeof child === "string") return harmless(child);
  if (Array.isArray(child)) return child.map(shown);
  if (child?.props?.children !== undefined) child.props.children = shown(child.props.children);
  return child;
}

/** Make elements. Only what is shown is changed: values of fields, addresses and what is copied stay as they are. */
export function html(strings, ...values) {
  return shown(made(strings, ...values));
}
