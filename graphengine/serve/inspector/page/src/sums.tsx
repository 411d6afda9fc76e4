// Sums of the runs that a search finds: each of the last seven days, and each node.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import type { Query } from "./api";
import { Failure, useDocument } from "./parts";
import type { Trend } from "./types";
import { cost, count, dollars, seconds, startOfDay } from "./words";

/** What runs cost as far as prices are known; an unknown cost is never shown as 0. */
const spent = ({ cost_usd, unknown_costs }: Trend) =>
  cost_usd ? `${unknown_costs ? "at least " : ""}${dollars(cost_usd)}` : unknown_costs ? "unknown" : "";

const dayOf = (since: number) =>
  new Date(since * 1000).toLocaleDateString([], { day: "numeric", month: "short", weekday: "short" });

/** They are read when they are opened. */
export function Sums({ search }: { search: Query }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="in-results tall" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary class="small">Sums of the last seven days, by day and by node</summary>
      {isOpen && <Tables search={search} />}
    </details>
  );
}

function Tables({ search }: { search: Query }) {
  const [found, error] = useDocument("sums", { ...search, midnight: startOfDay() });
  if (error) return <Failure error={error} />;
  if (!found) return <p class="soft small" aria-busy="true" />;
  const { days, week, nodes, sample } = found;
  const isOne = new Set(nodes.map(({ graph }) => graph)).size < 2;
  return (
    <>
      <div class="sums-of">
        <Table
          caption="By day"
          heads={["began", "runs"]}
          rows={[...days, week].map((day) => [
            day === week ? "in all" : dayOf(day.since),
            day.runs,
            day.statuses.failed,
            spent(day),
            seconds(day.p95_seconds),
          ])}
        />
        <Table
          caption="By node"
          heads={["node", "visits"]}
          rows={nodes.slice(0, MOST).map((each) => [
            <>
              {!isOne && <span class="soft">{each.graph} </span>}
              <code>{each.node}</code>
            </>,
            each.visits,
            each.failed,
            cost(each.usage),
            seconds(each.p95_seconds),
          ])}
        />
      </div>
      <p class="soft small">
        {sample}
        {nodes.length > MOST && `; the slowest ${MOST} of ${count(nodes.length, "node")}`}
      </p>
    </>
  );
}

/** One row for each day or node: its name, a count, the failed ones, the cost and the time. No 0 is shown as failed. */
function Table({ caption, heads, rows }: { caption: string; heads: string[]; rows: Cells[] }) {
  return (
    <table class="sums">
      <caption>{caption}</caption>
      <thead>
        <tr>
          {[...heads, "failed", "cost", "95 % took at most"].map((head) => (
            <th scope="col">{head}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, all, failed, paid, time]) => (
          <tr>
            <th scope="row">{name}</th>
            <td>{all.toLocaleString()}</td>
            <td>{failed ? failed.toLocaleString() : ""}</td>
            <td>{paid}</td>
            <td>{time}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

type Cells = [ComponentChildren, number, number | undefined, string, string];

const MOST = 100; // nodes that are shown
