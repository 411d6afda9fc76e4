// Requests to the inspector's server, and its streams of events.

import { readJson, writeJson } from "./json";
import { placed } from "./large";
import type { Answers, Session } from "./types";

export type Query = Record<string, string | number | boolean | null | undefined | (string | number)[]>;

export class Refused extends Error {
  repair: string;

  constructor(
    public status: number,
    error?: { message?: string; repair?: string } | null,
  ) {
    super(error?.message || `the server answered ${status}`);
    this.repair = error?.repair || "";
  }
}

/** Since when the server does not answer, and when it is asked again, epoch seconds. */
export interface Gone {
  since: number;
  again: number;
}

const PAUSES = [5, 10, 20]; // seconds between two tries; the last one again and again
const AWAY = [502, 503, 504]; // what a proxy answers for a server that is gone
let gone: Gone | null = null;
let tries = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Whether the server is gone: `connection` is dispatched when that changes. */
export const goneNow = (): Gone | null => gone;

function moved(now: Gone | null): void {
  gone = now;
  dispatchEvent(new Event("connection"));
}

function lose(): void {
  if (gone) return;
  tries = 0;
  wait(Date.now() / 1000);
}

function wait(since: number): void {
  const pause = PAUSES[Math.min(tries, PAUSES.length - 1)]!;
  tries += 1;
  clearTimeout(timer);
  timer = setTimeout(tryAgain, pause * 1000);
  moved({ since, again: Date.now() / 1000 + pause });
}

/** Ask the server whether it is there again. */
export async function tryAgain(): Promise<void> {
  const response = await fetch("/api/session").catch(() => null);
  if (!response || AWAY.includes(response.status)) {
    if (gone) wait(gone.since);
    else lose();
    return;
  }
  clearTimeout(timer);
  if (gone) moved(null);
  if (response.status === 401) dispatchEvent(new Event("signedout"));
}

/** What a request is answered; of a value that is left out, the same request is sent again with its `part`. */
async function answer(send: (part: string) => Promise<Response>, part = ""): Promise<any> {
  const response = await send(part).catch(() => {
    lose();
    throw new Refused(0, { message: "the inspector does not answer", repair: "start `graphengine inspect` again" });
  });
  const body = await response.text().then(readJson).catch(() => null);
  if (response.ok) return part ? body : placed(body, (wanted) => answer(send, wanted));
  if (response.status === 401) dispatchEvent(new Event("signedout"));
  if (AWAY.includes(response.status)) lose();
  throw new Refused(response.status, body?.error);
}

const STEPS = /(^|%2F)\.{0,2}(%2F|$)/; // what a browser takes for a step to another folder

/** The address of a route, such as `runs/{run_id}/state`, and the rest of what it is given. */
function filled<Given extends Record<string, any>>(route: string, given: Given): [string, Given] {
  const rest = { ...given };
  const path = route.replace(/\{(\w+)\}/g, (_, name) => {
    delete rest[name];
    const text = encodeURIComponent(given[name]);
    return STEPS.test(text) ? text : text.replaceAll("%2F", "/"); // as proxies pass it on
  });
  return [`/api/${path}`, rest];
}

/** The address of a read; a parameter that is a list is repeated, one that is empty left out. */
export function addressOf(route: string, parameters: Query): string {
  const [path, rest] = filled(route, parameters);
  return `${path}?${query(rest)}`;
}

/** Read a document. */
export async function get<Route extends keyof Answers>(route: Route, parameters: Query = {}): Promise<Answers[Route]> {
  return answer((part) => fetch(`${addressOf(route, parameters)}&${part}`));
}

/** Do something; with a key it is done once, and the page can be left before it is answered if it is kept alive. */
export async function post(
  route: string,
  body: object,
  { key, keepalive = false }: { key?: string; keepalive?: boolean } = {},
): Promise<any> {
  const [address, rest] = filled(route, body);
  const headers: Record<string, string> = { "Content-Type": "application/json", "X-Graphengine": "1" };
  if (key) headers["Idempotency-Key"] = key;
  const request = { method: "POST", headers, body: writeJson(rest), keepalive };
  return answer((part) => fetch(part ? `${address}?${part}` : address, request));
}

export function query(parameters: Query): string {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") found.append(name, String(each));
    }
  }
  return found.toString();
}

/**
 * Follow a stream while the page is visible; a hidden page costs nothing. The browser repeats the last event's id when
 * it connects again, and so does a stream that begins anew: the id also says of which run the event was. `where` gives
 * the other parameters.
 */
export function follow(where: () => Query, handlers: Record<string, (data: any) => void>): () => void {
  let source: EventSource | null = null;
  let last = "";
  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    if (source || document.hidden || gone) return;
    source = new EventSource(`/api/events?${query(last ? { ...where(), after: last } : where())}`);
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event: MessageEvent) => {
        last = event.lastEventId || last;
        const again = (part: string) => answer((each) => fetch(`${addressOf("run", where())}&${each}`), part);
        handle(event.data === undefined ? null : placed(readJson(event.data), again)); // of the run as it stands
      });
    }
    source.onopen = () => handlers.live?.(true);
    source.onerror = () => {
      handlers.live?.(false);
      if (source?.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, 2000);
      }
      tryAgain();
    };
  };
  const turn = () => (document.hidden ? close() : open());
  const connection = () => (gone ? close() : open());
  document.addEventListener("visibilitychange", turn);
  addEventListener("connection", connection);
  open();
  return () => {
    removeEventListener("connection", connection);
    document.removeEventListener("visibilitychange", turn);
    close();
  };
}

const SIGNED_IN = "/signed_in";

/** Let an OpenID provider sign the user in, who then comes back to the address where they are now. */
export async function leaveFor(): Promise<void> {
  const { address } = await post("session", {});
  sessionStorage.setItem(SIGNED_IN, location.pathname + location.search);
  location.assign(address);
}

/** Swap the token in the URL's fragment, or a provider's code, for a cookie, and take it out of the address bar. */
export async function openSession(): Promise<Session> {
  if (location.pathname === SIGNED_IN) {
    const given = new URLSearchParams(location.search);
    const [state, code, error] = ["state", "code", "error"].map((name) => given.get(name) ?? "");
    const { pathname, search } = new URL(sessionStorage.getItem(SIGNED_IN) || "/", location.origin);
    history.replaceState(null, "", pathname + search); // a path of this page, whatever was kept
    dispatchEvent(new PopStateEvent("popstate"));
    await post("session", { state, code, error });
  }
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    history.replaceState(null, "", location.pathname + location.search);
    await signIn(token, true);
  }
  return get("session");
}

/** Swap a token for the cookie, which the browser keeps for some days if it stays. */
export async function signIn(token: string, stay: boolean): Promise<void> {
  await post("session", { token, stay });
}
