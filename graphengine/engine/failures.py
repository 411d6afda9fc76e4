"""Failures as plain data: what events carry of exceptions, and what steps record where one ends a frame."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine.events import Error
from graphengine.errors import NodeError, is_repeating
from graphengine.graph.conditions import exception_name
from graphengine.graph.options import is_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphengine.engine.snapshot import Frame
    from graphengine.state.json_values import JsonValue


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


class FailureRecord(dict[str, "JsonValue"]):
    """What a step records of an exception, with the exception itself until the driver of the run takes it."""

    raised: BaseException | None = None


def failure_record(error: Error, path: str, attempt: int) -> FailureRecord:
    """Return what a step records of an exception."""
    failure = FailureRecord(path=path, kind=error.kind, message=error.message, attempt=attempt)
    failure.raised = error.raised
    for name in ("where", "repair", "traceback"):
        if getattr(error, name):
            failure[name] = getattr(error, name)
    if error.pause_seconds:
        failure["pause_seconds"] = error.pause_seconds
    if error.repeats:
        failure["repeats"] = True
    return failure


def attempt_of(frame: Frame) -> int:
    """Which attempt a frame's whole walk is: that of the node that a graph stands for, the run's first."""
    return frame.sub.up.attempt if frame.sub is not None and frame.sub.up is not None else 1


def nested(frame: Frame, names: Iterable[str], *, lasting: bool) -> dict[str, JsonValue]:
    """What a step says of a failure beside it, for the frames around its own."""
    if frame.up is None:
        return {}
    told: dict[str, JsonValue] = {"names": list(names)}
    if lasting:
        told["lasting"] = True
    return told


def failed_frame(failure: Mapping[str, JsonValue], stop: JsonValue = None) -> dict[str, JsonValue]:
    """What a step says when its frame fails."""
    stop = stop or {"reason": "failed", "label": "", "condition": "", "explanation": failure["message"]}
    return {"status": "failed", "stop": stop}
