// How runs went over time: runs, endings, losses, cost and duration, by graph or tag.

import { useEffect } from "preact/hooks";

import { query } from "./api";
import { Corner, Failure, Link, Tabs, go, useDocument } from "./parts";
import type { Trend } from "./types";
import { count, dollars, seconds } from "./words";

const STATUSES = ["finished", "stopped", "cancelled", "running", "waiting", "failed"];
const UNITS: [string, string, number][] = [
  ["3600", "by hour", 3600],
  ["86400", "by day", 86_400],
  ["604800", "by week", 604_800],
];
const MOST = 60; // intervals that are drawn

export function TrendsPage({ parameters }: { parameters: Record<string, string> }) {
  const by = parameters.by === "tag" ? "tag" : "graph";
  const every = Number(parameters.every) || 86_400;
  const [found, error] = useDocument("trends", { by, every, text: parameters.text });
  useEffect(() => {
    document.title = "trends · graphengine inspector";
  }, []);
  const to = (more: Record<string, string>) => go(`/trends?${query({ ...parameters, ...more })}`);
  const names = [...new Set((found?.trends || []).map((each) => each.name))].sort();
  return (
    <main class="trends">
      <header class="top">
        <Link to={`/?${query({ text: parameters.text })}`} class="back">
          ‹ runs
        </Link>
        <h1>Trends</h1>
        {parameters.text && <span class="soft">{parameters.text}</span>}
        <span class="grow" />
        <Corner />
      </header>
      <div class="in">
        <Tables />
        <div class="acts">
          <Tabs
            small
            label="Trends by"
            now={by}
            choose={(name) => to({ by: name })}
            names={[
              ["graph", "by graph"],
              ["tag", "by tag"],
            ]}
          />
          <Tabs
            small
            label="Intervals"
            now={String(every)}
            choose={(name) => to({ every: name })}
            names={UNITS.map(([name, words]) => [name, words])}
          />
        </div>
        {error && <Failure error={error} />}
        {found && !names.length && <p class="soft">No run fits.</p>}
        {names.map((name) => (
          <Row
            key={name}
            name={name}
            by={by}
            every={found!.every_seconds}
            last={Math.max(...found!.trends.map((each) => each.since))}
            trends={found!.trends.filter((each) => each.name === name)}
          />
        ))}
      </div>
    </main>
  );
}

/** What wings show, such as what is left of budgets. */
function Tables() {
  const [found, error] = useDocument("tables", {});
  if (error) return <Failure error={error} />;
  return (
    <>
      {found?.tables
        .filter((table) => table.rows.length)
        .map(({ title, columns, rows }) => (
          <table class="sums" key={title}>
            <caption>{title}</caption>
            <thead>
              <tr>
                {columns.map((name) => (
                  <th scope="col" key={name}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map(([first, ...more], row) => (
                <tr key={row}>
                  <th scope="row">{first}</th>
                  {more.map((text, column) => (
                    <td key={column}>{text}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        ))}
    </>
  );
}

/** One graph or tag: its sums, and a bar for each interval. */
function Row({
  name,
  by,
  every,
  last,
  trends,
}: {
  name: string;
  by: string;
  every: number;
  last: number;
  trends: Trend[];
}) {
  const sum = (of: (trend: Trend) => number) => trends.reduce((all, each) => all + of(each), 0);
  const shown = trends.filter((each) => (last - each.since) / every < MOST);
  const first = last - every * (MOST - 1);
  const most = Math.max(1, ...shown.map((each) => each.runs));
  const runs = sum((each) => each.runs);
  const [failed, lossy] = [sum((each) => each.statuses.failed || 0), sum((each) => each.with_losses)];
  const medians = trends.map((each) => each.median_seconds).filter((each) => each !== null);
  return (
    <section class="change">
      <header>
        <b>
          <Link to={`/?${query({ [by]: name })}`}>{name}</Link>
        </b>
        <span class="soft">
          {count(runs, "run")}
          {failed > 0 && `, ${failed} failed`}
          {lossy > 0 && `, ${lossy} with losses`}
        </span>
        <span class="end num">
          {sum((each) => each.unknown_costs) > 0 ? "at least " : ""}
          {dollars(sum((each) => each.cost_usd))}
          {medians.length > 0 && <span>median {seconds(medians[0])}</span>}
        </span>
      </header>
      <div>
        <svg
          class="trend"
          role="img"
          aria-label={`runs of ${name} over time`}
          viewBox={`0 0 ${MOST * 10} 40`}
          preserveAspectRatio="none"
        >
          {shown.map((each) => {
            let top = 40;
            const x = ((each.since - first) / every) * 10 + 1;
            return STATUSES.map((status) => {
              const height = ((each.statuses[status] || 0) / most) * 38;
              top -= height;
              return (
                height > 0 && (
                  <rect key={`${each.since} ${status}`} class={`fill-${status}`} {...{ x, y: top, width: 8, height }}>
                    <title>
                      {`${new Date(each.since * 1000).toLocaleString()}: ${each.statuses[status]} ${status}` +
                        ` of ${each.runs}, ${dollars(each.cost_usd)}`}
                    </title>
                  </rect>
                )
              );
            });
          })}
        </svg>
        <p class="soft small ends">
          <span>{new Date(first * 1000).toLocaleDateString()}</span>
          <span>{new Date((last + every) * 1000).toLocaleDateString()}</span>
        </p>
      </div>
    </section>
  );
}
