"""Why a run, or a subgraph in it, ended.

Code that only reads runs loads this module, without pydantic, which `Failure` needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

EndReason: TypeAlias = Literal["end", "failed", "limit", "asked", "above"]


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a run ended.

    Attributes:
        reason: `end` (an edge to END), `failed`, `limit`, `asked`, or `above` (a run above this run was stopped).
        label: The label of the edge that led to the end.
        condition: The condition of that edge, as text.
        why: The results of the conditions, with their values, as text.
    """

    reason: EndReason
    label: str = ""
    condition: str = ""
    why: str = ""


class _OpenEnding(Ending):
    """An `Ending`, which tells why a run ended, while its attributes can still be set.

    `ended_at` sets the attributes and then sets `__class__` to `Ending`, which makes the object immutable. This is
    faster than calling the constructor of `Ending`.
    """

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def ended_at(label: str, condition: str, why: str) -> Ending:
    """Return the `Ending` (the reason for the end) of a run that moved along an edge to END.

    Most runs end in this way, so this function avoids the cost of a constructor call.
    """
    ending: Any = object.__new__(_OpenEnding)
    ending.reason, ending.label, ending.condition, ending.why = "end", label, condition, why
    ending.__class__ = Ending
    return ending  # type: ignore[no-any-return]
