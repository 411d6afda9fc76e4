"""The trail of a run: the nodes it visited, in one line of text that does not depend on timing.

    research write review write review END      one node after the other
    plan [facts search | counter] merge END     a fork: its arms in declared order, then the join; `-` is an arm that
                                                goes straight to the join
    article (write review) publish END          a graph inside, with what it visited
    teams (plan work | plan work) END           a map whose items are graphs, in their order; other maps are one word

The last word tells how it came to its end: END, FAIL, STOPPED (a limit) or WAITING.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.engine.snapshot import child_id
from graphengine.engine.steps import Entered, Mapped, outcome_of
from graphengine.graph.options import END, FAIL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from graphengine.engine.steps import RunStatus, Step

_WORD: Final = re.compile(r"[^\s\[\]()|]+|[\[\]()|]")
_ENDS: Final[dict[RunStatus, str]] = {
    "finished": END,
    "failed": FAIL,
    "stopped": "STOPPED",
    "waiting": "WAITING",
    "running": "RUNNING",
}
_VISITS: Final = ("node", "failed")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a trail, and the step that it stands for."""

    text: str
    step: Step | None = None


def words_of(text: str) -> list[str]:
    """The words of a trail that somebody wrote."""
    return _WORD.findall(text)


def text_of(words: Sequence[Word | str]) -> str:
    """Words as a line."""
    line = " ".join(word if isinstance(word, str) else word.text for word in words)
    return line.replace("[ ", "[").replace(" ]", "]").replace("( ", "(").replace(" )", ")")


def trail(steps: Sequence[Step], status: RunStatus, hidden: Collection[str] = ()) -> list[Word]:
    """The words of a run.

    Args:
        steps: All its steps.
        status: How it ended.
        hidden: Names of nodes that are nobody's visit.
    """
    return [*_Trail(steps, hidden).below("", steps[0], len(steps)), Word(_ENDS[status])] if steps else []


class _Trail:
    """Puts the steps of a run into the order of its tree of frames."""

    def __init__(self, steps: Sequence[Step], hidden: Collection[str]) -> None:
        self._steps, self._hidden = steps, hidden
        self._of: dict[str, list[tuple[int, Step]]] = {}
        for at, step in enumerate(steps):
            self._of.setdefault(step.frame, []).append((at, step))

    def below(self, frame: str, begins: Step, until: int) -> Iterator[Word]:
        """The words of a frame, from the step that made it to the step at a place."""
        first = begins.seq - self._steps[0].seq
        yield from self._fork(frame, begins, first, until)
        yield from self._arm(frame, first, until)

    def _arm(self, frame: str, first: int, until: int) -> Iterator[Word]:
        """The words of a frame between the steps at two places."""
        inside: tuple[int, Step] | None = None
        for at, step in self._of.get(frame, ()):
            if not first < at <= until:
                continue
            if step.kind in ("entered", "mapped"):
                inside = (at, step)
            elif step.kind in _VISITS and step.node and step.node not in self._hidden:
                yield Word(step.node, step)
                yield from self._inside(frame, inside, at)
                inside = None
                yield from self._fork(frame, step, at, until)
        if inside is not None:  # it ended while that graph or map was on its way
            yield Word(inside[1].node, inside[1])
            yield from self._inside(frame, inside, until)

    def _inside(self, frame: str, inside: tuple[int, Step] | None, until: int) -> Iterator[Word]:
        """What was visited in a graph, or in the graphs that a map's items are."""
        if inside is None:
            return
        _, step = inside
        parts: list[list[Word]] = []
        if isinstance(step.data, Entered):
            parts.append([*self.below(child_id(frame, f"{step.node}/"), step, until)])
        elif isinstance(step.data, Mapped):
            for index in range(step.data.count):
                item = child_id(frame, f"{step.node}[{index}]")
                begins = [
                    s for at, s in self._of.get(item, ()) if s.kind == "entered" and at < until and s.seq > step.seq
                ]
                parts.append([*self.below(f"{item}/", begins[-1], until)] if begins else [])
        if any(parts):
            yield from self._joined("(", parts, ")")

    def _fork(self, frame: str, step: Step, at: int, until: int) -> Iterator[Word]:
        """The arms of a fork, if a step is one."""
        outcome = outcome_of(step)
        if outcome.fork is None:
            return
        ends = (place for place, s in self._of.get(frame, ()) if place > at and s.kind == "joined")
        end = next(ends, until)
        parts = [[*self._arm(f"{frame}~{target}", at, end)] for target in outcome.to]
        yield from self._joined("[", parts, "]")

    @staticmethod
    def _joined(opening: str, parts: Sequence[Sequence[Word]], closing: str) -> Iterator[Word]:
        yield Word(opening)
        for number, part in enumerate(parts):
            if number:
                yield Word("|")
            yield from part or [Word("-")]
        yield Word(closing)


__all__ = ["Word", "text_of", "trail", "words_of"]
