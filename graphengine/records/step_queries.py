"""Small functions that read one fact of a step of any kind, for readers of a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.kernel.reader import Continued, Item, Node, Outcome, Started

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.extension import Op
    from graphengine.kernel.reader import Step


def ops_of(step: Step) -> Sequence[Op]:
    """Return the operations with which a step changes the state, such as `("set", "draft", "…")`.

    The step of a map's item does not change the state itself. For this step, return the operations that the item adds
    to the result of the map.
    """
    return step.data.writes if isinstance(step.data, Item) else step.update


def falls_back(step: Step) -> bool:
    """Return whether the step records a result that came from the node's fallback."""
    return isinstance(step.data, Node) and step.data.fallback


def marks_in(step: Step) -> Mapping[str, Any]:
    """Return the values that a step stores for conditions on the past (its *marks*), by the key of the condition.

    For example, a condition that ends a loop once a score stops improving needs the earlier scores.
    """
    return step.data.marks if isinstance(step.data, (Outcome, Continued)) else {}


def fingerprint_of(step: Step) -> str:
    """Return the fingerprint of the graph if the run continues with another graph from this step on; otherwise ""."""
    return step.data.fingerprint if isinstance(step.data, (Started, Continued)) else ""
