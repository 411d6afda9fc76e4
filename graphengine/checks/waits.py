"""The check for waits in an effect that must not be repeated, because the effect would act again after the wait.

The source of a function shows `ctx.ask`, `ctx.receive`, `ctx.sleep` and the result of a child run. A wait that the
source does not show is refused when it is called.
"""

from __future__ import annotations

import ast
import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from graphengine.errors import Problem
from graphengine.kernel.inside import WAIT_ELSEWHERE, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from graphengine.kernel.extension import NodePlan


@runtime_checkable
class KnowsWaits(Protocol):
    """An interface of what nodes run, for finding out whether it waits, as an agent whose tools need approval does."""

    def waits(self) -> tuple[str, str] | None:
        """The body's wait as code, and what to do if the node is an effect; None if nothing is known."""
        ...


_WAITS: Final = ("ask", "receive", "sleep", "sleep_until")


def wait_problems(nodes: Mapping[str, NodePlan]) -> Iterator[Problem]:
    """Find nodes that are declared with `effect="once"` although they wait.

    A node starts again from its beginning after a wait, which would repeat the effect. A node's fallback is not an
    effect, so it may wait.
    """
    for name, node in nodes.items():
        for body in (call.body for call in node.calls if node.once is not None):
            found = body.waits() if isinstance(body, KnowsWaits) else (wait_in(body.call), WAIT_ELSEWHERE)
            if found is not None and found[0]:
                text = f'{body.name} waits ({found[0]}), but after a wait its node starts again, despite effect="once"'
                yield Problem("waits_in_effect", f"node {name}", text, found[1])


def wait_in(function: object) -> str:
    """Return the first wait in a function's source, as it is written there, such as `ctx.ask`; "" if there is none."""
    inner = function_of(function)
    found = source_of(inner) if inner is not None else None
    if inner is None or found is None or getattr(found[0], "name", "") != inner.__code__.co_name:
        return ""  # a lambda, which is in the source of another function
    nodes = list(_walk_function(found[0]))
    assigned = [node for node in nodes if isinstance(node, ast.Assign) and _starts(node.value)]
    children = {each.id for node in assigned for each in node.targets if isinstance(each, ast.Name)}
    return next(filter(None, (_wait(node, children) for node in nodes)), "")


def function_of(function: object) -> FunctionType | None:
    """Return the plain Python function inside a partial, a method, a decorated function or a callable object.

    None if there is no such function.
    """
    inner = inspect.unwrap(outermost_of(function))
    inner = getattr(inner, "__func__", inner)
    return inner if isinstance(inner, FunctionType) else None


def outermost_of(function: object) -> Callable[..., object]:
    """Return the function behind a partial, a method or a callable object. Its decorators are kept."""
    inner = getattr(function, "func", function)  # of a functools.partial
    inner = inner if inspect.isroutine(inner) else type(inner).__call__
    return getattr(inner, "__func__", inner)


def _walk_function(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the syntax nodes of a function's source, without those of inner functions that have a `ctx` parameter.

    Such an inner function, for example a tool, waits by itself.
    """
    for each in ast.iter_child_nodes(node):
        if not any(isinstance(argument, ast.arg) and argument.arg == "ctx" for argument in _walk_arguments(each)):
            yield each
            yield from _walk_function(each)


def _walk_arguments(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        yield from ast.iter_child_nodes(node.args)


def _wait(node: ast.AST, children: Collection[str]) -> str:
    """Return the name of the wait that an expression in a node's source performs, such as `ctx.ask`.

    The result is "" if the expression does not wait.
    """
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return ""
    what, of = node.func.attr, node.func.value
    if isinstance(of, ast.Name) and of.id == "ctx" and what in _WAITS:
        return f"ctx.{what}"
    is_child = of.id in children if isinstance(of, ast.Name) else _starts(of)
    return "child.result" if is_child and what == "result" else ""


def _starts(value: ast.AST) -> bool:
    """Return whether an expression in a node's source starts a child run."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == "start" and getattr(node.value, "id", "") == "ctx"
        for node in ast.walk(value)
    )


__all__ = ["function_of", "outermost_of", "wait_in", "wait_problems"]
