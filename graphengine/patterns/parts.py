"""What patterns do to the runnables they are given, so that a function, an agent and a graph fit in alike.

A function and an agent name what they read. A graph takes whatever fields have its fields' names, and so would begin
with the bookkeeping of a pattern around it, where it is a pattern itself: `part` keeps that from it.
"""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from graphengine.agents import Agent
from graphengine.graph.graph import UNSET, Choose, Graph, Node
from graphengine.graph.runnable import FunctionBody, HasBody

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pydantic import BaseModel

    from graphengine.graph.graph import NodeOptions, Options, Runnable

Source: TypeAlias = "str | Callable[..., object]"
F = TypeVar("F", bound="Callable[..., Any]")


def part(
    runnable: Runnable,
    state: type[BaseModel],
    own: Collection[str] = (),
    inputs: Mapping[str, Source] | None = None,
) -> Node:
    """A runnable as a node of a pattern; what its own Node says of inputs comes first.

    Args:
        runnable: What the pattern was given.
        state: The state of the pattern.
        own: The fields that are the pattern's bookkeeping, which no graph is to begin with.
        inputs: What the pattern offers: it is given to what has a parameter, or a graph a field, of that name.
    """
    node = Node(runnable)
    inner = node.runnable
    given: dict[str, Source] = {name: source for name, source in (inputs or {}).items() if _takes(inner, name)}
    if isinstance(inner, Graph) and node.options.inputs is None:
        shared = [name for name in state.model_fields if name not in own and name in inner.state.model_fields]
        return Node(node, inputs={**{name: name for name in shared}, **given})
    return Node(node, inputs={**given, **(node.options.inputs or {})}) if given else node


def checked(runnable: Runnable, check: Callable[..., object]) -> Runnable:
    """An agent whose answers are looked at, so that a bad one goes back to its model; anything else as it is.

    Args:
        runnable: What the pattern was given. What an agent checks itself is looked at afterwards.
        check: Takes the answer, and fields by their names; its ValueError is what the model is told.
    """
    inner = runnable.runnable if isinstance(runnable, Node) else runnable
    if not isinstance(inner, Agent):
        return runnable
    own = inner.check
    agent: Agent[object] = inner.but(check=check if own is None else _both(check, own))
    return with_options(agent, runnable.options) if isinstance(runnable, Node) else agent


def writing(runnable: Runnable, field: str) -> Node:
    """A runnable that writes to a field, unless its own Node says where its result goes."""
    node = Node(runnable)
    return Node(node, writes=field) if node.options.writes is None else node


def called(name: str, function: F) -> F:
    """A function under a name that pictures and explanations can show."""
    function.__name__ = name
    return function


def with_options(runnable: Runnable, options: Options) -> Node:
    """Another runnable with a node's options."""
    said = {each.name: getattr(options, each.name) for each in fields(options)}
    given = {name: value for name, value in said.items() if value is not (UNSET if name == "fallback" else None)}
    return Node(runnable, **cast("NodeOptions", given))


def _both(first: Callable[..., object], own: Callable[..., object]) -> Callable[..., object]:
    """Two checks as one, which reads what both do; the answer comes under the name that the second has for it."""
    signature = inspect.signature(own)
    answer, *_ = signature.parameters
    wanted = list(inspect.signature(first).parameters.values())[1:]

    def check(**values: object) -> object:
        first(values[answer], **{each.name: values[each.name] for each in wanted})
        return own(**{name: value for name, value in values.items() if name in signature.parameters})

    more = [each.replace(kind=each.KEYWORD_ONLY) for each in wanted if each.name not in signature.parameters]
    check.__signature__ = signature.replace(  # type: ignore[attr-defined]  # the engine asks for it, to know what to give
        parameters=[*signature.parameters.values(), *more]
    )
    return check


def _takes(runnable: Runnable, name: str) -> bool:
    """Whether it has a parameter of this name, or one that begins with it, as `route.task` begins with `route`."""
    if isinstance(runnable, Node):
        return _takes(runnable.runnable, name)
    if isinstance(runnable, Choose):
        return any(_takes(case, name) for case in runnable.cases.values())
    body = runnable.body() if isinstance(runnable, HasBody) else FunctionBody.of(runnable, thread=None)
    roots = {parameter.name.split(".")[0].split("[")[0] for parameter in body.parameters}
    return name in roots or bool(getattr(body, "takes_all", False))


__all__ = ["Source", "called", "checked", "part", "with_options", "writing"]
