"""The topics on which a graph receives messages, where its source shows all of them.

They are all known if each node is a plain function whose source is the one that runs; if it uses `ctx` by its methods
alone, names each topic by a text, and awaits nothing else, nor `ctx.call`; and if no plain function may return what is
awaited then: that could be an agent, which receives too. So nothing is known of a graph with agents.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Awaitable
from types import CodeType, FunctionType, NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

from graphengine.graph.source_location import source_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.engine.plan import Call, Plan


_MOST: Final = 64
_FUTURE: Final = annotations.compiler_flag
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
    function = call.function
    if function != call.body.call:  # something stands in for it
        return None
    if call.body.kind in {"ask", "pass"}:
        return frozenset()
    if call.body.kind != "function" or not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        return None
    is_async = inspect.iscoroutinefunction(function)
    if not is_async and _may_be_awaited(call.body.returns):
        return None
    return _find_received_topics(function) if is_async or "ctx" in call.extras else frozenset()


def _may_be_awaited(returns: object) -> bool:
    """Return whether a result of this annotation may be awaited; of one that says nothing, it may."""
    origin = get_origin(returns) or returns
    if origin in (Union, UnionType):
        return any(map(_may_be_awaited, get_args(returns)))
    if origin in (None, NoneType, Literal):
        return False
    return not isinstance(origin, type) or origin in (Any, Annotated, object) or issubclass(origin, Awaitable)


def _find_received_topics(function: FunctionType) -> frozenset[str] | None:
    """Return the topics that a function receives; None if its source does not show all."""
    found = source_of(function)
    if found is None or not _is_source(found[0], function.__code__):
        return None
    topics: set[str] = set()
    nodes = list(ast.walk(found[0]))
    methods = {id(node.value): node.attr for node in nodes if isinstance(node, ast.Attribute)}
    calls = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id == "ctx" and id(node) not in methods:
            return None  # it is passed on
        if isinstance(node, ast.AsyncFor | ast.AsyncWith) or getattr(node, "is_async", False):
            return None
        if isinstance(node, ast.Await) and not _is_known(node.value):
            return None
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "ctx":
            for topic in _find_named_topics(node.attr, calls.get(id(node))):
                if topic is None:
                    return None
                topics.add(topic)
    return frozenset(topics)


def _is_source(statement: ast.stmt, code: CodeType) -> bool:
    """Return whether a statement defines the function that has this code, and not one that its file has by now."""
    module = compile(ast.Module([statement], []), "", "exec", flags=code.co_flags & _FUTURE, dont_inherit=True)
    return any(_read_names(made) == _read_names(code) for made in module.co_consts if isinstance(made, CodeType))


def _read_names(code: CodeType) -> tuple[str, set[str], list[object]]:
    """Return the name of a code, its other names, and its texts and inner codes, in order."""
    names = {*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars}
    inner = [_read_names(each) if isinstance(each, CodeType) else each for each in code.co_consts]
    return code.co_name, names, [each for each in inner if isinstance(each, str | tuple)]


def _is_known(awaited: ast.AST) -> bool:
    """Return whether what is awaited receives nothing that is not shown: a method of `ctx`, or the end of a run."""
    if not (isinstance(awaited, ast.Call) and isinstance(awaited.func, ast.Attribute)):
        return False
    return getattr(awaited.func.value, "id", "") == "ctx" or awaited.func.attr == "result"


def _find_named_topics(method: str, call: ast.Call | None) -> Iterator[str | None]:
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
