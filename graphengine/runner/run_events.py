"""What a subscriber to a run gets: its recorded steps, its status, its end, and live events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from graphengine.engine.steps import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.steps import RunStatus, Step
    from graphengine.history.waits import Wait
    from graphengine.runner.live_events import Emitted, LiveEvent, NodeBegan
    from graphengine.runner.result import Result


@dataclass(frozen=True, slots=True)
class StepRecorded:
    """A step is durable. Each subscriber gets all of them, in order of seq."""

    seq: int
    step: Step

    def __str__(self) -> str:
        step = self.step
        to = f" → {', '.join(step.data.to)}" if isinstance(step.data, Outcome) and step.data.to else ""
        visit = f" {step.path} (visit {step.visit}, attempt {step.attempt})" if step.node else ""
        return f"{self.seq} {step.kind}{visit}{to}"


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The status, the driver or the waits of a run are these now; only for runs that are not driven here.

    Attributes:
        status: As of the last step.
        driver: The process that drives it; None if none does, or if the process of a `running` one has died.
        waits: What it waits for.
    """

    status: RunStatus
    driver: str | None
    waits: Sequence[Wait]


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run is over, waits, or is released: the last event, with the result. A failed run has its error there."""

    result: Result[Any]


Event: TypeAlias = "NodeBegan | Emitted | LiveEvent | StepRecorded | StatusChanged | RunEnded"
