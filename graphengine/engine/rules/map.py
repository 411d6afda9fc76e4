"""Maps: a node that runs once for each item of a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine.events import Error, NodeFailed, NodeFinished
from graphengine.engine.failures import error_of, failure_record
from graphengine.engine.lookup import StaleEvent, plan_of, view_after
from graphengine.engine.phases import Collecting
from graphengine.engine.rules.items import collect
from graphengine.engine.rules.visit import give_up, leave
from graphengine.engine.size_limits import weigh
from graphengine.engine.steps import Decided, Mapped, Node, path_of
from graphengine.engine.trackers import track
from graphengine.errors import InvalidUpdate, MissingInput
from graphengine.state.schema import NO_CHANGE
from graphengine.state.view import View

if TYPE_CHECKING:
    from graphengine.engine.events import NodeEntered, Settled
    from graphengine.engine.lookup import RunState
    from graphengine.engine.plan import Each, Plan
    from graphengine.engine.snapshot import Frame
    from graphengine.state.json_values import JsonValue


def map_entered(run: RunState, frame: Frame, event: NodeEntered) -> Decided:
    """Return the step that begins a map. Its items are recorded here and do not change later."""
    inner = plan_of(run.plan, frame)
    node = inner.nodes[event.node]
    view = View(inner.state, frame)
    view.checks = run.checks
    try:
        facts = _items(node.each, view, node.name)  # type: ignore[arg-type]
    except BaseException as error:  # noqa: BLE001 - a function of the user's
        reraise_interrupt(error)
        failed = NodeFailed(*event[:5], event.now, error_of(error))
        failure = failure_record(failed.error, path_of(frame.id, event.node), event.attempt)
        return give_up(run, frame, failed, failure)
    return Decided(run.snapshot.seq + 1, event.now, facts, *event[:4])


def _items(each: Each, view: View, node: str) -> Mapped:
    """Return what a map iterates over: the names of list fields, and the items of other sources.

    Raises:
        MissingInput: A source is None.
        InvalidUpdate: A source is not a list, has items of another type, or the lists differ in length.
    """
    lengths: dict[str, int] = {}
    fields: dict[str, str] = {}
    items: dict[str, Sequence[JsonValue]] = {}
    for name, reading, field in each.sources:
        found = reading.read(view)
        where = f"node {node}, each {name}"
        if found is None:
            repair = f"set {reading.text} before this node; an empty list is fine"
            raise MissingInput(f"{reading.text} is None", where=where, repair=repair)
        if not isinstance(found, Sequence) or isinstance(found, (str, bytes)):
            have = type(found).__name__
            raise InvalidUpdate(f"{reading.text} is a {have}, not a list", where=where, repair="make it a list")
        lengths[name] = len(found)
        if field:
            fields[name] = field
        else:
            kind = each.state.fields[name]
            items[name] = [kind.record(kind.validate(item, view), view)[0] for item in found]
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InvalidUpdate(
            f"the lists differ in length: {listed}", where=f"node {node}", repair="make them equally long"
        )
    return Mapped(count=next(iter(lengths.values())), concurrency=each.concurrency, fields=fields, items=items)


def items_done(run: RunState, frame: Frame, event: Settled) -> Decided:
    """Return the step of a map whose items have all ended: their combined updates, or the first failure."""
    facts = frame.phase
    if not isinstance(facts, Collecting) or facts.left:
        raise StaleEvent(event)
    plan = plan_of(run.plan, frame)
    visit = (frame.id, frame.at, frame.visit, frame.attempt, facts.began, event.now)
    if facts.failed:
        first = facts.failed[min(facts.failed, key=int)]
        error = Error(first.error.kind, first.names, first.error.message, retryable=not first.lasting)
        return give_up(run, frame, NodeFailed(*visit, error), first.error)
    done = NodeFinished(*visit, result=None)  # the items' updates are the change
    view = view_after(run, plan, frame, done)
    trouble, change = event.error, NO_CHANGE
    try:
        if trouble is None and facts.count:
            change = collect(plan.state, view, facts.done)
            if view.weight:
                change.weight = weigh(run, view.weight, change.ops, f"node {path_of(frame.id, frame.at)}")
        elif trouble is None:
            change = plan.state.apply(view, [(name, []) for name in _listed(plan, frame)])
    except BaseException as error:  # noqa: BLE001 - user code of any kind: reducers, validators
        reraise_interrupt(error)
        trouble = error_of(error)
    if trouble is not None:
        failure = failure_record(trouble, path_of(frame.id, frame.at), frame.attempt)
        return give_up(run, frame, NodeFailed(*visit, trouble), failure)
    if plan.epochs or plan.samples:
        track(plan, view, frame.at, change.ops)
    sent = [message for index in sorted(facts.sent, key=int) for message in facts.sent[index]]
    return leave(run, plan, frame, done, view, change, Node(sent=sent or ()))


def _listed(plan: Plan[Any], frame: Frame) -> Sequence[str]:
    """Return the fields that become the list of a map's results: those it writes whole, without a reducer."""
    writer = plan.nodes[frame.at].writer
    targets = [writer.whole] if writer.whole is not None else [target for target, _ in writer.parts]
    whole = [target.field for target in targets if target.key is None]
    if writer.keys is not None and len(writer.keys) < len(plan.state.fields):
        whole = sorted(writer.keys)
    return [name for name in whole if plan.state.fields[name].reducer is None]
