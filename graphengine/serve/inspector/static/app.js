// The page: which part of it the address names, and what all parts share.

import { html, render, useState, useEffect } from "./html.js";
import { openSession } from "./api.js";
import { Runs } from "./runs.js";
import { Run } from "./run.js";
import { Compare } from "./compare.js";
import { GraphPage, GraphList } from "./graph.js";
import { go } from "./parts.js";

const KEYS = [
  ["j, k or ↓, ↑", "next, previous"],
  ["Enter", "open the selected run"],
  ["f", "next failed step"],
  ["Space", "follow the run's end"],
  ["/", "search"],
  ["x", "tick a run; with two ticked, c compares them"],
  ["g", "to the list of runs"],
  ["?", "these keys"],
];

function App() {
  const [address, setAddress] = useState(location.pathname + location.search);
  const [session, setSession] = useState(null);
  const [error, setError] = useState(null);
  const [help, setHelp] = useState(false);
  useEffect(() => {
    const moved = () => setAddress(location.pathname + location.search);
    addEventListener("popstate", moved);
    const pressed = (event) => {
      if (event.target.closest?.("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "?") setHelp((was) => !was);
      else if (event.key === "Escape") setHelp(false);
      else if (event.key === "g") go("/");
    };
    addEventListener("keydown", pressed);
    const renew = () => openSession().then((found) => (setSession(found), setError(null)), setError);
    renew();
    addEventListener("hashchange", renew);
    return () => {
      removeEventListener("popstate", moved);
      removeEventListener("keydown", pressed);
      removeEventListener("hashchange", renew);
    };
  }, []);
  if (error) return html`<main class="alone" role="alert"><h1>graphengine inspector</h1><p>${error.message}</p><p class="soft">${error.repair}</p></main>`;
  if (!session) return null;
  const url = new URL(address, location.origin);
  const parameters = Object.fromEntries(url.searchParams);
  const page = {
    "/run": () => html`<${Run} key=${parameters.id} id=${parameters.id} at=${Number(parameters.at) || 0} session=${session} />`,
    "/compare": () => html`<${Compare} key=${address} a=${parameters.a} b=${parameters.b} />`,
    "/graph": () => html`<${GraphPage} key=${parameters.graph} name=${parameters.graph} session=${session} />`,
    "/graphs": () => html`<${GraphList} session=${session} />`,
  }[url.pathname];
  return html`
    ${page ? page() : html`<${Runs} filters=${parameters} session=${session} />`}
    ${help && html`<dialog open class="help" aria-label="Keys"><h2>Keys</h2><dl>${KEYS.map(([key, words]) => html`<dt><kbd>${key}</kbd></dt><dd>${words}</dd>`)}</dl>
      <button onClick=${() => setHelp(false)}>Close</button></dialog>`}`;
}

render(html`<${App} />`, document.getElementById("app"));
