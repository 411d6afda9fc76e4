// Notes on steps. A note is a tag of the run that begins with the step, as in `@12 looks wrong`: so the command line
// lists and searches it too, an export has it, and nothing else needs to be stored.

import { html, useState } from "./html.js";
import { useAct } from "./parts.js";

const NOTE = /^@(\d+) (.+)$/;
const LONGEST = 100;

export const isNote = (tag) => NOTE.test(tag);

/** The notes among the tags of a run, each with its step. */
export function notesOf(tags) {
  return tags.map((tag) => NOTE.exec(tag)).filter(Boolean).map(([tag, seq, text]) => ({ tag, seq: Number(seq), text })).sort((a, b) => a.seq - b.seq);
}

export function Notes({ id, seq, tags, session }) {
  const [text, setText] = useState("");
  const [act, busy, said] = useAct();
  const notes = notesOf(tags).filter((note) => note.seq === seq);
  const add = async (event) => {
    event.preventDefault();
    if (text.trim() && (await act("tag", { id, add: [`@${seq} ${text.trim()}`] }, ""))) setText("");
  };
  return html`<section class="notes" aria-label="Notes">
    ${notes.map((note) => html`<p class="note">✎ ${note.text} ${!session.read_only && html`<button class="small" aria-label=${`remove the note ${note.text}`} onClick=${() => act("tag", { id, remove: [note.tag] }, "")}>×</button>`}</p>`)}
    ${!session.read_only && html`<form onSubmit=${add}><input aria-label="Note on this step" placeholder="note on this step" maxlength=${LONGEST - 2 - String(seq).length} disabled=${busy} value=${text} onInput=${(event) => setText(event.target.value)} /></form>`}${said}</section>`;
}
