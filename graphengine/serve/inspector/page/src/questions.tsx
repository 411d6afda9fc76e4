// Ask me: the open questions, or those of one run, for people who answer them, and what became of those answered.

import { useEffect, useRef, useState } from "preact/hooks";

import { follow, get } from "./api";
import { ASKS, Questions, answerWords } from "./ask";
import { Corner, Failure, Link, Live, type Problem, Sign, runAddress, useKeys } from "./parts";
import type { Decided, ListedRun, Questions as Found, Session, Wait } from "./types";
import { count, moment, nodeWords, titleOf } from "./words";

const CHAT = "ge:chat:"; // what the id of a conversation with a name begins with

const DONE = 20; // answers that are shown at first

const keyOf = (run: string, wait: string) => `${run} ${wait}`;

export function QuestionsPage({ id, wait: only, session }: { id: string; wait: string; session: Session }) {
  const [found, setFound] = useState<Found | null>(null);
  const [error, setError] = useState<Problem | null>(null);
  const [live, setLive] = useState(false);
  const [mine, setMine] = useState<Set<string>>(new Set());
  const [isWhole, setWhole] = useState(false);
  const load = useRef(async () => {});
  useEffect(() => {
    document.title = "questions · graphengine inspector";
    let busy = false;
    load.current = async () => {
      if (busy) return;
      busy = true;
      try {
        setFound(await get("questions", { run_id: id }));
        setError(null);
      } catch (problem) {
        setError(problem as Problem);
      } finally {
        busy = false;
      }
    };
    load.current();
    return follow(() => ({}), { changed: () => load.current(), live: setLive });
  }, []);
  const place = useRef(0);
  const next = (step: number) => {
    const cards = [...document.querySelectorAll<HTMLElement>(".cards > [tabindex]")];
    const at = cards.findIndex((card) => card.contains(document.activeElement));
    // Where a question that was sent has gone, the next one is in its place.
    const to = at < 0 ? place.current + Math.min(step, 0) : at + step;
    place.current = Math.min(Math.max(to, 0), cards.length - 1);
    cards[place.current]?.focus();
  };
  useKeys({ j: () => next(1), k: () => next(-1) });
  const isNamed = (wait: { id: string }) => !only || wait.id === only || wait.id.startsWith(`${only}.`); // or begins so
  const isAsked = (wait: Wait) => ASKS.includes(wait.kind) && isNamed(wait);
  const runs = (found?.runs || []).map((run) => ({ ...run, waits: run.waits.filter(isAsked) }));
  const open = runs.filter((run) => run.waits.length).sort((one, other) => one.updated_at - other.updated_at);
  const done = (found?.done || []).filter(isNamed);
  const followed = done.filter((each) => id || mine.has(keyOf(each.run_id, each.id)));
  const number = open.reduce((sum, run) => sum + run.waits.length, 0);
  return (
    <main class="open-questions">
      <header class="top">
        <Link to="/" class="back">
          ‹ runs
        </Link>
        <h1>{id ? "One question" : "Ask me"}</h1>
        {id && <Link to="/questions">All questions</Link>}
        <span class="grow" />
        <Live on={live} />
        <Corner />
      </header>
      {error && <Failure error={error} />}
      <div class="body">
        <div class="cards">
          {found && !id && number > 0 && (
            <p class="soft">{`${count(number, "open question")}, the longest waiting first`}</p>
          )}
          {found && !number && id && !followed.length && (
            <p class="empty">
              <Sign status="finished" /> No longer open: <Link to={runAddress(id)}>its run</Link> went on without it.
              {only && " "}
              {only && <Link to={`/questions?id=${encodeURIComponent(id)}`}>What it asks now</Link>}
            </p>
          )}
          {found && !number && !id && !followed.length && (
            <p class="empty">
              <Sign status="finished" /> No open question. This page shows the next one by itself.
            </p>
          )}
          {followed.map((each) => (
            <article class="asking" key={`${keyOf(each.run_id, each.id)} ${each.at}`}>
              <Title run={each} />
              <Way each={each} session={session} />
            </article>
          ))}
          {open.map((run) => (
            <article class="asking" tabIndex={-1} aria-label={titleOf(run.title, run.run_id)} key={run.run_id}>
              <Title run={run} />
              <Questions
                {...{ run, session, answerers: found!.answerers }}
                about={found!.about[run.run_id] || []}
                answered={(wait) => {
                  setMine((was) => new Set(was).add(keyOf(run.run_id, wait)));
                  load.current();
                }}
              />
            </article>
          ))}
        </div>
        {!id && (
          <aside aria-label="Done">
            <h2>
              Done{" "}
              <span class="soft small">
                {found && done.length > 0 && `${done.length.toLocaleString()} in `}the last 7 days
                {found?.looked_at && `. Only ${found.looked_at.toLocaleString()} runs were searched for answers.`}
              </span>
            </h2>
            {found && !done.length && <p class="soft">Nothing was answered.</p>}
            <ul>
              {done.slice(0, isWhole ? undefined : DONE).map((each) => (
                <li key={`${keyOf(each.run_id, each.id)} ${each.at}`}>
                  <b>
                    <Link to={runAddress(each.run_id)}>{each.title || each.run_id}</Link>
                  </b>
                  <span>
                    <Sign status={signOf(each)} /> <Given each={each} session={session} />
                  </span>
                  <span class="soft">{became(each)}</span>
                </li>
              ))}
            </ul>
            {done.length > DONE && !isWhole && (
              <button class="link" onClick={() => setWhole(true)}>
                and {(done.length - DONE).toLocaleString()} more
              </button>
            )}
          </aside>
        )}
      </div>
    </main>
  );
}

function Title({ run }: { run: ListedRun | Decided }) {
  return (
    <header>
      <h2 dir="auto">{run.title || (run.run_id.startsWith(CHAT) ? titleOf("", run.run_id) : nodeWords(run.graph))}</h2>
      <span class="soft">
        {run.graph} · <Link to={runAddress(run.run_id)}>{run.run_id}</Link>
      </span>
    </header>
  );
}

const OVER = ["finished", "failed", "stopped", "cancelled"];

const signOf = ({ is_taken, status }: Decided) => (!is_taken ? "waiting" : OVER.includes(status) ? status : "running");

/** What became of a run that was answered. */
function became({ is_taken, status, ended }: Decided): string {
  if (!is_taken) return "waits for a worker or a resume; the answer is kept";
  if (!OVER.includes(status)) return status === "waiting" ? "the run went on, and waits again" : "the run goes on";
  return ended && ended !== "otherwise" ? `${status}: ${ended}` : status;
}

function Given({ each: { wait, value, by, at, reason }, session }: { each: Decided; session: Session }) {
  const who = by && by === session.user ? "you" : by || "a person";
  return (
    <>
      {nodeWords(wait)} answered <b>{answerWords(value)}</b> by {who} {moment(at)}
      {reason && `: “${reason}”`}
    </>
  );
}

/** From the answer to the end of the run, in three lines. */
function Way({ each, session }: { each: Decided; session: Session }) {
  const isOver = each.is_taken && OVER.includes(each.status);
  const lines = [
    <Given each={each} session={session} />,
    each.is_taken ? "taken up, the run goes on" : became(each),
    isOver ? became(each) : "ended",
  ];
  const at = isOver ? 2 : 1;
  const sign = (index: number) =>
    index < at || (each.is_taken && index === 1) ? "finished" : index === at ? signOf(each) : "queued";
  return (
    <ol class="way" aria-live="polite">
      {lines.map((words, index) => (
        <li key={index} class={index === at ? "at" : index > at ? "soft" : ""}>
          <Sign status={sign(index)} /> <span>{words}</span>
        </li>
      ))}
    </ol>
  );
}
