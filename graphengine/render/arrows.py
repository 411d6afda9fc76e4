"""The text of an arrow: for each of its edges the label, the condition, its place in the order, and what a run did.

Edges of a node that lead to the same target share an arrow; each has lines of its own, in the order in which they are
tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.graph.options import END, FAIL, START
from graphengine.render.parts import Arrow, Line
from graphengine.render.scopes import path_at
from graphengine.render.text import one_line, wrap
from graphengine.render.words import TITLE_LINES, short, times_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.history.visit_tree import Place
    from graphengine.render.edges import DrawnEdge
    from graphengine.render.parts import Detail, Tone

LABEL_COLUMNS: Final[Mapping[Detail, int]] = {"brief": 14, "full": 26}
CONDITION_LINES: Final = 5
TIMES: Final = "\N{MULTIPLICATION SIGN}"


def arrow_of(place: Place, edges: Sequence[DrawnEdge], taken: Sequence[Taken], detail: Detail) -> Arrow:
    """Return the arrow of some edges with the same ends, without its ends.

    Args:
        place: The graph of the edges.
        edges: The edges, in the order in which they are tried; a fork's arms show only the condition under which
            they run.
        taken: What a run did with each.
        detail: Whether to draw the conditions too.
    """
    first = edges[0]
    words = [
        _Words(
            edge.condition if edge.is_case and detail == "brief" else "" if edge.fork else edge.label,
            edge.condition,
            edge.order + 1 if edge.several and not edge.fork else 0,
            each,
        )
        for edge, each in zip(edges, taken, strict=True)
    ]
    ends = f"{named(place, first.source)} to {named(place, first.target)}"
    return _arrow(words, ends, detail, is_failure=first.failure)


def fork_arrow(place: Place, edge: DrawnEdge, taken: Taken, detail: Detail) -> Arrow:
    """Return the arrow to the bar of a fork, given one of its arms."""
    number = edge.order + 1 if edge.several else 0
    return _arrow([_Words(edge.label, edge.fork, number, taken)], f"{named(place, edge.source)} forks", detail)


def plain_arrow(words: str, spoken: str, tone: Tone) -> Arrow:
    """Return an arrow that is not an edge of a graph."""
    lines = tuple(Line(text) for text in wrap(words, LABEL_COLUMNS["full"], CONDITION_LINES))
    return Arrow("", "", "", lines, one_line(spoken), tone=tone, words=(one_line(words),) if words else ())


def named(place: Place, name: str) -> str:
    """Return the name by which other parts refer to a node, START, END or FAIL."""
    return one_line(f"{name} of {path_at(place)}" if place and name in (START, END, FAIL) else path_at(place, name))


class Taken(NamedTuple):
    """What a run did with an edge: how often it took it, None if no run is drawn, and the last explanation."""

    times: int | None = None
    reason: str = ""


class _Words(NamedTuple):
    """The parts of an edge's text; its number is 0 if there is no choice."""

    label: str
    condition: str
    number: int
    taken: Taken

    @property
    def is_unused(self) -> bool:
        """Whether a run is drawn that never took it."""
        return self.taken.times == 0

    def lines(self, detail: Detail) -> list[Line]:
        """Return its lines in the picture: on a run, an edge taken shows its explanation in place of the condition."""
        if detail == "brief" and self.is_unused:
            return []
        columns = LABEL_COLUMNS[detail]
        condition, count = self.taken.reason or short(self.condition), self.taken.times or 0
        condition = condition if detail == "full" else ""
        number = f"{self.number}. " if self.number else ""
        found: list[tuple[str, bool]] = []
        if self.label:
            found += [(text, True) for text in wrap(number + self.label, columns, TITLE_LINES)]
            number = ""
        if condition or number:
            found += [(text, False) for text in wrap(number + condition, columns, CONDITION_LINES)]
        found += [(f"{TIMES}{count}", True)] if count > 1 else []
        return [Line(text, "strong" if strong else "normal", is_pale=self.is_unused) for text, strong in found]

    def spoken(self) -> str:
        """Return its text in one line."""
        count, reason = self.taken
        times = "" if count is None else f"taken {times_in_words(count)}" if count else "never taken"
        times += f", {'because' if count == 1 else 'the last time because'} {reason}" if reason else ""
        text = one_line("; ".join(part for part in (self.label, self.condition, times) if part))
        return f"{self.number}. {text}".rstrip() if self.number else text


def _arrow(edges: Sequence[_Words], ends: str, detail: Detail, *, is_failure: bool = False) -> Arrow:
    tone: Tone = "plain"
    if any(edge.taken.times is not None for edge in edges):
        tone = "unused" if all(edge.is_unused for edge in edges) else "done"
    words = tuple(edge.spoken() for edge in edges)
    said = "; or ".join(text for text in words if text)
    return Arrow(
        "", "", "",
        tuple(line for edge in edges for line in edge.lines(detail)),
        f"{ends}: {said}" if said else ends,
        is_failure, tone=tone, words=words if said else (), number=max(edge.number for edge in edges),
        count=sum(edge.taken.times or 0 for edge in edges),
    )  # fmt: skip
