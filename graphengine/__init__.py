"""graphengine: a state-machine graph engine for agent workflows.

Define a typed state and a graph of nodes, run it, resume it after any crash, branch it from any step, draw it, and
test its nodes in isolation. Names are loaded on first use, so that importing the package stays cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from graphengine.agents import Agent, Window, mcp, tool
    from graphengine.api.graph import Graph
    from graphengine.api.runner import Runner
    from graphengine.api.sync import SyncRun, SyncRunner
    from graphengine.cli.live import show
    from graphengine.errors import CompileError, GraphEngineError
    from graphengine.graph.conditions import (
        Condition,
        changed,
        elapsed_seconds,
        failed,
        iterations,
        plateau,
        usage,
        value,
    )
    from graphengine.graph.definition import END, FAIL, START, Limits, Migration, Node, Retry, Runnable, choose
    from graphengine.graph.endings import ended_with
    from graphengine.graph.options import Sizes
    from graphengine.graph.question import ask
    from graphengine.models import (
        Cited,
        Lane,
        Message,
        Model,
        Router,
        ScriptedModel,
        Settings,
        code_execution,
        web_fetch,
        web_search,
    )
    from graphengine.reducers import Replace
    from graphengine.runner import Context, PastRun, Pruned, Result, Run, RunFailed, Usage, Wait, Worker
    from graphengine.state.ending import Ending
    from graphengine.state.failure import Failure
    from graphengine.state.media import Media
    from graphengine.state.secret import Secret
    from graphengine.state.text_file import TextFile
else:
    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "agents": ("Agent", "Window", "mcp", "tool"),
            "cli.live": ("show",),
            "graph.question": ("ask",),
            "graph.conditions": (
                "Condition",
                "changed",
                "elapsed_seconds",
                "failed",
                "iterations",
                "plateau",
                "usage",
                "value",
            ),
            "graph.endings": ("ended_with",),
            "state.ending": ("Ending",),
            "errors": ("CompileError", "GraphEngineError"),
            "state.failure": ("Failure",),
            "state.media": ("Media",),
            "state.text_file": ("TextFile",),
            "api.graph": ("Graph",),
            "api.runner": ("Runner",),
            "api.sync": ("SyncRun", "SyncRunner"),
            "graph.definition": (
                "END",
                "FAIL",
                "START",
                "Limits",
                "Migration",
                "Node",
                "Retry",
                "Runnable",
                "choose",
            ),
            "models": (
                "Cited",
                "Lane",
                "Message",
                "Model",
                "Router",
                "ScriptedModel",
                "Settings",
                "code_execution",
                "web_fetch",
                "web_search",
            ),
            "graph.options": ("Sizes",),
            "state.secret": ("Secret",),
            "reducers": ("Replace",),
            "runner": (
                "Context",
                "PastRun",
                "Pruned",
                "Result",
                "Run",
                "RunFailed",
                "Usage",
                "Wait",
                "Worker",
            ),
        },
    )

__version__ = "0.1.0"

__all__ = [
    "END",
    "FAIL",
    "START",
    "Agent",
    "Cited",
    "CompileError",
    "Condition",
    "Context",
    "Ending",
    "Failure",
    "Graph",
    "GraphEngineError",
    "Lane",
    "Limits",
    "Media",
    "Message",
    "Migration",
    "Model",
    "Node",
    "PastRun",
    "Pruned",
    "Replace",
    "Result",
    "Retry",
    "Router",
    "Run",
    "RunFailed",
    "Runnable",
    "Runner",
    "ScriptedModel",
    "Secret",
    "Settings",
    "Sizes",
    "SyncRun",
    "SyncRunner",
    "TextFile",
    "Usage",
    "Wait",
    "Window",
    "Worker",
    "ask",
    "changed",
    "choose",
    "code_execution",
    "elapsed_seconds",
    "ended_with",
    "failed",
    "iterations",
    "mcp",
    "plateau",
    "show",
    "tool",
    "usage",
    "value",
    "web_fetch",
    "web_search",
]
