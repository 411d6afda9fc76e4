"""Why a run, or a subgraph in it, ended. Reading runs loads this and not pydantic, which `Failure` needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

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


class _OpenEnding(Ending):
    """An ending whose fields are being set; it becomes an `Ending` by its `__class__`, as `runner.result` does."""

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def ended_at(label: str, condition: str, why: str) -> Ending:
    """Return the ending of an edge to END, which nearly each run has."""
    made: Any = object.__new__(_OpenEnding)
    made.reason, made.label, made.condition, made.why = "end", label, condition, why
    made.__class__ = Ending
    return made  # type: ignore[no-any-return]
