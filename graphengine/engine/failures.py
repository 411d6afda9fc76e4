"""Failures as plain data: exceptions as events carry them, and as steps record them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.calls.user_frames import has_user_code, user_traceback
from graphengine.engine.events import Error
from graphengine.engine.steps import FailureRecord
from graphengine.errors import GraphEngineError, NodeError, is_repeating
from graphengine.graph.conditions import exception_name
from graphengine.graph.options import is_seconds
from graphengine.state.ending import Ending
from graphengine.state.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Outcome


class FailedElsewhere(Exception):
    """A node's function raised in another process, which described the failure as data.

    Args:
        error: The failure. Its `raised` is the exception, if it can be pickled.
    """

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


_NO_EXIT: Final = "raise an Exception, or return: code in a graph cannot end the process"


def error_of(error: BaseException) -> Error:
    """Return an exception as the data that events carry."""
    if isinstance(error, FailedElsewhere):
        return error.error
    kind = type(error)
    names = [exception_name(base) for base in kind.__mro__ if issubclass(base, BaseException)]
    repeats = is_repeating(error)
    if isinstance(error, NodeError):
        where, repair = _utf8(error.where), _utf8(error.repair)
        asked = getattr(error, "retry_after_seconds", None)  # a model's
        pause: float = asked if is_seconds(asked) else 0.0
        retryable = error.retryable and not repeats
        trace = _utf8(user_traceback(error.__cause__)) if has_user_code(error.__cause__) and error.__cause__ else ""
        return Error(error.code, names, _utf8(error.message), trace, retryable, where, repair, pause, error, repeats)
    trace = _utf8(user_traceback(error))
    if isinstance(error, GraphEngineError) and kind.__str__ is GraphEngineError.__str__:
        text, where, repair = _utf8(error.message), _utf8(error.where), _utf8(error.repair)
    else:
        text, where, repair = text_of(error), "", "" if isinstance(error, Exception) else _NO_EXIT
    return Error(names[0], names, text or names[0], trace, not repeats, where, repair, raised=error, repeats=repeats)


def text_of(error: BaseException) -> str:
    """Return an exception's text in characters that can be recorded, even if its `__str__` raises."""
    try:
        text = str(error)
    except BaseException as raised:  # noqa: BLE001 - a __str__ of the user's
        reraise_interrupt(raised)
        text = f"{type(error).__name__}, whose text cannot be read"
    return _utf8(text)


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def failure_record(error: Error, path: str, attempt: int) -> FailureRecord:
    """Return the record of an exception in a step."""
    rest = (error.where, error.repair, error.traceback, error.pause_seconds, error.repeats)
    failure = FailureRecord(path, error.kind, error.message, attempt, *rest)
    failure.raised = error.raised
    return failure


def attempt_of(frame: Frame) -> int:
    """Return the attempt that a frame belongs to: in a subgraph that of its node, in the run's own graph 1."""
    return frame.sub.up.attempt if frame.sub is not None and frame.sub.up is not None else 1


def fail_with(facts: Outcome, frame: Frame, failure: FailureRecord, names: Sequence[str], *, lasting: bool) -> None:
    """Record that a frame fails; `names`, what the failure can be matched by, is for the frames around it."""
    facts.error = failure
    facts.status = "failed"
    facts.stop = Ending("failed", explanation=failure.message)
    if frame.up is not None:
        facts.names = names
        facts.lasting = lasting


def survived(failure: FailureRecord) -> Failure:
    """Return a failure as nodes, results and the field of `collect_errors=` get it."""
    return Failure.of(failure)
