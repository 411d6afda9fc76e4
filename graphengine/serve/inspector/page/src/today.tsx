// Today beside yesterday: what broke and what to do, each graph, version, tenant and agent, and the new errors.

import { type ComponentChildren, createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";

import { query } from "./api";
import { Ask } from "./bulk";
import { Copy, Corner, Failure, Link, Sign, Tabs, go, useDocument, useNow } from "./parts";
import type { Answers, Culprit, Group, NewError, Numbers, Rate, RetriedRuns, Session, Today } from "./types";
import { count, dollars, moment, seconds, startOfDay } from "./words";

const DAY = 86_400;
const MOST = 50; // rows that are shown at first
const FOLLOWED = 60_000; // milliseconds after a retry
const BYS = ["graph", "version", "tenant", "agent"];

/** The list of the runs that a number counts. */
const runsOf = (more: Record<string, string | number>) => `/?${query(more)}`;
const word = (name: string, value: string) => `${name}:${/^\S+$/.test(value) ? value : `"${value}"`}`;
const share = (part: number, of: number) => (of ? (part / of) * 100 : 0);
const percent = (part: number, of: number) =>
  `${share(part, of).toLocaleString(undefined, { maximumFractionDigits: 1, minimumFractionDigits: 1 })} %`;
const spent = ({ cost_usd, unknown_costs }: Numbers) => `${unknown_costs ? "at least " : ""}${money(cost_usd)}`;
const money = (amount: number) => (amount >= 1 ? `$${amount.toFixed(2)}` : dollars(amount));

/** Do something to all runs that are found, after one question; "" if the reader cannot. */
const Retry = createContext<((where: Record<string, string>) => void) | null>(null);

export function TodayPage({ parameters, session }: { parameters: Record<string, string>; session: Session }) {
  const by = BYS.includes(parameters.by!) ? parameters.by! : "graph";
  const [retried, setRetried] = useState<Record<string, string> | null>(null);
  const [done, setDone] = useState("");
  const [every, setEvery] = useState(30); // seconds; what was retried is followed more closely
  const tick = Math.floor(useNow(every) / every);
  const midnight = startOfDay();
  const [found, error] = useDocument("today", { by, midnight, tick, done });
  const [tables, unread] = useDocument("tables", { tick });
  const areMoving = found?.retried.some(({ statuses }) => statuses.running || statuses.queued);
  useEffect(() => {
    if (!done && !areMoving) return setEvery(30);
    setEvery(2);
    const timer = setTimeout(() => setEvery(30), FOLLOWED);
    return () => clearTimeout(timer);
  }, [done, areMoving]);
  const mayRetry = session.rights.includes("operate") && !session.read_only && session.drives !== null;
  useEffect(() => {
    document.title = "today · graphengine inspector";
  }, []);
  const day = new Date().toLocaleDateString([], { day: "numeric", month: "long", weekday: "short" });
  return (
    <main class="today">
      <header class="top">
        <Link to="/" class="back">
          ‹ runs
        </Link>
        <h1>Today</h1>
        {found && (
          <span class="soft hide">
            {day}, until {moment(found.now)}, beside yesterday
          </span>
        )}
        <span class="grow" />
        <Corner />
      </header>
      <div class="in">
        {error && <Failure error={error} />}
        {done && <p role="status">{done}</p>}
        <Retry.Provider value={mayRetry ? setRetried : null}>
          {found && <Shown found={found} by={by} budget={tables?.tables.find(({ spent }) => spent)?.spent || ""} />}
        </Retry.Provider>
        {retried && (
          <Ask action="retry" chosen={{ where: retried }} close={() => setRetried(null)} done={(said) => {
            setRetried(null);
            setDone(said);
          }} />
        )}
        {unread && <Failure error={unread} />}
        <Tables tables={tables?.tables || []} />
      </div>
    </main>
  );
}

function Shown({ found, by, budget }: { found: Today; by: string; budget: string }) {
  const { today, yesterday, midnight: begun_after } = found;
  const groups = found.groups.groups;
  const [isWhole, setWhole] = useState(false);
  const rows = isWhole ? groups : groups.slice(0, MOST);
  const most = Math.max(1, ...rows.flatMap((each) => each.hours.map(([runs]) => runs!)));
  const isWorse = groups[0]?.verdict === "worse";
  const order = groups.some((each) => each.today.cost_usd) ? "cost most" : "ran most";
  const { culprit, dearest } = found;
  const rest = today.cost_usd - groups.reduce((sum, each) => sum + each.today.cost_usd, 0);
  return (
    <>
      {culprit && <Broke culprit={culprit} begun_after={begun_after} />}
      {found.retried.map((each) => (
        <Repaired key={`${each.graph} ${each.like}`} each={each} />
      ))}
      <div class="cards-of">
        <Card name="Runs begun" was={yesterday.runs.toLocaleString()}>
          <Link to={runsOf({ begun_after })}>{today.runs.toLocaleString()}</Link>
        </Card>
        <Card name="Failed" was={percent(yesterday.failed, yesterday.runs)}>
          <Link to={runsOf({ status: "failed", begun_after })}>{percent(today.failed, today.runs)}</Link>
        </Card>
        <Card name="Finished, but lost something" was={percent(yesterday.lost, yesterday.runs)}>
          <Link to={runsOf({ text: "lost:yes", begun_after })}>{percent(today.lost, today.runs)}</Link>
        </Card>
        <Card
          name="Spent"
          was={spent(yesterday)}
          more={
            <>
              {dearest && (
                <>
                  dearest agent:{" "}
                  <Link to={runsOf({ text: word("agent", dearest.name), begun_after })}>{dearest.name}</Link>{" "}
                  {money(dearest.cost_usd)} in {count(dearest.runs, "run")}
                  <br />
                </>
              )}
              {[found.forecast_usd !== null && `about ${money(found.forecast_usd)} by midnight`, budget]
                .filter(Boolean)
                .join("; ")}
            </>
          }
        >
          <Link to={runsOf({ text: "cost>0", begun_after })}>{spent(today)}</Link>
        </Card>
      </div>
      {found.is_cut && <p class="soft">Too many runs to count: earlier hours are left out.</p>}
      <Hours found={found} />
      <div class="acts">
        <h2>{isWorse ? `What got worse, then what ${order}` : `What ${order}`}</h2>
        <Tabs
          small
          label="Rows by"
          now={by}
          choose={(name) => go(`/today?${query({ by: name })}`)}
          names={BYS.map((name) => [name, name])}
        />
      </div>
      <div class="wide scrolls" tabIndex={0} role="region" aria-label={`Runs by ${by}`}>
        <table class="gets-worse">
          <thead>
            <tr>
              <th scope="col">{by}</th>
              <th scope="col">runs</th>
              <th scope="col">failed, against the version or the day before</th>
              <th scope="col">p50</th>
              <th scope="col">p95</th>
              <th scope="col">own cost</th>
              <th scope="col">runs an hour, 0 to {most}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((each) => (
              <Row key={each.name} {...{ each, by, found, most }} />
            ))}
          </tbody>
        </table>
      </div>
      {rows.length < groups.length && (
        <button class="link" onClick={() => setWhole(true)}>
          all {groups.length.toLocaleString()}
        </button>
      )}
      <p class="soft small">
        {!isWorse && `No ${by} got worse. `}
        Small figures: yesterday until {moment(found.now)}. “Worse” is beyond three standard errors; under 20 runs are
        too few to say. Cost is of a run’s own steps
        {by === "agent" && rest > 0.005 && `; ${money(rest)} more was spent outside agents`}.
      </p>
      <h2>
        New errors of today <span class="soft small">that no run of yesterday had</span>
      </h2>
      {!found.errors.length && <p class="soft">None.</p>}
      {found.errors.map((each) => (
        <Fault key={each.like} {...{ each, begun_after }} />
      ))}
    </>
  );
}

function Card({
  name,
  was,
  more,
  children,
}: {
  name: string;
  was: string;
  more?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section class="card">
      <h2>{name}</h2>
      <b class="big-number num">{children}</b> <span class="soft small">yesterday {was}</span>
      {more && <p>{more}</p>}
    </section>
  );
}

/** The day by the hour: runs, those that failed, yesterday as a line, and the first runs of versions. */
function Hours({ found: { hours, marks, midnight } }: { found: Today }) {
  const most = Math.max(1, ...hours.map(([runs, , before]) => Math.max(runs!, before!)));
  const x = (at: number) => ((at - midnight) / DAY) * 240;
  const y = (runs: number) => 40 - (runs / most) * 38;
  return (
    <figure class="day">
      <svg viewBox="0 0 240 40" preserveAspectRatio="none" role="img" aria-label="Runs begun by the hour of today">
        {hours.map(([runs, failed, before], hour) => (
          <g key={hour}>
            <title>{`${hour} h: ${count(runs!, "run")}, ${failed} failed; yesterday ${before}`}</title>
            <rect class="all" x={hour * 10 + 0.5} y={y(runs!)} width="9" height={40 - y(runs!)} />
            <rect class="fill-failed" x={hour * 10 + 0.5} y={y(failed!)} width="9" height={40 - y(failed!)} />
            <rect class="before" x={hour * 10} y={y(before!)} width="10" height="0.4" />
          </g>
        ))}
        {marks.map(([at, graph, version]) => (
          <rect class="mark" key={`${graph} ${version}`} x={x(at)} y="0" width="0.5" height="40" />
        ))}
      </svg>
      <figcaption class="soft small">
        Grey: runs an hour, at most {most}; red: failed; line: yesterday.
        {marks.map(([at, graph, version]) => (
          <span key={`${graph} ${version}`}>
            {" "}
            <i class="mark" /> {graph} {version} since {moment(at)}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

function filterOf({ name, graph, version }: Group, by: string): Record<string, string> {
  if (by === "graph") return { graph: name };
  return by === "version" ? { graph, text: word("version", version) } : { text: word(by, name) };
}

/** Show what no search finds, as the runs of no tenant, without a link. */
function Plain({ children }: { to: string; children?: ComponentChildren }) {
  return <>{children}</>;
}

function Row({ each, by, found, most }: { each: Group; by: string; found: Today; most: number }) {
  const { midnight: begun_after, now: until } = found;
  const filter = filterOf(each, by);
  const isVersions = each.since !== null;
  const isNew = each.yesterday.runs === 0;
  const To = each.name ? Link : Plain;
  const rate = (rate: Rate, when: object) => (
    <To
      to={runsOf({
        ...filter,
        ...(isVersions ? { text: word("version", rate.name), begun_after: begun_after - DAY } : when),
        status: "failed",
      })}
    >
      {percent(rate.failed, rate.runs)}
    </To>
  );
  const points = share(each.now.failed, each.now.runs) - share(each.was.failed, each.was.runs);
  const verdicts = { noise: "within noise", few: "too few to say", new: "new today" };
  const signed = `${points > 0 ? "+" : ""}${points.toFixed(1)}`;
  return (
    <tr>
      <th scope="row">
        <To to={by === "graph" ? `/graph?${query({ graph: each.name })}` : runsOf(filter)}>
          {each.name || "no tenant"}
        </To>
        {isVersions && <small class="soft">{` ${each.version} since ${moment(each.since!)}`}</small>}
      </th>
      <td>
        <To to={runsOf({ ...filter, begun_after })}>{each.today.runs.toLocaleString()}</To>
        {!isNew && <small class="soft">{each.yesterday.runs.toLocaleString()}</small>}
      </td>
      <td class="text">
        {each.was.runs > 0 && (
          <>
            {each.was.name} {rate(each.was, { begun_after: begun_after - DAY, begun_before: until - DAY })} →{" "}
          </>
        )}
        {each.was.runs > 0 && each.now.name} {rate(each.now, { begun_after })}{" "}
        <span class={`chip ${{ worse: "bad", better: "ok" }[each.verdict as string] || ""}`}>
          {verdicts[each.verdict as "few"] || `${signed}, ${each.verdict}`}
        </span>
        {each.error && (
          <small class="soft">
            {each.error.runs} of {each.today.failed}:{" "}
            <To to={runsOf({ ...errorOf(each.error, filter.text), graph: filter.graph || "", begun_after })}>
              {each.error.example}
            </To>
            , {moment(each.error.since)} to {moment(each.error.last)}
          </small>
        )}
      </td>
      <td>{seconds(each.median_seconds)}</td>
      <td>{seconds(each.p95_seconds)}</td>
      <td>
        {spent(each.today)}
        {!isNew && <small class="soft">{spent(each.yesterday)}</small>}
      </td>
      <td>
        <svg class="spark" viewBox="0 0 240 40" preserveAspectRatio="none" aria-hidden="true">
          {each.hours.map(([runs, failed], hour) =>
            [runs!, failed!].map((number, index) => (
              <rect
                key={`${hour} ${index}`}
                class={index ? "fill-failed" : "all"}
                x={hour * 10 + 1}
                y={40 - (number / most) * 40}
                width="8"
                height={(number / most) * 40}
              />
            )),
          )}
          {isVersions && each.since! >= begun_after && (
            <rect class="mark" x={((each.since! - begun_after) / DAY) * 240} y="0" width="2" height="40" />
          )}
        </svg>
      </td>
    </tr>
  );
}

const errorOf = ({ like }: NewError, more = "") => ({
  status: "failed",
  text: `${more} ${word("error", `=${like}`)}`.trim(),
});

/** The same search as a command takes it, between single quotes. */
function searchOf({ text = "", begun_after }: { text?: string; begun_after: string }) {
  const since = new Date(Number(begun_after) * 1000).toISOString().slice(0, 19);
  return ["status:failed", text, `after:${since}+00:00`].filter(Boolean).join(" ").replaceAll("'", "'\\''");
}

function Fault({ each, begun_after }: { each: NewError; begun_after: number }) {
  const where = { ...errorOf(each), begun_after: `${begun_after}` };
  return (
    <section class="fault">
      <div>
        <b dir="auto">{each.example}</b>
        <p class="soft">
          <Link to={runsOf(where)}>{count(each.runs, "run")}</Link> · since {moment(each.since)}, last{" "}
          {moment(each.last)} · {[...each.versions, ...each.tenants].join(", ")}
        </p>
      </div>
      <span class="acts">
        <Copy text={`graphengine whatif --runs '${searchOf(where)}'`}>copy what if</Copy>
        <RetryAll where={where} runs={each.runs} />
      </span>
    </section>
  );
}

/** A button that retries all that are found; who cannot is led to them. */
function RetryAll({ where, runs }: { where: Record<string, string>; runs: number }) {
  const retry = useContext(Retry);
  if (!retry) {
    return (
      <Link to={runsOf(where)} class="btn">
        See all {runs.toLocaleString()}
      </Link>
    );
  }
  return (
    <button class="btn" onClick={() => retry(where)}>
      Retry all {runs.toLocaleString()}…
    </button>
  );
}

/** What most likely broke today, in one sentence, and what to do. */
function Broke({ culprit, begun_after }: { culprit: Culprit; begun_after: number }) {
  const { graph, now, was, is_version: isVersion, error } = culprit;
  const version = isVersion ? word("version", now.name) : "";
  // Its number has no message only if those that failed are of yesterday.
  const since = { graph, begun_after: `${error || !isVersion ? begun_after : begun_after - DAY}` };
  const failed = { status: "failed", ...(version && { text: version }) };
  const where = { ...(error ? errorOf(error, version) : failed), ...since };
  // A version without a label is named by how the fingerprint of its graph begins, which git does not know.
  const old = isVersion && !/^[0-9a-f]{8}$/.test(was.name) ? was.name : "COMMIT";
  return (
    <section class="broke" aria-label="What broke">
      <p>
        <Sign status="failed" />{" "}
        <b>{isVersion ? `${now.name} of ${graph}` : graph}</b> fails <b>{percent(now.failed, now.runs)}</b> (
        {was.name} {percent(was.failed, was.runs)})
        {error && (
          <>
            , <Link to={runsOf(where)}>{count(error.runs, "time")}</Link>{" "}
            <code dir="auto">{error.example}</code>, since {moment(error.since)}
          </>
        )}
        .
      </p>
      <InCommon where={where} />
      <p class="acts">
        <span>
          {isVersion
            ? `Deploy ${was.name} again, or repair ${now.name}; then retry what failed.`
            : "Its code is as before: check its input and what it calls, then retry what failed."}
        </span>
        <span class="grow" />
        {isVersion && (
          <Link to={`/today?${query({ by: "version" })}`} class="btn bare">
            Compare versions
          </Link>
        )}
        <Copy text={`graphengine prove ${graph} --old ${old} --runs '${searchOf(where)}'`}>copy prove</Copy>
        <RetryAll where={where} runs={error ? error.runs : now.failed} />
      </p>
      {old === "COMMIT" && (
        <p class="soft">
          In the copied command, replace COMMIT with a commit with which {graph} worked. The page fills it in if
          GRAPHENGINE_DEPLOY names the commit of each deploy.
        </p>
      )}
    </section>
  );
}

/** What the failed runs have in common and the others have not; read after the page has shown the rest. */
function InCommon({ where }: { where: Record<string, string> }) {
  const [found, error] = useDocument("in_common", where);
  if (error) return <Failure error={error} />;
  if (!found) return <p class="soft">Comparing the failed runs with the others…</p>;
  const [best] = found.features;
  const at = best ? found.text.indexOf(best.text) : found.text.length;
  const [before, after] = [found.text.slice(0, at), found.text.slice(at + (best?.text.length || 0))];
  const span = found.until ? `, begun from ${moment(found.since)} to ${moment(found.until)}` : "";
  return (
    <p class="common">
      {before}
      {best && <code dir="auto">{best.text}</code>}
      {after}. <small class="soft">{found.sample && `${found.sample}${span}.`}</small>
    </p>
  );
}

/** What had failed and was tried again today, and what became of it. */
function Repaired({ each: { graph, example, runs, since, last, statuses } }: { each: RetriedRuns }) {
  const words: Record<string, string> = {
    failed: "failed again",
    interrupted: "wait for a worker",
    queued: "wait for a worker",
  };
  const sums = new Map<string, number>();
  for (const [status, number] of Object.entries(statuses)) {
    const word = words[status] || status;
    sums.set(word, (sums.get(word) || 0) + number);
  }
  const parts = [...sums].map(([word, number]) => `${number.toLocaleString()} ${word}`);
  const [from, to] = [moment(since), moment(last)];
  const when = from === to ? `at ${from}` : `from ${from} to ${to}`;
  const sign = statuses.failed ? "failed" : statuses.finished === runs ? "finished" : "running";
  return (
    <section class={`broke ${statuses.failed ? "" : "repaired"}`} aria-label="What was retried">
      <p>
        <Sign status={sign} />{" "}
        <b>
          {runs.toLocaleString()} {runs === 1 ? "run" : "runs"} of {graph}
        </b>{" "}
        failed with <code dir="auto">{example}</code> {when}, and {runs === 1 ? "was" : "were"} retried:{" "}
        <b>{parts.join(", ")}</b>.
      </p>
    </section>
  );
}

/** What wings show, such as what is left of budgets. */
function Tables({ tables }: { tables: Answers["tables"]["tables"] }) {
  return (
    <>
      {tables
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

