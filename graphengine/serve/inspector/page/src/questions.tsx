// All open questions, for people who answer them: no graph, no steps, one question below the other.

import { useEffect, useState } from "preact/hooks";

import { follow, get } from "./api";
import { Questions } from "./acts";
import { Failure, Link, Live, type Problem, Sign, ThemeButton, runAddress } from "./parts";
import type { ListedRun, Session } from "./types";
import { count } from "./words";

const ASKS = ["ask", "pause", "unknown"];

export function QuestionsPage({ session }: { session: Session }) {
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
        const found = (await get("questions")).runs.filter((run) => run.waits.some((wait) => ASKS.includes(wait.kind)));
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
  const asked = (run: ListedRun) => ({ ...run, waits: run.waits.filter((wait) => ASKS.includes(wait.kind)) });
  const number = sorted.reduce((sum, run) => sum + asked(run).waits.length, 0);
  return (
    <main class="open-questions">
      <header class="top">
        <Link to="/" class="back">
          ‹ runs
        </Link>
        <h1>Questions</h1>
        <span class="grow" />
        <Live on={live} />
        <ThemeButton />
      </header>
      {error && <Failure error={error} />}
      <div class="body">
        {runs && <p class="soft">{number ? `${count(number, "open question")}, the oldest first.` : ""}</p>}
        {runs && !number && (
          <p class="empty">
            <Sign status="finished" /> No open question. This page shows the next one by itself.
          </p>
        )}
        {sorted.map((run) => (
          <section class="asking" key={run.run_id}>
            <header>
              {run.summary?.title && <b>{run.summary.title} </b>}
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
