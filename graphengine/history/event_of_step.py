"""Reconstruct the event from which a recorded step was decided, so that today's graph can decide the event again.

A step records the kind of its event (`AttemptEnded.cause`) and the event's times, costs, answers and failures. It does
not record the result of a node; it records the updates that the result led to. `SourceEvent.unsure` lists the parts of
the event that no log contains. No node is called, and no code of the user is imported.

This module is the inverse of the engine's rules. If you add an event, or a field of an event, also read it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, assert_never

from pydantic import ValidationError

from graphengine.engine import steps
from graphengine.engine.events import (
    AnswerArrived,
    BranchedOff,
    LimitMet,
    MessageCame,
    NodeEntered,
    NodeFailed,
    NodeFinished,
    NodeLeft,
    Noted,
    RunResumed,
    RunStarted,
    Settled,
    StopAsked,
    WaitOver,
    Written,
)
from graphengine.engine.graph_migration import shift_snapshot
from graphengine.engine.lookup import plan_of, view_of
from graphengine.engine.snapshot import AttemptId
from graphengine.engine.steps import AnswerRecord, AttemptEnded, Node, Shift, Started
from graphengine.errors import GraphEngineError, InputError, InvalidUpdate, MutatedInput, NoChoice
from graphengine.graph.options import START
from graphengine.reducers import maximum
from graphengine.state.field import why
from graphengine.state.view import RecordsAlone, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.events import Event
    from graphengine.engine.plan import NodePlan, Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import Step
    from graphengine.state.field import FieldType
    from graphengine.state.json_values import JsonValue, Op
    from graphengine.state.schema import StateType

_RESULT: Final = "a result that did not fit, which no log contains"
_FUNCTION: Final = "a part of a result that writes= extracts, which no log contains"
_REPLACED: Final = "a value that was set where today a reducer combines: whether it was to replace is not recorded"
_REMOVED: Final = "steps that the retention of the graph removed"
_RAW: Final = "an update for a custom reducer whose parameter has no type"


class SourceEvent(NamedTuple):
    """The event that led to a recorded step, as far as a replay can reconstruct it from the log.

    Attributes:
        event: The event; None if the log does not contain enough to reconstruct it.
        unsure: Descriptions of those parts of the event that are not known.
    """

    event: Event | None
    unsure: Sequence[str] = ()

    @property
    def knows_update(self) -> bool:
        """Whether enough is known about the event to compare its update with the recorded one."""
        return _RAW not in self.unsure


class Mismatch(Exception):
    """Raised by a replay of a run if a recorded step is not possible under the current graph.

    Args:
        what: What does not fit: `ready` (the run would not be at this place of the graph), `state` (the initial state)
            or `update` (what the step wrote).
        message: The difference in a sentence.
        repair: How to remove the difference.
    """

    def __init__(self, what: str, message: str, repair: str) -> None:
        super().__init__(message)
        self.what, self.message, self.repair = what, message, repair


def source_event(plan: Plan[Any], snapshot: Snapshot, step: Step) -> SourceEvent:
    """Reconstruct the event from which a step was decided, so that a replay can decide the step again.

    Args:
        plan: The compiled current graph.
        snapshot: The run before the step.
        step: The step.

    Raises:
        Mismatch: Such an event is not possible at this place of the current graph.
    """
    found = _event(plan, snapshot, step)
    return found if isinstance(found, SourceEvent) else SourceEvent(found)


def _event(plan: Plan[Any], snapshot: Snapshot, step: Step) -> SourceEvent | Event:  # noqa: C901, PLR0911, PLR0912 - a case each
    facts, at = step.data, step.at
    of = AttemptId(step.frame, step.node, step.visit, step.attempt)
    match facts:
        case Started():
            begins = Started(
                run_id=facts.run_id,
                graph=plan.graph,
                version=plan.version,
                fingerprint=plan.fingerprint,
                limits=facts.limits,
                after=facts.after,
                pause=facts.pause,
                starter=facts.starter,
                origin=facts.origin,
                title=facts.title,
                written=facts.written,
            )
            return RunStarted(at, begins, *_first_state(plan.state, step), facts.given)
        case AttemptEnded():
            return _end_event(plan, snapshot, step, facts)
        case steps.Left():
            _node_at(plan, snapshot, step)
            return NodeLeft(step.frame, at)
        case steps.Joined():
            _walked(plan, snapshot, step)
            return Settled(step.frame, at)
        case steps.Mapped() | steps.Entered():
            _node_at(plan, snapshot, step)
            return NodeEntered(of, at)
        case steps.Begun() | steps.Recorded() | steps.Waiting():
            _node_at(plan, snapshot, step)
            return Noted(of, step.began, at, facts)
        case steps.Answered():
            frame, _ = _node_at(plan, snapshot, step)
            if facts.by == "answer":
                asked = frame.waits.get(facts.wait) or frame.asked[facts.wait][1]
                return AnswerArrived(facts.wait, asked.id or "", at, facts.answer)
            return WaitOver(step.frame, facts.wait, at, delivered=facts.by == "message")
        case steps.Refused():
            if facts.key:
                _node_at(plan, snapshot, step)
                return Noted(of, 0.0, at, steps.Refused(key=facts.key, wait=facts.wait, message=facts.message))
            return AnswerArrived(facts.wait, facts.id, at, AnswerRecord(facts.answer))
        case steps.Message():
            return MessageCame(at, facts.topic, facts.payload, facts.told)
        case steps.Resumed():
            retries = facts.retries or snapshot.status == "failed"
            settled_too = retries and not facts.settled
            resumed = steps.Resumed(
                crashed=facts.crashed,
                cut_until=facts.cut_until,
                limits=facts.limits,
                fingerprint=facts.fingerprint,
                pause=facts.pause,
                shared_process=facts.shared_process,
                origin=facts.origin,
            )
            return RunResumed(at, resumed, _shift(facts), facts.retries, settled_too)
        case steps.Stopped():
            is_final = facts.status == "cancelled"
            return StopAsked(at, facts.ending.reason, facts.ending.why, facts.error, facts.usage or None, is_final)
        case steps.Branched():
            frame, inner = _walked(plan, shift_snapshot(snapshot, facts), step)
            view = View(inner.state, frame)
            updates = [(op[1], _update_of(inner.state, op, view)) for op in step.update]
            branched = steps.Branched(
                run_id=facts.run_id,
                parent=facts.parent,
                limits=facts.limits,
                fingerprint=facts.fingerprint,
                pause=facts.pause,
                instructions=facts.instructions,
                origin=facts.origin,
                title=facts.title,
            )
            return BranchedOff(at, branched, updates, step.frame, _shift(facts))
        case steps.Removed():
            return SourceEvent(None, (_REMOVED,))
        case _:
            assert_never(facts)


def node_at(plan: Plan[Any], snapshot: Snapshot, step: Step) -> tuple[Frame, Plan[Any], NodePlan]:
    """Return the place in the current graph that belongs to a recorded step.

    Returns:
        The frame (the position of the run), the graph in which the frame moves, and the node.

    Raises:
        Mismatch: The frame, its graph or the node does not exist.
    """
    frame, inner = _walked(plan, snapshot, step)
    return frame, inner, _node_of(inner, step)


def _walked(plan: Plan[Any], snapshot: Snapshot, step: Step) -> tuple[Frame, Plan[Any]]:
    """Return the frame (the position of the run) of a recorded step, and the current graph in which the frame moves.

    Raises:
        Mismatch: The frame or its graph does not exist.
    """
    frame = snapshot.frames.get(step.frame)
    if frame is None:
        at = repr(step.path) if step.path else "its beginning"
        raise Mismatch("ready", f"the run is not at {at} at this step", "look at the steps before this one in the log")
    try:
        return frame, plan_of(plan, frame)
    except (KeyError, NoChoice) as error:
        message = f"the graph that contains node {step.path!r} no longer exists"
        raise Mismatch("ready", message, "restore the graph under its old name") from error


def _node_of(plan: Plan[Any], step: Step) -> NodePlan:
    """Return the node of a recorded step, from the current graph in which the step's frame moves.

    Raises:
        Mismatch: The graph has no such node.
    """
    node = plan.nodes.get(step.node)
    if node is None:
        names = ", ".join(map(repr, plan.nodes))
        message = f"today's graph {plan.graph!r} has no node {step.node!r}; its nodes are {names}"
        raise Mismatch("ready", message, f"restore {step.node!r}, or give the new node its name")
    return node


def _node_at(plan: Plan[Any], snapshot: Snapshot, step: Step) -> tuple[Frame, Plan[Any]]:
    """Return the frame of a recorded step and its current graph, after checking that the graph has the step's node.

    A step that leads from START into the graph has no node, so this check is left out.

    Raises:
        Mismatch: The frame, its graph or the node does not exist.
    """
    frame, inner = _walked(plan, snapshot, step)
    if step.node != START:
        _node_of(inner, step)
    return frame, inner


def _first_state(state: StateType[Any], step: Step) -> tuple[dict[str, JsonValue], dict[str, object]]:
    """Return the initial state that a run would have if it were started today with its recorded input.

    The result contains the state as JSON records and as Python values. Fields that were added since have their
    defaults.

    Raises:
        Mismatch: The recorded state does not fit the current type of the state.
    """
    records = {op[1]: op[2] for op in step.update if op[1] in state.fields}
    view = View(state, RecordsAlone(records))
    try:
        typed = {name: view.get(name) for name in records}
        instance = state.model.__pydantic_validator__.validate_python(typed, by_name=True, by_alias=False)
        begins = state.initial(instance, "the first step")
    except (ValidationError, ValueError, InvalidUpdate, InputError) as error:
        reason = error.message if isinstance(error, GraphEngineError) else why(error, hide=bool(state.secrets))
        message = f"the state that the run began with does not fit {state.model.__name__}: {reason}"
        raise Mismatch("state", message, "give the fields their old types, or give new fields defaults") from error
    return begins.values, begins.typed


def _end_event(plan: Plan[Any], snapshot: Snapshot, step: Step, facts: AttemptEnded) -> SourceEvent | Event:  # noqa: PLR0911 - an event a cause
    """Reconstruct the event that led to a step with which an attempt to run a node ended."""
    if facts.cause == "limit":
        return LimitMet(step.frame, step.at)
    frame, inner, node = node_at(plan, snapshot, step)
    of = AttemptId(step.frame, step.node, step.visit, step.attempt)
    chance = 0.5 if facts.chance is None else facts.chance
    first, usage = facts.error.first if facts.error is not None else None, facts.usage or None
    if facts.cause == "entered":
        return NodeEntered(of, step.at, chance)
    if facts.cause == "settled":
        changed = first is not None and first.kind == MutatedInput.code and first.path == step.path
        return Settled(step.frame, step.at, first if changed else None, chance)
    if facts.cause in ("answered", "over"):
        name = facts.wait or next(iter(frame.waits))  # Without a name, the node itself waits, and has no other wait.
        if facts.cause == "over":
            return WaitOver(step.frame, name, step.at)
        if facts.answer is None:
            return SourceEvent(None, [_RESULT])
        return AnswerArrived(name, frame.waits[name].id, step.at, facts.answer)
    if first is not None and (facts.cause or not isinstance(facts, Node)):
        failed = NodeFailed(of, step.began, step.at, first, usage, facts.choice, chance, facts.refused, facts.lost)
        return SourceEvent(failed, [_RESULT] if facts.cause == "finished" else ())
    updates, unsure = _updates_of_result(inner, frame, step, node)
    more = facts if isinstance(facts, Node) else None
    return SourceEvent(NodeFinished(of, step.began, step.at, updates, usage, facts.choice, more=more), unsure)


def _updates_of_result(plan: Plan[Any], frame: Frame, step: Step, node: NodePlan) -> tuple[Written, Sequence[str]]:
    """Reconstruct what a node returned as updates of the state, from the operations that its step recorded.

    Returns:
        The updates, and descriptions of those parts of the node's result that the log does not show.
    """
    view, fields = view_of(plan, frame), plan.state.fields
    facts = step.data
    ops = list(facts.writes if isinstance(facts, steps.Item) else step.update)
    is_fallback = isinstance(facts, Node) and facts.fallback
    if is_fallback and plan.collect_errors is not None:  # The engine will add the failure again, as the last update.
        last = max((index for index, op in enumerate(ops) if op[1] == plan.collect_errors), default=len(ops))
        del ops[last : last + 1]
    unsure = []
    is_whole = all(source is None for _, source in node.writer.parts)
    if not is_whole:
        unsure.append(_FUNCTION)
    if any(op[0] in ("reduce", "raw") and _is_bare_reducer(fields.get(op[1])) for op in ops):
        unsure.append(_RAW)
    if any(op[0] == "set" and op[1] in fields and fields[op[1]].reducer is not None for op in ops):
        unsure.append(_REPLACED)
    if is_whole and not plan.state.whole:  # A validator of the whole state could change the written fields.
        _check_targets(plan, node, ops, step)
    return Written([(op[1], _update_of(plan.state, op, view)) for op in ops]), unsure


def _check_targets(plan: Plan[Any], node: NodePlan, ops: Sequence[Op], step: Step) -> None:
    """Check that a node of the current graph writes the same fields as the recorded step.

    Raises:
        Mismatch: The node no longer writes one of these fields, or always writes other fields too.
    """
    written, writer = {op[1] for op in ops}, node.writer
    always = writer.fields - writer.also if writer.keys is None else frozenset()
    others = sorted(written - writer.fields - {plan.collect_errors})
    missing = sorted(always - written)
    if others or missing:
        parts = [f"no longer writes {', '.join(map(repr, others))}"] if others else []
        parts += [f"also writes {', '.join(map(repr, missing))}"] if missing else []
        message = f"today's node {step.path!r} {' and '.join(parts)}"
        raise Mismatch("update", message, "give writes= its old value, or accept that runs diverge here")


def _is_bare_reducer(field: FieldType | None) -> bool:
    """Return whether a field has a custom reducer whose parameter for the update has no type annotation."""
    if field is None or field.reducer is None or field.given is not None or field.operation is not None:
        return False
    return field.reducer.__module__ != maximum.__module__  # A built-in reducer accepts the type of the field.


def _update_of(state: StateType[Any], op: Op, view: View) -> object:
    """Convert a recorded operation on the state back to the update that a node returned.

    A replay applies the update again under the current graph and compares the result with the record.

    Raises:
        Mismatch: The current state has no such field, or the current type of the field refuses the value.
    """
    field = state.fields.get(op[1])
    if field is None:
        message = f"today's state {state.model.__name__} has no field {op[1]!r}, which this step wrote"
        raise Mismatch("update", message, f"restore {op[1]!r}, or branch the run from before this step")
    try:
        if op[0] not in ("item", "raw"):
            return field.again(op, view)
        update: Any = field.parts([op], view)[0]
        return update if op[0] == "raw" and field.reducer is not None else update[0]
    except (GraphEngineError, ValidationError, ValueError, TypeError, KeyError, IndexError) as error:
        reason = error.message if isinstance(error, GraphEngineError) else why(error)
        message = f"today's type of {op[1]!r} rejects what this step wrote: {reason}"
        repair = f"let the type of {op[1]!r} accept it, or accept that runs diverge here"
        raise Mismatch("update", message, repair) from error


def _shift(facts: Shift) -> Shift:
    """Return a copy of what a recorded resume or branch changed in the run because the graph had changed.

    What conditions remember (`marks_of`) is left out, because a replay computes it again.
    """
    shift = Shift(**{name: getattr(facts, name) for name in Shift.__struct_fields__})
    shift.marks_of = {}
    return shift
