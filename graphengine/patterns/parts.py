"""Adapters that let patterns treat functions, agents and graphs alike.

A function or an agent names the values that it reads. A graph reads every field that has the name of one of its own
fields. A pattern inside another pattern would in this way start with the outer pattern's internal fields; `part`
prevents this.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pydantic import TypeAdapter

from graphengine.agents import Agent
from graphengine.api.graph import Graph
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import Choose, Node, Writes, signature_of
from graphengine.kernel.inside import FunctionBody, HasBody

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pydantic import BaseModel

    from graphengine.kernel.extension import Runnable
    from graphengine.kernel.inside import AnyFunction

Source: TypeAlias = "str | AnyFunction[object]"
F = TypeVar("F", bound="Callable[..., Any]")
T = TypeVar("T")


def part(
    runnable: Runnable,
    state: type[BaseModel],
    own: Collection[str] = (),
    inputs: Mapping[str, Source] | None = None,
) -> Node:
    """Turn a function, agent or graph that the user passed to a pattern into a node of the pattern's graph.

    If the user passed a `Node` with its own `inputs=`, these take precedence over the inputs that the pattern offers.

    Args:
        runnable: The function, agent or graph, or a `Node` with one.
        state: The state of the pattern.
        own: The fields of the state that only the pattern itself uses. A graph that runs in the node does not receive
            them.
        inputs: Values that the pattern offers, by name. A value is passed if the function or agent has a parameter, or
            the graph a field, with this name.
    """
    node = Node(runnable)
    inner = node.runnable
    offered: dict[str, Source] = {name: source for name, source in (inputs or {}).items() if _takes(inner, name)}
    if isinstance(inner, Graph) and node.sources is None:
        shared = [name for name in state.model_fields if name not in own and name in inner.state.model_fields]
        return Node(node, inputs={**{name: name for name in shared}, **offered})
    return Node(node, inputs={**offered, **(node.sources or {})}) if offered else node


def checked(runnable: Runnable, check: Callable[..., object]) -> Runnable:
    """Return a copy of an agent that checks its answers for a pattern, so that its model answers again after a bad one.

    Functions and graphs are returned unchanged, because they have no model that could correct an answer.

    Args:
        runnable: The agent, function or graph. If an agent already has a check of its own, that check runs after
            `check`.
        check: A function that receives the answer, and fields of the state by their names. If it raises a ValueError,
            the text of the error is sent to the model.
    """
    inner = runnable.runnable if isinstance(runnable, Node) else runnable
    if not isinstance(inner, Agent):
        return runnable
    own = inner.check
    agent: Agent[object] = inner.but(check=check if own is None else _both(check, own))
    return replace(runnable, runnable=agent) if isinstance(runnable, Node) else agent


def check_names(call: str, names: Collection[str], own: Collection[str]) -> None:
    """Check that a user's names for agents do not collide with the names of the pattern's own nodes.

    Args:
        call: The pattern and its parameter, for the error, such as `supervisor(workers`.
        names: The user's names.
        own: The names of the pattern's own nodes.

    Raises:
        DefinitionError: The user gave no names, or one of the names is that of a node of the pattern.
    """
    if not names or not set(own).isdisjoint(names):
        nodes = ", ".join(map(repr, sorted(own)))
        text = f"{call}={sorted(names)}): the names {nodes} belong to nodes of the pattern itself"
        if not names:
            text = f"{call}={sorted(names)}): the pattern needs at least one agent"
        repair = f"give at least one agent, under another name than {nodes}"
        raise DefinitionError(text, where=call.partition("(")[0], repair=repair)


def validating(kind: type[T], check: Callable[[T], object]) -> Callable[..., object]:
    """Return a function for `Node(writes=…)` that checks the result of a node before it is written to the state.

    The function raises an error if the result does not fit the type `kind`, or if `check` raises an error.
    """

    def validated(result: object) -> object:
        value = TypeAdapter(kind).validate_python(result)
        check(value)
        return value

    return validated


def writing(runnable: Runnable, where: Writes) -> Node:
    """Make a node that writes the runnable's result to these fields, unless the user's `Node` already names fields."""
    node = Node(runnable)
    return Node(node, writes=where) if node.writes is None else node


def called(name: str, function: F) -> F:
    """Give a function a name that pictures and explanations of runs show."""
    function.__name__ = name
    return function


def _both(first: Callable[..., object], own: Callable[..., object]) -> Callable[..., object]:
    """Combine two checks of an agent's answers into one function: the pattern's check and the user's own check.

    The returned function has the parameters of both.
    """
    signature = signature_of(own)
    answer, *_ = signature.parameters
    wanted = list(signature_of(first).parameters.values())[1:]

    def check(**values: object) -> object:
        first(values[answer], **{each.name: values[each.name] for each in wanted})
        return own(**{name: value for name, value in values.items() if name in signature.parameters})

    more = [each.replace(kind=each.KEYWORD_ONLY) for each in wanted if each.name not in signature.parameters]
    check.__signature__ = signature.replace(  # type: ignore[attr-defined]  # for inspect.signature
        parameters=[*signature.parameters.values(), *more]
    )
    return check


def _takes(runnable: Runnable, name: str) -> bool:
    """Return whether a function, agent or graph reads a value with this name.

    A parameter such as `route.task` counts as reading `route`.
    """
    if isinstance(runnable, Node):
        return _takes(runnable.runnable, name)
    if isinstance(runnable, Choose):
        return any(_takes(case, name) for case in runnable.cases.values())
    body = runnable.__body__() if isinstance(runnable, HasBody) else FunctionBody.of(runnable, thread=None)
    roots = {parameter.name.split(".")[0].split("[")[0] for parameter in body.parameters}
    return name in roots or bool(getattr(body, "takes_all", False))


__all__ = ["Source", "called", "check_names", "checked", "part", "validating", "writing"]
