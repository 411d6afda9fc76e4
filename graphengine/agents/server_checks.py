"""Find the tools of a graph's MCP servers that no model can call, for `graphengine check --servers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.agents.model_routing import agents_in
from graphengine.agents.tools import LeavesOut
from graphengine.errors import GraphEngineError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.extension import Plan


async def of_servers(plan: Plan[Any]) -> Sequence[Problem]:
    """Start the MCP servers of a graph's agents, and return a warning for each tool that no model can call."""
    found: dict[Problem, None] = {}
    for agent in agents_in(plan):
        where = f"agent {agent.name}"
        for server in agent.tools:
            if not isinstance(server, LeavesOut):
                continue
            try:
                left = await server.left_out()
            except GraphEngineError as error:
                found[Problem("tools_unavailable", where, error.message, error.repair, warning=True)] = None
                continue
            for name, why in left.items():
                text = f"no model can call the tool {name!r} of the MCP server {server.name!r}: {why}"
                repair = "leave the tool out with only=[…], or report the problem to the authors of the server"
                found[Problem("tool_left_out", where, text, repair, warning=True)] = None
    return list(found)


__all__ = ["of_servers"]
