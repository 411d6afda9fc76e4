// The graphs; and one graph: its picture, its problems, what its newest runs did on it, and a form that starts one.

import { useEffect, useMemo } from "preact/hooks";

import { query } from "./api";
import { CannotDrive } from "./acts";
import { Start } from "./branch";
import { Command, Corner, Failure, Link, Sign, canDrive, runAddress, useDocument, useNow } from "./parts";
import { Picture } from "./picture";
import type { Session } from "./types";
import { ago, count } from "./words";

/** All graphs, with their runs by status. */
export function GraphList({ session }: { session: Session }) {
  const [found, error] = useDocument("all_graphs", {});
  useEffect(() => {
    document.title = "graphs · graphengine inspector";
  }, []);
  if (error)
    return (
      <main class="alone">
        <Failure error={error} />
      </main>
    );
  if (!found) return <main class="alone" aria-busy="true" />;
  const graphs = Object.entries(found);
  return (
    <main class="graphs">
      <header class="top">
        <Link to="/" class="back">
          ‹ runs
        </Link>
        <h1>Graphs</h1>
        <span class="grow" />
        <Corner />
      </header>
      <div class="in">
        {graphs.length ? (
          <table>
            <thead>
              <tr>
                <th scope="col">graph</th>
                <th scope="col">runs</th>
                {session.drives && <th scope="col">driven here</th>}
              </tr>
            </thead>
            <tbody>
              {graphs.map(([name, runs]) => (
                <tr key={name}>
                  <th scope="row">
                    <Link to={`/graph?${query({ graph: name })}`}>{name}</Link>
                  </th>
                  <td>
                    {Object.entries(runs)
                      .sort()
                      .map(([status, number]) => (
                        <Link key={status} class="chip" to={`/?${query({ graph: name, status })}`}>
                          <Sign status={status} /> {number}
                        </Link>
                      ))}
                  </td>
                  {session.drives && (
                    <td>
                      {canDrive(session, name) ? (
                        <Link to={`/graph?${query({ graph: name })}#start`}>start a run</Link>
                      ) : (
                        "no"
                      )}
                    </td>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        ) : (
          <p class="soft">No runs yet, so no graphs.</p>
        )}
        {session.drives?.left_out.map((each) => (
          <p class="failure" key={each}>
            {each}
          </p>
        ))}
      </div>
    </main>
  );
}

/** What `check` finds. It needs the graph's code, which is there only with --drive. */
function Problems({ name }: { name: string }) {
  const [found, error] = useDocument("problems", { graph: name });
  if (error) return <Failure error={error} />;
  if (!found) return null;
  if (!found.problems.length) return <p class="better">`check` finds none in {found.file}.</p>;
  return (
    <ul class="problems">
      {found.problems.map((each, index) => (
        <li key={index}>
          <b class={each.warning ? "warned" : "wrong"}>{each.warning ? "warning" : "error"}</b> <code>{each.code}</code>
          {` at ${each.where}: ${each.message}`}
          {each.repair && (
            <>
              <br />
              <span class="soft">{each.repair}</span>
            </>
          )}
          {each.file && (
            <>
              <br />
              <code class="soft">
                {each.file}:{each.line}
              </code>
            </>
          )}
        </li>
      ))}
    </ul>
  );
}

const numbers = (record: Record<string, number>): Map<number, number> =>
  new Map(Object.entries(record).map(([key, value]) => [Number(key), value]));

export function GraphPage({ name, session }: { name: string; session: Session }) {
  const [found, error] = useDocument("graph", { graph: name });
  const now = useNow();
  const lit = useMemo(() => found && { spots: numbers(found.visits), edges: numbers(found.edges), last: [] }, [found]);
  useEffect(() => {
    document.title = `${name} · graphengine inspector`;
  }, [name]);
  if (error)
    return (
      <main class="alone">
        <Failure error={error} />
        <Link to="/">to the list of runs</Link>
      </main>
    );
  if (!found) return <main class="alone" aria-busy="true" />;
  const drives = canDrive(session, name);
  const counted = `the ${count(found.counted, "counted run")}`;
  return (
    <main class="graph">
      <header class="top">
        <Link to="/" class="back">
          ‹ runs
        </Link>
        <h1>{name}</h1>
        <Link to={`/?${query({ graph: name })}`}>all runs of it</Link>
        <span class="grow" />
        <Corner />
      </header>
      <div class="in">
        <p class="soft">
          {found.runs.length
            ? `As its newest run has it. Pale: what was not taken in ${counted}.`
            : "As its code has it."}
        </p>
        <Picture fingerprint={found.fingerprint} lit={found.counted ? lit : null} />
        {found.is_changed && (
          <p class="soft">The code that is driven here is another version.</p>
        )}
        <div class="two">
          <section>
            {drives && (
              <details id="start" open={!found.runs.length || location.hash === "#start"}>
                <summary>Start a run</summary>
                <Start graph={name} />
              </details>
            )}
            <CannotDrive session={session} graph={name} />
            <h3>Newest runs</h3>
            {!found.runs.length && <p class="soft">No run yet.</p>}
            <ul class="branches">
              {found.runs.map((run) => (
                <li key={run.run_id}>
                  <Sign status={run.status} />
                  <Link to={runAddress(run.run_id)}>{run.title || run.run_id}</Link>
                  <span class="soft">
                    {count(run.seq, "step")}, {ago(run.updated_at, now)}
                  </span>
                </li>
              ))}
            </ul>
          </section>
          <section>
            <h3>Edges not taken in {counted}</h3>
            {!found.counted ? (
              <p class="soft">No run is counted.</p>
            ) : found.unused.length ? (
              <ul class="unused">
                {found.unused.map((each, index) => (
                  <li key={index}>
                    {each.from} → {each.to} {each.label && <span class="edge">{each.label}</span>}{" "}
                    <small class="soft">{each.condition}</small>
                  </li>
                ))}
              </ul>
            ) : (
              <p class="better">Each edge was taken.</p>
            )}
            <h3>Problems</h3>
            {drives ? <Problems name={name} /> : <Command words="check the graph's code" text={found.command} />}
          </section>
        </div>
      </div>
    </main>
  );
}
