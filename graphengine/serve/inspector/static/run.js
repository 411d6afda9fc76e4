// One run: its graph lit as at the selected step, its steps, its timeline, and everything about the step.

import { harmless, html, useState, useEffect, useMemo, useRef, useCallback } from "./html.js";
import { Refused, follow, get, query } from "./api.js";
import { Failure, Link, Status, Value, go, runAddress, useDocument, useKeys, useNow } from "./parts.js";
import { Picture, countsOf } from "./picture.js";
import { Scores, Timeline } from "./chart.js";
import { Steps } from "./steps.js";
import { Branches, Panel, Spending } from "./panel.js";
import { Acts, Questions } from "./acts.js";
import { Branch, Now, canDrive, joined } from "./drive.js";
import { notesOf } from "./notes.js";
import { ago, brief, cost, count, lost, seconds, tokens } from "./words.js";

const TABS = ["step", "state", "scores", "cost", "branches", "raw"];

export function Run({ id, at, session }) {
  const [head, setHead] = useState(null);
  const [then, setThen] = useState(null);
  const [rows, setRows] = useState([]);
  const [whole, setWhole] = useState(false);
  const [selected, setSelected] = useState(at);
  const [tab, setTab] = useState("step");
  const [search, setSearch] = useState("");
  const [error, setError] = useState(null);
  const [live, setLive] = useState(false);
  const [missing, setMissing] = useState(null);
  const [doing, setDoing] = useState(null);
  const [branching, setBranching] = useState(0);
  const now = useNow(2);
  const seq = useRef(0);
  const pending = useRef([]);

  const flush = useCallback(() => {
    const fresh = pending.current;
    pending.current = [];
    if (fresh.length) setRows((was) => [...was, ...fresh.filter((row) => row[0] > (was.at(-1)?.[0] || 0))]);
  }, []);
  const load = async () => {
    const first = await get("run", { id });
    seq.current = first.at;
    setRows(first.rows);
    setHead(first);
    const every = await get("rows", { id });
    seq.current = Math.max(seq.current, every.rows.length);
    setRows(every.rows);
    setWhole(true);
    flush();
  };
  useEffect(() => {
    document.title = `${harmless(id)} · graphengine inspector`;
    let stop = () => {};
    let gone = false;
    load().then(() => {
      if (gone) return;
      stop = follow(() => ({ id, after: seq.current }), {
        step: (row) => {
          seq.current = row[0];
          if (!pending.current.length) requestAnimationFrame(flush);
          pending.current.push(row);
        },
        stands: (found) => {
          flush();
          setError(null);
          setHead((was) => ({ ...was, ...found }));
        },
        reset: () => load().catch(setError),
        gone: () => setMissing("this run is no longer in the database"),
        trouble: (text) => setError({ message: text }),
        now: (found) => setDoing((was) => joined(was, found)),
        live: (is) => {
          setLive(is);
          setDoing(null);
        },
      });
    }, (problem) => (problem instanceof Refused && problem.status === 404 ? setMissing(problem.message) : setError(problem)));
    return () => {
      gone = true;
      stop();
    };
  }, [id]);

  const last = rows.at(-1)?.[0] || 0;
  const seen = selected || last;
  useEffect(() => {
    setThen(null);
    if (!selected || selected === head?.at) return;
    let stale = false;
    const timer = setTimeout(() => get("run", { id, at: selected }).then((found) => stale || setThen(found), setError), 60);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [selected]);
  const select = (number) => {
    setSelected(number);
    setTab((was) => (was === "cost" || was === "branches" ? "step" : was));
    go(runAddress(id, number), { replace: true });
  };
  const walk = (number) => {
    setSelected(number);
    go(runAddress(id, number), { replace: true });
  };
  const tags = head?.tags.join("\n") || "";
  const notes = useMemo(() => new Map(notesOf(tags.split("\n")).map((note) => [note.seq, note.text])), [tags]);
  const lit = useMemo(() => (whole ? countsOf(rows, seen) : null), [rows, seen, whole]);
  const choose = (spot, name) => {
    const visits = rows.filter((row) => row[12].includes(spot));
    const found = visits.filter((row) => row[0] < seen).at(-1) || visits.at(-1);
    if (found) select(found[0]);
    else setSearch(name);
  };
  useKeys({
    ArrowLeft: () => seen > 1 && select(seen - 1),
    ArrowRight: () => seen < last && select(seen + 1),
    " ": () => select(0),
    f: () => {
      const next = rows.find((row) => row[0] > (selected || 0) && ["failed", "retry"].includes(row[7]));
      select((next || rows.find((row) => ["failed", "retry"].includes(row[7])))?.[0] || selected);
    },
  });
  if (missing) return html`<main class="alone"><h1>${id}</h1><p role="alert">${missing}</p><${Link} to="/">to the list of runs</${Link}></main>`;
  if (!head) return html`<main class="alone">${error && html`<${Failure} error=${error} />`}</main>`;
  const shown = selected && then ? then : head;
  const drives = canDrive(session, head.graph) && !session.read_only;
  return html`<main class="run">
    <header class="bar">
      <${Link} to="/" class="back" aria-label="to the list of runs">‹ runs</${Link}>
      <h1><${Status} status=${head.shown} word=${false} /> ${id}</h1>
      <${Link} to=${`/graph?${query({ graph: head.graph })}`}>${head.graph}</${Link}>
      <span class="ends"><b class="is-${head.shown}">${head.shown}</b> ${reason(head)}</span>
      ${lost(head.losses) && html`<span class="losses">${lost(head.losses)}</span>`}
      <span class="soft">${seconds(head.took)}${cost(head.usage) && `, ${cost(head.usage)}`}${tokens(head.usage) && `, ${tokens(head.usage)} tokens`}, ${count(head.seq, "step")}, ${ago(head.updated_at, now)}</span>
      ${head.parent && html`<span>branch of <${Link} to=${runAddress(head.parent.run_id, head.parent.seq)}>${head.parent.run_id} at ${head.parent.seq}</${Link}></span>`}
      <span class="live ${live ? "on" : ""}" role="status">${live ? "● live" : "○ not connected"}</span>
    </header>
    ${error && html`<${Failure} error=${error} />`}
    ${head.waits.length > 0 && ["waiting", "running"].includes(head.shown) && html`<${Questions} id=${id} head=${head} session=${session} />`}
    <div class="columns">
      <div class="left">
        <${Picture} fingerprint=${head.fingerprint} lit=${lit} standings=${shown.standings} choose=${choose} />
        ${whole && html`<${Timeline} id=${id} steps=${rows.length} selected=${seen} select=${select} />`}
        <${Steps} rows=${rows} whole=${whole} total=${head.seq} selected=${selected} select=${select} search=${search} setSearch=${setSearch} id=${id} notes=${notes} />
      </div>
      <section class="panel" aria-label="Details">
        <${Now} now=${doing} head=${head} time=${now} />
        <div class="tabs" role="tablist" aria-label="What to show">
          ${TABS.map((name) => html`<button role="tab" aria-selected=${tab === name} onClick=${() => setTab(name)}>${name === "step" ? `step ${seen}` : name}</button>`)}
        </div>
        ${tab === "step" && seen > 0 && html`<${Panel} id=${id} seq=${seen} select=${select} key=${id} tags=${head.tags} session=${session} drives=${drives} />`}
        ${tab === "state" && html`<${State} id=${id} at=${seen} />`}
        ${tab === "scores" && html`<${Scores} id=${id} steps=${head.seq} selected=${seen} select=${walk} />`}
        ${tab === "cost" && html`<${Spending} id=${id} seq=${head.seq} />`}
        ${tab === "branches" && html`<${Branches} id=${id} />`}
        ${tab === "raw" && html`<${Raw} id=${id} seq=${seen} head=${shown} />`}
        <${Acts} id=${id} head=${head} at=${seen} session=${session} branch=${() => setBranching(seen)} />
      </section>
    </div>
    ${branching > 0 && html`<${Branch} id=${id} at=${branching} close=${() => setBranching(0)} />`}
  </main>`;
}

function reason(head) {
  if (head.shown === "failed" && head.error) return brief(`at ${head.error.path || "the run"}: ${head.error.code}: ${head.error.message}`);
  if (head.shown === "interrupted") return "its process died; a worker or `resume` continues it";
  if (head.shown === "queued") return "a worker of its queue takes it";
  const text = head.ending?.label || head.ending?.why || "";
  return text === "otherwise" ? "" : brief(text);
}

function State({ id, at }) {
  const [found, error] = useDocument("state", { id, at });
  if (error) return html`<${Failure} error=${error} />`;
  if (!found) return null;
  const table = (values) => html`<dl class="fields">${Object.entries(values).map(([name, value]) => html`<dt>${name}</dt><dd><${Value} value=${value} /></dd>`)}</dl>`;
  return html`<h2>State after step ${at}</h2>${table(found.state)}
    ${Object.entries(found.inside).map(([frame, values]) => html`<h3>in <code>${frame}</code></h3>${table(values)}`)}`;
}

function Raw({ id, seq, head }) {
  const [found] = useDocument("step", { id, seq });
  const { rows, standings, commands, ...rest } = head;
  return html`<h2>Step ${seq}</h2><pre tabindex="0">${JSON.stringify(found?.step ?? null, null, 2)}</pre><h2>Run</h2><pre tabindex="0">${JSON.stringify(rest, null, 2)}</pre>`;
}
