"""How long a step took, as the command line and pictures tell it: time in which its run was driven.

What lies between a stop and a resume, and what a whole run waited or slept, is not counted; the sum at the end of a run
counts the same way. A visit that an answer ended did no work, so that it took nothing: how long the question was open
is another thing, and is called so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.engine.steps import Answered, AttemptEnded, failure_of
from graphengine.errors import WaitTimeout, WorkNotRepeatable

if TYPE_CHECKING:
    from graphengine.engine.steps import Step

_BEGINNINGS: Final = ("resumed", "branched")
_UNANSWERED: Final = (WaitTimeout.code, WorkNotRepeatable.code)


class Stopwatch:
    """Sees the steps of a run in their order, and tells how long each took.

    Attributes:
        since: When the first step was that it saw, epoch seconds; 0 before that.
    """

    def __init__(self) -> None:
        self.since = 0.0
        self._last = 0.0
        self._idle: list[tuple[float, float]] = []
        self._entered: dict[tuple[str, str, int], float] = {}

    def see(self, step: Step, *, was_idle: bool = False) -> None:
        """Take note of the next step.

        Args:
            step: The step.
            was_idle: Whether the whole run waited before it.
        """
        if not self.since:
            self.since = step.at
        elif was_idle or step.kind in _BEGINNINGS:
            self._idle.append((self._last, step.at))
        self._last = step.at
        if step.kind == "entered":
            self._entered[step.frame, step.node, step.visit] = step.at

    def took(self, step: Step) -> float | None:
        """Seconds of driven time that a step took which was seen; None where it did no work, or began unseen."""
        began = self.began(step)
        if not began or began < self.since or is_by_answer(step):
            return None
        return self.between(began, step.at)

    def between(self, began: float, ended: float) -> float:
        """Seconds of driven time between two times, epoch seconds."""
        idle = sum(max(0.0, min(end, ended) - max(start, began)) for start, end in self._idle)
        return max(0.0, ended - began - idle)

    def began(self, step: Step) -> float:
        """When a step's work began, or the graph at its node, epoch seconds; 0 where that is not known."""
        if step.kind in ("node", "failed", "attempt", "item"):
            return self._entered.get((step.frame, step.node, step.visit), 0.0) or step.began
        return step.began


def is_by_answer(step: Step) -> bool:
    """Whether an answer, or that none came in time, ended the visit, so that its time is that of the question."""
    failure = failure_of(step)
    return has_answer(step) or (failure is not None and failure.kind in _UNANSWERED)


def has_answer(step: Step) -> bool:
    """Whether an answer, or what stands in for one, ended the visit."""
    return isinstance(step.data, (AttemptEnded, Answered)) and bool(step.data.by)


def open_seconds(step: Step) -> float | None:
    """How long the question was open with whose answer a visit ended; None where there was none."""
    return step.at - step.began if has_answer(step) and step.began else None
