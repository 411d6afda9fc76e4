"""Live events of a run: shown while they happen, and not recorded. They have no seq."""

from __future__ import annotations

from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of a model's answer, as it is streamed. Only the agent's result of the whole answer is recorded.

    Attributes:
        path: The node's path.
        agent: The agent's name.
        text: The piece.
    """

    path: str
    agent: str
    text: str
