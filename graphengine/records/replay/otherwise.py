"""The class of one difference that a replay finds. Commands that must start quickly import this module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Otherwise:
    """A difference that a replay found: today's graph decides a recorded step differently, or cannot reach the step.

    Attributes:
        seq: The number of the step.
        path: The path of the node, such as `article/review`; "" for a step of the run itself.
        what: The part of the decision that differs: `edge`, `update`, `inputs`, `work`, `ready`, `state`, `limit`,
            `retry`, `choice`, `wait`, `map`, `subgraph`, `stop`, `outcome` or `marks`; `reason` if only the explanation
            of the decision differs.
        recorded: The recorded value, as JSON.
        today: Today's value, as JSON.
        message: The difference in a sentence.
        repair: How to remove the difference.
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
