"""The async shell around the core: it runs tasks, records steps, and hands out results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.lazy import lazily

if TYPE_CHECKING:
    from graphengine.endings import Stop
    from graphengine.runner.context import Context
    from graphengine.runner.live import Emitted, NodeBegan, TextDelta
    from graphengine.runner.past import PastRun
    from graphengine.runner.pruning import Pruned, Vacuumed
    from graphengine.runner.result import Result, RunFailed, Usage, Wait
    from graphengine.runner.run import Run, StepRecorded
    from graphengine.runner.runner import Runner
    from graphengine.runner.worker import Worker
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "graphengine.endings": ("Stop",),
            "graphengine.runner.context": ("Context",),
            "graphengine.runner.live": ("Emitted", "NodeBegan", "TextDelta"),
            "graphengine.runner.past": ("PastRun",),
            "graphengine.runner.pruning": ("Pruned", "Vacuumed"),
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
