// What the detail of a run shows besides its steps: the outcome, the state, what it cost, its branches.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { query } from "./api";
import { Acts, Questions } from "./acts";
import { Scores } from "./chart";
import { Chip, Failure, Link, Sign, Tabs, runAddress, useDocument } from "./parts";
import { type Doing, Trouble } from "./step";
import { Reading, Value } from "./text";
import { type Row, TROUBLES, nameOf } from "./trace";
import type { Head, Run as Found, Session, SpendingOfRun } from "./types";
import { brief, count, dollars, kilo, seconds } from "./words";

/** The tab Run: an open question first, then the result, how it ended, what went wrong, and the input. */
export function Outcome({
  id,
  head,
  rows,
  session,
  select,
  doing,
  now,
  tab,
}: {
  id: string;
  head: Found;
  rows: Row[];
  session: Session;
  select: (seq: number) => void;
  doing: Doing | null;
  now: number;
  tab: (name: string) => void;
}) {
  const isOver = !["running", "queued"].includes(head.shown);
  const end = useMemo(() => rows.findLast((row) => row.kind === "node" && !/[[/]/.test(row.path)), [rows]);
  const wrong = useMemo(() => rows.filter((row) => TROUBLES.includes(row.tone)), [rows]);
  const groups = useMemo(() => groupsOf(wrong), [wrong]);
  const place = head.ending && !head.error ? end : rows.findLast((row) => row.path);
  const compares = useMemo(() => rows.some((row) => / [<>]=? -?\d/.test(row.why)), [rows]);
  const key = isOver ? head.seq : 0;
  const open = head.waits.length > 0 && ["waiting", "running"].includes(head.shown);
  return (
    <>
      {open && <Questions run={head} session={session} resume={head.commands.resume} />}
      {head.shown === "running" && <Now doing={doing} now={now} />}
      {head.error && head.shown === "failed" && (
        <>
          <h3>
            Why it failed{" "}
            <span class="end">
              <button class="link" onClick={() => select(wrong.at(-1)?.seq || head.seq)}>
                {head.error.path || "the run"}
              </button>
            </span>
          </h3>
          <Trouble error={head.error} />
        </>
      )}
      {isOver && end && key > 0 && <Result id={id} head={head} end={end} />}
      <div class="two">
        <section>
          <h3>{head.ending || head.error ? "Why it ended" : "Where it is"}</h3>
          <p>
            {head.ending && <b>{head.ending.label || (head.ending.why === "otherwise" ? "reached END" : "")} </b>}
            {place && (
              <>
                at{" "}
                <button class="link" onClick={() => select(place.seq)}>
                  {nameOf(place.path).replace(/\[\d+\]$/, "")}
                  {place.visit > 1 && ` ${place.visit}`}
                </button>
              </>
            )}
            {place?.why && (
              <>
                : <code>{place.why}</code>
              </>
            )}
          </p>
          {key > 0 && compares && <Scores id={id} steps={key} selected={head.seq} select={select} isQuiet />}
        </section>
        <section>
          <h3>What went wrong on the way</h3>
          {groups.length ? (
            <ul class="events">
              {groups.slice(0, MOST).map(({ row, times }) => (
                <li key={row.seq}>
                  <Sign status={row.tone === "failed" ? "failed" : "losses"} label={row.tone} />
                  <button class="link plain" onClick={() => select(row.seq)}>
                    <b>{times > 1 ? row.path.replace(/\[\d+\]$/, "") : row.path}</b>{" "}
                    {row.tone === "rejected" ? `the answer of ${row.agent} was rejected` : brief(row.text, 140)}
                  </button>
                  <Chip>
                    {times > 1 && `${times} × `}
                    {WORDS[row.tone]}
                  </Chip>
                </li>
              ))}
              {groups.length > MOST && <li class="soft">and {groups.length - MOST} more</li>}
            </ul>
          ) : (
            <p class="soft">Nothing.</p>
          )}
        </section>
      </div>
      <Input id={id} />
      {head.usage.calls > head.usage.offline_calls && (
        <>
          <h3>
            Where the money went{" "}
            <span class="end">
              <button class="link" onClick={() => tab("cost")}>
                by model and node
              </button>
            </span>
          </h3>
          <Spending id={id} seq={key} isBrief />
        </>
      )}
      <Acts head={head} at={head.seq} session={session} commands={head.commands} />
    </>
  );
}

const MOST = 12; // kinds of problems that are listed

/** Problems that differ only in the item, the attempt or a number, once, with how often there were. */
function groupsOf(rows: Row[]): { row: Row; times: number }[] {
  const found = new Map<string, { row: Row; times: number }>();
  for (const row of rows) {
    const key = `${row.path} ${row.tone} ${row.text}`.replace(/\d+/g, "#");
    const group = found.get(key);
    if (group) group.times += 1;
    else found.set(key, { row, times: 1 });
  }
  return [...found.values()];
}

const WORDS: Record<string, string> = {
  failed: "failed",
  retry: "retried",
  fallback: "fell back",
  rejected: "asked again",
  broken: "told the model",
};

/** The nodes that run now, and the text of running calls as it comes. */
function Now({ doing, now }: { doing: Doing | null; now: number }) {
  if (!doing?.here) {
    return (
      <p class="soft now">
        Another process drives this run: the text of a call appears once the call is recorded. It appears while it is
        written for runs that are started here, with <code>--drive</code>.
      </p>
    );
  }
  return (
    <section class="now" aria-label="Running now">
      <h3>Running now</h3>
      {doing.nodes.map((each) => (
        <p key={each.path}>
          <b>{each.path}</b>{" "}
          <span class="soft">
            {each.visit > 1 && `visit ${each.visit}, `}
            {each.attempt > 1 && `attempt ${each.attempt}, `}
            {seconds(Math.max(0, now - each.at))}
          </span>
        </p>
      ))}
      {doing.texts.map((each) => (
        <Text key={each.number} text={each} />
      ))}
    </section>
  );
}

function Text({ text }: { text: Doing["texts"][number] }) {
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    box.current!.scrollTop = box.current!.scrollHeight;
  }, [text.text]);
  return (
    <div class="msg assistant">
      <header>
        <b>{text.agent}</b> answers at {text.path}
      </header>
      <pre class="plain" tabIndex={0} ref={box} data-live={text.agent}>
        {text.text}
      </pre>
    </div>
  );
}

/** What came out: the longest text that the run wrote, preferably in its last step; else what that step wrote. */
function Result({ id, head, end }: { id: string; head: Head; end: Row }) {
  const [state] = useDocument("state", { id, at: head.seq });
  const [last] = useDocument("step", { id, seq: end.seq });
  const [first] = useDocument("step", { id, seq: 1 });
  if (!state || !last || !first) return <div class="room-for-result" aria-busy="true" />;
  const given = new Set(first.step.update.map((op) => (op as unknown[])[1]));
  const written = new Set(last.changes.map((each) => each.path.replace(/[.[].*$/, "")));
  const texts = Object.entries(state.state).filter(
    ([name, value]) => typeof value === "string" && value.trim() && (!given.has(name) || written.has(name)),
  ) as [string, string][];
  const size = ([name, text]: [string, string]) => text.length + (written.has(name) ? 1e9 : 0);
  const best = texts.sort((one, other) => size(other) - size(one))[0];
  const fields = [...written].filter((name) => name !== best?.[0] && state.state[name] !== undefined);
  return (
    <>
      {best && (
        <Reading
          title={
            <>
              Result <code>{best[0]}</code>
            </>
          }
          text={best[1]}
        />
      )}
      {!best && fields.length > 0 && <h3>{head.shown === "finished" ? "Result" : "Written last"}</h3>}
      {fields.length > 0 && (
        <dl class="fields card">
          {fields.map((name) => (
            <>
              <dt class="mono">{name}</dt>
              <dd>
                <Value value={state.state[name]} fold={best ? 300 : 900} />
              </dd>
            </>
          ))}
        </dl>
      )}
    </>
  );
}

function Input({ id }: { id: string }) {
  const [first] = useDocument("step", { id, seq: 1 });
  const ops = (first?.step.update || []) as [string, string, unknown][];
  const given = ops.filter((op) => op[2] !== "" && op[2] !== null && !(Array.isArray(op[2]) && !op[2].length));
  if (!given.length) return null;
  return (
    <>
      <h3>Input</h3>
      <dl class="fields">
        {given.map(([, name, value]) => (
          <>
            <dt class="mono">{name}</dt>
            <dd>
              <Value value={value} fold={600} />
            </dd>
          </>
        ))}
      </dl>
    </>
  );
}

export function State({ id, at }: { id: string; at: number }) {
  const [found, error] = useDocument("state", { id, at });
  if (error) return <Failure error={error} />;
  if (!found) return <div aria-busy="true" />;
  const table = (values: Record<string, unknown>) => (
    <dl class="fields">
      {Object.entries(values).map(([name, value]) => (
        <>
          <dt class="mono">{name}</dt>
          <dd>
            <Value value={value} />
          </dd>
        </>
      ))}
    </dl>
  );
  return (
    <>
      <h2>State after step {at}</h2>
      {table(found.state)}
      {Object.entries(found.inside)
        .slice(0, 100)
        .map(([frame, values]) => (
          <section key={frame}>
            <h3>
              in <code>{frame}</code>
            </h3>
            {table(values)}
          </section>
        ))}
    </>
  );
}

type By = "agent" | "model" | "node";

export function Spending({ id, seq, isBrief = false }: { id: string; seq: number; isBrief?: boolean }) {
  const [by, setBy] = useState<By>("agent");
  const [found, error] = useDocument("usage", { id, seq });
  if (error) return <Failure error={error} />;
  if (!found) return null;
  if (!found.spending.length) return <p>No model was asked.</p>;
  const sums = summed(found, by);
  const most = Math.max(...sums.map(([, sum]) => sum.cost_usd || 0));
  return (
    <>
      {!isBrief && (
        <div class="acts">
          <Tabs
            small
            now={by}
            choose={(name) => setBy(name as By)}
            label="Cost by"
            names={[
              ["agent", "by agent"],
              ["model", "by model"],
              ["node", "by node"],
            ]}
          />
        </div>
      )}
      <table class="sums">
        <thead>
          <tr>
            <th scope="col">{by}</th>
            <th scope="col">calls</th>
            <th scope="col">in</th>
            <th scope="col">out</th>
            <th scope="col">cost</th>
            <th class="w" aria-hidden="true" />
          </tr>
        </thead>
        <tbody>
          {sums.map(([name, sum]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{sum.calls}</td>
              <td>{kilo(sum.input_tokens)}</td>
              <td>{kilo(sum.output_tokens)}</td>
              <td>
                <b>{dollars(sum.cost_usd)}</b>
              </td>
              <td class="w" aria-hidden="true">
                <i style={{ width: `${((sum.cost_usd || 0) / (most || 1)) * 100}%` }} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

interface Sum {
  calls: number;
  input_tokens: number;
  output_tokens: number;
  cost_usd: number | null;
}

function summed(found: SpendingOfRun, by: By): [string, Sum][] {
  const sums = new Map<string, Sum>();
  for (const each of found.spending) {
    const key = each[by] || "by rules";
    const sum = sums.get(key) || { calls: 0, input_tokens: 0, output_tokens: 0, cost_usd: 0 };
    sum.calls += each.calls;
    sum.input_tokens += each.input_tokens;
    sum.output_tokens += each.output_tokens;
    sum.cost_usd = each.cost_usd === null || sum.cost_usd === null ? null : sum.cost_usd + each.cost_usd;
    sums.set(key, sum);
  }
  return [...sums].sort(
    (one, other) => (other[1].cost_usd || 0) - (one[1].cost_usd || 0) || other[1].calls - one[1].calls,
  );
}

export function Branches({ id }: { id: string }) {
  const [found, error] = useDocument("branches", { id });
  if (error) return <Failure error={error} />;
  if (!found) return null;
  if (!found.runs.length) return <p>No run was branched from this one.</p>;
  return (
    <>
      <h2>{count(found.runs.length, "branch").replace(/branchs$/, "branches")}</h2>
      <ul class="branches">
        {found.runs.map((run) => (
          <li key={run.run_id}>
            <Sign status={run.status} />
            <span>
              <Link to={runAddress(run.run_id)}>{run.run_id}</Link> at step {run.parent?.seq}{" "}
              <span class="soft">{run.summary?.reason}</span>
            </span>
            <Link to={`/compare?${query({ a: id, b: run.run_id })}`}>compare</Link>
          </li>
        ))}
      </ul>
    </>
  );
}
