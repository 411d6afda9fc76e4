"""A run as a whole: how it begins, goes on, stops, and how a branch begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.engine.failures import failed_frame, failure_record
from graphengine.engine.lookup import plan_of
from graphengine.engine.ready import ready, task_of
from graphengine.engine.rebase import refitted
from graphengine.engine.routing import taken
from graphengine.engine.size_limits import added, bytes_of, weigh
from graphengine.engine.snapshot import CRASHES, Frame
from graphengine.engine.steps import Step
from graphengine.engine.trackers import default_marks, first_marks, sample
from graphengine.graph.options import START
from graphengine.state.view import View

if TYPE_CHECKING:
    from graphengine.engine.events import Begun, BranchedOff, Resumed, StopAsked
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot
    from graphengine.state.json_values import JsonValue


def begun(plan: Plan[Any], snapshot: Snapshot, event: Begun) -> Step:  # noqa: ARG001 - every event is decided by one signature
    """The first step: the state, and the way out of START."""
    frame = Frame(at=START, values=dict(event.values), typed=dict(event.typed))
    data: dict[str, JsonValue] = {
        "run_id": event.run_id,
        "graph": plan.graph,
        "version": plan.version,
        "fingerprint": plan.fingerprint,
        "limits": dict(event.limits),
    }
    if event.after:
        data["after"] = event.after
    if event.pause:
        data["pause"] = list(event.pause)
    data.update(first_way(plan, frame, event.given))
    update = [("set", name, value) for name, value in event.values.items()]
    return Step(1, "started", event.now, update=update, data=data, typed=[event.typed[op[1]] for op in update])


def first_way(plan: Plan[Any], frame: Frame, given: Any) -> dict[str, JsonValue]:  # noqa: ANN401 - names of fields
    """The way out of START, with the marks that a frame begins with. `given` fields were set by somebody."""
    return taken(plan, at_start(plan, frame, given), plan.start, frame)


def at_start(plan: Plan[Any], frame: Frame, given: Any) -> View:  # noqa: ANN401 - names of fields
    """What a frame sees that has just begun, with the marks that it begins with."""
    view = View(plan.state, frame)
    view.node = START
    changes = [t for group in plan.epochs.values() for t in group if t.kind == "change"]
    view.new_marks.update(default_marks(plan, changes))
    sample(plan, view, given)
    return view


def resumed(plan: Plan[Any], snapshot: Snapshot, event: Resumed) -> Step:
    """The run goes on."""
    data: dict[str, JsonValue] = {"limits": dict(event.limits), "fingerprint": event.fingerprint}
    if event.crashed and ready(snapshot):  # else nothing was in flight: a limit held it back
        data["crashed"] = True
    if event.asked and snapshot.status != "failed" and failed_beside(snapshot):
        data["retries"] = True
    if event.company and wants_alone(snapshot, crashed=event.crashed):
        data["company"] = True
    if event.pause is not None:
        data["pause"] = list(event.pause)
    there = _under_changes(plan, snapshot, event, data)
    if event.changes:
        marks = first_marks(plan, there.root)
        if marks:
            data["marks"] = marks
    raised = {
        frame.id: limits
        for frame in there.frames.values()
        if frame.kind == "sub" and (limits := dict(plan_of(plan, frame).own_limits)) != frame.limits
    }
    if raised:
        data["sub_limits"] = raised
    weight = added(snapshot, bytes_of(data["refit"])) if event.refit else 0
    return Step(snapshot.seq + 1, "resumed", event.now, data=data, weight=weight)


def failed_beside(snapshot: Snapshot) -> bool:
    """Whether parts of a run failed, arms of forks or items of maps, while others of it are not over yet."""
    frames = snapshot.frames.values()
    return any(frame.failure is not None or (frame.phase == "mapping" and frame.map["failed"]) for frame in frames)


def wants_alone(snapshot: Snapshot, *, crashed: bool) -> bool:
    """Whether a run is to be driven by a process that drives no other: one of its nodes was in flight at two crashes.

    The process may have died of another run. Only a third death, with no other run in the process, gives the node up.

    Args:
        snapshot: The run, before it is resumed.
        crashed: Whether the process that drove it last has died.
    """
    tasks = ((frame, task_of(snapshot, frame)) for frame in snapshot.frames.values())
    in_flight = [frame for frame, task in tasks if task is not None and task.mode in ("run", "fallback")]
    return any(frame.crashes + crashed >= CRASHES - 1 for frame in in_flight)


def _under_changes(
    plan: Plan[Any], snapshot: Snapshot, event: Resumed | BranchedOff, data: dict[str, JsonValue]
) -> Snapshot:
    """Note what a changed graph needs, and give the snapshot as it is after that."""
    if event.changes:
        data["changes"] = list(event.changes)
    data.update(event.shift)
    if event.refit:
        data["refit"] = {frame: [list(op) for op in ops] for frame, ops in event.refit.items()}
    there = refitted(snapshot, data)
    if event.changes:
        inside = {f.id: first_marks(plan_of(plan, f), f) for f in there.frames.values() if f.kind == "sub"}
        if any(inside.values()):
            data["marks_of"] = {frame: marks for frame, marks in inside.items() if marks}
    return there


def stop_asked(snapshot: Snapshot, event: StopAsked) -> Step:
    """The run stops here, to be resumed."""
    if event.error is not None:
        failure = failure_record(event.error, "", 1)
        return Step(snapshot.seq + 1, "stopped", event.now, data={"error": failure, **failed_frame(failure)})
    stop = {"reason": event.reason, "label": "", "condition": "", "explanation": event.explanation}
    return Step(snapshot.seq + 1, "stopped", event.now, data={"status": "stopped", "stop": stop})


def branched_off(plan: Plan[Any], snapshot: Snapshot, event: BranchedOff) -> Step:
    """A child run goes on behind a step of its parent, with another state of one frame."""
    data: dict[str, JsonValue] = {
        "run_id": event.run_id,
        "parent": event.parent,
        "limits": dict(event.limits),
        "fingerprint": event.fingerprint,
    }
    if event.pause is not None:
        data["pause"] = list(event.pause)
    there = _under_changes(plan, snapshot, event, data)
    frame = there.frames[event.frame]
    inner = plan_of(plan, frame)
    view = View(inner.state, frame)
    ops = inner.state.apply(view, event.updates).ops
    weight = weigh(snapshot, view.weight, ops, f"branch {event.run_id}")
    if weight and event.refit:
        weight += bytes_of(data["refit"])
    if event.changes:
        view.new_marks.update(first_marks(inner, frame))
        if frame is not there.root and (marks := first_marks(plan, there.root)):
            data.setdefault("marks_of", {})[there.root.id] = marks
    sample(inner, view, [op[1] for op in ops])
    if view.new_marks:
        data["marks"] = view.new_marks
    return Step(snapshot.seq + 1, "branched", event.now, event.frame, update=ops, data=data, weight=weight)
