// The list of runs.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { type Query, follow, get, query } from "./api";
import {
  Chip,
  Corner,
  Failure,
  Icon,
  Link,
  List,
  Live,
  type Problem,
  Sign,
  go,
  runAddress,
  useDocument,
  useKeys,
  useNow,
  useWas,
} from "./parts";
import { isNote } from "./acts";
import { Bulk } from "./bulk";
import { Sums } from "./sums";
import type { Line, ListedRun, Overview, Page, Session, Tally } from "./types";
import { STATUSES, ago, count, dollars, failedBelow, isLossy, lost, moment, seconds, titleOf, when } from "./words";

const PAGE = 200;
const PLAIN = { limit: PAGE, waits: false }; // the questions of a run are on its page
const EVERY = { status: "", view: "" }; // the numbers at the tabs are of the search alone
const HEIGHT = 58;
const COUNT_AGAIN = 2000; // milliseconds
const MOST = 1000; // runs that a request takes

type Filters = Record<string, string>;

/** The filters of the address; `text` has the words of the search as they were typed, which the server reads. */
function wanted({ status, graph, tag, text, begun_after, begun_before, cost_above, view }: Filters): Query {
  return { status, graph, tag, text, begun_after, begun_before, cost_above, view };
}

/** The order of the list; none is the one in which runs began. */
const orderOf = ({ sort, up }: Filters): Query => ({ sort, up });

interface Arranged {
  run: ListedRun;
  depth: number;
  below: number;
  isClosed: boolean;
}

/**
 * The runs in order, in that of time each branch below its parent, and each run that a node started below that run, if
 * that is loaded too. Below a run that started others all is folded at first, unless the list is searched.
 */
function arranged(
  runs: ListedRun[],
  turned: Set<string>,
  lines: Record<string, Line>,
  { isSorted, isSearched }: { isSorted: boolean; isSearched: boolean },
): Arranged[] {
  if (isSorted) return runs.map((run) => ({ run, depth: 0, below: 0, isClosed: false }));
  const known = new Set(runs.map((run) => run.run_id));
  const below = new Map<string | null, ListedRun[]>();
  const starters = new Set<string>();
  for (const run of runs) {
    const above = [run.starter, run.parent?.run_id].find((each) => each && known.has(each));
    const parent = above || null;
    if (above && above === run.starter) starters.add(above);
    const level = below.get(parent);
    if (level) level.push(run);
    else below.set(parent, [run]);
  }
  const found: Arranged[] = [];
  const add = (run: ListedRun, depth: number) => {
    const children = below.get(run.run_id) || [];
    if (starters.has(run.run_id)) children.sort((one, other) => one.created_at - other.created_at);
    const started = lines[run.run_id]?.below.runs || 0;
    const isFolded = !isSearched && (started > 0 || starters.has(run.run_id));
    const isClosed = isFolded !== turned.has(run.run_id);
    found.push({ run, depth, below: Math.max(children.length, started), isClosed });
    if (!isClosed) children.forEach((child) => add(child, depth + 1));
  };
  (below.get(null) || []).forEach((run) => add(run, 0));
  return found;
}

type Extent = Pick<Page, "looked_at" | "unseen">;

/** How much a search for fields has seen: in how many states it looked, and which runs lack the fields. */
function Seen({ looked_at, unseen }: Extent) {
  const parts = [
    looked_at !== undefined && `Looked at the states of the newest ${count(looked_at, "run")}.`,
    Boolean(unseen) &&
      `Not searched: ${count(unseen!, "run")} without a record of these fields. ` +
        "`graphengine bulk fill` adds the fields if the graph declares them.",
    unseen === null && "No run has a record of these fields: declare them with Graph(search=[…]), or search state.….",
  ].filter(Boolean);
  return parts.length ? <p class="in-results soft small">{parts.join(" ")}</p> : null;
}

/** The runs that fit, read page by page, and read again when the database changes. */
function useRuns(filters: Filters) {
  const [runs, setRuns] = useState<ListedRun[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [extent, setExtent] = useState<Extent>({});
  const [lines, setLines] = useState<Record<string, Line>>({});
  const [overview, setOverview] = useState<Overview | null>(null);
  const [error, setError] = useState<Problem | null>(null);
  const [live, setLive] = useState(false);
  const busy = useRef(false);
  const kept = useRef(Number(history.state?.top) || 0); // where *back* leads to, which is loaded at once
  const counted = useRef(0);
  const later = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const visible = useRef<string[]>([]);
  const latest = useRef<Query>({});
  latest.current = { ...wanted(filters), ...orderOf(filters) };
  const isSorted = Boolean(filters.sort || filters.up);
  const key = query(latest.current);
  const loadLines = async (ids: string[]) => {
    if (!ids.length) return;
    const found = await get("lines", { run_id: ids });
    setLines((was) => ({ ...was, ...found }));
  };
  const refresh = async () => {
    if (busy.current) return;
    busy.current = true;
    const mine = latest.current;
    const isStale = () => query(mine) !== query(latest.current);
    try {
      // Counting reads an index of all runs, so not for each of many changes a second.
      const old = Date.now() - counted.current > COUNT_AGAIN;
      if (old) counted.current = Date.now();
      const limit = Math.min(MOST, PAGE * (1 + Math.ceil(kept.current / HEIGHT / PAGE)));
      kept.current = 0;
      const [page, counts] = await Promise.all([
        get("runs", { ...mine, ...PLAIN, limit }),
        old && get("overview", { ...mine, ...EVERY }),
      ]);
      if (isStale()) return;
      setError(null);
      setExtent(page);
      if (counts) setOverview(counts);
      else if (!later.current) {
        later.current = setTimeout(() => {
          later.current = undefined;
          refresh();
        }, COUNT_AGAIN);
      }
      setRuns((was) => {
        const fresh = new Set(page.runs.map((run) => run.run_id));
        const last = page.runs.at(-1);
        const isOlder = (run: ListedRun) =>
          !fresh.has(run.run_id) && (isSorted || run.created_at <= last!.created_at);
        const older = page.next && last ? was.filter(isOlder) : [];
        if (!older.length) setNext(page.next);
        return [...page.runs, ...older];
      });
      await loadLines(visible.current);
    } catch (problem) {
      if (!isStale()) setError(problem as Problem);
    } finally {
      busy.current = false;
      if (isStale()) {
        counted.current = 0;
        refresh();
      }
    }
  };
  useEffect(() => {
    setRuns([]);
    document.title = "runs · graphengine inspector";
    counted.current = 0;
    refresh();
    const trouble = (text: string) => setError({ message: text });
    const stop = follow(() => ({}), { changed: refresh, live: setLive, trouble });
    return () => {
      stop();
      clearTimeout(later.current);
      later.current = undefined;
    };
  }, [key]);
  const more = async () => {
    if (!next || busy.current) return;
    busy.current = true;
    try {
      const page = await get("runs", { ...latest.current, ...PLAIN, before: next });
      if (query(latest.current) !== key) return;
      setRuns((was) => [...was, ...page.runs]);
      setNext(page.next);
    } catch (problem) {
      setError(problem as Problem);
    } finally {
      busy.current = false;
    }
  };
  const seen = (ids: string[]) => {
    visible.current = ids;
    loadLines(ids.filter((id) => !lines[id])).catch(setError);
  };
  return { runs, next, extent, lines, overview, error, live, more, seen, refresh };
}

/** How many runs a search finds, and how many lost something; counted again from time to time. */
function useTally(search: Query, version: string): Tally | null {
  const [tally, setTally] = useState<Tally | null>(null);
  const key = query(search);
  useEffect(() => {
    let stale = false;
    const load = () =>
      document.hidden ||
      get("tally", { ...search, change: version }).then(
        (found) => stale || setTally(found),
        () => {},
      );
    load();
    const timer = setInterval(load, 30_000);
    return () => {
      stale = true;
      clearInterval(timer);
    };
  }, [key, version]);
  return tally;
}

/** Words in what the newest runs made, which no index has: those that have them, and in how many runs was looked. */
function InResults({ filters }: { filters: Filters }) {
  const [found, error] = useDocument("in_results", wanted(filters));
  if (error) return <Failure error={error} />;
  if (!found) return <p class="in-results soft small" aria-busy="true" />;
  if (!found.looked_at && !found.is_cut) return null;
  const where = `${found.is_cut ? "the newest " : ""}${count(found.looked_at, "run")}`;
  return (
    <section class="in-results" aria-label="In results">
      <p class="soft small">
        {found.found.length
          ? `${count(found.found.length, "more run")} of ${where} with this in a result:`
          : `In the results of ${where}: nothing more.`}
      </p>
      <ul>
        {found.found.map(({ run, field, text }) => (
          <li key={run.run_id}>
            <Link to={runAddress(run.run_id)} dir="auto">
              {titleOf(run.title, run.run_id)}
            </Link>{" "}
            <span class="soft">{run.graph}</span> {run.title && <span class="mono soft">{run.run_id}</span>}{" "}
            <code>{field}</code> <span dir="auto">{text}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

type Saved = Record<string, string>;

/** The searches that the reader saved, by name, each as an address that can be sent to others. */
function useSaved(): [Saved, (name: string, search: string) => void] {
  const [saved, setSaved] = useState<Saved>(() => JSON.parse(localStorage.searches || "{}"));
  const save = (name: string, search: string) => {
    const { [name]: _, ...rest } = saved;
    const made = search ? { ...rest, [name]: search } : rest;
    localStorage.searches = JSON.stringify(made);
    setSaved(made);
  };
  return [saved, save];
}

/** A saved search with what it finds now; the one that is shown can be forgotten. */
function SavedSearch({
  name,
  search,
  isNow,
  drop,
}: {
  name: string;
  search: string;
  isNow: boolean;
  drop: () => void;
}) {
  const tally = useTally(Object.fromEntries(new URLSearchParams(search)), "");
  return (
    <>
      <button role="tab" aria-selected={isNow} onClick={() => go(`/?${search}`)}>
        {name}
        {typeof tally?.runs === "number" && <b>{tally.runs.toLocaleString()}</b>}
      </button>
      {isNow && (
        <button class="filter" aria-label={`forget ${name}`} onClick={drop}>
          forget ×
        </button>
      )}
    </>
  );
}

export function Runs({ filters, session }: { filters: Filters; session: Session }) {
  const { runs, next, extent, lines, overview, error, live, more, seen, refresh } = useRuns(filters);
  const [ticked, setTicked] = useState<string[]>([]);
  const [isWhole, setWhole] = useState(false);
  const [done, setDone] = useState("");
  const [saved, save] = useSaved();
  const [turned, setTurned] = useState<Set<string>>(new Set());
  const [opened, setOpened] = useState<Map<string, ListedRun>>(new Map());
  const [selected, setSelected] = useState<string | null>(null);
  const [search, setSearch] = useState(filters.text || "");
  const field = useRef<HTMLInputElement>(null);
  const now = useNow();
  sessionStorage.list = location.search; // where the pages of runs lead back to
  const asked = useRef(filters.text || "");
  useEffect(() => {
    const text = filters.text || "";
    if (asked.current !== text) setSearch(text); // only then: else it would undo what is typed meanwhile
    asked.current = text;
  }, [filters.text]);
  const isLossOnly = filters.view === "losses";
  const isSorted = Boolean(filters.sort || filters.up);
  const isSearched = Boolean(query(wanted(filters)));
  const loaded = useMemo(() => {
    const known = new Set(runs.map((run) => run.run_id));
    return isSearched ? runs : [...runs, ...[...opened.values()].filter((run) => !known.has(run.run_id))];
  }, [runs, opened, isSearched]);
  const shown = useMemo(
    () => arranged(loaded, turned, lines, { isSorted, isSearched }),
    [loaded, turned, lines, isSorted, isSearched],
  );
  const found = query(wanted(filters));
  const tally = useTally(wanted(filters), done);
  const base = useTally({ ...wanted(filters), ...EVERY }, done);
  useEffect(() => {
    setTicked([]);
    setWhole(false);
  }, [found]);
  const index = shown.findIndex(({ run }) => run.run_id === selected);
  const move = (step: number) => {
    const found = shown[Math.min(Math.max(index + step, 0), shown.length - 1)];
    if (found) setSelected(found.run.run_id);
  };
  const tick = (id: string) => {
    setWhole(false);
    setTicked((was) => (was.includes(id) ? was.filter((each) => each !== id) : [...was, id]));
  };
  const all = () => {
    setWhole(true);
    setTicked(runs.map((run) => run.run_id));
  };
  const clear = (words = "") => {
    setWhole(false);
    setTicked([]);
    setDone(words);
    if (words) refresh();
  };
  const compare = () => ticked.length === 2 && go(`/compare?${query({ a: ticked[0], b: ticked[1] })}`);
  const change = (other: Query) => go(`/?${query({ ...wanted(filters), ...orderOf(filters), ...other })}`);
  const column = (name: string, words: string) => {
    const isNow = (filters.sort || "begun") === name;
    const turn = () => change({ sort: name === "begun" ? "" : name, up: isNow && !filters.up ? "1" : "" });
    return (
      <button class="link plain" aria-pressed={isNow} onClick={turn}>
        {words}
        {isNow && (filters.up ? " ↑" : " ↓")}
      </button>
    );
  };
  const down = () => move(1);
  const up = () => move(-1);
  useKeys({
    j: down,
    ArrowDown: down,
    k: up,
    ArrowUp: up,
    c: compare,
    Enter: () => selected && go(runAddress(selected)),
    x: () => selected && tick(selected),
    a: all,
    "/": () => field.current?.focus(),
  });
  const total = overview ? Object.values(overview.statuses).reduce((sum, each) => sum + each, 0) : 0;
  const questions = overview?.questions || 0;
  const view = isLossOnly ? "losses" : filters.status || "";
  const amount = (number: number | undefined) => (overview ? (number ?? 0).toLocaleString() : "–");
  const tab = (name: string, label: string, number?: number | null) => (
    <button
      role="tab"
      key={name}
      aria-selected={view === name}
      onClick={() => change(name === "losses" ? { status: "", view: name } : { status: name, view: "" })}
    >
      {label}
      {number !== null && <b>{amount(number)}</b>}
    </button>
  );
  const ticks = useMemo(() => new Set(ticked), [ticked]);
  const fold = (id: string) => {
    setTurned((was) => {
      const made = new Set(was);
      if (!made.delete(id)) made.add(id);
      return made;
    });
    if (!lines[id]?.below.runs || turned.has(id)) return;
    const taken = (found: { runs: ListedRun[] }) =>
      setOpened((was) => new Map([...was, ...found.runs.map((run): [string, ListedRun] => [run.run_id, run])]));
    get("runs/{run_id}/below", { run_id: id }).then(taken, () => {});
  };
  return (
    <main class="runs page">
      <header class="top">
        <h1 class="brand">Runs</h1>
        <span class="soft path hide">{session.database}</span>
        {session.read_only && <Chip>read-only</Chip>}
        <span class="grow" />
        <Link to="/questions">ask me{questions > 0 && ` ${questions}`}</Link>
        <Link to="/graphs">graphs</Link>
        <Link to="/today">today</Link>
        <Live on={live} />
        <Corner />
      </header>
      <form
        class="find"
        onSubmit={(event) => {
          event.preventDefault();
          field.current!.blur();
          asked.current = search.trim();
          change({ text: asked.current });
        }}
      >
        <label class="box">
          <Icon name="find" />
          <input
            ref={field}
            type="search"
            aria-label="Search"
            value={search}
            placeholder="words of the input, result, error, ending, id or tag; graph:… status:… input.x=1 since:7d"
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
          <kbd>/</kbd>
        </label>
        {overview && <Histogram overview={overview} filters={filters} change={change} />}
        {found && !Object.values(saved).includes(found) && (
          <button
            type="button"
            class="btn hide"
            onClick={() => {
              const name = prompt("Name of this search")?.trim();
              if (name) save(name, found);
            }}
          >
            Save this search
          </button>
        )}
      </form>
      <div class="views" role="tablist" aria-label="Status">
        {tab("", "All", total)}
        <button role="tab" aria-selected={false} onClick={() => go("/questions")}>
          Needs me <b>{amount(overview?.questions)}</b>
        </button>
        {tab("failed", "Failed", overview?.statuses.failed)}
        {tab("losses", "With losses", base ? base.lossy : overview && null)}
        {STATUSES.filter((name) => name !== "failed").map((name) =>
          overview?.statuses[name] || view === name ? tab(name, name, overview?.statuses[name]) : null,
        )}
        {Object.entries(saved).map(([name, search]) => (
          <SavedSearch key={name} {...{ name, search }} isNow={search === found} drop={() => save(name, "")} />
        ))}
        {filters.graph && (
          <button class="filter" onClick={() => change({ graph: "" })}>
            {filters.graph} ×
          </button>
        )}
      </div>
      {error && <Failure error={error} />}
      {done && (
        <p role="status" class="padded">
          {done}
        </p>
      )}
      <Seen {...extent} />
      {filters.text && <InResults key={found} filters={filters} />}
      <Sums key={`sums ${found}`} search={wanted(filters)} />
      <div class="row heading" role="group" aria-label="Order">
        <span>
          <input
            type="checkbox"
            aria-label="tick all found"
            checked={isWhole}
            onChange={() => (isWhole ? clear() : all())}
          />
        </span>
        <span>run, {column("begun", "begun")}</span>
        <span>graph</span>
        <span>{column("status", "how it stands")}</span>
        <span>{column("took", "took")}</span>
        <span>{column("cost", "cost")}</span>
        <span>last step</span>
      </div>
      {!shown.length && overview && (
        <p class="soft padded">
          {next
            ? "Older runs are searched…"
            : total || query(wanted(filters))
              ? filters.text
                ? "No run has this in its input, error, ending, id or tags, with these filters."
                : "No run fits these filters."
              : "No runs yet: `graphengine run GRAPH` starts one."}
        </p>
      )}
      <List
        rows={shown}
        height={() => HEIGHT}
        label="Runs"
        isKept
        show={index}
        near={more}
        seen={(first, last) => seen(shown.slice(first, last).map(({ run }) => run.run_id))}
        row={(each) => (
          <RunLine
            key={each.run.run_id}
            {...each}
            line={lines[each.run.run_id]}
            now={now}
            fold={fold}
            isSelected={each.run.run_id === selected}
            isTicked={isWhole || ticks.has(each.run.run_id)}
            tick={tick}
          />
        )}
      />
      {ticked.length > 0 && (
        <Bulk
          chosen={isWhole ? { where: Object.fromEntries(new URLSearchParams(found)) } : { ids: ticked }}
          number={isWhole ? (tally?.runs ?? null) : ticked.length}
          total={tally?.runs ?? null}
          compare={!isWhole && ticked.length === 2 ? compare : null}
          {...{ session, all, clear }}
        />
      )}
      {runs.length < total && !filters.status && runs.length >= PAGE && (
        <p class="soft small foot">
          the newest {runs.length.toLocaleString()} of {total.toLocaleString()}; scroll for more
        </p>
      )}
    </main>
  );
}

function RunLine({
  run,
  depth,
  below,
  isClosed,
  line,
  now,
  isSelected,
  isTicked,
  tick,
  fold,
}: Arranged & {
  line: Line | undefined;
  now: number;
  isSelected: boolean;
  isTicked: boolean;
  tick: (id: string) => void;
  fold: (id: string) => void;
}) {
  const id = run.run_id;
  const status = line?.shown || run.status;
  const summary = line?.summary || run.summary;
  const losses = lost(summary?.losses);
  const isLossyEnd = status === "finished" && isLossy(summary?.losses);
  const title = titleOf(run.title, id);
  const cost = !summary || summary.cost_usd === 0 ? "" : dollars(summary.cost_usd);
  const last = line?.updated_at || run.updated_at;
  const parent =
    run.parent && (depth ? `at step ${run.parent.seq}` : `branch of ${run.parent.run_id} at ${run.parent.seq}`);
  const starter = run.starter && !depth && `started by ${run.starter}`;
  return (
    <div
      class={`row ${isSelected ? "selected" : ""}`}
      role="listitem"
      aria-current={isSelected}
      data-run={id}
      onClick={() => go(runAddress(id))}
    >
      <span onClick={(event) => event.stopPropagation()}>
        <input type="checkbox" aria-label={`tick ${id}`} checked={isTicked} onChange={() => tick(id)} />
      </span>
      <span class="name" style={{ paddingLeft: `${Math.min(depth, 6) * 18}px` }}>
        <span class="t">
          {below > 0 && (
            <button
              class="fold"
              aria-expanded={!isClosed}
              aria-label={`${count(below, "run")} below`}
              onClick={(event) => {
                event.stopPropagation();
                fold(id);
              }}
            >
              <Icon name={isClosed ? "right" : "down"} />
            </button>
          )}
          {depth > 0 && "↳ "}
          <Link to={runAddress(id)} dir="auto">
            {title}
          </Link>
        </span>
        <span class="sub">
          {title !== id && <span class="mono">{id}</span>}
          {parent && <span>{parent}</span>}
          {starter && <span>{starter}</span>}
          {run.tags
            .filter((each) => !isNote(each))
            .map((tag) => (
              <Chip key={tag}>{tag}</Chip>
            ))}
        </span>
      </span>
      <span class="gr">{run.graph}</span>
      <span class="why">
        <Sign status={isLossyEnd ? "losses" : status} />{" "}
        <Why {...{ status, line, run }}>
          {losses && <Chip tone={isLossy(summary?.losses) ? "bad" : "warn"}>{losses}</Chip>}
          {line && line.below.failed > 0 && <Chip tone="bad">{failedBelow(line.below)}</Chip>}
        </Why>
      </span>
      <span class="number">{seconds(summary?.seconds)}</span>
      <span class="number">{cost}</span>
      <span class="number" title={when(last)}>
        {ago(last, now)}
      </span>
    </div>
  );
}

/** How a run stands, what it lost, and why it ended, what it waits for, or where it is. */
function Why({
  status,
  line,
  run,
  children,
}: {
  status: string;
  line: Line | undefined;
  run: ListedRun;
  children: ComponentChildren;
}) {
  const summary = line?.summary || run.summary;
  const was = useWas();
  if (status === "running" || status === "interrupted") {
    const at = line?.at.join(", ") || "its start";
    return (
      <>
        <b>{was(status)}</b> {children}{" "}
        <span class="soft">
          at {at}
          {summary && summary.visits > 0 && `, ${count(summary.visits, "visit")}`}
          {status === "interrupted" && ", waits for a worker or a resume"}
        </span>
      </>
    );
  }
  if (!summary) return <b>{was(status)}</b>;
  const { reason, kind, waits } = summary;
  if (kind === "receive" && line?.at.length) {
    return (
      <>
        <b>listens</b> {children} <span class="soft">“{line.at[0]}”</span>
      </>
    );
  }
  const words: Record<string, string> = { ask: "asks", answered: "answered", unknown: "asks" };
  if (status === "waiting" && !words[kind]) {
    return (
      <>
        <b>{reason}</b> {children}{" "}
        <span class="soft">
          {run.due_at && `until ${moment(run.due_at)}`}
          {waits > 1 && ` (and ${waits - 1} more)`}
        </span>
      </>
    );
  }
  const word = status === "waiting" ? words[kind] : status;
  const plain = kind === "answered" ? reason.replace(/^answered,? ?/, "") : reason;
  const text = reason === "otherwise" ? "" : `${status === "failed" && reason ? "at " : ""}${plain}`;
  return (
    <>
      <b>{word}</b> {children}{" "}
      <span class="soft">
        {text}
        {waits > 1 && ` (and ${waits - 1} more)`}
      </span>
    </>
  );
}

const BARS = 48;

/** The bars of the histogram: at most so many, each with its runs by status. */
function barsOf(overview: Overview) {
  const times = overview.bars.map(([since]) => since);
  const first = times.length ? Math.min(...times) : 0;
  const fine = times.length ? Math.round((Math.max(...times) - first) / overview.width) + 1 : 1;
  const width = overview.width * Math.ceil(fine / BARS);
  const found = new Map<number, Record<string, number>>();
  for (const [since, status, runs] of overview.bars) {
    const begins = first + Math.floor((since - first) / width) * width;
    const bar = found.get(begins) || {};
    bar[status] = (bar[status] || 0) + runs;
    found.set(begins, bar);
  }
  const columns = Math.max(24, Math.ceil(fine / Math.ceil(fine / BARS)));
  return { bars: [...found].sort((one, other) => one[0] - other[0]), first, width, columns };
}

/** How many runs began when, by outcome; a drag over bars, or two clicks, selects a time. */
function Histogram({
  overview,
  filters,
  change,
}: {
  overview: Overview;
  filters: Filters;
  change: (more: Query) => void;
}) {
  const [from, setFrom] = useState<number | null>(null);
  const { bars, first, width, columns } = useMemo(() => barsOf(overview), [overview]);
  if (bars.length < 2 && !filters.begun_after) return null;
  const sum = (each: Record<string, number>) => Object.values(each).reduce((all, one) => all + one, 0);
  const most = Math.max(1, ...bars.map(([, each]) => sum(each)));
  const place = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return first + Math.floor(((event.clientX - box.left) / box.width) * columns) * width;
  };
  const select = (event: PointerEvent) => {
    const end = place(event);
    if (from !== null) change({ begun_after: Math.min(from, end), begun_before: Math.max(from, end) + width });
    setFrom(null);
  };
  return (
    <span class="histogram">
      <svg
        role="img"
        aria-label="When runs began, by outcome"
        preserveAspectRatio="none"
        viewBox={`0 0 ${columns * 10} 40`}
        onPointerDown={(event) => setFrom(place(event))}
        onPointerUp={select}
      >
        {bars.map(([since, each]) => {
          let top = 40;
          return Object.entries(each)
            .sort()
            .map(([status, number]) => {
              const height = (number / most) * 38;
              top -= height;
              return (
                <rect
                  key={`${since} ${status}`}
                  class={`fill-${status}`}
                  x={((since - first) / width) * 10 + 1}
                  y={top}
                  width="8"
                  height={height}
                >
                  <title>{`${number} ${status}, ${when(since)}`}</title>
                </rect>
              );
            });
        })}
      </svg>
      {filters.begun_after && (
        <button type="button" class="btn bare small" onClick={() => change({ begun_after: "", begun_before: "" })}>
          every time
        </button>
      )}
    </span>
  );
}
