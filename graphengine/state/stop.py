"""Why a run, or a graph inside one, ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run ended.

    Attributes:
        reason: `end` (a way to END), `failed`, `limit` or `asked`.
        label: The label of the edge that led to the end.
        condition: That edge's condition in words.
        explanation: What the conditions said, with their values.
    """

    reason: str
    label: str = ""
    condition: str = ""
    explanation: str = ""
