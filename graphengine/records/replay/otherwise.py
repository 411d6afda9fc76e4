"""What a replay found, as a value and as the document of `graphengine replay --json`; imported by quick commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Otherwise:
    """One step that today's graph decides differently, or that it could not have reached.

    Attributes:
        seq: The step.
        path: The place of its node, as `article/review`; "" for a step of the run itself.
        what: `edge`, `update`, `inputs`, `work`, `ready`, `state`, `limit`, `retry`, `choice`, `wait`, `map`,
            `subgraph`, `stop`, `outcome`, `marks`; `reason` if only the explanation of the decision differs.
        recorded: What was recorded, as JSON.
        today: What it is today, as JSON.
        message: The difference in a sentence.
        repair: What to do about it.
    """

    seq: int
    path: str
    what: str
    recorded: Any
    today: Any
    message: str
    repair: str

    def __str__(self) -> str:
        place = f" ({self.path})" if self.path else ""
        return f"step {self.seq}{place}, {self.what}: {self.message}\n  repair: {self.repair}"


__all__ = ["Otherwise"]
