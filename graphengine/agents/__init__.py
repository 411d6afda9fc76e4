"""Agents: nodes that call a model, with tools, guards and a window on a long conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from graphengine.agents.agent import Agent, Answer
    from graphengine.agents.approval import Approval, Edit, Refuse, file_diff
    from graphengine.agents.guards import Guard, guard
    from graphengine.agents.hooks import Hooks
    from graphengine.agents.live_events import (
        AnswerReset,
        PartialAnswer,
        TextDelta,
        ThinkingDelta,
        ToolCalled,
        ToolReturned,
    )
    from graphengine.agents.mcp_servers import mcp
    from graphengine.agents.pydantic_ai import pydantic_ai_node
    from graphengine.agents.tools import Tool, ToolSource, tool
    from graphengine.agents.window import Window, without_tools
else:
    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "agent": ("Agent", "Answer"),
            "approval": ("Approval", "Edit", "Refuse", "file_diff"),
            "guards": ("Guard", "guard"),
            "hooks": ("Hooks",),
            "live_events": (
                "AnswerReset",
                "PartialAnswer",
                "TextDelta",
                "ThinkingDelta",
                "ToolCalled",
                "ToolReturned",
            ),
            "mcp_servers": ("mcp",),
            "pydantic_ai": ("pydantic_ai_node",),
            "tools": ("Tool", "ToolSource", "tool"),
            "window": ("Window", "without_tools"),
        },
    )

__all__ = [
    "Agent",
    "Answer",
    "AnswerReset",
    "Approval",
    "Edit",
    "Guard",
    "Hooks",
    "PartialAnswer",
    "Refuse",
    "TextDelta",
    "ThinkingDelta",
    "Tool",
    "ToolCalled",
    "ToolReturned",
    "ToolSource",
    "Window",
    "file_diff",
    "guard",
    "mcp",
    "pydantic_ai_node",
    "tool",
    "without_tools",
]
