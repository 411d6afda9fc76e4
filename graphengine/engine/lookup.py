"""Lookups of `decide`: the plan of a frame, its view, what was spent in it and how long it has run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.engine.frame_tree import add_usage
from graphengine.engine.snapshot import READY, children
from graphengine.state.view import View

if TYPE_CHECKING:
    from graphengine.engine.events import NodeFailed, NodeFinished
    from graphengine.engine.plan import Plan
    from graphengine.engine.run_state import RunState
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.state.amounts import Usage


class StaleEvent(Exception):
    """The event belongs to a visit or attempt that is over."""


def plan_of(plan: Plan[Any], frame: Frame) -> Plan[Any]:
    """Return the plan that a frame walks: the run's, or that of the graph it is inside.

    Raises:
        KeyError, NoChoice: The graph was changed and no longer has the node or choice.
    """
    sub = frame.sub
    if sub is None or sub.up is None:
        return plan
    known = sub.plan
    if known is not None and known[0] is plan:
        return known[1]
    node = plan_of(plan, sub.up).nodes[sub.up.at]
    graph = node.chosen(sub.up.choice).graph
    if graph is None:
        raise KeyError(node.name)
    sub.plan = (plan, graph)
    return graph


def view_of(plan: Plan[Any], frame: Frame, *, checks: bool = True) -> View:
    """Return the view of a frame; `plan` is the one it walks."""
    each = plan.nodes[frame.at].each if frame.kind == "item" else None
    return View(plan.state if each is None else each.state, frame, checks)


def view_after(run: RunState, plan: Plan[Any], frame: Frame, event: NodeFinished | NodeFailed) -> View:
    """Return the view with which the edge after a visit is chosen; `plan` is the one that the frame walks.

    It has what conditions can read in addition to the state: usage, elapsed time, the node that completes.
    """
    snapshot = run.snapshot
    usage = frame.usage if frame.base is None else usage_of(frame)
    if frame.phase is not READY:
        for key in children(frame):
            usage = add_usage(usage, _spent_below(snapshot, snapshot.frames[key]))
    if event.usage:
        usage = add_usage(usage, event.usage)
    seconds = snapshot.elapsed_seconds if frame.sub is None else elapsed(snapshot, frame)
    passed = event.now - snapshot.now
    if passed > 0 and snapshot.status == "running":
        seconds += passed
    node = event.node
    return View(plan.state, frame, run.checks, node, node, frame.until, usage, seconds)


def usage_of(frame: Frame) -> Usage:
    """Return what was spent in a frame and in the frames it has its state from, without other arms."""
    if frame.base is None:
        return frame.usage
    below = usage_of(frame.base)
    return add_usage(below, frame.usage) if frame.usage else below


def _spent_below(snapshot: Snapshot, frame: Frame) -> Usage:
    """Return what was spent in a frame and in all frames below it."""
    total = frame.usage
    for key in children(frame):
        total = add_usage(total, _spent_below(snapshot, snapshot.frames[key]))
    return total


def elapsed(snapshot: Snapshot, frame: Frame) -> float:
    """Return the driven time since the run began, or since the subgraph that a frame is in began."""
    return snapshot.elapsed_seconds if frame.sub is None else snapshot.elapsed_seconds - frame.sub.entered
