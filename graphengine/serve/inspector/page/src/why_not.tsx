// Why an edge was not taken: what it compared, by how much it missed, how often other runs take it, and as if it had.

import { Chip, Failure, useDocument } from "./parts";
import { Value } from "./text";
import type { AsIf, WhyNot } from "./types";
import { count } from "./words";

/** @param branch - opens the branch of what is given; left out where nothing is driven. */
export function WhyNotView({
  id,
  edges,
  at,
  select,
  branch,
}: {
  id: string;
  edges: string;
  at: number;
  select: (seq: number) => void;
  branch?: (asIf: AsIf) => void;
}) {
  const [found, error] = useDocument("why_not", { run_id: id, edge: edges.split(",").map(Number), at });
  if (error) return <Failure error={error} />;
  if (!found) return <div aria-busy="true" />;
  if (!found.length) return <p>The picture has no such edge any more.</p>;
  return (
    <>
      {found.map((each) => (
        <One key={each.edge} edge={each} {...{ select, branch }} />
      ))}
    </>
  );
}

const HOWS = { earlier: "not tried", missed: "did not hold", taken: "taken" };

function One({
  edge,
  select,
  branch,
}: {
  edge: WhyNot;
  select: (seq: number) => void;
  branch: ((asIf: AsIf) => void) | undefined;
}) {
  const { source, to, label, condition, taken, decisions, runs, took, unmapped, as_if: asIf } = edge;
  const update = Object.entries(asIf?.update || {});
  return (
    <article class="why-not">
      <div class="title">
        <h2>{label || (condition && condition !== "otherwise" ? condition : "otherwise")}</h2>
        <span class="soft">
          {source} → {to}
        </span>
        <Chip tone={taken ? "ok" : ""}>{taken ? `taken ${taken === 1 ? "once" : `${taken} times`}` : "not taken"}</Chip>
      </div>
      {condition && condition !== label && <p class="mono soft">{condition}</p>}
      {decisions.length ? (
        <ol class="decisions">
          {decisions.map((each) => (
            <li key={each.seq} class={each.how}>
              <button class="link" onClick={() => select(each.seq)}>
                step {each.seq}
              </button>
              <span>
                <b>{each.before ? `${each.before} came first` : HOWS[each.how]}</b>
                {each.why && each.why !== "otherwise" && `: ${each.why}`}
              </span>
            </li>
          ))}
        </ol>
      ) : (
        <p>{source} had not chosen an edge up to here, with this version of the graph.</p>
      )}
      <h3>Other runs</h3>
      <p>
        Taken in <b class="num">{took}</b> of the last {count(runs, "run")} of this graph.
        {unmapped > 0 && ` ${unmapped} of these ran on versions that do not declare this edge.`}
      </p>
      {runs > 0 && (
        <div class="share" aria-hidden="true">
          <i style={{ width: `${(took / runs) * 100}%` }} />
        </div>
      )}
      {asIf && (
        <>
          <h3>As if it had been taken</h3>
          {update.length > 0 && (
            <dl class="fields">
              {update.map(([name, value]) => (
                <>
                  <dt class="mono">{name}</dt>
                  <dd>
                    <Value value={value} />
                  </dd>
                </>
              ))}
            </dl>
          )}
          <p class="soft">
            An edge cannot be forced; a branch after step {asIf.at} lets {source} choose again. {asIf.note}
          </p>
          {branch && (
            <button class="btn" onClick={() => branch(asIf)}>
              Branch as if it had been…
            </button>
          )}
        </>
      )}
    </article>
  );
}
