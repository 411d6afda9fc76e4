"""The topics on which a graph receives messages, where its source shows all of them.

They are all known if each function that gets a `ctx` uses it by its methods alone, names each topic by a text, and
awaits nothing else, nor `ctx.call`: what it would await could be an agent, which receives too. So nothing is known of a
graph with agents.
"""

from __future__ import annotations

import ast
import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from graphengine.graph.source_location import source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graphengine.engine.plan import Call, Plan


_MOST: Final = 64
_FOUND: Final[dict[int, tuple[Plan[Any], frozenset[str] | None]]] = {}
"""What was found of the last graphs, by the identity of their plans, which cannot be hashed."""


def topics_of(plan: Plan[Any]) -> frozenset[str] | None:
    """Return all topics that the nodes of a graph, and of its subgraphs, receive; None if they are not all known."""
    known = _FOUND.get(id(plan))
    if known is None:
        known = _FOUND[id(plan)] = plan, _of_nodes(plan)
        if len(_FOUND) > _MOST:
            del _FOUND[next(iter(_FOUND))]
    return known[1]


def _of_nodes(plan: Plan[Any]) -> frozenset[str] | None:
    found: set[str] = set()
    for node in plan.nodes.values():
        replaces = node.fallback.call if node.fallback is not None else None
        for call in [*node.calls, *([replaces] if replaces is not None else [])]:
            topics = _of_call(call)
            if topics is None:
                return None
            found |= topics
    return frozenset(found)


def _of_call(call: Call) -> frozenset[str] | None:
    if call.graph is not None:
        return topics_of(call.graph)
    if call.body.kind in {"ask", "pass"}:
        return frozenset()
    if call.body.kind != "function":
        return None
    is_async = inspect.iscoroutinefunction(call.body.call)
    return _received(call.body.call) if is_async or "ctx" in call.extras else frozenset()


def _received(function: Callable[..., object]) -> frozenset[str] | None:
    """Return the topics that a function receives; None if its source does not show all."""
    found = source_of(function) if isinstance(function, FunctionType) else None
    if found is None or getattr(found[0], "name", "") != inspect.unwrap(function).__code__.co_name:
        return None
    topics: set[str] = set()
    nodes = list(ast.walk(found[0]))
    methods = {id(node.value): node.attr for node in nodes if isinstance(node, ast.Attribute)}
    calls = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id == "ctx" and id(node) not in methods:
            return None  # it is passed on
        if isinstance(node, ast.AsyncFor | ast.AsyncWith) or (
            isinstance(node, ast.Await) and not _is_known(node.value)
        ):
            return None
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "ctx":
            for topic in _named(node.attr, calls.get(id(node))):
                if topic is None:
                    return None
                topics.add(topic)
    return frozenset(topics)


def _is_known(awaited: ast.AST) -> bool:
    """Return whether what is awaited receives nothing that is not shown: a method of `ctx`, or the end of a run."""
    if not (isinstance(awaited, ast.Call) and isinstance(awaited.func, ast.Attribute)):
        return False
    return getattr(awaited.func.value, "id", "") == "ctx" or awaited.func.attr == "result"


def _named(method: str, call: ast.Call | None) -> Iterator[str | None]:
    """Yield the topics that a use of a method of `ctx` names, None for one that is not shown."""
    if method not in {"receive", "start", "call"}:
        return
    if method == "call" or call is None or any(keyword.arg is None for keyword in call.keywords):
        yield None
        return
    given = [keyword.value for keyword in call.keywords if keyword.arg == "topic"]
    if method == "receive":
        given += call.args[:1]
    for value in given:
        yield value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


__all__ = ["topics_of"]
