"""Find the passages of some texts that answer a task best: BM25 over forms of words, each with its heading and context.

Every sentence, list item, table row and piece of code is a passage, as it stands in its source; a row has the names of
its columns. Nothing is left out before the ranking, and no language is special: function words of four languages do not
count, and words are compared by their letters.
"""

import csv
import io
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import PurePath
from typing import Final

from graphengine import TextFile
from nodes.citing import WIDE, Passage, line_at, sentences, size

FORM: Final = 0.8  # how alike two forms of a word are, such as "write" and "writes"
PART: Final = 0.5  # and a word and one that it is part of, such as "page" and "homepage"
SHORTEST: Final = 4  # letters that forms of a word have in common
LONGEST_ENDING: Final = 5
NEAR: Final = 0.5  # what the better neighbour under the same heading adds to a passage's rank
SATURATION: Final = 1.2  # the usual k1 and b of BM25
LENGTH: Final = 0.75
CODE_WORDS: Final = 60  # of a piece of code
TITLE_WORDS: Final = 8  # a short line alone, without a stop, is a title
_CODE: Final = re.compile(r"\.(py|[jt]sx?|java|cs?|h|cc|cpp|go|rs|rb|php|sh|sql|kt|swift|lua|r|toml|ya?ml|json)")
FUNCTION_WORDS: Final = """
a about after all also am an and any are as at be because been before being both but by can cannot could did do does
done during each either else etc for from get give go had has have having he her here him his how i if in into is it its
just let lets like many may me might more most much must my neither no nor not of off on once one only or other our out
over own per please shall she should so some such than that the their them then there these they this those through to
too under until up upon us use very was we were what when where whether which while who whom whose why will with within
without would yes yet you your explain describe summarise summarize summary list tell say said show text file document
article page source sources
aber alle als am auch auf aus bei beim bin bis da dann das dass dem den denn der des die dies diese dieser doch du durch
ein eine einem einen einer er es für gibt haben hat hatte ich ihr im ist ja kann können man mehr mit muss nach nicht
noch nun nur ob oder ohne schon sehr sein sich sie sind über um und uns unter vom von vor wann war warum weil welche
welchen welchem welcher welches wenn wer werden wie wieso wir wird wo woher wurde wurden zu zum zur zwischen fasse
zusammen datei dokument artikel
al algo ante como con cual cuál cuáles cuando cuándo cuánto cuánta cuántos de del desde donde dónde dos e el ella en
entre era esta está este esto ha han hasta hay la las le les lo los más mi muy ni o para pero por porque que qué quien
quién se según ser si sin sobre son su sus también te tiene un una uno unos y ya resume texto archivo documento
au aux avec ce ces cette comment combien dans du elle elles est et été eux il ils je leur lui mais mes moi ne nous ou où
par pas plus pourquoi qu quand quel quelle quels qui sa sans ses sont sur ta tu une vos votre vous à
"""
_WORD: Final = re.compile(r"[^\W_]+(?:[.,:]\d+)*")
_TITLE: Final = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
ITEM: Final = re.compile(r"(?:[-*+•]|\(?\d{1,3}[.)]|\(?[a-z]\))\s+")
_ROW: Final = re.compile(r"\s*\|(.*)\|\s*$")


def words(text: str) -> list[str]:
    """Return the words of a text, without case and accents; pairs of characters in scripts without blanks."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(each))
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFC", plain)):
        found += [word[at : at + 2] for at in range(max(1, len(word) - 1))] if WIDE.search(word) else [word]
    return found


FUNCTION: Final = frozenset(words(FUNCTION_WORDS))


def subject(text: str) -> list[str]:
    """Return the words of a text that say what it is about, once each."""
    return [word for word in dict.fromkeys(words(text)) if word not in FUNCTION and (len(word) > 1 or word.isdigit())]


@lru_cache(100_000)
def alike(one: str, other: str) -> float:
    """Return how far two words are forms of one: 1 if they are equal, 0 if they are unrelated."""
    if one == other:
        return 1.0
    short, long = sorted((one, other), key=len)
    if short[0].isdigit() or len(short) < SHORTEST - 1:
        return 0.0
    if len(short) < SHORTEST:
        return FORM if long in (f"{short}s", f"{short}e", f"{short}n") else 0.0
    same = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if same >= max(SHORTEST, 0.75 * len(short)) and len(long) - same <= LONGEST_ENDING:
        return FORM
    is_part = (len(short) > SHORTEST and long.endswith(short)) or (len(short) > SHORTEST + 1 and short[:-1] in long)
    return PART if is_part else 0.0


def extract(task: str, sources: Iterable[TextFile], word_budget: int = 250) -> list[Passage]:
    """Return the passages that answer a task best, in the order of the sources, with at most so many words."""
    index = Index(sources)
    ranked = index.ranked(dict.fromkeys(subject(task), 1.0))
    return [index.passages[at] for at in sorted(index.filled(ranked, word_budget))]


class Index:
    """The passages of some sources, and how well each answers some words."""

    def __init__(self, sources: Iterable[TextFile]) -> None:
        self.passages = [passage for source in sources for passage in read(source)]
        self.bags = [Counter(words(passage.text)) for passage in self.passages]
        bags = [own + Counter(words(each.heading)) for own, each in zip(self.bags, self.passages, strict=True)]
        self._lengths = [bag.total() for bag in bags]
        self.counts: dict[str, dict[int, int]] = {}
        for at, bag in enumerate(bags):
            for word, count in bag.items():
                self.counts.setdefault(word, {})[at] = count
        self._forms: dict[str, dict[str, float]] = {}

    def forms(self, word: str) -> dict[str, float]:
        """Return the words of the sources that are forms of a word, and how far they are."""
        if word not in self._forms:
            self._forms[word] = {each: near for each in self.counts if (near := alike(word, each))}
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


def read(source: TextFile) -> list[Passage]:
    """Return every passage of a source: CSV by rows, HTML as it is shown, code in pieces, all else as Markdown."""
    suffix = PurePath(source.path).suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _rows(source)
    is_page = suffix in (".html", ".htm", ".xhtml") and "</" in source.text  # else it was read as Markdown
    lines = _Page(source.text).lines if is_page else enumerate(source.text.splitlines(), start=1)
    return _Reader(source.path, is_code=bool(_CODE.fullmatch(suffix))).read(lines)


def _rows(source: TextFile) -> list[Passage]:
    first = source.text.partition("\n")[0]
    rows = csv.reader(io.StringIO(source.text, newline=""), delimiter=max(",;\t|", key=first.count))
    names = next(rows, [])
    found, line = [], rows.line_num + 1
    for row in rows:
        if any(map(str.strip, row)):
            found.append(Passage(text=_named(names, row), file=source.path, line=line))
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
        return [passage for passage in self._found if words(passage.text)]

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
            self._title(len(title[1]), title[2])
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
        if self._fence or self._is_code:
            self._pieces(held)
            return
        text = " ".join(line for _, line in held)
        is_short = len(held) == 1 and len(text.split()) <= TITLE_WORDS
        if is_short and text[-1] not in ".!?:;,…\u3002\uff01\uff1f" and not self._is_item:
            self._title(9, text)  # below those that are marked as titles
        for offset, sentence in sentences(text):
            self._add(line_at(held, offset), sentence)

    def _pieces(self, held: list[tuple[int, str]]) -> None:
        piece: list[str] = []
        for number, line in held:
            piece.append(line)
            if sum(len(each.split()) for each in piece) > CODE_WORDS or (number, line) == held[-1]:
                self._add(number - len(piece) + 1, "\n".join(piece))
                piece = []


class _Page(HTMLParser):
    """The text of a page at the lines where it stands, with titles, items and rows marked as in Markdown."""

    _BREAKS: Final = re.compile("p|div|li|br|h[1-6]|[uo]l|table|section|article|pre|blockquote|d[td]|title")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.lines: list[tuple[int, str]] = [(1, "")]
        self._hidden = 0
        self._tables = 0  # that are open, one in a cell of the other
        self._is_row = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the base class has it
        """Begin a line with the mark of a title, an item or a row, or a cell."""
        self._hidden += tag in ("script", "style")
        self._tables += tag == "table"
        if tag in ("tr", "table"):
            self._end_row()
        if tag == "tr":
            self.lines.append((self.getpos()[0], ""))
            self._is_row = True
        elif tag in ("td", "th"):
            self._write("| ")
        elif self._BREAKS.fullmatch(tag):
            mark = "# " if re.fullmatch("h[1-6]|title", tag) else "- " if tag == "li" else ""
            self._break(mark)

    def handle_endtag(self, tag: str) -> None:
        """End the line."""
        self._hidden -= tag in ("script", "style")
        self._tables -= tag == "table"
        if tag in ("tr", "table"):
            self._end_row()
        if self._BREAKS.fullmatch(tag):
            self._break("")

    def handle_data(self, data: str) -> None:
        """Add text to the line; each line of the text is one of its own, but in a row."""
        if self._hidden or (self._tables > 0 and not data.strip()):
            return
        if self._is_row:
            self._write(" ".join(data.replace("|", " ").split("\n")))
            return
        for number, part in enumerate(data.split("\n"), start=self.getpos()[0]):
            begun, line = self.lines[-1]
            if number > self.getpos()[0] and line.strip(" #-"):
                self.lines.append((number, part))
            else:
                self.lines[-1] = (begun if line else number, line + part)

    def _break(self, mark: str) -> None:
        if self._is_row:
            self._write(" ")
        else:
            self.lines += [(self.getpos()[0], ""), (self.getpos()[0], mark)]

    def _end_row(self) -> None:
        if self._is_row:
            self._write(" |")
        self._is_row = False

    def _write(self, text: str) -> None:
        self.lines[-1] = (self.lines[-1][0], self.lines[-1][1] + text)
