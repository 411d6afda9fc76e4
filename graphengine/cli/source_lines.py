"""Show the line of source code that a problem is about, with the relevant part underlined."""

from __future__ import annotations

import ast
import linecache
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.records.words import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_QUOTED: Final = re.compile(r"'([^'\n]+)'")
_LEAST_COLUMNS: Final = 20
_MARGIN: Final = 12
"""The minimum number of columns that are shown on either side of the underlined part."""


class Excerpt(NamedTuple):
    """A line of a graph's file that is shown with an error or a warning, with the part of the line to underline.

    Attributes:
        line: The number of the line, from 1.
        text: The line, shortened to the requested number of columns.
        start: The column at which the underlined part begins.
        columns: The width of the underlined part.
    """

    line: int
    text: str
    start: int
    columns: int

    def shown(self) -> Sequence[str]:
        """Return two lines to print: the line of the file with its number, and carets below the part to underline."""
        number = str(self.line)
        return f"  {number} | {self.text}", f"  {' ' * len(number)} | {' ' * self.start}{'^' * self.columns}"


class _LineSpan(NamedTuple):
    """A place in a file, within one line.

    Lines count from 1. As in `ast`, `begin` and `end` count the bytes of the line in UTF-8.
    """

    line: int
    begin: int
    end: int


def excerpt_of(file: str, line: int, message: str, where: str, columns: int | None) -> Excerpt | None:
    """Return the line of a file that a graph's problem is about, with the part to underline.

    The underlined part is the first name in quotes in the problem's message that also occurs in the statement at this
    line. If no quoted name occurs there, the node or field in `where` is underlined, or else the whole line. Returns
    None if the file cannot be read.

    Args:
        file: The path of the file.
        line: The line at which the faulty part of the graph is declared.
        message: The text of the problem, with names in quotes.
        where: The place in the graph, such as a node or a field.
        columns: The width of the terminal; None for any width.
    """
    linecache.checkcache(file)  # an earlier check may have read an older version of the file
    lines = linecache.getlines(file)
    if not 1 <= line <= len(lines):
        return None
    names = [*_QUOTED.findall(message), *where.replace(",", " ").split()[1:2]]
    statements, text = _statements(lines, line), lines[line - 1].rstrip()
    places = (place for name in names for each in statements for place in _iter_name_places(each, name))
    whole_line = _LineSpan(line, len(text[: len(text) - len(text.lstrip())].encode()), len(text.encode()))
    span = next(places, whole_line)
    raw = lines[span.line - 1].rstrip("\n\r").encode()
    parts = (raw[: span.begin], raw[span.begin : span.end], raw[span.end :])
    before, underlined, after = (clean(part.decode(errors="replace").expandtabs(4)) for part in parts)
    return _fit_excerpt(span.line, before, underlined, after, columns)


def _statements(lines: Sequence[str], at: int) -> Sequence[ast.stmt]:
    """Return the innermost statements at a line of a file. Names to underline are searched in these statements."""
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the file has changed since it was imported
        return ()
    found = [
        each for each in ast.walk(tree) if isinstance(each, ast.stmt) and each.lineno <= at <= (each.end_lineno or at)
    ]
    first = max((each.lineno for each in found), default=0)
    return [each for each in found if each.lineno == first]


def _iter_name_places(statement: ast.stmt, name: str) -> Iterator[_LineSpan]:
    """Yield the places where a name stands in a statement: as a string, option, parameter, field or variable."""
    for node in ast.walk(statement):
        match node:
            case ast.Constant(value=str(text)) if text == name:
                pass
            case ast.keyword(arg=text) | ast.arg(arg=text) | ast.Name(id=text) if text == name:
                pass
            case ast.Attribute(attr=text) if text == name:
                pass
            case _:
                continue
        if node.lineno == node.end_lineno:
            yield _LineSpan(node.lineno, node.col_offset, node.end_col_offset or node.col_offset + 1)


def _fit_excerpt(line: int, before: str, underlined: str, after: str, columns: int | None) -> Excerpt:
    """Shorten a line of a file to the width of the terminal, so that the underlined part stays visible."""
    from rich.cells import cell_len, set_cell_size

    room = None if columns is None else max(columns - len(f"  {line} | "), _LEAST_COLUMNS)
    text, start = before + underlined + after, cell_len(before)
    if room is not None and cell_len(text) > room:
        kept = max(_MARGIN, room - cell_len(underlined) - _MARGIN)
        if start > kept:
            cut = before
            while cell_len(cut) > kept - 1:
                cut = cut[1:]
            text, start = "…" + cut + underlined + after, cell_len(cut) + 1
        if cell_len(text) > room:
            text = set_cell_size(text, room - 1) + "…"
    width = max(cell_len(underlined), 1)
    if room is not None:
        width = min(width, cell_len(text) - start)
    return Excerpt(line, text, start, max(width, 1))
