"""The text of an arrow: its label, its condition with its place in the order, and what a run did."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.graph.options import END, FAIL, START
from graphengine.render.parts import Arrow, Line
from graphengine.render.scopes import path_at
from graphengine.render.text import one_line, wrap
from graphengine.render.words import TITLE_LINES, times_in_words

if TYPE_CHECKING:
    from graphengine.history.visit_tree import Place
    from graphengine.render.edges import DrawnEdge
    from graphengine.render.parts import Tone

LABEL_COLUMNS: Final = 30
CONDITION_LINES: Final = 5
TIMES: Final = "\N{MULTIPLICATION SIGN}"


def arrow_of(place: Place, edge: DrawnEdge, count: int | None) -> Arrow:
    """Return the arrow of an edge, without its ends.

    Args:
        place: The graph of the edge.
        edge: The edge; a fork's arms show only the condition under which they run.
        count: How often a run took it; None if no run is drawn.
    """
    number = edge.order + 1 if edge.several and not edge.fork else 0
    spoken = f"{named(place, edge.source)} to {named(place, edge.target)}" + (f" ({number})" if number else "")
    words = _Words("" if edge.fork else edge.label, edge.condition, number)
    return replace(_arrow(words, spoken, count), failure=edge.failure)


def fork_arrow(place: Place, edge: DrawnEdge, count: int | None) -> Arrow:
    """Return the arrow to the bar of a fork, given one of its arms."""
    number = edge.order + 1 if edge.several else 0
    spoken = f"{named(place, edge.source)} forks" + (f" ({number})" if number else "")
    return _arrow(_Words(edge.label, edge.fork, number), spoken, count)


def plain_arrow(words: str, spoken: str, tone: Tone) -> Arrow:
    """Return an arrow that is not an edge of a graph."""
    lines = tuple(Line(text) for text in wrap(words, LABEL_COLUMNS, CONDITION_LINES))
    return Arrow("", "", "", lines, one_line(spoken), tone=tone, words=one_line(words))


def named(place: Place, name: str) -> str:
    """Return the name by which other parts refer to a node, START, END or FAIL."""
    return one_line(f"{name} of {path_at(place)}" if place and name in (START, END, FAIL) else path_at(place, name))


class _Words(NamedTuple):
    """The parts of an arrow's text; its number is 0 if there is no choice."""

    label: str
    condition: str
    number: int


def _arrow(words: _Words, spoken: str, count: int | None) -> Arrow:
    label, condition, _ = words
    number = f"{words.number}. " if words.number else ""
    lines: list[Line] = []
    if label:
        lines += [Line(text, "strong") for text in wrap(number + label, LABEL_COLUMNS, TITLE_LINES)]
        number = ""
    if condition:
        lines += [Line(text) for text in wrap(number + condition, LABEL_COLUMNS, CONDITION_LINES)]
    tone: Tone = "plain"
    times = ""
    if count is not None:
        tone = "done" if count else "unused"
        times = f"taken {times_in_words(count)}" if count else "never taken"
        lines += [Line(f"{TIMES}{count}", "strong")] if count else []
    text = one_line("; ".join(part for part in (label, condition, times) if part))
    spoken += f": {text}" if text else ""
    return Arrow("", "", "", tuple(lines), spoken, tone=tone, words=text, number=words.number)
