"""Tables of text: aligned columns, each row on one unbroken line, so that cells can be copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.cli.terminal import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_GAP: Final = "  "
_LEAST: Final = 20
"""The least width of a cut text."""


def aligned(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    columns: int | None = None,
    expendable: Sequence[str] = (),
    shrinks: str = "",
) -> list[str]:
    """Return the headings and the rows as lines.

    Columns that are empty in every row are left out. A line is wider than the terminal if no column is left to drop.

    Args:
        headings: One for each column.
        rows: Texts; control codes in them are shown as escapes.
        columns: The width of the terminal; None if there is none.
        expendable: Headings of the columns to drop if the lines are too wide, in this order.
        shrinks: The heading of the column to cut before it is dropped.
    """
    from rich.cells import cell_len, set_cell_size

    table: list[list[str]] = [[*headings], *([clean(one_line(cell, 10_000)) for cell in row] for row in rows)]
    kept = [i for i in range(len(headings)) if any(row[i] for row in table[1:])]
    widths = {i: max(cell_len(row[i]) for row in table) for i in kept}
    short = headings.index(shrinks) if shrinks else -1
    for heading in expendable:
        if columns is not None and _width(widths | _cut(widths, short, 0), kept) > columns:
            kept = [i for i in kept if headings[i] != heading]
    if columns is not None and short in kept:
        widths |= _cut(widths, short, widths[short] - max(0, _width(widths, kept) - columns))
        for row in (row for row in table[1:] if cell_len(row[short]) > widths[short]):
            row[short] = set_cell_size(row[short], widths[short] - 1) + "…"
    return [_GAP.join(row[i] + " " * (widths[i] - cell_len(row[i])) for i in kept).rstrip() for row in table]


def _width(widths: Mapping[int, int], kept: Sequence[int]) -> int:
    """Return the width of a line with these columns."""
    return sum(widths[i] + len(_GAP) for i in kept) - len(_GAP)


def _cut(widths: Mapping[int, int], column: int, columns: int) -> dict[int, int]:
    """Return the width of a column after a cut, at least the readable minimum."""
    return {column: min(widths[column], max(columns, _LEAST))} if column in widths else {}


def fitted(text: str, columns: int) -> str:
    """Return the text on one line of at most this many columns."""
    from rich.cells import cell_len, set_cell_size

    line, room = clean(one_line(text, 10_000)), max(columns, 20)
    return line if cell_len(line) <= room else set_cell_size(line, room - 1) + "…"


def wrapped(text: str, columns: int) -> list[str]:
    """Return the text wrapped to lines of at most this many columns."""
    from textwrap import wrap

    return wrap(clean(one_line(text, 10_000)), max(columns, 20))
