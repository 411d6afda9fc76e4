// The graphs; and one graph: its picture, its problems, what its newest runs did on it, and a form that starts one.

import { html, useEffect, useMemo } from "./html.js";
import { query } from "./api.js";
import { Command, Failure, Link, Status, runAddress, useDocument, useNow } from "./parts.js";
import { CannotDrive, Start, canDrive } from "./drive.js";
import { Picture } from "./picture.js";
import { ago, count } from "./words.js";

/** All graphs, with their runs by status. */
export function GraphList({ session }) {
  const [found, error] = useDocument("all_graphs", {});
  useEffect(() => {
    document.title = "graphs · graphengine inspector";
  }, []);
  if (error) return html`<main class="alone"><${Failure} error=${error} /></main>`;
  if (!found) return null;
  const graphs = Object.entries(found.graphs);
  return html`<main class="graphs">
    <header class="bar"><${Link} to="/" class="back">‹ runs</${Link}><h1>Graphs</h1></header>
    ${graphs.length ? html`<table><thead><tr><th scope="col">graph</th><th scope="col">runs</th>${session.drives && html`<th scope="col">driven here</th>`}</tr></thead><tbody>
      ${graphs.map(([name, runs]) => html`<tr><th scope="row"><${Link} to=${`/graph?${query({ graph: name })}`}>${name}</${Link}></th>
        <td>${Object.entries(runs).sort().map(([status, number]) => html`<${Link} to=${`/?${query({ graph: name, status })}`}>${number} <${Status} status=${status} /></${Link}> `)}</td>
        ${session.drives && html`<td>${canDrive(session, name) ? html`<${Link} to=${`/graph?${query({ graph: name })}#start`}>start a run</${Link}>` : "no"}</td>`}</tr>`)}</tbody></table>`
      : html`<p class="soft">No runs yet, so no graphs.</p>`}
    ${session.drives?.left_out.map((each) => html`<p class="failure">${each}</p>`)}
  </main>`;
}

/** What `check` finds. It needs the graph's code, which is there only with --drive. */
function Problems({ name, session, command }) {
  return html`<h2>Problems</h2>${canDrive(session, name) ? html`<${Checked} name=${name} />` : html`<${Command} words="check the graph's code" text=${command} />`}`;
}

function Checked({ name }) {
  const [found, error] = useDocument("problems", { graph: name });
  if (error) return html`<${Failure} error=${error} />`;
  if (!found) return null;
  if (!found.problems.length) return html`<p class="is-finished">\`check\` finds none in ${found.file}.</p>`;
  return html`<ul class="problems">${found.problems.map((each) => html`<li><b class=${each.warning ? "is-interrupted" : "is-failed"}>${each.warning ? "warning" : "error"}</b> <code>${each.code}</code> at ${each.where}: ${each.message}
    ${each.repair && html`<br /><span class="soft">${each.repair}</span>`}${each.file && html`<br /><code class="soft">${each.file}:${each.line}</code>`}</li>`)}</ul>`;
}

export function GraphPage({ name, session }) {
  const [found, error] = useDocument("graph", { graph: name });
  const now = useNow();
  const lit = useMemo(() => found && { spots: numbers(found.visits), edges: numbers(found.edges), last: [] }, [found]);
  if (error) return html`<main class="alone"><${Failure} error=${error} /><${Link} to="/">to the list of runs</${Link}></main>`;
  if (!found) return null;
  document.title = `${name} · graphengine inspector`;
  return html`<main class="graph">
    <header class="bar"><${Link} to="/" class="back">‹ runs</${Link}><h1>${name}</h1><${Link} to=${`/?${query({ graph: name })}`}>all runs of it</${Link}></header>
    <p class="soft">${found.runs.length ? `As its newest run has it. Pale: what was not taken in ${found.counted === 1 ? "the one run that is counted" : `the ${count(found.counted, "run")} that are counted`}.` : "As its code has it."}</p>
    <${Picture} fingerprint=${found.fingerprint} lit=${found.counted ? lit : null} />
    ${found.is_changed && html`<p class="soft">The code that is driven here is another version than that of its newest run.</p>`}
    <div class="facts"><section>
    ${canDrive(session, name) && html`<details id="start" open=${!found.runs.length || location.hash === "#start"}><summary>Start a run</summary><${Start} graph=${name} /></details>`}<${CannotDrive} session=${session} graph=${name} />
    <h2>Newest runs</h2>
    ${!found.runs.length && html`<p class="soft">No run yet.</p>`}
    <ul class="branches">${found.runs.map((run) => html`<li><${Status} status=${run.status} word=${false} /> <${Link} to=${runAddress(run.run_id)}>${run.run_id}</${Link}> <span class="soft">${count(run.seq, "step")}, ${ago(run.updated_at, now)}</span></li>`)}</ul></section><section>
    <h2>Edges never taken</h2>
    ${!found.counted ? html`<p class="soft">No run is counted.</p>` : found.unused.length ? html`<ul class="unused">${found.unused.map((each) => html`<li>${each.from} → ${each.to} ${each.label && html`<span class="edge">${each.label}</span>`} <small class="soft">${each.condition}</small></li>`)}</ul>` : html`<p class="is-finished">Each edge was taken.</p>`}
    <${Problems} name=${name} session=${session} command=${found.command} /></section></div>
  </main>`;
}

function numbers(record) {
  return new Map(Object.entries(record).map(([key, value]) => [Number(key), value]));
}
