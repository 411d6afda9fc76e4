"""The event that a recorded step came from, so that a graph of today can decide it anew.

`decide` makes a step of an event; here the event is made of the step again. What a node was asked and what it
gave is in the step, or in the snapshot before it: times, costs, answers, failures, and in place of a result the updates
that it came to. What no log keeps is told in `Again.unsure`: a result behind a writes-function, the class of an
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
from graphengine.engine.lookup import plan_of, view_of
from graphengine.engine.phases import Collecting, Inside, Ready, Waiting
from graphengine.engine.rebase import shifted
from graphengine.engine.rules.run import begun
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
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import Step
    from graphengine.state.field import FieldType
    from graphengine.state.json_values import JsonValue, Op
    from graphengine.state.schema import StateType

RESULT: Final = "a result that did not fit, which no log keeps"
FUNCTION: Final = "a part of a result that writes= takes out, which no log keeps"
EXCEPTION: Final = "an exception whose class is not loaded here, so that what it is a kind of is not known"
STOOD_IN: Final = "the failure that a fallback stood in for, where its way out failed too"
REPLACED: Final = "a value that was set where today a reducer joins: whether it was to replace is not recorded"
RAW: Final = "an update of a reducer of your own whose parameter has no type"


class Again(NamedTuple):
    """What a step came from.

    Attributes:
        event: The event; None where too little of it is recorded.
        unsure: What is not known of it.
    """

    event: Event | None
    unsure: Sequence[str] = ()


class Apart(Exception):
    """Today's graph is not where the step says the run was, or its types refuse what the step says was written.

    Args:
        what: What differs, as in `graphengine.history.replay.replay.Difference`.
        told: How, in a sentence.
        repair: What to do about it.
    """

    def __init__(self, what: str, told: str, repair: str) -> None:
        super().__init__(told)
        self.what, self.told, self.repair = what, told, repair


def again(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Again:
    """The event that a step came from.

    Args:
        plan: The plan of today's graph.
        snapshot: The run before the step.
        step: The step.

    Raises:
        Apart: Today's graph could not be told of such an event there.
    """
    found = _event(plan, snapshot, step)
    return found if isinstance(found, Again) else Again(found)


def _event(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Again | Event:  # noqa: C901, PLR0911, PLR0912 - a kind a case
    facts = step.data
    match facts:
        case Started():
            return _started(plan, step, facts)
        case Node() | Attempt() | Failed():  # items are nodes too
            return _came(plan, snapshot, step, facts)
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
    """The frame that a step is of, and the plan that it walks today.

    Raises:
        Apart: There is none.
    """
    frame = snapshot.frames.get(step.frame)
    if frame is None:
        raise Apart("ready", f"nothing of the run is at {step.path or 'its beginning'} there", "look at the log")
    try:
        return frame, plan_of(plan, frame)
    except (KeyError, NoChoice) as error:
        told = f"the graph around {step.path} is none any more"
        raise Apart("ready", told, "bring it back, under the name it had") from error


def node_of(plan: Plan[Any], step: Step) -> NodePlan:
    """The node that a step is of; `plan` is the one that its frame walks.

    Raises:
        Apart: The graph has no such node.
    """
    node = plan.nodes.get(step.node)
    if node is None:
        told = f"today's graph {plan.graph!r} has no node {step.node!r}; it has {', '.join(plan.nodes)}"
        raise Apart("ready", told, f"bring {step.node!r} back, or give the new node its name")
    return node


def first_records(state: StateType[Any], step: Step) -> tuple[dict[str, JsonValue], dict[str, object]]:
    """The state that a run begins with today, records and typed values, given what it began with then.

    Raises:
        Apart: It does not fit.
    """
    given = {op[1]: op[2] for op in step.update if op[1] in state.fields}
    try:
        if state.secrets:
            return _first_with_secrets(state, given)
        made = state.model.__pydantic_validator__.validate_json(to_json(given), by_name=True, by_alias=False)
        body = state.model.__pydantic_serializer__.to_json(made, by_alias=False, round_trip=True)
    except (ValidationError, ValueError, InvalidUpdate, InputError) as error:
        said = error.message if isinstance(error, GraphEngineError) else why(error, hide=bool(state.secrets))
        told = f"the state that the run began with does not fit {state.model.__name__}: {said}"
        raise Apart("state", told, "give the fields their old types, or new ones defaults") from error
    return from_json(body), {name: made.__dict__[name] for name in state.fields}


def _first_with_secrets(
    state: StateType[Any], given: dict[str, JsonValue]
) -> tuple[dict[str, JsonValue], dict[str, object]]:
    """The same field by field: the state as a whole is written without its secrets."""
    view = View(state, Held(given))
    typed = {name: view.get(name) for name in given}
    made = state.model.__pydantic_validator__.validate_python(typed, by_name=True, by_alias=False)
    begins = state.initial(made, "the first step")
    return begins.values, begins.typed


def _started(plan: Plan[Any], step: Step, facts: Started) -> Event:
    values, typed = first_records(plan.state, step)
    event = Begun(step.at, facts.run_id, values, typed, facts.limits, (), facts.after, facts.pause)
    return event._replace(given=list(_given(plan, event, step)))


def _given(plan: Plan[Any], event: Begun, step: Step) -> Iterator[str]:
    """The fields that somebody set, as far as it matters: where a plateau took a sample of them."""
    recorded = set(marks_in(step))
    exact = fingerprint_of(step) == plan.fingerprint
    for name in plan.samples:
        alone = marks_in(begun(plan, event._replace(given=[name])))
        sampled = {tracker.key for tracker in plan.samples[name]} & set(alone)
        if sampled and (sampled <= recorded if exact else sampled & recorded):
            yield name


def _came(plan: Plan[Any], snapshot: Snapshot, step: Step, facts: AttemptEnded) -> Again | Event:  # noqa: PLR0911 - a way to end a return
    """What an attempt, or all that is below a node, came to."""
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
        event = NodeFailed(*visit, error, usage, choice, keeps=facts.keeps)
        misfit = kind in ("invalid_update", "not_recordable")
        return Again(event, [*unsure, *([RESULT] if misfit else ())])
    if stands_in and facts.has_failed:
        if kind not in ("no_way_out", "condition_failed", "fail"):
            return Again(None, [STOOD_IN])
        written = _written(inner, frame, step, node)[0]
        return Again(NodeFinished(*visit, written, usage, choice, more=Node(fallback=True)), [STOOD_IN])
    updates, unsure = _written(inner, frame, step, node)
    return Again(NodeFinished(*visit, updates, usage, choice, more=_beside(facts)), unsure)


def _beside(facts: AttemptEnded) -> Node | None:
    """What came with a result: nothing that was decided."""
    return facts if isinstance(facts, Node) else None


def _is_entered(node: NodePlan, frame: Frame) -> bool:
    """Whether what stands there begins something below it, instead of being run."""
    if not isinstance(frame.phase, Ready):
        return False
    if node.each is not None and frame.kind != "item":
        return True
    return node.call.graph is not None if node.call is not None else any(c.graph for c in node.choices.values())


def _wait_ended(frame: Frame, step: Step, facts: AttemptEnded) -> Again | Event:
    """How a wait that was its node's own came to its end."""
    if facts.by == "answer" and facts.answer is not None:
        return Answered(facts.wait, frame.waits[facts.wait].id, step.at, facts.answer.value)
    if facts.wait:
        return WaitOver(step.frame, facts.wait, step.at)
    over = [name for name, wait in frame.waits.items() if wait.due is not None and wait.due <= step.at]
    timed_out = facts.error is not None and facts.error.kind == WaitTimeout.code
    if over and (timed_out or frame.waits[over[0]].default is not UNSET):
        return WaitOver(step.frame, over[0], step.at)
    return Again(None, [RESULT])


def _written(plan: Plan[Any], frame: Frame, step: Step, node: NodePlan) -> tuple[Written, Sequence[str]]:
    """In place of a result: the updates that it came to."""
    view = view_of(plan, frame)
    ops = list(ops_of(step))
    if falls_back(step) and plan.errors is not None and frame.cause is not None:
        _drop_failure(ops, plan.errors, frame.cause)  # the core adds it again
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
    if not plan.state.whole:  # a validator of the whole state may write more, and less
        _check_targets(plan, node, ops, step)
    return Written([(op[1], update_of(plan.state, op, view)) for op in ops]), unsure


def _joins(field: FieldType | None) -> bool:
    return field is not None and field.reducer is not None


def _check_targets(plan: Plan[Any], node: NodePlan, ops: Sequence[Op], step: Step) -> None:
    """See that today's node writes the fields that the recorded one wrote.

    Raises:
        Apart: It does not, or writes others too.
    """
    written, writer = {op[1] for op in ops}, node.writer
    always = writer.fields if writer.keys is None else frozenset()
    others = sorted(written - writer.fields - {plan.errors})
    missing = sorted(always - written)
    if others or missing:
        parts = [f"no longer writes {', '.join(others)}"] if others else []
        parts += [f"writes {', '.join(missing)} too"] if missing else []
        told = f"today {step.path} {' and '.join(parts)}"
        raise Apart("update", told, "let writes= say what it said, or accept that runs part here")


def _from_whole(plan: Plan[Any], ops: Sequence[Op], node: NodePlan, view: View) -> Sequence[tuple[str, object]] | None:
    """The updates of a result that is written as a whole too, worked out again; None where it is not, or is no help."""
    fields = [target.field for target, source in node.writer.parts if source is None and target.key is None]
    known = [op for op in ops if op[1] in fields and op[0] in ("set", "append", "extend", "merge", "item")]
    if not known:
        return None
    update = update_of(plan.state, known[0], view)
    result = update.value if isinstance(update, Replace) else update
    writer = replace(node.writer, memory=None)  # what an agent said is no part of its result
    try:
        made = writer.updates(result, view, node.name)
    except BaseException as error:  # noqa: BLE001 - the result may have been of another type than the field
        reraise_interrupt(error)
        return None
    return [*made, *((op[1], update_of(plan.state, op, view)) for op in ops if op[1] not in writer.fields)]


def _is_bare(field: FieldType | None) -> bool:
    if field is None or field.reducer is None or field.given is not None or field.operation is not None:
        return False
    return field.reducer.__module__ != maximum.__module__  # what ours take is of the field's type


def _drop_failure(ops: list[Op], field: str, failure: FailureRecord) -> None:
    for index in range(len(ops) - 1, -1, -1):
        op = ops[index]
        told = op[2] if op[0] in ("append", "reduce") and isinstance(op[2], dict) else {}
        if op[1] == field and all(told.get(name) == getattr(failure, name) for name in ("path", "kind", "message")):
            del ops[index]
            return


def update_of(state: StateType[Any], op: Op, view: View) -> object:
    """The update that an operation, or what an item of a map writes, came from.

    Raises:
        Apart: Today's type of the field refuses it, or there is no such field.
    """
    field = state.fields.get(op[1])
    if field is None:
        told = f"today's state {state.model.__name__} has no field {op[1]!r}, which this step wrote"
        raise Apart("update", told, f"bring {op[1]!r} back, or branch the run from before this step")
    try:
        if op[0] == "item":
            made: Any = field.parts([op], view)[0]
            return made[0]
        if op[0] == "raw":
            return field.parts([op], view)[0] if field.reducer is not None else field.parts([op], view)[0][0]  # type: ignore[index]
        return field.again(op, view)
    except (GraphEngineError, ValidationError, ValueError, TypeError, KeyError, IndexError) as error:
        told = error.message if isinstance(error, GraphEngineError) else why(error)
        said = f"today's type of {op[1]!r} refuses what this step wrote: {told}"
        raise Apart("update", said, f"let the type of {op[1]!r} take it, or accept that runs part here") from error


def _error(failure: FailureRecord) -> tuple[Error, Sequence[str]]:
    """What a recorded failure was when it came, as far as its record and the classes loaded here tell."""
    kind, message = failure.kind, failure.message
    _, came, first = message.partition("; it came with ")
    if came and ": " in first:  # a condition raised over it; what it was of is told behind that
        kind, _, message = first.partition(": ")
    if message.startswith("the fallback does not fit: "):
        message = message.partition(f"; it stood in for {kind}: ")[2] or message
    rest = (message, failure.traceback)
    found, repeats = class_of(kind), failure.repeats
    if found is None:
        return Error(kind, [kind, "Exception", "BaseException"], *rest, not repeats, repeats=repeats), [EXCEPTION]
    names = [exception_name(base) for base in found.__mro__ if issubclass(base, BaseException)]
    lasts = repeats or (issubclass(found, NodeError) and not found.retryable)
    told = Error(kind, names, *rest, not lasts, failure.where, failure.repair, failure.pause_seconds, repeats=repeats)
    return told, ()


def class_of(kind: str) -> type[BaseException] | None:
    """The class of exceptions that is recorded by this name, among those that are loaded."""
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
    frame = snapshot.frames.get(step.frame) if step.visit else None  # nothing waited for it any more
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
    """What a changed graph did to the run; marks for graphs inside are worked out again."""
    shift = Shift(**{name: getattr(facts, name) for name in Shift.__struct_fields__})
    shift.marks_of = {}
    return shift


def _visit(step: Step) -> tuple[str, str, int, int]:
    return step.frame, step.node, step.visit, step.attempt
