// A question to a person: the facts, what is proposed, and the answer, which is sent some seconds later.

import { useEffect, useRef, useState } from "preact/hooks";

import { post } from "./api";
import { Field, type Schema, blank, branchesOf, clicksOf, problemOf, resolved } from "./form";
import { Command, Sign, canDrive, useAct } from "./parts";
import { Diff, Markdown, Value } from "./text";
import type { Head, ListedRun, Session, Wait } from "./types";
import { ago, brief, moment, nodeWords } from "./words";

export const ASKS = ["ask", "pause", "unknown"];
const UNDO = 10; // seconds
const LONG = 60; // characters of a text that is shown as a diff

type Standing = Pick<Head, "run_id" | "graph" | "waits" | "updated_at"> | ListedRun;

/** What a run waits for. Yes and no, and the words of a choice, take one click; anything else has a form. */
export function Questions({
  run,
  session,
  resume,
  answerers,
  answered,
}: {
  run: Standing;
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
          {...{ run, wait, session, resume, answerers, answered: answered && (() => answered(wait.id)) }}
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
  session,
  resume,
  answerers = [],
  answered,
}: {
  run: Standing;
  wait: Wait;
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
  const goOn = (keepalive = false) => post("runs/{run_id}/resume", { run_id: run.run_id }, { keepalive });
  const send = async (now: Held) => {
    setHeld(null);
    const done = drives
      ? "the answer is recorded, and the run is continued"
      : "the answer is recorded; a worker or `resume` continues the run";
    if (!(await act("runs/{run_id}/answer", bodyOf(now), done))) return;
    setSent(true);
    answered?.();
    if (drives) goOn().catch(() => {}); // it is driven already, here or elsewhere
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
    const then = () => (drives ? goOn(true) : undefined);
    // What was given is not taken back by leaving.
    post("runs/{run_id}/answer", bodyOf(held), { keepalive: true }).then(then, () => {});
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
  const text = wait.question || wait.name;
  const may = !session.read_only && session.rights.includes("answer");
  const isYesNo = clicks.some(([, each]) => each === false);
  const [yes, ...others] = clicks;
  return (
    <form
      class="question"
      onSubmit={(event) => {
        event.preventDefault();
        if (!problem) hold(brief(value, 80), value);
      }}
    >
      <header>
        <Sign status="waiting" /> <b>{node}</b> asks {since}
      </header>
      <Facts wait={wait} />
      <div class="asked" tabIndex={0}>
        {!text.includes("```") && /\n\S+ {2,}\S/.test(text) ? <pre>{text}</pre> : <Markdown text={text} />}
      </div>
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
            <button type="button" class="btn big" ref={undo} onClick={() => setHeld(null)}>
              Undo
            </button>
          </span>
          <i style={{ width: `${held.left * (100 / UNDO)}%` }} />
        </div>
      )}
      {may && !sent && !held && refused && (
        <div class="why-not">
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
          {isYesNo && (
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

function Proposed({ was, now }: { was: unknown; now: unknown }) {
  if (typeof was === "string" && typeof now === "string" && was.length + now.length > LONG) {
    return (
      <section class="proposed" aria-label="What is proposed, with what it changes">
        <Diff before={was} after={now} />
      </section>
    );
  }
  const isObject = (each: unknown) => each !== null && typeof each === "object" && !Array.isArray(each);
  const members = (each: unknown): Record<string, unknown> =>
    isObject(each) ? (each as Record<string, unknown>) : { "": each };
  const before: Record<string, unknown> = was === undefined ? {} : members(was);
  const after = members(now);
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((each) => each[0] !== "_");
  const shown = (each: unknown) => (each === undefined ? "" : brief(each));
  return (
    <table class="proposed">
      <thead>
        <tr>
          <td />
          {was !== undefined && <th scope="col">was</th>}
          <th scope="col">proposed</th>
        </tr>
      </thead>
      <tbody>
        {names.map((name) => {
          const [one, other] = [shown(before[name]), shown(after[name])];
          return (
            <tr key={name}>
              <th scope="row">{nodeWords(name)}</th>
              {was !== undefined && <td>{one === other ? one : <del>{one}</del>}</td>}
              <td>
                <b>{other}</b>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
