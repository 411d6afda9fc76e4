"""Tables of text: aligned columns, each row on one unbroken line, so that cells can be copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.cli.terminal import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GAP: Final = "  "


def aligned(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    columns: int | None,
    expendable: Sequence[str],
) -> list[str]:
    """Return the headings and the rows as lines.

    Columns that are empty in every row are left out. A line is wider than the terminal if no column is left to drop.

    Args:
        headings: One for each column.
        rows: Texts; control codes in them are shown as escapes.
        columns: The width of the terminal; None if there is none.
        expendable: Headings of the columns to drop if the lines are too wide, in this order.
    """
    return ["".join(cells).rstrip() for cells in padded(headings, rows, columns=columns, expendable=expendable)]


def padded(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    columns: int | None,
    expendable: Sequence[str],
) -> list[list[str]]:
    """Return the headings and the rows of `aligned` as padded cells, so that each can have a style of its own."""
    from rich.cells import cell_len

    table: list[list[str]] = [[*headings], *([clean(one_line(cell, 10_000)) for cell in row] for row in rows)]
    kept = [i for i in range(len(headings)) if any(row[i] for row in table[1:])]
    widths = {i: max(cell_len(row[i]) for row in table) for i in kept}
    for heading in expendable:
        if columns is not None and sum(widths[i] + len(_GAP) for i in kept) - len(_GAP) > columns:
            kept = [i for i in kept if headings[i] != heading]
    return [[row[i] + " " * (widths[i] - cell_len(row[i])) + _GAP for i in kept] for row in table]


def fitted(text: str, columns: int) -> str:
    """Return the text on one line of at most this many columns."""
    from rich.cells import cell_len, set_cell_size

    line, room = clean(one_line(text, 10_000)), max(columns, 20)
    return line if cell_len(line) <= room else set_cell_size(line, room - 1) + "…"


def wrapped(text: str, columns: int) -> list[str]:
    """Return the text wrapped to lines of at most this many columns."""
    from textwrap import wrap

    return wrap(clean(one_line(text, 10_000)), max(columns, 20))
