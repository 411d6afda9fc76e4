// Two runs on one picture: where they part, and what differs.

import { html, useMemo } from "./html.js";
import { Failure, Link, Status, Value, runAddress, useDocument } from "./parts.js";
import { Picture, countsOf } from "./picture.js";
import { cost, count, seconds } from "./words.js";

export function Compare({ a, b }) {
  const [found, error] = useDocument("compare", { a, b });
  const both = useMemo(() => {
    if (!found) return null;
    const [one, other] = found.rows.map((rows) => countsOf(rows, Infinity));
    const edges = new Map([...one.edges]);
    for (const [edge, times] of other.edges) edges.set(edge, (edges.get(edge) || 0) + times);
    const spots = new Map([...one.spots]);
    for (const [spot, times] of other.spots) spots.set(spot, (spots.get(spot) || 0) + times);
    const marks = new Map([...edges.keys()].map((edge) => [edge, !other.edges.has(edge) ? "only-a" : !one.edges.has(edge) ? "only-b" : ""]));
    return { one, other, marks, lit: { spots, edges, last: [] } };
  }, [found]);
  if (error) return html`<main class="alone"><${Failure} error=${error} /><${Link} to="/">to the list of runs</${Link}></main>`;
  if (!found) return null;
  document.title = "compare · graphengine inspector";
  const { diff, heads } = found;
  const sides = [diff.first, diff.second];
  const isSame = found.same;
  const badge = (_, spot) => {
    const times = [both.one.spots.get(spot) || 0, both.other.spots.get(spot) || 0];
    return times[0] !== times[1] ? `A ${times[0]} · B ${times[1]}` : "";
  };
  return html`<main class="compare">
    <header class="bar"><${Link} to="/" class="back">‹ runs</${Link}><h1>Compare</h1>
      <span>${diff.shared ? `they share the steps of ${diff.shared.run_id} up to ${diff.shared.seq}, ` : "they share no step, "}${diff.alike ? `${count(diff.alike, "step")} after that are alike` : "and part at once"}</span></header>
    <div class="sides">${heads.map((head, index) => html`<section class=${index ? "is-b" : "is-a"}><h2><b>${"AB"[index]}</b> <${Status} status=${head.shown} word=${false} /> <${Link} to=${runAddress(head.run_id, sides[index].parted_at)}>${head.run_id}</${Link}></h2>
      <p>${head.graph}: ${head.shown}${head.ending?.label ? `, ${head.ending.label}` : ""}; since they parted ${count(sides[index].spent.steps, "visit")} in ${seconds(sides[index].spent.seconds)}${cost(sides[index].spent) && `, ${cost(sides[index].spent)}`}</p></section>`)}</div>
    ${isSame
      ? html`<p class="legend"><span class="key-a">only A</span> <span class="key-b">only B</span> <span class="key-both">both</span></p>
        <${Picture} fingerprint=${heads[0].fingerprint} lit=${both.lit} marks=${both.marks} badge=${badge} />`
      : html`<p class="soft">The runs are on different graphs, or on different versions of one.</p>`}
    <div class="sides">${sides.map((side, index) => html`<section><h3>What ${"AB"[index]} did from there</h3><ol class="way">${side.way.slice(0, 400).map((step) => html`<li class=${step.seq === side.parted_at ? "parted" : ""}>
      <${Link} to=${runAddress(side.run_id, step.seq)}>${step.seq} ${step.path || step.kind}</${Link}> ${step.targets.length ? `→ ${step.targets.join(", ")}` : ""} ${step.edge ? html`<span class="edge">${step.edge}</span>` : null}${step.seq === side.parted_at ? html` <b>parts here</b>` : null}</li>`)}</ol></section>`)}</div>
    <h3>State</h3>
    ${diff.differences.length ? html`<table class="changes"><thead><tr><th scope="col">field</th><th scope="col">A</th><th></th><th scope="col">B</th></tr></thead><tbody>${diff.differences.slice(0, 500).map((each) => html`<tr><th scope="row">${each.path}</th><td><${Value} value=${each.before} /></td><td></td><td><${Value} value=${each.after} /></td></tr>`)}</tbody></table>` : html`<p>No difference.</p>`}
  </main>`;
}
