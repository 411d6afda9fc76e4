// Everything about one step: why it went where, what it changed, which models it asked, and how it failed.

import { html, useState } from "./html.js";
import { Command, Failure, Link, Status, Value, runAddress, useDocument } from "./parts.js";
import { Notes } from "./notes.js";
import { brief, cost, dollars, seconds, shown, tokens, when } from "./words.js";

export function Panel({ id, seq, select, tags, session, drives }) {
  const [found, error] = useDocument("step", { id, seq });
  if (error) return html`<${Failure} error=${error} />`;
  if (!found) return html`<div aria-busy="true"></div>`;
  const { step, tried, changes, attempts, calls, agents, commands } = found;
  const { detail } = step;
  return html`<article class=${found.step.seq === seq ? "" : "stale"}>
    <h2><span>${step.kind}</span> ${step.path} ${step.visit > 1 ? html`<small>visit ${step.visit}</small>` : null} ${step.attempt > 1 ? html`<small>attempt ${step.attempt}</small>` : null}
      ${step.targets.length ? html` → ${step.targets.join(", ")}` : null} ${step.edge ? html`<span class="edge">${step.edge}</span>` : null}</h2>
    <p class="soft">recorded ${when(step.finished_at)}${found.took !== null ? `, took ${seconds(found.took)}` : ""}${found.waited ? `, the question was open for ${seconds(found.waited)}` : ""}${detail.choice ? `, chose ${shown(detail.choice)}` : ""}${detail.fallback ? ", by its fallback" : ""}</p>
    <${Notes} id=${id} seq=${seq} tags=${tags} session=${session} key=${seq} />
    ${step.error && html`<${Trouble} error=${step.error} />`}
    ${tried.length > 0 && html`<${Tried} tried=${tried} why=${step.why} />`}
    ${!tried.length && step.why && step.why !== "otherwise" ? html`<h3>Why</h3><p>${step.why}</p>` : null}
    ${changes.length > 0 && html`<h3>State</h3><table class="changes"><tbody>${changes.map((each) => html`<tr><th scope="row">${each.path}</th>
      <td>${each.before === null ? html`<span class="soft">none</span>` : html`<${Value} value=${each.before} />`}</td><td aria-label="becomes">→</td><td><${Value} value=${each.after} /></td></tr>`)}</tbody></table>`}
    ${attempts?.length > 1 && html`<h3>Attempts</h3><ol class="attempts">${attempts.map((each) => html`<li><button class="link" onClick=${() => select(each.seq)}>attempt ${each.number}</button>${" "}
      ${seconds(each.took)} ${each.error ? html`<span class="is-failed">${brief(`${each.error.code}: ${each.error.message}`)}</span>` : html`<span class="is-finished">done</span>`} ${each.fallback ? "by its fallback" : ""}</li>`)}</ol>`}
    ${(calls?.length || agents?.length) > 0 && html`<${Calls} calls=${calls} agents=${agents || []} seq=${seq} select=${select} />`}
    <${Facts} detail=${detail} />
    ${!drives && html`<details><summary>Commands for this step</summary><${Command} words="branch from here" text=${commands.branch} /></details>`}
  </article>`;
}

function Trouble({ error }) {
  return html`<section class="trouble"><h3>Error</h3><p class="message" tabindex="0"><b>${error.code}</b>: ${error.message}</p>
    ${error.where && html`<p class="soft">at ${error.where}</p>`}${error.repair && html`<p>Repair: ${error.repair}</p>`}
    ${error.traceback && html`<details open><summary>traceback of attempt ${error.attempt}</summary><pre tabindex="0">${error.traceback}</pre></details>`}</section>`;
}

function Tried({ tried, why }) {
  const last = tried.findIndex((each) => each.taken);
  return html`<h3>Why</h3><table class="tried"><tbody>${tried.map((each, index) => html`<tr class=${each.taken ? "taken" : ""}>
      <td>${index + 1}</td><td>${each.label ? html`<span class="edge">${each.label}</span> ` : null}→ ${each.to}<br /><small class="soft">${each.condition}</small></td>
      <td>${each.why || (each.taken ? "" : index > last ? html`<span class="soft">not evaluated</span>` : "")}</td><td>${each.taken ? html`<b>taken</b>` : ""}</td></tr>`)}</tbody></table>
    ${tried.every((each) => !each.why) && why && why !== "otherwise" ? html`<p>${why}</p>` : null}`;
}

function Calls({ calls, agents, seq, select }) {
  return html`<h3>Calls</h3>
    ${agents.map((agent) => html`<details class="agent"><summary>instructions ${agent.choice ? `of ${agent.choice} ` : ""}${agent.model ? html`<span class="soft">${agent.model}</span>` : null}</summary>
      ${agent.system && html`<h4>system</h4><pre tabindex="0">${agent.system}</pre>`}
      ${agent.filled ? html`<h4>prompt, filled from the recorded state</h4><pre tabindex="0">${agent.filled}</pre>` : agent.prompt ? html`<h4>prompt</h4><pre tabindex="0">${agent.prompt}</pre>` : null}</details>`)}
    <ol class="calls">${calls.map((call) => html`<${Call} call=${call} here=${call.seq === seq} select=${select} />`)}</ol>`;
}

function Call({ call, here, select }) {
  const { value, by, usage } = call;
  const isTurn = Boolean(by?.agent);
  const text = value && typeof value === "object" && "text" in value ? value.text : isTurn ? "" : value;
  return html`<li class=${here ? "here" : ""}>
    <button class="link" onClick=${() => select(call.seq)}>${isTurn ? `${by.agent} asked ${by.model}` : call.name.replace(/^.*<locals>\./, "")}</button>${" "}
    <span class="soft">${usage ? `${usage.input_tokens}→${usage.output_tokens} tokens ${cost(usage)} ` : ""}${seconds(call.took)}${value?.stop && !["end", "tools"].includes(value.stop) ? ` ended by ${value.stop}` : ""}</span>${" "}
    ${value?.error ? html`<b class="is-failed">failed</b>` : null}
    ${call.asked?.length > 0 && html`<details class="agent"><summary>asked</summary>${call.asked.map((each) => html`<h4>${each.role}</h4><pre tabindex="0">${each.text}</pre>`)}</details>`}
    ${text !== "" && text !== undefined && html`<div><${Value} value=${text} open=${here} /></div>`}
    ${(value?.calls || []).map((each) => html`<div class="tool">calls <code>${each.name}(${each.arguments})</code></div>`)}
    ${value?.traceback && html`<pre tabindex="0">${value.traceback}</pre>`}
  </li>`;
}

/** What a step records besides its edge, error and update. */
function Facts({ detail }) {
  const left = ["answer", "message", "payload", "sent", "emitted", "cancelled", "inside", "changes", "moved", "count", "graph", "after"];
  const found = left.filter((name) => detail[name] !== undefined && detail[name] !== null && detail[name]?.length !== 0);
  const asks = (detail.waits || []).map((wait) => html`<dt>${wait.name}</dt><dd class=${(wait.question || "").includes("\n") ? "asked table" : "asked"} tabindex="0">${wait.question || wait.topic || wait.kind}</dd>`);
  if (!found.length && !asks.length) return null;
  return html`<h3>${asks.length ? "Waits for" : "Recorded"}</h3><dl class="fields">${asks}${found.map((name) => html`<dt>${name}</dt><dd><${Value} value=${detail[name]} /></dd>`)}</dl>`;
}

export function Spending({ id, seq }) {
  const [by, setBy] = useState("agent");
  const [found, error] = useDocument("usage", { id, seq });
  if (error) return html`<${Failure} error=${error} />`;
  if (!found) return null;
  if (!found.spending.length) return html`<h2>Cost</h2><p>No model was asked.</p>`;
  const sums = new Map();
  for (const each of found.spending) {
    const key = each[by] || "by rules";
    const sum = sums.get(key) || { calls: 0, input_tokens: 0, output_tokens: 0, cost_usd: 0 };
    for (const name of ["calls", "input_tokens", "output_tokens"]) sum[name] += each[name];
    sum.cost_usd = each.cost_usd === null || sum.cost_usd === null ? null : sum.cost_usd + each.cost_usd;
    sums.set(key, sum);
  }
  return html`<h2>Cost: ${cost(found.usage) || "no model asked"}${tokens(found.usage) && `, ${tokens(found.usage)} tokens`}</h2>
    <div class="tabs" role="tablist">${["agent", "model", "node"].map((name) => html`<button role="tab" aria-selected=${by === name} onClick=${() => setBy(name)}>by ${name}</button>`)}</div>
    <table class="sums"><thead><tr><th scope="col">${by}</th><th scope="col">calls</th><th scope="col">in</th><th scope="col">out</th><th scope="col">USD</th></tr></thead>
    <tbody>${[...sums].sort((a, b) => (b[1].cost_usd || 0) - (a[1].cost_usd || 0) || b[1].calls - a[1].calls).map(([name, sum]) => html`<tr><th scope="row">${name}</th><td>${sum.calls}</td><td>${sum.input_tokens}</td><td>${sum.output_tokens}</td><td>${dollars(sum.cost_usd)}</td></tr>`)}</tbody></table>`;
}

export function Branches({ id }) {
  const [found, error] = useDocument("branches", { id });
  if (error) return html`<${Failure} error=${error} />`;
  if (!found) return null;
  if (!found.runs.length) return html`<h2>Branches</h2><p>No run was branched from this one.</p>`;
  return html`<h2>Branches</h2><ul class="branches">${found.runs.map((run) => html`<li><${Status} status=${run.status} word=${false} />
    <${Link} to=${runAddress(run.run_id)}>${run.run_id}</${Link}> at step ${run.parent.seq} · <${Link} to=${`/compare?a=${encodeURIComponent(id)}&b=${encodeURIComponent(run.run_id)}`}>compare</${Link}></li>`)}</ul>`;
}
