"""Failures as plain data: what events carry of exceptions, and what steps record where one ends a frame."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine.events import Error
from graphengine.engine.steps import FailureRecord
from graphengine.errors import NodeError, is_repeating
from graphengine.graph.conditions import exception_name
from graphengine.graph.options import is_seconds
from graphengine.state.failure import Failure
from graphengine.state.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Outcome


_NO_EXIT: Final = "raise an Exception, or return: nothing that runs in a graph ends the process"


def error_of(error: BaseException) -> Error:
    """An exception as the data that events carry."""
    kind = type(error)
    names = [exception_name(base) for base in kind.__mro__ if issubclass(base, BaseException)]
    repeats = is_repeating(error)
    if isinstance(error, NodeError):
        where, repair = _utf8(error.where), _utf8(error.repair)
        asked = getattr(error, "retry_after_seconds", None)  # a model's
        pause: float = asked if is_seconds(asked) else 0.0
        retryable = error.retryable and not repeats
        return Error(error.code, names, _utf8(error.message), "", retryable, where, repair, pause, error, repeats)
    text, trace = text_of(error) or names[0], _utf8("".join(traceback.format_exception(error)))
    repair = "" if isinstance(error, Exception) else _NO_EXIT
    return Error(names[0], names, text, trace, not repeats, repair=repair, raised=error, repeats=repeats)


def text_of(error: BaseException) -> str:
    """An exception's text, whatever its __str__ does, in characters that can be recorded."""
    try:
        text = str(error)
    except BaseException as raised:  # noqa: BLE001 - a __str__ of the user's
        reraise_interrupt(raised)
        text = f"{type(error).__name__} without a text that can be read"
    return _utf8(text)


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def failure_record(error: Error, path: str, attempt: int) -> FailureRecord:
    """What a step records of an exception."""
    rest = (error.where, error.repair, error.traceback, error.pause_seconds, error.repeats)
    failure = FailureRecord(path, error.kind, error.message, attempt, *rest)
    failure.raised = error.raised
    return failure


def attempt_of(frame: Frame) -> int:
    """Which attempt a frame's whole walk is: that of the node that a graph stands for, the run's first."""
    return frame.sub.up.attempt if frame.sub is not None and frame.sub.up is not None else 1


def fail_with(facts: Outcome, frame: Frame, failure: FailureRecord, names: Sequence[str], *, lasting: bool) -> None:
    """Record that a frame fails. What the failure can be matched by is for the frames around it."""
    facts.error = failure
    facts.status = "failed"
    facts.stop = Stop("failed", explanation=failure.message)
    if frame.up is not None:
        facts.names = names
        facts.lasting = lasting


def survived(failure: FailureRecord) -> Failure:
    """A failure as nodes, results and the field of a graph's errors have it."""
    return Failure.of(failure)
