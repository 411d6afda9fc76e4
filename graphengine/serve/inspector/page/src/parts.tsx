// Small parts that several views share.

import { type ComponentChildren, type JSX, createContext } from "preact";
import { useContext, useEffect, useMemo, useRef, useState } from "preact/hooks";

import { type Gone, type Query, Refused, get, goneNow, post, query, tryAgain } from "./api";
import { writeJson } from "./json";
import { whole } from "./large";
import type { Answers, Session } from "./types";
import { clock } from "./words";

/** Who reads the page. */
export const Reader = createContext<Pick<Session, "user" | "tenant" | "rights">>({
  user: "",
  tenant: null,
  rights: [],
});

/** Go to another address of the page without loading it again. */
export function go(address: string, { replace = false } = {}): void {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  dispatchEvent(new PopStateEvent("popstate"));
}

export function Link({ to, children, ...more }: { to: string; children?: ComponentChildren; [name: string]: any }) {
  const follow = (event: MouseEvent) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    go(to);
  };
  return (
    <a href={to} onClick={follow} {...more}>
      {children}
    </a>
  );
}

export const runAddress = (id: string, at?: number | null): string => `/run?${query({ id, at: at || null })}`;

const SHAPES: Record<string, JSX.Element> = {
  finished: <path d="M3 8l3 3 6-7" fill="none" stroke="currentColor" stroke-width="2.4" />,
  losses: (
    <g fill="none" stroke="currentColor" stroke-width="1.8">
      <path d="M7.5 1.5l6.5 12h-13z" />
      <path d="M7.5 6v3.5M7.5 11v1.2" />
    </g>
  ),
  failed: <path d="M3 3l9 9M12 3l-9 9" stroke="currentColor" stroke-width="2.6" />,
  waiting: (
    <g fill="currentColor">
      <rect x="3" y="2" width="3.4" height="11" />
      <rect x="9" y="2" width="3.4" height="11" />
    </g>
  ),
  running: <circle cx="7.5" cy="7.5" r="5" fill="currentColor" />,
  interrupted: (
    <circle cx="7.5" cy="7.5" r="5" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="3 2" />
  ),
  queued: <circle cx="7.5" cy="7.5" r="5" fill="none" stroke="currentColor" stroke-width="2" />,
  stopped: <rect x="3" y="3" width="9" height="9" fill="currentColor" />,
  cancelled: <path d="M3 3h9v9H3zM3 12l9-9" fill="none" stroke="currentColor" stroke-width="2" />,
};

/** The sign of a status; `losses` is that of a run that finished with losses. */
export function Sign({ status, label = "" }: { status: string; label?: string }) {
  return (
    <svg class={`st is-${status}`} viewBox="0 0 15 15" role="img" aria-label={label || status}>
      {SHAPES[status] || SHAPES.queued}
    </svg>
  );
}

const ICONS: Record<string, string> = {
  copy:
    "M5 6.5A1.5 1.5 0 0 1 6.5 5h5A1.5 1.5 0 0 1 13 6.5v5a1.5 1.5 0 0 1-1.5 1.5h-5A1.5 1.5 0 0 1 5 11.5z" +
    "M10 2.5H3.5a1 1 0 0 0-1 1V10",
  find: "M6.5 2.5a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM9.5 9.5L13 13",
  wide: "M9 2.5h3.5V6M12.5 2.5L8.5 6.5M6 12.5H2.5V9M2.5 12.5l4-4",
  tool: "M9.5 2.5a3 3 0 0 0-3 4L2.5 10.5l2 2 4-4a3 3 0 0 0 4-3l-2 1.5-1.5-1.5z",
  theme: "M7.5 2.5a5 5 0 1 0 0 10zM7.5 2.5a5 5 0 0 1 0 10",
  down: "M4 6l3.5 4L11 6",
  right: "M6 4l4 3.5L6 11",
  left: "M9 4L5 7.5L9 11",
  person: "M7.5 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM2.5 13a5 4 0 0 1 10 0",
  note: "M2.5 12.5l1-3.5 6.5-6.5 2.5 2.5L6 11.5z",
};

export function Icon({ name }: { name: string }) {
  return (
    <svg class="ic" viewBox="0 0 15 15" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}

export function Chip({
  tone = "",
  children,
  onClick,
}: {
  tone?: string;
  children: ComponentChildren;
  onClick?: () => void;
}) {
  const kind = `chip ${tone}`;
  return onClick ? (
    <button class={kind} onClick={onClick}>
      {children}
    </button>
  ) : (
    <span class={kind}>{children}</span>
  );
}

export interface Problem {
  message: string;
  repair?: string;
}

export function Failure({ error }: { error: Problem }) {
  if (error instanceof Refused && !error.status) return null; // the banner says that the server is gone
  return (
    <p class="failure" role="alert" tabIndex={0}>
      {error.message}
      {error.repair && (
        <>
          <br />
          <span class="soft">{error.repair}</span>
        </>
      )}
    </p>
  );
}

/** A button that copies a text, or a value as JSON, whole also if the page has only its beginning. */
export function Copy({ text, children = "copy" }: { text: unknown; children?: ComponentChildren }) {
  const [done, setDone] = useState(false);
  const copy = () =>
    whole(text)
      .then((each) => navigator.clipboard.writeText(typeof each === "string" ? each : writeJson(each, 2)))
      .then(
        () => setDone(true),
        () => {},
      );
  return (
    <button type="button" class="btn bare small" onClick={copy}>
      {done ? "copied" : children}
    </button>
  );
}

/** A command to paste, with a button that copies it. */
export function Command({ words, text }: { words: string; text: string }) {
  return (
    <div class="command">
      <span class="soft">{words}</span>
      <code>{text}</code>
      <Copy text={text} />
    </div>
  );
}

/** The time, again every few seconds. */
export function useNow(every = 5): number {
  const [now, setNow] = useState(Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || setNow(Date.now() / 1000), every * 1000);
    return () => clearInterval(timer);
  }, [every]);
  const gone = useGone();
  return gone ? gone.since : now;
}

/** Whether the server is gone, and since when; null while it answers. */
export function useGone(): Gone | null {
  const [gone, setGone] = useState(goneNow());
  useEffect(() => {
    const moved = () => setGone(goneNow());
    addEventListener("connection", moved);
    return () => removeEventListener("connection", moved);
  }, []);
  return gone;
}

/** A status, or what it was when the server was last seen. */
export function useWas(): (status: string) => string {
  const gone = useGone();
  return (status) => (gone && isUnderWay(status) ? `was ${status} at ${clock(gone.since)}` : status);
}

/** The element of an SVG that the server drew; null if it is none. */
export function elementOf(text: string): SVGSVGElement | null {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  return parsed.nodeName === "svg" ? (document.importNode(parsed, true) as unknown as SVGSVGElement) : null;
}

/** Let a part be reached by Tab if all of it is not seen: then the keys scroll it. */
export const reachable = (part: HTMLElement | null): void => {
  if (!part) return;
  const scrolls = part.scrollHeight > part.clientHeight + 1 || part.scrollWidth > part.clientWidth + 1;
  part.tabIndex = scrolls ? 0 : -1;
};

/** A document that is read again when what it depends on changes. */
export function useDocument<Route extends keyof Answers>(
  route: Route,
  parameters: Query,
): [Answers[Route] | null, Problem | null] {
  return useRead(route, parameters, () => get(route, parameters));
}

/** A document that is read again each second while what it shows moves, and how often it was. */
export function useMoving<Route extends keyof Answers>(
  route: Route,
  parameters: Query,
  isMoving: (found: Answers[Route]) => boolean,
): [Answers[Route] | null, Problem | null, number] {
  const [times, setTimes] = useState(0);
  const [found, error] = useDocument(route, { ...parameters, times });
  useEffect(() => {
    const timer = found && isMoving(found) ? setTimeout(() => setTimes(times + 1), 1000) : 0;
    return () => clearTimeout(timer);
  }, [found]);
  return [found, error, times];
}

export const isUnderWay = (status: string): boolean => status === "running" || status === "queued";

export function useRead<Shape>(
  name: string,
  parameters: Query,
  load: () => Promise<Shape>,
): [Shape | null, Problem | null] {
  const [found, setFound] = useState<Shape | null>(null);
  const [error, setError] = useState<Problem | null>(null);
  const key = query(parameters);
  const isLost = useGone() !== null && error !== null; // what could not be read is read once the server is back
  useEffect(() => {
    let stale = false;
    load().then(
      (made) => {
        if (stale) return;
        setFound(made);
        setError(null);
      },
      (problem) => stale || setError(problem),
    );
    return () => {
      stale = true;
    };
  }, [name, key, isLost]);
  return [found, error];
}

export type Act = (route: string, body: object, done?: string, key?: string) => Promise<any>;

/** Run an action, and show that it is busy, done or refused; the action returns what the server answered. */
export function useAct(): [Act, boolean, JSX.Element] {
  const [state, setState] = useState<{ busy?: boolean; done?: string; error?: Problem }>({});
  const act: Act = async (route, body, done, key) => {
    setState({ busy: true });
    try {
      const answer = await post(route, body, key ? { key } : {});
      setState({ done });
      return answer;
    } catch (error) {
      const { message, repair } = error as Refused;
      setState({ error: { message, repair } });
      return null;
    }
  };
  const said = (
    <>
      {state.done && <p role="status">{state.done}</p>}
      {state.error && <Failure error={state.error} />}
    </>
  );
  return [act, Boolean(state.busy), said];
}

/** Handle keys of the page, except while the reader writes. */
export function useKeys(handlers: Record<string, () => unknown>): void {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const target = event.target as HTMLElement;
      if (target.closest?.("input, textarea, select, [role=dialog]")) {
        if (event.key === "Escape") target.blur();
        return;
      }
      if (["Enter", " "].includes(event.key) && target.closest?.("button, a, summary, label")) return;
      if (event.key.startsWith("Arrow") && target.closest?.("[role=tablist], pre, .scrolls")) return;
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

export function Tabs({
  names,
  now,
  choose,
  label,
  small = false,
}: {
  names: [string, ComponentChildren, string?][];
  now: string;
  choose: (name: string) => void;
  label: string;
  small?: boolean;
}) {
  const move = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const at = names.findIndex(([name]) => name === now);
    const next = by === undefined ? undefined : names[at + by];
    if (!next) return;
    event.preventDefault();
    choose(next[0]);
    const tabs = (event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("[role=tab]");
    tabs[at + by!]?.focus();
  };
  return (
    <div class={small ? "subtabs" : "tabs"} role="tablist" aria-label={label} onKeyDown={move}>
      {names.map(([name, words, kind]) => (
        <button
          role="tab"
          key={name}
          class={kind}
          aria-selected={now === name}
          tabIndex={now === name ? 0 : -1}
          onClick={() => choose(name)}
        >
          {words}
        </button>
      ))}
    </div>
  );
}

/** Where a list is scrolled to, kept with the entry of the browser's history, and restored as its rows come. */
function useKeptPlace(box: { current: HTMLDivElement | null }, isKept: boolean): [() => void, () => void] {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const left = useRef(isKept ? Number(history.state?.top) || 0 : 0);
  const keep = () => {
    if (!isKept || left.current) return;
    const here = location.href;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      if (box.current && location.href === here) history.replaceState({ top: box.current.scrollTop }, "");
    }, 100);
  };
  const restore = () => {
    if (!left.current || !box.current?.firstElementChild?.clientHeight) return;
    box.current.scrollTop = left.current; // at the end of what there is, the list asks for more
    if (box.current.scrollTop > left.current - 2) left.current = 0;
  };
  return [keep, restore];
}

/** A list of any length, of which only the visible rows exist. `show` keeps the row with this index in view. */
export function List<Each>({
  rows,
  height,
  row,
  label,
  role = "list",
  show = -1,
  seen,
  near,
  top = 0,
  isKept = false,
}: {
  rows: Each[];
  height: (each: Each) => number;
  row: (each: Each, index: number) => JSX.Element;
  label: string;
  role?: "list" | "tree";
  show?: number;
  seen?: (first: number, last: number) => void;
  near?: () => void;
  top?: number;
  isKept?: boolean; // whether the browser's *back* finds it where it was
}) {
  const box = useRef<HTMLDivElement>(null);
  const [keep, restore] = useKeptPlace(box, isKept);
  const [scrolled, setScrolled] = useState(0);
  const [size, setSize] = useState(700);
  const begins = useMemo(() => {
    const found = new Float64Array(rows.length + 1);
    rows.forEach((each, index) => (found[index + 1] = found[index]! + height(each)));
    return found;
  }, [rows]);
  const at = (place: number) => {
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (begins[middle + 1]! <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  useEffect(() => {
    const observer = new ResizeObserver(() => setSize(box.current?.clientHeight || 700));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const part = box.current;
    if (show < 0 || !part || show >= rows.length) return;
    if (begins[show]! < part.scrollTop) part.scrollTop = begins[show]!;
    else if (begins[show + 1]! + top > part.scrollTop + size) part.scrollTop = begins[show + 1]! + top - size;
  }, [show, size]);
  const first = Math.max(0, at(scrolled) - 8);
  const last = Math.min(rows.length, at(scrolled + size) + 9);
  useEffect(restore, [rows]);
  useEffect(() => {
    seen?.(first, last);
    if (near && last >= rows.length) near();
  }, [first, last, rows]);
  return (
    <div
      class="list"
      ref={box}
      role={role}
      aria-label={label}
      tabIndex={0}
      onScroll={(event) => {
        setScrolled(event.currentTarget.scrollTop);
        keep();
      }}
    >
      <div class="room" role="presentation" style={{ height: `${begins[rows.length]}px` }}>
        <div role="presentation" style={{ transform: `translateY(${begins[first]}px)` }}>
          {rows.slice(first, last).map((each, index) => row(each, first + index))}
        </div>
      </div>
    </div>
  );
}

export const canDrive = (session: Session, graph: string): boolean => Boolean(session.drives?.graphs.includes(graph));

const DARK = matchMedia("(prefers-color-scheme: dark)");

/** Whether the page is dark: as the reader chose here, else as the system has it. */
export function isDark(): boolean {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : DARK.matches;
}

export function useDark(): boolean {
  const [dark, setDark] = useState(isDark());
  useEffect(() => {
    const changed = () => setDark(isDark());
    DARK.addEventListener("change", changed);
    addEventListener("themed", changed);
    return () => {
      DARK.removeEventListener("change", changed);
      removeEventListener("themed", changed);
    };
  }, []);
  return dark;
}

/** Who reads, with what they may do and a way out; nothing for one who has the token of the server. */
function Account() {
  const { user, tenant, rights } = useContext(Reader);
  const [act, busy, said] = useAct();
  if (!user) return null;
  const out = async () => (await act("sign_out", {}, "A proxy signs you in: sign out there.")) && tryAgain();
  return (
    <details class="account">
      <summary class="btn bare" aria-label={`account of ${user}`}>
        <Icon name="person" /> <span class="hide">{user}</span>
      </summary>
      <div>
        <p>
          <b>{user}</b>
          {tenant && `, of ${tenant}`}
        </p>
        <p class="soft">{rights.length ? `may ${rights.join(", ")}` : "may do nothing here"}</p>
        <button class="btn" disabled={busy} onClick={out}>
          Sign out
        </button>
        {said}
      </div>
    </details>
  );
}

/** The end of each header: who reads, and the theme. */
export function Corner() {
  return (
    <>
      <Account />
      <ThemeButton />
    </>
  );
}

function ThemeButton() {
  const turn = () => {
    document.documentElement.dataset.theme = localStorage.theme = isDark() ? "light" : "dark";
    dispatchEvent(new Event("themed"));
  };
  return (
    <button class="btn bare" aria-label="light or dark" onClick={turn}>
      <Icon name="theme" />
    </button>
  );
}

/** The width of a column that was set, "" for none; the last column always has room. */
export const widthOf = (name: string): string =>
  localStorage[`width-${name}`] ? `min(${localStorage[`width-${name}`]}px, 40vw)` : "";

/** The line after a column, which sets its width when dragged, or by the keys for left and right. */
export function Divider({ name, label }: { name: string; label: string }) {
  const line = useRef<HTMLDivElement>(null);
  const [now, setNow] = useState(0);
  const box = () => line.current!.parentElement!.getBoundingClientRect();
  const set = (width: number) => {
    const kept = Math.max(160, Math.round(width));
    localStorage[`width-${name}`] = kept;
    line.current!.closest<HTMLElement>(".cols")!.style.setProperty(`--${name}`, widthOf(name));
    setNow(kept);
  };
  return (
    <div
      class="divider"
      ref={line}
      role="separator"
      tabIndex={0}
      aria-label={label}
      aria-orientation="vertical"
      aria-valuenow={now}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={(event) =>
        event.currentTarget.hasPointerCapture(event.pointerId) && set(event.clientX - box().left)
      }
      onKeyDown={(event) => {
        const by = { ArrowLeft: -16, ArrowRight: 16 }[event.key];
        if (!by) return;
        event.stopPropagation();
        set(box().width + by);
      }}
    />
  );
}

export function Live({ on }: { on: boolean }) {
  return (
    <span class={`live ${on ? "on" : ""}`} role="status">
      {on ? "● live" : "○ not connected"}
    </span>
  );
}
