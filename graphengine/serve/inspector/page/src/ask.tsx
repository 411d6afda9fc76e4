// A question to a person: what led to it, what is proposed, and the answer, which is sent some seconds later.

import { useEffect, useRef, useState } from "preact/hooks";

import { post } from "./api";
import { Field, type Schema, blank, branchesOf, clicksOf, problemOf, resolved } from "./form";
import { Command, Icon, Sign, canDrive, reachable, useAct } from "./parts";
import { Change, Diff, Markdown, Value } from "./text";
import type { About, Head, ListedRun, Session, Wait } from "./types";
import { writeJson } from "./json";
import { largeIn } from "./large";
import { ago, brief, moment, nodeWords } from "./words";

export const ASKS = ["ask", "pause", "unknown"];
const UNDO = 10; // seconds
const LONG = 60; // characters of a text that is shown as a diff

type Standing = Pick<Head, "run_id" | "graph" | "waits" | "updated_at"> | ListedRun;

/** What a run waits for. Yes and no, and the words of a choice, take one click; anything else has a form. */
export function Questions({
  run,
  about,
  isInPlace = false,
  session,
  resume,
  answerers,
  answered,
}: {
  run: Standing;
  about: About[];
  isInPlace?: boolean; // below the conversation, which has what led to it
  session: Session;
  resume?: string;
  answerers?: string[];
  answered?: (wait: string) => void;
}) {
  return (
    <section class="questions" aria-label="Questions">
      {run.waits.map((wait) => (
        <Question
          key={wait.id}
          about={about.find((each) => each.id === wait.id)}
          {...{ run, wait, isInPlace, session, resume, answerers, answered: answered && (() => answered(wait.id)) }}
        />
      ))}
    </section>
  );
}

/** An answer that is not sent yet. */
interface Held {
  value: unknown;
  word: string;
  reason: string;
  left: number;
}

function Question({
  run,
  wait,
  about,
  isInPlace,
  session,
  resume,
  answerers = [],
  answered,
}: {
  run: Standing;
  wait: Wait;
  about: About | undefined;
  isInPlace: boolean;
  session: Session;
  resume: string | undefined;
  answerers: string[] | undefined;
  answered: (() => void) | undefined;
}) {
  const schema = wait.schema as Schema | null;
  const [value, setValue] = useState(() =>
    schema && branchesOf(resolved(schema, schema), schema) ? undefined : blank(schema),
  );
  const [act, busy, said] = useAct();
  const [sent, setSent] = useState(false);
  const [refused, setRefused] = useState<{ word: string; value: unknown } | null>(null);
  const [reason, setReason] = useState("");
  const [held, setHeld] = useState<Held | null>(null);
  const undo = useRef<HTMLButtonElement>(null);
  const drives = canDrive(session, run.graph);
  const bodyOf = ({ value: given, reason: why }: Held) => ({
    run_id: run.run_id,
    id: wait.id,
    value: given ?? null,
    reason: why,
  });
  const send = async (now: Held) => {
    setHeld(null);
    const done = drives
      ? "the answer is recorded, and the run is continued"
      : "the answer is recorded; a worker or `resume` continues the run";
    if (!(await act("runs/{run_id}/answer", bodyOf(now), done))) return;
    setSent(true);
    answered?.();
  };
  useEffect(() => {
    if (!held) return undefined;
    const timer = setTimeout(() => (held.left > 1 ? setHeld({ ...held, left: held.left - 1 }) : send(held)), 1000);
    return () => clearTimeout(timer);
  }, [held]);
  useEffect(() => undo.current?.focus(), [held !== null]);
  const leave = useRef<() => void>(() => {});
  leave.current = () => {
    if (!held) return;
    leave.current = () => {};
    // What was given is not taken back by leaving.
    post("runs/{run_id}/answer", bodyOf(held), { keepalive: true }).catch(() => {});
  };
  useEffect(() => {
    const left = () => leave.current();
    addEventListener("pagehide", left);
    return () => {
      removeEventListener("pagehide", left);
      left();
    };
  }, []);
  const node = nodeWords(wait.name);
  const since = (
    <span class="soft small">
      since {moment(run.updated_at)}
      {wait.due_at && `, ends by itself ${moment(wait.due_at)}`}
    </span>
  );
  if (!ASKS.includes(wait.kind)) {
    const words = wait.kind === "receive" ? `for a message on ${wait.topic}` : wait.question || wait.name;
    return (
      <div class="question quiet">
        <header>
          <Sign status="waiting" /> <b>waits</b> {words} {since}
        </header>
      </div>
    );
  }
  if (wait.answered && !sent) {
    const { by, at, value: given } = wait.answered;
    return (
      <div class="question quiet">
        <header>
          <Sign status="waiting" /> <b>{node}</b> answered{by && ` by ${by}`}: {brief(given)}{" "}
          <span class="soft small">{ago(at)}, waits for a worker or a resume</span>
        </header>
        <div class="asked">
          <Markdown text={wait.question || wait.name} />
        </div>
        {!drives && resume && <Command words="continue it here" text={resume} />}
      </div>
    );
  }
  const hold = (word: string, given: unknown, why = "") =>
    setHeld({ value: given, word, reason: why.trim(), left: UNDO });
  const problem = problemOf(schema, value);
  const clicks = clicksOf(schema);
  const found = resolved(schema, schema || {});
  const isForm = !found.enum && found.type !== "boolean";
  const isMore = isForm && clicks.length > 0;
  const words = about?.tool ? about.words : wait.question || wait.name;
  const isChanged = about !== undefined && isChangedBy(about, changedIn(value)); // a plain Yes would not send that
  const isTable = !words.includes("```") && /\n\S+ {2,}\S/.test(words);
  const may = !session.read_only && session.rights.includes("answer");
  const isYesNo = clicks.some(([, each]) => each === false);
  const [yes, ...others] = clicks;
  return (
    <form
      class="question"
      onSubmit={(event) => {
        event.preventDefault();
        if (!problem) hold(answerWords(value), value);
      }}
    >
      <header>
        <Sign status="waiting" /> <b>{node}</b> asks {since}
      </header>
      {about && <Differs about={about} />}
      {about && !isInPlace && <Before about={about} />}
      <Facts wait={wait} />
      <div class="asked" ref={reachable} dir="auto">
        {about?.tool && (
          <p>
            May {about.agent} call {about.tool}?
          </p>
        )}
        {words && (isTable ? <pre>{words}</pre> : <Markdown text={words} />)}
      </div>
      {about?.tool && Object.keys(about.arguments).length > 0 && <Call about={about} changed={changedIn(value)} />}
      {!may && !sent && <MayNot session={session} answerers={answerers} />}
      {held && (
        <div class="held" role="group" aria-label="Not sent yet">
          <span>
            <b>{held.word}</b>
            {held.reason && `, “${held.reason}”`}
            <br />
            <span class="soft">is sent in {held.left} s</span>
          </span>
          <span class="sides">
            <button type="button" class="btn bare big" onClick={() => send(held)}>
              Send now
            </button>
            <button
              type="button"
              class="btn big"
              ref={undo}
              onClick={({ currentTarget }) => {
                currentTarget.closest<HTMLElement>("[tabindex]")?.focus(); // so that Tab and j go on from this question
                setHeld(null);
              }}
            >
              Undo
            </button>
          </span>
          <i style={{ width: `${held.left * (100 / UNDO)}%` }} />
        </div>
      )}
      {may && !sent && !held && refused && (
        <div class="refusal">
          <label>
            Why not? It is recorded with the answer.
            <textarea
              rows={2}
              maxLength={500}
              value={reason}
              ref={(field) => field?.focus()}
              onInput={(event) => setReason(event.currentTarget.value)}
            />
          </label>
          <div class="sides">
            <button type="button" class="btn bare big" onClick={() => setRefused(null)}>
              Back
            </button>
            <button type="button" class="btn danger big" onClick={() => hold(refused.word, refused.value, reason)}>
              Send {refused.word}
            </button>
          </div>
        </div>
      )}
      {may && !sent && !held && !refused && (
        <>
          {isYesNo && !isChanged && (
            <div class="sides">
              {others.map(([word, each]) => (
                <button
                  type="button"
                  class="btn big"
                  key={word}
                  disabled={busy}
                  onClick={() => (each === false ? setRefused({ word, value: each }) : hold(word, each))}
                >
                  {each === false ? `${word}…` : word}
                </button>
              ))}
              <button type="button" class="btn main big" disabled={busy} onClick={() => hold(yes![0], yes![1])}>
                {yes![0]}
              </button>
            </div>
          )}
          {!isYesNo && clicks.length > 0 && (
            <div class="choices">
              {clicks.map(([word, each]) => (
                <button type="button" class="btn big" key={word} disabled={busy} onClick={() => hold(word, each)}>
                  {word}
                </button>
              ))}
            </div>
          )}
          {isForm && (
            <Field schema={schema} root={schema || {}} value={value} set={setValue} name="answer" isLeft={isMore} />
          )}
          {isForm && (!isMore || value !== undefined) && (
            <div class="acts">
              <button class="btn main big" disabled={busy || Boolean(problem)}>
                Send the answer
              </button>
              <span class="soft">{problem}</span>
            </div>
          )}
        </>
      )}
      {said}
      {sent && !drives && resume && <Command words="continue it here" text={resume} />}
    </form>
  );
}

function MayNot({ session, answerers }: { session: Session; answerers: string[] }) {
  if (session.rights.includes("answer")) return <p class="soft">this inspector is read-only</p>;
  const last = answerers.length > 1 ? ` and ${answerers.at(-1)}` : "";
  const names = answerers.slice(0, last ? -1 : 1).join(", ") + last;
  return (
    <p class="may-not soft">
      You can read this{session.user && `, ${session.user}`}, and not answer it.{" "}
      {names && (
        <>
          <b>{names}</b> may.
        </>
      )}
    </p>
  );
}

/** The arguments that an answer changes, by name. */
function changedIn(value: unknown): Record<string, unknown> {
  const given = value && typeof value === "object" ? (value as { arguments?: unknown }).arguments : null;
  return given && typeof given === "object" ? (given as Record<string, unknown>) : {};
}

/** An answer in words. */
export function answerWords(value: unknown): string {
  if (value === true) return "Yes";
  if (value === false) return "No";
  const changed = Object.entries(changedIn(value)).map(([name, each]) => `${nodeWords(name)}: ${brief(each, 40)}`);
  if (changed.length) return `Yes, with ${changed.join(", ")}`;
  const refused = value && typeof value === "object" ? (value as { refuse?: unknown }).refuse : null;
  return typeof refused === "string" ? `No: “${refused}”` : brief(value, 80);
}

const isChangedBy = ({ arguments: given }: About, changed: Record<string, unknown>): boolean =>
  writeJson({ ...given, ...changed }) !== writeJson(given);

/** The call that a question is about, with what the answer changes in it. */
function Call({ about, changed }: { about: About; changed: Record<string, unknown> }) {
  const was = isChangedBy(about, changed) ? about.arguments : undefined;
  return <Proposed was={was} now={{ ...about.arguments, ...changed }} isCall />;
}

/** What distinguishes a run from others that ask the same. */
function Differs({ about }: { about: About }) {
  const found = Object.entries(about.differs);
  if (!found.length) return null;
  return (
    <dl class="facts-of">
      {found.map(([name, value]) => (
        <>
          <dt>{nodeWords(name)}</dt>
          <dd>
            <Value value={value} fold={300} />
          </dd>
        </>
      ))}
    </dl>
  );
}

/** What led to a question: what the agent was told, what it found, and what it wrote. */
export function Before({ about }: { about: About }) {
  const { agent, said, writes, found } = about;
  if (!said && !writes && !found.length) return null;
  return (
    <section class="chat before" aria-label="What led to it">
      {said && (
        <div class="said user" dir="auto" ref={reachable}>
          <Markdown text={plainOf(said)} />
        </div>
      )}
      {found.length > 0 && (
        <ul class="found" aria-label="What the agent found">
          {found.map((each, index) => (
            <li key={index}>
              <span class="soft">
                <Icon name="tool" /> <b>{nodeWords(each.tool)}</b>{" "}
                {Object.entries(each.arguments)
                  .map(([name, value]) => `${name} ${brief(value, 40)}`)
                  .join(", ")}{" "}
                {each.is_error ? "failed" : "→"}
              </span>{" "}
              <span dir="auto">
                <Value value={each.text} fold={400} />
              </span>
            </li>
          ))}
        </ul>
      )}
      {writes && (
        <div class="said" dir="auto">
          <small class="soft">{agent}</small>
          <Markdown text={writes} />
        </div>
      )}
    </section>
  );
}

const WRAPPED = /^<(\w+)>\n?([\s\S]*?)\n?<\/\1>$/;

/** A message without the tags around what a person wrote. */
export const plainOf = (text: string): string => WRAPPED.exec(text)?.[2] ?? text;

/** What the graph names for the one who answers: facts, and what is proposed against what was. */
function Facts({ wait }: { wait: Wait }) {
  const facts = Object.entries(wait.facts || {});
  const { proposed, old } = wait;
  return (
    <>
      {facts.length > 0 && (
        <dl class="facts-of">
          {facts.map(([path, value]) => (
            <>
              <dt>{nodeWords(path.replace(/^.*\./, ""))}</dt>
              <dd>
                <Value value={value} fold={600} />
              </dd>
            </>
          ))}
        </dl>
      )}
      {proposed !== undefined && <Proposed was={old} now={proposed} />}
    </>
  );
}

/** An argument of a call: a short one in bold, a long one as it is read. */
function Argument({ value }: { value: unknown }) {
  const isLong = typeof value === "string" && (value.length > LONG || value.includes("\n"));
  return isLong || (value && typeof value === "object") ? <Value value={value} fold={900} /> : <b>{brief(value)}</b>;
}

function Proposed({ was, now, isCall = false }: { was: unknown; now: unknown; isCall?: boolean }) {
  if (largeIn([was, now]).length) {
    return (
      <section class="proposed" aria-label="What is proposed, with what it changes">
        <Change before={was} after={now} />
      </section>
    );
  }
  const isText = (each: unknown): each is string => typeof each === "string";
  const isLong = (one: unknown, other: unknown) => isText(one) && isText(other) && one.length + other.length > LONG;
  const isObject = (each: unknown) => each !== null && typeof each === "object" && !Array.isArray(each);
  const members = (each: unknown): Record<string, unknown> =>
    isObject(each) ? (each as Record<string, unknown>) : { "": each };
  const before: Record<string, unknown> = was === undefined ? {} : members(was);
  const after = members(now);
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((each) => each[0] !== "_");
  const long = names.filter((name) => isLong(before[name], after[name]) && before[name]);
  const rows = names.filter((name) => !long.includes(name));
  const shown = (each: unknown) => (each === undefined ? "" : <Argument value={each} />);
  return (
    <>
      {long.map((name) => (
        <section class="proposed" aria-label="What is proposed, with what it changes" key={name}>
          {name && <h3>{nodeWords(name)}</h3>}
          <Diff before={before[name] as string} after={after[name] as string} />
        </section>
      ))}
      {rows.length > 0 && (
        <table class="proposed">
          {(was !== undefined || !isCall) && (
            <thead>
              <tr>
                <td />
                {was !== undefined && <th scope="col">was</th>}
                <th scope="col">{isCall ? "changed to" : "proposed"}</th>
              </tr>
            </thead>
          )}
          <tbody>
            {rows.map((name) => {
              const isSame = was !== undefined && writeJson(before[name]) === writeJson(after[name]);
              return (
                <tr key={name}>
                  <th scope="row">{nodeWords(name)}</th>
                  {was !== undefined && (
                    <td dir="auto">{isSame ? brief(before[name]) : <del>{shown(before[name])}</del>}</td>
                  )}
                  <td dir="auto">{isSame ? brief(after[name]) : shown(after[name])}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </>
  );
}
