"""The data that `decide` reads: a run with the settings of this process, and the plan, view and usage of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from graphengine.engine.frame_tree import add_usage
from graphengine.engine.snapshot import READY
from graphengine.state.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.events import NodeFailed, NodeFinished
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.graph.definition import AnyEdge
    from graphengine.graph.options import Sizes
    from graphengine.state.amounts import Usage


class StaleEvent(Exception):
    """An event reports on a visit or an attempt of a node that is already over, so the event must be ignored."""


def plan_of(plan: Plan[Any], frame: Frame) -> Plan[Any]:
    """Return the compiled graph in which a frame (one position of the run) moves.

    This is the run's own graph, or the subgraph that contains the frame.

    Raises:
        KeyError, NoChoice: The graph was changed and no longer has the node or the choice.
    """
    sub = frame.sub
    if sub is None or sub.up is None:
        return plan
    cached = sub.plan
    if cached is not None and cached[0] is plan:
        return cached[1]
    node = plan_of(plan, sub.up).nodes[sub.up.at]
    graph = node.chosen(sub.up.choice).graph
    if graph is None:
        raise KeyError(node.name)
    sub.plan = (plan, graph)
    return graph


def view_of(plan: Plan[Any], frame: Frame, *, checks: bool = True) -> View:
    """Return the part of the state that is visible at one position of the run, which is called a frame.

    For example, an arm of a fork does not see what other arms write, and a map item also sees its own values. `plan` is
    the compiled graph in which this position of the run moves.
    """
    each = plan.nodes[frame.at].each if frame.kind == "item" else None
    return View(plan.state if each is None else each.state, frame, checks)


def view_after(run: RunState, plan: Plan[Any], frame: Frame, event: NodeFinished | NodeFailed) -> View:
    """Return the state with which the conditions of a node's outgoing edges are evaluated after a visit.

    Besides the fields, conditions can read the usage so far, for how many seconds the run was driven, and the name of
    the node.
    """
    snapshot = run.snapshot
    usage = frame.usage if frame.base is None else usage_of(frame)
    if frame.phase is not READY:
        for key in frame.children:
            usage = add_usage(usage, _usage_below(snapshot, snapshot.frames[key]))
    if event.usage:
        usage = add_usage(usage, event.usage)
    seconds = snapshot.elapsed_seconds if frame.sub is None else elapsed(snapshot, frame)
    passed = event.now - snapshot.now
    if passed > 0 and snapshot.status == "running":
        seconds += passed
    node = event.id.node
    return View(plan.state, frame, run.checks, node, node, frame.until, usage, seconds)


def usage_of(frame: Frame) -> Usage:
    """Return the model calls, tokens and cost that a frame (one position of the run in a graph) has seen.

    For an arm of a fork this is the usage before the fork plus the usage of the arm, without the other arms.
    """
    if frame.base is None:
        return frame.usage
    below = usage_of(frame.base)
    return add_usage(below, frame.usage) if frame.usage else below


def _usage_below(snapshot: Snapshot, frame: Frame) -> Usage:
    total = frame.usage
    for key in frame.children:
        total = add_usage(total, _usage_below(snapshot, snapshot.frames[key]))
    return total


def elapsed(snapshot: Snapshot, frame: Frame) -> float:
    """Return for how many seconds the run has been driven; the time between a stop and a resume does not count.

    For a position inside a subgraph, only the time since the subgraph began counts.
    """
    return snapshot.elapsed_seconds if frame.sub is None else snapshot.elapsed_seconds - frame.sub.entered


STEP_BYTES: Final = 1024
"""The number of bytes that a step is assumed to add in addition to `View.update_bytes`.

`View.update_bytes` counts small values as 0.
"""


class Observer(Protocol):
    """Observes which edges of a graph are evaluated and taken, for the coverage report of a test run.

    An observer must not change which edge is taken.
    """

    def watched(self, plan: Plan[Any], node: str, edges: Sequence[AnyEdge]) -> Sequence[AnyEdge]:
        """Return the given edges in the same order, with conditions that record whether they held."""
        ...

    def took(self, plan: Plan[Any], node: str, edges: Sequence[AnyEdge], edge: AnyEdge, label: str) -> None:
        """Record that an edge was taken. For a switch, `label` is the label of the case that was taken."""
        ...


class RunState:
    """A run in memory, together with the settings of the process that drives it.

    Only `snapshot` is recorded. The other attributes belong to this process and never reach the log.

    Attributes:
        plan: The compiled graph. It is missing (see `has_plan`) only if a process stops a run whose graph it does not
            have.
        has_plan: Whether the compiled graph is there.
        snapshot: The position and state of the run. Only the fold changes it.
        checks: Whether to detect functions that change their arguments in place.
        sizes: The size limits of an update and of the state; None for no limits.
        size_bytes: An upper bound of the size of the state as JSON after the step `measured_at`; -1 if it was not
            measured.
        measured_at: The number of the step after which `size_bytes` was computed.
        observer: The observer of taken edges, if any.
        changed: The frames that commits changed since tasks were last taken.
        map_bytes: By the frame of a map: the number of bytes of JSON that its items have returned so far, without small
            values. Only maps with larger values have an entry.
    """

    __slots__ = (
        "changed",
        "checks",
        "has_plan",
        "map_bytes",
        "measured_at",
        "observer",
        "plan",
        "size_bytes",
        "sizes",
        "snapshot",
    )

    def __init__(
        self,
        plan: Plan[Any] | None,
        snapshot: Snapshot,
        *,
        sizes: Sizes | None = None,
        checks: bool = True,
        observer: Observer | None = None,
    ) -> None:
        self.has_plan = plan is not None
        self.plan: Plan[Any] = plan  # type: ignore[assignment] # only StopAsked is decided without one
        self.snapshot = snapshot
        self.checks = checks
        self.observer = observer
        self.sizes = sizes
        self.size_bytes = -1 if snapshot.frames else 0
        self.measured_at = snapshot.seq
        self.changed: list[str] = []
        self.map_bytes: dict[str, int] = {}

    @property
    def size_bound(self) -> int:
        """An upper bound of the size of the run's state now, in bytes of JSON; -1 if it was not measured."""
        return -1 if self.size_bytes < 0 else self.size_bytes + (self.snapshot.seq - self.measured_at) * STEP_BYTES
