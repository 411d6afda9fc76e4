// What the detail of a run shows besides its steps: the outcome, the state, what it cost, its branches.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { get, query } from "./api";
import { Acts } from "./acts";
import { Before, Questions, plainOf } from "./ask";
import { type Below, between } from "./below";
import { Scores } from "./chart";
import { type Large, isLarge } from "./large";
import { Chip, Failure, Link, type Problem, Sign, Tabs, isUnderWay, runAddress } from "./parts";
import { useDocument, useMoving, useRead } from "./parts";
import { PublishedValues, RefusedMessages } from "./published";
import { Trouble } from "./step";
import { Markdown, Reading, Value } from "./text";
import { type Row, TROUBLES, nameOf, told } from "./trace";
import type { Doing, Head, ListedRun, Run as Found, Session, Spending as Spent } from "./types";
import { both, brief, count, dollars, kilo, likeness, lost, seconds, titleOf } from "./words";

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
  below,
}: {
  id: string;
  head: Found;
  rows: Row[];
  session: Session;
  select: (seq: number) => void;
  doing: Doing | null;
  now: number;
  tab: (name: string) => void;
  below: Below;
}) {
  const isOver = !isUnderWay(head.shown);
  const isChat = isChatOf(head, rows);
  const end = useMemo(() => rows.findLast((row) => row.kind === "node" && !/[[/]/.test(row.path)), [rows]);
  const wrong = useMemo(() => rows.filter((row) => TROUBLES.includes(row.tone)), [rows]);
  const hasFailed = head.error !== null && head.shown === "failed";
  const groups = useMemo(() => groupsOf(hasFailed ? wrong.slice(0, -1) : wrong), [wrong, hasFailed]);
  const place = head.ending && !head.error ? end : rows.findLast((row) => row.path);
  const compared = useMemo(() => rows.findLast(hasCompared), [rows]);
  const key = isOver ? head.seq : 0;
  const open = head.waits.length > 0 && ["waiting", "running"].includes(head.shown);
  return (
    <>
      {open && !isChat && <Questions run={head} {...{ session, about: head.about }} resume={head.commands.resume} />}
      {head.shown === "running" && <Now doing={doing} now={now} />}
      {head.error && hasFailed && (
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
      <RefusedMessages refused={head.refused} select={select} />
      <PublishedValues values={head.published} select={select} />
      {isChat && (
        <Conversation id={id} seq={head.seq} isBrief={open}>
          {open && (
            <>
              {head.about.slice(0, 1).map((each) => (
                <Before key={each.id} about={each} />
              ))}
              <Questions run={head} isInPlace {...{ session, about: head.about }} resume={head.commands.resume} />
            </>
          )}
        </Conversation>
      )}
      {isOver && key > 0 && !isChat && <Result id={id} head={head} />}
      <div class={hasFailed ? "" : "two"}>
        <section hidden={hasFailed || !place}>
          <h3>{head.ending ? "Why it ended" : "Where it is"}</h3>
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
        </section>
        <section hidden={hasFailed && !groups.length && !below.failed.length}>
          <h3>What went wrong on the way</h3>
          {groups.length || below.failed.length ? (
            <ul class="events">
              {below.failed.slice(0, MOST).map((run) => (
                <li key={run.run_id}>
                  <Sign status="failed" />
                  <span>
                    <span class="soft">
                      {between(run, below).map((each) => `${titleOf(each.title, each.run_id)} › `)}
                    </span>
                    <Link to={runAddress(run.run_id)}>{titleOf(run.title, run.run_id)}</Link>{" "}
                    {brief(run.summary?.reason || "", 140)}
                  </span>
                  <Chip>failed below</Chip>
                </li>
              ))}
              {below.failed.length > MOST && <li class="soft">and {below.failed.length - MOST} more runs below</li>}
              {groups.slice(0, MOST).map(({ row, times }) => (
                <li key={row.seq}>
                  <Sign status={row.tone === "failed" ? "failed" : "losses"} label={row.tone} />
                  <button class="link plain" onClick={() => select(row.seq)}>
                    <b>{times > 1 ? row.path.replace(/\[\d+\]$/, "") : row.path}</b>{" "}
                    {row.tone === "rejected" && `the answer of ${row.agent} was rejected: `}
                    {brief(row.tone === "rejected" ? row.sent_back : row.tone === "broken" ? row.said : told(row), 140)}
                  </button>
                  <Chip>
                    {times > 1 && `${times} × `}
                    {WORDS[row.tone]}
                    {row.attempt > 1 && row.tone !== "retry" && ` after ${row.attempt} attempts`}
                  </Chip>
                </li>
              ))}
              {groups.length > MOST && <li class="soft">and {groups.length - MOST} more</li>}
            </ul>
          ) : (
            <p class="soft">{rows[0]!.seq > 1 ? `Nothing in the last ${count(rows.length, "step")}.` : "Nothing."}</p>
          )}
        </section>
      </div>
      {key > 0 && compared && !hasFailed && (
        <Scores id={id} steps={key} selected={head.seq} select={select} only={Object.keys(compared.compared)[0]} />
      )}
      {!isChat && <Input id={id} rows={rows} />}
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

const hasCompared = (row: { compared?: Record<string, number> }) => Object.keys(row.compared ?? {}).length > 0;
const MOST = 12; // kinds of problems that are listed

/**
 * Problems that differ only in the item, the attempt, a number or a name, once, with how often there were. An attempt
 * that was tried again is part of the failure or the fallback in which its visit ended.
 */
function groupsOf(rows: Row[]): { row: Row; times: number }[] {
  const found = new Map<string, { row: Row; times: number }>();
  const visit = ({ path, visit: number }: Row) => `${path} ${number}`;
  const ended = new Set(rows.filter(({ tone }) => tone === "failed" || tone === "fallback").map(visit));
  for (const row of rows) {
    if (row.tone === "retry" && ended.has(visit(row))) continue;
    const key = likeness(`${row.path} ${row.tone} ${row.sent_back || told(row)}`);
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
        Another process drives this run: the text of a call appears once the call is recorded. Runs started
        here show it at once, with <code>--drive</code>.
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

/** The value at a path of a state, such as `draft.text` or `notes[-1]`. */
function valueAt(state: unknown, path: string): unknown {
  const parts = [...path.matchAll(/\.?([^.[\]]+)|\[([^[\]{}]+)\]/g)].map(
    ([, name, key]) => name || key!.trim().replace(/^["']+|["']+$/g, ""),
  );
  const at = (value: any, part: string) => (Array.isArray(value) ? value.at(Number(part)) : value?.[part]);
  return parts.reduce(at, state);
}

/** What came out: the result that the graph declares, and below it what was written last. */
function Result({ id, head }: { id: string; head: Found }) {
  const [found] = useDocument("runs/{run_id}/state", { run_id: id, at: head.seq });
  if (!found) return <div class="room-for-result" aria-busy="true" />;
  const { declared, written } = head.result;
  const fields = written.filter((name) => name !== declared.replace(/[.[].*$/, ""));
  const isText = (name: string) => typeof found.state[name] === "string" && found.state[name] !== "";
  const first = declared ? undefined : fields.find(isText);
  const rest = fields.filter((name) => name !== first);
  return (
    <>
      {declared && (
        <Made
          title={head.shown === "finished" ? "Result" : "Result so far"}
          path={declared}
          value={valueAt(found.state, declared)}
        />
      )}
      {first ? <Made title="Written last" path={first} value={found.state[first]} /> : rest[0] && <h3>Written last</h3>}
      {rest.length > 0 && (
        <dl class="fields card">
          {rest.map((name) => (
            <>
              <dt class="mono">{name}</dt>
              <dd>
                <Value value={found.state[name]} fold={first || declared ? 300 : 900} />
              </dd>
            </>
          ))}
        </dl>
      )}
    </>
  );
}

/** A value under what it is and where it stands in the state: a text as it is read. */
function Made({ title, path, value }: { title: string; path: string; value: unknown }) {
  const name = (
    <>
      {title} <code>{path}</code>
    </>
  );
  if (typeof value === "string" && value) return <Reading title={name} text={value} />;
  return (
    <>
      <h3>{name}</h3>
      <div class="card result">
        <Value value={value} />
      </div>
    </>
  );
}

interface Message {
  role: string;
  text?: string;
  agent?: string;
  calls?: { id: string; name: string; arguments: string }[];
  call_id?: string;
  is_error?: boolean;
}

const SAID = 60; // messages that are shown at first
const LAST = 6; // and above an open question

/** Whether a run is a conversation: one of `chat=`, or one with steps of its own that hears messages and keeps them. */
export const isChatOf = (head: Pick<Head, "is_chat" | "about">, rows: Row[]): boolean =>
  rows.some(({ kind, text }) => kind === "message" && text === "turn") ||
  ((head.is_chat || head.about.some(({ agent }) => agent)) && rows.some(({ kind }) => kind === "message"));

/** A conversation as it was said; a call of a tool is a line with its result. */
function Conversation({
  id,
  seq,
  isBrief,
  children,
}: {
  id: string;
  seq: number;
  isBrief: boolean;
  children: ComponentChildren;
}) {
  const [state, unread] = useDocument("runs/{run_id}/state", { run_id: id, at: seq });
  const [all, setAll] = useState(false);
  const isSaid = (each: any) => each && typeof each === "object" && ["user", "assistant"].includes(each.role);
  const values = Object.values(state?.state || {});
  const long = values.find((each) => isLarge(each) && /^\[\{.*"role":/.test(`${each}`)) as Large | undefined;
  const [read, setRead] = useState<Message[] | null>(null);
  const [unloaded, setUnloaded] = useState<Problem | null>(null);
  useEffect(() => setRead(null), [state]);
  const messages = read || ((values.find((each) => Array.isArray(each) && each.some(isSaid)) || []) as Message[]);
  const turn = state?.state.turn as { outcome?: string; why?: string } | null | undefined;
  const results = new Map(messages.filter((each) => each.role === "tool").map((each) => [each.call_id, each]));
  const left = all ? 0 : Math.max(0, messages.length - (isBrief ? LAST : SAID));
  return (
    <section class="chat" aria-label="Conversation">
      {!state && !unread && <div aria-busy="true" />}
      {(unread || unloaded) && <Failure error={(unread || unloaded)!} />}
      {long && !read && (
        <button class="btn" onClick={() => long.load().then((found) => setRead(found as Message[]), setUnloaded)}>
          show {count(long.items!, "message")}
        </button>
      )}
      {left > 0 && (
        <button class="btn" onClick={() => setAll(true)}>
          {count(left, "earlier message")}
        </button>
      )}
      {messages.slice(left).map((each, index) => (
        <Saying key={left + index} message={each} results={results} />
      ))}
      {turn?.outcome && turn.outcome !== "answered" && (
        <p class="failure">
          The last turn was not answered: {turn.outcome}
          {turn.why && `, ${turn.why}`}
        </p>
      )}
      {children}
    </section>
  );
}

function Saying({ message, results }: { message: Message; results: Map<string | undefined, Message> }) {
  const { role, text = "", agent, calls = [] } = message;
  if (role === "tool") return null;
  const plain = plainOf(text);
  return (
    <>
      {plain && (
        <div class={`said ${role}`} dir="auto">
          {role !== "user" && <small class="soft">{agent || role}</small>}
          <Markdown text={plain} />
        </div>
      )}
      {calls.map((call) => {
        const result = results.get(call.id);
        return (
          <details class="did" key={call.id}>
            <summary class="soft">
              {call.name}({brief(call.arguments, 60)}){" "}
              {result && `${result.is_error ? "failed:" : "→"} ${brief(result.text, 80)}`}
            </summary>
            <Value value={call.arguments} />
            {result && <Value value={result.text} />}
          </details>
        );
      })}
    </>
  );
}

/** What the run began with: of a branch the input of its parent, with what the branch changed. */
function Input({ id, rows }: { id: string; rows: Row[] }) {
  const seqs = [1, ...rows.filter(({ kind, path }) => kind === "branched" && !path).map(({ seq }) => seq)];
  const [steps] = useRead("input", { id, seqs }, () =>
    Promise.all(seqs.map((seq) => get("runs/{run_id}/steps/{seq}", { run_id: id, seq }))),
  );
  const [begun] = useDocument("runs/{run_id}/state", { run_id: id, at: seqs.at(-1)! });
  const values = new Map<string, unknown>();
  for (const { step } of steps || [])
    for (const [kind, name, ...rest] of step.update as unknown[][])
      values.set(`${name}`, kind === "set" ? rest.at(-1) : begun?.state[`${name}`]); // others add to a value
  const ops = [...values].map(([name, value]): [string, string, unknown] => ["set", name, value]);
  const full = ops.filter((op) => op[2] && !(Array.isArray(op[2]) && !op[2].length));
  const given = full.length ? full : ops.filter((op) => ["number", "bigint"].includes(typeof op[2]));
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
  const [found, error] = useDocument("runs/{run_id}/state", { run_id: id, at });
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
  const [found, error] = useDocument("runs/{run_id}/usage", { run_id: id, seq });
  if (error) return <Failure error={error} />;
  if (!found) return null;
  if (!found.spending.length) return <p>No model was asked.</p>;
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
      <Sums spending={found.spending} by={by} />
    </>
  );
}

/** What models cost, by agent, model or node, the most first. */
export function Sums({ spending, by }: { spending: Spent[]; by: By }) {
  const sums = summed(spending, by);
  const most = Math.max(...sums.map(([, sum]) => sum.cost_usd || 0));
  return (
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
  );
}

interface Sum {
  calls: number;
  input_tokens: number;
  output_tokens: number;
  cost_usd: number | null;
}

function summed(spending: Spent[], by: By): [string, Sum][] {
  const sums = new Map<string, Sum>();
  for (const each of spending) {
    const key = each[by] || "by rules";
    const sum = sums.get(key) || { calls: 0, input_tokens: 0, output_tokens: 0, cost_usd: 0 };
    sum.calls += each.calls;
    sum.input_tokens += each.input_tokens;
    sum.output_tokens += each.output_tokens;
    sum.cost_usd = both(sum.cost_usd, each.cost_usd);
    sums.set(key, sum);
  }
  return [...sums].sort(
    (one, other) => (other[1].cost_usd || 0) - (one[1].cost_usd || 0) || other[1].calls - one[1].calls,
  );
}

/** The tree of branches that a run is in; then its own branches beside it, those that began alike in one table. */
export function Branches({ id }: { id: string }) {
  const [found, error, tick] = useMoving("branches", { run_id: id }, ({ runs }) =>
    runs.some((run) => isUnderWay(run.status)),
  );
  if (error) return <Failure error={error} />;
  if (!found) return null;
  const own = found.runs.filter((run) => run.parent?.run_id === id);
  const groups = new Map<string, ListedRun[]>();
  for (const run of own) {
    const key = [run.parent!.seq, ...run.tags].join("\n");
    groups.set(key, [...(groups.get(key) || []), run]);
  }
  return (
    <>
      {found.runs.length > own.length + 1 && <Tree id={id} runs={found.runs} />}
      {!own.length && <p>No run was branched from this one.</p>}
      {[...groups].map(([key, runs]) => (
        <Tries key={key} id={id} runs={runs} tick={tick} />
      ))}
    </>
  );
}

/** Runs under those that they were branched off from. */
function Tree({ id, runs }: { id: string; runs: ListedRun[] }) {
  const depths = new Map<string, number>();
  for (const { run_id, parent } of runs) depths.set(run_id, parent ? (depths.get(parent.run_id) ?? -1) + 1 : 0);
  return (
    <>
      <h2>The original run and its branches</h2>
      <ul class="events" aria-label="The original run and its branches">
        {runs.map((run) => (
          <li key={run.run_id} style={{ paddingInlineStart: `${Math.min(depths.get(run.run_id)!, 8) * 18}px` }}>
            <Sign status={run.status} />
            <span>
              {depths.get(run.run_id)! > 0 && "↳ "}
              {run.run_id === id ? (
                <b>{titleOf(run.title, run.run_id)}</b>
              ) : (
                <Link to={`/run?${query({ id: run.run_id, tab: "branches" })}`}>{titleOf(run.title, run.run_id)}</Link>
              )}{" "}
              <span class="soft">
                {run.run_id === id ? "this run" : run.run_id}
                {run.parent && `, at step ${run.parent.seq} of its parent`}
              </span>
            </span>
            {run.run_id !== id && <Link to={`/compare?${query({ a: id, b: run.run_id })}`}>compare</Link>}
          </li>
        ))}
      </ul>
    </>
  );
}

const TRIES = 30; // branches of a table

function Tries({ id, runs, tick }: { id: string; runs: ListedRun[]; tick: number }) {
  const at = runs[0]!.parent!.seq;
  const ids = [id, ...runs.slice(0, TRIES).map((run) => run.run_id)];
  const [found] = useRead("tries", { ids, tick }, () =>
    Promise.all([get("run", { run_id: id, at }), ...ids.map((run_id) => get("run", { run_id }))]),
  );
  if (!found) return <div aria-busy="true" />;
  const [then, original, ...others] = found as [Found, Found, ...Found[]];
  const numbers = ({ rows }: Found) => rows.findLast(hasCompared)?.compared ?? {};
  const paths = [...new Set(others.flatMap((head) => Object.keys(numbers(head))))].slice(0, 2);
  const spent = (head: Head) => (head.usage.cost_usd ?? NaN) - (then.usage.cost_usd ?? NaN);
  const took = (head: Head) => head.took - then.took;
  const columns: [string, (head: Head) => number | bigint | undefined, (each: any) => string][] = [
    ...paths.map((path): (typeof columns)[0] => [path, (head) => numbers(head as Found)[path], String]),
    ["cost since", spent, dollars],
    ["time since", took, seconds],
  ];
  const ended = (head: Head) => head.ending?.label || head.shown;
  const counts = new Map<string, number>();
  for (const head of others) counts.set(ended(head), (counts.get(ended(head)) || 0) + 1);
  const line = (head: Head) => (
    <tr key={head.run_id}>
      <th scope="row">
        {head === original ? "this run" : <Link to={runAddress(head.run_id)}>{head.run_id}</Link>}
        {head !== original && (
          <>
            {" · "}
            <Link to={`/compare?${query({ a: id, b: head.run_id })}`}>compare</Link>
          </>
        )}
      </th>
      <td>
        <Sign status={head.shown} /> {ended(head)} <span class="soft">{lost(head.losses)}</span>
      </td>
      {columns.map(([name, value, words]) => (
        <td key={name}>{isFinite(Number(value(head))) ? words(value(head)) : ""}</td>
      ))}
    </tr>
  );
  return (
    <>
      <h2>
        {others.length === 1 ? "1 branch" : `${others.length} branches`} at step {at}{" "}
        {runs[0]!.tags.map((tag) => (
          <Chip key={tag}>{tag}</Chip>
        ))}
      </h2>
      <div class="wide scrolls" tabIndex={0} role="region" aria-label={`branches at step ${at}`}>
        <table class="tries">
          <thead>
            <tr>
              <td />
              <th scope="col">ended</th>
              {columns.map(([name]) => (
                <th scope="col" key={name}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {line(original)}
            {others.length > 1 && (
              <tr class="spread">
                <th scope="row">{others.length} branches</th>
                <td>{[...counts].map(([word, times]) => `${times} ${word}`).join(", ")}</td>
                {columns.map(([name, value, words]) => (
                  <td key={name}>
                    <Spread values={others.map(value)} words={words} />
                  </td>
                ))}
              </tr>
            )}
            {others.map(line)}
          </tbody>
        </table>
      </div>
      {runs.length > TRIES && <p class="soft">and {runs.length - TRIES} more</p>}
    </>
  );
}

/** The median of some numbers, and the least and the greatest. */
function Spread({ values, words }: { values: (number | bigint | undefined)[]; words: (each: any) => string }) {
  const sorted = values.filter((each) => isFinite(Number(each))).sort((one, other) => (one! < other! ? -1 : 1));
  if (!sorted.length) return null;
  const [below, above] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  const middle = below === above ? below : (Number(below) + Number(above)) / 2;
  const [least, most] = [words(sorted[0]), words(sorted.at(-1))];
  return (
    <>
      {words(middle)}
      {least !== most && (
        <small class="soft">
          <br />
          {least} to {most}
        </small>
      )}
    </>
  );
}
