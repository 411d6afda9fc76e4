"""The async shell around the core: it runs tasks, records steps, and hands out results."""

from graphengine.endings import Stop
from graphengine.runner.context import Context
from graphengine.runner.live import Emitted, NodeBegan, TextDelta
from graphengine.runner.past import PastRun
from graphengine.runner.pruning import Pruned, Vacuumed
from graphengine.runner.result import Result, RunFailed, Usage, Wait
from graphengine.runner.run import Run, StepRecorded
from graphengine.runner.runner import Runner
from graphengine.runner.worker import Worker

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
