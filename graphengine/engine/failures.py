"""Failures as plain data: exceptions as events carry them and as steps record them.

The module also has clearer errors for two frequent reasons why a result does not fit the state: a missing `await` and a
missing `return`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from types import CoroutineType
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from pydantic import BaseModel, ValidationError

from graphengine.engine.steps import FailureRecord
from graphengine.engine.user_frames import has_user_code, user_traceback, without_middle
from graphengine.errors import GraphEngineError, InvalidUpdate, NodeError, NotAwaited, find_repair, is_repeating
from graphengine.graph.conditions import exception_name
from graphengine.graph.elsewhere import repair_of, repair_of_returned
from graphengine.graph.options import is_seconds
from graphengine.state.ending import Ending
from graphengine.state.field import explain
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.recorded_text import NO_TEXT, show, to_show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphengine.engine.plan import NodePlan
    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Outcome


class FailedElsewhere(Exception):
    """The exception that a node function raised in another process, rebuilt from its description as data.

    Args:
        error: The description of the failure, without the path of the node. It holds the original exception if that
            exception could be pickled.
    """

    def __init__(self, error: FailureRecord) -> None:
        super().__init__(error.message)
        self.error = error

    @staticmethod
    def describe(error: BaseException) -> FailureRecord:
        """Describe an exception as data, so that it can be sent from an executor's process to the process of the run.

        The process of the run wraps the description in `FailedElsewhere` and raises that.
        """
        facts = failure_record(error, "", 0)
        facts.raised = None
        return facts


_NO_EXIT: Final = "raise an Exception or return a value; code in a graph cannot end the process"


def failure_record(error: BaseException, path: str, attempt: int) -> FailureRecord:
    """Convert an exception to the data that a step of the run's log records about it."""
    if isinstance(error, FailedElsewhere):
        failure = replace(error.error, path=path, attempt=attempt)
        failure.raised = error.error.raised
        return failure
    kind = type(error)
    names = [exception_name(base) for base in kind.__mro__ if issubclass(base, BaseException)]
    failure = FailureRecord(path, names[0], NO_TEXT, attempt, names=names)
    failure.raised = error
    try:
        return _describe_failure(failure, error)
    except BaseException as raised:  # noqa: BLE001 - an attribute of the user's
        reraise_interrupt(raised)
        failure.traceback = f"could not be described: {type(raised).__name__}"
        failure.message = failure.message or to_show(f"{failure.kind}, which {failure.traceback}")
        return failure


def _describe_failure(failure: FailureRecord, error: BaseException) -> FailureRecord:
    kind, failure.repeats = type(error), is_repeating(error)
    if isinstance(error, NodeError):
        asked = getattr(error, "retry_after_seconds", None)  # an attribute of errors of models
        failure.kind, failure.message = error.code, to_show(_replace_surrogates(error.message))
        failure.where, failure.repair = _replace_surrogates(error.where), _replace_surrogates(error.repair)
        if is_seconds(asked):
            failure.pause_seconds = asked
        failure.non_retryable = not error.retryable and not failure.repeats
        if has_user_code(error.__cause__) and error.__cause__:
            failure.traceback = _replace_surrogates(user_traceback(error.__cause__))
        return failure
    if isinstance(error, GraphEngineError) and kind.__str__ is GraphEngineError.__str__:
        failure.message = to_show(_replace_surrogates(error.message) or failure.kind)
        failure.where, failure.repair = _replace_surrogates(error.where), _replace_surrogates(error.repair)
    else:
        failure.message = to_show(text_of(error) or failure.kind)
        repair = find_repair(error) or repair_of(kind.__name__, text_of(error))
        failure.repair = repair if isinstance(error, Exception) else _NO_EXIT
    failure.traceback = _replace_surrogates(user_traceback(error))
    return failure


def text_of(error: BaseException) -> str:
    """Return the message of an exception as text that a store can record.

    If `str(error)` raises an exception itself, the text names only the class of `error`. Surrogates are replaced,
    because UTF-8 cannot encode them.
    """
    try:
        text = str(error)
    except BaseException as raised:  # noqa: BLE001 - a __str__ of the user's
        reraise_interrupt(raised)
        text = f"{type(error).__name__}, whose text cannot be read"
    return _replace_surrogates(text)


def why_refused(error: BaseException) -> str:
    """Return the text to record as the reason for refusing an answer that does not fit its question.

    The text names the violated rule of the answer's type, or gives the message of the exception that a validator
    raised.
    """
    reraise_interrupt(error)
    if isinstance(error, ValidationError):
        return _replace_surrogates(explain(error))
    return f"{type(error).__name__}: {text_of(error)}"


def _replace_surrogates(text: str) -> str:
    return without_middle(text).encode("utf-8", "backslashreplace").decode()


def attempt_of(frame: Frame) -> int:
    """Return the number of the node attempt to which the work of a frame (one position of the run in a graph) belongs.

    A frame inside a subgraph works for the node that runs the subgraph, so the number is that node's attempt, counted
    from 1. The run's own graph belongs to no node, so its number is 1.
    """
    return frame.sub.up.attempt if frame.sub is not None and frame.sub.up is not None else 1


def fail_with(facts: Outcome, failure: FailureRecord) -> None:
    """Set the error, status and ending of a step to those of a failure.

    If the step already contains another failure, that failure is kept in the `replaced` attribute of the new one.
    """
    if facts.error is not None and facts.error is not failure:
        failure.replaced = facts.error
    facts.error = failure
    facts.status = "failed"
    facts.ending = Ending("failed", why=show(failure.message))


def cause_of(error: BaseException, node: NodePlan, result: object, path: str) -> BaseException:
    """Return a clearer error for a node result that does not fit the state.

    For example, if the result contains a coroutine, the returned error says that an `await` is missing. If no likely
    cause is found, the given error is returned.
    """
    if not isinstance(error, NodeError):
        return error
    forgotten = _list_not_awaited(result)
    if forgotten:
        names = ", ".join(sorted({getattr(each, "__name__", type(each).__name__) for each in forgotten}))
        for each in forgotten:
            if isinstance(each, CoroutineType):
                each.close()  # Otherwise Python would warn when the coroutine is collected, at an unrelated moment.
        named: NodeError = NotAwaited(
            f"node {node.name!r} returned an awaitable that it did not await: {names}",
            where=f"node {path}",
            repair=f"write await before the call of {names}, in an async node",
        )
    elif result is None and isinstance(error, InvalidUpdate) and error.where.startswith("field "):
        named = InvalidUpdate(
            f"node {node.name!r} returned None, which does not fit the field that the node writes: {error.message}",
            where=f"node {path}",
            repair="return a value at the end of every branch of the function, or let the field take None",
        )
    elif (repair := _repair_of_foreign_result(result, node, error)) is not None:
        named = InvalidUpdate(error.message, where=error.where, repair=repair)
    else:
        return error
    named.__cause__ = error
    return named


def _repair_of_foreign_result(result: object, node: NodePlan, error: NodeError) -> str | None:
    """Suggest a repair for a result that follows the conventions of another graph library.

    Examples are an object that names the next node, or a dict of fields although `writes` names a single field.
    """
    parts = result if isinstance(result, (list, tuple)) else (result,)
    for part in parts:
        if (repair := repair_of_returned(type(part).__name__)) and not isinstance(part, BaseModel):
            return repair
    field = next((target.field for target in node.writer.whole), None)
    if isinstance(result, Mapping) and field in result and error.where.startswith("field "):
        return f"return only the value of {field!r}, or remove writes={field!r}, so that the keys name the fields"
    return None


def _list_not_awaited(result: object) -> list[Awaitable[object]]:
    """Return the awaitables that a node returned by mistake, alone or in a list, tuple or mapping."""
    inside: Iterable[object] = (result,)
    if isinstance(result, Mapping):
        inside = result.values()
    elif isinstance(result, (list, tuple)):
        inside = result
    return [each for each in inside if isinstance(each, Awaitable)]
