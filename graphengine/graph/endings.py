"""The condition on how a graph inside another one ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import Condition

if TYPE_CHECKING:
    from graphengine.graph.condition_spec import ConditionSpec
    from graphengine.state.measured import Found
    from graphengine.state.view import View


@dataclass(frozen=True, slots=True)
class EndedWith(Condition):
    """See `ended_with`."""

    labels: tuple[str, ...]

    @override
    def evaluate(self, view: View) -> tuple[bool, Found]:
        return view.ended in self.labels, view.ended

    @property
    @override
    def spec(self) -> ConditionSpec:
        return {"is": "ended", "names": list(self.labels)}


def ended_with(*labels: str) -> Condition:
    """Return a condition that holds if the subgraph which the edge leaves reached END with one of these labels.

    Raises:
        DefinitionError: No label is given.

    Example:
        >>> str(ended_with("approved", "good enough"))
        "ended 'approved' or 'good enough'"
    """
    if not labels:
        repair = "name one label or more: ended_with('approved')"
        raise DefinitionError("ended_with() was called without a label", repair=repair)
    return EndedWith(labels)
