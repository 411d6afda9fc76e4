// The trace: one tree of steps and time. Any number of lines; only the visible ones exist.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { get } from "./api";
import type { Below } from "./below";
import { Icon, Link, List, Sign, isUnderWay, runAddress, useKeys } from "./parts";
import type { CountsBelow, ListedRun } from "./types";
import { type Line, type Row, type Scale, TROUBLES, comparedIn, progressOf, scaleOf, shownOf, told } from "./trace";
import { brief, count, dollars, failedBelow, seconds } from "./words";

const SHORTEST = 2; // characters of a search in the records
const MANY = 300; // lines: more are folded at first
const HEIGHTS = { event: 28, visit: 32, map: 46, call: 26, loop: 46 };
const BINS = 60;

export interface Shown {
  only: string; // "" for all, else `problems` or `notes`
  search: string;
}

export function Trace({
  id,
  lines,
  rows,
  read,
  earlier,
  total,
  selected,
  select,
  shown,
  show,
  notes,
  now,
  isLive,
  took,
  below,
}: {
  id: string;
  lines: Line[];
  rows: Row[];
  /** Whether the steps that are read at first are here: all, or of a very long run the newest. */
  read: boolean;
  /** Read the steps before those that are here. */
  earlier: () => Promise<void>;
  total: number;
  selected: number;
  select: (seq: number) => void;
  shown: Shown;
  show: (next: Partial<Shown>) => void;
  notes: Map<number, string>;
  now: number;
  isLive: boolean;
  took: number;
  below: Below;
}) {
  const [turned, setTurned] = useState<Set<string>>(new Set());
  const [within, setWithin] = useState<Set<number>>(new Set());
  const [isReading, setReading] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const search = shown.search.trim();
  useEffect(() => {
    let stale = false;
    if (search.length < SHORTEST) {
      setWithin(new Set());
      return undefined;
    }
    const timer = setTimeout(
      () =>
        get("find", { run_id: id, text: search }).then(
          (found) => stale || setWithin(new Set(found)),
          () => {},
        ),
      250,
    );
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [id, search, rows.length]);
  const isLong = rows.length > MANY;
  const isFolded = (line: Line) => {
    const isCalls = line.kind === "visit" && line.below[0]?.kind === "call";
    const folded = ["map", "event", "call", "loop"].includes(line.kind) || (isLong && isCalls);
    return !line.below.length || folded !== turned.has(line.key);
  };
  const fits = useMemo(() => {
    if (!search && !shown.only) return null;
    const text = search.toLowerCase();
    return (line: Line) => {
      if (shown.only === "problems" && !line.rows.some((row) => TROUBLES.includes(row.tone))) return false;
      if (shown.only === "notes" && !line.rows.some((row) => notes.has(row.seq))) return false;
      return !text || line.rows.some((row) => within.has(row.seq) || textOf(row, notes).includes(text));
    };
  }, [search, shown.only, within, notes]);
  const found = useMemo(() => shownOf(lines, isFolded, fits), [lines, turned, fits]);
  const scale = useMemo(() => scaleOf(lines, isLive ? now : 0), [lines, isLive && Math.floor(now)]);
  const worked = isLive ? scale.marks.at(-1)![1] : took; // as the header has it
  const isFree = (at: number) => scale.cuts.every(([from, to]) => at < from - 0.07 || at > to + 0.03);
  const marks = scale.marks.map(([at]) => [at, isFree(at) ? seconds(at * worked) : ""] as const);
  const troubles = useMemo(() => rows.filter((row) => TROUBLES.includes(row.tone)), [rows]);
  const index = indexOf(found, selected);
  const place = index < 0 ? found.findIndex((line) => line.seq >= selected) : index;
  const move = (by: number) => {
    const next = found[Math.min(Math.max(index < 0 ? Math.max(place, 0) : index + by, 0), found.length - 1)];
    if (next) select(next.seq || next.below[0]?.seq || 1);
  };
  const turn = (line: Line | undefined, fold?: boolean) => {
    if (!line?.below.length || (fold !== undefined && isFolded(line) === fold)) return false;
    setTurned((was) => {
      const made = new Set(was);
      if (!made.delete(line.key)) made.add(line.key);
      return made;
    });
    return true;
  };
  const out = () => {
    const line = found[index];
    if (!line || turn(line, true)) return;
    const parent = found.slice(0, index).findLast((each) => each.depth < line.depth);
    if (parent?.kind === "loop") turn(parent, true); // it has no step of its own
    else if (parent) select(parent.seq);
  };
  const down = () => move(1);
  const up = () => move(-1);
  useKeys({
    j: down,
    ArrowDown: down,
    k: up,
    ArrowUp: up,
    ArrowLeft: out,
    Home: () => select(1),
    End: () => select(0),
    ArrowRight: () => turn(found[index], false) || move(1),
    Enter: () => turn(found[index]),
    f: () => {
      const next = troubles.find((row) => row.seq > selected) || troubles[0];
      if (next) select(next.seq);
    },
    "/": () => field.current?.focus(),
  });
  return (
    <section class="trace" aria-label="Steps">
      <header class="head">
        <h2>Trace</h2>
        {troubles.length > 0 && (
          <button
            class="btn bare small"
            aria-pressed={shown.only === "problems"}
            onClick={() => show({ only: shown.only === "problems" ? "" : "problems" })}
          >
            problems {troubles.length}
          </button>
        )}
        {notes.size > 0 && (
          <button
            class="btn bare small"
            aria-pressed={shown.only === "notes"}
            onClick={() => show({ only: shown.only === "notes" ? "" : "notes" })}
          >
            notes {notes.size}
          </button>
        )}
        <input
          ref={field}
          type="search"
          class="btn small"
          aria-label="Search in steps"
          placeholder="find in steps"
          value={shown.search}
          onInput={(event) => show({ search: event.currentTarget.value })}
        />
      </header>
      <div class="axis" aria-hidden="true">
        <div class="soft lines">
          {read
            ? count(found.length, "line")
            : `reading ${total.toLocaleString()} steps, the last ${rows.length} are here`}
        </div>
        <div>
          {marks.map(([at, words], index) =>
            words === marks[index - 1]?.[1] ? null : (
              <span key={at} style={{ left: `${at * 100}%` }}>
                {words}
              </span>
            ),
          )}
          {scale.cuts.map(([from, , gap]) => (
            <span key={`cut ${from}`} class="paused" style={{ left: `${from * 100}%` }}>
              ‖ {seconds(gap)}
            </span>
          ))}
        </div>
      </div>
      {read && rows[0] && rows[0].seq > 1 && (
        <p class="soft padded earlier">
          The last {rows.length.toLocaleString()} of {total.toLocaleString()} steps are here.{" "}
          <button
            class="link"
            disabled={isReading}
            onClick={() => {
              setReading(true);
              const ignored = () => {}; // the page says elsewhere that the server is gone
              earlier().catch(ignored).finally(() => setReading(false));
            }}
          >
            read earlier steps
          </button>
        </p>
      )}
      <List
        rows={found}
        height={(line) => HEIGHTS[line.kind]}
        label="Steps of the run"
        role="tree"
        show={place < 0 ? -1 : place}
        row={(line, at) => (
          <TraceLine
            key={line.key}
            line={line}
            scale={scale}
            now={now}
            isLive={isLive}
            isSelected={at === index}
            isFolded={isFolded(line)}
            select={select}
            turn={turn}
            note={line.rows.map((row) => notes.get(row.seq)).find(Boolean)}
            child={line.kind === "call" ? below.runs.get(line.rows[0]!.child) : undefined}
            counts={below.counts.get(line.rows[0]?.child || "")}
          />
        )}
      />
      {!found.length && read && <p class="soft padded">{rows.length ? "No step fits." : "No step yet."}</p>}
    </section>
  );
}

/** The line that shows a step: its call if that is visible, else its visit. */
function indexOf(found: Line[], seq: number): number {
  const call = found.findIndex((line) => line.kind === "call" && line.seq === seq);
  return call >= 0 ? call : found.findLastIndex((line) => line.rows.some((row) => row.seq === seq));
}

function textOf(row: Row, notes: Map<number, string>): string {
  const note = notes.get(row.seq) || "";
  const { seq, path, kind, edge, why, changes, targets, agent, model, sent_back } = row;
  const words = `${told(row)} ${changes} ${sent_back} ${why}`;
  return `${seq} ${path} ${kind} ${edge} ${words} ${targets} ${agent} ${model} ${note}`.toLowerCase();
}

function TraceLine({
  line,
  scale,
  now,
  isLive,
  isSelected,
  isFolded,
  select,
  turn,
  note,
  child,
  counts,
}: {
  line: Line;
  scale: Scale;
  now: number;
  isLive: boolean;
  isSelected: boolean;
  isFolded: boolean;
  select: (seq: number) => void;
  turn: (line: Line) => boolean;
  note: string | undefined;
  child: ListedRun | undefined;
  counts: CountsBelow | undefined;
}) {
  const last = line.rows.at(-1);
  const sign = { failed: "failed", retry: "losses", fallback: "losses", rejected: "losses", broken: "losses" }[
    line.tone
  ];
  const isWaiting = line.isOpen && last?.kind === "waiting";
  const lostWords = line.kind === "map" && lostOf(line);
  const fold = (event: MouseEvent) => {
    event.stopPropagation();
    turn(line);
  };
  return (
    <div
      class={`tr ${line.kind} ${isSelected ? "selected" : ""} tone-${line.tone}`}
      role="treeitem"
      aria-level={line.depth + 1}
      aria-selected={isSelected}
      aria-expanded={line.below.length ? !isFolded : undefined}
      data-seq={line.seq}
      onClick={() => select(line.seq || line.below[0]?.seq || 1)}
    >
      <div class="nm" style={{ paddingLeft: `${6 + Math.min(line.depth, 8) * 14}px` }}>
        {line.below.length ? (
          <span class="fold" onClick={fold} aria-hidden="true">
            <Icon name={isFolded ? "right" : "down"} />
          </span>
        ) : (
          <span class="fold" />
        )}
        <span class="l">
          {child ? <Child run={child} counts={counts} /> : <Name line={line} />}
          {note && (
            <span class="note">
              {" "}
              <Icon name="note" /> {note}
            </span>
          )}
          {line.kind === "map" && <span class="to">{mapWords(line, isLive, now)}</span>}
          {line.kind === "loop" && <span class="to">{loopWords(line)}</span>}
        </span>
        <span class="end">
          {sign && <Sign status={sign} label={line.tone} />}
          {isWaiting && <Sign status="waiting" />}
          {line.isOpen && !isWaiting && isLive && <Sign status="running" />}
          {lostWords
            ? ` ${lostWords}`
            : child
            ? ` ${!child.summary || child.summary.cost_usd === 0 ? "" : dollars(child.summary.cost_usd)}`
            : line.kind === "call"
            ? ` ${line.cost === null ? "" : line.cost ? dollars(line.cost) : seconds(last?.took)}`
            : line.kind !== "loop" && last?.targets.length
              ? ` → ${brief(last.targets.join(", "), 40)}`
              : ""}
        </span>
      </div>
      {child ? (
        <ChildLane run={child} scale={scale} now={now} />
      ) : (
        <Lane line={line} scale={scale} now={now} isLive={isLive} />
      )}
    </div>
  );
}

function Child({ run, counts }: { run: ListedRun; counts: CountsBelow | undefined }) {
  return (
    <>
      <Sign status={run.status} /> <Link to={runAddress(run.run_id)}>{run.title || run.run_id}</Link>{" "}
      {counts?.failed ? (
        <b class="wrong" title={failedBelow(counts)}>
          {counts.failed} of {counts.runs} failed
        </b>
      ) : (
        <span class="soft">{run.graph}</span>
      )}
    </>
  );
}

/** A child run from its beginning to its end. */
function ChildLane({ run, scale, now }: { run: ListedRun; scale: Scale; now: number }) {
  const to = isUnderWay(run.status) ? now : run.updated_at;
  const [begin, end] = [scale.x(run.created_at), scale.x(to)];
  return (
    <div class="lane">
      <i
        class={`bar ${run.status === "failed" ? "bad" : ""}`}
        title={`${run.status}, ${seconds(to - run.created_at)}`}
        style={{ left: percent(begin), width: percent(end - begin) }}
      />
    </div>
  );
}

function Name({ line }: { line: Line }) {
  const last = line.rows.at(-1);
  if (line.kind === "call") {
    const model = last?.model.replace(/^.*:/, "").replace("claude-", "");
    return line.rows[0]!.agent ? (
      <>
        <b>{line.name}</b> {model}
      </>
    ) : (
      <>
        <Icon name="tool" /> {line.name.replace(/^tool /, "")}{" "}
        {last?.child && <Link to={runAddress(last.child)}>{last.child}</Link>}
      </>
    );
  }
  if (line.kind === "event")
    return (
      <>
        <b>{line.name}</b> <span class="soft">{last && told(last)}</span>
      </>
    );
  if (line.kind === "loop") return <b>{line.name}</b>;
  return (
    <>
      <b>{line.name}</b>
      {line.visit > 1 ? ` ${line.visit}` : ""}
      {last?.edge && <span class="edge"> {last.edge}</span>}
    </>
  );
}

/** How many items of a map are lost, in words. */
export function lostOf(line: Line): string {
  const number = (how: string) => [...line.cells.values()].filter((each) => each.how === how).length;
  const [wrong, fell] = [number("failed"), number("fallback")];
  return [wrong && `${wrong} failed`, fell && `${fell} fell back`].filter(Boolean).join(", ");
}

function mapWords(line: Line, isLive: boolean, now: number): string {
  const { done, left } = progressOf(line, now);
  const going = line.isOpen && isLive;
  return [
    // a map whose beginning is not loaded yet has cells, and no count
    going ? `${done} of ${line.count}` : (line.count > 0 || !line.cells.size) && count(line.count, "item"),
    going && left !== null && `about ${seconds(left)} left`,
  ]
    .filter(Boolean)
    .join(", ");
}

function loopWords(line: Line): string {
  const { name, values } = comparedIn(line);
  const short = (value: number) => value.toLocaleString(undefined, { maximumSignificantDigits: 4 });
  const number = values.length ? `, ${name} ${short(values[0]!)} → ${short(values.at(-1)!)}` : "";
  return count(line.count, "round") + number;
}

/** A loop over its rounds: the number that its conditions compare. */
function Spark({ line, scale }: { line: Line; scale: Scale }) {
  const points = useMemo(() => {
    const { values } = comparedIn(line);
    const [least, most] = values.reduce(([low, high], each) => [Math.min(low, each), Math.max(high, each)], [
      Infinity,
      -Infinity,
    ]);
    const step = 100 / Math.max(1, values.length - 1);
    const y = (value: number) => (most > least ? 28 - ((value - least) / (most - least)) * 26 : 15);
    return values.map((value, at) => `${(at * step).toFixed(2)},${y(value).toFixed(1)}`).join(" ");
  }, [line]);
  const [from, to] = [scale.x(line.from), scale.x(line.to)];
  return (
    <div class="lane">
      <svg
        class="loop-spark"
        viewBox="0 0 100 30"
        preserveAspectRatio="none"
        aria-hidden="true"
        style={{ left: percent(from), width: percent(to - from) }}
      >
        {points ? <polyline points={points} /> : <rect y="13" width="100" height="4" />}
      </svg>
    </div>
  );
}

const percent = (part: number) => `${(part * 100).toFixed(3)}%`;

export function Lane({ line, scale, now, isLive }: { line: Line; scale: Scale; now: number; isLive: boolean }) {
  if (line.kind === "event" && !line.below.length)
    return (
      <div class="lane">
        <i class="tick" style={{ left: percent(scale.x(line.to)) }} />
      </div>
    );
  if (line.kind === "map" && line.cells.size)
    return (
      <div class="lane">
        <Density line={line} scale={scale} />
      </div>
    );
  if (line.kind === "loop") return <Spark line={line} scale={scale} />;
  const isWaiting = line.rows.at(-1)?.kind === "waiting";
  const waits = line.rows.flatMap((row, at): [number, number][] =>
    row.kind === "waiting" ? [[row.at, line.rows[at + 1]?.at ?? Math.max(row.at, isLive ? now : row.at)]] : [],
  );
  const ended = line.isOpen && isLive && !isWaiting ? Math.max(now, line.to) : line.to;
  const [from, to] = [scale.x(line.from), scale.x(ended)];
  const title = `${seconds(ended - line.from)}`;
  return (
    <div class="lane">
      {scale.cuts.map(([cut, end, gap]) => (
        <i
          key={cut}
          class="cut"
          title={`waited ${seconds(gap)}`}
          style={{ left: percent(cut), width: percent(end - cut) }}
        />
      ))}
      {waits.map(([begin, end]) => (
        <i
          key={begin}
          class="bar pause"
          title={`waited ${seconds(end - begin)}`}
          style={{ left: percent(scale.x(begin)), width: percent(scale.x(end) - scale.x(begin)) }}
        />
      ))}
      <i
        class={`bar ${waits.length ? "short" : ""} ${line.kind === "call" && !line.rows[0]!.agent ? "tool" : ""}
      ${line.kind === "call" && line.tone ? "bad" : ""} ${line.isOpen && isLive ? "open" : ""}`}
        title={title}
        style={{
          left: percent(waits.length ? scale.x(waits.at(-1)![1]) : from),
          width: percent(waits.length ? to - scale.x(waits.at(-1)![1]) : to - from),
        }}
      />
      {line.rows
        .filter((row) => row.kind === "attempt" || row.tone === "failed")
        .map((row) => {
          const begin = scale.x(row.at - (row.took || 0));
          return (
            <i
              key={row.seq}
              class="bar bad"
              title={told(row)}
              style={{ left: percent(begin), width: percent(scale.x(row.at) - begin) }}
            />
          );
        })}
    </div>
  );
}

/** A map over time: how many of its items ended when, and below them the attempts that failed. */
function Density({ line, scale }: { line: Line; scale: Scale }) {
  const bars = useMemo(() => {
    const found: [number, number][] = Array.from({ length: BINS }, () => [0, 0]);
    for (const cell of line.cells.values()) {
      const bin = found[Math.min(BINS - 1, Math.floor(scale.x(cell.to) * BINS))]!;
      bin[cell.how === "done" ? 0 : 1] += 1;
    }
    return found;
  }, [line, line.cells.size, scale]);
  const most = Math.max(1, ...bars.map(([good, bad]) => good + bad));
  return (
    <svg class="density" viewBox={`0 0 ${BINS} 30`} preserveAspectRatio="none" aria-hidden="true">
      {bars.map(([good, bad], at) => {
        if (!good && !bad) return null;
        const [high, low] = [(good / most) * 28, (bad / most) * 28];
        return (
          <g key={at}>
            <rect class="good" x={at} width="1" y={30 - high} height={high} />
            {bad > 0 && <rect class="wrong" x={at} width="1" y={30 - high - low} height={low} />}
          </g>
        );
      })}
    </svg>
  );
}
