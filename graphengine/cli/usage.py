"""What a run spent on models, as tables: by agent, by model and by node, inherited usage separately."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.cli.steps import cost
from graphengine.cli.tables import aligned
from graphengine.history.json_document import spending_of_run
from graphengine.history.usage import spending, summed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphengine.cli.recorded import Recorded
    from graphengine.cli.terminal import Channel
    from graphengine.history.json_document import Document
    from graphengine.history.usage import Spent
    from graphengine.state.amounts import CountName, Usage

_FIGURES: Final[Sequence[tuple[str, CountName]]] = (
    ("calls", "calls"),
    ("offline", "offline_calls"),
    ("tokens in", "input_tokens"),
    ("cached", "cache_read_tokens"),
    ("to cache", "cache_write_tokens"),
    ("tokens out", "output_tokens"),
    ("thinking", "reasoning_tokens"),
)
_RARE: Final = ("cached", "to cache", "thinking", "offline")
"""Columns that are left out if every row has 0."""

_TABLES: Final[Sequence[tuple[str, Callable[[Spent], str]]]] = (
    ("agent", lambda spent: spent.agent or "(rules)"),
    ("model", lambda spent: spent.model or "(not recorded)"),
    ("node", lambda spent: spent.node),
)


def show_spending(out: Channel, recorded: Recorded) -> None:
    """Show three tables, each with the same totals."""
    found = spending(recorded.steps, recorded.info.parent_seq)
    if not found:
        out.line("no model was called")
        return
    for index, (heading, key) in enumerate(_TABLES):
        if index:
            out.line("")
        title, *lines = _table(heading, found, key, out.columns)
        out.line((title, "bold"))
        for line in lines:
            out.line(line)


def usage_of_run(recorded: Recorded) -> Document:
    """Return the same as a document."""
    return spending_of_run(recorded.info, recorded.snapshot, recorded.steps)


def _table(heading: str, found: Sequence[Spent], key: Callable[[Spent], str], columns: int | None) -> list[str]:
    """Return a row for each key, with inherited usage in rows of its own, and a total of each part."""
    parts = dict.fromkeys(each.inherited for each in sorted(found, key=lambda each: each.inherited))
    rows: list[tuple[str, str, Usage]] = []
    for is_inherited in parts:
        of_part = [each for each in found if each.inherited == is_inherited]
        part = "" if True not in parts else "inherited" if is_inherited else "own"
        rows += [(name, part, usage) for name, usage in summed(of_part, key).items()]
        rows += [("all", part, usage) for usage in summed(of_part, lambda each: each.inherited).values()]
    figures = [
        (title, figure)
        for title, figure in _FIGURES
        if title not in _RARE or any(usage.get(figure) for _, _, usage in rows)
    ]
    table = [
        (name, part, *(f"{usage.get(figure) or 0:,}" for _, figure in figures), cost(usage))
        for name, part, usage in rows
    ]
    headings = (heading, "part", *(title for title, _ in figures), "cost")
    expendable = [title for title, _ in reversed(figures) if title != "calls"]
    return aligned(headings, table, columns=columns, expendable=expendable)


__all__ = ["show_spending", "usage_of_run"]
