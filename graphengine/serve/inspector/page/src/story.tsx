// The story of a run, or of two: a page to read and to print, from the document that its file brings along.

import "./safe";
import "./story.css";

import { type ComponentChildren, render } from "preact";

import { Letter, Outcomes } from "./compare";
import { places } from "./formats";
import { readJson, writeJson } from "./json";
import { Chip, Sign, elementOf } from "./parts";
import { Sums } from "./outcome";
import { Diff, Markdown } from "./text";
import { type Line, type Row, type Scale, TROUBLES, linesOf, nameOf, scaleOf, shownOf, told, whole } from "./trace";
import { Lane, lostOf } from "./trace_view";
import type { Account, Saying, Side, Story, StoryFields, StoryQuestion, StoryRun, Usage } from "./types";
import { cost, count, dollars, failedBelow, kilo, lost, seconds, wordsOf } from "./words";

const OPEN = 2400; // characters of a text that stand open
const SHORT = 40; // of a value that stands in a line
const LONG = 400; // of a value that is folded beside an answer
const ITEMS = 5; // of a list that stand open
const [FIRST, LAST, WRONG] = [20, 12, 10]; // lines of how it came to this: of the beginning, the end, and what failed

const words = (name: string): string => name.replace(/^_+|_+$/g, "").replace(/[_\s]+/g, " ") || name.replace(/_/g, " ");
const heading = (name: string): string => words(name).replace(/^./u, (first) => first.toUpperCase());
/** The path of a node in words: `pieces[1]/write_up` is `pieces, item 2: write up`. */
const place = (path: string, visit = 1): string =>
  path.split("/").map((part) => words(part).replace(/\[(\d+)\]/g, (_, at) => `, item ${Number(at) + 1}`)).join(": ") +
  (visit > 1 ? ` ${visit}` : "");
const day = (at: number): string =>
  new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" }) + " UTC";

// --- Values ---

function Shown({ value }: { value: unknown }) {
  if (typeof value === "string") return <Markdown text={value} most={OPEN} />;
  if (Array.isArray(value)) return <Items values={value} />;
  if (value && typeof value === "object") return <Fields values={Object.entries(value)} />;
  return <span class="num">{typeof value === "boolean" ? (value ? "yes" : "no") : String(value ?? "none")}</span>;
}

const isShort = (value: unknown): boolean => (!value || typeof value !== "object") && String(value).length <= SHORT;

function Items({ values }: { values: unknown[] }) {
  if (values.every(isShort)) return <span>{values.join(", ")}</span>;
  const items = values.map((each, at) => (
    <li key={at}>
      <Item value={each} />
    </li>
  ));
  return (
    <>
      <ul>{items.slice(0, ITEMS)}</ul>
      {items.length > ITEMS && (
        <details>
          <summary>and {items.length - ITEMS} more</summary>
          <ul>{items.slice(ITEMS)}</ul>
        </details>
      )}
    </>
  );
}

/** An item of a list: its longest text, and the rest of its fields below. */
function Item({ value }: { value: unknown }) {
  if (!value || typeof value !== "object" || Array.isArray(value)) return <Shown value={value} />;
  const fields = Object.entries(value);
  const texts = fields.filter(([, each]) => typeof each === "string") as [string, string][];
  const [lead] = texts.sort(([, one], [, other]) => other.length - one.length);
  const rest = fields.filter(([name]) => name !== lead?.[0]);
  return (
    <>
      {lead && <Shown value={lead[1]} />}
      {rest.every(([, each]) => isShort(each)) ? (
        <span class="beside">{rest.map(([name, each]) => `${words(name)}: ${each}`).join(" · ")}</span>
      ) : (
        <Fields values={rest} />
      )}
    </>
  );
}

function Fields({ values }: { values: [string, unknown][] }) {
  if (!values.length) return null;
  return (
    <dl class={values.some(([name]) => name.length > SHORT / 2) ? "wide" : ""}>
      {values.map(([name, each]) => (
        <>
          <dt>{heading(name)}</dt>
          <dd>
            <Shown value={each} />
          </dd>
        </>
      ))}
    </dl>
  );
}

/** Fields of the state: the one that matters most, unless it is said above; then the others, long ones folded. */
function Section({ values, above = "" }: { values: StoryFields | null; above?: string }) {
  const rest = Object.entries(values?.rest || {});
  const flat = (text: unknown) => (typeof text === "string" ? text.replace(/\s+/g, " ").trim() : text);
  const lead = values && flat(values.lead) !== flat(above) ? (values.lead ?? "") : "";
  if (lead === "" && !rest.length) return null;
  const sizeOf = (each: unknown) =>
    typeof each === "string" ? `${wordsOf(each)} words` : Array.isArray(each) ? `${each.length}` : "";
  const isLong = (each: unknown) => writeJson(each).length > LONG;
  return (
    <>
      <h2>
        {values!.title} {lead !== "" && <span class="soft">{values!.name}</span>}
      </h2>
      {lead !== "" && <Shown value={lead} />}
      <Fields values={rest.filter(([, each]) => !isLong(each))} />
      {rest.filter(([, each]) => isLong(each)).map(([name, each]) => (
        <details key={name}>
          <summary>{[heading(name), sizeOf(each)].filter(Boolean).join(" · ")}</summary>
          <Shown value={each} />
        </details>
      ))}
    </>
  );
}

const Picture = ({ svg }: { svg: string }) =>
  svg ? <figure ref={(part) => part?.replaceChildren(...[elementOf(svg)].filter((each) => each !== null))} /> : null;

// --- One run ---

const isOffline = (usage: Usage): boolean => usage.calls === usage.offline_calls;

const AWAITED: Record<string, string> = {
  ask: "for an answer",
  receive: "for a message",
  sleep: "for a time",
  pause: "for leave to go on",
  unknown: "for word of how an effect ended",
  tool: "for the result of a tool",
};

function Verdict({ run }: { run: StoryRun }) {
  const { status, label, why, losses, awaited } = run;
  const tone = { finished: "ok", failed: "bad", cancelled: "bad", waiting: "wait", running: "run" }[status] || "warn";
  const waits = awaited.map((each) => AWAITED[each]).join(", ");
  return (
    <p class="verdict">
      <Chip tone={tone}>
        <Sign status={status} /> {status}
      </Chip>{" "}
      {waits || <b>{label}</b>} {!waits && <span class="soft">{why}</span>}
      {[waits || label || why, lost(losses)].every(Boolean) && " · "}
      {lost(losses)}
    </p>
  );
}

function Figures({ run }: { run: StoryRun }) {
  const { usage, inherited, below } = run;
  const tokens = usage.input_tokens + usage.output_tokens;
  const found: [string, string | number | false][] = [
    ["time", seconds(run.took)],
    ["visits", run.visits.toLocaleString()],
    ["answers by rules", usage.calls > 0 && isOffline(usage) && usage.calls],
    ["price", usage.calls > 0 && !isOffline(usage) && cost(usage)],
    ["model calls", usage.calls > 0 && !isOffline(usage) && usage.calls],
    ["tokens", tokens > 0 && tokens.toLocaleString()],
    ["before it branched off", cost(inherited)],
  ];
  return (
    <>
      <dl class="facts">
        {found.filter(([, each]) => each).map(([name, each]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{each}</dd>
          </div>
        ))}
      </dl>
      {below && (
        <p class="soft">
          {count(below.runs, "child run")} cost {dollars(below.cost_usd)} besides
          {below.failed > 0 && `; ${failedBelow(below)}`}
        </p>
      )}
    </>
  );
}

function Questions({ found }: { found: StoryQuestion[] }) {
  const kinds: Record<string, string> = { sleep: "waits for a time", receive: "waits for a message" };
  return (
    <>
      {found.length > 0 && <h2>What it waits for</h2>}
      {found.map((each, at) => (
        <section class="card waiting" key={at}>
          <p class="soft">
            {each.name} {kinds[each.kind] || "asks"}
            {each.due_at && ` · until ${day(each.due_at)}`}
          </p>
          <Markdown text={each.text} most={OPEN} />
          <Fields values={Object.entries(each.facts)} />
          {each.proposed.map(([name, was, now]) => (
            <section class="change" key={name}>
              {name && <h3>{name}</h3>}
              <Differs before={was} after={now} />
            </section>
          ))}
          <dl class="answers">
            {each.answers.map(([name, fits, about]) => (
              <>
                <dt>{name || "It takes"}</dt>
                <dd>
                  {fits} {about && <span class="beside">{about}</span>}
                </dd>
              </>
            ))}
          </dl>
        </section>
      ))}
    </>
  );
}

function Conversation({ said, earlier }: { said: Saying[]; earlier: number }) {
  return (
    <>
      <h2>The conversation</h2>
      <div class="chat">
        {earlier > 0 && <p class="soft">{count(earlier, "earlier message")} left out</p>}
        {said.map(({ role, text, who, value }, at) => (
          <div class={`said ${role}`} key={at}>
            {who && <small class="soft">{who}</small>}
            {role === "tool" ? <p class="soft">{text}</p> : text && <Markdown text={text} most={OPEN} />}
            {value !== null && <Shown value={value} />}
          </div>
        ))}
      </div>
    </>
  );
}

// --- How it came to this ---

const HOW: Record<string, string> = { retry: "tried again", fallback: "fell back", failed: "failed", broken: "failed" };

const UNTOLD = ["recorded", "entered", "mapped"]; // of a visit: they have lines of their own

/** What is told of a line: what happened in it, what was said, and how it failed. */
function textsOf(line: Line): string[] {
  const isCall = line.kind === "call";
  const isTold = (row: Row) => !UNTOLD.includes(row.kind) && (row.kind !== "waiting" || row.withdrawn.length > 0);
  const rows = line.rows.filter((row) => isCall || isTold(row));
  return rows.flatMap((row) => {
    const sentBack = row.sent_back ? [`Rejected and sent back: ${row.sent_back}`] : [];
    const said = isCall && !row.child ? row.said || row.text : told(row);
    return [...sentBack, said && [HOW[row.tone], said].filter(Boolean).join(": ")].filter(Boolean);
  });
}

const isWrong = (line: Line): boolean =>
  line.kind === "call"
    ? TROUBLES.includes(line.tone)
    : line.rows.some(({ kind, tone }) => kind !== "recorded" && TROUBLES.includes(tone));

/** The lines that are shown; of many those of the beginning and the end, and between what failed and where two part. */
function waysOf(accounts: Account[], parted: number | null): { shown: Line[]; leftOut: number; scale: Scale } {
  const lines = linesOf(accounts.map((account) => whole({ account, spots: [], edges: [], compared: {} })));
  const all = shownOf(lines, () => false, null).filter(
    (line) => line.kind !== "loop" && (line.kind !== "event" || textsOf(line).length > 0),
  );
  const between = all.length > FIRST + LAST ? all.slice(FIRST, -LAST) : [];
  const wrong = between.filter(isWrong).slice(0, WRONG);
  const kept = between.filter((line) => wrong.includes(line) || isAt(line, parted));
  const shown = between.length ? [...all.slice(0, FIRST), ...kept, ...all.slice(-LAST)] : all;
  return { shown, leftOut: between.length - kept.length, scale: scaleOf(lines, 0) };
}

const isAt = (line: Line, seq: number | null): boolean => line.rows.some((row) => row.seq === seq);

function calledOf(line: Line): string {
  const path = line.rows[0]?.path || "";
  if (line.kind === "call") return words(line.name.replace(/^tool /, ""));
  return line.kind === "event" ? words(line.name) : place(nameOf(path) || line.name, line.visit);
}

function Way({ run, isTimed, parted = null }: { run: StoryRun; isTimed: boolean; parted?: number | null }) {
  const { shown, leftOut, scale } = waysOf(run.accounts, parted);
  const hasPrices = isTimed && shown.some(({ cost }) => cost !== 0);
  const lane = isTimed && run.took >= 0.01 && run.accounts.length > 1;
  return (
    <>
      <table class="way">
        {lane && (
          <thead>
            <tr>
              <th>visit</th>
              <th>what came of it</th>
              <th>
                0 <span class="right">{seconds(run.took)}</span>
              </th>
              {hasPrices && <th class="r">price</th>}
            </tr>
          </thead>
        )}
        <tbody>
          {shown.map((line) => {
            const last = line.rows.at(-1);
            const usage = last?.usage as Partial<Usage> | undefined;
            return (
              <tr class={`${line.kind} ${isAt(line, parted) ? "parted" : isWrong(line) ? "wrong" : ""}`} key={line.key}>
                <td style={{ paddingLeft: `${Math.min(line.depth, 4) * 12 + 8}px` }}>
                  <b>{calledOf(line)}</b>
                  {line.kind === "call" && <span class="beside">{last?.model.replace(/^.*:/, "")}</span>}
                </td>
                <td>
                  {textsOf(line).map((each, at) => (
                    <span class="told" key={at}>
                      {each}
                    </span>
                  ))}
                  {line.kind === "map" && line.count > 0 && (
                    <span class="told">{[count(line.count, "item"), lostOf(line)].filter(Boolean).join(", ")}</span>
                  )}
                  {line.kind !== "call" && last && last.targets.length > 0 && (
                    <>
                      {last.edge && <b>{last.edge} </b>}
                      <span class="to">→ {last.targets.map((each) => toWords(each)).join(", ")}</span>
                    </>
                  )}
                  {last?.why && <span class="beside">{last.why}</span>}
                </td>
                {lane && (
                  <td class="lanes">
                    <Lane line={line} scale={scale} now={0} isLive={false} />
                  </td>
                )}
                {hasPrices && (
                  <td class="r">
                    {cost(usage)}
                    {Boolean(usage?.input_tokens) && (
                      <span class="beside">
                        {kilo(usage!.input_tokens!)} → {kilo(usage!.output_tokens || 0)}
                      </span>
                    )}
                  </td>
                )}
              </tr>
            );
          })}
        </tbody>
      </table>
      {leftOut + run.left_out > 0 && (
        <p class="soft">
          {leftOut > 0 && count(leftOut, "line")}
          {leftOut > 0 && run.left_out > 0 && " and "}
          {run.left_out > 0 && count(run.left_out, "step")} between are left out
        </p>
      )}
    </>
  );
}

const toWords = (node: string): string => (node === "END" || node === "FAIL" ? node.toLowerCase() : words(node));

// --- What it cost ---

const isPriced = (run: StoryRun): boolean => run.spent.some((each) => !isOffline(each));

/** What models cost, by agent, and by model if there are several. */
function Spent({ run }: { run: StoryRun }) {
  return (
    <>
      <Sums spending={run.spent} by="agent" />
      {new Set(run.spent.map(({ model }) => model)).size > 1 && <Sums spending={run.spent} by="model" />}
    </>
  );
}

function One({ run }: { run: StoryRun }) {
  const { said, error, failed } = run;
  return (
    <>
      <p class="soft">
        A {said ? "conversation with" : "run of"} {run.graph} · {day(run.created_at)}
      </p>
      <h1>{run.title}</h1>
      <Verdict run={run} />
      <Figures run={run} />
      {said && <Conversation said={said} earlier={run.earlier} />}
      <Questions found={run.questions} />
      <Section values={run.question} above={run.title} />
      {error && (
        <>
          <h2>Why it failed</h2>
          <section class="card failed">
            <p>
              <b>{error[0]}</b>
            </p>
            <p class="pre">{error[1]}</p>
          </section>
        </>
      )}
      {failed.length > 0 && (
        <>
          <h2>What failed below</h2>
          <ul>
            {failed.map(([title, why], at) => (
              <li key={at}>
                <b>{title}</b> {why}
              </li>
            ))}
          </ul>
        </>
      )}
      <Section values={run.answer} />
      <Section values={run.besides} />
      {run.picture && <h2>The way it took</h2>}
      <Picture svg={run.picture} />
      <h2>How it came to this</h2>
      <Way run={run} isTimed />
      {isPriced(run) && <h2>What it cost</h2>}
      {isPriced(run) && <Spent run={run} />}
      {lost(run.losses) && (
        <>
          <h2>Losses</h2>
          <p>{lost(run.losses)}</p>
        </>
      )}
    </>
  );
}

// --- Two runs ---

function Differs({ before, after }: { before: unknown; after: unknown }) {
  if (typeof before === "string" && typeof after === "string" && before && after)
    return <Diff before={before} after={after} />;
  if (typeof before === "number" && typeof after === "number")
    return (
      <p>
        <del>{before}</del> → <ins>{after}</ins>{" "}
        <span class="soft">
          ({after > before ? "+" : "−"}
          {places(Math.abs(after - before), 4, 0)})
        </span>
      </p>
    );
  const isFull = (value: unknown) => value !== null && value !== undefined && value !== "";
  return (
    <>
      {isFull(before) && (
        <div class="gone">
          <Item value={before} />
        </div>
      )}
      {isFull(after) && (
        <div class="new">
          <Item value={after} />
        </div>
      )}
    </>
  );
}

function Differences({ found }: { found: Side["changed"] }) {
  return (
    <>
      {found.map(({ path, before, after }) => (
        <section class="change" key={path}>
          <h3>{path}</h3>
          <Differs before={before} after={after} />
        </section>
      ))}
    </>
  );
}

/** Where a run went from the visit at which two part, and why. */
function Went({ run, seq }: { run: StoryRun; seq: number | null }) {
  const at = run.accounts.find((each) => each.seq === seq);
  if (!at) return null;
  const to = at.targets || [];
  const end = to.includes("END") ? "ended" : to.includes("FAIL") && "failed";
  return (
    <>
      {end || (to.length > 0 ? `went on to ${to.map(toWords).join(", ")}` : at.error || at.kind)}
      {at.edge && `, ${at.edge}`}
      {at.why && <span class="beside">{at.why}</span>}
    </>
  );
}

function Short({ story, runs, sides }: { story: Story; runs: [StoryRun, StoryRun]; sides: [Side, Side] }) {
  const first = runs[0].accounts.find(({ seq }) => seq === sides[0].parted_at);
  const ends = runs.map(({ status, label, why, error }) =>
    error
      ? `failed at ${error[0]}: ${error[1].slice(0, 90)}`
      : { waiting: "waits", running: "goes on" }[status] || `${status}${label && `: ${label}`}${why && ` (${why})`}`,
  );
  const less = (name: string, of: (side: Side) => number | null, amount: (by: number) => string, least: number) => {
    const [one, other] = sides.map(of) as [number | null, number | null];
    if (!one || other === null || Math.abs(one - other) < least) return [];
    const by = Math.abs(one - other);
    const isLess = other < one;
    return [{ text: `${name} ${amount(by)} ${isLess ? "less" : "more"} (${Math.round((100 * by) / one)} %)`, isLess }];
  };
  const visits = sides[1].spent.steps - sides[0].spent.steps;
  const parts = [
    ...less("cost", ({ spent }) => spent.cost_usd, dollars, 0.0001),
    ...less("took", ({ spent }) => spent.seconds, seconds, 0.05),
  ];
  const fewer = `made ${count(Math.abs(visits), "visit")} ${visits < 0 ? "fewer" : "more"}`;
  if (visits) parts.push({ text: fewer, isLess: visits < 0 });
  const isSaved = parts.length > 0 && runs[1].status === "finished" && parts.every(({ isLess }) => isLess);
  const numbers = Object.entries(runs[1].numbers).filter(([name, value]) => (runs[0].numbers[name] ?? value) !== value);
  const row = (name: string, text: ComponentChildren) => (
    <>
      <dt>{name}</dt>
      <dd>{text}</dd>
    </>
  );
  const areBoth = sides.every(({ begins }) => begins);
  const pair = (text: (run: StoryRun, at: number) => ComponentChildren) =>
    runs.map((run, at) => (
      <p key={at}>
        <Letter at={at} /> {text(run, at)}
      </p>
    ));
  return (
    <dl class="short">
      {story.compared!.shared
        ? sides.map((side, at) =>
            side.begins
              ? row(
                  "Changed",
                  <>
                    <Letter at={at} /> branched off {areBoth ? "the same run" : <Letter at={1 - at} />}
                    {story.parted_after && ` after ${story.parted_after}`}, with{" "}
                    {side.changed.length ? "another " : "nothing of its state changed"}
                    <b>{side.changed.map(({ path }) => path.toLowerCase()).join(", ")}</b>.
                  </>,
                )
              : null,
          )
        : row("Changed", "They share nothing.")}
      {first &&
        row(
          "Parted",
          <>
            at {place(first.path || "", first.visit)}:{pair((run, at) => <Went run={run} seq={sides[at]!.parted_at} />)}
          </>,
        )}
      {row(
        "Ended",
        ends[0] === ends[1] ? (
          <p>
            <Letter at={0} /> <Letter at={1} /> both {ends[0]}
          </p>
        ) : (
          pair((_, at) => ends[at])
        ),
      )}
      {(parts.length > 0 || numbers.length > 0) &&
        row(
          isSaved ? "Saved" : "Took",
          <>
            {parts.length > 0 && (
              <>
                <Letter at={1} /> <b>{parts.map(({ text }) => text).join(", ")}</b> than <Letter at={0} />
                {story.compared!.shared ? " since they part. " : " in all. "}
              </>
            )}
            {numbers.map(([name, value]) => `Its ${name} is ${value}, in A ${runs[0].numbers[name]}.`).join(" ")}
          </>,
        )}
    </dl>
  );
}

function Two({ story }: { story: Story }) {
  const runs = story.runs as [StoryRun, StoryRun];
  const diff = story.compared!;
  const sides: [Side, Side] = [diff.first, diff.second];
  const heads = runs.map(({ status, losses, label, why, error }) => ({
    shown: status,
    losses,
    ending: { label, why },
    error: error && { message: error[1] },
  }));
  const since = diff.shared ? " since they part" : "";
  return (
    <>
      <p class="soft">
        Two runs of {runs[0].graph} · {day(runs[1].created_at)}
      </p>
      <h1>{runs[0].title}</h1>
      <Short {...{ story, runs, sides }} />
      <h2>What each took{since}</h2>
      <Outcomes sides={sides} heads={heads} name={({ run_id }) => <code>{run_id}</code>} />
      {sides.map(
        ({ changed }, at) =>
          changed.length > 0 && (
            <>
              <h2>What was changed in {"AB"[at]}</h2>
              <p class="key">
                <del>as it was in {"AB"[1 - at]}</del> <ins>as {"AB"[at]} began</ins>
              </p>
              <Differences found={changed} />
            </>
          ),
      )}
      <h2>Where they part</h2>
      <p>
        {diff.shared ? `They share their first ${count(story.shared_visits, "visit")}. ` : "They share nothing. "}
        {diff.alike ? count(diff.alike, "decision") : "Nothing"} after that {diff.alike > 1 ? "are" : "is"} alike.
      </p>
      <div class="two">
        {runs.map((run, at) => (
          <section key={at}>
            <p>
              <Letter at={at} /> <code>{run.run_id}</code>
            </p>
            <Picture svg={run.picture} />
            <Way run={run} isTimed={false} parted={sides[at]!.parted_at} />
          </section>
        ))}
      </div>
      <h2>What came of it</h2>
      {diff.differences.length > 0 ? (
        <p class="key">
          <del>only in A</del> <ins>only in B</ins>
        </p>
      ) : (
        <p>
          Both ended with the same state{sides.some(({ changed }) => changed.length) && " but for what was changed"}.
        </p>
      )}
      <Differences found={diff.differences} />
      {runs.some(isPriced) && (
        <>
          <h2>What it cost{since}</h2>
          <div class="two">
            {runs.map((run, at) => (
              <section key={at}>
                <Letter at={at} /> <Spent run={run} />
              </section>
            ))}
          </div>
        </>
      )}
      {diff.setup.length > 0 && (
        <>
          <h2>Set up differently</h2>
          <ul>
            {diff.setup.slice(0, ITEMS * 3).map((each) => (
              <li key={each}>{each}</li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

const story: Story = readJson(document.getElementById("story")!.textContent!);
render(
  <main>
    {story.compared ? <Two story={story} /> : <One run={story.runs[0]!} />}
    <footer class="soft">
      Written by <code>{story.command}</code> from the record, {story.written}; nothing is loaded, no server is needed.
      Prompts are left out; fields that are declared secret are never written.
    </footer>
  </main>,
  document.getElementById("app")!,
);
