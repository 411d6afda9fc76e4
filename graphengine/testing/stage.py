"""The stage for a node that runs alone: a snapshot of a run that stands just before it.

The snapshot is a fold of steps as any other: a run that begins at the node, and, on the way to a node of a graph inside
another one, the steps that enter that graph. What the node does not read need not be given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.engine.fold import evolve
from graphengine.engine.rules.run import at_start
from graphengine.engine.snapshot import Frame, Snapshot, item_id, sub_id
from graphengine.engine.steps import Entered, Mapped, Started, Step, without_items
from graphengine.errors import InputError, InvalidUpdate, NotRecordable
from graphengine.state.declared import is_state
from graphengine.state.path import did_you_mean
from graphengine.state.schema import Initial
from graphengine.state.type_facts import enum_value
from graphengine.state.view import Held, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.plan import Each, NodePlan, Plan
    from graphengine.state.field import FieldType
    from graphengine.state.json_values import JsonValue
    from graphengine.state.schema import StateType

RUN_ID: Final = "alone"

NO_ITEM: Final = object()
"""It is run for all its items, or for none."""


class _Entrance(NamedTuple):
    """Where a graph begins: the frame that stands at its node, and which case of that it is; None for the run's own."""

    around: Frame | None
    choice: str = ""


_AT_ROOT: Final = _Entrance(None)


@dataclass(slots=True)
class Stage:
    """Where a node stands that is to run alone.

    Attributes:
        plan: The plan of the graph that was given.
        path: The node's.
        inner: The plan of the graph that the node is in.
        node: The node.
        snapshot: The run, just before it.
        frame: Who runs it.
        values: The state that it begins with, and its item, as records.
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
    """What a node is given by whoever runs it alone.

    Attributes:
        state: The fields of its graph's state, or some of them.
        item: What it is run for, where that is one item of a list; by name where it is run for several at a time.
        now: What time it is.
        options: What else was said by name, which a field may be called too.
    """

    state: object
    item: object
    now: float
    options: Sequence[str] = ()


def staged(plan: Plan[Any], path: str, given: Given) -> Stage:
    """Put a run before a node.

    Args:
        plan: The graph's.
        path: The node's name, or `sub/inner` for one in a graph inside it; places of items do not matter.
        given: What it is given.

    Raises:
        InputError: There is no such node, a field or an item that it reads was not given, or one does not fit.
    """
    parts = without_items(path).split("/")
    where = f"node {'/'.join(parts)}"
    snapshot, inner, entrance = Snapshot(), plan, _AT_ROOT
    for depth, name in enumerate(parts[:-1]):
        node = _node(plan, inner, parts, depth)
        frame = _begin(snapshot, inner, entrance, name, partial(inner.state, {}, where), given)
        entrance, inner = _entrance(snapshot, plan, node, frame, parts[depth + 1], given.now)
    node = _node(plan, inner, parts, len(parts) - 1)
    frame = _begin(snapshot, inner, entrance, node.name, _initial(inner, node, given, where), given)
    if given.item is not NO_ITEM:
        frame = _item(snapshot, inner, node, frame, given)
    values = {**(frame.base.values if frame.base is not None else {}), **frame.values}
    return Stage(plan, "/".join(parts), inner, node, snapshot, frame, values)


def _node(plan: Plan[Any], inner: Plan[Any], parts: Sequence[str], depth: int) -> NodePlan:
    """The node of a name, in the graph that the names before it lead to."""
    found = inner.nodes.get(parts[depth])
    if found is None:
        wanted = "/".join(parts)
        near = did_you_mean(wanted, plan.paths())
        if not near.startswith("did you mean"):
            near = did_you_mean(parts[-1], {path.rsplit("/", 1)[-1]: path for path in plan.paths()}) or near
        raise InputError(f"graph {plan.graph} has no node {wanted!r}", where=f"graph {plan.graph}", repair=near)
    return found


def _begin(  # noqa: PLR0913 - the parts of a step
    snapshot: Snapshot, plan: Plan[Any], entrance: _Entrance, node: str, initial: Initial, given: Given
) -> Frame:
    """Let a frame begin with a state, and go to a node; gives the frame."""
    update = [("set", name, value) for name, value in initial.values.items()]
    typed = [initial.typed[op[1]] for op in update]
    marks: dict[str, JsonValue] = {}
    if plan.samples or plan.epochs:
        marks = at_start(plan, Frame(values=initial.values, typed=initial.typed), initial.given).new_marks
    around, seq = entrance.around, snapshot.seq + 1
    if around is None:
        started = Started(
            run_id=RUN_ID, graph=plan.graph, fingerprint=plan.fingerprint, limits={}, to=(node,), marks=marks
        )
        evolve(snapshot, Step(seq, given.now, started, update=update, typed=typed))
        return snapshot.root
    entered = Entered(graph=plan.graph, choice=entrance.choice, to=(node,), marks=marks)
    visit = (around.id, around.at, around.visit, around.attempt)
    evolve(snapshot, Step(seq, given.now, entered, *visit, update=update, typed=typed))
    return snapshot.frames[sub_id(around)]


def _entrance(  # noqa: PLR0913 - where it is, and where it is to go
    snapshot: Snapshot, plan: Plan[Any], node: NodePlan, frame: Frame, wanted: str, now: float
) -> tuple[_Entrance, Plan[Any]]:
    """Where the graph that a node is can be entered, and its plan."""
    cases = [("", node.call), *((str(enum_value(value)), call) for value, call in node.choices.items())]
    graphs = [(choice, call.graph) for choice, call in cases if call is not None and call.graph is not None]
    if not graphs:
        told = f"{node.name} is no graph, so there is no {wanted!r} in it"
        raise InputError(told, where=f"graph {plan.graph}", repair=f"run {node.name!r} itself")
    if node.each is not None:
        _map(snapshot, frame, {name: [None] for name, _, _ in node.each.sources}, now)
        frame = snapshot.frames[item_id(frame, 0)]
    choice, inner = next((found for found in graphs if wanted in found[1].nodes), graphs[0])
    return _Entrance(frame, choice), inner


def _map(snapshot: Snapshot, frame: Frame, records: Mapping[str, Sequence[JsonValue]], now: float) -> None:
    """Begin a map over lists of one item each."""
    facts = Mapped(count=1, concurrency=1, items=records)
    evolve(snapshot, Step(snapshot.seq + 1, now, facts, frame.id, frame.at, 1, 1))


def _item(snapshot: Snapshot, inner: Plan[Any], node: NodePlan, frame: Frame, given: Given) -> Frame:
    """The frame of the one item that a node is run for."""
    each = node.each
    if each is None:
        told = f"{node.name} is run once, and not for items"
        raise InputError(told, where=f"node {node.name}", repair="leave item= out, or give the node each={…}")
    names = [name for name, _, _ in each.sources]
    items: Mapping[Any, object] = {names[0]: given.item}
    if len(names) > 1:
        items = given.item if isinstance(given.item, Mapping) else {}
        if {*items} != {*names}:
            told = f"{node.name} is run for {_listed(names)} side by side"
            repair = "give all of them: item={" + ", ".join(f"{name!r}: …" for name in names) + "}"
            raise InputError(told, where=f"node {node.name}", repair=repair)
    view = View(inner.state, frame)
    records: dict[str, Sequence[JsonValue]] = {}
    for name in names:
        kind = each.state.fields[name]
        records[name] = [_recorded(kind, items[name], view, f"item {name} of node {node.name}")[0]]
    _map(snapshot, frame, records, given.now)
    return snapshot.frames[item_id(frame, 0)]


# What the node reads, and the state that it is given.


def _initial(plan: Plan[Any], node: NodePlan, given: Given, where: str) -> Initial:
    """The state that a node begins with.

    Raises:
        InputError: Something that it reads is missing; a field is unknown or does not fit.
    """
    state = plan.state
    clashes = [name for name in given.options if name in state.fields]
    if clashes:
        told = f"{_listed(clashes)} {_is(clashes)} a field of {state.model.__name__} and an option of run_node"
        raise InputError(told, where=where, repair=f"give the fields by state=: state={{{clashes[0]!r}: …}}")
    have = _as_mapping(given.state, state)
    if have is None:
        return state.initial(given.state, where)
    _see_names(state, have, where)
    required = [
        name for name, kind in state.fields.items() if kind.info.is_required() and not {name, kind.info.alias} & {*have}
    ]
    if not required:
        return state.initial(have, where)
    read = set(state.fields) if state.whole else _read(node, plan, given)
    missing = [name for name in required if name in read]
    if missing:
        told = f"{node.name} reads {_listed(missing)}, which {'was' if len(missing) == 1 else 'were'} not given"
        if state.whole:
            told = f"{state.model.__name__} is validated as a whole, and {_listed(missing)} {_is(missing)} missing"
        example = ", ".join(f"{name}=…" for name in missing)
        raise InputError(told, where=where, repair=f"give {'it' if len(missing) == 1 else 'them'}: {example}")
    return partial(state, have, where)


def _read(node: NodePlan, plan: Plan[Any], given: Given) -> set[str]:
    """The fields that a node may read, or, with a reducer, add to."""
    calls = [call for call in (node.call, *node.choices.values()) if call is not None]
    found = {name for call in calls for name in call.roots} | node.writer.roots
    if node.selector is not None:
        found |= node.selector.roots
    if node.each is not None:
        found -= {name for name, _, _ in node.each.sources}
        if given.item is NO_ITEM:
            found |= _sources(node.each)
    if "state" in found:
        found |= set(plan.state.model.model_fields)
    if node.writer.keys is None:  # else it may write any
        found |= {name for name in node.writer.fields if plan.state.fields[name].reducer is not None}
    return found


def _sources(each: Each) -> set[str]:
    return {root for _, reading, _ in each.sources for root in reading.roots}


def _as_mapping(given: object, state: StateType[Any]) -> Mapping[str, object] | None:
    """The fields that were given by name; None where a whole state was."""
    if is_state(state.model, given):
        return None
    if not isinstance(given, Mapping):
        raise InputError(
            f"the state is a {type(given).__name__}, not a {state.model.__name__}",
            where="run_node(state=…)",
            repair=f"pass {state.model.__name__}(…) or a mapping of its fields",
        )
    return given


def _see_names(state: StateType[Any], have: Mapping[str, object], where: str) -> None:
    known = {*state.fields, *(kind.info.alias for kind in state.fields.values() if kind.info.alias)}
    unknown = [name for name in have if name not in known]
    if unknown:
        told = "; ".join(f"unknown field {name!r}: {did_you_mean(str(name), state.fields)}" for name in unknown)
        raise InputError(told, where=where, repair=f"use the fields of {state.model.__name__}")


def partial(state: StateType[Any], given: Mapping[str, object], where: str) -> Initial:
    """Records and typed values of the fields that were given, and of those that have a default.

    Raises:
        InputError: A field does not fit.
    """
    values: dict[str, JsonValue] = {}
    typed: dict[str, object] = {}
    view = View(state, Held(values, typed))
    named: list[str] = []
    for name, kind in state.fields.items():
        source = name if name in given else kind.info.alias if kind.info.alias in given else None
        if source is not None:
            named.append(name)
            values[name], typed[name] = _recorded(kind, given[source], view, where)
        elif not kind.info.is_required():
            value = kind.info.get_default(call_default_factory=True, validated_data=dict(typed))
            values[name], typed[name] = _recorded(kind, value, view, where, is_default=True)
    return Initial(values, typed, named)


def _recorded(
    kind: FieldType, value: object, view: View, where: str, *, is_default: bool = False
) -> tuple[JsonValue, object]:
    try:
        return kind.record(value if is_default else kind.validate(value, view), view)
    except (InvalidUpdate, NotRecordable) as error:
        raise InputError(f"{kind.name}: {error.message}", where=where, repair=error.repair) from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


__all__ = ["NO_ITEM", "Given", "Stage", "staged"]
