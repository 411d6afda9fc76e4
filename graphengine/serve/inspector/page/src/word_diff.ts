// What changed from one text to another, by words: the same function as in `graphengine.records.word_diff`.

const ISLAND = 3; // fewer equal words between two changes are a part of one change
const COMPARED = 4_000_000; // pairs of words

/** Equal words, or what the second text has in place of what the first has, each with the space after it. */
export interface WordRun {
  is_equal: boolean;
  before: string;
  after: string;
}

export interface WordDiff {
  runs: WordRun[];
  likeness: number;
}

type Equal = [begin: number, other: number, size: number];

/** The places of the words of a text. */
function wordsIn(text: string): [string, number][] {
  return [...text.matchAll(/\S+/g)].map((found) => [found[0], found.index]);
}

/** The longest equal words of two parts, the first of these in both; then the same before and after them. */
function blocks(one: string[], places: Map<string, number[]>, from: Equal, to: Equal): Equal[] {
  const found: Equal[] = [];
  const left: [number, number, number, number][] = [[from[0], to[0], from[1], to[1]]];
  for (let part = left.pop(); part; part = left.pop()) {
    const [begin, end, otherBegin, otherEnd] = part;
    let best: Equal = [begin, otherBegin, 0];
    let sizes = new Map<number, number>();
    for (let at = begin; at < end; at++) {
      const now = new Map<number, number>();
      for (const there of places.get(one[at]!) || []) {
        if (there < otherBegin) continue;
        if (there >= otherEnd) break;
        const size = (sizes.get(there - 1) || 0) + 1;
        now.set(there, size);
        if (size > best[2]) best = [at - size + 1, there - size + 1, size];
      }
      sizes = now;
    }
    const [at, there, size] = best;
    if (!size) continue;
    found.push(best);
    if (begin < at && otherBegin < there) left.push([begin, at, otherBegin, there]);
    if (at + size < end && there + size < otherEnd) left.push([at + size, end, there + size, otherEnd]);
  }
  found.sort((first, second) => first[0] - second[0]);
  const joined: Equal[] = [];
  for (const [at, there, size] of found) {
    const last = joined.at(-1);
    if (last && last[0] + last[2] === at && last[1] + last[2] === there) last[2] += size;
    else joined.push([at, there, size]);
  }
  return joined;
}

/** Compare two texts by words. Of texts with too many words, only what they begin and end with is compared. */
export function wordDiff(before: string, after: string): WordDiff {
  const texts = [before, after] as const;
  const found = [wordsIn(before), wordsIn(after)] as const;
  const [one, other] = found.map((words) => words.map(([word]) => word)) as [string[], string[]];
  const ends = [one.length, other.length] as const;
  const shorter = Math.min(...ends);
  let head = 0;
  while (head < shorter && one[head] === other[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && one[ends[0] - 1 - tail] === other[ends[1] - 1 - tail]) tail += 1;
  const equal: Equal[] = [[0, 0, head]];
  if ((ends[0] - head - tail) * (ends[1] - head - tail) <= COMPARED) {
    const places = new Map<string, number[]>();
    for (let at = head; at < ends[1] - tail; at++) {
      const known = places.get(other[at]!);
      if (known) known.push(at);
      else places.set(other[at]!, [at]);
    }
    equal.push(...blocks(one, places, [head, head, 0], [ends[0] - tail, ends[1] - tail, 0]));
  }
  equal.push([ends[0] - tail, ends[1] - tail, tail]);
  const runs: WordRun[] = [];
  let [same, at, there] = [0, 0, 0];
  const part = (side: 0 | 1, begin: number, end: number) => {
    const place = (word: number) => (word ? (found[side][word]?.[1] ?? texts[side].length) : 0);
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
  return { runs, likeness: shorter || ends[0] || ends[1] ? (2 * same) / (ends[0] + ends[1]) : 1 };
}
