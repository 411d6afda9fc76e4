// The list of a run's steps: any number of them, with failures marked, kinds, search, and maps' items folded.

import { html, useState, useEffect, useMemo, useRef } from "./html.js";
import { get } from "./api.js";
import { List, useKeys } from "./parts.js";
import { count, seconds } from "./words.js";

const SIGNS = { failed: "✗", retry: "↻", fallback: "⤵", waiting: "⏸", call: "✦", ended: "■" };
const FOLDED = 8;
const SHORTEST = 2; // characters of a search in the records

/** The rows to show: those that fit, and one line for each long row of steps inside a map's items. */
function listed(rows, { bad, kind, text, opened, within, noted, notes }) {
  const words = text.toLowerCase();
  const fits = (row) =>
    (!bad || ["failed", "retry", "fallback"].includes(row[7])) && (!kind || row[1] === kind) &&
    (!noted || notes.has(row[0])) &&
    (!words || within.has(row[0]) || notes.get(row[0])?.toLowerCase().includes(words) || `${row[0]} ${row[2]} ${row[1]} ${row[9]} ${row[10]} ${row[11]} ${row[8]}`.toLowerCase().includes(words));
  const found = [];
  const plain = bad || kind || words || noted;
  for (let index = 0; index < rows.length; index += 1) {
    const row = rows[index];
    if (!fits(row)) continue;
    if (!plain && row[2].includes("[") && !opened.has(row[0])) {
      let end = index;
      while (end < rows.length && rows[end][2].includes("[")) end += 1;
      if (end - index > FOLDED) {
        const inner = rows.slice(index, end);
        found.push({ fold: row[0], last: inner.at(-1)[0], size: inner.length, path: row[2].replace(/\[\d+\].*/, "[…]"), bad: inner.filter((each) => each[7] === "failed").length });
        index = end - 1;
        continue;
      }
    }
    if (!plain && opened.has(row[0])) {
      while (index < rows.length && rows[index][2].includes("[")) found.push({ row: rows[index++] });
      index -= 1;
      continue;
    }
    found.push({ row });
  }
  return found;
}

export function Steps({ rows, whole, total, selected, select, search, setSearch, id, notes }) {
  const [bad, setBad] = useState(false);
  const [kind, setKind] = useState("");
  const [opened, setOpened] = useState(new Set());
  const [noted, setNoted] = useState(false);
  const [within, setWithin] = useState(new Set()); // the steps whose record has the text, also where the list does not show it
  const field = useRef(null);
  useEffect(() => {
    let stale = false;
    const text = search.trim();
    if (text.length < SHORTEST) return setWithin((was) => (was.size ? new Set() : was));
    const timer = setTimeout(() => get("find", { id, text }).then(({ found }) => stale || setWithin(new Set(found)), () => {}), 250);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [id, search, rows.length]);
  const shown = useMemo(() => listed(rows, { bad, kind, text: search.trim(), opened, within, noted, notes }), [rows, bad, kind, search, opened, within, noted, notes]);
  const kinds = useMemo(() => [...new Set(rows.map((row) => row[1]))].sort(), [rows]);
  const failures = useMemo(() => rows.filter((row) => row[7] === "failed" || row[7] === "retry").length, [rows]);
  // The line of the step that the panel shows; if it is hidden, none is highlighted, and the keys go on from its place.
  const seen = selected || rows.at(-1)?.[0] || 0;
  const after = shown.findIndex((each) => (each.row ? each.row[0] : each.last) >= seen);
  const index = after >= 0 && (shown[after].row ? shown[after].row[0] : shown[after].fold) <= seen ? after : -1;
  const place = after < 0 ? shown.length : after;
  const move = (step) => {
    const next = shown[Math.min(Math.max(index < 0 && step > 0 ? place : place + step, 0), shown.length - 1)];
    if (next) select(next.row ? next.row[0] : next.fold);
  };
  const down = () => move(1);
  const up = () => move(-1);
  const unfold = (each) => setOpened(new Set([...opened, each.fold]));
  useKeys({ Enter: () => shown[index]?.fold && unfold(shown[index]), j: down, ArrowDown: down, k: up, ArrowUp: up, Home: () => select(1), End: () => select(0), "/": () => field.current.focus() });
  return html`<section class="steps" aria-label="Steps">
    <div class="bar slim">
      <label class="check"><input type="checkbox" checked=${bad} onChange=${() => setBad(!bad)} /> only failures (${failures})</label>
      ${notes.size > 0 && html`<label class="check"><input type="checkbox" checked=${noted} onChange=${() => setNoted(!noted)} /> notes (${notes.size})</label>`}
      <select aria-label="Kind of step" value=${kind} onChange=${(event) => setKind(event.target.value)}><option value="">every kind</option>${kinds.map((each) => html`<option>${each}</option>`)}</select>
      <input ref=${field} type="search" aria-label="Search in steps" placeholder="search all of each step" value=${search} onInput=${(event) => setSearch(event.target.value)} />
      <span class="soft">${whole ? count(shown.length, "line") : `the last ${rows.length} of ${total} steps`}</span>
      <span class="walk"><button class="small" aria-label="previous step" onClick=${up}>◀</button><button class="small" aria-label="next step" onClick=${down}>▶</button>
        <button class="small" aria-pressed=${!selected} onClick=${() => select(0)}>follow</button></span>
    </div>
    <${List} rows=${shown} height=${27} label="Steps of the run" show=${Math.min(place, shown.length - 1)} row=${(each, at) => (each.row
      ? html`<${Line} key=${each.row[0]} row=${each.row} note=${notes.get(each.row[0])} selected=${at === index} select=${select} />`
      : html`<div key=${`fold ${each.fold}`} class="step folded ${at === index ? "selected" : ""}" role="option" aria-selected=${at === index} onClick=${() => unfold(each)}>
          <span>${each.fold}</span><span></span><span>▸ ${each.path}</span><span></span><span>${count(each.size, "step")}${each.bad ? html`, <b class="is-failed">${each.bad} failed</b>` : ""}; click or Enter to unfold</span></div>`)} />
  </section>`;
}

function Line({ row, note, selected, select }) {
  const [seq, kind, path, visit, attempt, , took, tone, to, label, why, text] = row;
  return html`<div class="step tone-${tone} ${selected ? "selected" : ""}" role="option" aria-selected=${selected} data-seq=${seq} onClick=${() => select(seq)}>
    <span>${seq}</span>
    <span class="sign" title=${tone || kind}>${SIGNS[tone] || ""}</span>
    <span class="path">${path || kind}${visit > 1 && path ? html` <small>visit ${visit}</small>` : null}${attempt > 1 ? html` <small>attempt ${attempt}</small>` : null}</span>
    <span class="number">${seconds(took)}</span>
    <span>${note ? html`<span class="note">✎ ${note}</span> ` : null}${text} ${to.length ? html`<b>→ ${to.join(", ")}</b>` : null} ${label ? html`<span class="edge">${label}</span>` : null} <span class="soft">${why}</span></span>
  </div>`;
}
