// The picture of a graph, lit as at a step. Its SVG comes from the server without a run; only classes and badges change.

import { html, useState, useEffect, useMemo, useRef } from "./html.js";
import { get } from "./api.js";
import { Failure, elementOf } from "./parts.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const LEGIBLE = 0.7;
const POINT = 4 / 3; // in pixels
const DARK = matchMedia("(prefers-color-scheme: dark)");
const pictures = new Map();

function load(parameters) {
  const key = JSON.stringify(parameters);
  if (!pictures.has(key)) {
    const made = get("picture", parameters);
    pictures.set(key, made);
    made.catch(() => pictures.delete(key));
  }
  return pictures.get(key);
}

/** How often each node and edge was visited and taken in the rows up to a step, and the edges of that step. */
export function countsOf(rows, at) {
  const spots = new Map();
  const edges = new Map();
  let last = [];
  for (const row of rows) {
    if (row[0] > at) break;
    for (const spot of row[12]) spots.set(spot, (spots.get(spot) || 0) + 1);
    for (const edge of row[13]) edges.set(edge, (edges.get(edge) || 0) + 1);
    if (row[13].length) last = row[0] === at || row[0] > at - 3 ? row[13] : last;
  }
  return { spots, edges, last };
}

/**
 * @param lit - `{spots, edges, last}`, counts by number; null before they are known.
 * @param standings - where the run is, by the number of the node.
 * @param marks - more classes by the number of an edge, for two runs on one picture.
 */
export function Picture({ fingerprint, lit, standings = {}, marks = null, badge = (times) => (times > 1 ? `×${times}` : ""), choose }) {
  const [detail, setDetail] = useState("brief");
  const [zoom, setZoom] = useState(null); // 0 fits the window, and null does unless its words would be too small
  const [found, setFound] = useState(null);
  const [error, setError] = useState(null);
  const [wordy, setWordy] = useState(false);
  const [isDark, setDark] = useState(DARK.matches);
  const box = useRef(null);
  useEffect(() => {
    let gone = false;
    load({ fingerprint, detail, theme: isDark ? "dark" : "light" }).then((made) => gone || (setFound(made), setError(null)), setError);
    return () => (gone = true);
  }, [fingerprint, detail, isDark]);
  useEffect(() => {
    const changed = () => setDark(DARK.matches);
    DARK.addEventListener("change", changed);
    return () => DARK.removeEventListener("change", changed);
  }, []);
  const svg = useMemo(() => (found?.svg ? elementOf(found.svg) : null), [found]);
  useEffect(() => {
    box.current?.replaceChildren(...(svg ? [svg] : []));
  }, [svg, wordy]);
  useEffect(() => {
    if (svg) light(svg, found, lit, standings, marks, badge);
  }, [svg, lit, standings, marks, wordy]);
  useEffect(() => {
    if (!svg) return;
    svg.removeAttribute("height");
    svg.setAttribute("width", `${Math.round(svg.viewBox.baseVal.width * POINT * (zoom || 1))}`);
    svg.classList.toggle("fits", !zoom);
    if (zoom === null && fitted(svg) < LEGIBLE) setZoom(LEGIBLE);
  }, [svg, zoom]);
  useEffect(() => {
    const here = zoom && box.current?.querySelector(".node:is(.lit-here, .lit-waiting, .lit-failed)");
    if (here) centre(box.current, here);
  }, [svg, lit, standings, zoom]);
  if (error) return html`<${Failure} error=${error} />`;
  if (!found) return html`<section class="picture" aria-busy="true"></section>`;
  const clicked = (event) => {
    const part = event.target.closest?.("g.node, g.cluster");
    const about = part && found.boxes[part.id];
    if (about && choose) choose(about.spot, about.name);
  };
  const scale = (factor) => setZoom((was) => Math.min(4, Math.max(0.2, (was || fitted(svg)) * factor)));
  return html`<section class="picture" aria-label="Picture of the graph">
    <div class="tools">
      <button class="small" onClick=${() => setZoom(0)} aria-pressed=${!zoom}>fit</button>
      <button class="small" aria-label="smaller" onClick=${() => scale(0.8)}>−</button>
      <button class="small" aria-label="larger" onClick=${() => scale(1.25)}>+</button>
      <button class="small" aria-pressed=${detail === "full"} onClick=${() => setDetail(detail === "full" ? "brief" : "full")}>conditions</button>
      <button class="small" aria-pressed=${wordy} onClick=${() => setWordy(!wordy)}>in words</button>
    </div>
    ${found.trouble && html`<p class="soft">${found.trouble}</p>`}
    ${wordy || !svg ? html`<pre tabindex="0">${found.words}</pre>` : html`<div class="canvas" tabindex="0" ref=${box} onClick=${clicked}></div>`}
  </section>`;
}

/** The scale at which the whole picture is shown. */
function fitted(svg) {
  const [frame, { width, height }] = [svg.getBoundingClientRect(), svg.viewBox.baseVal];
  return Math.min(frame.width / width, frame.height / height) / POINT;
}

/** Scroll a part into the middle of its window, unless it is in view. */
function centre(box, part) {
  const [outer, inner] = [box.getBoundingClientRect(), part.getBoundingClientRect()];
  if (inner.top < outer.top || inner.bottom > outer.bottom) box.scrollTop += (inner.top + inner.bottom - outer.top - outer.bottom) / 2;
  if (inner.left < outer.left || inner.right > outer.right) box.scrollLeft += (inner.left + inner.right - outer.left - outer.right) / 2;
}

/** Set the classes of all parts, and their badges. */
function light(svg, { boxes, arrows }, lit, standings, marks, badge) {
  svg.querySelectorAll(".badge").forEach((each) => each.remove());
  const ends = new Set();
  for (const [id, about] of Object.entries(arrows)) {
    const part = svg.querySelector(`#${CSS.escape(id)}`);
    const times = lit ? about.edges.reduce((sum, edge) => sum + (lit.edges.get(edge) || 0), 0) : 0;
    const classes = ["edge"];
    if (lit && about.edges.length) classes.push(times ? "lit-done" : "lit-unused");
    if (lit?.last.some((edge) => about.edges.includes(edge))) classes.push("lit-now");
    if (marks) classes.push(...new Set(about.edges.map((edge) => marks.get(edge)).filter(Boolean)));
    if (times) ends.add(about.to);
    part?.setAttribute("class", classes.join(" "));
  }
  for (const [id, about] of Object.entries(boxes)) {
    const part = svg.querySelector(`#${CSS.escape(id)}`);
    if (!part) continue;
    const standing = standings[about.spot];
    const times = lit?.spots.get(about.spot) || 0;
    const isEnd = about.shape === "end" || about.shape === "fail";
    const how = standing && standing.how !== "ended" ? standing.how : null;
    const isDone = times || ends.has(id) || (about.shape === "start" && lit?.edges.size);
    const classes = [part.getAttribute("class").split(" ")[0]];
    if (how) classes.push(`lit-${how}`);
    else if (lit) classes.push(isDone ? "lit-done" : "lit-unused");
    part.setAttribute("class", classes.join(" "));
    const text = [badge(times, about.spot), { waiting: "⏸", failed: "✗", here: "●" }[how]].filter(Boolean).join(" ");
    if (text && !isEnd && about.shape !== "start") put(part, text, how || "done");
  }
}

/** Put a badge at the upper right corner of a part, whose place is reserved in no layout. */
function put(part, text, tone) {
  const shape = part.querySelector("rect, path, ellipse");
  if (!shape) return;
  const frame = shape.getBBox();
  const group = document.createElementNS(NAMESPACE, "g");
  const plate = document.createElementNS(NAMESPACE, "rect");
  const words = document.createElementNS(NAMESPACE, "text");
  words.textContent = text;
  group.setAttribute("class", `badge badge-${tone}`);
  const width = 8 + text.length * 6.4;
  for (const [name, value] of Object.entries({ x: frame.x + frame.width - width + 6, y: frame.y - 8, width, height: 15, rx: 7 })) plate.setAttribute(name, value);
  words.setAttribute("x", frame.x + frame.width - width / 2 + 6);
  words.setAttribute("y", frame.y + 3);
  group.append(plate, words);
  part.append(group);
}
