"""The names of an agent's tools in one conversation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from graphengine.agents.tools import Tool, by_name
from graphengine.models.tool_schemas import unlike

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel import JsonValue


def named_apart(
    kit: Sequence[tuple[int | None, Tool]], recorded: Mapping[str, Sequence[object]]
) -> tuple[dict[str, Tool], dict[str, JsonValue]]:
    """Return the tools of one conversation by name, and what is to be recorded of those with another name than theirs.

    A tool of a source whose name another tool has gets another name. What a source lists can change while a run waits,
    so the names that a conversation has begun with are recorded: none of them passes to another tool.

    1. A server lists `read.file`, and a model calls `read_file`. The process dies.
    2. The server lists `read_file` too when the run is resumed. The call is one of `read.file` all the same, and the
       new tool is `read_file_1f2e3d4c`.

    Args:
        kit: The tools, each with the place of its source among the agent's tools; None for one that has no source.
        recorded: What was recorded of the conversation.

    Raises:
        DefinitionError: Two that have no source have the same name.
    """
    own = by_name(tool for place, tool in kit if place is None)
    earlier = {(place, origin): name for name, (place, origin) in recorded.items()}
    found: dict[str, Tool] = {}
    made: dict[str, JsonValue] = {}
    for place, tool in kit:
        name = tool.name
        if place is not None:
            known = earlier.get((place, tool.origin), "")
            if known and known not in {*own, *found}:
                name = known
            elif name in (taken := {*own, *found, *recorded}):
                name = unlike(name, f"{place} {tool.origin}", taken)
            if name != tool.origin:
                made[name] = [place, tool.origin]
        found[name] = tool if name == tool.name else replace(tool, name=name)
    return found, made


__all__ = ["named_apart"]
