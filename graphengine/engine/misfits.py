"""Why a result does not fit the state, where that is plainer than what validation found: no await, or no return."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from types import CoroutineType
from typing import TYPE_CHECKING

from graphengine.errors import InvalidUpdate, NodeError, NotAwaited

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphengine.engine.plan import NodePlan


def cause_of(error: BaseException, node: NodePlan, result: object, path: str) -> BaseException:
    """The error of an update that was refused, or the one that names its cause."""
    if not isinstance(error, NodeError):
        return error
    forgotten = _not_awaited(result)
    if forgotten:
        names = ", ".join(sorted({getattr(each, "__name__", type(each).__name__) for each in forgotten}))
        for each in forgotten:
            if isinstance(each, CoroutineType):
                each.close()  # or Python would warn of it at some odd time
        named: NodeError = NotAwaited(
            f"{node.name} returned what it has to await: {names}",
            where=f"node {path}",
            repair=f"write await before the call of {names}, in an async node",
        )
    elif result is None and isinstance(error, InvalidUpdate) and error.where.startswith("field "):
        named = InvalidUpdate(
            f"{node.name} returned None, which does not fit what it writes: {error.message}",
            where=f"node {path}",
            repair="let it end with return and a value on every path, or let the field take None",
        )
    else:
        return error
    named.__cause__ = error
    return named


def _not_awaited(result: object) -> list[Awaitable[object]]:
    """The awaitables that a result is, or holds."""
    inside: Iterable[object] = (result,)
    if isinstance(result, Mapping):
        inside = result.values()
    elif isinstance(result, (list, tuple)):
        inside = result
    return [each for each in inside if isinstance(each, Awaitable)]
