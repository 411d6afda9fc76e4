// With --drive: forms that start a run, and that branch one with a preview; and what a run does between two steps.

import { html, useState, useEffect, useRef } from "./html.js";
import { post } from "./api.js";
import { Failure, Value, go, runAddress, useAct, useDocument } from "./parts.js";
import { Field, blank, changedFields } from "./form.js";
import { brief, count, dollars, seconds } from "./words.js";

export const canDrive = (session, graph) => Boolean(session.drives?.graphs.includes(graph));

/** Why there is no button that drives a run; nothing without --drive, where the commands are shown. */
export function CannotDrive({ session, graph }) {
  if (!session.drives || canDrive(session, graph)) return null;
  return html`<p class="soft">This inspector drives runs of ${session.drives.graphs.join(", ")}. For ${graph}, give its file: <code>graphengine inspect --drive --graph FILE</code></p>`;
}

/** A form that starts a run of a graph. */
export function Start({ graph }) {
  const [found, error] = useDocument("form", { graph });
  const [value, setValue] = useState(null);
  const [id, setId] = useState("");
  const [tags, setTags] = useState("");
  const [act, busy, said] = useAct();
  useEffect(() => found && setValue({ ...blank(found.schema), ...found.example }), [found]);
  if (error) return html`<${Failure} error=${error} />`;
  if (!found || !value) return null;
  const names = Object.keys(found.schema.properties || {});
  const first = names.filter((name) => (found.schema.required || []).includes(name) || name in found.example);
  const others = first.length ? names.filter((name) => !first.includes(name)) : [];
  const part = (wanted) => ({ ...found.schema, properties: Object.fromEntries(wanted.map((name) => [name, found.schema.properties[name]])) });
  const start = async (event) => {
    event.preventDefault();
    const state = changedFields(found.schema, value);
    const begun = await act("start", { graph, state, id: id.trim() || undefined, tags: words(tags) });
    if (begun) go(runAddress(begun.id));
  };
  return html`<form class="start form" onSubmit=${start}>
    <p class="soft">The initial state, of type <code>${found.schema.title || "state"}</code>${Object.keys(found.example).length ? ", filled in with the example" : ""} of ${found.file}.</p>
    <${Field} schema=${part(first.length ? first : names)} root=${found.schema} value=${value} set=${setValue} name="state" />
    ${others.length > 0 && html`<details><summary>${count(others.length, "more field")}, with defaults</summary><${Field} schema=${part(others)} root=${found.schema} value=${value} set=${setValue} name="more of the state" /></details>`}
    <div class="field"><span class="label">run id <small class="soft">optional</small></span><input aria-label="run id" maxlength="200" value=${id} onInput=${(event) => setId(event.target.value)} /></div>
    <div class="field"><span class="label">tags <small class="soft">optional</small></span><input aria-label="tags" placeholder="a, b" value=${tags} onInput=${(event) => setTags(event.target.value)} /></div>
    <button class="main" disabled=${busy}>Start the run</button>${said}</form>`;
}

const words = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);

/** A button that resumes a run, or retries one that failed. */
export function Resume({ id, head }) {
  const [act, busy, said] = useAct();
  if (!["failed", "stopped", "interrupted", "waiting"].includes(head.shown)) return null;
  const name = head.shown === "failed" ? "Retry" : "Resume";
  return html`<span class="act"><button disabled=${busy} onClick=${() => act("resume", { id }, head.shown === "waiting" ? "it still waits" : "")}>${name}</button>${said}</span>`;
}

/** A drawer that branches a run at a step, with changed fields and a preview of what that does. */
export function Branch({ id, at, close }) {
  const [found, error] = useDocument("fields", { id, at });
  const [path, setPath] = useState("");
  const [edits, setEdits] = useState({});
  const [preview, setPreview] = useState(null);
  const [problem, setProblem] = useState(null);
  const [name, setName] = useState("");
  const [act, busy, said] = useAct();
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.focus();
    return () => before?.focus?.();
  }, []);
  useEffect(() => {
    let stale = false;
    const timer = setTimeout(() => post("preview", { id, at, update: edits, path }).then(
      (made) => stale || (setPreview(made), setProblem(null)), (refused) => stale || setProblem(refused)), 250);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [id, at, path, JSON.stringify(edits)]);
  useEffect(() => {
    const escape = (event) => event.key === "Escape" && close();
    addEventListener("keydown", escape);
    return () => removeEventListener("keydown", escape);
  }, []);
  const begin = async (event) => {
    event.preventDefault();
    const begun = await act("branch", { id, at, update: edits, path, new: name.trim() || undefined });
    if (begun) {
      close();
      go(runAddress(begun.id));
    }
  };
  const state = found?.states.find((each) => each.path === path);
  return html`<aside class="drawer" role="dialog" aria-label=${`Branch at step ${at}`} tabindex="-1" ref=${box}>
    <header class="bar"><h2>Branch ${id} at step ${at}</h2><button class="small" onClick=${close}>Close</button></header>
    ${error && html`<${Failure} error=${error} />`}
    <form class="form" onSubmit=${begin}>
      ${found?.states.length > 1 && html`<label>state of <select value=${path} onChange=${(event) => (setEdits({}), setPath(event.target.value))}>${found.states.map((each) => html`<option value=${each.path}>${each.path || "the run"}</option>`)}</select></label>`}
      ${state && Object.entries(state.schema.properties || {}).map(([field, schema]) => html`<${Edit} key=${`${path} ${field}`} field=${field} schema=${schema} state=${state} edits=${edits} setEdits=${setEdits} />`)}
      ${problem && html`<${Failure} error=${problem} />`}
      ${preview && html`<${Preview} preview=${preview} at=${at} />`}
      <div class="field"><span class="label">run id <small class="soft">optional</small></span><input aria-label="id of the branch" maxlength="200" value=${name} onInput=${(event) => setName(event.target.value)} /></div>
      <button class="main" disabled=${busy || Boolean(problem)}>Begin the branch</button>${said}
    </form>
  </aside>`;
}

/** One field of a state: its value, and once it is to be changed, a field for the update. */
function Edit({ field, schema, state, edits, setEdits }) {
  const operation = state.fields[field]?.operation || "set";
  const isAdded = operation !== "set";
  const isOpen = field in edits;
  const isSecret = state.secrets.includes(field);
  const value = state.values[field];
  const open = () => setEdits({ ...edits, [field]: isAdded ? null : value ?? blank(schema, state.schema) ?? null });
  const drop = () => setEdits(Object.fromEntries(Object.entries(edits).filter(([name]) => name !== field)));
  const inner = isAdded ? (operation === "append" && schema.items ? schema.items : {}) : schema;
  return html`<div class="field"><span class="label">${field} <button type="button" class="small" aria-label=${`${isOpen ? "keep" : "change"} ${field}`} onClick=${isOpen ? drop : open}>${isOpen ? "keep" : "change"}</button></span>
    <div>${isOpen
      ? html`<${Field} schema=${inner} root=${state.schema} value=${edits[field] ?? undefined} name=${field} set=${(made) => setEdits({ ...edits, [field]: made ?? null })} />
        ${isAdded && html`<small class="soft">goes through the field's reducer (${operation})</small>`}`
      : isSecret ? html`<span class="soft">secret</span>` : html`<code class="soft">${brief(value ?? null, 90)}</code>`}</div></div>`;
}

function Preview({ preview, at }) {
  const { changes, shared, in_flight: flying, left_out: left } = preview;
  const calls = (each) => `${count(each.calls, "recorded call")}${each.model_calls ? ` (${each.model_calls} of ${each.model_calls === 1 ? "a model" : "models"}${each.cost_usd ? `, ${dollars(each.cost_usd)} USD` : ""})` : ""}`;
  return html`<section aria-label="Preview"><h3>What differs</h3>
    ${changes.length ? html`<table class="changes"><tbody>${changes.map((each) => html`<tr><th scope="row">${each.path}</th><td><${Value} value=${each.before} /></td><td aria-label="becomes">→</td><td><${Value} value=${each.after} /></td></tr>`)}</tbody></table>` : html`<p class="soft">No field yet: the branch runs again from step ${at} with the same state.</p>`}
    <h3>What is kept</h3>
    <p>${shared.calls ? `Steps 1 to ${at} are shared, with ${calls(shared)}.` : `Steps 1 to ${at} are shared; no calls are recorded in them.`}
      ${left.calls ? ` Not in the branch: ${calls(left)} after step ${at}.` : ""}</p>
    ${flying.length > 0 && html`<p>The visit in flight keeps these calls, if it makes them again with the same input:</p>
      <ul>${flying.map((each) => html`<li>${each.path}: ${each.name} <span class="soft">step ${each.seq}</span></li>`)}</ul>`}</section>`;
}

/** Join what came with what is known: each text comes once, in pieces. */
export function joined(was, came) {
  return {
    ...came,
    texts: came.texts.map((each) => {
      const old = was?.texts.find((one) => one.number === each.number);
      const text = old && old.at + old.text.length === each.at ? old.text + each.text : each.text;
      return { ...each, text, at: old && text !== each.text ? old.at : each.at };
    }),
  };
}

/** The nodes that run now, and the text of running calls as it comes. */
export function Now({ now, head, time }) {
  if (now?.trouble) return html`<${Failure} error=${now.trouble} />`;
  if (head.shown !== "running") return null;
  if (!now?.here) {
    return html`<p class="soft now">Another process drives this run: the text of a call appears once the call is recorded. It appears while it is written for runs that are started here, with <code>--drive</code>.</p>`;
  }
  return html`<section class="now" aria-label="Running now"><h3>Running now</h3>
    ${now.nodes.map((each) => html`<p key=${each.path}><b>${each.path}</b> <span class="soft">${each.visit > 1 ? `visit ${each.visit}, ` : ""}${each.attempt > 1 ? `attempt ${each.attempt}, ` : ""}${seconds(Math.max(0, time - each.at))}</span></p>`)}
    ${now.texts.map((each) => html`<${Text} key=${each.number} text=${each} />`)}</section>`;
}

function Text({ text }) {
  const box = useRef(null);
  useEffect(() => {
    box.current.scrollTop = box.current.scrollHeight;
  }, [text.text]);
  return html`<div><h4>${text.path}: ${text.agent} answers</h4><pre tabindex="0" ref=${box} data-live=${text.agent}>${text.text}</pre></div>`;
}
