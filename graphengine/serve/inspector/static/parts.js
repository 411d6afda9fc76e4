// Small parts that several pages share.

import { html, useState, useEffect, useRef } from "./html.js";
import { get, post, query } from "./api.js";
import { STATUSES, brief, shown } from "./words.js";

/** Go to another address of the page without loading it again. */
export function go(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  dispatchEvent(new PopStateEvent("popstate"));
}

export function Link({ to, children, ...more }) {
  const follow = (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    go(to);
  };
  return html`<a href=${to} onClick=${follow} ...${more}>${children}</a>`;
}

export const runAddress = (id, at) => `/run?id=${encodeURIComponent(id)}${at ? `&at=${at}` : ""}`;

export function Status({ status, word = true }) {
  const [sign, name] = STATUSES[status] || ["", status];
  return html`<span class="status is-${status}"><span aria-hidden="true">${sign}</span>${word ? html` ${name}` : html`<span class="spoken">${name}</span>`}</span>`;
}

export function Failure({ error }) {
  return html`<p class="failure" role="alert" tabindex="0">${error.message}${error.repair ? html`<br /><span class="soft">${error.repair}</span>` : null}</p>`;
}

/** A command to paste, with a button that copies it. */
export function Command({ words, text }) {
  const [done, setDone] = useState(false);
  const copy = () => navigator.clipboard?.writeText(text).then(() => setDone(true), () => {});
  return html`<div class="command"><span>${words}</span><code>${text}</code><button class="small" onClick=${copy}>${done ? "copied" : "copy"}</button></div>`;
}

/** A value: on one line if it is short, else as a block that can be opened. */
export function Value({ value, open = false }) {
  const text = shown(value);
  if (text.length <= 120 && !text.includes("\n")) return html`<code class="value">${text}</code>`;
  return html`<details class="value" open=${open}><summary><code>${brief(text, 100)}</code></summary><pre tabindex="0">${text}</pre></details>`;
}

/** The time, again every few seconds. */
export function useNow(every = 5) {
  const [now, setNow] = useState(Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || setNow(Date.now() / 1000), every * 1000);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

/** The element of an SVG that the server drew; null if it is none. */
export function elementOf(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  return parsed.nodeName === "svg" ? document.importNode(parsed, true) : null;
}

/** A document that is read again when what it depends on changes. */
export function useDocument(name, parameters) {
  const [found, setFound] = useState(null);
  const [error, setError] = useState(null);
  const key = query(parameters);
  useEffect(() => {
    let stale = false;
    get(name, parameters).then((made) => stale || (setFound(made), setError(null)), (problem) => stale || setError(problem));
    return () => (stale = true);
  }, [name, key]);
  return [found, error];
}

/** Run an action, and show that it is busy, done or refused; the action returns what the server answered. */
export function useAct() {
  const [state, setState] = useState({});
  const act = async (name, body, done) => {
    setState({ busy: true });
    try {
      const answer = await post(name, body);
      setState({ done });
      return answer;
    } catch (error) {
      setState({ error });
      return null;
    }
  };
  const said = html`${state.done && html`<p role="status">${state.done}</p>`}${state.error && html`<${Failure} error=${state.error} />`}`;
  return [act, state.busy, said];
}

/** Handle keys of the page, except while the reader writes. */
export function useKeys(handlers) {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    const pressed = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.("input, textarea, select, [role=dialog]")) return event.key === "Escape" && event.target.blur();
      if (["Enter", " "].includes(event.key) && event.target.closest?.("button, a, summary, label, [role=option]")) return;
      const handle = latest.current[event.key];
      if (handle) {
        event.preventDefault();
        handle();
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

/** A list of any length, of which only the visible rows exist. `show` keeps the row with this index in view. */
export function List({ rows, height, row, label, role = "listbox", show = -1, seen, near }) {
  const box = useRef(null);
  const [top, setTop] = useState(0);
  const [size, setSize] = useState(600);
  useEffect(() => {
    const observer = new ResizeObserver(() => setSize(box.current?.clientHeight || 600));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (show < 0 || !box.current) return;
    const begin = show * height;
    if (begin < box.current.scrollTop) box.current.scrollTop = begin;
    else if (begin + height > box.current.scrollTop + size) box.current.scrollTop = begin + height - size;
  }, [show, size, height]);
  const first = Math.max(0, Math.floor(top / height) - 8);
  const last = Math.min(rows.length, Math.ceil((top + size) / height) + 8);
  useEffect(() => {
    seen?.(first, last);
    if (near && last >= rows.length) near();
  }, [first, last, rows]);
  return html`<div class="list" ref=${box} role=${role} aria-label=${label} tabindex="0" onScroll=${(event) => setTop(event.target.scrollTop)}>
    <div class="room" role="presentation" style=${{ height: `${rows.length * height}px` }}>
      <div role="presentation" style=${{ transform: `translateY(${first * height}px)` }}>${rows.slice(first, last).map((each, index) => row(each, first + index))}</div>
    </div>
  </div>`;
}
