"""Failures as plain data: exceptions as events carry them, and as steps record them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.calls.user_frames import has_user_code, user_traceback
from graphengine.engine.steps import FailureRecord
from graphengine.errors import GraphEngineError, NodeError, is_repeating
from graphengine.graph.conditions import exception_name
from graphengine.graph.options import is_seconds
from graphengine.state.ending import Ending
from graphengine.state.failure import Failure

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Outcome


class FailedElsewhere(Exception):
    """A node's function raised in another process, which described the failure as data.

    Args:
        error: The failure, without its place. Its `raised` is the exception, if it can be pickled.
    """

    def __init__(self, error: FailureRecord) -> None:
        super().__init__(error.message)
        self.error = error


_NO_EXIT: Final = "raise an Exception, or return: code in a graph cannot end the process"


def failure_record(error: BaseException, path: str, attempt: int) -> FailureRecord:
    """Return an exception as data, as the events of its node carry it and its step records it."""
    if isinstance(error, FailedElsewhere):
        failure = replace(error.error, path=path, attempt=attempt)
        failure.raised = error.error.raised
        return failure
    kind = type(error)
    names = [exception_name(base) for base in kind.__mro__ if issubclass(base, BaseException)]
    failure = FailureRecord(path, names[0], "", attempt, names=names, repeats=is_repeating(error))
    failure.raised = error
    if isinstance(error, NodeError):
        asked = getattr(error, "retry_after_seconds", None)  # a model's
        failure.kind, failure.message = error.code, _utf8(error.message)
        failure.where, failure.repair = _utf8(error.where), _utf8(error.repair)
        if is_seconds(asked):
            failure.pause_seconds = asked
        failure.non_retryable = not error.retryable and not failure.repeats
        if has_user_code(error.__cause__) and error.__cause__:
            failure.traceback = _utf8(user_traceback(error.__cause__))
        return failure
    failure.traceback = _utf8(user_traceback(error))
    if isinstance(error, GraphEngineError) and kind.__str__ is GraphEngineError.__str__:
        failure.message = _utf8(error.message) or names[0]
        failure.where, failure.repair = _utf8(error.where), _utf8(error.repair)
    else:
        failure.message = text_of(error) or names[0]
        failure.repair = "" if isinstance(error, Exception) else _NO_EXIT
    return failure


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


def attempt_of(frame: Frame) -> int:
    """Return the attempt that a frame belongs to: in a subgraph that of its node, in the run's own graph 1."""
    return frame.sub.up.attempt if frame.sub is not None and frame.sub.up is not None else 1


def fail_with(facts: Outcome, failure: FailureRecord) -> None:
    """Record that a frame fails; a failure that the step recorded before is kept as the one that this one replaced."""
    if facts.error is not None and facts.error is not failure:
        failure.replaced = facts.error
    facts.error = failure
    facts.status = "failed"
    facts.stop = Ending("failed", explanation=failure.message)


def survived(failure: FailureRecord) -> Failure:
    """Return a failure as nodes, results and the field of `collect_errors=` get it."""
    return Failure.of(failure)
