// With --drive: a form that starts a run, and a drawer that branches one with a preview of what that does.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { post, query } from "./api";
import { Field, type Schema, blank, changedFields } from "./form";
import { writeJson } from "./json";
import { whole } from "./large";
import { Copy, Failure, type Problem, go, runAddress, useAct, useDocument } from "./parts";
import { agentOf } from "./step";
import { Diff, Path, Value } from "./text";
import type { Row } from "./trace";
import type { BranchState, Previewed, StepDetails } from "./types";
import { both, count, dollars } from "./words";

const MOST = 20; // branches that are begun at once

const split = (text: string): string[] =>
  text
    .split(",")
    .map((each) => each.trim())
    .filter(Boolean);

/** A form that starts a run of a graph. */
export function Start({ graph }: { graph: string }) {
  const [found, error] = useDocument("form", { graph });
  const [value, setValue] = useState<Record<string, unknown> | null>(null);
  const [id, setId] = useState("");
  const [tags, setTags] = useState("");
  const [act, busy, said] = useAct();
  useEffect(() => {
    if (found) setValue({ ...blank(found.schema), ...found.example });
  }, [found]);
  if (error) return <Failure error={error} />;
  if (!found || !value) return null;
  const schema: Schema = found.schema;
  const properties = schema.properties || {};
  const names = Object.keys(properties);
  const first = names.filter((name) => (schema.required || []).includes(name) || name in found.example);
  const others = first.length ? names.filter((name) => !first.includes(name)) : [];
  const part = (wanted: string[]): Schema => ({
    ...schema,
    properties: Object.fromEntries(wanted.map((name) => [name, properties[name]!])),
  });
  const start = async (event: Event) => {
    event.preventDefault();
    const state = changedFields(schema, value);
    const named = query({ run_id: id.trim(), tag: split(tags) });
    const begun = await act(`graphs/${encodeURIComponent(graph)}/runs?${named}`, state);
    if (begun) go(runAddress(begun.run_id));
  };
  return (
    <form class="start form" onSubmit={start}>
      <p class="soft">
        The initial state, of type <code>{schema.title || "state"}</code>
        {Object.keys(found.example).length ? ", filled in with the example" : ""} of {found.file}.
      </p>
      <Field
        schema={part(first.length ? first : names)}
        root={schema}
        value={value}
        set={setValue}
        name="state"
      />
      {others.length > 0 && (
        <details>
          <summary>{count(others.length, "more field")}, with defaults</summary>
          <Field schema={part(others)} root={schema} value={value} set={setValue} name="more of the state" />
        </details>
      )}
      <div class="field">
        <span class="label">
          run id <small class="soft">optional</small>
        </span>
        <input
          class="btn"
          aria-label="run id"
          maxLength={200}
          value={id}
          onInput={(event) => setId(event.currentTarget.value)}
        />
      </div>
      <div class="field">
        <span class="label">
          tags <small class="soft">optional</small>
        </span>
        <input
          class="btn"
          aria-label="tags"
          placeholder="a, b"
          value={tags}
          onInput={(event) => setTags(event.currentTarget.value)}
        />
      </div>
      <button class="btn main" disabled={busy}>
        Start the run
      </button>
      {said}
    </form>
  );
}

/** The standing instructions of the agent whose visit a step belongs to, by its name; none if they are not known. */
function instructionsOf(found: StepDetails | null): Record<string, string> {
  const agents = Object.values(found?.agents || {});
  const names = new Set((found?.calls || []).map(agentOf).filter(Boolean));
  if (agents.length !== 1 || names.size !== 1) return {};
  const text = agents[0]!.system || "";
  const isWritten = /\s/.test(text); // else it is the name of a function that writes them
  const sent = found!.calls!.flatMap((call) => call.asked).find((each) => each.role === "system")?.text;
  const [name] = names;
  return { [name!]: isWritten ? text : sent || text };
}

const ENDS = ["node", "item", "attempt", "failed"]; // of an attempt

/**
 * The calls of models that a branch at a step has, those of the run that it does not have, and the recorded work that
 * is used again if it is asked the same: that of visits in flight. A failed attempt's is done again.
 */
function keptOf(rows: Row[], at: number) {
  const ends = rows.filter((row) => row.seq <= at && ENDS.includes(row.kind));
  const ended = new Map(ends.map((row) => [row.path, row.seq]));
  const calls = rows.filter((row) => row.kind === "recorded");
  const sum = (each: Row[]) => {
    const number = each.filter((row) => row.agent).length;
    const cost = each.map((row) => row.cost_usd).reduce(both, 0);
    return number ? `${count(number, "model call")} (${dollars(cost)})` : "";
  };
  return {
    shared: sum(calls.filter((row) => row.seq <= at)),
    left: sum(calls.filter((row) => row.seq > at)),
    flying: calls.filter((row) => row.seq <= at && row.seq > (ended.get(row.path) || 0)),
  };
}

/** A drawer that branches a run at a step, with changed fields or instructions, and a preview of what that does. */
export function Branch({
  id,
  at,
  seq,
  rows,
  close,
  command,
  begun = { path: "", update: {} },
}: {
  id: string;
  at: number;
  seq: number;
  rows: Row[];
  close: () => void;
  command: string;
  /** The update with which the form begins. */
  begun?: { path: string; update: Record<string, unknown> };
}) {
  const [found, error] = useDocument("fields", { run_id: id, at });
  const [step] = useDocument("runs/{run_id}/steps/{seq}", { run_id: id, seq });
  const [standing, setStanding] = useState<Record<string, string>>({});
  useEffect(() => {
    whole(instructionsOf(step)).then(setStanding, setProblem);
  }, [step]);
  const [path, setPath] = useState(begun.path);
  const [edits, setEdits] = useState<Record<string, unknown>>(begun.update);
  const [told, setTold] = useState<Record<string, string>>({});
  const [preview, setPreview] = useState<Previewed | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [name, setName] = useState("");
  const [times, setTimes] = useState(1);
  const [act, busy, said] = useAct();
  const box = useRef<HTMLElement>(null);
  const changed = Object.fromEntries(Object.entries(told).filter(([agent, text]) => text !== standing[agent]));
  const instructions = Object.keys(changed).length ? changed : undefined;
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    box.current!.focus();
    return () => before?.focus?.();
  }, []);
  useEffect(() => {
    let stale = false;
    const timer = setTimeout(
      () =>
        post("runs/{run_id}/branches/preview", { run_id: id, at, update: edits, path }).then(
          (made) => {
            if (stale) return;
            setPreview(made);
            setProblem(null);
          },
          (refused) => stale || setProblem(refused),
        ),
      250,
    );
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [id, at, path, writeJson(edits)]);
  useEffect(() => {
    const escape = (event: KeyboardEvent) => event.key === "Escape" && close();
    addEventListener("keydown", escape);
    return () => removeEventListener("keydown", escape);
  }, []);
  const begin = async (compares: boolean) => {
    const own = name.trim() || undefined;
    const group = own || `tries-${Date.now().toString(36).slice(-5)}`; // by which those that begin alike are found
    const alike = times > 1 ? { tags: [group] } : {};
    let begun;
    for (let one = 1; one <= times; one++) {
      const called = own && times > 1 ? `${own}-${one}` : own;
      const body = { run_id: id, at, update: edits, path, instructions, child: called, ...alike };
      begun = await act("runs/{run_id}/branches", body);
      if (!begun) return;
    }
    close();
    if (times > 1) go(`/run?${query({ id, tab: "branches" })}`);
    else go(compares ? `/compare?${query({ a: id, b: begun.run_id })}` : runAddress(begun.run_id));
  };
  const submit = (event: Event) => {
    event.preventDefault();
    if (!problem) begin(false);
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key === "Enter" && event.ctrlKey && !problem) begin(true);
  };
  const state = found?.states.find((each) => each.path === path);
  return (
    <>
      <div class="scrim" onClick={close} />
      <section
        class="drawer"
        role="dialog"
        aria-modal="true"
        tabIndex={-1}
        ref={box}
        aria-label={`Branch at step ${at}`}
        onKeyDown={pressed}
      >
        <header class="top">
          <h2>
            Branch {id} at step {at}
          </h2>
          <span class="grow" />
          <button class="btn bare" onClick={close}>
            Close <kbd>Esc</kbd>
          </button>
        </header>
        {error && <Failure error={error} />}
        <form class="form" onSubmit={submit}>
          <div class="body">
            <h3>What happens</h3>
            <Way rows={rows} at={at} />
            {preview && <PreviewView preview={preview} rows={rows} at={at} />}
            {Object.entries(standing).map(([agent, text]) => (
              <section key={agent}>
                <h3>
                  Instructions of {agent}
                  {agent in changed && <span class="chip run">changed</span>}
                  <span class="end">
                    {agent in changed && (
                      <button type="button" class="btn bare small" onClick={() => setTold({ ...told, [agent]: text })}>
                        reset
                      </button>
                    )}
                  </span>
                </h3>
                <textarea
                  rows={8}
                  aria-label={`instructions of ${agent}`}
                  value={told[agent] ?? text}
                  onInput={(event) => setTold({ ...told, [agent]: event.currentTarget.value })}
                />
                {agent in changed && <Diff before={text} after={changed[agent]!} />}
              </section>
            ))}
            <h3>State before it</h3>
            {(found?.states.length || 0) > 1 && (
              <label>
                state of{" "}
                <select
                  class="btn"
                  value={path}
                  onChange={(event) => {
                    setEdits({});
                    setPath(event.currentTarget.value);
                  }}
                >
                  {found!.states.map((each) => (
                    <option value={each.path}>{each.path || "the run"}</option>
                  ))}
                </select>
              </label>
            )}
            {state &&
              Object.entries((state.schema as Schema).properties || {}).map(([field, schema]) => (
                <Edit key={`${path} ${field}`} {...{ field, schema, state, edits, setEdits }} />
              ))}
            {said}
          </div>
          <footer>
            {problem && <Failure error={problem} />}
            <button class="btn main" disabled={busy || Boolean(problem)}>
              {times > 1 ? `Begin ${times} branches` : "Begin the branch"}
            </button>
            {times === 1 && (
              <button type="button" class="btn" disabled={busy || Boolean(problem)} onClick={() => begin(true)}>
                Run, and compare <kbd>Ctrl ↵</kbd>
              </button>
            )}
            <label class="soft">
              <input
                class="btn small"
                type="number"
                min={1}
                max={MOST}
                required
                aria-label="how often"
                value={times}
                onInput={(event) => setTimes(Math.min(MOST, Math.max(1, Math.floor(+event.currentTarget.value) || 1)))}
              />{" "}
              ×
            </label>
            <label class="soft">
              as{" "}
              <input
                class="btn small"
                aria-label="id of the branch"
                placeholder="a new id"
                maxLength={200}
                value={name}
                onInput={(event) => setName(event.currentTarget.value)}
              />
            </label>
            <span class="grow" />
            <Copy text={commandOf(command, at, edits, changed, times)}>copy as command</Copy>
          </footer>
        </form>
      </section>
    </>
  );
}

/** The command that makes the same branch, or so many. */
function commandOf(
  command: string,
  at: number,
  edits: Record<string, unknown>,
  instructions: Record<string, string>,
  times: number,
): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const sets = Object.entries(edits).map(
    ([name, value]) => `--set ${quoted(`${name}=${typeof value === "string" ? value : writeJson(value)}`)}`,
  );
  const told = Object.entries(instructions).map(([agent, text]) => `--instructions ${quoted(`${agent}=${text}`)}`);
  const once = [command.replace(/--at \d+/, `--at ${at}`), ...sets, ...told].join(" ");
  return times > 1 ? `for n in $(seq ${times}); do ${once}; done` : once;
}

/** The visits up to the step, which are kept, and those after it, which are made again. */
function Way({ rows, at }: { rows: Row[]; at: number }) {
  const visits = useMemo(() => rows.filter((row) => row.kind === "node" && !/[[/]/.test(row.path)), [rows]);
  const kept = visits.filter((row) => row.seq <= at).slice(-8);
  const again = visits.filter((row) => row.seq > at).slice(0, 8);
  const named = (row: Row) => `${row.path}${row.visit > 1 ? ` ${row.visit}` : ""}`;
  return (
    <div class="plan">
      {kept.map((row) => (
        <span key={row.seq}>{named(row)}</span>
      ))}
      <span class="new">then as the graph decides</span>
      {again.map((row) => (
        <s key={row.seq}>{named(row)}</s>
      ))}
    </div>
  );
}

function PreviewView({ preview, rows, at }: { preview: Previewed; rows: Row[]; at: number }) {
  const { shared, left, flying } = useMemo(() => keptOf(rows, at), [rows, at]);
  const after = (rows.at(-1)?.seq || at) - at;
  return (
    <section class="preview" aria-label="Preview">
      <p>
        Steps 1 to {at} are shared{shared && `, with ${shared}, not made again`}.
        {after > 0 && ` ${count(after, "step")} after it ${after === 1 ? "is" : "are"} left out`}
        {left && `: ${left} last time`}
        {after > 0 && "."}
      </p>
      {flying.length > 0 && (
        <p class="soft">
          In flight, and used again if asked the same:{" "}
          {[...new Set(flying.map((each) => `${each.agent ? each.text : each.name} at ${each.path}`))].join(", ")}.
        </p>
      )}
      {preview.changes.length > 0 && (
        <dl class="changes fields">
          {preview.changes.map((each) => (
            <>
              <dt class="mono">
                <Path path={each.path} />
              </dt>
              <dd>
                <span>{each.before === null ? <span class="soft">none</span> : <Value value={each.before} />}</span>→
                <b>
                  <Value value={each.after} />
                </b>
              </dd>
            </>
          ))}
        </dl>
      )}
    </section>
  );
}

/** One field of a state: its value, and once it is to be changed, a field for the update. */
function Edit({
  field,
  schema,
  state,
  edits,
  setEdits,
}: {
  field: string;
  schema: Schema;
  state: BranchState;
  edits: Record<string, unknown>;
  setEdits: (edits: Record<string, unknown>) => void;
}) {
  const operation = state.fields[field]?.operation || "set";
  const isAdded = operation !== "set";
  const isOpen = field in edits;
  const isSecret = state.secrets.includes(field);
  const value = state.values[field];
  const open = async () => {
    const now = isAdded ? null : ((await whole(value)) ?? blank(schema, state.schema) ?? null);
    setEdits({ ...edits, [field]: now });
  };
  const drop = () => setEdits(Object.fromEntries(Object.entries(edits).filter(([name]) => name !== field)));
  const inner = isAdded ? (operation === "append" && schema.items ? schema.items : {}) : schema;
  return (
    <div class="field">
      <span class="label mono">{field}</span>
      <div>
        {!isOpen && (isSecret ? <span class="soft">a secret</span> : <Value value={value} fold={160} />)}{" "}
        <button
          type="button"
          class="btn bare small"
          aria-label={`${isOpen ? "keep" : "change"} ${field}`}
          onClick={isOpen ? drop : open}
        >
          {isOpen ? "keep" : "change"}
        </button>
        {isOpen && (
          <>
            {isAdded && (
              <small class="soft">{operation === "append" ? "one more item" : `goes through ${operation}`}</small>
            )}
            <Field
              schema={inner}
              root={state.schema}
              value={edits[field] ?? undefined}
              name={field}
              set={(made) => setEdits({ ...edits, [field]: made === undefined ? null : made })}
            />
          </>
        )}
      </div>
    </div>
  );
}
