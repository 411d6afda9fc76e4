"""Reading sources: from Markdown or plain text to statements that know their file, line and headings.

markdown-it parses Markdown; the prose of paragraphs and list entries and the rows of tables are kept, so code, images,
HTML and front matter never become sentences. The rows of .csv and .tsv files are statements too. Anything else is plain
text: blank lines separate paragraphs, and underlined, numbered or upper-case lines are headings (this covers
reStructuredText well enough).

A list entry that is not a sentence means little without what introduces it, or even the opposite ("Not covered:"), so
it follows the line above the list, or else the heading.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import PurePath
from typing import TYPE_CHECKING

from graphengine.briefs.text.quoting import has_auxiliary, is_whole_entry, stands_alone
from graphengine.briefs.text.sentences import split
from graphengine.briefs.text.tables import csv_rows, is_heading, row_statements
from graphengine.media import TextFile

if TYPE_CHECKING:
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

_MARKDOWN_SUFFIXES = frozenset(
    [
        ".md",
        ".markdown",
        ".mdx",
        ".mkd",
        ".html",
        ".htm",
        ".xhtml",
        ".docx",
    ]  # graphengine.agents.sources makes Markdown of them
)
_TABLE_SUFFIXES = frozenset([".csv", ".tsv"])
_LOOKS_LIKE_MARKDOWN = re.compile(r"^(?:#{1,6} \S|```)", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)
MOST_CHARACTERS = 5_000  # of a piece of a paragraph: what finds links and sentences takes the square of it
HEADING_WORDS = 9  # a longer single line is a short paragraph
PROSE_SHARE = 0.75  # of letters and blanks: a paragraph with less is a table or a drawing
ACRONYM_LENGTH = 4  # a longer heading in capitals is not an acronym


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list entry or row of a table.

    Args:
        lines: Its text, with the line of every line break in it.
        headings: The headings above it.
        is_entry: Whether it is a list entry.
        lead: The line that introduces the list of an entry; "" if there is none.
        is_row: Whether it is a row of a table, whose text is a statement already.
    """

    lines: tuple[tuple[int, str], ...]
    headings: tuple[str, ...]
    is_entry: bool = False
    lead: str = ""
    is_row: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence that makes sense on its own, with its place in the source.

    Args:
        text: The sentence, word for word apart from its markup.
        file: The path of the source.
        line: The line on which it begins, from 1.
        headings: The headings above it, outermost first.
        is_data: Whether it was a row of a table, or a list entry that is not a sentence.
    """

    text: str
    file: str
    line: int
    headings: tuple[str, ...]
    is_data: bool = False


def read(source: TextFile) -> list[Statement]:
    """Return the statements of one source in order.

    Args:
        source: The file; it is Markdown or a table by the ending of its path, or without one, by its content.
    """
    text = source.text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub(" ", text)
    suffix = PurePath(source.path).suffix.lower()
    is_page = source.path.startswith(("http://", "https://"))
    markdown = is_page or suffix in _MARKDOWN_SUFFIXES or (not suffix and _LOOKS_LIKE_MARKDOWN.search(text))
    if suffix in _TABLE_SUFFIXES and not is_page:
        blocks = _table_blocks(text)
    else:
        blocks = _markdown_blocks(text) if markdown else _plain_blocks(text)
    return [statement for block in blocks for statement in _statements(block, source.path)]


def _statements(block: Block, path: str) -> Iterator[Statement]:
    if block.is_row:
        yield from (Statement(text, path, line, block.headings, is_data=True) for line, text in block.lines)
        return
    starts: list[tuple[int, int]] = []
    text = ""
    for line, part in block.lines:
        starts.append((len(text), line))
        text += part + " "
    sentences = split(text)
    for offset, sentence in sentences:
        line = starts[bisect_right(starts, offset, key=itemgetter(0)) - 1][1]
        clean = " ".join(sentence.split())
        if stands_alone(clean, closed=not block.is_entry or not has_auxiliary(clean)):
            yield Statement(clean, path, line, block.headings)
        elif block.is_entry and len(sentences) == 1:
            above = split(block.lead)[-1][1] if block.lead else "".join(block.headings[-1:])
            whole = f"{above.rstrip(':')}: {clean}" if above else clean
            if is_whole_entry(whole, clean, introduced=bool(block.lead)):
                yield Statement(whole[:1].upper() + whole[1:], path, line, block.headings, is_data=True)


class _Headings:
    """The headings above the current place, outermost first."""

    def __init__(self) -> None:
        self._stack: list[tuple[int, str]] = []

    def enter(self, level: int, title: str) -> None:
        self._stack = [entry for entry in self._stack if entry[0] < level]
        self._stack.append((level, title))

    def path(self) -> tuple[str, ...]:
        return tuple(title for _, title in self._stack)


def _markdown_blocks(text: str) -> Iterator[Block]:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - 40 ms, needed for Markdown only

    text = _FRONT_MATTER.sub(lambda match: "\n" * match[0].count("\n"), text)
    headings, last = _Headings(), ""
    leads: list[str] = []  # of the lists around the current place
    table = _Table()
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.before("inline", "pieces", _cut_paragraphs)
    tokens = parser.parse(text)
    for at, token in enumerate(tokens):
        if token.type in {"bullet_list_open", "ordered_list_open"}:
            leads.append(_lead(leads, last))
        elif token.type in {"bullet_list_close", "ordered_list_close"}:
            leads.pop()
            last = ""
        elif token.type == "tr_close":
            yield from table.rows(headings.path())
        elif token.type == "table_open":
            table = _Table()
        if token.type != "inline" or token.map is None:
            continue
        opener = tokens[at - 1].type
        if opener in {"th_open", "td_open"}:
            table.add(token, is_column=opener == "th_open")
            continue
        lines = _inline_lines(token, token.map[0] + 1)
        last = " ".join(" ".join(part for _, part in lines).split())
        if opener == "heading_open":
            headings.enter(int(tokens[at - 1].tag[1]), _clean_heading(last or _version(token.content)))
        elif opener == "paragraph_open" and lines:
            yield Block(lines, headings.path(), is_entry=bool(leads), lead=next(reversed(leads), ""))


def _cut_paragraphs(state: "StateCore") -> None:
    """Make several paragraphs of a long one, before its links are searched for; cut a long heading or cell."""
    tokens: list[Token] = []
    for at, token in enumerate(state.tokens):
        tokens.append(token)
        if token.type != "inline" or token.map is None or len(token.content) <= MOST_CHARACTERS:
            continue
        opener, closer = state.tokens[at - 1], state.tokens[at + 1]
        first, *others = _pieces(token.content)
        _, token.content = first
        for line, piece in others if opener.type == "paragraph_open" else []:
            lines = [token.map[0] + line, token.map[1]]
            tokens += [closer, opener, token.copy(content=piece, map=lines, children=[])]
    state.tokens = tokens


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Cut a long text after sentences, or else between words; yield each piece with the line breaks before it."""
    start, line = 0, 0
    while start < len(text):
        most = start + MOST_CHARACTERS
        ends = (text.rfind(mark, start, most) + len(mark) for mark in (". ", ".\n", "\u3002", "\n", " "))
        end = len(text) if most >= len(text) else next((end for end in ends if end > start + len(". ")), most)
        yield line, text[start:end]
        line += text.count("\n", start, end)
        start = end


def _lead(leads: list[str], last: str) -> str:
    """Return what introduces a list: the line above if it ends in a colon; in another list, all that is above."""
    if leads:
        return ": ".join(part.rstrip(":") for part in (leads[-1], last) if part)
    return last if last.endswith(":") else ""


class _Table:
    """A table of Markdown: the headings of its columns, and the cells of the current row."""

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._cells: list[str] = []
        self._line = 0

    def add(self, token: "Token", *, is_column: bool) -> None:
        text = "".join(f"`{one.content}`" if one.type == "code_inline" else one.content for one in token.children or [])
        (self._columns if is_column else self._cells).append(" ".join(text.split()))
        self._line = (token.map or [0])[0] + 1

    def rows(self, headings: tuple[str, ...]) -> Iterator[Block]:
        cells, self._cells = self._cells, []
        if len(self._columns) == 1 and cells:  # a frame around prose
            yield Block(((self._line, cells[0]),), headings)
        elif cells:
            rows = row_statements(self._columns, cells)
            yield Block(tuple((self._line, row) for row in rows), headings, is_row=True)


def _table_blocks(text: str) -> Iterator[Block]:
    """Yield the rows of separated values."""
    columns: list[str] | None = None
    for line, cells in csv_rows(text):
        if columns is None:
            columns = cells if is_heading(cells) else []
            if columns:
                continue
        yield Block(tuple((line, row) for row in row_statements(columns, cells)), (), is_row=True)


def _inline_lines(token: "Token", first_line: int) -> tuple[tuple[int, str], ...]:
    lines, current, in_link, prose = [(first_line, "")], "", 0, False
    for child in token.children or []:
        in_link += (child.type == "link_open") - (child.type == "link_close")
        if child.type == "text":
            current += child.content
            prose = prose or (not in_link and any(character.isalpha() for character in child.content))
        elif child.type == "code_inline":
            current += f"`{child.content}`"
            prose = prose or not in_link
        elif child.type in {"softbreak", "hardbreak"}:
            lines[-1] = (lines[-1][0], current)
            lines.append((lines[-1][0] + 1, ""))
            current = ""
    lines[-1] = (lines[-1][0], current)
    return tuple(lines) if prose else ()


_UNDERLINE = re.compile(r"([=\-~^\"*#+.])\1{2,}\s*")
_NUMBERED_HEADING = re.compile(r"(?:\d+(?:\.\d+)*[.)]?|[IVX]+\.)\s+[A-Z]")
_BULLET = re.compile(r"\s*(?:[-*+\u2022o]|\(?(?:\d{1,2}|[a-z])[.)])\s+(?=\S)")
_ROLE = re.compile(r":[a-z:]+:`([^`<]*?)(?:\s*<[^>`]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^>`]*>`_{1,2}")
_DIRECTIVE = re.compile(r"\s*(?:\.\. |:[A-Za-z][\w ]*:|\$ |>>> |@\w)")


def _plain_blocks(text: str) -> Iterator[Block]:
    headings = _Headings()
    after_code_mark = False
    code_indent = 0
    lead = ""
    for paragraph in _paragraphs(text):
        indent = len(paragraph[0][1]) - len(paragraph[0][1].lstrip())
        if after_code_mark and indent > code_indent:
            continue
        after_code_mark = paragraph[-1][1].rstrip().endswith("::")
        code_indent = indent
        level, title, rest = _plain_heading(paragraph)
        if level:
            headings.enter(level, _clean_heading(title))
        if rest and not _DIRECTIVE.match(rest[0][1]) and not _is_drawing(rest):
            yield from _plain_entries(rest, headings.path(), lead)
        if rest:
            lead = _lead_after(rest, lead)


def _paragraphs(text: str) -> Iterator[list[tuple[int, str]]]:
    number = 1
    for is_blank, lines in groupby(text.split("\n"), key=lambda line: not line.strip()):
        found = list(lines)
        if not is_blank:
            for before, piece in _pieces("\n".join(found)):
                first = number + before
                yield [(at, each.expandtabs()) for at, each in enumerate(piece.split("\n"), first) if each.strip()]
        number += len(found)


def _plain_heading(paragraph: list[tuple[int, str]]) -> tuple[int, str, list[tuple[int, str]]]:
    lines = [line for _, line in paragraph]
    if all(_UNDERLINE.fullmatch(line) for line in lines[:3:2]) and lines[2:]:
        return 1, lines[1].strip(), paragraph[3:]
    if len(lines) > 1 and _UNDERLINE.fullmatch(lines[1]) and not _UNDERLINE.fullmatch(lines[0]):
        return {"=": 2, "-": 3}.get(lines[1][0], 4), lines[0].strip(), paragraph[2:]
    title = lines[0].strip()
    if (
        len(lines) == 1
        and len(title.split()) <= HEADING_WORDS
        and title[-1] not in ".!?;:,"
        and any(map(str.isalpha, title))
    ):
        if title.isupper():
            return 2, title, []
        if _NUMBERED_HEADING.match(title):
            return 3, title, []
    return 0, "", paragraph


def _lead_after(paragraph: list[tuple[int, str]], lead: str) -> str:
    """Return what introduces a list after this paragraph: its text if it ends in a colon, or what introduced it."""
    if _BULLET.match(paragraph[0][1]):
        return lead
    text = " ".join(line.strip() for _, line in paragraph)
    return text if text.endswith(":") and not text.endswith("::") else ""


def _plain_entries(paragraph: list[tuple[int, str]], headings: tuple[str, ...], lead: str) -> Iterator[Block]:
    entries: list[tuple[bool, list[tuple[int, str]]]] = []
    for number, line in paragraph:
        bullet = _BULLET.match(line)
        if not entries or bullet:
            entries.append((bullet is not None, []))
        entries[-1][1].append((number, _plain_markup(line[bullet.end() :] if bullet else line)))
    for is_entry, lines in entries:
        text = " ".join(part for _, part in lines)
        yield Block(tuple(lines), headings, is_entry, lead if is_entry else "")
        if not is_entry:
            lead = text if text.endswith(":") else ""


def _plain_markup(line: str) -> str:
    line = _LINK.sub(r"\1", _ROLE.sub(r"`\1`", line)).replace("``", "`")
    if line.count("`") % 2:
        line = re.sub(r"`([^`']*)'", r"'\1'", line).replace("`", "'")
    return line.strip().replace("**", "")


def _is_drawing(paragraph: list[tuple[int, str]]) -> bool:
    text = "".join(line for _, line in paragraph)
    prose = sum(character.isalpha() or character.isspace() for character in text)
    return prose / len(text) < PROSE_SHARE


_RELEASE = re.compile(r"(?<![\d.])\d+(?:\.\d+){1,3}(?![\d.])")
_HEADING_NUMBER = re.compile(r"^(?:\d+(?:\.\d+)*[.)]?|[IVX]+\.)\s+")


def _version(title: str) -> str:
    """Return the version that a heading without words names, as "4.2.0"; "" if it names none."""
    found = _RELEASE.search(title)
    return found[0] if found else ""


def _clean_heading(title: str) -> str:
    plain = _HEADING_NUMBER.sub("", title.replace("`", "").replace("*", "")).strip(" #:\u00b6")
    plain = plain or title.strip()
    if plain.isupper() and len(plain) > ACRONYM_LENGTH:
        plain = plain.lower()
    return plain[:1].upper() + plain[1:]
