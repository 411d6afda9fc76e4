"""Agents: nodes that ask a model, and what they are given: tools, guards, a window on a long conversation."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphengine.agents.agent import Agent, Answer
    from graphengine.agents.guards import (
        Guard,
        forbidden,
        guard,
        max_characters,
        max_words,
        personal_data,
        required,
    )
    from graphengine.agents.mcp_servers import mcp
    from graphengine.agents.tools import Tool, ToolSource, tool
    from graphengine.agents.window import Window

_HOMES = {
    "graphengine.agents.agent": ("Agent", "Answer"),
    "graphengine.agents.guards": (
        "Guard",
        "forbidden",
        "guard",
        "max_characters",
        "max_words",
        "personal_data",
        "required",
    ),
    "graphengine.agents.mcp_servers": ("mcp",),
    "graphengine.agents.tools": ("Tool", "ToolSource", "tool"),
    "graphengine.agents.window": ("Window",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        message = f"module 'graphengine.agents' has no attribute {name!r}"
        raise AttributeError(message)
    found: object = getattr(import_module(home), name)
    globals()[name] = found
    return found


__all__ = [
    "Agent",
    "Answer",
    "Guard",
    "Tool",
    "ToolSource",
    "Window",
    "forbidden",
    "guard",
    "max_characters",
    "max_words",
    "mcp",
    "personal_data",
    "required",
    "tool",
]
