"""Why a run, or a subgraph in it, ended. Steps have it, so commands that only read records import no pydantic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a run ended.

    Attributes:
        reason: `end` (an edge to END), `failed`, `limit` or `asked`.
        label: The label of the edge that led to the end.
        condition: The condition of that edge in words.
        explanation: How its conditions evaluated, with their values.
    """

    reason: str
    label: str = ""
    condition: str = ""
    explanation: str = ""
