"""Live events of a run: what is shown while it happens, and is not recorded. They carry no seq."""

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
    """A piece of a model's answer, as it comes. What the agent makes of the whole answer is what counts.

    Attributes:
        path: The node.
        agent: The agent that asked.
        text: The piece.
    """

    path: str
    agent: str
    text: str
