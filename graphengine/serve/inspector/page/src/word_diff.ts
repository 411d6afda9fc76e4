// What changed from one text to another, by words: the same function as in `graphengine.records.word_diff`, which
// explains it, with the same classes of characters and the same limits.

const ISLAND = 3; // fewer equal words between two changes are a part of one change
const MOST_WORK = 2_000_000; // pairs of places that one search compares
const INDENTATION = String.raw`\t\x0b\x0c\x1c-\x1f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff`;
const UNSPACED =
  String.raw`\u0e00-\u0eff\u1780-\u17ff\u19e0-\u19ff\u2e80-\u2fff\u3001-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf` +
  String.raw`\u4e00-\u9fff\uf900-\ufaff\uff01-\uff9f\u{20000}-\u{3ffff}`; // written without blanks
const MARKS =
  String.raw`\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u17b4-\u17d3\u17dd` +
  String.raw`\u302a-\u302f\u3099\u309a\ufe00-\ufe0f\uff9e\uff9f\u{e0100}-\u{e01ef}`; // of the character before them
const LINE_START = String.raw`(?:(?:^|(?<=[\n\r]))[${INDENTATION}]+)?`;
const WORD = new RegExp(
  String.raw`${LINE_START}(?:[${UNSPACED}][${MARKS}]*|[^\n\r${INDENTATION}${UNSPACED}]+)`,
  "gu",
);

/** Equal words, or what the second text has in place of what the first has, each with the blanks after it. */
export interface WordRun {
  is_equal: boolean;
  before: string;
  after: string;
}

export interface WordDiff {
  runs: WordRun[];
  likeness: number;
  work: number;
}

type Equal = [begin: number, other: number, size: number];
type Chain = [Equal, Chain] | null;

/** The words of a text, and where the part of the text that each begins ends. A text without words has an empty one. */
function split(text: string): [words: string[], ends: number[]] {
  const found = [...text.matchAll(WORD)];
  const words = found.length ? found.map(([word]) => word) : [""];
  return [words, [...found.slice(1).map(({ index }) => index), text.length]];
}

/** How many words a text has. */
export function wordsIn(text: string): number {
  return text.match(WORD)?.length ?? 0;
}

/** The equal phrases of two texts from their beginning to their end, and the work of finding them. */
function equalPhrases(one: string[], other: string[]): [Equal[], number] {
  const numbers = new Map<string, number>();
  const [starts, otherStarts] = [one, other].map((words) =>
    words.slice(ISLAND - 1).map((_, at) => {
      const phrase = words.slice(at, at + ISLAND).join("\n"); // which no word contains
      const number = numbers.get(phrase) ?? numbers.size;
      numbers.set(phrase, number);
      return number;
    }),
  ) as [number[], number[]];
  const found: Equal[] = [];
  const left: [number, number, number, number][] = [[0, starts.length, 0, otherStarts.length]];
  let work = 0;
  for (let part = left.pop(); part; part = left.pop()) {
    const [begin, end, otherBegin, otherEnd] = part;
    if (begin >= end || otherBegin >= otherEnd) continue;
    const places = new Map<number, number[]>();
    for (let there = otherBegin; there < otherEnd; there++) {
      const known = places.get(otherStarts[there]!);
      if (known) known.push(there);
      else places.set(otherStarts[there]!, [there]);
    }
    work += end - begin + otherEnd - otherBegin;
    let best: Equal = [begin, otherBegin, 0];
    let sizes = new Map<number, number>();
    for (let at = begin; at < end; at++) {
      const now = new Map<number, number>();
      for (const there of places.get(starts[at]!) ?? []) {
        const size = (sizes.get(there - 1) ?? ISLAND - 1) + 1;
        now.set(there, size);
        if (size > best[2]) best = [at + ISLAND - size, there + ISLAND - size, size];
      }
      sizes = now;
      work += now.size;
      if (work > MOST_WORK) {
        const [fewest, more] = fewestEdits(one, other);
        return [fewest, work + more];
      }
    }
    const [at, there, size] = best;
    if (!size) continue;
    found.push(best);
    left.push([begin, at - ISLAND + 1, otherBegin, there - ISLAND + 1], [at + size, end, there + size, otherEnd]);
  }
  return [found.sort((first, second) => first[0] - second[0]), work];
}

/** What remains equal if the fewest words are inserted and removed (Myers), up to where the work became too much. */
function fewestEdits(one: string[], other: string[]): [Equal[], number] {
  const furthest = new Map<number, [number, Chain]>([[1, [0, null]]]);
  let work = 0;
  for (let edits = 0; ; edits++) {
    for (let offset = -edits; offset <= edits; offset += 2) {
      const [lower, upper] = [furthest.get(offset - 1), furthest.get(offset + 1)];
      const isUpper = offset === -edits || (offset !== edits && lower![0] < upper![0]);
      let [begin, chain] = isUpper ? upper! : lower!;
      if (!isUpper) begin += 1;
      let at = begin;
      while (at < one.length && at - offset < other.length && one[at] === other[at - offset]) at += 1;
      if (at > begin) chain = [[begin, begin - offset, at - begin], chain];
      furthest.set(offset, [at, chain]);
      work += at - begin + 1;
      if (work > MOST_WORK) {
        const reached = [...furthest].map(([shift, [place, path]]): [number, Chain] => [2 * place - shift, path]);
        chain = reached.reduce((best, each) => (each[0] > best[0] ? each : best))[1];
      } else if (at < one.length || at - offset < other.length) continue;
      const found: Equal[] = [];
      for (; chain; chain = chain[1]) found.push(chain[0]);
      return [found.reverse(), work];
    }
  }
}

/** Compare two texts by words, in bounded time. If the likeness is 1, they differ at most in blanks and line breaks. */
export function wordDiff(before: string, after: string): WordDiff {
  const texts = [before, after] as const;
  const [[one, pieceEnds], [other, otherPieceEnds]] = [split(before), split(after)];
  const ends = [one.length, other.length] as const;
  const shorter = Math.min(...ends);
  let head = 0;
  while (head < shorter && one[head] === other[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && one[ends[0] - 1 - tail] === other[ends[1] - 1 - tail]) tail += 1;
  const [inner, work] = equalPhrases(one.slice(head, ends[0] - tail), other.slice(head, ends[1] - tail));
  const equal: Equal[] = [[0, 0, head], ...inner.map(([at, there, size]): Equal => [head + at, head + there, size])];
  equal.push([ends[0] - tail, ends[1] - tail, tail]);
  const runs: WordRun[] = [];
  let [same, at, there] = [0, 0, 0];
  const part = (side: 0 | 1, begin: number, end: number) => {
    const place = (word: number) => (word ? (side ? otherPieceEnds : pieceEnds)[word - 1] : 0);
    return texts[side].slice(place(begin), place(end));
  };
  for (const [begin, otherBegin, size] of equal) {
    const isLast = begin + size === ends[0] && otherBegin + size === ends[1];
    if (size < ISLAND && !isLast && (begin || otherBegin)) continue;
    if (begin > at || otherBegin > there)
      runs.push({ is_equal: false, before: part(0, at, begin), after: part(1, there, otherBegin) });
    [at, there] = [begin + size, otherBegin + size];
    if (size) runs.push({ is_equal: true, before: part(0, begin, at), after: part(1, otherBegin, there) });
    same += size;
  }
  return { runs, likeness: (2 * same) / (ends[0] + ends[1]), work };
}
