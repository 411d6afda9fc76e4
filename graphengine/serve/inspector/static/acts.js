// What the page can do to a run: answer, send, stop, tag; with --drive resume and branch, else the commands for that.

import { html, useState } from "./html.js";
import { post, query } from "./api.js";
import { Command, useAct } from "./parts.js";
import { CannotDrive, Resume, canDrive } from "./drive.js";
import { Field, blank, problemOf } from "./form.js";
import { isNote } from "./notes.js";
import { ago } from "./words.js";

/** What a run waits for, each question with a form made from its schema. */
export function Questions({ id, head, session }) {
  return html`<section class="questions" aria-label="Questions">${head.waits.map((wait) => html`<${Question} key=${`${wait.name} ${wait.question}`} id=${id} wait=${wait} head=${head} session=${session} />`)}</section>`;
}

function Question({ id, wait, head, session }) {
  const [value, setValue] = useState(() => blank(wait.schema));
  const [act, busy, said] = useAct();
  const [sent, setSent] = useState(false);
  const takes = ["ask", "pause", "unknown"].includes(wait.kind);
  const due = wait.due_at ? html`<span class="soft"> ends by itself ${new Date(wait.due_at * 1000).toLocaleString()}</span>` : null;
  const since = html`<span class="soft"> since ${ago(head.updated_at)}</span>`;
  if (!takes) return html`<div class="question"><b class="is-waiting">⏸ waits</b> ${wait.kind === "receive" ? `for a message: ${wait.topic}` : wait.question || wait.name}${since}${due}</div>`;
  const problem = problemOf(wait.schema, value);
  const drives = canDrive(session, head.graph);
  const answer = async (event) => {
    event.preventDefault();
    const done = drives ? "the answer is recorded, and the run is continued" : "the answer is recorded; a worker or `resume` continues the run";
    if (!(await act("answer", { id, wait: wait.name, value }, done))) return;
    setSent(true);
    if (drives) post("resume", { id }).catch(() => {}); // it is driven already, here or by another process
  };
  return html`<form class="question" onSubmit=${answer}>
    <div><b class="is-waiting">⏸ ${wait.name}</b>${since}${due}</div>
    <p class=${(wait.question || "").includes("\n") ? "asked table" : "asked"} tabindex="0">${wait.question}</p>
    ${session.read_only ? html`<p class="soft">this inspector is read-only</p>` : sent ? null : html`<${Field} schema=${wait.schema} root=${wait.schema} value=${value} set=${setValue} name="answer" />
      <div><button class="main" disabled=${busy || Boolean(problem)}>Send the answer</button> <span class="soft">${problem}</span></div>`}
    ${said}${sent && !drives && html`<${Command} words="continue it here" text=${head.commands.resume} />`}
  </form>`;
}

export function Acts({ id, head, at, session, branch }) {
  const [act, busy, said] = useAct();
  const [tag, setTag] = useState("");
  const [topic, setTopic] = useState("");
  const [payload, setPayload] = useState("");
  const [sure, setSure] = useState(false);
  const canStop = ["queued", "running", "waiting"].includes(head.shown);
  const isOver = head.shown === "finished";
  const label = (event) => {
    event.preventDefault();
    if (tag.trim()) act("tag", { id, add: [tag.trim()] }, "tagged").then((done) => done && setTag(""));
  };
  const send = (event) => {
    event.preventDefault();
    let value = payload;
    try {
      value = JSON.parse(payload);
    } catch {
      // as text
    }
    act("send", { id, topic, payload: value, idempotency_key: crypto.randomUUID() }, "the message is sent");
  };
  const stop = (now) => (setSure(false), act("stop", { id, now }, "asked to stop"));
  const drives = canDrive(session, head.graph);
  return html`<section class="acts" aria-label="Actions">
    ${!session.read_only && html`<div class="bar slim">
      ${drives && html`<${Resume} id=${id} head=${head} /><button onClick=${branch}>Branch at step ${at}</button>`}
      ${canStop && (sure
        ? html`${head.shown === "running" && html`<button class="danger" disabled=${busy} onClick=${() => stop(false)}>Stop after the nodes in flight</button>`}<button class="danger" disabled=${busy} title="cancels the nodes in flight; a resume repeats them" onClick=${() => stop(true)}>Stop it now</button><button class="small" onClick=${() => setSure(false)}>no</button>`
        : html`<button onClick=${() => setSure(true)}>Stop</button>`)}
      ${head.tags.filter((each) => !isNote(each)).map((each) => html`<span class="tag">${each}<button class="small" aria-label=${`remove the tag ${each}`} onClick=${() => act("tag", { id, remove: [each] }, "")}>×</button></span>`)}
      <form onSubmit=${label}><input aria-label="New tag" placeholder="tag" size="10" maxlength="100" value=${tag} onInput=${(event) => setTag(event.target.value)} /></form>
    </div>
    ${!isOver && html`<details><summary>Send a message</summary><form class="send" onSubmit=${send}>
      <label>topic <input required value=${topic} onInput=${(event) => setTopic(event.target.value)} /></label>
      <label>payload, JSON or text <textarea rows="3" value=${payload} onInput=${(event) => setPayload(event.target.value)}></textarea></label>
      <button disabled=${busy}>Send</button></form></details>`}${said}`}
    <${CannotDrive} session=${session} graph=${head.graph} />
    <p><a href=${`/api/export?${query({ id })}`} download=${`${id.replace(/[^\w.-]+/g, "_")}.json`}>Export the run as a file</a></p>
    <details><summary>Commands</summary>
      ${["failed", "stopped", "interrupted", "waiting"].includes(head.shown) && html`<${Command} words="resume it" text=${head.commands.resume} />`}
      <${Command} words="branch at a step; --set FIELD=VALUE changes the state" text=${head.commands.branch.replace(/--at \d+/, `--at ${at}`)} />
    </details>
  </section>`;
}
