"""The tools of one conversation: their distinct names, and the tools that a turn offers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from graphengine.agents.errors import as_decision
from graphengine.agents.tools import Tool, by_name, called_alike
from graphengine.kernel.inside import Injected
from graphengine.models.tool_schemas import unlike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.inside import Parameter


def named_apart(
    kit: Sequence[tuple[int | None, Tool]], recorded: Mapping[str, Sequence[object]]
) -> tuple[dict[str, Tool], dict[str, JsonValue]]:
    """Give each tool of a conversation a distinct name, and return the tools with a record of these names.

    If a tool of a source has the name of another tool, it gets another name. A source may list other tools after a run
    has waited. The names that a conversation used are therefore recorded, and no name passes to another tool. An
    example:

    1. A server lists `read.file`, and a model calls it as `read_file`. The process dies.
    2. When the run is resumed, the server also lists `read_file`. The recorded call still belongs to `read.file`, and
       the new tool is called `read_file_1f2e3d4c`.

    Args:
        kit: The tools, each with the index of its source among the agent's tools; None for a tool without a source.
        recorded: The record of the conversation: the index of the source and the name at its origin, by name.

    Raises:
        DefinitionError: Two tools without a source, or two tools of the same source, have the same name.
    """
    own = by_name(tool for place, tool in kit if place is None)
    origins: set[tuple[int, str]] = set()
    earlier = {(place, origin): name for name, (place, origin) in recorded.items()}
    found: dict[str, Tool] = {}
    sources: dict[str, JsonValue] = {}
    for place, tool in kit:
        name, origin = tool.name, tool.origin or tool.name
        if place is not None:
            if (place, origin) in origins:
                raise called_alike(origin)
            origins.add((place, origin))
            known = earlier.get((place, origin), "")
            if known and not (known in own or known in found):
                name = known
            elif name in own or name in found or name in recorded:
                name = unlike(name, f"{place} {origin}", {*own, *found, *recorded})
            sources[name] = [place, origin]
        found[name] = tool if name == tool.name else replace(tool, name=name)
    return found, sources


OF_A_TURN: Final = ("turn", "tool")
"""Parameters of `offered=` that are not fields of the state: the number of the turn, and the name of the tool."""


@dataclass(frozen=True, slots=True)
class AllOffer:
    """Combines several `offered=` functions into one: a turn offers a tool only if all of them return True."""

    functions: tuple[Callable[..., bool], ...]

    def __call__(self, **values: object) -> bool:
        return all(_allows(function, values) for function in self.functions)


def both_offer(first: Callable[..., bool] | None, second: Callable[..., bool] | None) -> Callable[..., bool] | None:
    """Combine two functions for `offered=`, so that a turn offers a tool only if both of them return True.

    A function that is None allows the tool. If both are None, the result is None.
    """
    if first is None or second is None:
        return first or second
    return AllOffer((first, second))


def _allows(function: Callable[..., bool], values: Mapping[str, object]) -> bool:
    if isinstance(function, AllOffer):
        return function(**values)
    injected = Injected.of(function)
    found: object = function(**{each: values[each] for each in injected.names if each in values})
    return as_decision(found, f"{injected.name}, of offered=,", f"tool {values.get('tool', '')}")


def reads_of_offer(function: Callable[..., bool]) -> Iterator[Parameter]:
    """Yield the parameters of an `offered=` function that name fields of the state, which the function reads."""
    if isinstance(function, AllOffer):
        for each in function.functions:
            yield from reads_of_offer(each)
    else:
        yield from (each for each in Injected.of(function).parameters if each.name not in OF_A_TURN)


def offered_in(
    turn: int, tools: Mapping[str, Tool], given: Mapping[str, object], fields: Mapping[str, object]
) -> list[str]:
    """Return the names of the tools that the model may call in a turn, by calling their `offered=` functions.

    Args:
        turn: The number of the turn, counted from 1.
        tools: The tools by name.
        given: The values that the run supplies, by name.
        fields: The values of the state, by path.
    """
    found = []
    for name, tool in tools.items():
        own = tool.given({}, fields) if tool.inputs else {}
        values = {**given, **fields, **own, "turn": turn, "tool": name}
        if tool.offered is None or _allows(tool.offered, values):
            found.append(name)
    return found


__all__ = ["AllOffer", "both_offer", "named_apart", "offered_in", "reads_of_offer"]
