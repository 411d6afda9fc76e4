// All open questions, or those of one run, for people who answer them: no graph, no steps, one below the other.

import { useEffect, useState } from "preact/hooks";

import { follow, get } from "./api";
import { Questions } from "./acts";
import { Corner, Failure, Link, Live, type Problem, Sign, runAddress } from "./parts";
import type { ListedRun, Session, Wait } from "./types";
import { count } from "./words";

const ASKS = ["ask", "pause", "unknown"];

export function QuestionsPage({ id, wait: name, session }: { id: string; wait: string; session: Session }) {
  const isAsked = (wait: Wait) => ASKS.includes(wait.kind) && (!name || wait.name === name);
  const [runs, setRuns] = useState<ListedRun[] | null>(null);
  const [error, setError] = useState<Problem | null>(null);
  const [live, setLive] = useState(false);
  useEffect(() => {
    document.title = "questions · graphengine inspector";
    let busy = false;
    const load = async () => {
      if (busy) return;
      busy = true;
      try {
        const found = (await get("questions", { id })).runs.filter((run) => run.waits.some(isAsked));
        setRuns(found);
        setError(null);
      } catch (problem) {
        setError(problem as Problem);
      } finally {
        busy = false;
      }
    };
    load();
    return follow(() => ({}), { changed: load, live: setLive });
  }, []);
  const sorted = (runs || []).toSorted((one, other) => one.updated_at - other.updated_at);
  const asked = (run: ListedRun) => ({ ...run, waits: run.waits.filter(isAsked) });
  const number = sorted.reduce((sum, run) => sum + asked(run).waits.filter((wait) => !wait.answered).length, 0);
  return (
    <main class="open-questions">
      <header class="top">
        <Link to="/" class="back">
          ‹ runs
        </Link>
        <h1>Questions</h1>
        <span class="grow" />
        <Live on={live} />
        <Corner />
      </header>
      {error && <Failure error={error} />}
      <div class="body">
        {runs && <p class="soft">{number ? `${count(number, "open question")}, the oldest first.` : ""}</p>}
        {id && (
          <p>
            <Link to="/questions">All open questions</Link>
          </p>
        )}
        {runs && !number && id && (
          <p class="empty">
            <Sign status="finished" /> No longer open: it was answered, or <Link to={runAddress(id)}>its run</Link> went
            on without it.
          </p>
        )}
        {runs && !number && !id && (
          <p class="empty">
            <Sign status="finished" /> No open question. This page shows the next one by itself.
          </p>
        )}
        {sorted.map((run) => (
          <section class="asking" key={run.run_id}>
            <header>
              {run.title && <b>{run.title} </b>}
              <span class="soft">
                {run.graph} · <Link to={runAddress(run.run_id)}>{run.run_id}</Link>
              </span>
            </header>
            <Questions run={asked(run)} session={session} />
          </section>
        ))}
      </div>
    </main>
  );
}
