// What is done to the ticked runs, or to all that are found: nothing is done before its preview was read, and then to
// the runs that it counted, whatever is found by then.

import { useEffect, useRef, useState } from "preact/hooks";

import { post } from "./api";
import { Failure, type Problem } from "./parts";
import type { Bulked, Session } from "./types";
import { count, dollars } from "./words";

export type Chosen = { ids: string[] } | { where: Record<string, string> };

const AT_ONCE = 1000; // what a request takes

const ACTS: Record<string, string> = { stop: "Stop", retry: "Retry", tag: "Tag", prune: "Prune" };

/** The command for a shell that does the same to all that are found; "" if a search cannot say which these are. */
function commandOf(action: string, tag: string, where: Record<string, string>): string {
  if (where.view || where.cost_above) return "";
  const quoted = (text: string) => (/^[\w.:-]+$/.test(text) ? text : `"${text}"`);
  const date = (at: string) => new Date(Number(at) * 1000).toISOString();
  const words = [
    where.text,
    ...["status", "graph", "tag"].map((name) => where[name] && `${name}:${quoted(where[name])}`),
    where.begun_after && `after:${date(where.begun_after)}`,
    where.begun_before && `before:${date(where.begun_before)}`,
  ].filter(Boolean);
  const all = words.length ? words : ["since:9999d"];
  return ["graphengine bulk", action, ...all, tag && `--tag ${quoted(tag)}`].filter(Boolean).join(" ");
}

export function Bulk({
  chosen,
  number,
  total,
  session,
  all,
  clear,
  compare,
}: {
  chosen: Chosen;
  number: number | null;
  total: number | null;
  session: Session;
  all: () => void;
  clear: (done?: string) => void;
  compare: (() => void) | null;
}) {
  const [action, setAction] = useState("");
  const isWhole = "where" in chosen;
  const may = session.rights.includes("operate") && !session.read_only;
  const acts = Object.entries(ACTS).filter(([name]) => may && (name !== "retry" || session.drives));
  return (
    <section class="bulk" aria-label="Ticked runs">
      <b>{isWhole ? `all ${number?.toLocaleString() ?? ""} found` : `${number} ticked`}</b>
      {!isWhole && (
        <button class="link" onClick={all}>
          take all {total?.toLocaleString()} found <kbd>a</kbd>
        </button>
      )}
      <button class="link" onClick={() => clear()}>
        untick
      </button>
      <span class="grow" />
      {acts.map(([name, words]) => (
        <button key={name} class={`btn ${name === "prune" ? "danger" : ""}`} onClick={() => setAction(name)}>
          {words}…
        </button>
      ))}
      {compare && (
        <button class="btn main" onClick={compare}>
          Compare <kbd>c</kbd>
        </button>
      )}
      {action && <Ask {...{ action, chosen }} close={() => setAction("")} done={clear} />}
    </section>
  );
}

/** Ask once before something is done to many runs. */
export function Ask({
  action,
  chosen,
  close,
  done,
}: {
  action: string;
  chosen: Chosen;
  close: () => void;
  done: (words: string) => void;
}) {
  const [preview, setPreview] = useState<Bulked | null>(null);
  const [tag, setTag] = useState("");
  const [typed, setTyped] = useState("");
  const [error, setError] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const box = useRef<HTMLDialogElement>(null);
  const needsTag = action === "tag";
  const isPrune = action === "prune";
  const body = { action, ...chosen, ...(needsTag ? { tag: tag.trim() } : {}) };
  useEffect(() => box.current!.showModal(), []);
  useEffect(() => {
    setPreview(null);
    if (needsTag && !tag.trim()) return undefined;
    let stale = false;
    const look = () =>
      post("bulk", { ...body, dry_run: true }).then(
        (found) => {
          if (stale) return;
          setPreview(found);
          setError(null);
        },
        (problem) => stale || setError(problem),
      );
    const timer = setTimeout(look, needsTag ? 300 : 0);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [tag]);
  const words = ACTS[action]!;
  const runs = preview?.runs || 0;
  const left = preview ? preview.found - runs : 0;
  const command = "where" in chosen && commandOf(action, tag, chosen.where);
  const go = async () => {
    setBusy(true);
    const { run_ids: ids } = preview!;
    const sum = { runs: 0, refused: {} as Record<string, number> };
    try {
      for (let at = 0; at < ids.length; at += AT_ONCE) {
        const these = ids.slice(at, at + AT_ONCE);
        const found: Bulked = await post("bulk", { action, ids: these, ...(needsTag ? { tag: tag.trim() } : {}) });
        sum.runs += found.runs;
        for (const [reason, number] of Object.entries(found.refused)) {
          sum.refused[reason] = (sum.refused[reason] || 0) + number;
        }
      }
      done(`${words}: done for ${count(sum.runs, "run")}${reasons(sum)}.`);
    } catch (problem) {
      const { message, repair } = problem as Problem;
      const some = sum.runs ? `done for ${count(sum.runs, "run")}, then: ` : "";
      setError({ message: some + message, repair });
      setBusy(false);
    }
  };
  return (
    <dialog ref={box} class="ask" aria-label={words} onClose={close}>
      <h2>{words}</h2>
      {needsTag && (
        <label>
          Tag <input class="btn" value={tag} maxLength={100} onInput={(event) => setTag(event.currentTarget.value)} />
        </label>
      )}
      {error && <Failure error={error} />}
      {!preview && !error && !(needsTag && !tag) && <p class="soft">Looking which runs these are…</p>}
      {preview && (
        <p>
          <b>{count(runs, "run")}</b> of {preview.found.toLocaleString()}
          {left > 0 && `; ${left.toLocaleString()} are left as they are`}
          {reasons(preview)}.
        </p>
      )}
      {preview && runs > 0 && (
        <ul class="soft">
          {preview.titles.map((title, index) => (
            <li key={index}>{title}</li>
          ))}
          {runs > preview.titles.length && <li>and {(runs - preview.titles.length).toLocaleString()} more</li>}
        </ul>
      )}
      {preview && runs > 0 && action === "retry" && (
        <p>They cost {dollars(preview.cost_usd)} so far. Only what failed is done again, by a worker.</p>
      )}
      {runs > 0 && isPrune && (
        <label>
          They are removed with all their records, for good. Type <b>prune {runs}</b>{" "}
          <input class="btn" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
        </label>
      )}
      {command && <code>{command}</code>}
      <p class="acts">
        <button
          class={`btn ${isPrune ? "danger" : "main"}`}
          disabled={busy || !runs || (isPrune && typed !== `prune ${runs}`)}
          onClick={go}
        >
          {words} {preview && runs.toLocaleString()}
          {left > 0 && `, leave ${left.toLocaleString()}`}
        </button>
        <button class="btn" onClick={() => box.current!.close()}>
          Cancel
        </button>
      </p>
    </dialog>
  );
}

function reasons({ refused }: Pick<Bulked, "refused">): string {
  return Object.entries(refused)
    .map(([reason, number]) => `; ${number} cannot be: ${reason}`)
    .join("");
}
