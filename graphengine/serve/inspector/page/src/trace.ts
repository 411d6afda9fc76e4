// The tree of a run: visits of nodes, the calls in them, the items of maps, and what happened to the run itself.

import type { Account, Row as Sent } from "./types";
import { both } from "./words";

/** The account of a step, where it is in the picture, and what it cost: null if that is not known. */
export type Row = Required<Account> & Omit<Required<Sent>, "account"> & { cost_usd: number | null };

const PLAIN = {
  path: "",
  visit: 0,
  attempt: 0,
  took: null,
  tone: "",
  text: "",
  said: "",
  facts: [],
  sent: [],
  withdrawn: [],
  changes: "",
  shifts: [],
  error: "",
  sent_back: "",
  targets: [],
  edge: "",
  choice: "",
  inside: "",
  due: null,
  why: "",
  agent: "",
  model: "",
  name: "",
  by: "",
  ended_by: "",
  usage: {},
  child: "",
  count: 0,
  losses: {},
  spots: [],
  edges: [],
  compared: {},
};

/** A row as it was sent, with what it leaves out. */
export const whole = ({ account, ...place }: Sent): Row =>
  ({ ...PLAIN, ...account, ...place, cost_usd: costOf(account) }) as Row;

/** What a step cost; null if that is not known. */
export const costOf = ({ usage }: Account): number | null => (usage && "cost_usd" in usage ? usage.cost_usd! : 0);

/** What happened in a step, on one line: how it failed, what it did and what was said, or what it changed. */
export function told(row: Row): string {
  const said = row.said && `${row.text}${row.text.endsWith(" returned") ? " " : ": "}${row.said}`;
  const withdrawn = row.withdrawn.map((each) => `asks no longer: ${each}`);
  const happened = [said || row.text, ...row.facts, ...row.sent, ...withdrawn, ...row.shifts].filter(Boolean);
  return row.error || happened.join("; ") || row.changes;
}

export const TROUBLES = ["failed", "retry", "fallback", "rejected", "broken"];
const EVENTS = ["started", "branched", "resumed", "stopped", "joined", "message", "refused"];
const ENDS = ["node", "item", "failed"];

/** An item of a map, as far as it is. */
export interface Cell {
  index: number;
  how: "running" | "done" | "retry" | "fallback" | "failed";
  tries: number;
  seq: number;
  errors: { seq: number; text: string }[];
  from: number;
  to: number;
}

/** A line of the trace, with those below it. */
export interface Line {
  key: string;
  kind: "event" | "visit" | "map" | "call" | "loop";
  name: string;
  visit: number;
  rows: Row[];
  seq: number;
  from: number;
  to: number;
  isOpen: boolean;
  below: Line[];
  cells: Map<number, Cell>;
  count: number;
  tone: string;
  cost: number | null;
  depth: number;
}

function line(key: string, kind: Line["kind"], name: string, row: Row | null, depth: number): Line {
  const from = row ? row.at - (row.took || 0) : Infinity;
  return {
    key,
    kind,
    name,
    visit: row?.visit || 1,
    rows: [],
    seq: 0,
    from,
    to: from,
    isOpen: true,
    below: [],
    cells: new Map(),
    count: 0,
    tone: "",
    cost: 0,
    depth,
  };
}

const ITEM = /^(.*)\[(\d+)\]$/;

/** The path around a path, and the index of the item that it is. */
function around(path: string): [string, number | null] {
  const item = ITEM.exec(path);
  if (item) return [item[1]!, Number(item[2])];
  const at = path.lastIndexOf("/");
  return [at < 0 ? "" : path.slice(0, at), null];
}

const WORST = ["", "call", "ended", "waiting", "rejected", "broken", "retry", "fallback", "failed"];
const worse = (one: string, other: string) => (WORST.indexOf(one) > WORST.indexOf(other) ? one : other);

/** The last part of a path: the name of a node, or of an item. */
export const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** Build the lines of a run; in a conversation each message that it hears begins a turn, which is one line. */
export function linesOf(rows: Row[], isChat = false): Line[] {
  const top: Line[] = [];
  const open = new Map<string, Line>(); // the newest visit at each path
  const at = (row: Row | null, path: string): Line => {
    const known = open.get(path);
    if (known && (!row || known.visit === row.visit)) return known;
    const [outer, index] = around(path);
    const parent = outer ? at(null, outer) : null;
    const made = line(
      `${path}#${row?.visit || 1}#${row?.seq || 0}`,
      "visit",
      nameOf(path),
      row,
      parent ? parent.depth + 1 : 0,
    );
    if (index !== null && parent) parent.kind = "map";
    open.set(path, made);
    (parent ? parent.below : top).push(made);
    return made;
  };
  for (const row of rows) {
    if (row.kind === "message" && row.child) continue; // the end of a child, which has its line
    const last = top.at(-1);
    if (row.kind === "removed" && last?.rows[0]?.kind === "removed") {
      last.rows.push(row); // thousands, of which only numbers and times are left
      Object.assign(last, { name: `steps ${last.rows[0].seq} to ${row.seq} removed`, seq: row.seq, to: row.at });
      continue;
    }
    if (!row.path || row.kind === "joined") {
      const made = line(`event ${row.seq}`, "event", eventName(row), row, 0);
      Object.assign(made, { rows: [row], seq: row.seq, from: row.at, to: row.at, isOpen: false, cost: row.cost_usd });
      made.tone = TROUBLES.includes(row.tone) || row.tone === "waiting" ? row.tone : "";
      const [outer] = row.path ? around(row.path) : [""];
      const parent = outer ? open.get(outer) : null;
      made.depth = parent ? parent.depth + 1 : 0;
      (parent ? parent.below : top).push(made);
      continue;
    }
    const visit = at(row, row.path);
    take(visit, row);
    const [outer, index] = around(row.path);
    const parent = outer ? open.get(outer) : undefined;
    if (parent && index !== null) tell(parent, index, row);
    for (let up = parent, path = outer; up; [path] = around(path), up = path ? open.get(path) : undefined) {
      if (TROUBLES.includes(row.tone)) up.tone = worse(up.tone, row.tone);
      up.cost = both(up.cost, row.cost_usd);
      up.from = Math.min(up.from, visit.from);
      up.to = Math.max(up.to, visit.to);
    }
  }
  settle(top);
  return loopsOf(turnsOf(top, isChat));
}

/** The lines of a conversation: what follows a message until the next one is a turn, which is one line. */
function turnsOf(lines: Line[], isChat: boolean): Line[] {
  const found: Line[] = [];
  let number = 0;
  let turn: Line | undefined;
  for (const each of lines) {
    const row = each.rows[0];
    if (row?.kind === "message" && (isChat || row.text === "turn") && row.said) {
      number += 1;
      const name = `turn ${number}`;
      turn = { ...each, key: name, name, rows: [{ ...row, text: row.said, said: "" }], below: [] };
      found.push(turn);
    } else if (turn && !each.rows.some((one) => one.kind === "waiting")) {
      deepen(each);
      turn.below.push(each);
      turn.tone = worse(turn.tone, TROUBLES.includes(each.tone) ? each.tone : "");
      turn.cost = both(turn.cost, each.cost);
      turn.to = Math.max(turn.to, each.to);
    } else if (!number) found.push(each);
    else if (turn && each.rows.some((one) => one.kind === "waiting")) {
      deepen(each);
      turn.below.push(each);
    }
  }
  return found;
}

const ROUNDS = 5; // of which a loop is one line
const LONGEST = 6; // nodes of a round

/** A level with each loop as one line, below which are its rounds; a round that is under way stays apart. */
function loopsOf(lines: Line[]): Line[] {
  const found: Line[] = [];
  const isVisit = (at: number) => at < lines.length && lines[at]!.kind === "visit";
  for (let at = 0; at < lines.length; ) {
    let [length, rounds] = [0, 0];
    for (let size = 1; size <= LONGEST && rounds < ROUNDS && isVisit(at + size - 1); size += 1) {
      let end = at + size;
      while (isVisit(end) && lines[end]!.name === lines[end - size]!.name) end += 1;
      [length, rounds] = [size, Math.floor((end - at) / size)];
    }
    const under = rounds && lines.slice(at + (rounds - 1) * length, at + rounds * length).some(({ isOpen }) => isOpen);
    if (under) rounds -= 1;
    if (rounds < ROUNDS) {
      found.push(lines[at]!);
      at += 1;
      continue;
    }
    found.push(loop(lines.slice(at, at + rounds * length), length, rounds));
    at += rounds * length;
  }
  for (const each of found) if (each.kind !== "loop") each.below = loopsOf(each.below);
  return found;
}

function loop(below: Line[], length: number, rounds: number): Line {
  const [first, last] = [below[0]!, below.at(-1)!];
  const name = below.slice(0, length).map((each) => each.name).join(" → ");
  below.forEach(deepen);
  return {
    ...line(`loop ${first.key}`, "loop", name, null, first.depth - 1),
    rows: below.flatMap((each) => each.rows),
    below,
    count: rounds,
    seq: last.seq,
    from: first.from,
    to: below.reduce((latest, each) => Math.max(latest, each.to), -Infinity),
    isOpen: false,
    tone: below.reduce((worst, each) => worse(worst, each.tone), ""),
    cost: below.reduce<number | null>((sum, each) => both(sum, each.cost), 0),
  };
}

/** The number that the conditions of a loop compared most often, and what it was, round by round. */
export function comparedIn(loop: Line): { name: string; values: number[] } {
  const found = new Map<string, number[]>();
  for (const row of loop.rows) {
    for (const [name, value] of Object.entries(row.compared || {})) {
      if (!Number.isFinite(value)) continue;
      const known = found.get(name);
      if (known) known.push(value);
      else found.set(name, [value]);
    }
  }
  const [name, values] = [...found].sort((one, other) => other[1].length - one[1].length)[0] || ["", []];
  return { name, values };
}

function deepen(line: Line): void {
  line.depth += 1;
  line.below.forEach(deepen);
}

function eventName(row: Row): string {
  if (row.kind === "started") return "input";
  return row.path ? `${row.kind} ${nameOf(row.path)}` : row.kind;
}

/** Add a step to its visit. */
function take(visit: Line, row: Row): void {
  visit.rows.push(row);
  visit.from = Math.min(visit.from, row.at - (row.took || 0));
  visit.to = Math.max(visit.to, row.at);
  visit.seq = row.seq;
  visit.cost = both(visit.cost, row.cost_usd);
  if (row.kind === "mapped") Object.assign(visit, { kind: "map", count: row.count });
  if (ENDS.includes(row.kind)) visit.isOpen = false;
  else if (!EVENTS.includes(row.kind)) visit.isOpen = true;
  visit.tone = row.tone === "waiting" ? visit.tone : worse(visit.tone, row.tone);
  if (row.kind !== "recorded") return;
  const begun = row.child && visit.below.find((each) => each.rows[0]!.child === row.child);
  if (begun) {
    begun.rows.push(row);
    return;
  }
  const call = line(`call ${row.seq}`, "call", row.agent || row.name, row, visit.depth + 1);
  Object.assign(call, { rows: [row], seq: row.seq, to: row.at, isOpen: false, cost: row.cost_usd });
  call.tone = row.tone === "broken" ? "broken" : "";
  if (row.tone === "rejected") {
    const before = visit.below.findLast((each) => each.kind === "call" && each.rows[0]!.agent === row.agent);
    if (before) before.tone = "rejected";
  }
  visit.below.push(call);
}

/** Note in a map what a step says about one of its items. */
function tell(map: Line, index: number, row: Row): void {
  let cell = map.cells.get(index);
  if (!cell) {
    const from = row.at - (row.took || 0);
    cell = { index, how: "running", tries: 1, seq: row.seq, errors: [], from, to: row.at };
    map.cells.set(index, cell);
  }
  cell.seq = row.seq;
  cell.to = row.at;
  cell.tries = Math.max(cell.tries, row.attempt || 1);
  if (row.tone === "retry" || row.tone === "failed" || row.tone === "fallback") {
    cell.errors.push({ seq: row.seq, text: told(row) });
  }
  if (row.kind === "item") cell.how = row.tone === "fallback" ? "fallback" : cell.errors.length ? "retry" : "done";
  else if (row.kind === "failed") cell.how = "failed";
  else cell.how = "running";
}

/** Put the lines of each level in the order in which they began. */
function settle(lines: Line[]): void {
  let last = -Infinity;
  let isSorted = true;
  for (const each of lines) {
    if (each.from < last) isSorted = false;
    last = each.from;
    if (each.below.length) settle(each.below);
  }
  if (!isSorted) lines.sort((one, other) => one.from - other.from);
}

/** What is shown: the lines that are unfolded, or those that fit a search or have a problem, and those around. */
export function shownOf(
  lines: Line[],
  isFolded: (line: Line) => boolean,
  fits: ((line: Line) => boolean) | null,
): Line[] {
  const found: Line[] = [];
  const walk = (level: Line[]): boolean => {
    let some = false;
    for (const each of level) {
      const place = found.length;
      found.push(each);
      if (fits) {
        const inner = walk(each.below);
        if (!inner && !fits(each)) found.length = place;
        else some = true;
      } else if (!isFolded(each)) walk(each.below);
    }
    return some;
  };
  walk(lines);
  return found;
}

/** The time axis of a run: when nothing ran, it is cut short. */
export interface Scale {
  x: (time: number) => number;
  /** Marks: a place, and how long the run had worked until there. */
  marks: [number, number][];
  /** Where nothing ran: from, to, and for how long. */
  cuts: [number, number, number][];
}

const GAP = 0.03; // of the axis, for each cut
const LEAST = 1; // seconds without work that are cut short

export function scaleOf(lines: Line[], now: number): Scale {
  const spans: [number, number][] = [];
  const walk = (level: Line[]) => {
    for (const each of level) {
      if (each.kind === "event" || !each.rows.length || each.below.some((inner) => inner.kind === "visit")) {
        walk(each.below);
        continue;
      }
      for (const row of each.rows) if (row.took !== null) spans.push([row.at - row.took, row.at]);
      if (each.isOpen && now && !each.rows.some((row) => row.kind === "waiting")) spans.push([each.from, now]);
    }
  };
  walk(lines);
  if (!spans.length && lines.length) spans.push([lines[0]!.from, lines.at(-1)!.to]);
  spans.sort((one, other) => one[0] - other[0]);
  const merged: [number, number][] = [];
  for (const [from, to] of spans) {
    const last = merged.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  const busy = merged.reduce((sum, [from, to]) => sum + to - from, 0) || 1e-6;
  const joined: [number, number][] = [];
  for (const [from, to] of merged) {
    const last = joined.at(-1);
    if (last && from - last[1] < Math.max(LEAST, busy * 0.12)) last[1] = to;
    else joined.push([from, to]);
  }
  if (!joined.length) joined.push([0, 1]);
  const length = joined.reduce((sum, [from, to]) => sum + to - from, 0) || 1e-6;
  const gap = Math.min(GAP, 0.5 / joined.length);
  const rate = (1 - gap * (joined.length - 1)) / length;
  const begins: number[] = [];
  let place = 0;
  for (const [from, to] of joined) {
    begins.push(place);
    place += (to - from) * rate + gap;
  }
  const x = (time: number) => {
    let [low, high] = [0, joined.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (joined[middle]![0] <= time) low = middle;
      else high = middle - 1;
    }
    const [from, to] = joined[low]!;
    return Math.min(1, Math.max(0, begins[low]! + (Math.min(Math.max(time, from), to) - from) * rate));
  };
  const marks = [0, 0.25, 0.5, 0.75, 1].map((each): [number, number] => [each, each * length]);
  return {
    x,
    marks,
    cuts: begins.slice(1).map((each, index): [number, number, number] => {
      return [each - gap, each, joined[index + 1]![0] - joined[index]![1]];
    }),
  };
}

/** How a map goes on: how many are done, and how long the rest takes if it goes on as it did. */
export function progressOf(map: Line, now: number): { done: number; left: number | null } {
  const cells = [...map.cells.values()];
  const done = cells.filter((each) => each.how !== "running").length;
  const since = now - map.from;
  return { done, left: done >= 3 && since > 0.5 ? ((map.count - done) * since) / done : null };
}

/** How often each node and edge was visited and taken up to a step, and the edges of that step. */
export interface Counts {
  spots: Map<number, number>;
  edges: Map<number, number>;
  last: number[];
}

const MARK = 512; // steps from one known count to the next

/** The counts after any step of a whole run: added up from the nearest step where they are known. */
export function counterOf(rows: Row[]): (at: number) => Counts {
  const known: Counts[] = [{ spots: new Map(), edges: new Map(), last: [] }];
  const add = ({ spots, edges, last }: Counts, from: number, to: number): Counts => {
    const sum = { spots: new Map(spots), edges: new Map(edges), last };
    for (let index = from; index < to; index++) {
      const row = rows[index]!;
      for (const spot of row.spots) sum.spots.set(spot, (sum.spots.get(spot) || 0) + 1);
      for (const edge of row.edges) sum.edges.set(edge, (sum.edges.get(edge) || 0) + 1);
    }
    return sum;
  };
  return (at) => {
    const end = Math.min(at, rows.length);
    const mark = Math.floor(end / MARK);
    while (known.length <= mark) known.push(add(known.at(-1)!, (known.length - 1) * MARK, known.length * MARK));
    const sum = add(known[mark]!, mark * MARK, end);
    const near = at === end ? rows.slice(Math.max(0, end - 3), end).findLast((row) => row.edges.length) : undefined;
    return { ...sum, last: near?.edges || [] };
  };
}
