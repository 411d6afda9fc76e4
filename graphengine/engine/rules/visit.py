"""What comes of a node's attempt: its result written, another attempt, its fallback, a way after failure, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine.events import NodeFailed, NodeFinished, Written
from graphengine.engine.failures import error_of, fail_with, failure_record, survived
from graphengine.engine.lookup import elapsed, plan_of, tell, usage_of, view_of
from graphengine.engine.misfits import cause_of
from graphengine.engine.phases import Fallback, Leaving
from graphengine.engine.redaction import Guard
from graphengine.engine.routing import find_way, take_way
from graphengine.engine.rules.items import item_writes
from graphengine.engine.size_limits import MEASURED_STEPS, weigh
from graphengine.engine.steps import Attempt, Failed, Item, Left, Node, Step, path_of
from graphengine.engine.trackers import note_changes, sample_again, track
from graphengine.errors import NoWayOut
from graphengine.graph.conditions import exception_name
from graphengine.graph.options import START
from graphengine.state.schema import NO_CHANGE
from graphengine.state.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.events import Error, NodeLeft
    from graphengine.engine.plan import NodePlan, Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import AnyFacts, FailureRecord
    from graphengine.state.json_values import Op
    from graphengine.state.schema import Change
    from graphengine.state.stop import Stop


def node_finished(  # noqa: PLR0913 - what a result may be of
    plan: Plan[Any],
    snapshot: Snapshot,
    frame: Frame,
    event: NodeFinished,
    stop: Stop | None = None,
    failed: NodeFailed | None = None,
) -> Step:
    """The step of a result: an attempt's, a graph's with how that stopped, or a fallback's value after a failure."""
    inner = plan if frame.up is None else plan_of(plan, frame)
    node = inner.nodes[event.node]
    view = View(inner.state, frame) if frame.up is None else view_of(inner, frame)
    is_item = frame.kind == "item"
    facts = Item(writes=()) if is_item else Node()
    _note(facts, event)
    try:
        result = event.result
        updates = [*result.updates] if type(result) is Written else node.writer.updates(result, view, node.name, stop)
        cause = frame.cause if failed is None else failed.failure
        if cause is not None:  # what it came to is a fallback's
            facts.fallback, facts.error = True, cause
            if inner.errors is not None:
                updates = [*updates, (inner.errors, survived(cause))]
        if isinstance(facts, Item):
            facts.writes = item_writes(inner.state, view, updates)
            _guard(plan, snapshot, inner, facts.writes, event)
            return _weighed(snapshot, view, step_of(snapshot, event, facts))
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
        return node_failed(plan, snapshot, frame, misfit)
    tell(snapshot, frame, view, event)
    if inner.epochs or inner.samples:
        track(inner, view, event.node, change.ops)
    if stop is not None:
        view.ended = stop.label
    return leave(inner, snapshot, frame, event, view, change, facts)


_BESIDE: Final = ("choice", "inside", "sent", "emitted", "unused", "unawaited", "keeps", "wait", "by", "answer")
"""What of a step may be known before it is decided."""


def _note(facts: Node, event: NodeFinished) -> None:
    """Record what came with a result."""
    if event.usage:
        facts.usage = event.usage
    if event.more is not None:
        for name in _BESIDE:
            setattr(facts, name, getattr(event.more, name))
    if event.choice:
        facts.choice = event.choice


def _guard(plan: Plan[Any], snapshot: Snapshot, inner: Plan[Any], ops: Sequence[Op], event: NodeFinished) -> None:
    """See that no field but the secret ones gets the clear text of a secret."""
    if plan.secret:  # else there is nothing to look for
        Guard(plan, snapshot).refuse_in(inner.state, ops, f"node {path_of(event.frame, event.node)}")


def _weighed(snapshot: Snapshot, view: View, item: Step) -> Step:
    """An item's step with what it adds to the state, where that is not little."""
    if view.weight and isinstance(item.data, Item):
        item.weight = weigh(snapshot, view.weight, item.data.writes, f"node {item.path}")
    return item


def leave(  # noqa: PLR0913 - the parts of one step
    plan: Plan[Any],
    snapshot: Snapshot,
    frame: Frame,
    event: NodeFinished | NodeFailed,
    view: View,
    change: Change,
    facts: Node,
) -> Step:
    """The step of a visit that is done: with the edge that is taken, or, if there is none, failed."""
    take_way(facts, plan, view, plan.nodes[event.node].ways, frame, event.attempt)
    return Step(
        snapshot.seq + 1,
        event.now,
        facts,
        event.frame,
        event.node,
        event.visit,
        event.attempt,
        event.began,
        change.ops,
        change.typed,
        change.weight,
    )


def node_failed(plan: Plan[Any], snapshot: Snapshot, frame: Frame, event: NodeFailed) -> Step:
    """The step of a failure: another attempt, the fallback, or neither."""
    inner = plan_of(plan, frame)
    node = inner.nodes[event.node]
    failure = event.failure or failure_record(event.error, path_of(event.frame, event.node), event.attempt)
    if not isinstance(frame.phase, Fallback):
        due = _next_attempt(node, frame, event)
        calls_fallback = node.fallback is not None and node.fallback.call is not None
        if due is not None or calls_fallback:
            facts = Attempt(usage=event.usage or {}, choice=event.choice, error=failure, keeps=event.keeps, due_at=due)
            if due is None:
                facts.then = "fallback"
            return step_of(snapshot, event, facts)
        if node.fallback is not None:
            visit = (event.frame, event.node, event.visit, event.attempt, event.began, event.now)
            more = Node(keeps=event.keeps)
            value = NodeFinished(*visit, node.fallback.value, event.usage, event.choice, more=more)
            return node_finished(plan, snapshot, frame, value, failed=event._replace(failure=failure))
    return give_up(inner, snapshot, frame, event, failure)


def _misfit(plan: Plan[Any], snapshot: Snapshot, frame: Frame, event: NodeFailed, error: Error) -> Step:
    """The step where a fallback's value does not fit: of the failure that it was to stand in for."""
    first = event.failure or failure_record(event.error, path_of(event.frame, event.node), event.attempt)
    text = f"the fallback does not fit: {error.message}; it stood in for {first.kind}: {first.message}"
    worse = failure_record(error._replace(kind=first.kind, message=text), first.path, first.attempt)
    return give_up(plan, snapshot, frame, event, worse)


def give_up(plan: Plan[Any], snapshot: Snapshot, frame: Frame, event: NodeFailed, failure: FailureRecord) -> Step:
    """A visit that failed for good: the first `failed(…)` edge that holds, else the end of the frame."""
    facts = Failed(usage=event.usage or {}, choice=event.choice, error=failure, keeps=event.keeps)
    error = event.error
    if frame.kind == "item":
        fail_with(facts, frame, failure, error.names, lasting=error.lasts)
        return step_of(snapshot, event, facts)
    node = plan.nodes[event.node]
    view = View(plan.state, frame)
    tell(snapshot, frame, view, event)
    view.failure = error.names
    try:
        change = plan.state.apply(view, [(plan.errors, survived(failure))]) if plan.errors else NO_CHANGE
        track(plan, view, event.node, change.ops)
        find_way(facts, plan, node.failure_ways, view, frame)
    except BaseException as raised:  # noqa: BLE001 - user code of any kind: validators, conditions
        reraise_interrupt(raised)
        if not isinstance(raised, NoWayOut):
            error = error_of(raised)
            text = f"{error.message}; it came with {failure.kind}: {failure.message}"
            failure = failure_record(error._replace(message=text), path_of(event.frame, event.node), event.attempt)
        fail_with(facts, frame, failure, error.names, lasting=error.lasts)
        return step_of(snapshot, event, facts)
    facts.error = failure  # at FAIL too: the failure that led there
    if facts.has_failed:
        return step_of(snapshot, event, facts)
    note_changes(plan, view)
    facts.marks = view.new_marks
    if view.new_marks and view.until:
        facts.samples = view.new_samples
    step = step_of(snapshot, event, facts)
    step.update, step.typed = change.ops, change.typed
    return step


def node_left(plan: Plan[Any], snapshot: Snapshot, frame: Frame, event: NodeLeft) -> Step:
    """The edge out of a node that was done before, chosen now."""
    plan = plan_of(plan, frame)
    view = View(plan.state, frame)
    view.node = frame.at
    view.until = frame.until
    view.usage = usage_of(frame)
    view.elapsed_seconds = elapsed(snapshot, frame)
    view.ended = frame.phase.ended if isinstance(frame.phase, Leaving) else ""
    sample_again(plan, view)
    ways = plan.start if frame.at == START else plan.nodes[frame.at].ways
    facts = Left()
    take_way(facts, plan, view, ways, frame, frame.attempt)
    return Step(snapshot.seq + 1, event.now, facts, frame.id, frame.at, frame.visit, frame.attempt)


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


def step_of(snapshot: Snapshot, event: NodeFinished | NodeFailed, facts: AnyFacts) -> Step:
    """The step of an attempt that ended, without an update."""
    visit = (event.frame, event.node, event.visit, event.attempt, event.began)
    return Step(snapshot.seq + 1, event.now, facts, *visit)
