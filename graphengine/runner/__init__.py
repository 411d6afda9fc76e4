"""The async shell around the core: it runs tasks, records steps, and returns results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from graphengine.runner.context import Context
    from graphengine.runner.live_events import Emitted, NodeBegan, TextDelta
    from graphengine.runner.previous_runs import PastRun
    from graphengine.runner.result import Result, RunFailed, Usage, Wait
    from graphengine.runner.retention import Pruned, Vacuumed
    from graphengine.runner.run import Run, StepRecorded
    from graphengine.runner.runner import Runner
    from graphengine.runner.worker import Worker
else:
    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "context": ("Context",),
            "live_events": ("Emitted", "NodeBegan", "TextDelta"),
            "previous_runs": ("PastRun",),
            "retention": ("Pruned", "Vacuumed"),
            "result": ("Result", "RunFailed", "Usage", "Wait"),
            "run": ("Run", "StepRecorded"),
            "runner": ("Runner",),
            "worker": ("Worker",),
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
    "TextDelta",
    "Usage",
    "Vacuumed",
    "Wait",
    "Worker",
]
