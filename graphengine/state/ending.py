"""Why a run, or a subgraph in it, ended. Reading runs loads this and not pydantic, which `Failure` needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

EndReason: TypeAlias = Literal["end", "failed", "limit", "asked", "above"]


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a run ended.

    Attributes:
        reason: `end` (an edge to END), `failed`, `limit`, `asked`, or `above` (a run above it was stopped).
        label: The label of the edge that led to the end.
        condition: The condition of that edge in words.
        why: How its conditions evaluated, with their values.
    """

    reason: EndReason
    label: str = ""
    condition: str = ""
    why: str = ""
