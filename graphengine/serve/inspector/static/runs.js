// The list of runs.

import { html, useState, useEffect, useMemo, useRef } from "./html.js";
import { follow, get, query } from "./api.js";
import { Failure, Link, List, Status, go, runAddress, useKeys, useNow } from "./parts.js";
import { STATUSES, ago, cost, dollars, lost, seconds, tokens, when } from "./words.js";

const PAGE = 200;
const HEIGHT = 52;
const COUNT_AGAIN = 2000;

/** The filters of the address, and the words of the search: `tag:x graph:y cost>0.1 after:2026-01-31 text`. */
function wanted(filters) {
  const { status, graph, tag, text, begun_after, begun_before, cost_above } = filters;
  return { status, graph, tag, text, begun_after, begun_before, cost_above };
}

function searchText({ text, tag, graph, cost_above, begun_after, begun_before }) {
  const times = Object.entries({ after: begun_after, before: begun_before }).filter(([, at]) => Number(at));
  return [...times.map(([name, at]) => `${name}:${new Date(at * 1000).toISOString()}`), tag && `tag:${tag}`, graph && `graph:${graph}`, cost_above && `cost>${cost_above}`, text].filter(Boolean).join(" ");
}

function searched(words) {
  const found = { text: "", tag: "", graph: "", cost_above: "", begun_after: "", begun_before: "" };
  for (const word of words.split(/\s+/)) {
    const [, name, value] = /^(tag:|graph:|cost>|after:|before:)(.*)$/.exec(word) || [];
    if (name === "after:" || name === "before:") found[`begun_${name.slice(0, -1)}`] = Date.parse(value) / 1000 || "";
    else if (name) found[{ "tag:": "tag", "graph:": "graph", "cost>": "cost_above" }[name]] = value;
    else found.text = word || found.text;
  }
  return found;
}

/** The runs in order, each branch below its parent if that is loaded too; `open` are the parents that show theirs. */
function arranged(runs, closed) {
  const known = new Set(runs.map((run) => run.run_id));
  const below = new Map();
  for (const run of runs) {
    const parent = run.parent && known.has(run.parent.run_id) ? run.parent.run_id : null;
    below.set(parent, [...(below.get(parent) || []), run]);
  }
  const found = [];
  const add = (run, depth) => {
    const children = below.get(run.run_id) || [];
    found.push({ run, depth, branches: children.length, closed: closed.has(run.run_id) });
    if (!closed.has(run.run_id)) children.forEach((child) => add(child, depth + 1));
  };
  (below.get(null) || []).forEach((run) => add(run, 0));
  return found;
}

export function Runs({ filters, session }) {
  const [runs, setRuns] = useState([]);
  const [next, setNext] = useState(null);
  const [lines, setLines] = useState({});
  const [overview, setOverview] = useState(null);
  const [error, setError] = useState(null);
  const [live, setLive] = useState(false);
  const [ticked, setTicked] = useState([]);
  const [closed, setClosed] = useState(new Set());
  const [selected, setSelected] = useState(null);
  const [search, setSearch] = useState(searchText(filters));
  const field = useRef(null);
  const busy = useRef(false);
  const counted = useRef(0);
  const later = useRef(null);
  const visible = useRef([]);
  const now = useNow();
  const key = query(wanted(filters));

  const loadLines = async (ids) => {
    if (ids.length) {
      const found = await get("lines", { id: ids });
      setLines((was) => ({ ...was, ...found }));
    }
  };
  const latest = useRef(null);
  latest.current = wanted(filters);
  const refresh = async () => {
    if (busy.current) return;
    busy.current = true;
    const mine = latest.current;
    const isStale = () => query(mine) !== query(latest.current);
    try {
      // Counting reads an index of all runs, so not for each of many changes a second.
      const old = Date.now() - counted.current > COUNT_AGAIN;
      if (old) counted.current = Date.now();
      const [page, counts] = await Promise.all([get("runs", { ...mine, limit: PAGE }), old && get("overview", mine)]);
      if (isStale()) return;
      setError(null);
      if (counts) setOverview(counts);
      else if (!later.current) later.current = setTimeout(() => ((later.current = null), refresh()), COUNT_AGAIN);
      setRuns((was) => {
        const fresh = new Set(page.runs.map((run) => run.run_id));
        const last = page.runs.at(-1);
        const older = page.next && last ? was.filter((run) => !fresh.has(run.run_id) && run.created_at <= last.created_at) : [];
        if (!older.length) setNext(page.next);
        return [...page.runs, ...older];
      });
      await loadLines(visible.current);
    } catch (problem) {
      if (!isStale()) setError(problem);
    } finally {
      busy.current = false;
      if (isStale()) {
        counted.current = 0;
        refresh();
      }
    }
  };
  const asked = useRef(key);
  useEffect(() => {
    setRuns([]);
    if (asked.current !== key) setSearch(searchText(filters)); // not at first: it would undo what is typed meanwhile
    asked.current = key;
    document.title = "runs · graphengine inspector";
    counted.current = 0;
    refresh();
    const stop = follow(() => ({}), { changed: refresh, live: setLive, trouble: (text) => setError({ message: text }) });
    return () => {
      stop();
      clearTimeout(later.current);
      later.current = null;
    };
  }, [key]);

  const more = async () => {
    if (!next || busy.current) return;
    busy.current = true;
    try {
      const page = await get("runs", { ...wanted(filters), limit: PAGE, before: next });
      if (query(latest.current) !== key) return;
      setRuns((was) => [...was, ...page.runs]);
      setNext(page.next);
    } catch (problem) {
      setError(problem);
    } finally {
      busy.current = false;
    }
  };
  const shown = useMemo(() => arranged(runs, closed), [runs, closed]);
  const index = shown.findIndex(({ run }) => run.run_id === selected);
  const move = (step) => shown.length && setSelected(shown[Math.min(Math.max(index + step, 0), shown.length - 1)].run.run_id);
  const tick = (id) => setTicked((was) => (was.includes(id) ? was.filter((each) => each !== id) : [...was, id].slice(-2)));
  const compare = () => ticked.length === 2 && go(`/compare?${query({ a: ticked[0], b: ticked[1] })}`);
  const change = (more) => go(`/?${query({ ...wanted(filters), ...more })}`);
  const down = () => move(1);
  const up = () => move(-1);
  useKeys({
    j: down, ArrowDown: down, k: up, ArrowUp: up, c: compare,
    Enter: () => selected && go(runAddress(selected)),
    x: () => selected && tick(selected),
    "/": () => field.current.focus(),
  });
  const seen = (first, last) => {
    const ids = shown.slice(first, last).map(({ run }) => run.run_id);
    visible.current = ids;
    loadLines(ids.filter((id) => !lines[id])).catch(setError);
  };
  const total = overview ? Object.values(overview.statuses).reduce((sum, each) => sum + each, 0) : 0;
  const tab = (name, number, label) => html`<button role="tab" aria-selected=${(filters.status || "") === name} onClick=${() => change({ status: name })}>${label} <b>${number.toLocaleString("en")}</b></button>`;
  return html`<main class="runs">
    <header class="bar">
      <h1>Runs</h1><span class="soft path">${session.database}</span>
      <${Link} to="/graphs">graphs</${Link}>
      ${session.read_only && html`<span class="tag">read-only</span>`}
      <span class="live ${live ? "on" : ""}" role="status">${live ? "● live" : "○ not connected"}</span>
    </header>
    <div class="bar">
      <div class="tabs" role="tablist" aria-label="Status">
        ${tab("", total, "all")}
        ${Object.keys(STATUSES).map((name) => tab(name, overview?.statuses[name] || 0, html`<${Status} status=${name} />`))}
      </div>
      <form class="search" onSubmit=${(event) => (event.preventDefault(), field.current.blur(), change(searched(search)))}>
        <input ref=${field} type="search" aria-label="Search" placeholder="part of an id, tag:x, graph:y, cost>0.1, after:2026-01-31" value=${search} onInput=${(event) => setSearch(event.target.value)} />
        <select aria-label="Graph" value=${filters.graph || ""} onChange=${(event) => change({ graph: event.target.value })}>
          <option value="">every graph</option>
          ${Object.entries(overview?.graphs || {}).sort().map(([name, number]) => html`<option value=${name}>${name} (${number})</option>`)}
        </select>
        ${filters.graph && html`<${Link} to=${`/graph?${query({ graph: filters.graph })}`}>picture</${Link}>`}
      </form>
    </div>
    ${overview && html`<${Histogram} overview=${overview} filters=${filters} change=${change} />`}
    ${error && html`<${Failure} error=${error} />`}
    <div class="bar slim">
      <button disabled=${ticked.length !== 2} onClick=${compare}>Compare${ticked.length ? ` (${ticked.length} of 2)` : ""}</button>
      ${ticked.length > 0 && html`<button class="small" onClick=${() => setTicked([])}>untick</button>`}
      <span class="soft">${runs.length < total && !filters.status ? `the newest ${runs.length.toLocaleString("en")} of ${total.toLocaleString("en")}; scroll for more` : ""} <kbd>?</kbd> keys</span>
    </div>
    <div class="row heading" aria-hidden="true"><span></span><span>run</span><span>graph</span><span>status, and why</span><span>took</span><span>cost</span><span>tokens</span><span>last step</span></div>
    ${!shown.length && overview && html`<p class="soft">${next ? "Older runs are searched…" : total ? "No run fits these filters." : "No runs yet: `graphengine run GRAPH` starts one."}</p>`}
    <${List} rows=${shown} height=${HEIGHT} label="Runs" role="list" show=${index} seen=${seen} near=${more} row=${(each) => html`<${Line}
      key=${each.run.run_id} ...${each} line=${lines[each.run.run_id]} now=${now} selected=${each.run.run_id === selected}
      ticked=${ticked.includes(each.run.run_id)} tick=${tick} fold=${(id) => setClosed((was) => {
        const made = new Set(was);
        made.has(id) ? made.delete(id) : made.add(id);
        return made;
      })} />`} />
  </main>`;
}

function Line({ run, depth, branches, closed, line, now, selected, ticked, tick, fold }) {
  const id = run.run_id;
  const status = line?.shown || run.shown;
  const summary = line ? line.summary : run.summary;
  const spent = line && !summary ? { took: line.took, cost: cost(line.usage), tokens: tokens(line.usage) } : spentOf(summary);
  return html`<div class="row ${selected ? "selected" : ""}" role="listitem" aria-current=${selected} data-run=${id} onClick=${() => go(runAddress(id))}>
    <span onClick=${(event) => event.stopPropagation()}><input type="checkbox" aria-label=${`tick ${id}`} checked=${ticked} onChange=${() => tick(id)} /></span>
    <span class="name" style=${{ paddingLeft: `${Math.min(depth, 6) * 1.2}em` }}>
      ${branches > 0 && html`<button class="fold" aria-expanded=${!closed} aria-label=${`${branches} branches`} onClick=${(event) => (event.stopPropagation(), fold(id))}>${closed ? "▸" : "▾"}</button>`}
      <${Status} status=${status} word=${false} /> <${Link} to=${runAddress(id)}>${id}</${Link}>
      <small>${run.parent && !depth ? `branch of ${run.parent.run_id} at ${run.parent.seq} ` : depth ? `at step ${run.parent.seq} ` : ""}${run.tags.map((tag) => html`<span class="tag">${tag}</span>`)}</small>
    </span>
    <span class="graph">${run.graph}</span>
    <span class="why">${summary ? html`<${Reason} summary=${summary} status=${status} />` : line ? html`<${Why} line=${line} status=${status} />` : html`<${Status} status=${status} />`}</span>
    <span class="number">${seconds(spent.took)}</span>
    <span class="number">${spent.cost}</span>
    <span class="number">${spent.tokens}</span>
    <span class="number" title=${when(line?.updated_at || run.updated_at)}>${ago(line?.updated_at || run.updated_at, now)}</span>
  </div>`;
}

/** What the summary of a run has of its cost; models that cost nothing have no price to show. */
function spentOf(summary) {
  if (!summary) return { took: null, cost: "", tokens: "" };
  const price = summary.cost_usd === null ? "unknown USD" : summary.cost_usd ? `${dollars(summary.cost_usd)} USD` : "";
  return { took: summary.seconds, cost: price, tokens: tokens({ input_tokens: summary.tokens }) };
}

/** Why a run ended or what it waits for, from its summary. */
function Reason({ summary, status }) {
  const { reason, kind, waits } = summary;
  const losses = lost(summary.losses) && html` <small class="losses">${lost(summary.losses)}</small>`;
  if (status === "waiting") {
    const word = kind === "ask" ? "asks" : "waits";
    return html`<b class="is-waiting">${word}</b> ${reason}${waits > 1 ? ` (and ${waits - 1} more)` : ""}${losses}`;
  }
  const place = status === "failed" ? "at " : "";
  return html`<b class="is-${status}">${status}</b> ${reason !== "otherwise" && reason ? place + reason : ""}${losses}`;
}

function Why({ line, status }) {
  if (status === "failed" && line.error) return html`<b class="is-failed">failed</b> at ${line.error.path || "the run"}: ${line.error.message}`;
  if (status === "waiting" && line.waits.length) {
    const [first, ...others] = line.waits;
    return html`<b class="is-waiting">${first.kind === "ask" ? "asks" : "waits"}</b> ${first.question || first.name}${others.length ? ` (and ${others.length} more)` : ""}`;
  }
  if (status === "running" || status === "interrupted") return html`<b class="is-${status}">${status}</b> at ${line.at.join(", ") || "its start"}, ${line.visits} visits`;
  return html`<b class="is-${status}">${status}</b> ${line.why && line.why !== "otherwise" ? line.why : ""}`;
}

/** How many runs began when, by outcome; a drag over bars, or two clicks, selects a time. */
function Histogram({ overview, filters, change }) {
  const [from, setFrom] = useState(null);
  const { bars, width } = overview;
  if (bars.length < 2 && !filters.begun_after) return null;
  const first = bars[0]?.[0] ?? 0;
  const columns = Math.max(24, bars.length ? Math.round((bars.at(-1)[0] - first) / width) + 1 : 1);
  const most = Math.max(1, ...bars.map(([, each]) => Object.values(each).reduce((sum, one) => sum + one, 0)));
  const place = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    return first + Math.floor(((event.clientX - box.left) / box.width) * columns) * width;
  };
  const select = (event) => {
    const end = place(event);
    if (from !== null) change({ begun_after: Math.min(from, end), begun_before: Math.max(from, end) + width });
    setFrom(null);
  };
  return html`<div class="histogram">
    <svg role="img" aria-label="When runs began, by outcome" viewBox=${`0 0 ${columns * 10} 40`} preserveAspectRatio="none"
      onPointerDown=${(event) => setFrom(place(event))} onPointerUp=${select}>
      ${bars.map(([since, each]) => {
        let top = 40;
        return Object.entries(each).sort().map(([status, number]) => {
          const height = (number / most) * 38;
          top -= height;
          return html`<rect class=${`fill-${status}`} x=${((since - first) / width) * 10 + 1} y=${top} width="8" height=${height}><title>${`${number} ${status}, ${when(since)}`}</title></rect>`;
        });
      })}
    </svg>
    <div class="soft ends"><span>${bars.length ? when(first) : ""}</span>
      ${filters.begun_after ? html`<button class="small" onClick=${() => change({ begun_after: "", begun_before: "" })}>every time</button>` : html`<span>drag to select a time</span>`}
      <span>${bars.length ? when(first + columns * width) : ""}</span></div>
  </div>`;
}
