// The picture of a graph, lit as at a step. Its SVG comes from the server without a run; classes and badges change.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { type Query, get } from "./api";
import { Failure, Icon, type Problem, elementOf, useDark, useKeys } from "./parts";
import type { Counts } from "./trace";
import type { Box, Picture as Found, PlaceState } from "./types";

const NAMESPACE = "http://www.w3.org/2000/svg";
const LEGIBLE = 7.7; // pixels of the smallest text
const SMALLEST: Record<string, number> = { brief: 11, full: 10 }; // points of it
const SCROLLED = 0.75; // of its size: what does not fit is read, not looked over
const AROUND = 26; // pixels beside a picture in its column
const FEW = 12; // up to so many nodes nothing is folded
const POINT = 4 / 3; // in pixels
const HOWS: Record<string, string> = { waiting: "waits", failed: "failed", here: "now" };
const pictures = new Map<string, Promise<Found>>();

function load(parameters: Query): Promise<Found> {
  const key = JSON.stringify(parameters);
  let made = pictures.get(key);
  if (!made) {
    made = get("picture", parameters);
    pictures.set(key, made);
    made.catch(() => pictures.delete(key));
  }
  return made;
}

/** How often something went wrong at a node, and how many items or results of it are lost. */
export interface Losses {
  times: number;
  lost: number;
}

/** How many frames of a run are at each node, by its number, and the edges by which they came, or go back. */
export interface Walk {
  tokens: Record<string, number>;
  edges: number[];
  isBack: boolean;
}

/**
 * @param lit - counts by number; null before they are known.
 * @param standings - where the run is, by the number of the node.
 * @param marks - more classes by the number of an edge, for two runs on one picture.
 * @param losses - what went wrong, by the number of the node.
 * @param ask - asks why edges were not taken.
 * @param walk - tokens at the nodes where the run is, which walk there by the edges just taken.
 */
export function Picture({
  fingerprint,
  lit,
  standings = {},
  marks = null,
  losses,
  badge,
  choose,
  chosen = "",
  walk = null,
  ask,
}: {
  fingerprint: string;
  lit: Counts | null;
  standings?: Record<string, PlaceState>;
  marks?: Map<number, string> | null;
  losses?: Map<number, Losses>;
  badge?: (times: number, spot: number) => string;
  choose?: (spot: number, name: string) => void;
  chosen?: string;
  walk?: Walk | null;
  ask?: (edges: number[]) => void;
}) {
  const [detail, setDetail] = useState("brief");
  const [zoom, setZoom] = useState<number | null>(null); // 0 fits the window, null does unless it would be too small
  const [found, setFound] = useState<Found | null>(null);
  const [error, setError] = useState<Problem | null>(null);
  const [wordy, setWordy] = useState(false);
  const [opened, setOpened] = useState<string | null>(null); // the graph that the reader opened; "" if they folded all
  const [tight, setTight] = useState(false); // whether all graphs inside are folded, since it is too small else
  const [seen, setSeen] = useState("");
  const [large, setLarge] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const dark = useDark();
  const now = found && currentOf(standings, found.nodes);
  const open = opened ?? (tight ? "" : chosen || now || "");
  const whole = large || marks ? "1" : "";
  const fold = tight && !whole ? "1" : "";
  useEffect(() => setOpened(null), [chosen, now]);
  useKeys({
    e: () => setLarge((was) => !was),
    o: () => setOpened(""),
    ...(large ? { Escape: () => setLarge(false) } : {}),
  });
  useEffect(() => {
    let gone = false;
    load({ fingerprint, detail, theme: dark ? "dark" : "light", open: whole ? "" : open, whole, fold }).then((made) => {
      if (gone) return;
      setFound(made);
      setError(null);
    }, setError);
    return () => {
      gone = true;
    };
  }, [fingerprint, detail, dark, open, whole, fold]);
  const drawn = useRef(new Map<string, SVGSVGElement | null>()); // also of another choice, where nothing is folded
  const svg = useMemo(() => {
    const text = found?.svg || "";
    if (text && !drawn.current.has(text)) drawn.current.set(text, elementOf(text));
    return drawn.current.get(text) || null;
  }, [found]);
  useEffect(() => {
    box.current?.replaceChildren(...(svg ? [svg] : []));
  }, [svg, wordy]);
  useEffect(() => {
    if (svg && found) light(svg, found, { lit, standings, marks, losses, badge, chosen });
  }, [svg, lit, standings, marks, wordy, chosen, losses]);
  useEffect(() => {
    if (svg && found) place(svg, found, walk);
  }, [svg, walk, wordy]);
  const isAsked = Boolean(ask && lit);
  useEffect(() => {
    if (svg && found && isAsked) makeEdgesButtons(svg, found);
  }, [svg, isAsked]);
  useEffect(() => {
    if (!svg) return;
    svg.removeAttribute("height");
    svg.setAttribute("preserveAspectRatio", "xMidYMin meet");
    svg.setAttribute("width", `${Math.round(svg.viewBox.baseVal.width * POINT * (zoom || 1))}`);
    svg.classList.toggle("fits", !zoom);
    if (zoom !== null) return;
    const least = LEGIBLE / (SMALLEST[detail]! * POINT);
    const need = svg.viewBox.baseVal.width * POINT * least + AROUND;
    box.current?.closest<HTMLElement>(".cols")?.style.setProperty("--need", `${Math.ceil(need)}px`);
    // Whole where its text can be read; else with its graphs folded; else where the run is.
    const judge = () => {
      if (!svg.isConnected || fitted(svg) >= least) return;
      if (!fold && !whole && opened === null && svg.querySelector(".cluster")) setTight(true);
      else setZoom(SCROLLED);
    };
    const sized = new ResizeObserver(judge);
    sized.observe(svg); // on a phone it is not seen at first
    return () => sized.disconnect();
  }, [svg, zoom, wordy, large]);
  useEffect(() => {
    const frame = box.current;
    if (!svg || !frame) return;
    let due = 0;
    const tell = () => {
      due = 0;
      const outer = frame.getBoundingClientRect();
      const nodes = [...svg.querySelectorAll(".node")].map((each) => each.getBoundingClientRect());
      const inside = nodes.filter(
        ({ top, bottom, left, right }) =>
          top >= outer.top - 1 && bottom <= outer.bottom + 1 && left >= outer.left - 1 && right <= outer.right + 1,
      );
      setSeen(outer.width && inside.length < nodes.length ? `${nodes.length} boxes, ${inside.length} shown` : "");
    };
    const later = () => (due ||= requestAnimationFrame(tell));
    const sized = new ResizeObserver(later);
    sized.observe(frame);
    sized.observe(svg);
    frame.addEventListener("scroll", later);
    return () => {
      cancelAnimationFrame(due);
      sized.disconnect();
      frame.removeEventListener("scroll", later);
    };
  }, [svg, wordy]);
  useEffect(() => {
    const here = box.current?.querySelector(".node:is(.lit-here, .lit-waiting, .lit-failed, .chosen)");
    const part = here || box.current?.querySelector(".node"); // else where it starts
    if (part) centre(box.current!, part, !here);
  }, [svg, lit, standings, zoom]);
  if (error) return <Failure error={error} />;
  if (!found) return <section class="picture" aria-busy="true" />;
  const clicked = (event: Event) => {
    const edge = (event.target as Element).closest?.("g.edge");
    const edges = (edge && found.arrows[edge.id]?.edges) || [];
    if (ask && edges.length) ask(edges);
    const part = (event.target as Element).closest?.("g.node, g.cluster");
    const about = part && found.boxes[part.id];
    if (!about || about.spot === null) return;
    if (about.folded) setOpened(found.nodes[about.spot] || "");
    else choose?.(about.spot, about.name);
  };
  const scale = (factor: number) =>
    setZoom((was) => Math.min(4, Math.max(0.2, (was || (svg ? fitted(svg) : 1)) * factor)));
  const names = Object.values(found.nodes).filter((name) => !/(^|[/ ])(START|END|FAIL)$/.test(name));
  const isFolded = Object.values(found.boxes).some((each) => each.folded);
  return (
    <section class={`picture ${large ? "large" : ""}`} aria-label="Picture of the graph">
      <header class="head">
        <h2>{seen || (names.length > FEW ? `${names.length} nodes` : "Graph")}</h2>
        <button
          class="btn bare small"
          aria-pressed={large}
          aria-label={large ? "back" : "enlarge"}
          title={large ? "back" : "enlarge"}
          onClick={() => setLarge(!large)}
        >
          <Icon name="wide" /> {large && "back"}
        </button>
        {!whole && (names.length > FEW || tight) && open && opened !== "" && (
          <button class="btn bare small" onClick={() => setOpened("")}>
            fold
          </button>
        )}
        <button class="btn bare small" onClick={() => setZoom(0)} aria-pressed={zoom === 0}>
          fit
        </button>
        <button class="btn bare small" aria-label="smaller" onClick={() => scale(0.8)}>
          −
        </button>
        <button class="btn bare small" aria-label="larger" onClick={() => scale(1.25)}>
          +
        </button>
        <button
          class="btn bare small"
          aria-pressed={detail === "full"}
          onClick={() => setDetail(detail === "full" ? "brief" : "full")}
        >
          conditions
        </button>
        <button class="btn bare small" aria-pressed={wordy} onClick={() => setWordy(!wordy)}>
          in words
        </button>
      </header>
      {found.trouble && <p class="soft padded">{found.trouble}</p>}
      {wordy || !svg ? (
        <pre tabIndex={0}>{found.words}</pre>
      ) : (
        <div
          class="canvas scrolls"
          tabIndex={0}
          role="region"
          aria-label="the graph"
          ref={box}
          onClick={clicked}
          onKeyDown={(event) => {
            const isEdge = (event.target as Element).matches("g.edge");
            if (!isEdge || !["Enter", " "].includes(event.key)) return;
            event.preventDefault();
            event.stopPropagation();
            clicked(event);
          }}
        />
      )}
      {!wordy && (found.legend.length > 0 || isFolded) && (
        <p class="legend soft small">
          {[found.legend.join(" "), isFolded && "folder: a graph, folded; a click opens it"].filter(Boolean).join("; ")}
        </p>
      )}
    </section>
  );
}

/** The path of the node where a run is: one that failed first, then one that waits. */
function currentOf(standings: Record<string, PlaceState>, nodes: Record<string, string>): string {
  for (const how of ["failed", "waiting", "here"]) {
    const spot = Object.keys(standings)
      .filter((each) => standings[each]!.how === how)
      .sort((one, other) => nodes[other]!.length - nodes[one]!.length)[0];
    if (spot) return nodes[spot] || "";
  }
  return "";
}

/** The spots that a box stands for: its own, and those inside if it is folded. */
function spotsOf(node: Box, nodes: Record<string, string>): number[] {
  const path = nodes[node.spot ?? -1];
  if (!node.folded || !path) return [node.spot ?? -1];
  const isInside = (name: string) => name.startsWith(`${path}/`) || name.startsWith(`${path} (`);
  return [node.spot!, ...Object.keys(nodes).map(Number).filter((spot) => isInside(nodes[spot]!))];
}

/** The scale at which the whole picture is shown. */
function fitted(svg: SVGSVGElement): number {
  const [frame, { width, height }] = [svg.getBoundingClientRect(), svg.viewBox.baseVal];
  return frame.width ? Math.min(frame.width / width, frame.height / height) / POINT : 1;
}

/** Scroll a part into the middle of its window, sideways always or unless it is in view. */
function centre(box: Element, part: Element, always: boolean): void {
  const [outer, inner] = [box.getBoundingClientRect(), part.getBoundingClientRect()];
  if (inner.top < outer.top || inner.bottom > outer.bottom) {
    box.scrollTop += (inner.top + inner.bottom - outer.top - outer.bottom) / 2;
  }
  if (always || inner.left < outer.left || inner.right > outer.right) {
    box.scrollLeft += (inner.left + inner.right - outer.left - outer.right) / 2;
  }
}

interface Lights {
  lit: Counts | null;
  standings: Record<string, PlaceState>;
  marks: Map<number, string> | null;
  losses: Map<number, Losses> | undefined;
  badge: ((times: number, spot: number) => string) | undefined;
  chosen: string;
}

/** Let edges be chosen by the keyboard, and be hit beside their thin lines. */
function makeEdgesButtons(svg: SVGSVGElement, { arrows }: Found): void {
  if (svg.querySelector(".hit")) return;
  svg.setAttribute("role", "group"); // an image has no buttons in it
  for (const [id, arrow] of Object.entries(arrows)) {
    const part = partOf(svg, id);
    if (!part || !arrow.edges.length) continue;
    // With the visible texts, so that the button is also found by what is read on it.
    const words = [...part.querySelectorAll("title,text")].map((each) => each.textContent).join(" ");
    for (const [name, value] of Object.entries({ tabindex: "0", role: "button", "aria-label": `why: ${words}` })) {
      part.setAttribute(name, value);
    }
    for (const path of part.querySelectorAll("path")) {
      part.append(made("path", { class: "hit", d: path.getAttribute("d") || "" }));
    }
  }
}

const WALK = 0.32; // seconds

/** Put a token at each node where the run is; by the edges just taken they walk there, unless motion is unwanted. */
function place(svg: SVGSVGElement, { boxes, arrows, nodes }: Found, walk: Walk | null): void {
  svg.querySelector(".tokens")?.remove();
  if (!walk) return;
  const layer = made("g", { class: "tokens" });
  const came = Object.values(arrows).filter((arrow) => arrow.edges.some((edge) => walk.edges.includes(edge)));
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  for (const [number, count] of Object.entries(walk.tokens)) {
    const spot = Number(number);
    const there = Object.entries(boxes).filter(([, box]) => spotsOf(box, nodes).includes(spot));
    const [id] = there.find(([name]) => came.some((arrow) => arrow.to === name)) || there[0] || [];
    const part = id && partOf(svg, id);
    const frame = part && frameOf(part);
    if (!frame) continue; // in a graph that is folded or not drawn
    const { x, y, width } = frame;
    const at = `translate(${x + width / 2} ${y})`;
    const token = made("g", { class: "token", "data-at": nodes[spot] || "", transform: at });
    token.append(made("circle", { r: count > 1 ? 8 : 6 }));
    if (count > 1) token.append(made("text", { y: 3.6 }, `${count}`));
    layer.append(token);
  }
  svg.append(layer);
  if (isStill) return;
  for (const [id, arrow] of Object.entries(arrows)) {
    if (!came.includes(arrow)) continue;
    const paths = partOf(svg, id)?.querySelectorAll("path:not(.hit)") || [];
    const lines = [...paths].map((path) => path.getAttribute("d"));
    const back: Record<string, string> = walk.isBack ? { keyPoints: "1;0", keyTimes: "0;1", calcMode: "linear" } : {};
    const motion = made("animateMotion", { path: lines.join(" "), dur: `${WALK}s`, begin: "indefinite", ...back });
    const dot = made("circle", { class: "walking", r: 6 });
    dot.append(motion);
    layer.append(dot);
    layer.classList.add("moving");
    (motion as SVGAnimationElement).beginElement();
    motion.addEventListener("endEvent", () => {
      dot.remove();
      if (!layer.querySelector(".walking")) layer.classList.remove("moving");
    });
  }
}

function made(name: string, attributes: Record<string, string | number>, text = ""): SVGElement {
  const part = document.createElementNS(NAMESPACE, name) as SVGElement;
  for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, `${value}`);
  part.textContent = text;
  return part;
}

const known = new WeakMap<SVGSVGElement, Map<string, Element>>();

/** A part of a picture by its id. */
function partOf(svg: SVGSVGElement, id: string): Element | undefined {
  let parts = known.get(svg);
  if (!parts) {
    parts = new Map([...svg.querySelectorAll("g[id]")].map((each) => [each.id, each]));
    known.set(svg, parts);
  }
  return parts.get(id);
}

const frames = new WeakMap<Element, DOMRect>();

/** Where a part is in its picture; it is measured once, since each measure lays out the page. */
function frameOf(part: Element): DOMRect | undefined {
  let frame = frames.get(part);
  if (!frame) {
    frame = part.querySelector<SVGGraphicsElement>("rect, path, ellipse")?.getBBox();
    if (frame?.width) frames.set(part, frame); // it has none while it is hidden
  }
  return frame;
}

/** Set the classes of all parts, and their badges. */
function light(svg: SVGSVGElement, { boxes, arrows, nodes }: Found, about: Lights): void {
  const { lit, standings, marks, losses, badge = (times) => (times > 1 ? `×${times}` : ""), chosen } = about;
  svg.querySelectorAll(".badge").forEach((each) => each.remove());
  const ends = new Set<string>();
  for (const [id, arrow] of Object.entries(arrows)) {
    const part = partOf(svg, id);
    const times = lit ? arrow.edges.reduce((sum, edge) => sum + (lit.edges.get(edge) || 0), 0) : 0;
    const classes = ["edge"];
    if (lit && arrow.edges.length) classes.push(times ? "lit-done" : "lit-unused");
    if (lit?.last.some((edge) => arrow.edges.includes(edge))) classes.push("lit-now");
    if (marks) classes.push(...new Set(arrow.edges.map((edge) => marks.get(edge) || "").filter(Boolean)));
    if (times) ends.add(arrow.to);
    part?.setAttribute("class", classes.join(" "));
  }
  for (const [id, node] of Object.entries(boxes)) {
    const part = partOf(svg, id);
    if (!part) continue;
    const spot = node.spot ?? -1;
    const spots = spotsOf(node, nodes);
    const standing = spots.map((each) => standings[each]).find((each) => each && each.how !== "ended");
    const times = lit?.spots.get(spot) || 0;
    const isEnd = node.shape === "end" || node.shape === "fail";
    const how = standing && standing.how !== "ended" ? standing.how : null;
    const isDone = times || ends.has(id) || (node.shape === "start" && lit?.edges.size);
    const classes = [part.getAttribute("class")!.split(" ")[0]!];
    if (how) classes.push(`lit-${how}`);
    else if (lit) classes.push(isDone ? "lit-done" : "lit-unused");
    if (chosen && spots.some((each) => nodes[each] === chosen)) classes.push("chosen");
    part.setAttribute("class", classes.join(" "));
    const words = [badge(times, spot), HOWS[how || ""]].filter(Boolean).join(" ");
    if (isEnd || node.shape === "start") continue;
    if (words) put(part, words, how || "done", "right");
    const wrong = spots
      .map((each) => losses?.get(each))
      .reduce((sum, each) => ({
        times: (sum?.times || 0) + (each?.times || 0),
        lost: (sum?.lost || 0) + (each?.lost || 0),
      }));
    if (wrong?.lost && how !== "failed") put(part, `${wrong.lost} lost`, "lost", "left");
    else if (wrong?.times && how !== "failed") put(part, `△ ${wrong.times}`, "lossy", "left");
  }
}

/** Put a badge at an upper corner of a part, whose place is reserved in no layout. */
function put(part: Element, text: string, tone: string, side: "left" | "right"): void {
  const frame = frameOf(part);
  if (!frame) return;
  const width = 8 + text.length * 6.4;
  const x = side === "right" ? frame.x + frame.width - width + 6 : frame.x - 6;
  const group = made("g", { class: `badge badge-${tone}` });
  group.append(
    made("rect", { x, y: frame.y - 8, width, height: 15, rx: 7 }),
    made("text", { x: x + width / 2, y: frame.y + 3 }, text),
  );
  part.append(group);
}
