"""Reading sources: from Markdown or plain text to statements that know their file, line and headings.

markdown-it parses Markdown; only the prose of paragraphs and list entries is kept, so code, tables, images, HTML and
front matter never become sentences. Anything else is read as plain text: blank lines separate paragraphs, and
underlined, numbered or upper-case lines are headings (this covers reStructuredText well enough).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from graphengine import TextFile
from nodes.text.quoting import has_auxiliary, stands_alone
from nodes.text.sentences import split

if TYPE_CHECKING:
    from markdown_it.token import Token

_MARKDOWN_SUFFIXES = frozenset([".md", ".markdown", ".mdx", ".mkd"])
_LOOKS_LIKE_MARKDOWN = re.compile(r"^(?:#{1,6} \S|```)", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)
HEADING_WORDS = 9  # a longer single line is a short paragraph
PROSE_SHARE = 0.75  # of letters and blanks: a paragraph with less is a table or a drawing
ACRONYM_LENGTH = 4  # a longer heading in capitals is not an acronym


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph or list entry: its text, the line of every line break in it, and the headings above it."""

    lines: tuple[tuple[int, str], ...]
    headings: tuple[str, ...]
    is_entry: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence that makes sense on its own, with its place in the source."""

    text: str
    file: str
    line: int
    headings: tuple[str, ...]


def read(source: TextFile) -> list[Statement]:
    """Return the statements of one source in order.

    Args:
        source: The file; it is Markdown by the ending of its path, or without one, by its content.
    """
    text = source.text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub(" ", text)
    suffix = PurePath(source.path).suffix.lower()
    markdown = suffix in _MARKDOWN_SUFFIXES or (not suffix and _LOOKS_LIKE_MARKDOWN.search(text))
    blocks = _markdown_blocks(text) if markdown else _plain_blocks(text)
    return [statement for block in blocks for statement in _statements(block, source.path)]


def _statements(block: Block, path: str) -> Iterator[Statement]:
    starts: list[tuple[int, int]] = []
    text = ""
    for line, part in block.lines:
        starts.append((len(text), line))
        text += part + " "
    for offset, sentence in split(text):
        line = max(number for start, number in starts if start <= offset)
        clean = " ".join(sentence.split())
        if stands_alone(clean, closed=not block.is_entry or not has_auxiliary(clean)):
            yield Statement(clean, path, line, block.headings)


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
    headings, depth = _Headings(), 0
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for at, token in enumerate(tokens):
        depth += (token.type == "list_item_open") - (token.type == "list_item_close")
        if token.type != "inline" or token.map is None:
            continue
        opener = tokens[at - 1].type
        lines = _inline_lines(token, token.map[0] + 1)
        if opener == "heading_open":
            title = " ".join(" ".join(part for _, part in lines).split())
            headings.enter(int(tokens[at - 1].tag[1]), _clean_heading(title))
        elif opener == "paragraph_open" and lines:
            yield Block(lines, headings.path(), is_entry=depth > 0)


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
            yield from _plain_entries(rest, headings.path())


def _paragraphs(text: str) -> Iterator[list[tuple[int, str]]]:
    current: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            current.append((number, line.expandtabs()))
        elif current:
            yield current
            current = []
    if current:
        yield current


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


def _plain_entries(paragraph: list[tuple[int, str]], headings: tuple[str, ...]) -> Iterator[Block]:
    entries: list[list[tuple[int, str]]] = []
    is_entry = _BULLET.match(paragraph[0][1]) is not None
    for number, line in paragraph:
        bullet = _BULLET.match(line)
        if not entries or bullet:
            entries.append([])
        entries[-1].append((number, _plain_markup(line[bullet.end() :] if bullet else line)))
    for entry in entries:
        yield Block(tuple(entry), headings, is_entry)


def _plain_markup(line: str) -> str:
    line = _LINK.sub(r"\1", _ROLE.sub(r"`\1`", line)).replace("``", "`")
    if line.count("`") % 2:
        line = re.sub(r"`([^`']*)'", r"'\1'", line).replace("`", "'")
    return line.strip().replace("**", "")


def _is_drawing(paragraph: list[tuple[int, str]]) -> bool:
    text = "".join(line for _, line in paragraph)
    prose = sum(character.isalpha() or character.isspace() for character in text)
    return prose / len(text) < PROSE_SHARE


_HEADING_NUMBER = re.compile(r"^(?:\d+(?:\.\d+)*[.)]?|[IVX]+\.)\s+")


def _clean_heading(title: str) -> str:
    plain = _HEADING_NUMBER.sub("", title.replace("`", "").replace("*", "")).strip(" #:\u00b6")
    plain = plain or title.strip()
    if plain.isupper() and len(plain) > ACRONYM_LENGTH:
        plain = plain.lower()
    return plain[:1].upper() + plain[1:]
