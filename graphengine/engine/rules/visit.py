"""Attempts of nodes: the start of an attempt, the work that it records, and its end.

At the end of an attempt, its result is written, or the node is retried, falls back, takes a failure edge, or fails. A
node that runs again finds the results of its recorded work under the keys of its calls, until its visit ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard, cast

from msgspec.structs import replace

from graphengine.engine.events import NodeFailed, NodeFinished, Worked, Written
from graphengine.engine.failures import attempt_of, cause_of, fail_with, failure_record
from graphengine.engine.frame_tree import id_again
from graphengine.engine.lookup import elapsed, plan_of, usage_of, view_after, view_of
from graphengine.engine.phases import UNKNOWN, Fallback, Inside, Leaving, Ready
from graphengine.engine.provenance import given_in
from graphengine.engine.redaction import Redactor
from graphengine.engine.routing import find_edge, take_edge
from graphengine.engine.size_limits import MEASURED_STEPS, is_full, size_of, sum_bounds, weigh_item
from graphengine.engine.snapshot import READY
from graphengine.engine.steps import (
    ANSWERABLE,
    Attempt,
    AttemptEnded,
    Begun,
    Decided,
    Failed,
    FailureRecord,
    Item,
    Left,
    Node,
    Recorded,
    Waiting,
    path_of,
)
from graphengine.engine.trackers import note_changes, sample_again, track
from graphengine.errors import EffectUnknown, NoEdge, TooLarge
from graphengine.graph.conditions import exception_name
from graphengine.graph.options import MISTAKES, START, pause_of
from graphengine.state.encoded import opened
from graphengine.state.failure import Failure
from graphengine.state.given import utf8_value
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.recorded_text import show, to_show
from graphengine.state.schema import NO_CHANGE
from graphengine.state.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphengine.engine.events import AttemptEvent, NodeEntered, NodeLeft, Noted
    from graphengine.engine.lookup import RunState
    from graphengine.engine.plan import NodePlan, Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import AnyFacts
    from graphengine.state.ending import Ending
    from graphengine.state.json_values import JsonValue, Op
    from graphengine.state.schema import Change


def node_finished(  # noqa: C901, PLR0912, PLR0913 - the parts of a result, in the order in which they can fail
    run: RunState,
    frame: Frame,
    event: NodeFinished,
    stop: Ending | None = None,
    failed: NodeFailed | None = None,
    given: Iterable[JsonValue] = (),
) -> Decided:
    """Return the step for the result of a node: the step writes the result and takes an edge, or records a failure.

    The result can come from an attempt, from a subgraph that ended with `stop`, or from a fallback that replaces the
    failure `failed`. `given` contains values that a person or a caller gave. A field to which the result writes such a
    value unchanged still counts as given.
    """
    snapshot = run.snapshot
    inner = run.plan if frame.up is None else plan_of(run.plan, frame)
    node = inner.nodes[event.id.node]
    is_item = frame.kind == "item"
    view = view_of(inner, frame, checks=run.checks) if is_item else view_after(run, inner, frame, event)
    if run.checks and node.call is not None and type(frame.phase) is Ready:
        view.passes = node.call.watched
    facts = Item(writes=()) if is_item else Node()
    if event.usage or event.choice or event.more is not None:
        _note(facts, event)
    try:
        result = event.result
        updates = [*result.updates] if type(result) is Written else node.writer.updates(result, view, node.name, stop)
        cause = None if frame.phase is READY else frame.cause
        if failed is not None:
            cause = failed.error
        if cause is not None:  # The result comes from a fallback.
            facts.fallback, facts.error = True, cause
            if inner.collect_errors is not None:
                updates = [*updates, (inner.collect_errors, Failure.of(cause))]
        if is_item:
            facts = cast("Item", facts)
            facts.writes = [inner.state.fields[name].part(update, view) for name, update in updates]
            if run.plan.secret:
                _guard(run, inner, facts.writes, event)
            return _weigh_item(run, frame, view, step_of(snapshot, event, facts))
        change = inner.state.apply(view, updates)
        if run.plan.secret:
            _guard(run, inner, change.ops, event)
        if view.update_bytes or not snapshot.seq % MEASURED_STEPS:
            where = f"node {path_of(event.id.frame, event.id.node)}"
            change.state_bytes = size_of(run, view.update_bytes, change.ops, where)
    except BaseException as error:  # noqa: BLE001 - user code of any kind: writes-functions, validators, reducers
        reraise_interrupt(error)
        return _refuse(run, frame, event, failed, cause_of(error, node, event.result, path_of(frame.id, frame.at)))
    if inner.epochs or inner.samples:
        track(inner, view, event.id.node, change.ops, failed=cause is not None)
    if frame.recorded_results or event.more is not None:
        facts.given = given_in(frame, change.ops, given if facts.answer is None else [opened(facts.answer.value)])
    if stop is not None:
        view.ended = stop.label
    return leave(run, inner, frame, event, view, change, facts)


def _note(facts: Node, event: NodeFinished) -> None:
    if event.usage:
        facts.usage = event.usage
    if (more := event.more) is not None:
        facts.choice, facts.inside = more.choice, more.inside
        facts.sent, facts.emitted = more.sent, more.emitted
        facts.unused, facts.unawaited = more.unused, more.unawaited
        facts.wait, facts.by, facts.answer = more.wait, more.by, more.answer
    if event.choice:
        facts.choice = event.choice


def _guard(run: RunState, inner: Plan[Any], ops: Sequence[Op], event: NodeFinished) -> None:
    """Check that a node's update does not write a secret to a field that is not declared secret."""
    Redactor(run.plan, run.snapshot).refuse_in(inner.state, ops, f"node {path_of(event.id.frame, event.id.node)}")


def _weigh_item(run: RunState, frame: Frame, view: View, item: Decided) -> Decided:
    """Check the size of the update of a map item, and add the size to the total of all items of the map.

    The total is needed because one step writes the results of all items at the end of the map. Small values are not
    counted.
    """
    if view.update_bytes and isinstance(item.data, Item):
        item.state_bytes = size_of(run, view.update_bytes, item.data.writes, f"node {item.path}")
        weigh_item(run, frame, item.data.writes)
    return item


def leave(  # noqa: PLR0913 - the parts of one step
    run: RunState,
    plan: Plan[Any],
    frame: Frame,
    event: NodeFinished | NodeFailed,
    view: View,
    change: Change,
    facts: Node,
) -> Decided:
    """Choose the edge out of a node that ended, and return the complete step to record.

    If the conditions of all edges are false, the step records that this part of the run fails.
    """
    take_edge(facts, plan, view, plan.nodes[event.id.node].edges, frame, event.id.attempt, run.observer)
    return Decided(
        run.snapshot.seq + 1,
        event.now,
        facts,
        event.id.frame,
        event.id.node,
        event.id.visit,
        event.id.attempt,
        event.began,
        change.ops,
        change.typed,
        change.state_bytes,
    )


def node_failed(run: RunState, frame: Frame, event: NodeFailed) -> Decided:
    """Return the step to record for a failed attempt.

    The step is a retry, the run of the fallback, a `failed(…)` edge, or the failure of the node.
    """
    node = plan_of(run.plan, frame).nodes[event.id.node]
    if event.error.kind != EffectUnknown.code and any(key.startswith(UNKNOWN) for key in event.refused):
        # A person answered how an effect ended, and the result does not fit. The person is asked again.
        facts = Attempt(usage=event.usage or {}, choice=event.choice, error=event.error, due_at=event.now)
        facts.keep_results, facts.refused = True, event.refused
        return step_of(run.snapshot, event, facts)
    if node.each is not None and frame.kind != "item":
        # After crashes, the map itself fails. Retries and fallbacks apply to its items only.
        return give_up(run, frame, event)
    if frame.kind == "item" and event.error.kind == TooLarge.code and is_full(run, frame):
        # A resume with a higher limit can still run the item, so no fallback replaces its result.
        return give_up(run, frame, event)
    if not isinstance(frame.phase, Fallback):
        due = _next_attempt(node, frame, event)
        calls_fallback = node.fallback is not None and node.fallback.call is not None
        if due is not None or calls_fallback:
            facts = Attempt(usage=event.usage or {}, choice=event.choice, error=event.error, due_at=due)
            if due is not None and node.retry is not None and node.retry.jitter:
                facts.chance = event.chance
            _keep_work(facts, node, frame, event)
            if due is None:
                facts.then = "fallback"
            return step_of(run.snapshot, event, facts)
        if node.fallback is not None:
            value = NodeFinished(event.id, event.began, event.now, node.fallback.value, event.usage, event.choice)
            return node_finished(run, frame, value, failed=event)
    return give_up(run, frame, event)


def _refuse(
    run: RunState, frame: Frame, event: NodeFinished, failed: NodeFailed | None, error: BaseException
) -> Decided:
    """Return the step to record when the result of a node does not fit the state.

    The attempt counts as failed. With `failed`, the result is a fallback's value, which should have replaced that
    failure.
    """
    # The result contained lone surrogates, which cannot be recorded.
    if (cleaned := utf8_value(event.result)) is not event.result:
        return node_finished(run, frame, replace(event, result=cleaned), failed=failed)
    raised = failure_record(error, path_of(event.id.frame, event.id.node), event.id.attempt)
    if failed is not None:
        return _mismatch(run, frame, failed, raised)
    refused = (event.answer,) if event.answer else ()
    mismatch = NodeFailed(
        event.id, event.began, event.now, raised, event.usage, event.choice, event.chance, refused=refused
    )
    step = node_failed(run, frame, mismatch)
    if isinstance(step.data, AttemptEnded):
        step.data.cause = "finished"
    return step


def _mismatch(run: RunState, frame: Frame, event: NodeFailed, error: FailureRecord) -> Decided:
    """Return the step to record when the value of a fallback does not fit the state.

    The node then fails with the original failure, which the fallback should have replaced.
    """
    first = event.error
    text = f"the fallback does not fit: {error.message}; it stood in for {first.kind}: {first.message}"
    worse = replace(first, message=text, where=error.where, repair=error.repair, traceback=error.traceback)
    worse.pause_seconds, worse.repeats = 0, False
    worse.replaced = first
    worse.raised = error.raised
    return give_up(run, frame, replace(event, error=worse))


def give_up(run: RunState, frame: Frame, event: NodeFailed) -> Decided:
    """Return the step to record when a node failed for good.

    The run moves along the first `failed(…)` edge that holds. If none holds, this part of the run fails.
    """
    plan, snapshot, failure = plan_of(run.plan, frame), run.snapshot, event.error
    facts = Failed(usage=event.usage or {}, choice=event.choice, error=failure)
    _keep_work(facts, plan.nodes[event.id.node], frame, event)
    if frame.kind == "item":
        fail_with(facts, failure)
        return step_of(snapshot, event, facts)
    node = plan.nodes[event.id.node]
    view = view_after(run, plan, frame, event)
    view.failure = failure.names
    try:
        change = (
            plan.state.apply(view, [(plan.collect_errors, Failure.of(failure))]) if plan.collect_errors else NO_CHANGE
        )
        track(plan, view, event.id.node, change.ops, failed=True)
        find_edge(facts, plan, node.failure_edges, view, frame, run.observer)
    except BaseException as raised:  # noqa: BLE001 - user code of any kind: validators, conditions
        reraise_interrupt(raised)
        if not isinstance(raised, NoEdge):
            came_with = failure
            failure = failure_record(raised, path_of(event.id.frame, event.id.node), event.id.attempt)
            failure.message = to_show(f"{show(failure.message)}; it came with {came_with.kind}: {came_with.message}")
        fail_with(facts, failure)
        return step_of(snapshot, event, facts)
    if facts.error is not failure and facts.error is not None and frame.up is not None:
        # A failure edge led to FAIL. The failure that led there is shown, but for the frame around it the graph ended
        # at FAIL.
        failure = replace(failure, names=facts.error.names, non_retryable=False, replaced=failure)
        failure.raised = event.error.raised
    facts.error = failure
    if facts.has_failed:
        return step_of(snapshot, event, facts)
    note_changes(plan, view)
    facts.marks = view.new_marks
    if view.new_marks and view.until:
        facts.samples = tuple(view.new_samples)
    step = step_of(snapshot, event, facts)
    step.update, step.typed = change.ops, change.typed
    return step


def _keep_work(facts: Attempt | Failed, node: NodePlan, frame: Frame, event: NodeFailed) -> None:
    """Record in the step of a failed attempt which of its recorded results the next attempt will find.

    The next attempt finds all results except those that caused the failure. If the retry policy starts attempts afresh,
    it finds none.
    """
    if frame.recorded_results and not (node.retry is not None and node.retry.afresh):
        facts.keep_results, facts.refused = True, event.refused or ()


def record_note(run: RunState, event: Noted) -> Decided:
    """Return the step for something that a running node records before it ends, such as the result of a call."""
    facts = event.facts
    if isinstance(facts, Waiting) and (frame := run.snapshot.frames[event.id.frame]).asks:
        _ask_again(frame, facts)
    code = run.plan.code
    if code is not None and code.id != run.snapshot.code and _is_kept(facts):
        facts.code = code.id
    step = step_of(run.snapshot, event, facts)
    if event.size_bytes is not None:
        step.state_bytes = sum_bounds(run, event.size_bytes)
    return step


def _is_kept(facts: AnyFacts) -> TypeGuard[Begun | Recorded | Waiting]:
    """Return whether a step records something that the node finds again when its code runs again."""
    if isinstance(facts, Waiting):
        return any(asked.key for asked in facts.waits.values())
    return isinstance(facts, Begun) or (isinstance(facts, Recorded) and bool(facts.key))


def _ask_again(frame: Frame, facts: Waiting) -> None:
    """Give a question that a node asks again unchanged its earlier id, so that answers on their way still fit.

    Earlier questions of the visit that the node no longer asks are listed in the step as withdrawn.
    """
    for name, asked in facts.waits.items():
        if asked.kind in ANSWERABLE:
            asked.id = id_again(frame, name, asked)
    again = {asked.id for asked in facts.waits.values()}
    left = [asked.id for key, asked in frame.asks.items() if key not in frame.recorded_results]
    facts.withdrawn = [each for each in left if each not in again] or ()


def node_left(run: RunState, frame: Frame, event: NodeLeft) -> Decided:
    """Return the step that chooses an edge for a node that has completed without one, when the run is resumed."""
    plan, snapshot = plan_of(run.plan, frame), run.snapshot
    view = View(plan.state, frame)
    view.checks = run.checks
    view.node = frame.at
    view.until = frame.until
    view.usage = usage_of(frame)
    view.elapsed_seconds = elapsed(snapshot, frame)
    view.ended = frame.phase.ended if isinstance(frame.phase, Leaving) else ""
    sample_again(plan, view)
    is_start = frame.at == START
    edges = plan.start if is_start else plan.nodes[frame.at].edges
    facts = Left()
    take_edge(facts, plan, view, edges, frame, attempt_of(frame) if is_start else frame.attempt, run.observer)
    return Decided(snapshot.seq + 1, event.now, facts, frame.id, frame.at, frame.visit, frame.attempt)


def _next_attempt(node: NodePlan, frame: Frame, event: NodeFailed) -> float | None:
    """Return when the node is retried, in epoch seconds; None if it is not retried."""
    retry, error = node.retry, event.error
    # Otherwise a subgraph failed, which gets a new input in the next attempt.
    is_own = not isinstance(frame.phase, Inside)
    if not is_own and any(memo.begun for memo in frame.recorded_results.values()):
        # An effect began in the subgraph, and another attempt would repeat it. A resume continues inside the subgraph.
        return None
    if retry is None or error.non_retryable or (is_own and error.repeats) or frame.tries + 1 >= retry.attempts:
        return None
    is_mistake = any(exception_name(kind) in error.names for kind in MISTAKES)
    repeated = [kind for kind in retry.on if not is_mistake or issubclass(kind, MISTAKES)]
    if not any(exception_name(kind) in error.names for kind in repeated):
        return None
    asked = error.pause_seconds if is_own else 0.0
    return event.now + max(pause_of(retry, frame.tries + 1, event.chance), asked)


def fail_at_once(event: NodeEntered, error: FailureRecord) -> NodeFailed:
    """Return the event for a map or a subgraph that could not begin, for example because an input is missing."""
    return NodeFailed(event.id, event.now, event.now, error, chance=event.chance)


def step_of(snapshot: Snapshot, event: AttemptEvent, facts: AnyFacts) -> Decided:
    began = event.began if isinstance(event, Worked) else 0.0
    of = event.id
    return Decided(snapshot.seq + 1, event.now, facts, of.frame, of.node, of.visit, of.attempt, began)
