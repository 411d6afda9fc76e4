"""The async shell around the core: it runs tasks, records steps, and hands out results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.lazy import lazily

if TYPE_CHECKING:
    from graphengine.graph.endings import Stop
    from graphengine.runner.context import Context
    from graphengine.runner.live_events import Emitted, NodeBegan, TextDelta
    from graphengine.runner.previous_runs import PastRun
    from graphengine.runner.result import Result, RunFailed, Usage, Wait
    from graphengine.runner.retention import Pruned, Vacuumed
    from graphengine.runner.run import Run, StepRecorded
    from graphengine.runner.runner import Runner
    from graphengine.runner.worker import Worker
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "graphengine.graph.endings": ("Stop",),
            "graphengine.runner.context": ("Context",),
            "graphengine.runner.live_events": ("Emitted", "NodeBegan", "TextDelta"),
            "graphengine.runner.previous_runs": ("PastRun",),
            "graphengine.runner.retention": ("Pruned", "Vacuumed"),
            "graphengine.runner.result": ("Result", "RunFailed", "Usage", "Wait"),
            "graphengine.runner.run": ("Run", "StepRecorded"),
            "graphengine.runner.runner": ("Runner",),
            "graphengine.runner.worker": ("Worker",),
        },
    )

__all__ = [
    "Context",
    "Emitted",
    "NodeBegan",
    "PastRun",
    "Pruned",
    "Result",
    "Run",
    "RunFailed",
    "Runner",
    "StepRecorded",
    "Stop",
    "TextDelta",
    "Usage",
    "Vacuumed",
    "Wait",
    "Worker",
]
