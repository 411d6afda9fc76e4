// Two runs: what was changed, what came of it, where their ways part, and their results word by word.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { addressOf, query } from "./api";
import { Corner, Failure, Link, Sign, go, isUnderWay, runAddress, useDocument, useKeys } from "./parts";
import { useMoving } from "./parts";
import { Picture } from "./picture";
import { agentOf } from "./step";
import { Change, Path } from "./text";
import { type Counts, type Row, told, whole } from "./trace";
import type { Comparison, Head, Side } from "./types";
import { brief, cost, count, isLossy, lost, seconds, wordsOf } from "./words";

const MOST = 300; // differences that are shown
const STEPS = 40; // of a way that are shown

export function Compare({ a, b }: { a: string; b: string }) {
  const [found, error] = useMoving("compare", { run_id: a, other: b }, ({ heads }) =>
    heads.some((head) => isUnderWay(head.shown)),
  );
  useEffect(() => {
    document.title = "compare · graphengine inspector";
  }, []);
  useKeys({ x: () => go(`/compare?${query({ a: b, b: a })}`) });
  if (error) {
    return (
      <main class="alone">
        <Failure error={error} />
        <Link to="/">to the list of runs</Link>
      </main>
    );
  }
  if (!found) return <main class="alone" aria-busy="true" />;
  const { diff, heads } = found;
  const alike = diff.shared
    ? `they share the steps of ${diff.shared.run_id} up to ${diff.shared.seq}`
    : "they share no step";
  return (
    <main class="compare">
      <header class="top">
        <Link to={runAddress(a)} class="back">
          ‹ {a}
        </Link>
        <h1>Compare</h1>
        <span class="soft hide">
          {alike}, {diff.alike ? `${count(diff.alike, "step")} after that are alike` : "and part at once"}
        </span>
        <span class="grow" />
        <a class="btn hide" href={addressOf("runs/{run_id}/story", { run_id: a, other: b })} download="story.html">
          Story to send
        </a>
        <button class="btn" onClick={() => go(`/compare?${query({ a: b, b: a })}`)}>
          A ⇄ B
        </button>
        <Corner />
      </header>
      <div class="in">
        <Changed found={found} />
        <h2>What came of it</h2>
        <Outcomes
          sides={[diff.first, diff.second]}
          heads={heads}
          name={({ run_id }) => <Link to={runAddress(run_id)}>{run_id}</Link>}
        />
        <h2>Ways</h2>
        <Ways found={found} />
        <h2>
          Results <span class="soft small">A → B</span>
        </h2>
        {diff.differences.length ? (
          diff.differences.slice(0, MOST).map(({ path, before, after }) => (
            <section class="change" key={path}>
              <header>
                <Path path={path} />
                {typeof before === "string" && typeof after === "string" && (
                  <span class="soft">
                    words {wordsOf(before)} → {wordsOf(after)}
                  </span>
                )}
              </header>
              <div>
                <Change before={before} after={after} />
              </div>
            </section>
          ))
        ) : (
          <p>Their states are the same.</p>
        )}
        {diff.differences.length > MOST && <p class="soft">and {diff.differences.length - MOST} more</p>}
        <h2>On the graph</h2>
        {found.same ? (
          <Both found={found} />
        ) : (
          <p class="soft">The runs are of different graphs or versions.</p>
        )}
        {heads[0]!.graph !== heads[1]!.graph && (
          <p class="soft">
            {heads[0]!.graph} and {heads[1]!.graph}
          </p>
        )}
      </div>
    </main>
  );
}

export const Letter = ({ at }: { at: number }) => <span class={`ab ${at ? "b" : "a"}`}>{"AB"[at]}</span>;

/** What the branch began with, and how graphs, prompts and models differ. */
function Changed({ found }: { found: Comparison }) {
  const { diff } = found;
  const at = [diff.first, diff.second].findIndex((side) => side.begins);
  const side = at < 0 ? null : [diff.first, diff.second][at]!;
  return (
    <>
      {side && (
        <>
          <h2>
            What was changed{" "}
            <span class="soft small">
              in <Letter at={at} /> at step {diff.shared?.seq}
            </span>
          </h2>
          {!side.changed.length && <p class="soft">No field of the state.</p>}
          {side.changed.map(({ path, before, after }) => (
            <section class="change" key={path}>
              <header>
                <Path path={path} />
              </header>
              <div>
                <Change before={before} after={after} />
              </div>
            </section>
          ))}
        </>
      )}
      {diff.setup.length > 0 && (
        <>
          <h2>Set up differently</h2>
          <ul class="setup">
            {diff.setup.map((each) => (
              <li key={each} class="mono">
                {each}
              </li>
            ))}
          </ul>
          {diff.setup.map((each) => {
            const who = /^instructions of (.+): replaced$/.exec(each)?.[1];
            return who && <Told key={who} found={found} agent={who.replace(/^.*\//, "")} />;
          })}
        </>
      )}
    </>
  );
}

/** The instructions that an agent was sent in both runs. */
function Told({ found, agent }: { found: Comparison; agent: string }) {
  const sent = found.heads.map((head, at) => {
    const seq = found.sides[at]!.asked[agent] || 1;
    const [step] = useDocument("runs/{run_id}/steps/{seq}", { run_id: head.run_id, seq });
    const calls = step?.calls?.filter((call) => agentOf(call) === agent) || [];
    return calls.flatMap((call) => call.asked).find((each) => each.role === "system")?.text;
  });
  if (!sent[0] || !sent[1]) return null;
  if (sent[0] === sent[1]) return <p class="soft">{agent} was not asked since.</p>;
  return (
    <section class="change">
      <header>
        <code>instructions of {agent}</code>
      </header>
      <div>
        <Change before={sent[0]} after={sent[1]} />
      </div>
    </section>
  );
}

/** How a run ended. */
type Ended = Pick<Head, "losses"> & {
  shown: string;
  ending: { label: string; why: string } | null;
  error: { message: string } | null;
};

/** What came of two runs, and what each took since they part. */
export function Outcomes({
  sides,
  heads,
  name,
}: {
  sides: readonly [Side, Side];
  heads: Ended[];
  name: (side: Side) => ComponentChildren;
}) {
  const [one, other] = sides;
  const row = (name: string, cells: [ComponentChildren, ComponentChildren]) => (
    <tr>
      <th scope="row">{name}</th>
      <td>{cells[0]}</td>
      <td>{cells[1]}</td>
    </tr>
  );
  const pair = (cell: (side: Side, head: Ended) => ComponentChildren): [ComponentChildren, ComponentChildren] => [
    cell(one, heads[0]!),
    cell(other, heads[1]!),
  ];
  const ended = pair((_, head) => (
    <>
      <Sign status={head.shown === "finished" && isLossy(head.losses) ? "losses" : head.shown} /> {head.shown}
      {head.ending?.label && `, ${head.ending.label}`}
      {head.ending?.why && head.ending.why !== "otherwise" && (
        <>
          {" "}
          <code class="soft">{brief(head.ending.why, 100)}</code>
        </>
      )}
      {head.error && <span class="wrong"> {brief(head.error.message, 140)}</span>}
    </>
  ));
  const beside = (words: (side: Side) => ComponentChildren, of: (side: Side) => number | null, isCount = false) =>
    [
      words(one),
      <>
        {words(other)} <By from={of(one)} to={of(other)} isCount={isCount} />
      </>,
    ] as [ComponentChildren, ComponentChildren];
  const price = ({ usage }: Side) => cost(usage) || "nothing";
  return (
    <table class="vs">
      <thead>
        <tr>
          <td />
          {sides.map((side, at) => (
            <th scope="col" key={at}>
              <Letter at={at} /> {name(side)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {row("ended", ended)}
        {row("visits since", beside(({ spent }) => spent.steps, ({ spent }) => spent.steps, true))}
        {row("cost since", beside(({ spent }) => cost(spent) || "nothing", ({ spent }) => spent.cost_usd))}
        {row("calls since", beside(({ spent }) => spent.calls, ({ spent }) => spent.calls, true))}
        {row("time since", beside(({ spent }) => seconds(spent.seconds), ({ spent }) => spent.seconds))}
        {price(one) !== price(other) && row("cost in all", beside(price, ({ usage }) => usage.cost_usd))}
        {row(
          "lost on the way",
          pair((_, head) => lost(head.losses) || "nothing"),
        )}
      </tbody>
    </table>
  );
}

/** How much less or more it is: less is better of all that is shown. */
function By({ from, to, isCount = false }: { from: number | null; to: number | null; isCount?: boolean }) {
  if (!from || to === null || from === to) return null;
  const by = isCount ? to - from : Math.round(((to - from) / from) * 100);
  if (!by) return null;
  return (
    <span class={by < 0 ? "better" : "worse"}>
      {by < 0 ? "−" : "+"}
      {Math.abs(by)}
      {isCount ? "" : " %"}
    </span>
  );
}

function Ways({ found }: { found: Comparison }) {
  const { diff } = found;
  const sides = [diff.first, diff.second] as const;
  const parted = found.sides.map((side) => side.parted && whole(side.parted));
  return (
    <>
      {sides.map((side, at) => (
        <div class="way-row" key={at}>
          <Letter at={at} />
          <ol class="way" tabIndex={0} aria-label={`way of ${"AB"[at]}`}>
            {side.way.slice(0, STEPS).map((step, index) => {
              const isAlike = index < diff.alike;
              const isHere = step.seq === side.parted_at;
              return (
                <li key={step.seq} class={isHere ? "parted" : isAlike ? "same" : ""}>
                  <Link to={runAddress(side.run_id, step.seq)}>
                    {step.path || step.kind}
                    {step.visit > 1 && ` ${step.visit}`}
                  </Link>
                  {step.targets.some((each) => each === "END" || each === "FAIL") && (
                    <b> → {step.targets.join(", ")}</b>
                  )}
                  {isHere && <span class="small"> parts here</span>}
                </li>
              );
            })}
            {side.spent.steps > STEPS && <li class="soft">and {side.spent.steps - STEPS} more</li>}
          </ol>
        </div>
      ))}
      {parted[0] && parted[1] && (
        <p class="soft">
          A {whereTo(parted[0])}; B {whereTo(parted[1])}.
        </p>
      )}
    </>
  );
}

function whereTo(row: Row): string {
  const place = `${row.path || row.kind}${row.visit > 1 ? ` ${row.visit}` : ""}`;
  const to = row.targets.length ? ` went to ${row.targets.join(", ")}` : told(row) ? `: ${told(row)}` : "";
  return `after ${place}${to}${row.why ? ` (${row.why})` : ""}`;
}

/** Both runs on one picture, with the edges that only one of them took. */
function Both({ found }: { found: Comparison }) {
  const both = useMemo(() => {
    const counted = (counts: Record<string, number>) =>
      new Map(Object.entries(counts).map(([key, times]) => [Number(key), times]));
    const taken = (at: number): Pick<Counts, "spots" | "edges"> => {
      const { visits, edges } = found.sides[at]!;
      return { spots: counted(visits), edges: counted(edges) };
    };
    const [one, other] = [taken(0), taken(1)];
    const sum = (first: Map<number, number>, second: Map<number, number>) => {
      const made = new Map(first);
      for (const [key, times] of second) made.set(key, (made.get(key) || 0) + times);
      return made;
    };
    const [edges, spots] = [sum(one.edges, other.edges), sum(one.spots, other.spots)];
    const markOf = (edge: number) => (!other.edges.has(edge) ? "only-a" : !one.edges.has(edge) ? "only-b" : "");
    const marks = new Map([...edges.keys()].map((edge) => [edge, markOf(edge)]));
    return { one, other, marks, lit: { spots, edges, last: [] } };
  }, [found]);
  const badge = (_: number, spot: number) => {
    const times = [both.one.spots.get(spot) || 0, both.other.spots.get(spot) || 0];
    return times[0] !== times[1] ? `A ${times[0]} · B ${times[1]}` : "";
  };
  return (
    <>
      <p class="legend ways">
        <span class="key-a">only A</span> <span class="key-b">only B</span> <span class="key-both">both</span>
      </p>
      <Picture fingerprint={found.heads[0]!.fingerprint} lit={both.lit} marks={both.marks} badge={badge} />
    </>
  );
}
