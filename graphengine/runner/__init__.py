"""The async shell around the engine: it runs tasks, records steps, and returns results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from graphengine.runner.context import Context
    from graphengine.runner.event_json import event_document
    from graphengine.runner.extensions import Extension, Follower, OpenRun
    from graphengine.runner.live_events import Emitted, LiveEvent, NodeBegan
    from graphengine.runner.previous_runs import PastRun
    from graphengine.runner.result import Result, RunFailed, Usage, Wait
    from graphengine.runner.retention import Pruned, Vacuumed
    from graphengine.runner.run import Run
    from graphengine.runner.run_events import RunEnded, StatusChanged, StepRecorded
    from graphengine.runner.runner import Runner
    from graphengine.runner.schedules import Schedule
    from graphengine.runner.worker import Worker
else:
    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "context": ("Context",),
            "event_json": ("event_document",),
            "extensions": ("Extension", "Follower", "OpenRun"),
            "live_events": ("Emitted", "LiveEvent", "NodeBegan"),
            "previous_runs": ("PastRun",),
            "retention": ("Pruned", "Vacuumed"),
            "result": ("Result", "RunFailed", "Usage", "Wait"),
            "run": ("Run",),
            "run_events": ("RunEnded", "StatusChanged", "StepRecorded"),
            "runner": ("Runner",),
            "schedules": ("Schedule",),
            "worker": ("Worker",),
        },
    )

__all__ = [
    "Context",
    "Emitted",
    "Extension",
    "Follower",
    "LiveEvent",
    "NodeBegan",
    "OpenRun",
    "PastRun",
    "Pruned",
    "Result",
    "Run",
    "RunEnded",
    "RunFailed",
    "Runner",
    "Schedule",
    "StatusChanged",
    "StepRecorded",
    "Usage",
    "Vacuumed",
    "Wait",
    "Worker",
    "event_document",
]
