"""What comes of a node's attempt: its result written, another attempt, its fallback, a way after failure, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine.events import NodeFailed, NodeFinished, Written
from graphengine.engine.failures import error_of, failed_frame, failure_record, nested
from graphengine.engine.lookup import (
    ATTEMPTED,
    StaleEvent,
    cost_of,
    elapsed,
    frame_of,
    plan_of,
    tell,
    usage_of,
    view_of,
)
from graphengine.engine.misfits import cause_of
from graphengine.engine.redaction import Guard
from graphengine.engine.routing import taken, way_out
from graphengine.engine.rules.items import item_writes
from graphengine.engine.size_limits import MEASURED_STEPS, weigh
from graphengine.engine.steps import EMPTY, Step, path_of
from graphengine.engine.trackers import note_changes, sample_again, track
from graphengine.errors import NoWayOut
from graphengine.graph.conditions import exception_name
from graphengine.graph.options import START
from graphengine.state.failure import Failure
from graphengine.state.schema import NO_CHANGE
from graphengine.state.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.events import Error, NodeLeft
    from graphengine.engine.plan import NodePlan, Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import Kind
    from graphengine.state.json_values import JsonValue, Op
    from graphengine.state.schema import Change


def node_finished(plan: Plan[Any], snapshot: Snapshot, event: NodeFinished) -> Step:
    """An attempt, or a fallback, gave a result."""
    return finish(plan, snapshot, frame_of(snapshot, event, ATTEMPTED), event)


def finish(  # noqa: PLR0913 - what a result may be of
    plan: Plan[Any],
    snapshot: Snapshot,
    frame: Frame,
    event: NodeFinished,
    stop: object = None,
    failed: NodeFailed | None = None,
) -> Step:
    """The step of a result: a graph's, with how that stopped, or a fallback's value, which stands in for a failure."""
    inner = plan if frame.up is None else plan_of(plan, frame)
    node = inner.nodes[event.node]
    view = View(inner.state, frame) if frame.up is None else view_of(inner, frame)
    more = cost_of(event) if event.usage or event.choice else EMPTY
    if event.more:
        more = {**more, **event.more}
    try:
        result = event.result
        updates = [*result.updates] if type(result) is Written else node.writer.updates(result, view, node.name, stop)
        cause = frame.cause if failed is None else failed.failure
        if cause is not None:  # what it came to is a fallback's
            more = {**more, "fallback": True, "error": cause}
            if inner.errors is not None:
                updates = [*updates, (inner.errors, Failure.of(cause))]
        if frame.kind == "item":
            writes = item_writes(inner.state, view, updates)
            _guard(plan, snapshot, inner, writes, event)
            return _weighed(snapshot, view, _step(snapshot, event, "item", {**more, "writes": writes}))
        change = inner.state.apply(view, updates)
        _guard(plan, snapshot, inner, change.ops, event)
        if view.weight or not snapshot.seq % MEASURED_STEPS:
            change.weight = weigh(snapshot, view.weight, change.ops, f"node {path_of(event.frame, event.node)}")
    except BaseException as error:  # noqa: BLE001 - user code of any kind: writes-functions, validators, reducers
        reraise_interrupt(error)
        told = error_of(cause_of(error, node, event.result, path_of(event.frame, event.node)))
        if failed is not None:
            return _misfit(inner, snapshot, frame, failed, told)
        visit = (event.frame, event.node, event.visit, event.attempt, event.began, event.now)
        misfit = NodeFailed(*visit, told, event.usage, event.choice, event.chance)
        return fail(plan, snapshot, frame, misfit)
    tell(snapshot, frame, view, event)
    if inner.epochs or inner.samples:
        track(inner, view, event.node, change.ops)
    if stop is not None:
        view.ended = getattr(stop, "label", "")
    return leave(inner, snapshot, frame, event, view, change, more)


def _guard(plan: Plan[Any], snapshot: Snapshot, inner: Plan[Any], ops: Sequence[Op], event: NodeFinished) -> None:
    """See that no field but the secret ones gets the clear text of a secret."""
    if plan.secret:  # else there is nothing to look for
        Guard(plan, snapshot).refuse_in(inner.state, ops, f"node {path_of(event.frame, event.node)}")


def _weighed(snapshot: Snapshot, view: View, item: Step) -> Step:
    """An item's step with what it adds to the state, where that is not little."""
    if not view.weight:
        return item
    return item._replace(weight=weigh(snapshot, view.weight, item.data["writes"], f"node {item.path}"))


def leave(  # noqa: PLR0913 - the parts of one step
    plan: Plan[Any],
    snapshot: Snapshot,
    frame: Frame,
    event: NodeFinished | NodeFailed,
    view: View,
    change: Change,
    more: Mapping[str, JsonValue],
) -> Step:
    """The step of a visit that is done: with the way out, or, if there is none, without and failed."""
    data = taken(plan, view, plan.nodes[event.node].ways, frame, event.attempt)
    if more:
        data = {**more, **data}
    return Step(
        snapshot.seq + 1,
        "node",
        event.now,
        event.frame,
        event.node,
        event.visit,
        event.attempt,
        event.began,
        change.ops,
        data,
        change.typed,
        change.weight,
    )


def node_failed(plan: Plan[Any], snapshot: Snapshot, event: NodeFailed) -> Step:
    """An attempt, or a fallback, failed."""
    return fail(plan, snapshot, frame_of(snapshot, event, ATTEMPTED), event)


def fail(plan: Plan[Any], snapshot: Snapshot, frame: Frame, event: NodeFailed) -> Step:
    """The step of a failure: another attempt, the fallback, or neither."""
    inner = plan_of(plan, frame)
    node = inner.nodes[event.node]
    failure = event.failure or failure_record(event.error, path_of(event.frame, event.node), event.attempt)
    data = _told(event, failure)
    if frame.phase != "fallback":
        due = _next_attempt(node, frame, event)
        if due is not None:
            return _step(snapshot, event, "attempt", {**data, "due_at": due})
        if node.fallback is not None and node.fallback.call is not None:
            return _step(snapshot, event, "attempt", {**data, "then": "fallback"})
        if node.fallback is not None:
            visit = (event.frame, event.node, event.visit, event.attempt, event.began, event.now)
            value = NodeFinished(*visit, node.fallback.value, event.usage, event.choice, more=data)
            return finish(plan, snapshot, frame, value, failed=event._replace(failure=failure))
    return gone_wrong(inner, snapshot, frame, event, data)


def _told(event: NodeFailed, failure: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What a step says of a failure."""
    data = {**cost_of(event), "error": failure}
    if event.keeps:
        data["keeps"] = True
    return data


def _misfit(plan: Plan[Any], snapshot: Snapshot, frame: Frame, event: NodeFailed, error: Error) -> Step:
    """The step where a fallback's value does not fit: of the failure that it was to stand in for."""
    first: Mapping[str, JsonValue] = event.failure or {}
    text = f"the fallback does not fit: {error.message}; it stood in for {first['kind']}: {first['message']}"
    worse = failure_record(error._replace(kind=first["kind"], message=text), first["path"], first["attempt"])
    return gone_wrong(plan, snapshot, frame, event, _told(event, worse))


def gone_wrong(
    plan: Plan[Any], snapshot: Snapshot, frame: Frame, event: NodeFailed, data: dict[str, JsonValue]
) -> Step:
    """A visit that failed for good: the first `failed(…)` way that holds, else the end of the frame."""
    if frame.kind == "item":
        return _step(snapshot, event, "failed", _ended(frame, data, data["error"], event.error))
    node = plan.nodes[event.node]
    view = View(plan.state, frame)
    failure = data["error"]
    error = event.error
    tell(snapshot, frame, view, event)
    view.failure = error.names
    try:
        change = plan.state.apply(view, [(plan.errors, Failure.of(failure))]) if plan.errors else NO_CHANGE
        track(plan, view, event.node, change.ops)
        found = way_out(plan, node.failure_ways, view, frame)
    except BaseException as raised:  # noqa: BLE001 - user code of any kind: validators, conditions
        reraise_interrupt(raised)
        if not isinstance(raised, NoWayOut):
            error = error_of(raised)
            text = f"{error.message}; it came with {failure['kind']}: {failure['message']}"
            failure = failure_record(error._replace(message=text), path_of(event.frame, event.node), event.attempt)
        return _step(snapshot, event, "failed", _ended(frame, data, failure, error))
    if found.get("status") == "failed":
        return _step(snapshot, event, "failed", {**found, **data})
    note_changes(plan, view)
    marks: dict[str, JsonValue] = {"marks": view.new_marks} if view.new_marks else {}
    if view.new_marks and view.until:
        marks["samples"] = view.new_samples
    step = _step(snapshot, event, "failed", {**found, **data, **marks})
    return step._replace(update=change.ops, typed=change.typed)


def _ended(
    frame: Frame, data: Mapping[str, JsonValue], failure: Mapping[str, JsonValue], error: Error
) -> dict[str, JsonValue]:
    """What a step says when its frame fails with it."""
    told = nested(frame, error.names, lasting=error.lasts)
    return {**data, "error": failure, **failed_frame(failure), **told}


def node_left(plan: Plan[Any], snapshot: Snapshot, event: NodeLeft) -> Step:
    """The way out of a node that was done before, chosen now."""
    frame = snapshot.frames.get(event.frame)
    if frame is None or frame.phase != "leaving":
        raise StaleEvent(event)
    plan = plan_of(plan, frame)
    view = View(plan.state, frame)
    view.node = frame.at
    view.until = frame.until
    view.usage = usage_of(frame)
    view.elapsed_seconds = elapsed(snapshot, frame)
    view.ended = frame.ended
    sample_again(plan, view)
    ways = plan.start if frame.at == START else plan.nodes[frame.at].ways
    data = taken(plan, view, ways, frame, frame.attempt)
    return Step(snapshot.seq + 1, "left", event.now, frame.id, frame.at, frame.visit, frame.attempt, data=data)


def _next_attempt(node: NodePlan, frame: Frame, event: NodeFailed) -> float | None:
    """When the next attempt is due; None if there is none."""
    retry = node.retry
    if retry is None or not event.error.retryable or frame.tries + 1 >= retry.attempts:
        return None
    if not any(exception_name(kind) in event.error.names for kind in retry.on):
        return None
    try:
        wait = retry.initial_seconds * retry.multiplier**frame.tries
    except OverflowError:
        wait = retry.max_seconds
    wait *= 1 + retry.jitter * (2 * event.chance - 1)
    return event.now + max(min(wait, retry.max_seconds), event.error.pause_seconds)


def _step(snapshot: Snapshot, event: NodeFinished | NodeFailed, kind: Kind, data: Mapping[str, JsonValue]) -> Step:
    visit = (event.frame, event.node, event.visit, event.attempt, event.began)
    return Step(snapshot.seq + 1, kind, event.now, *visit, (), data or EMPTY)
