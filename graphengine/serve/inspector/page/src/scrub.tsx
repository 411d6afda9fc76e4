// The graph of a run, and below it a slider over its steps: tokens walk, counts grow, and one field can be followed.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { get } from "./api";
import { writeJson } from "./json";
import { Icon, useKeys } from "./parts";
import { type Losses, Picture, type Walk } from "./picture";
import { Change, Value } from "./text";
import { type Row, TROUBLES, counterOf, told } from "./trace";
import type { Moments, Run } from "./types";
import { brief, dollars } from "./words";

const WINDOW = 64; // steps that are read at once
const NEAR = 3; // windows before and after the one that is shown that are kept
const REST = 150; // milliseconds after the last stop until it is the address
const AT_ONCE = 6_000; // characters that are compared while the slider moves

/** A run just after a step, and the chosen field after it and before it. */
interface Stop {
  standings: Moments["moments"][0]["standings"];
  tokens: Record<string, number>;
  cost: number | null;
  value: unknown;
  was: unknown;
}

/** The steps from `first` on, with the chosen field after each and, as the first, before all. */
interface Window {
  stops: Moments["moments"];
  values: unknown[];
  fields: string[];
}

function windowOf({ moments, before, fields }: Moments): Window {
  const values = [before];
  for (const each of moments) values.push("value" in each ? each.value : values.at(-1));
  return { stops: moments, values, fields };
}

/** A run at a step: read in windows, of which those near are kept; while one is read, the newest step waits. */
function useStop(id: string, at: number, last: number, field: string): [Stop | null, string[]] {
  const kept = useRef(new Map<number, Window>());
  const reading = useRef(false);
  const [, setRead] = useState(0);
  const known = useRef("");
  const wanted = useRef([at, last] as [number, number]);
  wanted.current = [at, last];
  if (known.current !== `${id} ${field}`) kept.current = new Map();
  known.current = `${id} ${field}`;
  const has = (number: number, end: number) => {
    const stops = kept.current.get(number)?.stops.length || 0;
    return stops >= Math.min(WINDOW, end - number * WINDOW);
  };
  const read = async () => {
    const [step, end] = wanted.current;
    const here = Math.floor((step - 1) / WINDOW);
    const beside = here + ((step - 1) % WINDOW < WINDOW / 2 ? -1 : 1); // where the slider may come next
    const number = [here, beside].find((each) => each >= 0 && each * WINDOW < end && !has(each, end));
    if (number === undefined || reading.current || !end) return;
    const key = known.current;
    reading.current = true;
    try {
      const found = await get("moments", { run_id: id, first: number * WINDOW + 1, limit: WINDOW, field });
      if (key === known.current) kept.current.set(number, windowOf(found));
      for (const each of kept.current.keys()) if (Math.abs(each - here) > NEAR) kept.current.delete(each);
      setRead((was) => was + 1);
    } catch {
      return; // the page says elsewhere that the server is gone; the next stop asks again
    } finally {
      reading.current = false;
    }
    read();
  };
  useEffect(() => {
    read();
  }, [id, at, last, field]);
  const number = Math.floor((at - 1) / WINDOW);
  const found = kept.current.get(number);
  const index = at - 1 - number * WINDOW;
  const moment = found?.stops[index];
  if (!found || !moment) return [null, found?.fields || []];
  const { standings, tokens, cost_usd } = moment;
  const [was, value] = found.values.slice(index, index + 2);
  return [{ standings, tokens, cost: cost_usd, value, was }, found.fields];
}

/** What went wrong at each node, by its number in the picture: how often, and how many items or results are lost. */
function lossesOf(rows: Row[]): (at: number) => Map<number, Losses> {
  const spots = new Map<string, number>();
  for (const row of rows) if (row.spots[0] !== undefined) spots.set(row.path, row.spots[0]);
  const wrong = rows.filter((row) => TROUBLES.includes(row.tone));
  return (at) => {
    const found = new Map<number, Losses>();
    for (const row of wrong) {
      if (row.seq > at) break;
      const spot = spots.get(row.path.replace(/\[\d+\]$/, ""));
      if (spot === undefined) continue;
      const { times, lost } = found.get(spot) || { times: 0, lost: 0 };
      found.set(spot, { times: times + 1, lost: lost + Number(["failed", "fallback"].includes(row.tone)) });
    }
    return found;
  };
}

export function Scrubbed({
  head,
  rows,
  read,
  at,
  field,
  stop,
  follow,
  choose,
  chosen,
  isChosen,
  ask,
}: {
  head: Run;
  rows: Row[];
  /** Whether the steps that are read at first are here: all, or of a very long run the newest. */
  read: boolean;
  at: number;
  field: string;
  /** Make a step the address. */
  stop: (seq: number) => void;
  follow: (field: string) => void;
  choose: (spot: number, name: string) => void;
  chosen: string;
  /** Whether the address names a step; at first look the graph has the room of its caption. */
  isChosen: boolean;
  /** Ask why edges were not taken. */
  ask: (edges: number[]) => void;
}) {
  const last = rows.at(-1)?.seq || 0;
  const [moving, setMoving] = useState<number | null>(null); // where the slider is before that is the address
  const now = Math.min(moving ?? at, last);
  const before = useRef(now);
  const asked = useRef(at); // the last address that the slider made; another one is the reader's choice
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const slider = useRef<HTMLInputElement>(null);
  const [found, fields] = useStop(head.run_id, now, read ? last : 0, field);
  const shown = useRef<Stop | null>(null);
  shown.current = found || shown.current; // the last one stays until the next is there
  const first = rows[0]?.seq || 1;
  const counter = useMemo(() => (read && first === 1 ? counterOf(rows) : null), [rows, read, first]);
  const wrong = useMemo(() => lossesOf(rows), [rows]);
  const lit = useMemo(() => counter && counter(now), [counter, now]);
  const losses = useMemo(() => wrong(now), [wrong, now]);
  const isEnd = now === last && head.seq === last;
  const standings = isEnd ? head.standings : (found || shown.current)?.standings || head.standings;
  const walk = useMemo((): Walk | null => {
    const from = before.current;
    before.current = now;
    if (!found) return null;
    const by = now - from;
    const row = rows[(by < 0 ? from : now) - first];
    return { tokens: found.tokens, edges: (Math.abs(by) === 1 && row?.edges) || [], isBack: by < 0 };
  }, [found?.tokens, now]);
  useEffect(() => setMoving((was) => (was === at || at !== asked.current ? null : was)), [at, head.run_id]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const move = (seq: number) => {
    if (seq < 1 || seq > last) return;
    setMoving(seq);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => stop((asked.current = seq)), REST);
  };
  useKeys({ s: () => slider.current?.focus() });
  const row = rows[now - first];
  const words = row ? `${row.path || row.kind}${row.visit > 1 ? ` ${row.visit}` : ""}` : "";
  const name = `step of ${last.toLocaleString()}`;
  return (
    <>
      <Picture fingerprint={head.fingerprint} {...{ lit, standings, losses, choose, chosen, walk, ask }} />
      {read && last > 1 && (
        <section class="scrub" aria-label="The run, step by step">
          <div class="rail">
            <button class="btn bare small" aria-label="a step back" disabled={now < 2} onClick={() => move(now - 1)}>
              <Icon name="left" />
            </button>
            <input
              type="range"
              ref={slider}
              min={1}
              max={last}
              value={now}
              aria-label={name}
              aria-valuetext={`step ${now} of ${last}: ${words}`}
              onInput={(event) => move(Number(event.currentTarget.value))}
            />
            <button class="btn bare small" aria-label="a step on" disabled={now >= last} onClick={() => move(now + 1)}>
              <Icon name="right" />
            </button>
          </div>
          {(isChosen || moving !== null || field) && (
            <>
              <p class="caption">
                <b class="num">
                  {now.toLocaleString()} <span class="soft">of {last.toLocaleString()}</span>
                </b>
                <span class="did">
                  <b>{words}</b> <span class="soft">{row && brief(told(row), 90)}</span>
                </span>
                {found?.cost ? <span class="num soft">{dollars(found.cost)}</span> : null}
              </p>
              <select
                class="btn small"
                aria-label="follow a field"
                value={field}
                onChange={(event) => follow(event.currentTarget.value)}
              >
                <option value="">{field ? "follow none" : "follow…"}</option>
                {[...new Set([...fields, field])].filter(Boolean).map((each) => (
                  <option key={each} value={each}>
                    {each}
                  </option>
                ))}
              </select>
            </>
          )}
          {field && found && <Followed {...{ field, now, isMoving: moving !== null }} stop={found} />}
        </section>
      )}
    </>
  );
}

const sizeOf = (value: unknown): number => (typeof value === "string" ? value.length : 0);

/** The chosen field: word by word what the step changed of it, else what it is. Long texts are compared at rest. */
function Followed({ stop, field, now, isMoving }: { stop: Stop; field: string; now: number; isMoving: boolean }) {
  const { value, was } = stop;
  const isLong = sizeOf(value) + sizeOf(was) > AT_ONCE || (typeof value === "object" && value !== null);
  const isChanged = useMemo(() => value !== was && writeJson(value) !== writeJson(was), [value, was]);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const first = box.current!.querySelector<HTMLElement>("ins, del");
    box.current!.scrollTop = first ? first.offsetTop - 40 : 0;
  }, [now, isLong && isMoving]);
  return (
    <div class="followed scrolls" tabIndex={0} role="region" aria-label={`${field} after step ${now}`} ref={box}>
      <div class={isChanged ? "" : "same"}>
        {isChanged && !(isLong && isMoving) ? (
          <Change before={was} after={value} key={now} />
        ) : (
          <Value value={isLong && isMoving ? `${brief(value, 400)}` : value} fold={20_000} />
        )}
      </div>
    </div>
  );
}
