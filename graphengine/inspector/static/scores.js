// Numbers of a run's state over time, with the thresholds that conditions compare them with.

import { html, useState } from "./html.js";
import { useDocument } from "./parts.js";

const WIDTH = 440;
const HEIGHT = 140;
const LEFT = 36;
const RIGHT = 56;
const EDGE = 14;

export function Scores({ id, seq, selected, select }) {
  const [path, setPath] = useState("");
  const [wanted, setWanted] = useState("");
  const [found, error] = useDocument("scores", { id, seq, path: wanted });
  return html`<h2>Scores</h2>
    <form class="bar slim" onSubmit=${(event) => (event.preventDefault(), setWanted(path.trim()))}>
      <input aria-label="Path of a number" placeholder="path of a number, as history[-1].score" value=${path} onInput=${(event) => setPath(event.target.value)} /><button>Draw</button></form>
    ${error ? html`<p class="soft">${error.message}${error.repair ? html`<br />${error.repair}` : null}</p>` : found?.series.map((series) => html`<${Chart} key=${`${series.path} ${series.visit}`} series=${series} selected=${selected} select=${select} />`)}`;
}

function Chart({ series, selected, select }) {
  const { samples, thresholds } = series;
  const values = [...samples.map((each) => each[3]), ...thresholds.map((each) => each.value)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const span = high - low || 1;
  const first = samples[0][0];
  const last = samples.at(-1)[0];
  const x = (at) => LEFT + ((at - first) / (last - first || 1)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - EDGE - ((value - low) / span) * (HEIGHT - 2 * EDGE);
  const name = `${series.path}${series.visit ? ` in ${series.visit}` : ""}`;
  const near = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * WIDTH;
    const best = samples.reduce((least, each) => (Math.abs(x(each[0]) - place) < Math.abs(x(least[0]) - place) ? each : least));
    select(best[0]);
  };
  const shown = samples.length > 60 ? [] : samples;
  const labels = new Map(); // several edges can compare with the same number
  for (const each of thresholds) labels.set(`${each.sign} ${round(each.value)}`, [...(labels.get(`${each.sign} ${round(each.value)}`) || []), each]);
  const here = samples.findLast((each) => each[0] <= selected);
  return html`<figure class="chart"><figcaption><b>${name}</b> ${series.plateau && html`<span class="soft">${series.plateau}</span>`}</figcaption>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`${name} from step ${first} to ${last}; the table has its values`} onClick=${near}>
      <text x=${LEFT - 6} y=${y(high) + 4} class="end">${round(high)}</text>${high > low && !thresholds.some((each) => each.value === low) && html`<text x=${LEFT - 6} y=${y(low) + 4} class="end">${round(low)}</text>`}
      ${[...labels].map(([text, [each]]) => html`<line x1=${LEFT} x2=${WIDTH - RIGHT} y1=${y(each.value)} y2=${y(each.value)} class="threshold" /><text x=${WIDTH - RIGHT + 6} y=${y(each.value) + 4}>${text}</text>`)}
      <polyline points=${samples.map((each) => `${x(each[0]).toFixed(1)},${y(each[3]).toFixed(1)}`).join(" ")} />
      ${shown.map((each) => html`<circle cx=${x(each[0])} cy=${y(each[3])} r="3"><title>${`${each[3]} at step ${each[0]}, ${each[1]}`}</title></circle>`)}
      ${here && html`<circle cx=${x(here[0])} cy=${y(here[3])} r="6" class="here" />`}
    </svg>
    ${[...labels].map(([text, all]) => html`<p class="soft"><code>${text}</code> ${all.map((each) => each.label).filter(Boolean).join(", ")}</p>`)}
    <details><summary>values</summary><table><tbody>${samples.slice(-200).map((each) => html`<tr><td><button class="link" onClick=${() => select(each[0])}>step ${each[0]}</button></td><td>${each[1]}${each[2] > 1 ? `, visit ${each[2]}` : ""}</td><td class="number">${each[3]}</td></tr>`)}</tbody></table></details></figure>`;
}

const round = (value) => Number(value.toPrecision(4));
