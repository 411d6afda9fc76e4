"""Find the passages of some texts that answer a task best: BM25 over forms of words, each with its heading and context.

Every sentence, list item, table row and piece of code is a passage, as it stands in its source; a row has the names of
its columns. Nothing is left out before the ranking, and no language is special: function words of four languages do not
count, and words are compared by their letters.
"""

import csv
import io
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import PurePath
from typing import Final

from graphengine import TextFile
from nodes.citing import Passage, sentences, size
from nodes.words import alike, subject, words

NEAR: Final = 0.5  # what the better neighbour under the same heading adds to a passage's rank
SATURATION: Final = 1.2  # the usual k1 and b of BM25
LENGTH: Final = 0.75
_BEGIN: Final = 3  # letters
CODE_WORDS: Final = 40  # of a piece of code, from which on it ends
LONGEST: Final = 600  # characters of a sentence; longer ones are lists of files, minified code and the like
_PART: Final = re.compile(rf".{{1,{LONGEST}}}(?!\S)|.{{{LONGEST}}}")
TITLE_WORDS: Final = 8  # a short line alone, without a stop, is a title
_CODE: Final = re.compile(r"\.(py|[jt]sx?|java|cs?|h|cc|cpp|go|rs|rb|php|sh|sql|kt|swift|lua|r|toml|ya?ml|json)")
_TITLE: Final = re.compile(r"(#{1,6})\s+(.*)")
ITEM: Final = re.compile(r"(?:[-*+•]|\(?\d{1,3}[.)]|\(?[a-z]\))\s+")
_ROW: Final = re.compile(r"\s*\|(.*)\|\s*$")


def extract(task: str, sources: Iterable[TextFile], word_budget: int = 250) -> list[Passage]:
    """Return the passages that answer a task best, in the order of the sources, with at most so many words."""
    index = Index(sources)
    ranked = index.ranked(dict.fromkeys(subject(task), 1.0))
    return [index.passages[at] for at in sorted(index.filled(ranked, word_budget))]


class Index:
    """The passages of some sources, and how well each answers some words."""

    def __init__(self, sources: Iterable[TextFile]) -> None:
        self.passages = [passage for source in sources for passage in read(source)]
        self._lengths: list[int] = []
        self.counts: dict[str, dict[int, int]] = {}
        headings: dict[str, list[str]] = {}
        for at, passage in enumerate(self.passages):
            if passage.heading not in headings:
                headings[passage.heading] = words(passage.heading)
            both = words(passage.text) + headings[passage.heading]
            self._lengths.append(len(both))
            for word, count in Counter(both).items():
                self.counts.setdefault(word, {})[at] = count
        self._forms: dict[str, dict[str, float]] = {}

    def forms(self, word: str) -> dict[str, float]:
        """Return the words of the sources that are forms of a word, and how far they are."""
        if word not in self._forms:
            # Two words that are alike begin alike, or one has most of the other.
            most, begin = word[:-1], word[:_BEGIN]
            near = (each for each in self.counts if each.startswith(begin) or most in each or each[:-1] in word)
            self._forms[word] = {each: how for each in near if (how := alike(word, each))}
        return self._forms[word]

    def where(self, word: str) -> dict[int, float]:
        """Return how often each passage, with its headings, has forms of a word; each counts as far as it is one."""
        found: dict[int, float] = {}
        for form, near in self.forms(word).items():
            for at, count in self.counts[form].items():
                found[at] = found.get(at, 0.0) + near * count
        return found

    def rarity(self, word: str) -> float:
        """Return the inverse document frequency of a word in any of its forms."""
        having = len(self.where(word))
        return math.log(1 + (len(self.passages) - having + 0.5) / (having + 0.5))

    def neighbours(self, at: int) -> list[int]:
        """Return the passages before and after one, if they stand under the same heading."""
        here = self.passages[at]
        near = (each for each in (at - 1, at + 1) if 0 <= each < len(self.passages))
        return [e for e in near if (self.passages[e].file, self.passages[e].heading) == (here.file, here.heading)]

    def ranked(self, query: dict[str, float]) -> list[int]:
        """Return all passages, the best first."""
        ranks = self.ranks(query)
        return sorted(range(len(ranks)), key=lambda at: (-ranks[at], at))

    def ranks(self, query: dict[str, float]) -> list[float]:
        """Return the rank of each passage for weighted words: its own BM25, and half of its better neighbour's."""
        mean = sum(self._lengths) / max(1, len(self._lengths)) or 1
        norms = [SATURATION * (1 - LENGTH + LENGTH * length / mean) for length in self._lengths]
        alone = [0.0] * len(self.passages)
        for word, weight in query.items():
            rarity = self.rarity(word)
            for at, times in self.where(word).items():
                alone[at] += weight * rarity * times * (SATURATION + 1) / (times + norms[at])
        nearest = [max((alone[each] for each in self.neighbours(at)), default=0.0) for at in range(len(alone))]
        return [own + NEAR * near for own, near in zip(alone, nearest, strict=True)]

    def filled(self, ranked: Iterable[int], word_budget: int, kept: Iterable[int] = ()) -> set[int]:
        """Return the passages that are kept, and of the ranked ones, the best first, those that fit in besides."""
        taken = set(kept)
        left = word_budget - self.size(taken)
        for at in ranked:
            if at not in taken and (needed := size(self.passages[at].text)) <= left:
                taken.add(at)
                left -= needed
        return taken

    def size(self, chosen: Iterable[int]) -> int:
        """Return how many words some passages have."""
        return sum(size(self.passages[at].text) for at in chosen)


# --- reading ----------------------------------------------------------------------------------------------------------


def read(source: TextFile) -> Sequence[Passage]:
    """Return every passage of a source: CSV by rows, code in pieces, all else as Markdown.

    Pages and documents are Markdown by then: `graphengine.agents.sources` reads them.
    """
    return _read(source.path, source.text)


@lru_cache(8)
def _read(path: str, text: str) -> Sequence[Passage]:
    suffix = PurePath(path).suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _rows(path, text)
    return _Reader(path, is_code=bool(_CODE.fullmatch(suffix))).read(enumerate(text.splitlines(), 1))


def _rows(path: str, text: str) -> list[Passage]:
    first = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t|", key=first.count))
    names = next(rows, list[str]())
    found: list[Passage] = []
    line = rows.line_num + 1
    for row in rows:
        if any(map(str.strip, row)):
            found.append(Passage(text=_named(names, row), file=path, line=line))
        line = rows.line_num + 1
    return found


def _named(names: Sequence[str], cells: Sequence[str]) -> str:
    """Return a row with the names of its columns."""
    return "; ".join(f"{name}: {cell}" for name, cell in zip(names, cells, strict=False) if cell.strip())


class _Reader:
    """Reads lines of Markdown, plain text or code as passages."""

    def __init__(self, file: str, *, is_code: bool) -> None:
        self._file, self._is_code = file, is_code
        self._found: list[Passage] = []
        self._titles: list[tuple[int, str]] = []  # with their levels
        self._held: list[tuple[int, str]] = []  # the lines of the paragraph, item or code that is being read
        self._columns: list[str] = []
        self._first_row = 0  # the number of the line with the columns, until there is a row below it
        self._fence = ""
        self._is_item = False

    def read(self, lines: Iterable[tuple[int, str]]) -> list[Passage]:
        """Return the passages of numbered lines."""
        for number, line in lines:
            if self._fence or self._is_code:
                self._code(number, line)
            elif row := _ROW.match(line):
                self._row(number, [cell.strip() for cell in row[1].split("|")])
            else:
                self._end_table()
                self._prose(number, line.strip())
        self._end_table()
        self._end_block()
        return [passage for passage in self._found if any(map(str.isalnum, passage.text))]

    def _code(self, number: int, line: str) -> None:
        plain = line.strip()
        if plain.startswith(self._fence) if self._fence else not plain:
            self._end_block()
            self._fence = ""
        else:
            self._held.append((number, line.rstrip()))

    def _row(self, number: int, cells: list[str]) -> None:
        if not self._columns:
            self._end_block()
            self._columns, self._first_row = cells, number
        elif set("".join(cells)) - set("-: "):
            self._add(number, _named(self._columns, cells))
            self._first_row = 0

    def _end_table(self) -> None:
        """Add the only row of a table."""
        if self._columns and self._first_row:
            self._add(self._first_row, "; ".join(filter(None, self._columns)))
        self._columns = []

    def _prose(self, number: int, line: str) -> None:
        title, fence, item = _TITLE.match(line), re.match("```|~~~", line), ITEM.match(line)
        if not line or title or fence or item:
            self._end_block()
            self._is_item = bool(item)
        if fence:
            self._fence = fence[0]
        elif title:
            self._title(len(title[1]), title[2].rstrip("#").rstrip())
        elif line and not re.fullmatch(r"[-=*_~ ]+", line):
            self._held.append((number, line[item.end() :] if item else line))

    def _title(self, level: int, title: str) -> None:
        self._titles = [*(each for each in self._titles if each[0] < level), (level, title)]

    def _add(self, number: int, text: str) -> None:
        heading = " \u203a ".join(title for _, title in self._titles)
        self._found.append(Passage(text=text, file=self._file, line=number, heading=heading))

    def _end_block(self) -> None:
        """Add the passages of the lines that are held."""
        held, self._held = self._held, []
        text = " ".join(line for _, line in held)
        found = [*sentences(text)]
        if self._fence or self._is_code or (len(found) == 1 and len(text) > LONGEST):
            self._pieces([(number, part) for number, line in held for part in _PART.findall(line) or [line]])
            return
        is_short = len(held) == 1 and len(text.split()) <= TITLE_WORDS
        if is_short and text[-1] not in ".!?:;,…\u3002\uff01\uff1f" and not self._is_item:
            self._title(9, text)  # below those that are marked as titles
        ends = [*accumulate(len(line) + 1 for _, line in held)]  # the blank behind a line belongs to it
        for offset, sentence in found:
            self._add(held[bisect_right(ends, offset)][0], sentence)

    def _pieces(self, held: list[tuple[int, str]]) -> None:
        piece: list[str] = []
        count = 0
        for number, line in held:
            piece.append(line)
            count += len(line.split())
            if count > CODE_WORDS or (number, line) == held[-1]:
                self._add(number - len(piece) + 1, "\n".join(piece))
                piece, count = [], 0
