// The page: which part of it the address names, and what all parts share.

import "./safe";

import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { Refused, goneNow, openSession, tryAgain } from "./api";
import { Compare } from "./compare";
import { GraphList, GraphPage } from "./graphs";
import { type Problem, Reader, go, useGone } from "./parts";
import { QuestionsPage } from "./questions";
import { Run } from "./run";
import { Runs } from "./runs";
import { SignIn } from "./signin";
import { TodayPage } from "./today";
import type { Session } from "./types";
import { clock } from "./words";

/** The keys, what they do, and the pages on which they do it; none for every page. */
const KEYS: [string, string, string[]][] = [
  ["j k ↓ ↑", "next and previous run", ["/"]],
  ["j k ↓ ↑", "next and previous step", ["/run"]],
  ["j k", "next and previous question", ["/questions"]],
  ["Enter", "open the selected run", ["/"]],
  ["x", "tick a run", ["/"]],
  ["a", "tick all runs that the search found", ["/"]],
  ["c", "compare two ticked runs", ["/"]],
  ["→ ← Enter", "unfold and fold", ["/run"]],
  ["f", "next problem", ["/run"]],
  ["1 – 5", "show the tab run, step, state, scores or cost", ["/run"]],
  ["Space", "go back to the newest step and follow the run", ["/run"]],
  ["b", "change the state at this step and start a branch", ["/run"]],
  ["c", "compare a branch with its parent", ["/run"]],
  ["s ← →", "s selects the slider below the graph, ← and → move it by one step", ["/run"]],
  ["x", "compare the other way round", ["/compare"]],
  ["/", "search", ["/", "/run"]],
  ["e o", "e enlarges the graph, o folds the graphs inside it", ["/run", "/compare", "/graph"]],
  ["g", "the list of runs", []],
  ["q", "the open questions", []],
  ["Esc", "close", []],
  ["?", "these keys", []],
];

let version = "";
let isIn = false; // once signed in, an answer 401 asks for it again

function App() {
  const [address, setAddress] = useState(location.pathname + location.search);
  const [session, setSession] = useState<Session | null>(null);
  const [error, setError] = useState<Problem | null>(null);
  const [help, setHelp] = useState(false);
  const renewed = useRef(() => {});
  useEffect(() => {
    const moved = () => setAddress(location.pathname + location.search);
    const pressed = (event: KeyboardEvent) => {
      const isWriting = (event.target as HTMLElement).closest?.("input, textarea, select");
      if (isWriting || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "?") setHelp((was) => !was);
      else if (event.key === "Escape") setHelp(false);
      else if (event.key === "g") go("/");
      else if (event.key === "q") go("/questions");
    };
    const renew = () => {
      isIn = false;
      openSession().then((found) => {
        if (version && version !== found.version) location.reload(); // its files are those of the other version
        version = found.version;
        isIn = true;
        setSession(found);
        setError(null);
      }, setError);
    };
    renewed.current = renew;
    const out = () => isIn && renew();
    const back = () => goneNow() || renew();
    addEventListener("popstate", moved);
    addEventListener("keydown", pressed);
    addEventListener("hashchange", renew);
    addEventListener("connection", back);
    addEventListener("signedout", out);
    renew();
    return () => {
      removeEventListener("popstate", moved);
      removeEventListener("keydown", pressed);
      removeEventListener("hashchange", renew);
      removeEventListener("connection", back);
      removeEventListener("signedout", out);
    };
  }, []);
  if (error instanceof Refused && error.status === 401) return <SignIn why={error} done={renewed.current} />;
  if (error && !(session && error instanceof Refused && !error.status)) {
    return (
      <main class="alone">
        <h1>graphengine inspector</h1>
        <p role="alert">{error.message}</p>
        <p class="soft">{error.repair}</p>
      </main>
    );
  }
  if (!session) return null;
  const url = new URL(address, location.origin);
  const parameters = Object.fromEntries(url.searchParams);
  const { id = "", wait = "", graph = "", a = "", b = "" } = parameters;
  const page = () => {
    switch (url.pathname) {
      case "/run":
        return <Run key={id} id={id} parameters={parameters} session={session} />;
      case "/compare":
        return <Compare key={`${a} ${b}`} a={a} b={b} />;
      case "/graph":
        return <GraphPage key={graph} name={graph} session={session} />;
      case "/graphs":
        return <GraphList session={session} />;
      case "/today":
        return <TodayPage parameters={parameters} session={session} />;
      case "/questions":
        return <QuestionsPage key={id} {...{ id, wait, session }} />;
      default:
        return <Runs filters={parameters} session={session} />;
    }
  };
  const isHere = ([key, , pages]: (typeof KEYS)[0]) =>
    (!pages.length || pages.includes(url.pathname)) && (key !== "b" || (session.drives && !session.read_only));
  return (
    <Reader.Provider value={session}>
      <Gone />
      {page()}
      {help && (
        <dialog open class="help" aria-label="Keys">
          <h2>Keys</h2>
          <dl>
            {KEYS.filter(isHere).map(([key, words]) => (
              <>
                <dt>
                  <kbd>{key}</kbd>
                </dt>
                <dd>{words}</dd>
              </>
            ))}
          </dl>
          <button class="btn" onClick={() => setHelp(false)}>
            Close
          </button>
        </dialog>
      )}
    </Reader.Provider>
  );
}

/** That the server does not answer, and since when. */
function Gone() {
  const gone = useGone();
  const [now, setNow] = useState(0);
  useEffect(() => {
    document.documentElement.classList.toggle("is-gone", gone !== null);
    if (!gone) return undefined;
    setNow(Date.now() / 1000);
    const timer = setInterval(() => setNow(Date.now() / 1000), 1000);
    return () => clearInterval(timer);
  }, [gone]);
  if (!gone) return null;
  return (
    <aside class="gone" aria-label="Connection">
      <p role="alert">
        <b>The server does not answer. Last seen {clock(gone.since)}.</b> The grey values are of that moment; runs go on
        in their workers.
      </p>
      <span class="num">Trying again in {Math.max(0, Math.ceil(gone.again - now))} s</span>
      <button class="btn" onClick={tryAgain}>
        Try now
      </button>
    </aside>
  );
}

if (localStorage.theme) document.documentElement.dataset.theme = localStorage.theme;
render(<App />, document.getElementById("app")!);
