// Sums of the runs that a search finds: each of the last seven days, and each node.

import { useState } from "preact/hooks";

import type { Query } from "./api";
import { Failure, useDocument } from "./parts";
import type { Trend } from "./types";
import { cost, count, dollars, seconds } from "./words";

/** What runs cost as far as prices are known; an unknown cost is never shown as 0. */
const spent = ({ cost_usd, unknown_costs }: Trend) =>
  unknown_costs ? (cost_usd ? `at least ${dollars(cost_usd)}` : "unknown") : cost_usd ? dollars(cost_usd) : "";

const dayOf = (since: number) =>
  new Date(since * 1000).toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short" });

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
  const midnight = new Date().setHours(0, 0, 0, 0) / 1000;
  const [found, error] = useDocument("sums", { ...search, midnight });
  if (error) return <Failure error={error} />;
  if (!found) return <p class="soft small" aria-busy="true" />;
  const { days, nodes, sample } = found;
  const isOne = new Set(nodes.map(({ graph }) => graph)).size < 2;
  return (
    <div class="sums-of">
      <table class="sums">
        <caption>By day</caption>
        <thead>
          <tr>
            <th scope="col">began</th>
            <th scope="col">runs</th>
            <th scope="col">failed</th>
            <th scope="col">cost</th>
            <th scope="col">95 % took at most</th>
          </tr>
        </thead>
        <tbody>
          {days.map((day) => (
            <tr key={day.since}>
              <th scope="row">{dayOf(day.since)}</th>
              <td>{day.runs.toLocaleString()}</td>
              <td>{day.statuses.failed?.toLocaleString()}</td>
              <td>{spent(day)}</td>
              <td>{seconds(day.p95_seconds)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <table class="sums">
        <caption>By node</caption>
        <thead>
          <tr>
            <th scope="col">node</th>
            <th scope="col">visits</th>
            <th scope="col">failed</th>
            <th scope="col">cost</th>
            <th scope="col">95 % took at most</th>
          </tr>
        </thead>
        <tbody>
          {nodes.slice(0, MOST).map((each) => (
            <tr key={`${each.graph} ${each.node}`}>
              <th scope="row">
                {!isOne && <span class="soft">{each.graph} </span>}
                <code>{each.node}</code>
              </th>
              <td>{each.visits.toLocaleString()}</td>
              <td>{each.failed ? each.failed.toLocaleString() : ""}</td>
              <td>{cost(each.usage)}</td>
              <td>{seconds(each.p95_seconds)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="soft small">
        {sample}
        {nodes.length > MOST && `; the slowest ${MOST} of ${count(nodes.length, "node")}`}
      </p>
    </div>
  );
}

const MOST = 100; // nodes that are shown
