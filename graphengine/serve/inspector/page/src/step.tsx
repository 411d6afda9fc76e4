// Everything about one step: the conversation, what it changed, why it went where, how it failed.

import { type ComponentChildren, Fragment } from "preact";
import { useState } from "preact/hooks";

import { Notes } from "./acts";
import { Chip, Command, Copy, Failure, Tabs, useDocument } from "./parts";
import { largeIn, lengthOf } from "./large";
import { Answer, Block, Change, Json, LargeValue, Path, Prompt, Value, inMegabytes } from "./text";
import { type Line, costOf, nameOf } from "./trace";
import type { Attempt, Call, Doing, Failure as Wrong, StepDetails, Session, Tried as Way } from "./types";
import { both, cost, dollars, kilo, seconds, when, wordsOf } from "./words";

export function StepView({
  id,
  seq,
  line,
  sub,
  choose,
  select,
  tags,
  session,
  doing,
  branch,
  drives,
}: {
  id: string;
  seq: number;
  line: Line | undefined;
  sub: string;
  choose: (sub: string) => void;
  select: (seq: number) => void;
  tags: string[];
  session: Session;
  doing: Doing | null;
  branch?: () => void;
  drives: boolean;
}) {
  const [asked, setAsked] = useState(0); // the step of which all was asked for: its raw record, by a click
  const rows = line?.isOpen ? line.rows.length + line.below.length : 0; // a visit that goes on is read again
  const [found, error] = useDocument("runs/{run_id}/steps/{seq}", { run_id: id, seq, rows });
  if (error) return <Failure error={error} />;
  if (!found) return <div aria-busy="true" />;
  const { account, step, tried, changes, calls = [], attempts = [] } = found;
  const isFallback = Boolean(account.losses?.fallbacks);
  const texts = line?.isOpen ? doing?.texts.filter((each) => each.path === step.path) || [] : [];
  const failed = attempts.filter((each) => each.error);
  const talks = calls.length + texts.length > 0 || failed.length > 0;
  const why = tried.length > 0 || account.why;
  const names: [string, ComponentChildren][] = [];
  const isAgent = calls.some(agentOf) || texts.length > 0;
  if (talks) names.push(["talk", isAgent ? `Conversation ${calls.length}` : "Attempts"]);
  names.push(["changes", `Changes ${changes.length}`]);
  if (why) names.push(["why", "Why this way"]);
  const left = largeIn(step).reduce((sum, [, each]) => sum + each.characters, 0);
  names.push(["raw", left ? `Raw, ${inMegabytes(left)}` : "Raw"]);
  const wanted = sub || (step.error && !isAgent ? "talk" : "");
  const first = talks ? "talk" : changes.length || !why ? "changes" : "why";
  const now = names.some(([name]) => name === wanted) ? wanted : first;
  const spent = calls.map((each) => costOf(each.account)).reduce(both, 0);
  return (
    <article class={step.seq === seq ? "" : "stale"}>
      <div class="title">
        <h2>
          {step.path ? nameOf(step.path) : step.kind === "started" ? "input" : step.kind}
          {step.visit > 1 && ` ${step.visit}`}
        </h2>
        <span class="soft num">
          step {step.seq}
          {step.path.includes("/") && ` in ${step.path}`}
          {account.took !== undefined && ` · ${seconds(account.took)}`}
          {spent !== 0 && ` · ${dollars(spent)}`}
          {found.waited > 0 && ` · open for ${seconds(found.waited)}`}
          {account.targets && ` · → ${account.targets.join(", ")}`}
        </span>
        {account.edge && <Chip tone="ok">{account.edge}</Chip>}
        {isFallback && <Chip tone="bad">by its fallback</Chip>}
        {account.choice && <Chip>chose {account.choice}</Chip>}
        {branch && (
          <button class="btn right" onClick={branch}>
            {isAgent ? "Change, run from here…" : "Run from here…"} <kbd>b</kbd>
          </button>
        )}
      </div>
      {step.error && !isFallback && <Trouble error={step.error} />}
      <div class="acts">
        <Tabs
          small
          names={names}
          now={now}
          choose={(name) => {
            setAsked(name === "raw" ? step.seq : 0);
            choose(name);
          }}
          label="What to show of the step"
        />
      </div>
      {now === "talk" && <Conversation found={found} texts={texts} select={select} />}
      {now === "changes" && <Changes found={found} />}
      {now === "why" && <Why tried={tried} why={account.why} />}
      {now === "raw" && <Raw found={found} drives={drives} isAsked={asked === step.seq} />}
      <Facts found={found} />
      <Notes id={id} seq={seq} tags={tags} session={session} key={seq} />
    </article>
  );
}

export function Trouble({ error }: { error: Wrong }) {
  return (
    <section class="trouble">
      <p class="message" tabIndex={0}>
        <b>{error.code}</b>: {error.message}
      </p>
      {error.where && <p class="soft">at {error.where}</p>}
      {error.repair && <p>Repair: {error.repair}</p>}
      {error.traceback && (
        <details>
          <summary>traceback of attempt {error.attempt}</summary>
          <pre tabIndex={0}>{error.traceback}</pre>
        </details>
      )}
    </section>
  );
}

interface Turn {
  text?: string;
  stop?: string;
  calls?: { name: string; arguments: string }[];
  error?: boolean;
  traceback?: string;
  feedback?: string;
}

export const agentOf = ({ account }: Call): string => account.agent || "";

/** What was said, in order: instructions, questions, answers, tools, what was sent back, attempts that failed. */
function Conversation({
  found,
  texts,
  select,
}: {
  found: StepDetails;
  texts: Doing["texts"];
  select: (seq: number) => void;
}) {
  const { calls = [], attempts = [] } = found;
  const turns = calls.map((call, index) => {
    const next = calls.slice(index + 1).find((each) => agentOf(each) === agentOf(call) && agentOf(each));
    const isThrown = Boolean(agentOf(call) && next?.account.sent_back);
    return {
      seq: call.step.seq,
      part: <Said call={call} isThrown={isThrown} isHere={call.step.seq === found.step.seq} />,
    };
  });
  const failed = attempts
    .filter((each) => each.error)
    .map((each) => ({ seq: each.seq, part: <Failed attempt={each} attempts={attempts} select={select} /> }));
  const all = [...turns, ...failed].sort((one, other) => one.seq - other.seq);
  const last = attempts.at(-1);
  return (
    <div class="talk">
      {all.map(({ seq, part }) => (
        <Fragment key={seq}>{part}</Fragment>
      ))}
      {failed.length > 0 && last && !last.error && (
        <p class="soft">
          attempt {last.number} succeeded
          {last.took !== null && ` after ${seconds(last.took)}`}
        </p>
      )}
      {texts.map((each) => (
        <div class="msg assistant" key={each.number}>
          <header>
            <b>{each.agent}</b> answers now
          </header>
          <div data-live={each.agent}>
            <Answer text={each.text} />
          </div>
        </div>
      ))}
    </div>
  );
}

function Failed({
  attempt,
  attempts,
  select,
}: {
  attempt: Attempt;
  attempts: Attempt[];
  select: (seq: number) => void;
}) {
  const error = attempt.error!;
  const next = attempts.find((each) => each.number === attempt.number + 1);
  return (
    <div class="msg error attempt">
      <header>
        <b>attempt {attempt.number} failed</b>
        <span>{attempt.took !== null && seconds(attempt.took)}</span>
        <span class="end">
          <button class="link" onClick={() => select(attempt.seq)}>
            step {attempt.seq}
          </button>
        </span>
      </header>
      <p class="message" tabIndex={0}>
        <b>{error.code}</b>: {error.message}
      </p>
      {attempt.lost.map((call, index) => (
        <details key={index}>
          <summary>
            what {call.agent} asked {call.model}
          </summary>
          {call.asked.map((each, number) => (
            <div class="msg" key={number}>
              <header>
                <b>{each.role}</b> {kilo(lengthOf(each.text))} characters
                <span class="end">
                  <Copy text={each.text} />
                </span>
              </header>
              <Prompt text={each.text} />
            </div>
          ))}
        </details>
      ))}
      <p class="soft">
        {attempt.fallback ? "its fallback stands for the result" : next ? "tried again" : "not tried again"}
      </p>
      {error.traceback && (
        <details>
          <summary>traceback</summary>
          <pre tabIndex={0}>{error.traceback}</pre>
        </details>
      )}
    </div>
  );
}

/** A call: what the model was sent and what it answered; or a tool and what it returned. */
function Said({ call, isThrown, isHere }: { call: Call; isThrown: boolean; isHere: boolean }) {
  const { account, step, asked } = call;
  const turn = (step.detail.value && typeof step.detail.value === "object" ? step.detail.value : {}) as Turn;
  if (!account.agent) return <Tool call={call} isHere={isHere} />;
  const { usage } = step;
  return (
    <>
      {asked.map((each, index) =>
        each.role === "system" ? (
          <div class="msg" key={index}>
            <header>
              <b>system</b> instructions
              <span class="end">
                <Copy text={each.text} />
              </span>
            </header>
            <Block text={each.text} />
          </div>
        ) : each.text === turn.feedback ? (
          <div class="msg rejected" key={index}>
            <header>
              <b>rejected</b> sent back to the model
            </header>
            <Prompt text={each.text} />
          </div>
        ) : (
          <div class="msg" key={index}>
            <header>
              <b>{each.role}</b> {kilo(lengthOf(each.text))} characters, as sent
              <span class="end">
                <Copy text={each.text} />
              </span>
            </header>
            <Prompt text={each.text} />
          </div>
        ),
      )}
      <div class={`msg assistant ${isThrown ? "thrown" : ""} ${isHere ? "here" : ""}`}>
        <header>
          <b>{account.agent}</b> {account.model}
          {turn.stop && !["end", "tools"].includes(turn.stop) && ` ended by ${turn.stop}`}
          <span class="end num">
            {usage && usage.input_tokens + usage.output_tokens > 0 && (
              <span>
                {kilo(usage.input_tokens)} → {kilo(usage.output_tokens)} tokens
              </span>
            )}
            {cost(usage) && <span>{cost(usage)}</span>}
            <span>{seconds(account.took)}</span>
          </span>
        </header>
        {turn.text && (
          <div class={isThrown && turn.text.length > 600 ? "clamp" : ""}>
            <Answer text={turn.text} />
          </div>
        )}
        {(Array.isArray(turn.calls) ? turn.calls : []).map((each, index) => (
          <div class="callbox" key={index}>
            <b>{each.name}</b>({each.arguments})
          </div>
        ))}
        {turn.error && <p class="message">{turn.text}</p>}
        {turn.traceback && <pre tabIndex={0}>{turn.traceback}</pre>}
      </div>
    </>
  );
}

function Tool({ call: { account, step }, isHere }: { call: Call; isHere: boolean }) {
  const value = step.detail.value;
  const turn = (value && typeof value === "object" ? value : {}) as Turn;
  const shown = "text" in turn ? turn.text : value;
  return (
    <div class={`msg ${account.tone === "broken" ? "error" : "tool"} ${isHere ? "here" : ""}`}>
      <header>
        <b>{account.name?.replace(/^tool /, "")}</b>{" "}
        {account.tone === "broken" ? "failed; the model gets this message" : "returned"}
        <span class="end">{seconds(account.took)}</span>
      </header>
      <Value value={shown} fold={500} />
      {turn.traceback && (
        <details>
          <summary>traceback</summary>
          <pre tabIndex={0}>{turn.traceback}</pre>
        </details>
      )}
    </div>
  );
}

function Changes({ found }: { found: StepDetails }) {
  if (!found.changes.length) return <p class="soft">The step changed no field.</p>;
  return (
    <>
      {found.changes.map(({ path, before, after }) => {
        const texts = typeof before === "string" && typeof after === "string" && before;
        return (
          <section class="change" key={path}>
            <header>
              <Path path={path} />
              {texts ? (
                <Chip>
                  words {wordsOf(before)} → {wordsOf(after)}
                </Chip>
              ) : (
                <span class="soft">{before === null || before === undefined ? "new" : ""}</span>
              )}
              <span class="end">
                <Copy text={after} />
              </span>
            </header>
            <div>
              <Change before={before} after={after} />
            </div>
          </section>
        );
      })}
    </>
  );
}

function Why({ tried, why }: { tried: Way[]; why: string | undefined }) {
  const last = tried.findIndex((each) => each.taken);
  return (
    <>
      <table class="tried">
        <tbody>
          {tried.map((each, index) => (
            <tr key={index} class={each.taken ? "taken" : index > last ? "not" : ""}>
              <td>{index + 1}</td>
              <td>
                <b>{each.label || "otherwise"}</b> → {each.to}
                <br />
                <span class="mono soft">{each.condition}</span>
              </td>
              <td>{each.why || (each.taken ? "" : index > last ? "not tried" : "")}</td>
              <td>{each.taken && <b>taken</b>}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {tried.every((each) => !each.why) && why && <p>{why}</p>}
    </>
  );
}

const VALUES = ["answer", "payload", "sent", "emitted"] as const;

/** What a step records besides its edge, error and update: in words, and the values in whole. */
function Facts({ found: { account, step } }: { found: StepDetails }) {
  const values = VALUES.filter((name) => {
    const value = step.detail[name] as any;
    return value !== undefined && value !== null && value.length !== 0;
  });
  const { kind, text, facts = [], inside, withdrawn = [], shifts = [] } = account;
  const waits = step.detail.waits || [];
  const lines = [
    ...(kind === "waiting" ? [] : [kind === "recorded" && !account.agent && !account.child ? "" : text, ...facts]),
    inside && `its graph ended [${inside}]`,
    ...withdrawn.map((each) => `asks no longer: ${each}`),
    ...shifts,
  ].filter(Boolean);
  if (!lines.length && !values.length && !waits.length) return null;
  return (
    <>
      {lines.map((each, index) => (
        <p class="soft pre" key={index}>
          {each}
        </p>
      ))}
      {values.length + waits.length > 0 && (
        <dl class="fields">
          {waits.map((wait) => (
            <Fragment key={wait.name}>
              <dt>asks</dt>
              <dd>
                <Value value={wait.question || wait.topic || wait.kind} />
              </dd>
            </Fragment>
          ))}
          {values.map((name) => (
            <Fragment key={name}>
              <dt>{name}</dt>
              <dd>
                <Value value={step.detail[name]} />
              </dd>
            </Fragment>
          ))}
        </dl>
      )}
    </>
  );
}

function Raw({ found, drives, isAsked }: { found: StepDetails; drives: boolean; isAsked: boolean }) {
  return (
    <>
      <p class="soft">recorded {when(found.step.finished_at)}</p>
      <Json value={found.step} />
      {largeIn(found.step).map(([path, each]) => (
        <LargeValue key={path} value={each} name={path} isAsked={isAsked} />
      ))}
      {!drives && found.commands.branch && <Command words="branch from here" text={found.commands.branch} />}
    </>
  );
}
