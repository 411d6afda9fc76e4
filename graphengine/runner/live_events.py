"""Live events of a run: shown while they happen, and not recorded. They have no seq."""

from __future__ import annotations

from dataclasses import dataclass

from graphengine.agents.live_events import (
    AnswerReset,
    PartialAnswer,
    TextDelta,
    ThinkingDelta,
    ToolCalled,
    ToolReturned,
)


@dataclass(frozen=True, slots=True)
class NodeBegan:
    """An attempt of a node began; `after` is the seq of the last step before it."""

    path: str
    node: str
    visit: int
    attempt: int
    at: float
    after: int


@dataclass(frozen=True, slots=True)
class Emitted:
    """A node showed something with `ctx.emit`."""

    path: str
    data: object


__all__ = [
    "AnswerReset",
    "Emitted",
    "NodeBegan",
    "PartialAnswer",
    "TextDelta",
    "ThinkingDelta",
    "ToolCalled",
    "ToolReturned",
]
