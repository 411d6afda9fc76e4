// The timeline: what ran when, on a canvas. Zoom with the wheel, drag to move, double-click for all of it. Times at
// which the run was not driven take a fixed width, and spans below one pixel are drawn once for each pixel.

import { harmless, html, useState, useEffect, useMemo, useRef } from "./html.js";
import { get } from "./api.js";
import { useDark } from "./parts.js";
import { seconds } from "./words.js";

const ROW = 18;
const MOST_ROWS = 9;
const GUTTER = 130;
const TICKS = [0, 0.25, 0.5, 0.75];
const IDLE = 0.03; // the width of an idle time, as a part of the whole
const COLOURS = { work: "--work", failed: "--failed", fallback: "--fallback", wait: "--waiting", pause: "--pause", inside: "--inside", begun: "--running" };

/** Map time to 0…1, with each gap that is longer than its share folded. */
function scaleOf({ began, ended, gaps }) {
  const whole = Math.max(ended - began, 0.001);
  const long = gaps.filter(([from, to]) => to - from > whole * IDLE).slice(0, 20);
  const idle = long.reduce((sum, [from, to]) => sum + to - from, 0);
  const room = Math.max(0.1, 1 - long.length * IDLE);
  const active = Math.max(whole - idle, 0.001);
  const knots = [[began, 0]];
  let place = 0;
  let last = began;
  for (const [from, to] of long) {
    place += ((from - last) / active) * room;
    knots.push([from, place]);
    place += IDLE;
    knots.push([to, place]);
    last = to;
  }
  knots.push([Math.max(ended, last + 0.0001), 1]);
  return {
    long,
    at(time) {
      let index = 1;
      while (index < knots.length - 1 && knots[index][0] < time) index += 1;
      const [[from, low], [to, high]] = [knots[index - 1], knots[index]];
      return to > from ? low + ((time - from) / (to - from)) * (high - low) : high;
    },
  };
}

export function Timeline({ id, steps, selected, select, whole }) {
  const [found, setFound] = useState(null);
  const [view, setView] = useState([0, 1]);
  const [width, setWidth] = useState(600);
  const canvas = useRef(null);
  const drag = useRef(null);
  const asked = useRef(0);
  const dark = useDark();
  useEffect(() => {
    if (!whole) return undefined;
    const wait = Math.max(0, asked.current + 1500 - Date.now()); // a live run: not for each step
    const timer = setTimeout(() => {
      asked.current = Date.now();
      get("timeline", { id }).then(setFound, () => setFound(null));
    }, wait);
    return () => clearTimeout(timer);
  }, [id, steps, whole]);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(200, entry.contentRect.width)));
    if (canvas.current) observer.observe(canvas.current.parentElement);
    return () => observer.disconnect();
  }, [Boolean(found)]);
  const scale = useMemo(() => (found ? scaleOf(found) : null), [found]);
  const gutter = width < 500 ? 80 : GUTTER;
  const rows = found?.rows || [];
  const height = Math.max(1, rows.length) * ROW;
  useEffect(() => {
    if (found && canvas.current) draw(canvas.current, { found, scale, view, width, height, gutter, selected });
  }, [found, scale, view, width, height, selected, dark]);
  const place = (event) => {
    const box = canvas.current.getBoundingClientRect();
    return [(event.clientX - box.left - gutter) / (width - gutter), Math.floor((event.clientY - box.top) / ROW)];
  };
  const zoom = (factor, middle = 0.5) => setView(([from, to]) => {
    const size = Math.min(1, Math.max(1e-5, (to - from) * factor));
    const first = Math.min(Math.max(0, from + (to - from) * middle - size * middle), 1 - size);
    return [first, first + size];
  });
  // Registered by hand: the wheel must not scroll the page too, and listeners of a tree are passive.
  useEffect(() => {
    const wheel = (event) => {
      if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaX) < Math.abs(event.deltaY) && view[1] - view[0] === 1 && event.deltaY > 0) return;
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, Math.min(1, Math.max(0, place(event)[0])));
    };
    const box = canvas.current;
    box?.addEventListener("wheel", wheel, { passive: false });
    return () => box?.removeEventListener("wheel", wheel);
  });
  const down = (event) => {
    drag.current = { x: place(event)[0], view, moved: false };
    event.currentTarget.setPointerCapture(event.pointerId);
  };
  const moved = (event) => {
    if (!drag.current) return;
    const [from, to] = drag.current.view;
    const by = (drag.current.x - place(event)[0]) * (to - from);
    if (Math.abs(by) > 0.003 * (to - from)) drag.current.moved = true;
    const first = Math.min(Math.max(0, from + by), 1 - (to - from));
    if (drag.current.moved) setView([first, first + to - from]);
  };
  const up = (event) => {
    const was = drag.current;
    drag.current = null;
    if (!was || was.moved) return;
    const [x, row] = place(event);
    const time = view[0] + x * (view[1] - view[0]);
    const near = (rows[row]?.spans || []).filter((span) => span[3]).map((span) => [Math.max(scale.at(span[1]) - time, time - scale.at(span[2]), 0), span[3]]);
    const best = near.reduce((least, each) => (each[0] < least[0] ? each : least), [Infinity, 0]);
    if (best[1]) select(best[1]);
  };
  if (!found || !rows.length) return html`<section class="timeline" aria-label="Timeline" aria-busy=${!found}></section>`;
  return html`<section class="timeline" aria-label="Timeline">
    <div class="tools"><span class="soft">${seconds(found.ended - found.began)}${scale.long.length ? `, ${scale.long.length} idle times folded` : ""}</span>
      <button class="small" aria-label="show a shorter time" onClick=${() => zoom(0.5)}>+</button><button class="small" aria-label="show a longer time" onClick=${() => zoom(2)}>−</button>
      <button class="small" onClick=${() => setView([0, 1])}>all</button></div>
    <div class="scroll" style=${{ maxHeight: `${MOST_ROWS * ROW}px` }}>
      <canvas ref=${canvas} role="img" aria-label="Timeline; the list of steps has the same" onPointerDown=${down} onPointerMove=${moved} onPointerUp=${up} onDblClick=${() => setView([0, 1])}></canvas></div>
    <div class="ticks" style=${{ marginLeft: `${gutter}px` }}>${TICKS.map((each) => html`<span>+${seconds(inverse(scale, found, view[0] + each * (view[1] - view[0])) - found.began)}</span>`)}</div>
  </section>`;
}

function draw(canvas, { found, scale, view, width, height, gutter, selected }) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name).trim();
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  const room = width - gutter;
  const x = (time) => gutter + ((scale.at(time) - view[0]) / (view[1] - view[0])) * room;
  const bottom = found.rows.length * ROW;
  pen.fillStyle = colour("--idle");
  for (const [from, to] of scale.long) pen.fillRect(Math.max(gutter, x(from)), 0, Math.max(0, x(to) - Math.max(gutter, x(from))), bottom);
  let marked = null;
  found.rows.forEach((row, index) => {
    const top = index * ROW + 3;
    const drawn = new Map();
    for (const [what, from, to, seq] of row.spans) {
      const left = x(from);
      const right = Math.max(x(to), left + 1);
      if (seq === selected) marked = [(left + right) / 2, index];
      if (right < gutter || left > width) continue;
      const key = Math.floor(right);
      if (right - left < 2 && drawn.get(what) === key) continue;
      drawn.set(what, key);
      pen.fillStyle = colour(COLOURS[what] || "--work");
      const inset = what === "inside" ? 5 : what === "pause" ? 4 : 0;
      pen.fillRect(Math.max(gutter, left), top + inset, Math.max(1, Math.min(right, width) - Math.max(gutter, left)), ROW - 6 - 2 * inset);
    }
    pen.fillStyle = colour("--paper");
    pen.fillRect(0, index * ROW, gutter - 2, ROW);
    pen.fillStyle = colour("--ink");
    pen.fillText(fitting(pen, harmless(row.path), gutter - 8), 2, top + ROW / 2 - 3);
  });
  if (marked && marked[0] >= gutter - 1) {
    pen.fillStyle = colour("--accent");
    pen.fillRect(marked[0] - 1, 0, 2, bottom);
    pen.fillRect(marked[0] - 4, marked[1] * ROW + 1, 8, ROW - 2);
  }
  pen.fillStyle = colour("--soft");
  for (const each of TICKS) pen.fillRect(gutter + each * room, 0, 0.5, bottom);
}

/** The time at a place of the scale, by halving. */
function inverse(scale, { began, ended }, place) {
  let [low, high] = [began, ended];
  for (let step = 0; step < 40; step += 1) {
    const middle = (low + high) / 2;
    if (scale.at(middle) < place) low = middle;
    else high = middle;
  }
  return low;
}

function fitting(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let short = text;
  while (short.length > 1 && pen.measureText(`…${short}`).width > room) short = short.slice(1);
  return `…${short}`;
}
