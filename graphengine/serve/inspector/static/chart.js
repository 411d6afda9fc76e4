// The server's charts of a run, on which steps can be selected.

import { html, useState, useEffect, useMemo, useRef } from "./html.js";
import { get } from "./api.js";
import { elementOf } from "./parts.js";

/** The distance of a point from an element, in pixels. */
function away(element, { clientX, clientY }) {
  const box = element.getBoundingClientRect();
  return Math.hypot(Math.max(box.left - clientX, clientX - box.right, 0), Math.max(box.top - clientY, clientY - box.bottom, 0));
}

/**
 * A chart of a run. A click selects the nearest step, and the last one up to the selected step is marked.
 *
 * @param name - which chart; its other parameters are `more`.
 * @param steps - how many steps the run has: a live run's chart is drawn again, at most every 1.5 seconds.
 * @param zoom - how many times as wide as its place it is.
 */
export function Chart({ name, id, more = {}, steps, zoom = 1, selected, select }) {
  const [found, setFound] = useState({});
  const [width, setWidth] = useState(0);
  const box = useRef(null);
  const asked = useRef(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width / 20) * 20));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (!width) return undefined;
    const timer = setTimeout(() => {
      asked.current = Date.now();
      get(name, { id, ...more, column: width * zoom }).then(setFound, (error) => setFound({ error }));
    }, Math.max(0, asked.current + 1500 - Date.now()));
    return () => clearTimeout(timer);
  }, [name, id, JSON.stringify(more), steps, width, zoom]);
  const svg = useMemo(() => (found.svg ? elementOf(found.svg) : null), [found]);
  useEffect(() => box.current.replaceChildren(...(svg ? [svg] : [])), [svg]);
  const parts = useMemo(() => [...(svg?.querySelectorAll("[data-seq]") || [])], [svg]);
  useEffect(() => {
    const last = Math.max(...parts.map((each) => Number(each.dataset.seq)).filter((seq) => seq <= selected));
    for (const each of parts) each.classList.toggle("here", Number(each.dataset.seq) === last);
  }, [parts, selected]);
  const near = (event) => parts.length && select(Number(parts.reduce((best, each) => (away(each, event) < away(best, event) ? each : best)).dataset.seq));
  return html`${found.error && html`<p class="soft">${found.error.message}<br />${found.error.repair}</p>`}
    <div class="chart" tabindex="0" role="group" aria-label=${name} aria-busy=${!svg} ref=${box} onClick=${near}></div>
    ${found.words && html`<details><summary>${name} in words</summary><pre tabindex="0">${found.words}</pre></details>`}`;
}

/** What ran when; its buttons show a shorter or a longer time, and it scrolls. */
export function Timeline(about) {
  const [zoom, setZoom] = useState(1);
  return html`<section class="timeline" aria-label="Timeline">
    <div class="tools"><button class="small" aria-label="show a shorter time" disabled=${zoom > 8} onClick=${() => setZoom(zoom * 2)}>+</button>
      <button class="small" aria-label="show a longer time" disabled=${zoom === 1} onClick=${() => setZoom(zoom / 2)}>−</button></div>
    <${Chart} name="timeline" zoom=${zoom} ...${about} /></section>`;
}

/** Numbers of the state over time, with the thresholds that conditions compare them with. */
export function Scores(about) {
  const [path, setPath] = useState("");
  const [wanted, setWanted] = useState("");
  return html`<h2>Scores</h2>
    <form class="bar slim" onSubmit=${(event) => (event.preventDefault(), setWanted(path.trim()))}>
      <input aria-label="Path of a number" placeholder="path of a number, as history[-1].score" value=${path} onInput=${(event) => setPath(event.target.value)} /><button>Draw</button></form>
    <${Chart} name="scores" more=${{ path: wanted }} ...${about} />`;
}
