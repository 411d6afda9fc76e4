"""graphengine: a state-machine graph engine for agent workflows.

Define a typed state and a graph of nodes, run it, resume it after any crash, branch it from any step, draw it, and
test its nodes alone. Names load when they are first used, so that importing the package stays cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.lazy import lazily

if TYPE_CHECKING:
    from graphengine.agents import Agent, Window, mcp, tool
    from graphengine.asking import ask
    from graphengine.conditions import (
        Condition,
        changed,
        elapsed_seconds,
        failed,
        iterations,
        plateau,
        usage,
        value,
    )
    from graphengine.endings import Stop, ended
    from graphengine.errors import CompileError, GraphEngineError
    from graphengine.failure import Failure
    from graphengine.files import TextFile
    from graphengine.graph import END, FAIL, START, Graph, Limits, Migration, Node, Retry, Runnable, choose
    from graphengine.models import Message, Model, Router, ScriptedModel
    from graphengine.options import Sizes
    from graphengine.reducers import Replace
    from graphengine.runner import Context, PastRun, Pruned, Result, Run, RunFailed, Runner, Usage, Wait, Worker
    from graphengine.secret import Secret
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "graphengine.agents": ("Agent", "Window", "mcp", "tool"),
            "graphengine.asking": ("ask",),
            "graphengine.conditions": (
                "Condition",
                "changed",
                "elapsed_seconds",
                "failed",
                "iterations",
                "plateau",
                "usage",
                "value",
            ),
            "graphengine.endings": ("Stop", "ended"),
            "graphengine.errors": ("CompileError", "GraphEngineError"),
            "graphengine.failure": ("Failure",),
            "graphengine.files": ("TextFile",),
            "graphengine.graph": (
                "END",
                "FAIL",
                "START",
                "Graph",
                "Limits",
                "Migration",
                "Node",
                "Retry",
                "Runnable",
                "choose",
            ),
            "graphengine.models": ("Message", "Model", "Router", "ScriptedModel"),
            "graphengine.options": ("Sizes",),
            "graphengine.secret": ("Secret",),
            "graphengine.reducers": ("Replace",),
            "graphengine.runner": (
                "Context",
                "PastRun",
                "Pruned",
                "Result",
                "Run",
                "RunFailed",
                "Runner",
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
    "CompileError",
    "Condition",
    "Context",
    "Failure",
    "Graph",
    "GraphEngineError",
    "Limits",
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
    "Sizes",
    "Stop",
    "TextFile",
    "Usage",
    "Wait",
    "Window",
    "Worker",
    "ask",
    "changed",
    "choose",
    "elapsed_seconds",
    "ended",
    "failed",
    "iterations",
    "mcp",
    "plateau",
    "tool",
    "usage",
    "value",
]
