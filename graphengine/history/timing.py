"""Driven time: how long a step took, as the command line and pictures report it.

Time between a stop and a resume, and time that a whole run waited or slept, is not driven; the total of a run
excludes it too. A visit that ended with an answer did no work, so it took no time: that time is the question's.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from graphengine.engine.steps import Answered, AttemptEnded, failure_of
from graphengine.errors import WaitTimeout, WorkNotRepeatable

if TYPE_CHECKING:
    from graphengine.engine.steps import Step

_UNANSWERED: Final = (WaitTimeout.code, WorkNotRepeatable.code)


class DrivenTime:
    """When a run was driven, according to the steps seen so far.

    Attributes:
        since: When the first step was seen, epoch seconds; infinite before that.
    """

    def __init__(self) -> None:
        self.since = inf
        self._idle: list[tuple[float, float]] = []

    def see(self, at: float, idle_since: float | None = None) -> None:
        """Note the next step: its time, and since when the run was not driven before it."""
        if self.since == inf:
            self.since = at
        elif idle_since is not None:
            self._idle.append((idle_since, at))

    def took(self, began: float, ended: float) -> float | None:
        """Return the driven seconds between two epoch times; None if it began before the first step, or at 0."""
        return self.between(began, ended) if began and began >= self.since else None

    def between(self, began: float, ended: float) -> float:
        """Return the driven seconds between two epoch times."""
        idle = 0.0
        for start, end in reversed(self._idle):
            if end <= began:  # earlier ones end before it too, and a long run can have many
                break
            idle += max(0.0, min(end, ended) - max(start, began))
        return max(0.0, ended - began - idle)


def is_by_answer(step: Step) -> bool:
    """Return whether an answer or its timeout ended the visit, so that its time is the question's."""
    failure = failure_of(step)
    return has_answer(step) or (failure is not None and failure.kind in _UNANSWERED)


def has_answer(step: Step) -> bool:
    """Return whether an answer or its default ended the visit."""
    return isinstance(step.data, (AttemptEnded, Answered)) and bool(step.data.by)


def open_seconds(step: Step) -> float | None:
    """Return how many seconds the question was open whose answer ended a visit; None if there was none."""
    return step.at - step.began if has_answer(step) and step.began else None
