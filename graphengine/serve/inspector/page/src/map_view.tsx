// A map: its items as cells, what went wrong grouped by message, and one item with its attempts.

import { useMemo, useState } from "preact/hooks";

import { Chip, Copy, Failure, Sign, useDocument } from "./parts";
import { Trouble } from "./step";
import { type Cell, type Line, progressOf, told } from "./trace";
import { Value } from "./text";
import { count, likeness, seconds } from "./words";

const HOW: Record<Cell["how"], string> = {
  running: "running",
  done: "done",
  retry: "done after a retry",
  fallback: "fell back",
  failed: "failed",
};
const LISTED = 60;

interface Group {
  text: string;
  items: Set<number>;
  lost: Set<number>;
}

/** What went wrong, by message: numbers and quoted names in it may differ. */
function grouped(cells: Cell[]): Group[] {
  const found = new Map<string, Group>();
  for (const cell of cells) {
    for (const { text } of cell.errors) {
      const key = likeness(text);
      let group = found.get(key);
      if (!group) found.set(key, (group = { text, items: new Set(), lost: new Set() }));
      group.items.add(cell.index);
      if (cell.how === "failed" || cell.how === "fallback") group.lost.add(cell.index);
    }
  }
  return [...found.values()].sort((one, other) => other.lost.size - one.lost.size || other.items.size - one.items.size);
}

export function MapView({
  id,
  line,
  item,
  select,
  now,
  isLive,
}: {
  id: string;
  line: Line;
  item: number | null;
  select: (seq: number) => void;
  now: number;
  isLive: boolean;
}) {
  const [search, setSearch] = useState("");
  const [all, setAll] = useState(false);
  const cells = useMemo(
    () => [...line.cells.values()].sort((one, other) => one.index - other.index),
    [line, line.cells.size, line.seq],
  );
  const groups = useMemo(() => grouped(cells), [cells]);
  const size = Math.max(line.count, cells.length);
  const of = (how: Cell["how"]) => cells.filter((each) => each.how === how).length;
  const { done, left } = progressOf(line, now);
  const going = line.isOpen && isLive;
  const chosen = item === null ? undefined : line.cells.get(item);
  const text = search.trim().toLowerCase();
  const wrong = cells.filter((each) => each.how !== "done");
  const sorted = useMemo(() => {
    const order: Cell["how"][] = ["failed", "fallback", "retry", "running", "done"];
    return cells.toSorted((one, other) => order.indexOf(one.how) - order.indexOf(other.how) || one.index - other.index);
  }, [cells]);
  const texts = new Map(line.below.map((each) => [each.name, each.rows.map(told).at(-1) || ""]));
  const name = line.name;
  const textOf = (cell: Cell) => cell.errors.at(-1)?.text || texts.get(`${name}[${cell.index}]`) || "";
  const fitting = text
    ? sorted.filter((each) => `${each.index} ${HOW[each.how]} ${textOf(each)}`.toLowerCase().includes(text))
    : sorted;
  const step = (by: number) => {
    const at = wrong.findIndex((each) => each.index === item);
    const next = wrong[(at + by + wrong.length) % wrong.length];
    if (next) select(next.seq);
  };
  return (
    <section aria-label="Map">
      <p class="soft">
        a map over {count(size, "item")} · {seconds(line.to - line.from)} ·{" "}
        {[
          going && `${done} of ${size}${left === null ? "" : `, about ${seconds(left)} left`}`,
          !going && `${of("done") + of("retry")} done`,
          of("fallback") && `${of("fallback")} by fallback`,
          of("failed") && `${of("failed")} failed`,
          of("retry") && `${of("retry")} after a retry`,
        ]
          .filter(Boolean)
          .join(", ")}
      </p>
      <Cells size={size} cells={line.cells} chosen={item} select={select} />
      <p class="legend">
        {(["done", "retry", "fallback", "failed", ...(going ? ["running" as const] : [])] as const).map((how) => (
          <span key={how}>
            <i class={`cell ${how}`} /> {HOW[how]}
          </span>
        ))}
      </p>
      {chosen && <Item id={id} line={line} cell={chosen} step={step} hasMore={wrong.length > 1} select={select} />}
      {groups.length > 0 && (
        <>
          <h3>What went wrong, by message</h3>
          {groups.slice(0, 40).map((group) => (
            <section class="group" key={group.text}>
              <header>
                <Sign status={group.lost.size ? "failed" : "losses"} />
                <b>{count(group.items.size, "item")}</b>
                {group.lost.size ? (
                  <Chip tone="bad">{group.lost.size} lost</Chip>
                ) : (
                  <Chip tone="warn">all recovered</Chip>
                )}
                <span class="end">
                  {[...group.items].slice(0, 8).map((index) => (
                    <button class="link" key={index} onClick={() => select(line.cells.get(index)!.seq)}>
                      {index}
                    </button>
                  ))}
                  {group.items.size > 8 && "…"}
                </span>
              </header>
              <p class="mono">{group.text}</p>
            </section>
          ))}
          <div class="acts">
            <Copy text={groups.map((each) => `${each.text}\t${[...each.items].join(" ")}`).join("\n")}>
              copy the list
            </Copy>
          </div>
        </>
      )}
      <h3>
        Items{" "}
        <span class="end">
          <input
            type="search"
            class="btn small"
            placeholder="find an item"
            aria-label="find an item"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </span>
      </h3>
      <table class="items">
        <thead>
          <tr>
            <th scope="col">item</th>
            <th scope="col">how</th>
            <th scope="col">result</th>
          </tr>
        </thead>
        <tbody>
          {fitting.slice(0, all ? undefined : LISTED).map((cell) => (
            <tr key={cell.index} class={cell.index === item ? "selected" : ""} onClick={() => select(cell.seq)}>
              <td class="num">
                <button class="link" onClick={() => select(cell.seq)}>
                  {cell.index}
                </button>
              </td>
              <td>
                <Chip tone={{ failed: "bad", fallback: "bad", retry: "warn", done: "", running: "run" }[cell.how]}>
                  {cell.how === "retry" ? `${cell.tries} tries` : HOW[cell.how]}
                </Chip>
              </td>
              <td>{textOf(cell)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {fitting.length > LISTED && !all && (
        <button class="btn" onClick={() => setAll(true)}>
          all {fitting.length}
        </button>
      )}
    </section>
  );
}

/** A cell for each item; above 3,000 one for several, with the worst of them. */
function Cells({
  size,
  cells,
  chosen,
  select,
}: {
  size: number;
  cells: Map<number, Cell>;
  chosen: number | null;
  select: (seq: number) => void;
}) {
  const each = Math.ceil(size / 3000);
  const order: Cell["how"][] = ["done", "running", "retry", "fallback", "failed"];
  const shown = Array.from({ length: Math.ceil(size / each) }, (_, at) => {
    const inside = Array.from({ length: each }, (_, more) => cells.get(at * each + more)).filter((cell) => cell);
    return inside.reduce<Cell | undefined>(
      (worst, cell) => (!worst || order.indexOf(cell!.how) > order.indexOf(worst.how) ? cell : worst),
      undefined,
    );
  });
  return (
    <div class="cells" role="group" aria-label="items">
      {shown.map((cell, at) => {
        const words = `item ${cell?.index ?? at * each}: ${cell ? HOW[cell.how] : "not begun"}`;
        return (
          <button
            key={at}
            class={`cell ${cell?.how || "none"} ${cell && cell.index === chosen ? "chosen" : ""}`}
            aria-label={words}
            title={words}
            tabIndex={cell && cell.how !== "done" ? 0 : -1}
            disabled={!cell}
            onClick={() => cell && select(cell.seq)}
          />
        );
      })}
    </div>
  );
}

function Item({
  id,
  line,
  cell,
  step,
  hasMore,
  select,
}: {
  id: string;
  line: Line;
  cell: Cell;
  step: (by: number) => void;
  hasMore: boolean;
  select: (seq: number) => void;
}) {
  const first = line.below.find((each) => each.name === `${line.name}[${cell.index}]`);
  const path = first?.rows[0]?.path || "";
  const [found, error] = useDocument("runs/{run_id}/steps/{seq}", { run_id: id, seq: cell.seq });
  const at = Math.max(1, (first?.rows[0]?.seq || cell.seq) - 1);
  const [before] = useDocument("runs/{run_id}/state", { run_id: id, at });
  if (error) return <Failure error={error} />;
  const values = before?.inside[path] || {};
  const writes = (found?.step.detail.writes || []) as unknown[][];
  return (
    <>
      <h3>
        Item {cell.index}{" "}
        <Chip tone={{ failed: "bad", fallback: "bad", retry: "warn", done: "ok", running: "run" }[cell.how]}>
          {HOW[cell.how]}
        </Chip>
        {hasMore && (
          <span class="end">
            <button class="btn bare small" aria-label="the problem before" onClick={() => step(-1)}>
              ‹
            </button>
            <button class="btn bare small" aria-label="the next problem" onClick={() => step(1)}>
              ›
            </button>
          </span>
        )}
      </h3>
      <div class="card">
        <dl class="fields">
          {Object.entries(values).map(([name, value]) => (
            <>
              <dt class="mono">{name}</dt>
              <dd>
                <Value value={value} />
              </dd>
            </>
          ))}
          {writes.map((op, index) => (
            <>
              <dt key={index} class="mono">
                {String(op[1] ?? "result")}
              </dt>
              <dd>
                <Value value={op.at(-1)} />
              </dd>
            </>
          ))}
          <dt>attempts</dt>
          <dd>
            {(found?.attempts || []).map((each) => (
              <div key={each.number}>
                {each.number}. <span class="num soft">{seconds(each.took)}</span>{" "}
                {each.error ? (
                  <button class="link wrong" onClick={() => select(each.seq)}>
                    {each.error.code}: {each.error.message}
                  </button>
                ) : (
                  "done"
                )}
              </div>
            ))}
          </dd>
        </dl>
        {found?.step.error && cell.how === "failed" && <Trouble error={found.step.error} />}
      </div>
    </>
  );
}
