"""Build the stage for a node that runs alone: a snapshot of a run just before the node.

The snapshot is computed from steps like every other snapshot. The steps start a run at the node. For a node of a nested
graph, more steps enter the nested graph. Fields that the node does not read can be omitted from the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.engine.rules.run import at_start
from graphengine.errors import InputError, InvalidUpdate, NotRecordable
from graphengine.kernel.extension import View, did_you_mean
from graphengine.kernel.inside import (
    Initial,
    RecordsAlone,
    enum_value,
    is_state,
    opened,
    unknown_fields,
    without_items,
)
from graphengine.kernel.reader import Decided, Entered, Frame, Mapped, Snapshot, Started, Step
from graphengine.kernel.store import evolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.extension import FieldType, JsonValue, NodePlan, Plan, StateType

RUN_ID: Final = "alone"

NO_ITEM: Final = object()
"""The value of `item=` for a node that runs for all its items, or that has no items."""


class _Entrance(NamedTuple):
    """Describes how a run enters a nested graph: at which node of the outer graph, and through which case of that node.

    Attributes:
        outer: The part of the run that is at the node which runs the nested graph; None for the run's own graph.
        choice: The case of that node that selects the nested graph; "" if the node has no `choose`.
    """

    outer: Frame | None
    choice: str = ""


_AT_ROOT: Final = _Entrance(None)


@dataclass(slots=True)
class Stage:
    """A run that was built to stand just before one node, so that this node can run alone.

    Attributes:
        plan: The compiled graph that the test passed.
        path: The path of the node.
        inner: The compiled graph that contains the node, which is `plan` or a graph nested in it.
        node: The node.
        snapshot: The state of the run just before the node.
        frame: The part of the run that is at the node.
        values: The recorded values of the state and the item with which the node starts.
    """

    plan: Plan[Any]
    path: str
    inner: Plan[Any]
    node: NodePlan
    snapshot: Snapshot
    frame: Frame
    values: Mapping[str, JsonValue]


@dataclass(slots=True)
class Given:
    """What a test passes to run a node alone: the state, the item of a map, and the time.

    Attributes:
        state: The state of the node's graph, or a mapping of some of its fields.
        item: The item, for a node with `each`; a mapping by name if an item has several parts.
        now: The current time in epoch seconds.
    """

    state: object
    item: object
    now: float


def stage_node(plan: Plan[Any], path: str, given: Given) -> Stage:
    """Build a run that stands just before this node, so that the node can run alone.

    Args:
        plan: The compiled graph.
        path: The name of the node, or a path such as `sub/inner` for a node in a nested graph. Indexes of items are
            ignored.
        given: The state, item and time that the test passed.

    Raises:
        InputError: The node does not exist, or a field or an item that it reads is missing or does not fit.
    """
    parts = without_items(path).split("/")
    where = f"node {'/'.join(parts)}"
    snapshot, inner, entrance = Snapshot(), plan, _AT_ROOT
    for depth, name in enumerate(parts[:-1]):
        node = _find_node(plan, inner, parts, depth)
        frame = _enter_frame(snapshot, inner, entrance, name, partial(inner.state, {}, where), given)
        entrance, inner = _entrance(snapshot, plan, node, frame, parts[depth + 1], given.now)
    node = _find_node(plan, inner, parts, len(parts) - 1)
    frame = _enter_frame(snapshot, inner, entrance, node.name, _initial(inner, node, given, where), given)
    if given.item is not NO_ITEM:
        frame = _frame_of_item(snapshot, inner, node, frame, given)
    values = opened({**(frame.base.values if frame.base is not None else {}), **frame.values})
    return Stage(plan, "/".join(parts), inner, node, snapshot, frame, values)


def _find_node(plan: Plan[Any], inner: Plan[Any], parts: Sequence[str], depth: int) -> NodePlan:
    """Return the node that a path names at this depth. In `article/review`, the node `review` is at depth 1.

    Raises:
        InputError: The graph has no such node.
    """
    found = inner.nodes.get(parts[depth])
    if found is None:
        wanted = "/".join(parts)
        near = did_you_mean(wanted, plan.paths())
        if not near.startswith("did you mean"):
            near = did_you_mean(parts[-1], {path.rsplit("/", 1)[-1]: path for path in plan.paths()}) or near
        raise InputError(f"graph {plan.graph!r} has no node {wanted!r}", where=f"graph {plan.graph}", repair=near)
    return found


def _enter_frame(  # noqa: PLR0913 - the parts of a step
    snapshot: Snapshot, plan: Plan[Any], entrance: _Entrance, node: str, initial: Initial, given: Given
) -> Frame:
    """Move the run to a node of a graph, by applying the step with which a real run would enter the graph there."""
    update = [("set", name, value) for name, value in initial.values.items()]
    is_read = len(initial.typed) == len(update)
    typed = [initial.typed[op[1]] for op in update] if is_read else None
    marks: dict[str, JsonValue] = {}
    if plan.samples or plan.epochs:
        marks = at_start(plan, Frame(values=initial.values, typed=initial.typed), initial.given).new_marks
    outer, seq = entrance.outer, snapshot.seq + 1
    if outer is None:
        started = Started(
            run_id=RUN_ID, graph=plan.graph, fingerprint=plan.fingerprint, limits={}, to=(node,), marks=marks
        )
        evolve(snapshot, Decided(seq, given.now, started, update=update, typed=typed))
        return snapshot.root
    entered = Entered(graph=plan.graph, choice=entrance.choice, to=(node,), marks=marks)
    visit = (outer.id, outer.at, outer.visit, outer.attempt)
    evolve(snapshot, Decided(seq, given.now, entered, *visit, update=update, typed=typed))
    return snapshot.frames[outer.sub_id]


def _entrance(  # noqa: PLR0913 - the current place and the target
    snapshot: Snapshot, plan: Plan[Any], node: NodePlan, frame: Frame, wanted: str, now: float
) -> tuple[_Entrance, Plan[Any]]:
    """Return the nested graph that a node runs, and how the run enters it to reach the node that the test named."""
    cases = [("", node.call), *((str(enum_value(value)), call) for value, call in node.choices.items())]
    graphs = [(choice, call.graph) for choice, call in cases if call is not None and call.graph is not None]
    if not graphs:
        message = f"node {node.name!r} is not a graph, so it cannot contain a node {wanted!r}"
        raise InputError(message, where=f"graph {plan.graph}", repair=f"run the node {node.name!r} itself")
    if node.each is not None:
        _map(snapshot, frame, {name: [None] for name, _, _ in node.each.sources}, now)
        frame = snapshot.frames[frame.item_id(0)]
    choice, inner = next((found for found in graphs if wanted in found[1].nodes), graphs[0])
    return _Entrance(frame, choice), inner


def _map(snapshot: Snapshot, frame: Frame, records: Mapping[str, Sequence[JsonValue]], now: float) -> None:
    """Record that a map over a single item has started, so that the node can run for this item."""
    facts = Mapped(count=1, concurrency=1, items=records)
    evolve(snapshot, Step(snapshot.seq + 1, now, facts, frame.id, frame.at, 1, 1))


def _frame_of_item(snapshot: Snapshot, inner: Plan[Any], node: NodePlan, frame: Frame, given: Given) -> Frame:
    """Start a map with the one item that the test passed, and return the part of the run that works on this item.

    Raises an error if the node is not a map, or if the item lacks one of its parts.
    """
    each = node.each
    if each is None:
        message = f"item= was given, but node {node.name!r} is not a map and runs only once"
        raise InputError(message, where=f"node {node.name}", repair="omit item=, or give the node each={…}")
    names = [name for name, _, _ in each.sources]
    items: Mapping[Any, object] = {names[0]: given.item}
    if len(names) > 1:
        items = given.item if isinstance(given.item, Mapping) else {}
        if {*items} != {*names}:
            message = f"item= of node {node.name!r} must be a mapping with the keys {_join_names(names)}"
            repair = "give a value for each key: item={" + ", ".join(f"{name!r}: …" for name in names) + "}"
            raise InputError(message, where=f"node {node.name}", repair=repair)
    view = View(inner.state, frame)
    records: dict[str, Sequence[JsonValue]] = {}
    for name in names:
        kind = each.state.fields[name]
        records[name] = [_record_value(kind, items[name], view, f"item {name} of node {node.name}")[0]]
    _map(snapshot, frame, records, given.now)
    return snapshot.frames[frame.item_id(0)]


# The fields that the node reads, and its initial state.


def _initial(plan: Plan[Any], node: NodePlan, given: Given, where: str) -> Initial:
    """Build the state with which the node starts, and check that it contains every field that the node reads.

    Raises:
        InputError: A field that the node reads is missing, or a given field is unknown or does not fit.
    """
    state = plan.state
    have = _as_mapping(given.state, state)
    if have is None:
        return state.initial(given.state, where)
    _check_field_names(state, have, where)
    required = [
        name for name, kind in state.fields.items() if kind.info.is_required() and not {name, kind.info.alias} & {*have}
    ]
    if not required:
        return state.initial(have, where)
    read = set(state.fields) if state.whole else _readable_fields(node, plan, given)
    missing = [name for name in required if name in read]
    if missing:
        noun, verb = ("field", "is") if len(missing) == 1 else ("fields", "are")
        message = f"node {node.name!r} reads the {noun} {_join_names(missing)}, but the given state lacks the {noun}"
        if state.whole:
            message = f"{state.model.__name__} is validated as a whole, but {_join_names(missing)} {verb} missing"
        example = "{" + ", ".join(f"{name!r}: …" for name in missing) + "}"
        raise InputError(message, where=where, repair=f"give the {noun}: {example}")
    return partial(state, have, where)


def _readable_fields(node: NodePlan, plan: Plan[Any], given: Given) -> set[str]:
    """Return the fields that the node may read, including fields to which it adds with a reducer.

    A test has to pass these fields if they have no default.
    """
    found = {name for call in node.calls for name in call.roots} | node.writer.roots
    if node.selector is not None:
        found |= node.selector.roots
    if node.each is not None:
        found -= {name for name, _, _ in node.each.sources}
        if given.item is NO_ITEM:
            found |= {root for _, reading, _ in node.each.sources for root in reading.roots}
    if "state" in found:
        found |= set(plan.state.model.model_fields)
    if node.writer.keys is None:  # A node with keys may write any field.
        found |= {name for name in node.writer.fields if plan.state.fields[name].reducer is not None}
    return found


def _as_mapping(given: object, state: StateType[Any]) -> Mapping[str, object] | None:
    """Return the fields of the state that the test passed; None if the test passed a complete state object."""
    if is_state(state.model, given):
        return None
    if not isinstance(given, Mapping):
        raise InputError(
            f"the given state is of type {type(given).__name__}, but must be {state.model.__name__} or a mapping",
            where="run_node",
            repair=f"pass {state.model.__name__}(…), or a mapping from names of fields to values",
        )
    return given


def _check_field_names(state: StateType[Any], have: Mapping[str, object], where: str) -> None:
    valid_names = {*state.fields, *(kind.info.alias for kind in state.fields.values() if kind.info.alias)}
    unknown = [name for name in have if name not in valid_names]
    if unknown:
        repair = f"use the fields of {state.model.__name__}"
        raise InputError(unknown_fields(unknown, state.fields), where=where, repair=repair)


def partial(state: StateType[Any], given: Mapping[str, object], where: str) -> Initial:
    """Validate the fields that a test passed, and fill in the defaults of other fields.

    Fields without a default stay missing.

    Raises:
        InputError: A field does not fit.
    """
    values: dict[str, JsonValue] = {}
    typed: dict[str, object] = {}
    view = View(state, RecordsAlone(values, typed))
    named: list[str] = []
    for name, kind in state.fields.items():
        source = name if name in given else kind.info.alias if kind.info.alias in given else None
        if source is not None:
            named.append(name)
            values[name], typed[name] = _record_value(kind, given[source], view, where)
        elif not kind.info.is_required():
            value = kind.info.get_default(call_default_factory=True, validated_data=dict(typed))
            values[name], typed[name] = _record_value(kind, value, view, where, is_default=True)
    return Initial(values, typed, named)


def _record_value(
    kind: FieldType, value: object, view: View, where: str, *, is_default: bool = False
) -> tuple[JsonValue, object]:
    try:
        return kind.record(value if is_default else kind.validate(value, view), view)
    except (InvalidUpdate, NotRecordable) as error:
        raise InputError(f"{kind.name}: {error.message}", where=where, repair=error.repair) from error


def _join_names(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


__all__ = ["NO_ITEM", "Given", "Stage", "stage_node"]
