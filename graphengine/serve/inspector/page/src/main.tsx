// The page: which part of it the address names, and what all parts share.

import "./safe";

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";

import { openSession } from "./api";
import { Compare } from "./compare";
import { GraphList, GraphPage } from "./graphs";
import { type Problem, go } from "./parts";
import { QuestionsPage } from "./questions";
import { Run } from "./run";
import { Runs } from "./runs";
import { TrendsPage } from "./trends";
import type { Session } from "./types";

const KEYS = [
  ["j k ↓ ↑", "next and previous run or step"],
  ["→ ←", "unfold and fold"],
  ["Enter", "open the selected run, unfold"],
  ["f", "next problem"],
  ["1 – 5", "run, step, state, scores, cost"],
  ["Space", "back to the run, follow its end"],
  ["b", "change, and run from here"],
  ["c", "compare: the ticked runs, or a branch with its parent"],
  ["x", "tick a run"],
  ["/", "search"],
  ["g", "the list of runs"],
  ["q", "the open questions"],
  ["Esc", "close"],
  ["?", "these keys"],
];

function App() {
  const [address, setAddress] = useState(location.pathname + location.search);
  const [session, setSession] = useState<Session | null>(null);
  const [error, setError] = useState<Problem | null>(null);
  const [help, setHelp] = useState(false);
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
      openSession().then((found) => {
        setSession(found);
        setError(null);
      }, setError);
    };
    addEventListener("popstate", moved);
    addEventListener("keydown", pressed);
    addEventListener("hashchange", renew);
    renew();
    return () => {
      removeEventListener("popstate", moved);
      removeEventListener("keydown", pressed);
      removeEventListener("hashchange", renew);
    };
  }, []);
  if (error) {
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
      case "/trends":
        return <TrendsPage parameters={parameters} />;
      case "/questions":
        return <QuestionsPage key={id} {...{ id, wait, session }} />;
      default:
        return <Runs filters={parameters} session={session} />;
    }
  };
  return (
    <>
      {page()}
      {help && (
        <dialog open class="help" aria-label="Keys">
          <h2>Keys</h2>
          <dl>
            {KEYS.map(([key, words]) => (
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
    </>
  );
}

if (localStorage.theme) document.documentElement.dataset.theme = localStorage.theme;
render(<App />, document.getElementById("app")!);
