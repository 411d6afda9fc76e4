"""Maps: nodes that run once for each item of a list.

The state changes only with the step of the node, when all items are done. Until then, the step of each item records
what the item will write:

- `["item", field, value]` adds a result to the list of results of a field.
- `append`, `extend`, `merge`, `put` and `grow` are operations on the field, as in other steps.
- `["raw", field, value]` is a raw update for any other reducer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from graphengine.engine.events import NodeFailed, NodeFinished
from graphengine.engine.failures import failure_record
from graphengine.engine.lookup import StaleEvent, plan_of, view_after
from graphengine.engine.phases import Collecting
from graphengine.engine.provenance import readings_of_map, written_by_nodes
from graphengine.engine.rules.visit import fail_at_once, give_up, leave, step_of
from graphengine.engine.size_limits import size_of
from graphengine.engine.snapshot import child_id
from graphengine.engine.steps import Mapped, Node, path_of
from graphengine.engine.trackers import track
from graphengine.errors import InvalidUpdate, MissingInput
from graphengine.state.failure import Failure
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.schema import NO_CHANGE
from graphengine.state.view import View

if TYPE_CHECKING:
    from graphengine.engine.events import NodeEntered, Settled
    from graphengine.engine.lookup import RunState
    from graphengine.engine.plan import Each, Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import Decided
    from graphengine.state.json_values import JsonValue, Op
    from graphengine.state.schema import Change


def map_entered(run: RunState, frame: Frame, event: NodeEntered) -> Decided:
    """Return the step to record when a node begins to run for each item of a list.

    The step contains the items, so that later changes of the list do not affect the map.
    """
    inner = plan_of(run.plan, frame)
    node = inner.nodes[event.id.node]
    view = View(inner.state, frame)
    view.checks = run.checks
    run.map_bytes[frame.id] = 0
    try:
        facts = _read_items(node.each, view, node.name)  # type: ignore[arg-type]
        facts.written = written_by_nodes(readings_of_map(node.each.sources), frame)  # type: ignore[union-attr]
    except BaseException as error:  # noqa: BLE001 - a function of the user's
        reraise_interrupt(error)
        failure = failure_record(error, path_of(frame.id, event.id.node), event.id.attempt)
        return give_up(run, frame, fail_at_once(event, failure))
    return step_of(run.snapshot, event, facts)


def _read_items(each: Each, view: View, node: str) -> Mapped:
    """Read the items of a map from the state.

    Items from a list field are recorded by the name of the field, all others by value.

    Raises:
        MissingInput: A list is None.
        InvalidUpdate: A value is not a list or contains items of another type, or the lists differ in length.
    """
    lengths: dict[str, int] = {}
    fields: dict[str, str] = {}
    items: dict[str, Sequence[JsonValue]] = {}
    for name, reading, field in each.sources:
        found = reading.read(view)
        where = f"node {node}, each {name}"
        if found is None:
            repair = f"set {reading.text!r} before this node; an empty list is fine"
            raise MissingInput(f"{reading.text!r} is None, but each= needs a list", where=where, repair=repair)
        if not isinstance(found, Sequence) or isinstance(found, (str, bytes)):
            have = type(found).__name__
            text = f"the value of {reading.text!r} has the type {have}, but each= needs a list"
            raise InvalidUpdate(text, where=where, repair="write a list to the field before this node")
        lengths[name] = len(found)
        if field:
            fields[name] = field
        else:
            kind = each.state.fields[name]
            items[name] = [kind.record(kind.validate(item, view), view)[0] for item in found]
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InvalidUpdate(
            f"the lists of each= must be equally long, but their lengths are: {listed}",
            where=f"node {node}",
            repair="make the lists equally long",
        )
    count = next(iter(lengths.values()))
    return Mapped(count=count, concurrency=each.concurrency, max_open=each.max_open, fields=fields, items=items)


def items_done(run: RunState, frame: Frame, event: Settled) -> Decided:
    """Return the step to record when all items of a map have ended.

    The step writes the results of the items, or it fails with the failure of the first failed item. A map that is
    declared to keep the items that succeeded fails only if all items failed.
    """
    facts = frame.phase
    if not isinstance(facts, Collecting) or facts.left:
        raise StaleEvent(event)
    plan = plan_of(run.plan, frame)
    of = frame.attempt_id
    if facts.failed and (not _keeps(run.plan, frame) or len(facts.failed) == facts.count):
        first = facts.failed[min(facts.failed, key=int)]
        return give_up(run, frame, NodeFailed(of, facts.began, event.now, first.error))
    # The updates of the items are the change, so there is no other result.
    done = NodeFinished(of, facts.began, event.now, result=None)
    view = view_after(run, plan, frame, done)
    trouble, change = event.error, NO_CHANGE
    try:
        if trouble is None and facts.count:
            change = _collect_results(plan, view, facts)
            if view.update_bytes:
                change.state_bytes = size_of(run, view.update_bytes, change.ops, f"node {path_of(frame.id, frame.at)}")
        elif trouble is None:
            change = plan.state.apply(view, [(name, []) for name in _list_result_fields(plan, frame)])
    except BaseException as error:  # noqa: BLE001 - user code of any kind: reducers, validators
        reraise_interrupt(error)
        trouble = failure_record(error, path_of(frame.id, frame.at), frame.attempt)
    if trouble is not None:
        return give_up(run, frame, NodeFailed(of, facts.began, event.now, trouble))
    if plan.epochs or plan.samples:
        track(plan, view, frame.at, change.ops)
    sent = [message for index in sorted(facts.sent, key=int) for message in facts.sent[index]]
    return leave(run, plan, frame, done, view, change, Node(sent=sent or ()))


def find_settled_maps(plan: Plan[Any], snapshot: Snapshot) -> Sequence[str]:
    """Return the ids of the maps that count as done although items of them failed.

    A resume does not retry the failed items of such a map, because the map is declared to complete with the items that
    succeeded. A map that failed itself is not included: either all its items failed, or the graph did not yet declare
    that the map keeps going when they failed.
    """
    return tuple(
        child_id(frame.id, frame.at)
        for frame in snapshot.frames.values()
        if isinstance(frame.phase, Collecting) and frame.phase.failed and _keeps(plan, frame)
        if frame.failing is None or frame.failing.error.path not in _paths(frame.phase)
    )


def _paths(map_: Collecting) -> Collection[str]:
    return {item.error.path for item in map_.failed.values()}


def _keeps(plan: Plan[Any], frame: Frame) -> bool:
    each = plan_of(plan, frame).nodes[frame.at].each
    return each is not None and each.keeps


def _list_result_fields(plan: Plan[Any], frame: Frame) -> Sequence[str]:
    """Return the fields to which a map writes the list of its results.

    These are the fields that the map writes whole and that have no reducer.
    """
    writer = plan.nodes[frame.at].writer
    whole = [target.field for target, _ in writer.parts if target.key is None]
    if writer.keys is not None and len(writer.keys) < len(plan.state.fields):
        whole = sorted(writer.keys)
    return [name for name in whole if plan.state.fields[name].reducer is None]


def _collect_results(plan: Plan[Any], view: View, facts: Collecting) -> Change:
    """Combine the updates of all items of a map, in item order, into one change of the state.

    If the graph collects errors, the failures of items are added to the change.

    Raises:
        InvalidUpdate, NotRecordable: The combined updates do not fit, or two items wrote the same key.
    """
    together: dict[str, list[Op]] = {}
    for writes in facts.done:
        for op in writes or ():
            together.setdefault(op[1], []).append(op)
    keys: dict[tuple[str, str], tuple[int, str]] = {}
    for index, writes in enumerate(facts.done):
        for op in writes or ():
            if op[0] in ("put", "grow"):
                first, kind = keys.setdefault((op[1], op[2]), (index, op[0]))
                if first != index and "put" in (kind, op[0]):
                    _refuse_key(view, op, first, index)
    updates: list[tuple[str, object]] = []
    for name, ops in together.items():
        updates += [(name, update) for update in plan.state.fields[name].parts(ops, view)]
    if plan.collect_errors is not None:
        updates += [(plan.collect_errors, Failure.of(facts.failed[n].error)) for n in sorted(facts.failed, key=int)]
    return plan.state.apply(view, updates)


def _refuse_key(view: View, op: Op, first: int, second: int) -> None:
    raise InvalidUpdate(
        f"the items {first} and {second} both write '{op[1]}[{op[2]}]', so one value would be lost",
        where=f"node {view.node}",
        repair="let each item write a key of its own, or write to a list",
    )
