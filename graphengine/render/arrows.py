"""What an arrow of a picture says: the label, the condition in words with its place in the order, what a run did."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.graph.options import END, FAIL, START
from graphengine.render.parts import Arrow, Line
from graphengine.render.scopes import path_at
from graphengine.render.text import one_line, wrap
from graphengine.render.words import TITLE_LINES, times_in_words

if TYPE_CHECKING:
    from graphengine.render.parts import Tone
    from graphengine.render.scopes import Place
    from graphengine.render.ways import Way

LABEL_COLUMNS: Final = 30
CONDITION_LINES: Final = 5
TIMES: Final = "\N{MULTIPLICATION SIGN}"


def arrow_of(place: Place, way: Way, count: int | None) -> Arrow:
    """What an arrow says; where it leads is still to be told.

    Args:
        place: The graph of the way.
        way: The way; the arms of a fork say under which condition they are run and nothing else.
        count: How often a run took it; None where no run is drawn.
    """
    number = way.order + 1 if way.several and not way.fork else 0
    spoken = f"{named(place, way.source)} to {named(place, way.target)}" + (f" ({number})" if number else "")
    words = _Words("" if way.fork else way.label, way.condition, number)
    return replace(_arrow(words, spoken, count), failure=way.failure)


def fork_arrow(place: Place, way: Way, count: int | None) -> Arrow:
    """What the arrow to the bar of a fork says, given one of its arms."""
    number = way.order + 1 if way.several else 0
    spoken = f"{named(place, way.source)} forks" + (f" ({number})" if number else "")
    return _arrow(_Words(way.label, way.fork, number), spoken, count)


def plain_arrow(words: str, spoken: str, tone: Tone) -> Arrow:
    """What an arrow says that is no way of a graph's."""
    lines = tuple(Line(text) for text in wrap(words, LABEL_COLUMNS, CONDITION_LINES))
    return Arrow("", "", "", lines, one_line(spoken), tone=tone, words=one_line(words))


def named(place: Place, name: str) -> str:
    """What a node, START, END or FAIL is called where others speak of it."""
    return one_line(f"{name} of {path_at(place)}" if place and name in (START, END, FAIL) else path_at(place, name))


class _Words(NamedTuple):
    """The parts of what an arrow says; its number is 0 where there is no choice."""

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
    said = one_line("; ".join(part for part in (label, condition, times) if part))
    spoken += f": {said}" if said else ""
    return Arrow("", "", "", tuple(lines), spoken, tone=tone, words=said, number=words.number)
