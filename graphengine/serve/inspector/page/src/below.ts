// The runs below a run: how many failed, where it went wrong, and the lines of those that a call started.

import { useEffect, useMemo, useState } from "preact/hooks";

import { get } from "./api";
import { isUnderWay } from "./parts";
import type { Line, Row } from "./trace";
import type { CountsBelow, ListedRun } from "./types";

export interface Below {
  runs: Map<string, ListedRun>;
  started: Map<string, ListedRun[]>;
  counts: Map<string, CountsBelow>;
  /** The failed runs that have no failed run below them. */
  failed: ListedRun[];
}

/** The runs below one, each of which stands before those below it. */
export function belowOf(id: string, found: ListedRun[]): Below {
  const started = new Map<string, ListedRun[]>();
  const counts = new Map<string, CountsBelow>([[id, { runs: 0, failed: 0 }]]);
  for (const run of found) {
    const level = started.get(run.starter!);
    if (level) level.push(run);
    else started.set(run.starter!, [run]);
    counts.set(run.run_id, { runs: 0, failed: 0 });
  }
  for (const run of [...found].reverse()) {
    const [own, above] = [counts.get(run.run_id)!, counts.get(run.starter!)];
    if (!above) continue;
    above.runs += own.runs + 1;
    above.failed += own.failed + Number(run.status === "failed");
  }
  const failed = found.filter((run) => run.status === "failed" && !counts.get(run.run_id)!.failed);
  return { runs: new Map(found.map((run) => [run.run_id, run])), started, counts, failed };
}

/** The runs below a run; read again while one of them is under way. */
export function useBelow(id: string, rows: Row[]): Below {
  const number = useMemo(() => rows.filter((row) => row.child).length, [rows]);
  const [found, setFound] = useState<ListedRun[]>([]);
  const [tick, setTick] = useState(0);
  useEffect(() => {
    if (!number) return undefined;
    let timer: ReturnType<typeof setTimeout>;
    const taken = ({ runs }: { runs: ListedRun[] }) => {
      setFound(runs);
      if (runs.some((run) => isUnderWay(run.status))) timer = setTimeout(() => setTick(tick + 1), 1000);
    };
    get("runs/{run_id}/below", { run_id: id }).then(taken, () => {});
    return () => clearTimeout(timer);
  }, [id, number, tick]);
  return useMemo(() => belowOf(id, found), [id, found]);
}

/** The lines of a run, in which a call that started a run has the runs that this one started below it. */
export function nested(lines: Line[], { runs, started }: Below): Line[] {
  const deeper = (call: Line, id: string): Line[] =>
    (started.get(id) || []).map((run) => {
      const row = { ...call.rows[0]!, child: run.run_id };
      const key = `${call.key} ${run.run_id}`;
      const made = { ...call, key, rows: [row], from: run.created_at, to: run.updated_at, depth: call.depth + 1 };
      return { ...made, below: deeper(made, run.run_id) };
    });
  const walk = (level: Line[]): Line[] =>
    level.map((line) => {
      const child = line.kind === "call" && line.rows[0]!.child;
      if (child) return started.has(child) ? { ...line, below: deeper(line, child) } : line;
      return line.below.length ? { ...line, below: walk(line.below) } : line;
    });
  return [...runs.keys()].some((id) => started.has(id)) ? walk(lines) : lines;
}

/** The titles of the runs between a run and one above it, from the top. */
export function between(run: ListedRun, { runs }: Below): ListedRun[] {
  const found: ListedRun[] = [];
  for (let up = runs.get(run.starter || ""); up; up = runs.get(up.starter || "")) found.unshift(up);
  return found;
}
