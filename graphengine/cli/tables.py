"""Tables of text, whatever the text is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from graphengine.cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, fixed: int = 1) -> Table:
    """A table without lines around it; columns that are empty in every row are left out.

    Args:
        headings: One for each column.
        rows: Texts; control codes in them are shown as escapes.
        fixed: So many columns at the left are never broken.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    used = [i for i in range(len(headings)) if any(row[i] for row in cells)]
    made = Table(box=None, pad_edge=False, header_style="bold")
    for i in used:
        made.add_column(headings[i], no_wrap=i < fixed, overflow="fold")
    for row in cells:
        made.add_row(*(Text(row[i]) for i in used))
    return made
