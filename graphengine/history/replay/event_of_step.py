"""The event that a recorded step came from, so that today's graph can decide it again.

`decide` turns an event into a step; this module turns the step back into the event. The step, or the snapshot before
it, has the node's times, costs, answers and failures, and the updates that its result led to instead of the result.
`SourceEvent.unsure` lists what no log contains: a result that a function in `writes=` took apart, the class of an
exception that is not loaded here. No node is called; nothing is imported.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, assert_never

from msgspec import UNSET
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine import steps
from graphengine.engine.events import (
    Answered,
    AnswerRefused,
    Begun,
    BranchedOff,
    Error,
    LimitMet,
    MessageCame,
    NodeBegun,
    NodeEntered,
    NodeFailed,
    NodeFinished,
    NodeLeft,
    NodeWaits,
    Resumed,
    Settled,
    StopAsked,
    WaitOver,
    WorkDone,
    Written,
)
from graphengine.engine.lookup import RunState, plan_of, view_of
from graphengine.engine.machine import decide
from graphengine.engine.phases import Collecting, Inside, Ready, Waiting
from graphengine.engine.rebase import shifted
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import (
    Attempt,
    AttemptEnded,
    Branched,
    Entered,
    Failed,
    FailureRecord,
    Joined,
    Left,
    Mapped,
    Message,
    Node,
    Recorded,
    Refused,
    Shift,
    Started,
    Stopped,
    falls_back,
    fingerprint_of,
    marks_in,
    ops_of,
)
from graphengine.errors import (
    GraphEngineError,
    InputError,
    InvalidUpdate,
    MutatedInput,
    NoChoice,
    NodeError,
    WaitTimeout,
)
from graphengine.graph.conditions import exception_name
from graphengine.reducers import Replace, maximum
from graphengine.state.field import why
from graphengine.state.view import Held, View

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphengine.engine.events import Event
    from graphengine.engine.plan import NodePlan, Plan
    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Step
    from graphengine.state.field import FieldType
    from graphengine.state.json_values import JsonValue, Op
    from graphengine.state.schema import StateType

RESULT: Final = "a result that did not fit, which no log contains"
FUNCTION: Final = "a part of a result that writes= extracts, which no log contains"
EXCEPTION: Final = "an exception whose class is not loaded here, so that its base classes are unknown"
REPLACED_FAILURE: Final = "the failure that a fallback replaced, if choosing the outgoing edge failed too"
REPLACED: Final = "a value that was set where today a reducer combines: whether it was to replace is not recorded"
RAW: Final = "an update for a custom reducer whose parameter has no type"


class SourceEvent(NamedTuple):
    """Return the event that a step came from.

    Attributes:
        event: The event; None if too little of it is recorded.
        unsure: What is unknown about it.
    """

    event: Event | None
    unsure: Sequence[str] = ()


class Mismatch(Exception):
    """Today's graph is not where the step says the run was, or its types refuse what the step says was written.

    Args:
        what: What differs, as in `graphengine.history.replay.replay.Difference`.
        message: The difference in a sentence.
        repair: What to do about it.
    """

    def __init__(self, what: str, message: str, repair: str) -> None:
        super().__init__(message)
        self.what, self.message, self.repair = what, message, repair


def source_event(plan: Plan[Any], snapshot: Snapshot, step: Step) -> SourceEvent:
    """Return the event that a step came from.

    Args:
        plan: The plan of today's graph.
        snapshot: The run before the step.
        step: The step.

    Raises:
        Mismatch: Today's graph cannot get such an event there.
    """
    found = _event(plan, snapshot, step)
    return found if isinstance(found, SourceEvent) else SourceEvent(found)


def _event(plan: Plan[Any], snapshot: Snapshot, step: Step) -> SourceEvent | Event:  # noqa: C901, PLR0911, PLR0912 - a kind a case
    facts = step.data
    match facts:
        case Started():
            return _started(plan, step, facts)
        case Node() | Attempt() | Failed():  # items are nodes too
            return _ended(plan, snapshot, step, facts)
        case Left():
            return _left(plan, snapshot, step)
        case Joined():
            return _joined(plan, snapshot, step)
        case Mapped() | Entered():
            return _entered(plan, snapshot, step)
        case steps.Begun():
            return _begun(plan, snapshot, step)
        case Recorded():
            return _recorded(plan, snapshot, step, facts)
        case steps.Waiting():
            return _waits(plan, snapshot, step, facts)
        case steps.Answered():
            return _answered(plan, snapshot, step, facts)
        case Refused():
            return _refused(plan, snapshot, step, facts)
        case Message():
            return MessageCame(step.at, facts.topic, facts.payload)
        case steps.Resumed():
            return _resumed(step, facts)
        case Stopped():
            return _stopped(step, facts)
        case Branched():
            return _branched(plan, snapshot, step, facts)
        case _:
            assert_never(facts)


def walked(plan: Plan[Any], snapshot: Snapshot, step: Step) -> tuple[Frame, Plan[Any]]:
    """Return a step's frame, and the plan that it walks today.

    Raises:
        Mismatch: The frame or its graph does not exist.
    """
    frame = snapshot.frames.get(step.frame)
    if frame is None:
        raise Mismatch("ready", f"the run is not at {step.path or 'its beginning'} at this step", "look at the log")
    try:
        return frame, plan_of(plan, frame)
    except (KeyError, NoChoice) as error:
        message = f"the graph around {step.path} no longer exists"
        raise Mismatch("ready", message, "restore it, under its old name") from error


def node_of(plan: Plan[Any], step: Step) -> NodePlan:
    """Return a step's node; `plan` is the one that its frame walks.

    Raises:
        Mismatch: The graph has no such node.
    """
    node = plan.nodes.get(step.node)
    if node is None:
        message = f"today's graph {plan.graph!r} has no node {step.node!r}; it has {', '.join(plan.nodes)}"
        raise Mismatch("ready", message, f"restore {step.node!r}, or give the new node its name")
    return node


def first_records(state: StateType[Any], step: Step) -> tuple[dict[str, JsonValue], dict[str, object]]:
    """Return the state, as records and typed values, with which a run would start today from its recorded first step.

    Raises:
        Mismatch: It does not fit.
    """
    given = {op[1]: op[2] for op in step.update if op[1] in state.fields}
    try:
        if state.secrets:
            return _first_with_secrets(state, given)
        made = state.model.__pydantic_validator__.validate_json(to_json(given), by_name=True, by_alias=False)
        body = state.model.__pydantic_serializer__.to_json(made, by_alias=False, round_trip=True)
    except (ValidationError, ValueError, InvalidUpdate, InputError) as error:
        reason = error.message if isinstance(error, GraphEngineError) else why(error, hide=bool(state.secrets))
        message = f"the state that the run began with does not fit {state.model.__name__}: {reason}"
        raise Mismatch("state", message, "give the fields their old types, or give new fields defaults") from error
    return from_json(body), {name: made.__dict__[name] for name in state.fields}


def _first_with_secrets(
    state: StateType[Any], given: dict[str, JsonValue]
) -> tuple[dict[str, JsonValue], dict[str, object]]:
    """Return the same, field by field: serializing the whole state would omit its secrets."""
    view = View(state, Held(given))
    typed = {name: view.get(name) for name in given}
    made = state.model.__pydantic_validator__.validate_python(typed, by_name=True, by_alias=False)
    begins = state.initial(made, "the first step")
    return begins.values, begins.typed


def _started(plan: Plan[Any], step: Step, facts: Started) -> Event:
    values, typed = first_records(plan.state, step)
    event = Begun(step.at, facts.run_id, values, typed, facts.limits, (), facts.after, facts.pause)
    return event._replace(given=list(_given_fields(plan, event, step)))


def _given_fields(plan: Plan[Any], event: Begun, step: Step) -> Iterator[str]:
    """Yield the fields that the caller set, as far as it matters: if a plateau took a sample of them."""
    recorded = set(marks_in(step))
    exact = fingerprint_of(step) == plan.fingerprint
    for name in plan.samples:
        alone = marks_in(decide(RunState(plan, Snapshot()), event._replace(given=[name])))
        sampled = {tracker.key for tracker in plan.samples[name]} & set(alone)
        if sampled and (sampled <= recorded if exact else sampled & recorded):
            yield name


def _ended(plan: Plan[Any], snapshot: Snapshot, step: Step, facts: AttemptEnded) -> SourceEvent | Event:  # noqa: PLR0911 - a return for each outcome
    """Return the event that ended an attempt, or everything inside a node."""
    if not step.node:
        return LimitMet(step.frame, step.at)
    frame, inner = walked(plan, snapshot, step)
    node = node_of(inner, step)
    kind = facts.error.kind if facts.error is not None else ""
    if isinstance(frame.phase, (Collecting, Inside)):
        changed = kind == MutatedInput.code and isinstance(frame.phase, Collecting)
        wrong = facts.error if changed and facts.error is not None and facts.error.path == step.path else None
        return Settled(step.frame, step.at, _error(wrong)[0] if wrong is not None else None)
    if isinstance(frame.phase, Waiting):
        return _wait_ended(frame, step, facts)
    visit = (step.frame, step.node, step.visit, step.attempt, step.began, step.at)
    usage, choice = facts.usage or None, facts.choice
    stands_in = isinstance(frame.phase, Ready) and falls_back(step)
    failed = isinstance(facts, (Attempt, Failed)) or (stands_in and not facts.has_failed)
    if facts.error is not None and failed:
        if _is_entered(node, frame) and kind != "crash_loop":
            return NodeEntered(*visit[:4], step.at)
        error, unsure = _error(facts.error)
        event = NodeFailed(*visit, error, usage, choice, refused=facts.refused)
        misfit = kind in ("invalid_update", "not_recordable")
        return SourceEvent(event, [*unsure, *([RESULT] if misfit else ())])
    if stands_in and facts.has_failed:
        if kind not in ("no_way_out", "condition_failed", "fail"):
            return SourceEvent(None, [REPLACED_FAILURE])
        written = _written(inner, frame, step, node)[0]
        return SourceEvent(NodeFinished(*visit, written, usage, choice, more=Node(fallback=True)), [REPLACED_FAILURE])
    updates, unsure = _written(inner, frame, step, node)
    return SourceEvent(NodeFinished(*visit, updates, usage, choice, more=_with_result(facts)), unsure)


def _with_result(facts: AttemptEnded) -> Node | None:
    """Return what accompanied a result, without what was decided."""
    return facts if isinstance(facts, Node) else None


def _is_entered(node: NodePlan, frame: Frame) -> bool:
    """Return whether the node enters a map or a graph instead of being run."""
    if not isinstance(frame.phase, Ready):
        return False
    if node.each is not None and frame.kind != "item":
        return True
    return node.call.graph is not None if node.call is not None else any(c.graph for c in node.choices.values())


def _wait_ended(frame: Frame, step: Step, facts: AttemptEnded) -> SourceEvent | Event:
    """Return the event that ended a wait of the node's own."""
    if facts.by == "answer" and facts.answer is not None:
        return Answered(facts.wait, frame.waits[facts.wait].id, step.at, facts.answer.value)
    if facts.wait:
        return WaitOver(step.frame, facts.wait, step.at)
    over = [name for name, wait in frame.waits.items() if wait.due is not None and wait.due <= step.at]
    timed_out = facts.error is not None and facts.error.kind == WaitTimeout.code
    if over and (timed_out or frame.waits[over[0]].default is not UNSET):
        return WaitOver(step.frame, over[0], step.at)
    return SourceEvent(None, [RESULT])


def _written(plan: Plan[Any], frame: Frame, step: Step, node: NodePlan) -> tuple[Written, Sequence[str]]:
    """Return the updates that a result led to, in place of the result."""
    view = view_of(plan, frame)
    ops = list(ops_of(step))
    if falls_back(step) and plan.collect_errors is not None and frame.cause is not None:
        _drop_failure(ops, plan.collect_errors, frame.cause)  # the engine adds it again
    unsure = []
    if any(source is not None for _, source in node.writer.parts):
        whole = _from_whole(plan, ops, node, view)
        if whole is not None:
            return Written(whole), ()
        unsure.append(FUNCTION)
    if any(op[0] in ("reduce", "raw") and _is_bare(plan.state.fields.get(op[1])) for op in ops):
        unsure.append(RAW)
    if any(op[0] == "set" and _joins(plan.state.fields.get(op[1])) for op in ops):
        unsure.append(REPLACED)
    if not plan.state.whole:  # a validator of the whole state can change what is written
        _check_targets(plan, node, ops, step)
    return Written([(op[1], update_of(plan.state, op, view)) for op in ops]), unsure


def _joins(field: FieldType | None) -> bool:
    return field is not None and field.reducer is not None


def _check_targets(plan: Plan[Any], node: NodePlan, ops: Sequence[Op], step: Step) -> None:
    """Check that today's node writes the same fields as the recorded one.

    Raises:
        Mismatch: It omits some, or writes others.
    """
    written, writer = {op[1] for op in ops}, node.writer
    always = writer.fields if writer.keys is None else frozenset()
    others = sorted(written - writer.fields - {plan.collect_errors})
    missing = sorted(always - written)
    if others or missing:
        parts = [f"no longer writes {', '.join(others)}"] if others else []
        parts += [f"writes {', '.join(missing)} too"] if missing else []
        message = f"today {step.path} {' and '.join(parts)}"
        raise Mismatch("update", message, "give writes= its old value, or accept that runs diverge here")


def _from_whole(plan: Plan[Any], ops: Sequence[Op], node: NodePlan, view: View) -> Sequence[tuple[str, object]] | None:
    """Recompute the updates of a result that is also written as a whole; None if it is not, or if that fails."""
    fields = [target.field for target, source in node.writer.parts if source is None and target.key is None]
    known = [op for op in ops if op[1] in fields and op[0] in ("set", "append", "extend", "merge", "item")]
    if not known:
        return None
    update = update_of(plan.state, known[0], view)
    result = update.value if isinstance(update, Replace) else update
    writer = replace(node.writer, memory=None)  # an agent's memory is not part of its result
    try:
        made = writer.updates(result, view, node.name)
    except BaseException as error:  # noqa: BLE001 - the result may have been of another type than the field
        reraise_interrupt(error)
        return None
    return [*made, *((op[1], update_of(plan.state, op, view)) for op in ops if op[1] not in writer.fields)]


def _is_bare(field: FieldType | None) -> bool:
    if field is None or field.reducer is None or field.given is not None or field.operation is not None:
        return False
    return field.reducer.__module__ != maximum.__module__  # a built-in reducer takes the field's type


def _drop_failure(ops: list[Op], field: str, failure: FailureRecord) -> None:
    for index in range(len(ops) - 1, -1, -1):
        op = ops[index]
        record = op[2] if op[0] in ("append", "reduce") and isinstance(op[2], dict) else {}
        if op[1] == field and all(record.get(name) == getattr(failure, name) for name in ("path", "kind", "message")):
            del ops[index]
            return


def update_of(state: StateType[Any], op: Op, view: View) -> object:
    """Return the update that an operation, or an item's write, came from.

    Raises:
        Mismatch: Today's type of the field refuses it, or there is no such field.
    """
    field = state.fields.get(op[1])
    if field is None:
        message = f"today's state {state.model.__name__} has no field {op[1]!r}, which this step wrote"
        raise Mismatch("update", message, f"restore {op[1]!r}, or branch the run from before this step")
    try:
        if op[0] == "item":
            made: Any = field.parts([op], view)[0]
            return made[0]
        if op[0] == "raw":
            return field.parts([op], view)[0] if field.reducer is not None else field.parts([op], view)[0][0]  # type: ignore[index]
        return field.again(op, view)
    except (GraphEngineError, ValidationError, ValueError, TypeError, KeyError, IndexError) as error:
        reason = error.message if isinstance(error, GraphEngineError) else why(error)
        message = f"today's type of {op[1]!r} rejects what this step wrote: {reason}"
        repair = f"let the type of {op[1]!r} accept it, or accept that runs diverge here"
        raise Mismatch("update", message, repair) from error


def _error(failure: FailureRecord) -> tuple[Error, Sequence[str]]:
    """Rebuild the original error of a recorded failure, as far as its record and the loaded classes allow."""
    kind, message = failure.kind, failure.message
    _, came, first = message.partition("; it came with ")
    if came and ": " in first:  # a condition raised while handling it; the original error follows
        kind, _, message = first.partition(": ")
    if message.startswith("the fallback does not fit: "):
        message = message.partition(f"; it stood in for {kind}: ")[2] or message
    rest = (message, failure.traceback)
    found, repeats = class_of(kind), failure.repeats
    if found is None:
        return Error(kind, [kind, "Exception", "BaseException"], *rest, not repeats, repeats=repeats), [EXCEPTION]
    names = [exception_name(base) for base in found.__mro__ if issubclass(base, BaseException)]
    lasts = repeats or (issubclass(found, NodeError) and not found.retryable)
    error = Error(kind, names, *rest, not lasts, failure.where, failure.repair, failure.pause_seconds, repeats=repeats)
    return error, ()


def class_of(kind: str) -> type[BaseException] | None:
    """Return the loaded exception class that is recorded by this name."""
    left: list[type[BaseException]] = [BaseException]
    seen: set[type[BaseException]] = set()
    while left:
        here = left.pop()
        if here in seen:
            continue
        seen.add(here)
        if (here.code if issubclass(here, NodeError) else exception_name(here)) == kind:
            return here
        left += type.__subclasses__(here)
    return None


def _left(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Event:
    _, inner = walked(plan, snapshot, step)
    if step.node != "START":
        node_of(inner, step)
    return NodeLeft(step.frame, step.at)


def _joined(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Event:
    walked(plan, snapshot, step)
    return Settled(step.frame, step.at)


def _entered(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Event:
    _, inner = walked(plan, snapshot, step)
    node_of(inner, step)
    return NodeEntered(*_visit(step), step.at)


def _begun(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Event:
    node_of(walked(plan, snapshot, step)[1], step)
    return NodeBegun(*_visit(step), step.at)


def _recorded(plan: Plan[Any], snapshot: Snapshot, step: Step, facts: Recorded) -> Event:
    node_of(walked(plan, snapshot, step)[1], step)
    done = WorkDone(*_visit(step), step.began, step.at, facts.key, facts.name, facts.value)
    return done._replace(usage=facts.usage or None, by=facts.by or None, said=facts.said or None)


def _waits(plan: Plan[Any], snapshot: Snapshot, step: Step, facts: steps.Waiting) -> Event:
    node_of(walked(plan, snapshot, step)[1], step)
    return NodeWaits(*_visit(step), step.began, step.at, facts.waits, facts.usage or None)


def _answered(plan: Plan[Any], snapshot: Snapshot, step: Step, facts: steps.Answered) -> Event:
    frame, inner = walked(plan, snapshot, step)
    node_of(inner, step)
    if facts.by == "answer":
        return Answered(facts.wait, frame.waits[facts.wait].id, step.at, facts.answer.value)
    return WaitOver(step.frame, facts.wait, step.at, delivered=facts.by == "message")


def _refused(plan: Plan[Any], snapshot: Snapshot, step: Step, facts: Refused) -> Event:
    if facts.key:
        node_of(walked(plan, snapshot, step)[1], step)
        return AnswerRefused(*_visit(step), step.at, facts.key, facts.message)
    frame = snapshot.frames.get(step.frame) if step.visit else None  # nothing waited for it any longer
    identity = frame.waits[facts.wait].id if frame is not None else ""
    return Answered(facts.wait, identity, step.at, facts.answer)


def _resumed(step: Step, facts: steps.Resumed) -> Event:
    return Resumed(
        step.at,
        facts.crashed,
        facts.limits,
        facts.fingerprint,
        facts.pause,
        _shift(facts),
        facts.company,
        facts.retries,
    )


def _stopped(step: Step, facts: Stopped) -> Event:
    error = _error(facts.error)[0] if facts.error is not None else None
    return StopAsked(step.at, facts.stop.reason, facts.stop.explanation, error)


def _branched(plan: Plan[Any], snapshot: Snapshot, step: Step, facts: Branched) -> Event:
    frame, inner = walked(plan, shifted(snapshot, facts), step)
    view = View(inner.state, frame)
    return BranchedOff(
        step.at,
        facts.run_id,
        facts.parent,
        step.seq - 1,
        [(op[1], update_of(inner.state, op, view)) for op in step.update],
        facts.fingerprint,
        facts.limits,
        step.frame,
        facts.pause,
        _shift(facts),
    )


def _shift(facts: Shift) -> Shift:
    """Return how a changed graph changed the run; marks for graphs inside are computed again."""
    shift = Shift(**{name: getattr(facts, name) for name in Shift.__struct_fields__})
    shift.marks_of = {}
    return shift


def _visit(step: Step) -> tuple[str, str, int, int]:
    return step.frame, step.node, step.visit, step.attempt
