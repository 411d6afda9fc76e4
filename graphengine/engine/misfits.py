"""Plainer errors for two common reasons why a result does not fit the state: a missing await or return."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from types import CoroutineType
from typing import TYPE_CHECKING

from pydantic import BaseModel

from graphengine.errors import InvalidUpdate, NodeError, NotAwaited
from graphengine.graph.elsewhere import RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphengine.engine.plan import NodePlan


def cause_of(error: BaseException, node: NodePlan, result: object, path: str) -> BaseException:
    """Return the error of a refused update, or one that names its cause."""
    if not isinstance(error, NodeError):
        return error
    forgotten = _not_awaited(result)
    if forgotten:
        names = ", ".join(sorted({getattr(each, "__name__", type(each).__name__) for each in forgotten}))
        for each in forgotten:
            if isinstance(each, CoroutineType):
                each.close()  # otherwise Python warns when it is collected, at an unrelated moment
        named: NodeError = NotAwaited(
            f"{node.name} returned an awaitable that it did not await: {names}",
            where=f"node {path}",
            repair=f"write await before the call of {names}, in an async node",
        )
    elif result is None and isinstance(error, InvalidUpdate) and error.where.startswith("field "):
        named = InvalidUpdate(
            f"{node.name} returned None, which does not fit what it writes: {error.message}",
            where=f"node {path}",
            repair="return a value on every path, or let the field take None",
        )
    elif (repair := _foreign(result, node, error)) is not None:
        named = InvalidUpdate(error.message, where=error.where, repair=repair)
    else:
        return error
    named.__cause__ = error
    return named


def _foreign(result: object, node: NodePlan, error: NodeError) -> str | None:
    """Return the repair for a result as nodes return it elsewhere: a routing object, or a mapping under `writes`."""
    parts = result if isinstance(result, (list, tuple)) else (result,)
    for part in parts:
        if type(part).__name__ in RESULTS and not isinstance(part, BaseModel):
            return RESULTS[type(part).__name__]
    field = node.writer.whole.field if node.writer.whole is not None else None
    if isinstance(result, Mapping) and field in result and error.where.startswith("field "):
        return f"return the value of {field} alone, or remove writes={field!r}: the keys of a mapping name fields then"
    return None


def _not_awaited(result: object) -> list[Awaitable[object]]:
    """Return the awaitables that a result is, or contains."""
    inside: Iterable[object] = (result,)
    if isinstance(result, Mapping):
        inside = result.values()
    elif isinstance(result, (list, tuple)):
        inside = result
    return [each for each in inside if isinstance(each, Awaitable)]
