"""Small functions that read one fact of a step of any kind, for readers of a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.kernel.reader import Continued, Item, Node, Outcome, Started

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.extension import Op
    from graphengine.kernel.reader import Step


def ops_of(step: Step) -> Sequence[Op]:
    """Return the operations of a step on the state. For an item of a map, return its part of the map's updates."""
    return step.data.writes if isinstance(step.data, Item) else step.update


def falls_back(step: Step) -> bool:
    """Return whether a fallback gave the result that the step records."""
    return isinstance(step.data, Node) and step.data.fallback


def marks_in(step: Step) -> Mapping[str, Any]:
    """Return the marks that a step sets in its own frame: values that conditions on the past remember."""
    return step.data.marks if isinstance(step.data, (Outcome, Continued)) else {}


def fingerprint_of(step: Step) -> str:
    """Return the fingerprint of the graph that drives a run from a step on; "" if the step does not record one."""
    return step.data.fingerprint if isinstance(step.data, (Started, Continued)) else ""
