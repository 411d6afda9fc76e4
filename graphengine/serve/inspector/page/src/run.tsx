// One run: its graph, its trace, and what is selected: the run, a step, the state, scores, cost, branches.

import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { Refused, follow, get, query } from "./api";
import { Standings, isNote, notesOf } from "./acts";
import { nested, useBelow } from "./below";
import { Branch } from "./branch";
import { Scores } from "./chart";
import { MapView } from "./map_view";
import { Branches, Outcome, Spending, State, isChatOf } from "./outcome";
import { Chip, Copy, Corner, Divider, Failure, Icon, Link, Live, type Problem, Sign, Tabs } from "./parts";
import { canDrive, go, runAddress, useDocument, useKeys, useNow, useWas, widthOf } from "./parts";
import { harmless } from "./safe";
import { Scrubbed } from "./scrub";
import { StepView } from "./step";
import { type Line, type Row, linesOf, whole as wholeRow } from "./trace";
import { type Shown, Trace } from "./trace_view";
import type { AsIf, AtWork, CountsBelow, Doing, Head, Row as Sent, Run as Found, Session } from "./types";
import { ago, brief, cost, dollars, failedBelow, isLossy, lost, seconds, titleOf, tokens } from "./words";
import { WhyNotView } from "./why_not";

const LONGEST_PAUSE = 1000; // milliseconds
const NODES = 3; // that are named of those at work
const TABS = ["run", "step", "state", "scores", "cost"];

/** What the address says of a run: `at` is the selected step, `tab` and `sub` what is shown of it. */
export interface Place {
  at: number;
  tab: string;
  sub: string;
  only: string;
  find: string;
  pane: string;
  branch: string;
  /** The field that is followed below the graph. */
  field: string;
  /** The edges that are asked about, by their numbers, with commas between. */
  edge: string;
}

export function placeOf(parameters: Record<string, string>): Place {
  const { at, tab, sub, only, find, pane, branch, field, edge } = parameters;
  const step = Number(at) || 0;
  return {
    at: step,
    tab: tab || (step ? "step" : "run"),
    sub: sub || "",
    only: only || "",
    find: find || "",
    pane: pane || "detail",
    branch: branch || "",
    field: field || "",
    edge: edge || "",
  };
}

/** Join what came with what is known: each text comes once, in pieces. */
function joined(was: Doing | null, came: Doing): Doing {
  const texts = came.texts.map((each) => {
    const old = was?.texts.find((one) => one.number === each.number);
    const text = old && old.at + old.text.length === each.at ? old.text + each.text : each.text;
    return { ...each, text, at: old && text !== each.text ? old.at : each.at };
  });
  return { ...came, texts };
}

/** A run as it is now, read once and then followed. */
function useRun(id: string) {
  const [head, setHead] = useState<Found | null>(null);
  const [rows, setRows] = useState<Row[]>([]);
  const [read, setRead] = useState(false);
  const [error, setError] = useState<Problem | null>(null);
  const [live, setLive] = useState(false);
  const [missing, setMissing] = useState<string | null>(null);
  const [doing, setDoing] = useState<Doing | null>(null);
  const seq = useRef(0);
  const pending = useRef<Row[]>([]);
  const standing = useRef<Head | null>(null);
  const isDue = useRef(false);
  const began = useRef(0);
  const pause = useRef(0);
  const flush = useCallback(() => {
    began.current = performance.now();
    const fresh = pending.current;
    pending.current = [];
    isDue.current = false;
    if (fresh.length) setRows((was) => [...was, ...fresh.filter((row) => row.seq > (was.at(-1)?.seq || 0))]);
    const found = standing.current;
    standing.current = null;
    if (found) setHead((was) => ({ ...was!, ...found }));
  }, []);
  const plan = () => {
    if (!isDue.current) setTimeout(() => requestAnimationFrame(flush), pause.current);
    isDue.current = true;
  };
  // A long run takes longer to draw, and then waits longer for the next steps: they take a fifth of the time at most.
  useLayoutEffect(() => {
    const since = began.current;
    began.current = 0; // the time is taken once this is also laid out and painted
    if (since) setTimeout(() => (pause.current = Math.min(LONGEST_PAUSE, 4 * (performance.now() - since))));
  }, [rows]);
  const load = async () => {
    const first = await get("run", { run_id: id });
    seq.current = first.at;
    setRows(first.rows.map(wholeRow));
    setHead(first);
    if (first.rows.length < first.at) {
      const newest = await get("rows", { run_id: id });
      seq.current = Math.max(seq.current, newest.at(-1)!.account.seq);
      setRows(newest.map(wholeRow));
    }
    setRead(true);
    flush();
  };
  const earlier = async () => {
    const found = await get("rows", { run_id: id, before: rows[0]!.seq });
    const isNext = (was: Row[]) => found.at(-1)?.account.seq === was[0]!.seq - 1; // the run may be another one by now
    setRows((was) => (isNext(was) ? [...found.map(wholeRow), ...was] : was));
  };
  useEffect(() => {
    let stop = () => {};
    let gone = false;
    load().then(
      () => {
        if (gone) return;
        stop = follow(() => ({ run_id: id, after: seq.current }), {
          step: (row: Sent) => {
            seq.current = row.account.seq;
            pending.current.push(wholeRow(row));
            plan();
          },
          stands: (found: Head) => {
            setError(null);
            standing.current = found; // each step has one: drawn with it, not before its turn
            plan();
          },
          reset: () => {
            pending.current = []; // they can be of an earlier run with this id
            load().catch(setError);
          },
          gone: () => setMissing("this run is no longer in the database"),
          trouble: (text: string) => setError({ message: text }),
          now: (found: Doing) => setDoing((was) => joined(was, found)),
          live: (is: boolean) => {
            setLive(is);
            setDoing(null);
          },
        });
      },
      (problem) => {
        if (problem instanceof Refused && problem.status === 404) setMissing(problem.message);
        else setError(problem);
      },
    );
    return () => {
      gone = true;
      stop();
    };
  }, [id]);
  return { head, rows, read, earlier, error, live, missing, doing };
}

/** The line that has a step: the visit of a call, and the line itself. */
function lineOf(lines: Line[], seq: number): { line?: Line; map?: Line; item: number | null } {
  let found: { line?: Line; map?: Line; item: number | null } = { item: null };
  const walk = (level: Line[], map: Line | undefined): boolean =>
    level.some((line) => {
      const isHere = line.kind !== "call" && line.kind !== "loop" && line.rows.some((row) => row.seq === seq);
      if (isHere) {
        const index = /\[(\d+)\]$/.exec(line.name);
        const own = line.kind === "map" ? line : index ? map : undefined;
        found = { line, item: index && own ? Number(index[1]) : null, ...(own ? { map: own } : {}) };
        return true;
      }
      return walk(line.below, line.kind === "map" ? line : map);
    });
  walk(lines, undefined);
  return found;
}

export function Run({ id, parameters, session }: { id: string; parameters: Record<string, string>; session: Session }) {
  const { head, rows, read, earlier, error, live, missing, doing } = useRun(id);
  const place = placeOf(parameters);
  const now = useNow(head?.shown === "running" ? 1 : 5);
  const to = (more: Partial<Place>, replace = true) => {
    const next = { ...place, ...more };
    const { at, tab, sub, only, find, pane, branch, field, edge } = next;
    const plain = tab === (at ? "step" : "run") ? "" : tab;
    const shown = { tab: plain, sub, only, find, pane: pane === "detail" ? "" : pane, branch, field, edge };
    const parts = { id, at: at || "", ...shown };
    go(`/run?${query(parts)}`, { replace });
  };
  const last = rows.at(-1)?.seq || 0;
  const seen = Math.min(place.at, last) || last;
  useEffect(() => {
    document.title = `${harmless(titleOf(head?.title || "", id))} · graphengine inspector`;
  }, [id, head?.title]);
  const select = (seq: number) => {
    const keeps = ["state", "scores"].includes(place.tab);
    to({ at: seq, tab: !seq ? "run" : keeps ? place.tab : "step", pane: "detail" });
  };
  const tags = head?.tags.join("\n") || "";
  const notes = useMemo(() => new Map(notesOf(tags.split("\n")).map((note) => [note.seq, note.text])), [tags]);
  const isChat = head !== null && isChatOf(head, rows);
  const lines = useMemo(() => linesOf(rows, isChat), [rows, isChat]);
  const here = useMemo(() => lineOf(lines, seen), [lines, seen]);
  const below = useBelow(id, rows);
  const tree = useMemo(() => nested(lines, below), [lines, below]);
  const choose = (spot: number, name: string) => {
    const visits = rows.filter((row) => row.spots.includes(spot));
    const found = visits.filter((row) => row.seq < seen).at(-1) || visits.at(-1);
    if (found) select(found.seq);
    else to({ find: name, pane: "trace" });
  };
  const tab = (name: string) => to({ tab: name, at: name === "step" && !place.at ? seen : place.at, pane: "detail" });
  const drives = Boolean(head && canDrive(session, head.graph) && !session.read_only);
  const from = here.line && here.line.kind !== "event" ? Math.max(1, here.line.rows[0]!.seq - 1) : seen;
  // Nothing is left to run where a run finished: the step before it is the last one that can be branched.
  const most = Math.max(1, (head?.seq || 1) - Number(head?.status === "finished"));
  const [asIf, setAsIf] = useState<AsIf | null>(null);
  const branch = () => drives && to({ branch: `${Math.min(place.at ? from : seen, most)}` });
  const relation = head?.parent ? `/compare?${query({ a: head.parent.run_id, b: id })}` : "";
  useKeys({
    " ": () => select(0),
    b: branch,
    c: () => relation && go(relation),
    ...Object.fromEntries(TABS.map((name, index) => [`${index + 1}`, () => tab(name)])),
  });
  if (missing) {
    return (
      <main class="alone">
        <h1>{id}</h1>
        <p role="alert">{missing}</p>
        <Link to="/">to the list of runs</Link>
      </main>
    );
  }
  if (!head)
    return (
      <main class="run page" aria-busy={!error}>
        <header class="top">
          <Link to="/" class="back">
            ‹ runs
          </Link>
          <h1>{id}</h1>
        </header>
        {error && <Failure error={error} />}
      </main>
    );
  const isLive = head.shown === "running";
  const title = titleOf(head.title, id);
  const node =
    here.line && here.line.kind !== "event"
      ? `${here.line.name}${here.line.visit > 1 ? ` ${here.line.visit}` : ""}`
      : rows.find((row) => row.seq === seen)?.kind === "started"
        ? "input"
        : rows.find((row) => row.seq === seen)?.kind;
  const picture = (
    <Scrubbed
      {...{ head, rows, read, choose }}
      at={seen}
      field={place.field}
      isChosen={place.at > 0}
      ask={(edges) => to({ edge: edges.join(","), tab: "why", pane: "detail" })}
      stop={(seq) => to({ at: seq === last && isLive ? 0 : seq, tab: place.tab })}
      follow={(field) => to({ field })}
      chosen={place.at ? here.line?.rows[0]?.path.replace(/\[\d+\]/g, "") || "" : ""}
    />
  );
  const names: [string, ComponentChildren, string?][] = [
    ["run", "Run"],
    ["step", place.at && node ? node : "Step"],
    ["state", "State"],
    ["scores", "Scores"],
    ["cost", "Cost"],
    ["branches", "Branches"],
    ["graph", "Graph", "narrow"],
  ];
  if (place.edge) names.splice(2, 0, ["why", "Why not?"]);
  return (
    <main class="run page">
      <header class="top">
        <Link to={`/${sessionStorage.list || ""}`} class="back" aria-label="to the list of runs">
          ‹ runs
        </Link>
        <Above runs={head.above} kind="hide" />
        <h1 title={title}>{title}</h1>
        {title !== id && <span class="id">{id}</span>}
        <span class="hide">
          <Copy text={id}>
            <Icon name="copy" />
            <span class="spoken">copy the id</span>
          </Copy>
        </span>
        <Link to={`/graph?${query({ graph: head.graph })}`} class="hide">
          {head.graph}
        </Link>
        <Link
          to={`/?${query({ graph: head.graph, text: `version:"${head.version}"` })}`}
          class="hide version"
          title="the version that it began with"
        >
          {head.version}
        </Link>
        {head.tags
          .filter((each) => !isNote(each))
          .map((each) => (
            <Chip key={each}>{each}</Chip>
          ))}
        <span class="grow" />
        {drives && (
          <button class="btn hide" onClick={() => to({ branch: `${Math.min(seen, most)}` })}>
            Branch at step {Math.min(seen, most)}
          </button>
        )}
        <Live on={live} />
        <Corner />
      </header>
      <Strip
        {...{ head, now, lines, session, select, relation }}
        below={below.counts.get(id)!}
        wrong={() => tab("run")}
        only={() => to({ only: "problems", pane: "trace" })}
      />
      {error && <Failure error={error} />}
      {doing?.trouble && <Failure error={doing.trouble as Problem} />}
      <div class="cols" data-pane={place.pane} style={{ "--g": widthOf("g"), "--t": widthOf("t") }}>
        <section class="g">
          {picture}
          <Divider name="g" label="width of the graph" />
        </section>
        <section class="t">
          <Trace
            {...{ id, lines: tree, rows, read, earlier, select, notes, now, isLive, below, took: head.took }}
            total={head.seq}
            selected={seen}
            shown={{ only: place.only, search: place.find }}
            show={(next: Partial<Shown>) => to({ only: next.only ?? place.only, find: next.search ?? place.find })}
          />
          <Divider name="t" label="width of the trace" />
        </section>
        <section class="d panel" aria-label="Details">
          <Tabs names={names} now={place.tab} choose={tab} label="What to show" />
          <div class="body" role="tabpanel" aria-label={place.tab}>
            {place.tab === "run" && (
              <Outcome {...{ id, head, rows, session, select, doing, now, below }} tab={tab} />
            )}
            {place.tab === "step" && seen > 0 && here.map && (
              <>
                <div class="title">
                  <h2>{here.map.name}</h2>
                  {drives && (
                    <button class="btn right" onClick={branch}>
                      Run from here… <kbd>b</kbd>
                    </button>
                  )}
                </div>
                <MapView {...{ id, select, now, isLive }} line={here.map} item={here.item} key={here.map.key} />
              </>
            )}
            {place.tab === "step" && seen > 0 && (
              <StepView
                key={id}
                {...{ id, select, session, doing, drives }}
                seq={seen}
                tags={head.tags}
                line={here.line}
                sub={place.sub}
                choose={(sub) => to({ sub })}
                {...(drives && !here.map ? { branch } : {})}
              />
            )}
            {place.tab === "state" && <State id={id} at={seen} />}
            {place.tab === "scores" && (
              <>
                <h2>Scores</h2>
                <Scores id={id} steps={head.seq} selected={seen} select={(seq) => to({ at: seq, tab: "scores" })} />
              </>
            )}
            {place.tab === "cost" && (
              <>
                <h2>
                  Cost: {cost(head.usage) || "no model asked"}
                  {tokens(head.usage) && `, ${tokens(head.usage)} tokens`}
                </h2>
                <Spending id={id} seq={head.seq} />
              </>
            )}
            {place.tab === "why" && place.edge && (
              <WhyNotView
                {...{ id, select }}
                at={seen}
                edges={place.edge}
                {...(drives && {
                  branch: (wanted: AsIf) => {
                    setAsIf(wanted);
                    to({ branch: `${wanted.at}` });
                  },
                })}
              />
            )}
            {place.tab === "branches" && <Branches id={id} />}
            {place.tab === "graph" && picture}
          </div>
        </section>
      </div>
      <nav class="phone" aria-label="Panes">
        {[
          ["detail", "Detail"],
          ["trace", "Trace"],
          ["graph", "Graph"],
        ].map(([name, words]) => (
          <button key={name} aria-pressed={place.pane === name} onClick={() => to({ pane: name! })}>
            {words}
          </button>
        ))}
      </nav>
      {place.branch && drives && (
        <Branch
          id={id}
          at={Number(place.branch)}
          seq={seen}
          rows={rows}
          command={head.commands.branch || ""}
          {...(asIf?.at === Number(place.branch) && { begun: asIf })}
          close={() => {
            setAsIf(null);
            to({ branch: "" });
          }}
        />
      )}
    </main>
  );
}

/** What a running run is doing: its nodes and since when, the age of its last step, and its process. */
function doing({ nodes, more, last_step, process }: AtWork, now: number): string {
  const named = nodes.slice(0, NODES).map(({ path, due, since }) => {
    return `at ${path} ${due ? `in ${seconds(due - now)}` : `for ${seconds(now - since)}`}`;
  });
  const others = nodes.length - named.length + more;
  if (others) named.push(`and ${others} more`);
  named.push(`last step ${last_step.seq}, ${ago(last_step.at, now)}`);
  if (process) named.push(`process ${process.pid} on ${process.host}`);
  return named.join("; ");
}

/** How the run stands, why, what it lost, and what it took. */
function Strip({
  head,
  now,
  lines,
  session,
  relation,
  only,
  below,
  wrong,
}: {
  head: Found;
  now: number;
  lines: Line[];
  session: Session;
  select: (seq: number) => void;
  relation: string;
  only: () => void;
  below: CountsBelow;
  wrong: () => void;
}) {
  const losses = lost(head.losses);
  const newest = head.branches[0];
  const was = useWas();
  const isLossyEnd = head.shown === "finished" && isLossy(head.losses);
  const tone = { finished: isLossyEnd ? "bad" : "ok", failed: "bad", waiting: "wait", running: "run", queued: "run" }[
    head.shown
  ];
  const map = head.shown === "running" ? openMap(lines) : null;
  return (
    <div class="outcome">
      <Chip tone={tone || "warn"}>
        <Sign status={isLossyEnd ? "losses" : head.shown} />
        <span class="ends">{isLossyEnd ? "finished with losses" : was(head.shown)}</span>
      </Chip>
      <span class="because">
        {reason(head)}
        {map && (
          <b>
            {" "}
            {map.name}: {[...map.cells.values()].filter((each) => each.how !== "running").length} of {map.count}
            {leftOf(map, now)}
          </b>
        )}
      </span>
      {losses && (
        <Chip tone={isLossy(head.losses) ? "bad" : "warn"} onClick={only}>
          <Sign status="losses" /> {losses}
        </Chip>
      )}
      {below.failed > 0 && (
        <Chip tone="bad" onClick={wrong}>
          <Sign status="failed" /> {failedBelow(below)}
        </Chip>
      )}
      {head.parent && (
        <span>
          branch of{" "}
          <Link to={runAddress(head.parent.run_id, head.parent.seq)}>
            {head.parent.run_id} at {head.parent.seq}
          </Link>{" "}
          · <Link to={relation}>compare</Link>
        </span>
      )}
      {head.at_work && <span>{doing(head.at_work, now)}</span>}
      {newest && (
        <span>
          newest branch <Link to={runAddress(newest.run_id)}>{newest.run_id}</Link> {newest.status}: {newest.reason}
          {newest.changes.map((each) => ` · ${each.path}: ${brief(each.after)}`)}
          {" · "}
          <Link to={`/run?${query({ id: head.run_id, tab: "branches" })}`}>all {head.branches.length}</Link>
        </span>
      )}
      {head.starter && !head.above.length && <span>started by {head.starter}, which was removed</span>}
      <Above runs={head.above} kind="narrow" />
      <Standings head={head} session={session} />
      <span class="facts">
        <span>
          <b>{seconds(head.shown === "running" ? Math.max(head.took, now - head.began) : head.took)}</b>
        </span>
        {cost(head.usage) && (
          <span title="of its own steps">
            <b>{ownCost(head)}</b>
            {cost(head.inherited) && <small class="soft"> + {cost(head.inherited)} shared</small>}
          </span>
        )}
        {below.runs > 0 && <ChildrenCost id={head.run_id} seq={head.seq} />}
        {tokens(head.usage) && (
          <span>
            <b>{tokens(head.usage)}</b> tokens
          </span>
        )}
        {head.usage.calls > 0 && (
          <span>
            <b>{head.usage.calls}</b> {head.usage.calls === 1 ? "call" : "calls"}
          </span>
        )}
        <span>
          <b>{head.seq.toLocaleString()}</b> {head.seq === 1 ? "step" : "steps"}
        </span>
        <span title={new Date(head.updated_at * 1000).toLocaleString()}>{ago(head.updated_at, now)}</span>
      </span>
    </div>
  );
}

/** What a run's own steps cost, without what it shares with its parent. */
function ownCost({ usage, inherited }: Head): string {
  const [all, shared] = [usage.cost_usd, inherited.cost_usd];
  if (cost(usage) === "offline") return "offline";
  return dollars(all === null || shared === null ? null : Math.max(0, all - shared));
}

/** The way up: the runs above, from the top. */
function Above({ runs, kind }: { runs: Found["above"]; kind: string }) {
  if (!runs.length) return null;
  return (
    <nav class={`above ${kind}`} aria-label="Runs above">
      {runs.map(({ run_id, title, graph }) => (
        <span key={run_id}>
          <Link to={runAddress(run_id)} title={`${graph} ${run_id}`}>
            {titleOf(title, run_id)}
          </Link>
          <i aria-hidden="true">›</i>
        </span>
      ))}
    </nav>
  );
}

function ChildrenCost({ id, seq }: { id: string; seq: number }) {
  const [found] = useDocument("runs/{run_id}/usage", { run_id: id, seq });
  return found && found.children.cost_usd !== 0 ? (
    <small class="soft">+ {dollars(found.children.cost_usd)} children</small>
  ) : null;
}

function openMap(lines: Line[]): Line | null {
  for (const line of lines) {
    if (line.kind === "map" && line.isOpen && line.count) return line;
    const inner = openMap(line.below);
    if (inner) return inner;
  }
  return null;
}

function leftOf(map: Line, now: number): string {
  const done = [...map.cells.values()].filter((each) => each.how !== "running").length;
  const since = now - map.from;
  return done >= 3 && since > 0.5 ? `, about ${seconds(((map.count - done) * since) / done)} left` : "";
}

function reason(head: Head): ComponentChildren {
  if (head.shown === "failed" && head.error) {
    return brief(`at ${head.error.path || "the run"}: ${head.error.code}: ${head.error.message}`);
  }
  if (head.shown === "interrupted") return "waits for a worker or a resume";
  if (head.shown === "queued") return "a worker of its queue takes it";
  const wait = head.waits.find((each) => !each.answered) || head.waits[0];
  if (wait?.answered) return `answered${wait.answered.by && ` by ${wait.answered.by}`}, waits for a worker or a resume`;
  const about = head.about.find((each) => each.id === wait?.id);
  if (about?.tool && head.shown === "waiting") return `May ${about.agent} call ${about.tool}?`;
  if (wait && head.shown === "waiting") return brief((wait.question || wait.name).split("\n")[0], 120);
  const { label, why } = head.ending || { label: "", why: "" };
  return (
    <>
      <b>{label}</b> {why && why !== "otherwise" && <code class="soft">{brief(why)}</code>}
    </>
  );
}
