"""The condition on how a graph inside another one ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import Condition

if TYPE_CHECKING:
    from graphengine.state.view import View


@dataclass(frozen=True, slots=True)
class EndedWith(Condition):
    """See `ended_with`."""

    labels: tuple[str, ...]

    @override
    def evaluate(self, view: View) -> tuple[bool, str]:
        held = view.ended in self.labels
        how = f"ended {view.ended!r}" if view.ended else "ended without a label"
        return held, f"{view.node} {how}: {'yes' if held else 'no'}"

    @override
    def __str__(self) -> str:
        return f"ended {' or '.join(map(repr, self.labels))}"


def ended_with(*labels: str) -> Condition:
    """Return a condition that holds if the graph that this edge leaves stopped at END with one of these labels.

    Raises:
        DefinitionError: No label is given.

    >>> str(ended_with("approved", "good enough"))
    "ended 'approved' or 'good enough'"
    """
    if not labels:
        raise DefinitionError("ended_with() has no label", repair="name at least one: ended_with('approved')")
    return EndedWith(labels)
