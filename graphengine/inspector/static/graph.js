// One graph: its picture, and what its newest runs did on it.

import { html, useMemo } from "./vendor/preact-htm.js";
import { query } from "./api.js";
import { Failure, Link, Status, runAddress, useDocument, useNow } from "./parts.js";
import { Picture } from "./picture.js";
import { ago, count } from "./words.js";

export function GraphPage({ name }) {
  const [found, error] = useDocument("graph", { graph: name });
  const now = useNow();
  const lit = useMemo(() => found && { spots: numbers(found.visits), edges: numbers(found.edges), last: [] }, [found]);
  if (error) return html`<main class="alone"><${Failure} error=${error} /><${Link} to="/">to the list of runs</${Link}></main>`;
  if (!found) return null;
  document.title = `${name} · graphengine inspector`;
  return html`<main class="graph">
    <header class="bar"><${Link} to="/" class="back">‹ runs</${Link}><h1>${name}</h1><${Link} to=${`/?${query({ graph: name })}`}>all runs of it</${Link}></header>
    <p class="soft">As its newest run has it. Pale: what was not taken in the ${count(found.counted, "run")} that are counted.</p>
    <${Picture} fingerprint=${found.fingerprint} lit=${found.counted ? lit : null} />
    <h2>Newest runs</h2>
    <ul class="branches">${found.runs.map((run) => html`<li><${Status} status=${run.status} word=${false} /> <${Link} to=${runAddress(run.run_id)}>${run.run_id}</${Link}> <span class="soft">${count(run.seq, "step")}, ${ago(run.updated_at, now)}</span></li>`)}</ul>
  </main>`;
}

function numbers(record) {
  return new Map(Object.entries(record).map(([key, value]) => [Number(key), value]));
}
