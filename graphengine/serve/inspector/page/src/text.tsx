// Text that is read: Markdown, prompts, JSON, values, and word diffs. No text is ever markup.

import { type Token, type Tokens, lexer } from "marked";
import { type ComponentChildren, Fragment, type JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";

import { readJson, writeJson } from "./json";
import { type Large, isLarge, largeIn } from "./large";
import { Copy, Failure, type Problem, Tabs, reachable } from "./parts";
import { type WordRun, wordDiff, wordsIn } from "./word_diff";
import { brief, wordsOf } from "./words";

const LONG = 100_000; // characters: a longer text, which was asked for, is shown as it is
const CHUNK = 16_000;
const CITED = /\[([\w./-]+:\d+)\]/;

/**
 * Markdown: the tokens of `marked` become elements. HTML in it, and what it would load, stays text.
 *
 * @param most - characters that stand open; the blocks after them are folded.
 */
export function Markdown({ text, most }: { text: string; most?: number }) {
  if (isLarge(text)) return <LargeValue value={text} />;
  return text.length > LONG ? <Plain text={text} /> : <Blocks text={text} most={most ?? Infinity} />;
}

function Blocks({ text, most }: { text: string; most: number }) {
  const tokens = useMemo(() => lexer(text, { gfm: true, breaks: true }), [text]);
  let size = 0;
  let cut = tokens.findIndex((token) => (size += token.raw.length) > most) + 1 || tokens.length;
  if (tokens[cut - 1]?.type === "heading") cut -= 1; // which does not stand by itself
  const rest = tokens.slice(cut);
  return (
    <div class="read" dir="auto">
      {tokens.slice(0, cut).map(block)}
      {rest.some(({ type }) => type !== "space") && (
        <details>
          <summary>the rest, {wordsOf(rest.map(({ raw }) => raw).join("")).toLocaleString()} words</summary>
          {rest.map(block)}
        </details>
      )}
    </div>
  );
}

function inline(tokens: Token[] | undefined, text = ""): ComponentChildren {
  return tokens ? tokens.map(span) : unescaped(text);
}

/** `marked` escapes a few characters for HTML in some tokens. */
function unescaped(text: string): string {
  const signs: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name) => signs[name]!);
}

function span(token: Token, index: number): ComponentChildren {
  switch (token.type) {
    case "strong":
      return <b key={index}>{inline(token.tokens)}</b>;
    case "em":
      return <em key={index}>{inline(token.tokens)}</em>;
    case "del":
      return <s key={index}>{inline(token.tokens)}</s>;
    case "codespan":
      return <code key={index}>{(token as Tokens.Codespan).text}</code>;
    case "br":
      return <br key={index} />;
    case "link":
      return <Foreign key={index} token={token as Tokens.Link} />;
    case "escape":
      return (token as Tokens.Escape).text;
    case "text":
      return (token as Tokens.Text).tokens ? inline((token as Tokens.Text).tokens) : cited(token.raw);
    default:
      return token.raw;
  }
}

/** A link is a link only if it leads to the web; an image is its source as text. */
function Foreign({ token }: { token: Tokens.Link }) {
  const isWeb = /^https?:\/\//i.test(token.href);
  const words = inline(token.tokens, token.text);
  if (!isWeb)
    return (
      <span title={token.href}>
        {words} <span class="soft">({token.href})</span>
      </span>
    );
  return (
    <a href={token.href} target="_blank" rel="noopener noreferrer nofollow" title={token.href}>
      {words}
    </a>
  );
}

/** Text with its places in sources, as `[notes.md:12]`, set off. */
function cited(text: string): ComponentChildren {
  if (!CITED.test(text)) return text;
  return text.split(new RegExp(CITED, "g")).map((part, index) =>
    index % 2 ? (
      <span class="cite" key={index}>
        {part}
      </span>
    ) : (
      part
    ),
  );
}

function block(token: Token, index: number): ComponentChildren {
  switch (token.type) {
    case "space":
      return null;
    case "heading": {
      const Name = `h${Math.min(6, (token as Tokens.Heading).depth + 2)}` as "h3";
      return (
        <Name key={index} class={`depth-${(token as Tokens.Heading).depth}`}>
          {inline(token.tokens)}
        </Name>
      );
    }
    case "paragraph":
      return <p key={index}>{inline(token.tokens)}</p>;
    case "text":
      return <span key={index}>{inline((token as Tokens.Text).tokens, token.raw)}</span>;
    case "blockquote":
      return <blockquote key={index}>{(token as Tokens.Blockquote).tokens.map(block)}</blockquote>;
    case "hr":
      return <hr key={index} />;
    case "code":
      return (
        <pre key={index} tabIndex={0}>
          {(token as Tokens.Code).text}
        </pre>
      );
    case "list":
      return <Items key={index} token={token as Tokens.List} />;
    case "table":
      return <Table key={index} token={token as Tokens.Table} />;
    default:
      return (
        <p key={index} class="pre">
          {token.raw.trimEnd()}
        </p>
      );
  }
}

function Items({ token }: { token: Tokens.List }) {
  const items = token.items.map((each, index) => (
    <li key={index}>
      {each.task && <span>{each.checked ? "☑" : "☐"} </span>}
      {each.tokens.filter((one) => (one.type as string) !== "checkbox").map(block)}
    </li>
  ));
  return token.ordered ? <ol start={Number(token.start) || 1}>{items}</ol> : <ul>{items}</ul>;
}

function Table({ token }: { token: Tokens.Table }) {
  return (
    <div class="wide" tabIndex={0} role="region" aria-label="table">
      <table>
        <thead>
          <tr>
            {token.header.map((cell, index) => (
              <th key={index} scope="col">
                {inline(cell.tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {token.rows.map((row, at) => (
            <tr key={at}>
              {row.map((cell, index) => (
                <td key={index}>{inline(cell.tokens)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const BLOCK = /<([A-Za-z][\w.-]*)>\n?([\s\S]*?)\n?<\/\1>/;

/** A prompt: its tagged blocks fold, so that a question of 12,000 characters is a page one can read. */
export function Prompt({ text }: { text: string }) {
  if (isLarge(text)) return <LargeValue value={text} />;
  const parts: JSX.Element[] = [];
  let rest = text;
  for (let found = BLOCK.exec(rest); found && parts.length < 400; found = BLOCK.exec(rest)) {
    let [whole, name, inner] = found as unknown as [string, string, string];
    const end = `</${name}>`;
    const outer = inner.trimStart().startsWith(`<${name}>`) ? rest.indexOf(end, found.index + whole.length) : -1;
    if (outer >= 0) {
      // a text whose own prompt had put it between the same tags
      whole = rest.slice(found.index, outer + end.length);
      inner = inner.trimStart().slice(end.length - 1).trim();
    }
    const before = rest.slice(0, found.index).trim();
    if (before) parts.push(<Markdown key={parts.length} text={before} />);
    parts.push(
      inner.length < 80 && !inner.includes("\n") ? (
        <p key={parts.length}>
          <span class="tagged">{name}</span> {inner || <span class="soft">empty</span>}
        </p>
      ) : (
        <Block key={parts.length} name={name} text={inner} />
      ),
    );
    rest = rest.slice(found.index + whole.length);
  }
  return (
    <div class="prompt">
      {parts}
      {rest.trim() && <Markdown text={rest.trim()} />}
    </div>
  );
}

/** A text as it is, in parts that the browser draws once they are seen, so that also 10 MB are shown at once. */
export function Plain({ text }: { text: string }) {
  const parts = useMemo(() => {
    const found: string[] = [];
    for (let at = 0; at < text.length; ) {
      const line = text.indexOf("\n", at + CHUNK);
      const isLine = line >= 0 && line < at + 2 * CHUNK;
      let end = isLine ? line : Math.min(at + 2 * CHUNK, text.length);
      if (!isLine && /[\ud800-\udbff]/.test(text[end - 1]!)) end -= 1; // half of a character
      found.push(text.slice(at, end));
      at = end + Number(isLine);
    }
    return found;
  }, [text]);
  return (
    <pre class="plain" tabIndex={0}>
      {parts.map((part, index) => (
        <div key={index}>{part}</div>
      ))}
    </pre>
  );
}

/** A number of characters, in megabytes. */
export const inMegabytes = (characters: number): string => `${(characters / 1e6).toFixed(characters < 1e5 ? 2 : 1)} MB`;

function sizeOf({ characters, items }: Large): string {
  const size = inMegabytes(characters);
  return items === null ? size : `${items.toLocaleString()} items, ${size}`;
}

/** How a value begins that did not come with its document, and a button that reads it whole; read at once if asked. */
export function LargeValue({ value, name, isAsked }: { value: Large; name?: string; isAsked?: boolean }) {
  const [found, setFound] = useState<{ of: Large; value: unknown } | null>(null);
  const [error, setError] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const read = () => {
    setBusy(true);
    setError(null);
    value
      .load()
      .then((each) => setFound({ of: value, value: each }), setError)
      .finally(() => setBusy(false));
  };
  useEffect(() => {
    if (isAsked) read();
  }, [value, isAsked]);
  if (found?.of === value) {
    return (
      <div class="whole" tabIndex={0} role="region" aria-label={`the whole value${name ? ` of ${name}` : ""}`}>
        <Value value={found.value} fold={Infinity} />
      </div>
    );
  }
  return (
    <div class="block large">
      {name && <span class="tagged">{name}</span>}
      <span class="peek">{brief(value, 160)}</span>
      <button type="button" class="btn small" disabled={busy} aria-busy={busy} onClick={read}>
        show all: {sizeOf(value)}
      </button>
      {error && <Failure error={error} />}
    </div>
  );
}

/** A long text under its name: folded, with how it begins and how long it is. */
export function Block({ name, text, plain = false }: { name?: string; text: string; plain?: boolean }) {
  if (isLarge(text)) return <LargeValue value={text} {...(name && { name })} />;
  const peek = brief(text.trim().slice(0, 400), 160);
  return (
    <Fold name={name} peek={peek} end={`${wordsOf(text).toLocaleString()} words`}>
      {() => (plain ? <pre>{text}</pre> : <Prompt text={text} />)}
    </Fold>
  );
}

/** What is long: folded, and in the document only once it is opened. */
function Fold({
  name,
  peek,
  end,
  children,
}: {
  name?: string | undefined;
  peek: string;
  end: string;
  children: () => ComponentChildren;
}) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="block" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        {name && <span class="tagged">{name}</span>}
        <span class="peek">{isOpen ? "" : peek}</span>
        <span class="end">{end}</span>
      </summary>
      {isOpen && <div tabIndex={0}>{children()}</div>}
    </details>
  );
}

const PARTS = /"__fields_set__": \[[^\]]*\]|("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null|-?\d[\d.eE+-]*)\b/g;

/** JSON, indented, with keys, texts and numbers set off; the set fields of models are dim. */
export function Json({ value }: { value: unknown }) {
  const text = typeof value === "string" ? value : writeJson(value, 2);
  if (text.length > LONG) return <Plain text={text} />;
  const found: ComponentChildren[] = [];
  let last = 0;
  for (const each of text.matchAll(PARTS)) {
    found.push(text.slice(last, each.index));
    if (each[1]) found.push(<span class={each[2] ? "key" : "string"}>{each[1]}</span>, each[2] || "");
    else found.push(<span class={each[3] ? "number-like" : "soft"}>{each[0]}</span>);
    last = each.index + each[0].length;
  }
  return (
    <pre class="json" ref={reachable}>
      {found}
      {text.slice(last)}
    </pre>
  );
}

const IS_MARKDOWN = /^#{1,6} |\n\n|\n[-*] |\n\d+\. |\*\*|^[-*] /;

/** The value that a text has as JSON, if it is an object or a list. */
function parsed(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return readJson(text);
  } catch {
    return undefined;
  }
}

/** The path of a change, dim if it is that of a model's set fields. */
export function Path({ path }: { path: string }) {
  return <code class={path.includes("__fields_set__") ? "soft" : ""}>{path}</code>;
}

/** The names of the members of an object, without where the record of a model has its set fields. */
const fieldsOf = (value: object): string[] => Object.keys(value).filter((name) => name !== "__fields_set__");

/** A value, to be read: a text as Markdown if it has any, a list or an object as JSON. */
export function Value({ value, fold = 900 }: { value: unknown; fold?: number }) {
  if (value === null || value === undefined) return <span class="soft">none</span>;
  if (value === "") return <span class="soft">empty text</span>;
  if (isLarge(value)) return <LargeValue value={value} />;
  if (typeof value === "boolean") return <b>{value ? "yes" : "no"}</b>;
  if (typeof value === "number" || typeof value === "bigint") return <b class="num">{String(value)}</b>;
  if (typeof value === "string") {
    if (value.length > fold) return <Block text={value} />;
    const inner = parsed(value);
    if (inner !== undefined) return <Json value={inner} />;
    if (value.length > LONG) return <Plain text={value} />;
    return IS_MARKDOWN.test(value) ? <Markdown text={value} /> : (
      <span class="pre" dir="auto">
        {value}
      </span>
    );
  }
  if (largeIn(value).length) {
    return (
      <dl class="fields">
        {Object.entries(value).map(([name, each]) => (
          <>
            <dt class="mono">{name}</dt>
            <dd>
              <Value value={each} fold={fold} />
            </dd>
          </>
        ))}
      </dl>
    );
  }
  const text = writeJson(value, 2);
  if (Array.isArray(value) && !value.length) return <span class="soft">empty list</span>;
  if (Array.isArray(value) && value.length < 30 && value.every((each) => typeof each === "string")) {
    return (
      <ul class="texts">
        {value.map((each, index) => (
          <li key={index}>
            <Value value={each} fold={fold} />
          </li>
        ))}
      </ul>
    );
  }
  if (text.length <= fold) return <Json value={value} />;
  const end = Array.isArray(value) ? `${value.length} items` : `${fieldsOf(value).length} fields`;
  return (
    <Fold peek={brief(value, 120)} end={end}>
      {() => <Json value={value} />}
    </Fold>
  );
}

/** A whole text as it is read: an answer, a result. */
export function Answer({ text }: { text: string }) {
  const inner = parsed(text);
  return inner !== undefined ? <Json value={inner} /> : <Markdown text={text} />;
}

const AROUND = 110; // characters shown on each side of a change
const ALIKE = 260; // a longer unchanged part is folded
const BRIEF = 160; // of both texts: shorter ones stand in a line

/**
 * What changed from one text to another, word by word; long parts that are alike are folded. Of a text less than half
 * of which is alike, the new text is shown as it is read, and the old one folded below.
 */
export function Diff({ before, after }: { before: string; after: string }) {
  const found = useMemo(() => wordDiff(before, after), [before, after]);
  const [chosen, choose] = useState("");
  if (before === after) return <p class="soft">written again, unchanged</p>;
  if (found.likeness === 1) {
    return (
      <>
        <p class="soft">only blanks and line breaks differ</p>
        <dl class="fields">
          <dt>new</dt>
          <dd>
            <Plain text={after} />
          </dd>
          <dt>old</dt>
          <dd>
            <Plain text={before} />
          </dd>
        </dl>
      </>
    );
  }
  const isRewritten = found.likeness < 0.5;
  const isBrief = before.length + after.length <= BRIEF && !/\n/.test(before + after);
  if (isBrief && isRewritten) {
    return (
      <p class="pre diff" dir="auto">
        <del>{before}</del>
        {" → "}
        <ins>{after}</ins>
      </p>
    );
  }
  const shown = chosen || (isRewritten ? "new" : "changes");
  const names: [string, string][] = [
    ["new", "new"],
    ["changes", "changes"],
    ["old", "old"],
  ];
  return (
    <div class="rewritten">
      {!isBrief && <Tabs small now={shown} choose={choose} label="Show the text" names={names} />}
      {shown === "changes" && <Changes runs={found.runs} />}
      {shown === "new" && <Answer text={after} />}
      {shown === "old" && <Answer text={before} />}
      {shown === "new" && before && (
        <details class="block">
          <summary>
            <span class="tagged">old</span>
            <span class="peek">{brief(before.slice(0, 400), 100)}</span>
            <span class="end">{wordsOf(before).toLocaleString()} words</span>
          </summary>
          <div tabIndex={0}>
            <Answer text={before} />
          </div>
        </details>
      )}
    </div>
  );
}

function Changes({ runs }: { runs: WordRun[] }) {
  return (
    <div class="read pre diff" dir="auto">
      {runs.map(({ is_equal: isEqual, before, after }, at) => {
        const isLast = at === runs.length - 1;
        if (isEqual) {
          const blanks = after === after.trimEnd() ? before.slice(before.trimEnd().length) : "";
          return <Alike key={at} text={after + blanks} isFirst={!at} isLast={isLast} />;
        }
        const [cut, added] = [before.trimEnd(), after.trimEnd()];
        return (
          <Fragment key={at}>
            {cut && <del>{cut}</del>}
            {cut && (added ? " " : before.slice(cut.length))}
            {added && <ins>{added}</ins>}
            {after.slice(added.length)}
          </Fragment>
        );
      })}
    </div>
  );
}

function Alike({ text, isFirst, isLast }: { text: string; isFirst: boolean; isLast: boolean }) {
  const [isOpen, setOpen] = useState(false);
  if (text.length < ALIKE || isOpen) return <>{text}</>;
  const head = isFirst ? "" : text.slice(0, AROUND).replace(/\S{1,30}$/, "");
  const tail = isLast ? "" : text.slice(-AROUND).replace(/^\S{0,30}\s/, "");
  const left = wordsIn(text) - wordsIn(head) - wordsIn(tail);
  return (
    <>
      {head.trimEnd()}
      <button type="button" class="gap" onClick={() => setOpen(true)}>
        {left.toLocaleString()} words alike
      </button>
      {tail.trimStart()}
    </>
  );
}

/** A changed value: texts as a diff, others before and after. */
export function Change({ before, after }: { before: unknown; after: unknown }) {
  if (before && largeIn([before, after]).length)
    return (
      <dl class="fields">
        <dt>before</dt>
        <dd>
          <Value value={before} />
        </dd>
        <dt>after</dt>
        <dd>
          <Value value={after} />
        </dd>
      </dl>
    );
  if (typeof before === "string" && typeof after === "string" && before) return <Diff before={before} after={after} />;
  const isNew = before === null || before === undefined || before === "" || (Array.isArray(before) && !before.length);
  if (isNew) return <Value value={after} />;
  if (typeof before !== "object" && typeof after !== "object") {
    return (
      <span>
        <del>{String(before)}</del> → <b>{String(after)}</b>
      </span>
    );
  }
  if (after === null)
    return (
      <>
        <span class="soft">removed </span>
        <del>
          <Value value={before} />
        </del>
      </>
    );
  return <Diff before={writeJson(before, 2)} after={writeJson(after, 2)} />;
}

/** A result that is read: as Markdown or as it is, copied, or over the whole page. */
export function Reading({ title, text }: { title: ComponentChildren; text: string }) {
  const [isRaw, setRaw] = useState(false);
  const [isWide, setWide] = useState(false);
  const shown = isRaw ? <pre class="plain">{text}</pre> : <Answer text={text} />;
  return (
    <>
      <h3>
        {title} <span class="soft">{wordsOf(text).toLocaleString()} words</span>
        <span class="end">
          <Copy text={text} />
          <button class="btn bare small" aria-pressed={isRaw} onClick={() => setRaw(!isRaw)}>
            raw
          </button>
          <button class="btn bare small" onClick={() => setWide(true)}>
            enlarge
          </button>
        </span>
      </h3>
      <div class="card result">{shown}</div>
      {isWide && (
        <dialog
          class="enlarged"
          ref={(part) => {
            if (part?.isConnected && !part.open) part.showModal();
          }}
          onClose={() => setWide(false)}
          aria-label="the text, enlarged"
        >
          <button class="btn" onClick={() => setWide(false)}>
            Close <kbd>Esc</kbd>
          </button>
          {shown}
        </dialog>
      )}
    </>
  );
}
