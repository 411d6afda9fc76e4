"""The doors of the service besides HTTP: one list, for the options of `graphengine serve` and for its server.

A door is a few routes over `Service`, and loads when it is opened: what it needs may not be installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.wings import Door, others

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AsyncExitStack

    from graphengine.serve.guard import TokenAccess
    from graphengine.serve.service.app import Service


class Opening(NamedTuple):
    """What a door is opened with.

    Attributes:
        service: What starts, follows and answers runs.
        access: Who can use it.
        version: This package's version.
        secret: What only the processes of this service know, if it has a token.
        stack: Closes what the door opens.
    """

    service: Service
    access: TokenAccess
    version: str
    secret: str
    stack: AsyncExitStack


_HERE: Final = "graphengine.serve.service"
DOORS: Final = (
    Door(
        "ag-ui",
        "AG-UI",
        "front ends by AG-UI",
        "/agui",
        f"{_HERE}.ag_ui_door",
        more="/GRAPH",
        extra="ag-ui",
        needs="ag_ui",
    ),
    Door("ai-sdk", "AI SDK", "front ends by useChat of the AI SDK", "/ai-sdk", f"{_HERE}.ai_sdk_door", more="/GRAPH"),
    Door(
        "a2a",
        "A2A",
        "the graphs as agents of the A2A protocol",
        "/a2a",
        f"{_HERE}.a2a_door",
        more="/GRAPH",
        extra="a2a",
        needs="a2a",
    ),
    Door("openai", "OpenAI", "the graphs as models of OpenAI's API", "/v1", f"{_HERE}.openai_door"),
    Door("mcp", "MCP", "the graphs as tools of an MCP server", "/mcp", f"{_HERE}.mcp_door", extra="mcp", needs="mcp"),
)


def doors() -> Sequence[Door]:
    """Return the doors, those of other packages included."""
    return [*DOORS, *(door for wing in others().values() for door in wing.doors)]


__all__ = ["DOORS", "Opening", "doors"]
