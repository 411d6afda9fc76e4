"""decide: what an event means for a run. Every rule of movement is here, and nowhere else.

The machine. A frame stands at a node, `ready`. Its attempt ends in one of two events:

    NodeFinished   the result becomes updates; they are reduced, validated and recorded; the first way out whose
                   condition holds is taken:                       step `node`
    NodeFailed     another attempt, if the node's retry has one left:    step `attempt`, to be started at `due_at`
                   else its fallback: a value stands in at once (step `node`), a function is run (step `attempt`,
                   phase `fallback`)
                   else the first way out with a `failed(…)` that holds:    step `failed`, with `to`
                   else the run fails, to be resumed:                       step `failed`

A bad update is a failed attempt. A condition that raises, or none that holds, leaves the node done and the frame
`leaving`: the run fails there, and a resume chooses the way anew (step `left`). END finishes the run, FAIL fails it.

A way may be a fork: its step names the arms, each a frame of its own that ends at the join. When all have arrived, or
as many as are needed, ArmsArrived reduces their updates again in declared order (step `joined`); when an arm that is
needed failed, the frame that forked it fails.

decide reads the snapshot and does not touch it. It calls the user's pure functions: reducers, validators, conditions,
writes-functions. Each condition is evaluated once; what it said is kept with the step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.conditions import exception_name
from graphengine.core.events import (
    ArmsArrived,
    Begun,
    BranchedOff,
    NodeFailed,
    NodeFinished,
    NodeLeft,
    Resumed,
    StopAsked,
)
from graphengine.core.evolve import add_usage
from graphengine.core.failures import error_of, failure_record
from graphengine.core.marks import default_marks, first_marks, note_changes, sample, sample_again, sample_arm, track
from graphengine.core.ready import arms_settled, ready
from graphengine.core.snapshot import ROOT, Frame
from graphengine.core.steps import EMPTY, Step, path_of
from graphengine.errors import ConditionFailed, InvalidUpdate, NodeError, NoWayOut
from graphengine.failure import Failure
from graphengine.options import END, FAIL, START
from graphengine.plan import EdgeWay, SwitchWay
from graphengine.reducers import Replace
from graphengine.state import NO_CHANGE
from graphengine.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.conditions import Condition
    from graphengine.core.events import Event
    from graphengine.core.snapshot import Snapshot
    from graphengine.plan import ForkWay, NodePlan, Plan, Way
    from graphengine.records import JsonValue
    from graphengine.state import Change

_OTHERWISE: Final = (True, "otherwise")


class StaleEvent(Exception):
    """The event belongs to a visit or attempt that is over."""


def decide(plan: Plan[Any], snapshot: Snapshot, event: Event) -> Step:
    """The step that this event means.

    Raises:
        StaleEvent: The frame is at another visit or attempt.
        InvalidUpdate, NotRecordable: The update of a branch does not fit (nothing else raises them from here).
    """
    return _EVENTS[type(event)](plan, snapshot, event)


def _begun(plan: Plan[Any], snapshot: Snapshot, event: Begun) -> Step:  # noqa: ARG001 - every event is decided by one signature
    frame = Frame(values=dict(event.values), typed=dict(event.typed))
    view = View(plan.state, frame)
    view.node = START
    changes = [t for group in plan.epochs.values() for t in group if t.kind == "change"]
    marks = default_marks(plan, changes)
    view.new_marks.update(marks)
    sample(plan, view, event.given)
    data: dict[str, JsonValue] = {
        "run_id": event.run_id,
        "graph": plan.graph,
        "version": plan.version,
        "fingerprint": plan.fingerprint,
        "limits": dict(event.limits),
    }
    if event.after:
        data["after"] = event.after
    data.update(_taken(plan, view, plan.start, ROOT))
    update = [("set", name, value) for name, value in event.values.items()]
    return Step(1, "started", event.now, update=update, data=data, typed=[event.typed[op[1]] for op in update])


def _node_finished(plan: Plan[Any], snapshot: Snapshot, event: NodeFinished) -> Step:
    frame = _frame(snapshot, event)
    node = plan.nodes[event.node]
    view = View(plan.state, frame)
    try:
        updates = node.writer.updates(event.result, view, node.name)
        if frame.phase == "fallback" and plan.errors is not None:
            updates = [*updates, (plan.errors, Failure.of(frame.cause))]
        change = plan.state.apply(view, updates)
    except Exception as error:  # noqa: BLE001 - user code of any kind: writes-functions, validators, reducers
        failed = _as_failed(event, error)
        return _node_failed(plan, snapshot, failed)
    more = _spent(event) if event.usage or event.choice else EMPTY
    if frame.phase == "fallback":
        more = {**more, "fallback": True, "error": frame.cause}
    _facts(snapshot, view, event)
    if plan.epochs or plan.samples:
        track(plan, view, event.node, change.ops)
    return _leave(plan, snapshot, event, view, change, more)


def _leave(  # noqa: PLR0913 - the parts of one step
    plan: Plan[Any],
    snapshot: Snapshot,
    event: NodeFinished | NodeFailed,
    view: View,
    change: Change,
    more: Mapping[str, JsonValue],
) -> Step:
    """The step of a visit that is done: with the way out, or, if there is none, without and failed."""
    data = _taken(plan, view, plan.nodes[event.node].ways, event.frame, event.attempt)
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
    )


def _taken(plan: Plan[Any], view: View, ways: Sequence[Way], frame: str, attempt: int = 1) -> dict[str, JsonValue]:
    """The way out with the marks that go with it; or, if there is none to take, why the run failed there."""
    try:
        taken = _way_out(ways, view)
        if plan.epochs and taken.get("status") != "failed":
            note_changes(plan, view)
    except NodeError as error:
        failure = failure_record(error_of(error), path_of(frame, view.node), attempt)
        taken = {"error": failure, **_failed_run(failure)}
    if view.new_marks:
        taken["marks"] = view.new_marks
        if view.until:
            taken["samples"] = view.new_samples
    return taken


def _node_failed(plan: Plan[Any], snapshot: Snapshot, event: NodeFailed) -> Step:
    frame = _frame(snapshot, event)
    node = plan.nodes[event.node]
    failure = failure_record(event.error, _path(event), event.attempt)
    data = {**_spent(event), "error": failure}
    if frame.phase == "ready":
        due = _next_attempt(node, frame, event)
        if due is not None:
            return _step(snapshot, event, "attempt", {**data, "due_at": due})
        if node.fallback is not None and node.fallback.call is not None:
            return _step(snapshot, event, "attempt", {**data, "then": "fallback"})
        if node.fallback is not None:
            return _fallback_value(plan, snapshot, event, node.fallback.value, data)
    return _gone_wrong(plan, snapshot, event, data)


def _as_failed(event: NodeFinished, error: Exception) -> NodeFailed:
    """A result that does not fit is a failed attempt."""
    visit = (event.frame, event.node, event.visit, event.attempt, event.began, event.now)
    return NodeFailed(*visit, error_of(error), event.usage, event.choice, event.chance)


def _fallback_value(
    plan: Plan[Any], snapshot: Snapshot, event: NodeFailed, value: object, data: dict[str, JsonValue]
) -> Step:
    """The step in which a fallback's value stands in for a result."""
    node = plan.nodes[event.node]
    view = View(plan.state, snapshot.frames[event.frame])
    failure = data["error"]
    try:
        updates = node.writer.updates(value, view, node.name)
        if plan.errors is not None:
            updates = [*updates, (plan.errors, Failure.of(failure))]
        change = plan.state.apply(view, updates)
    except Exception as error:  # noqa: BLE001 - user code of any kind
        told = error_of(error)
        text = f"the fallback does not fit: {told.message}; it stood in for {failure['kind']}: {failure['message']}"
        worse = {**failure_record(told, failure["path"], failure["attempt"]), "kind": failure["kind"], "message": text}
        return _gone_wrong(plan, snapshot, event, {**data, "error": worse})
    _facts(snapshot, view, event)
    if plan.epochs or plan.samples:
        track(plan, view, event.node, change.ops)
    return _leave(plan, snapshot, event, view, change, {**data, "fallback": True})


def _gone_wrong(plan: Plan[Any], snapshot: Snapshot, event: NodeFailed, data: dict[str, JsonValue]) -> Step:
    """A visit that failed for good: the first `failed(…)` way that holds, else the end of the run."""
    node = plan.nodes[event.node]
    view = View(plan.state, snapshot.frames[event.frame])
    failure = data["error"]
    _facts(snapshot, view, event)
    view.failure = event.error.names
    try:
        change = plan.state.apply(view, [(plan.errors, Failure.of(failure))]) if plan.errors else NO_CHANGE
        track(plan, view, event.node, change.ops)
        taken = _way_out(node.failure_ways, view)
    except Exception as error:  # noqa: BLE001 - user code of any kind: validators, conditions
        if not isinstance(error, NoWayOut):
            told = error_of(error)
            text = f"{told.message}; it came with {failure['kind']}: {failure['message']}"
            failure = {**failure_record(told, _path(event), event.attempt), "message": text}
        return _step(snapshot, event, "failed", {**data, "error": failure, **_failed_run(failure)})
    if taken.get("status") == "failed":
        return _step(snapshot, event, "failed", {**taken, **data})
    note_changes(plan, view)
    marks: dict[str, JsonValue] = {"marks": view.new_marks} if view.new_marks else {}
    if view.new_marks and view.until:
        marks["samples"] = view.new_samples
    step = _step(snapshot, event, "failed", {**taken, **data, **marks})
    return step._replace(update=change.ops, typed=change.typed)


def _node_left(plan: Plan[Any], snapshot: Snapshot, event: NodeLeft) -> Step:
    frame = snapshot.frames.get(event.frame)
    if frame is None or frame.phase != "leaving":
        raise StaleEvent(event)
    view = View(plan.state, frame)
    view.node = frame.at
    view.until = frame.until
    view.usage = _usage_of(frame)
    view.elapsed_seconds = snapshot.elapsed_seconds
    sample_again(plan, view)
    ways = plan.start if frame.at == START else plan.nodes[frame.at].ways
    data = _taken(plan, view, ways, frame.id, frame.attempt)
    return Step(snapshot.seq + 1, "left", event.now, frame.id, frame.at, frame.visit, frame.attempt, data=data)


def _arms_arrived(plan: Plan[Any], snapshot: Snapshot, event: ArmsArrived) -> Step:
    """The arms become one: their updates are reduced again in declared order, on what the fork began with."""
    frame = snapshot.frames.get(event.frame)
    if frame is None or frame.phase != "forked" or not arms_settled(snapshot, frame):
        raise StaleEvent(event)
    fork = frame.fork
    arms = [snapshot.frames[key] for key in fork["arms"]]
    arrived = [arm for arm in arms if arm.phase == "ended"]
    common = (snapshot.seq + 1, "joined", event.now, frame.id, fork["join"])
    if len(arrived) < fork.get("need", len(arms)):
        arm = next(arm for arm in arms if arm.failure is not None)
        return Step(*common, data={"error": arm.failure, **_failed_run(arm.failure, arm.stop)})  # type: ignore[arg-type]
    view = View(plan.state, frame)
    view.node, view.until = frame.at, frame.until
    try:
        change = plan.state.apply(view, _joined_updates(plan, view, arrived))
    except Exception as error:  # noqa: BLE001 - user code of any kind: reducers, validators
        failure = failure_record(error_of(error), path_of(frame.id, fork["join"]), 1)
        return Step(*common, data={"error": failure, **_failed_run(failure)})  # type: ignore[arg-type]
    counted: dict[str, int] = {}
    for arm in arrived:
        sample_arm(plan, view, arm, counted)
        for name, visits in arm.counts.items():
            counted[name] = counted.get(name, 0) + visits
    why = f"{len(arrived)} of {len(arms)} arms arrived"
    data = _arrival(fork["join"], fork.get("label", ""), fork.get("condition"), why, frame.until)
    if view.new_marks:
        data["marks"] = view.new_marks
        if view.until:
            data["samples"] = view.new_samples
    cancelled = [arm.id for arm in arms if arm.phase != "ended"]
    if cancelled:
        data["cancelled"] = cancelled
    return Step(*common, update=change.ops, data=data, typed=change.typed)  # type: ignore[arg-type]


def _joined_updates(plan: Plan[Any], view: View, arms: Sequence[Frame]) -> list[tuple[str, object]]:
    """The raw updates of all arms, in declared order.

    Raises:
        InvalidUpdate: An arm replaced a field that another one wrote.
    """
    writers: dict[str, set[str]] = {}
    for arm in arms:
        for op in arm.journal:
            writers.setdefault(op[1], set()).add(arm.id)
    updates: list[tuple[str, object]] = []
    for arm in arms:
        for op in arm.journal:
            update = plan.state.fields[op[1]].again(op, view)
            if isinstance(update, Replace) and len(writers[op[1]]) > 1:
                raise InvalidUpdate(
                    f"the arm to {arm.id.rsplit('~', 1)[-1]} replaced {op[1]!r}, which another arm wrote",
                    where=f"fork at {view.node}",
                    repair="replace it before the fork or behind the join",
                )
            updates.append((op[1], update))
    return updates


def _failed_run(failure: Mapping[str, JsonValue], stop: JsonValue = None) -> dict[str, JsonValue]:
    stop = stop or {"reason": "failed", "label": "", "condition": "", "explanation": failure["message"]}
    return {"status": "failed", "stop": stop}


def _resumed(plan: Plan[Any], snapshot: Snapshot, event: Resumed) -> Step:
    data: dict[str, JsonValue] = {"limits": dict(event.limits), "fingerprint": event.fingerprint}
    if event.crashed and ready(snapshot):  # else nothing was in flight: a limit held it back
        data["crashed"] = True
    if event.changes:
        data["changes"] = list(event.changes)
        marks = first_marks(plan, snapshot.root)
        if marks:
            data["marks"] = marks
    return Step(snapshot.seq + 1, "resumed", event.now, update=tuple(event.refit), data=data)


def _stop_asked(plan: Plan[Any], snapshot: Snapshot, event: StopAsked) -> Step:  # noqa: ARG001 - every event is decided by one signature
    if event.error is not None:
        failure = failure_record(event.error, "", 1)
        return Step(snapshot.seq + 1, "stopped", event.now, data={"error": failure, **_failed_run(failure)})
    stop = {"reason": event.reason, "label": "", "condition": "", "explanation": event.explanation}
    return Step(snapshot.seq + 1, "stopped", event.now, data={"status": "stopped", "stop": stop})


def _branched_off(plan: Plan[Any], snapshot: Snapshot, event: BranchedOff) -> Step:
    root = snapshot.root
    refitted = {op[1]: op[2] for op in event.refit}
    typed = {name: value for name, value in root.typed.items() if name not in refitted}
    view = View(plan.state, Frame(values={**root.values, **refitted}, typed=typed, marks=root.marks))
    ops = plan.state.apply(view, event.updates).ops
    data: dict[str, JsonValue] = {
        "run_id": event.run_id,
        "parent": event.parent,
        "limits": dict(event.limits),
        "fingerprint": event.fingerprint,
    }
    if event.changes:
        data["changes"] = list(event.changes)
        view.new_marks.update(first_marks(plan, root))
    sample(plan, view, [op[1] for op in ops])
    if view.new_marks:
        data["marks"] = view.new_marks
    return Step(snapshot.seq + 1, "branched", event.now, update=[*event.refit, *ops], data=data)


def _way_out(ways: Sequence[Way], view: View) -> dict[str, JsonValue]:
    """Where the first way that holds leads, and what every condition looked at said.

    Raises:
        ConditionFailed: One raised.
        NoWayOut: None holds.
    """
    said: list[str] = []
    condition: Condition | str | None
    for way in ways:
        try:
            if isinstance(way, EdgeWay):
                target, label, condition = way.target, way.label, way.condition
                held, why = condition.evaluate(view) if condition is not None else _OTHERWISE
            elif isinstance(way, SwitchWay):
                held, target, label, condition, why = _case(way, view)
            else:
                held, why, targets = _arms(way, view)
                if held and targets:
                    return _forked(way, targets, "; ".join([*said, why]))
                target, label, condition = way.join, way.label, way.condition
        except ConditionFailed:
            raise
        except Exception as error:
            raise ConditionFailed(
                f"{way.reading.text if isinstance(way, SwitchWay) else way.condition} raised "
                f"{type(error).__name__}: {error}",
                where=f"way out of {view.node}",
                repair="mend the function and resume; the node's work is recorded and is not done again",
            ) from error
        said.append(why)
        if held:
            return _arrival(target, label, condition, "; ".join(said), view.until)
    raise NoWayOut(
        f"no way out of {view.node} holds: {'; '.join(said)}",
        where=f"node {view.node}",
        repair="add a way without a condition, and resume",
    )


def _case(way: SwitchWay, view: View) -> tuple[bool, str, str, str, str]:
    """Whether a switch is taken, its target, label and condition, and what was found."""
    value = way.reading.read(view)
    target = way.cases.get(value)
    value = getattr(value, "value", value)
    why = f"{way.reading.text} is {value!r}"
    if target is not None:
        return True, target, str(value), f"{way.reading.text} == {value!r}", why
    if way.otherwise is not None:
        return True, way.otherwise, "", f"{way.reading.text} otherwise", why
    return False, "", "", "", why


def _arms(way: ForkWay, view: View) -> tuple[bool, str, list[str]]:
    """Whether a fork is taken, what was found, and the targets of the arms that are to be run."""
    held, why = way.condition.evaluate(view) if way.condition is not None else _OTHERWISE
    targets: list[str] = []
    said = [why]
    for target, condition in way.arms if held else ():
        try:
            runs, told = condition.evaluate(view) if condition is not None else (True, "")
        except Exception as error:
            raise ConditionFailed(
                f"{condition} raised {type(error).__name__}: {error}",
                where=f"arm to {target} of the fork at {view.node}",
                repair="mend the function and resume; the node's work is recorded and is not done again",
            ) from error
        if runs:
            targets.append(target)
        if told:
            said.append(f"{target}: {told}")
    return held, "; ".join(said), targets


def _forked(way: ForkWay, targets: Sequence[str], why: str) -> dict[str, JsonValue]:
    fork: dict[str, JsonValue] = {"join": way.join}
    if way.need is not None:
        fork["need"] = min(way.need, len(targets))
    if way.condition is not None:
        fork["condition"] = str(way.condition)
    taken: dict[str, JsonValue] = {"to": list(targets), "why": why, "fork": fork}
    if way.label:
        taken["edge"] = fork["label"] = way.label
    return taken


def _arrival(
    target: str, label: str, condition: Condition | str | None, why: str, until: str = ""
) -> dict[str, JsonValue]:
    taken: dict[str, JsonValue] = {"to": (target,), "why": why}
    if label:
        taken["edge"] = label
    if target not in (END, FAIL) or target == until:
        return taken
    stop = {"label": label, "condition": "" if condition is None else str(condition), "explanation": why}
    if target == END:
        return {**taken, "status": "finished", "stop": {"reason": "end", **stop}}
    error = {"path": "", "kind": "fail", "message": label or why, "attempt": 1}
    return {**taken, "status": "failed", "stop": {"reason": "failed", **stop}, "error": error}


def _frame(snapshot: Snapshot, event: NodeFinished | NodeFailed) -> Frame:
    frame = snapshot.frames.get(event.frame)
    if (
        frame is None
        or frame.phase not in ("ready", "fallback")
        or frame.at != event.node
        or frame.visit != event.visit
        or frame.attempt != event.attempt
    ):
        raise StaleEvent(event)
    return frame


def _facts(snapshot: Snapshot, view: View, event: NodeFinished | NodeFailed) -> None:
    """Tell the view what conditions may ask beside the state."""
    frame = snapshot.frames[event.frame]
    view.node = view.completing = event.node
    view.until = frame.until
    view.usage = _usage_of(frame)
    if event.usage:
        view.usage = add_usage(view.usage, event.usage)
    past = event.now - snapshot.now
    view.elapsed_seconds = snapshot.elapsed_seconds + (past if past > 0 else 0.0)


def _usage_of(frame: Frame) -> Mapping[str, float | None]:
    """What was spent in a frame and in those it has its state from: other arms are another matter."""
    return frame.usage if frame.base is None else add_usage(_usage_of(frame.base), frame.usage)


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
    return event.now + min(wait, retry.max_seconds)


def _spent(event: NodeFinished | NodeFailed) -> Mapping[str, JsonValue]:
    """What the attempt cost, and the choice it was."""
    if not event.usage and not event.choice:
        return EMPTY
    data: dict[str, JsonValue] = {}
    if event.usage:
        data["usage"] = dict(event.usage)
    if event.choice:
        data["choice"] = event.choice
    return data


def _step(snapshot: Snapshot, event: NodeFailed, kind: Any, data: Mapping[str, JsonValue]) -> Step:  # noqa: ANN401
    return Step(
        snapshot.seq + 1,
        kind,
        event.now,
        event.frame,
        event.node,
        event.visit,
        event.attempt,
        event.began,
        (),
        data or EMPTY,
    )


def _path(event: NodeFinished | NodeFailed) -> str:
    return path_of(event.frame, event.node)


_EVENTS: Final[dict[type, Callable[[Any, Any, Any], Step]]] = {
    Begun: _begun,
    NodeFinished: _node_finished,
    NodeFailed: _node_failed,
    NodeLeft: _node_left,
    ArmsArrived: _arms_arrived,
    Resumed: _resumed,
    StopAsked: _stop_asked,
    BranchedOff: _branched_off,
}
