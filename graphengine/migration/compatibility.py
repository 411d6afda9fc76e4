"""Whether a recorded run still fits a changed graph, and which changes it needs.

The changes that migrations and new defaults make are tried on a copy of the snapshot. Then
`graphengine.migration.positions` checks every frame of the copy against today's graph. The run itself is not changed
here. The result is a `GraphFit` to record, or a list of mismatches, which keep the run from continuing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import AliasChoices, ValidationError
from pydantic_core import PydanticUndefined

from graphengine.errors import GraphChanged, InvalidUpdate, NoChoice, NotRecordable
from graphengine.kernel.extension import View
from graphengine.kernel.inside import (
    HIDDEN,
    ROOT,
    Shift,
    apply_shift,
    copy_of,
    explain,
    is_sealed,
    plan_of,
)
from graphengine.kernel.reader import Collecting, Frame, Snapshot, path_of
from graphengine.migration.apply import (
    Walked,
    does_not_fit,
    in_new_names,
    moves_of,
    name_record,
    place_of_record,
    shift_of,
    state_of,
    walk_frames,
)
from graphengine.migration.positions import Mismatch, asks_anew, migration_hint, place_mismatches
from graphengine.records.graph_spec_diff import differences

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from graphengine.kernel.extension import FieldType, JsonValue, Op, Plan
    from graphengine.kernel.reader import GraphSpec


_SHOWN: Final = 200
"""How many characters of a value a message shows at most."""


@dataclass(frozen=True, slots=True)
class GraphFit:
    """Whether and how a recorded run fits today's graph.

    If the run fits, this object contains the changes to record when it continues. Otherwise it contains the reasons why
    the run cannot continue.

    Attributes:
        shift: The changes in the form in which steps record them.
        after: The snapshot after the changes.
        mismatches: The reasons why the run cannot continue.
        graphs: The graphs that the run is in, with the migrations of each.
        left: Notes about recorded values that are lost or changed when the run continues.
    """

    shift: Shift
    after: Snapshot
    mismatches: Sequence[Mismatch]
    graphs: Mapping[str, Walked]
    left: Sequence[Mismatch] = ()


def field_changes(plan: Plan[Any], snapshot: Snapshot, graph_spec: GraphSpec | None) -> GraphFit:
    """Find out whether a run fits today's graph, by trying migrations and new defaults on a copy of its snapshot.

    Args:
        plan: Today's plan.
        snapshot: The run's snapshot; it is not changed.
        graph_spec: The recorded spec of the run's graph.

    Raises:
        GraphChanged: The run was recorded under a newer version, or a migration is missing.
        MigrationFailed: A migration raised an error, or returned fields that do not fit today's state.
        SecretKeyWrong: The graph has another key than the one with which the fields were encrypted.
    """
    graphs = walk_frames(plan, snapshot, graph_spec or {})
    there = copy_of(snapshot)
    shift = shift_of(plan, snapshot, graphs)
    apply_shift(there, shift)
    renamed = dict(zip(snapshot.frames, there.frames, strict=True))
    moves = moves_of(snapshot, there, graphs)
    dropped = [_note_of_move(there.frames[key], node) for key, node in moves.items() if _has_ended_inside(there, key)]
    if moves:
        possible = {key: node for key, node in moves.items() if node in plan_at(plan, there.frames[key]).nodes}
        shift.moved = moves
        apply_shift(there, Shift(moved=possible))
    today = {renamed[key]: graph for key, graph in graphs.items()}
    mismatches, left = _states(plan, there, today, shift)
    left += dropped
    for frame in there.frames.values():
        around = today.get(frame.sub.id if frame.sub is not None else ROOT)
        mismatches += place_mismatches(plan, frame, around.version if around is not None else plan.version)
    if not mismatches:
        asks = [frame.id for frame in there.frames.values() if asks_anew(plan_of(plan, frame), frame)]
        if asks:
            shift.asks = asks
            apply_shift(there, Shift(asks=asks))
    shift.left = tuple(dict.fromkeys(each.text for each in left))
    shift.changes = differences(in_new_names(plan, graph_spec or {}), plan.graph_spec)
    return GraphFit(shift, there, list(dict.fromkeys(mismatches)), graphs, left)


def _note_of_move(frame: Frame, node: str) -> Mismatch:
    """Build the warning that moving the run to another node drops the results of visits inside the old node."""
    path = path_of(frame.id, frame.at)
    text = f"what has ended inside {path} is dropped: its effects are done again if {node} does them"
    return Mismatch(text, place=path, code="visits_dropped")


def _has_ended_inside(snapshot: Snapshot, key: str) -> bool:
    """Return whether some work inside this position (frame) of the run is already finished.

    Such work is a node of a nested graph, an arm of a fork or an item of a map.

    The answer decides whether to warn about a move to another node: the results of finished work stay behind in the
    log, and its side effects may be repeated at the new node. Work that is still in progress does not count, because
    its effects are kept.
    """
    frame = snapshot.frames[key]
    if isinstance(frame.phase, Collecting) and any(each is not None for each in frame.phase.done):
        return True
    return any(snapshot.frames[each].counts or _has_ended_inside(snapshot, each) for each in frame.children)


def migrate_state(
    plan: Plan[Any], snapshot: Snapshot, graph_spec: GraphSpec | None
) -> tuple[Mapping[str, JsonValue], Sequence[Mismatch]]:
    """Convert the recorded state of a run to the state of today's graph, by applying migrations and new defaults.

    Only the fields of the run's own graph are converted. It does not matter where in the graph the run was.

    Args:
        plan: Today's plan.
        snapshot: The run's snapshot; it is not changed.
        graph_spec: The recorded spec of the run's graph.

    Returns:
        The fields of the converted state, and notes about recorded values that have no place in it.

    Raises:
        GraphChanged: The run was recorded under a newer version, a migration is missing, or the run's state does not
            fit.
        MigrationFailed: A migration raised an error, or returned fields that do not fit today's state.
        SecretKeyWrong: The graph has another key than the one with which the fields were encrypted.
    """
    there = Snapshot(run_id=snapshot.run_id, graph=snapshot.graph, seq=snapshot.seq)
    there.frames = {ROOT: Frame(values=dict(snapshot.root.values))}
    shift, graphs = Shift(), walk_frames(plan, there, graph_spec or {})
    mismatches, left = _states(plan, there, graphs, shift)
    if mismatches:
        raise mismatch_error(plan, snapshot, GraphFit(shift, there, mismatches, graphs))
    return there.root.values, left


def mismatch_error(plan: Plan[Any], snapshot: Snapshot, found: GraphFit) -> GraphChanged:
    """Build the error that explains why a run cannot continue under the changed graph, and how to repair this.

    Args:
        plan: Today's plan.
        snapshot: The run's snapshot.
        found: How the run fits the graph, with the mismatches.
    """
    lines = [f"the graph {plan.graph!r} was changed, and {name_record(snapshot)} no longer fits it"]
    lines += ["  what does not fit:", *(f"    {mismatch.text}" for mismatch in found.mismatches)]
    if found.shift.changes:
        lines += ["  what changed:", *(f"    {line}" for line in found.shift.changes)]
    back = ", ".join(dict.fromkeys(mismatch.back for mismatch in found.mismatches if mismatch.back))
    migrations = list(dict.fromkeys(mismatch.migration for mismatch in found.mismatches if mismatch.migration))
    defaults = list(
        dict.fromkeys(f"give {mismatch.default!r} a default" for mismatch in found.mismatches if mismatch.default)
    )
    repairs = [f"put back {back}"] if back else []
    repairs = [" and ".join([*repairs, *defaults]) or "put back what the run needs"]
    what = "run" if snapshot.seq else "input"
    repairs += [f"or migrate the {what}: {', or '.join(migrations[:2])}"] if migrations else []
    repairs += ["or branch the run from a step where it still fits"] if snapshot.seq else []
    where = place_of_record(snapshot)
    where += f" at step {snapshot.seq}" if snapshot.seq else ""
    return GraphChanged("\n".join(lines), where=where, repair="; ".join(repairs))


def plan_at(plan: Plan[Any], frame: Frame) -> Plan[Any]:
    """Return the plan of the graph in which this position (frame) of the run lies.

    For a nested graph that no longer exists, the plan of the run's own graph is returned instead of an error, because
    the check of positions already reports the missing graph.
    """
    try:
        return plan_of(plan, frame)
    except (KeyError, NoChoice):
        return plan


def _states(
    plan: Plan[Any], there: Snapshot, graphs: Mapping[str, Walked], shift: Shift
) -> tuple[list[Mismatch], list[Mismatch]]:
    """Apply migrations and new defaults to the state of each graph that the run is in.

    The snapshot `there` is a copy, and is changed. The same changes are added to `shift`, so that the next step of the
    run can record them.

    Returns:
        The mismatches because of which the run cannot continue, and notes about values that it continues without.

    Raises:
        MigrationFailed: A migration raised an error, or returned fields that do not fit today's state.
    """
    ops: dict[str, Sequence[Op]] = {}
    mismatches: list[Mismatch] = []
    left: list[Mismatch] = []
    for key, graph in graphs.items():
        frame = there.frames.get(key)
        if frame is None or plan_at(plan, frame) is not graph.plan:
            continue
        was = graph.graph_spec.get("graph", graph.plan.graph)
        if was != graph.plan.graph:
            path = key.rstrip("/")
            text = f"the run is inside graph {was!r} at {path}, and that is graph {graph.plan.graph!r} now"
            mismatches.append(Mismatch(text, f"graph {was!r} at {path}"))
            continue
        where = f"{place_of_record(there)} at step {there.seq}, graph {key.rstrip('/') or graph.plan.graph}"
        values = state_of(graph, frame.values, where)
        done = _operations(frame.values, values)
        apply_shift(there, Shift(field_changes={key: done}))
        more, problems, notes = fit_fields(graph, frame, {op[1] for op in done})
        if problems and done:
            raise does_not_fit(graph, values, [problem.text for problem in problems], where)
        apply_shift(there, Shift(field_changes={key: more}))
        prefix = path_of(key, "")
        hint = migration_hint(graph.plan, graph.version, "f")
        suffix = f" (in the graph at {prefix})" if prefix else ""
        facts = Mismatch("", migration=hint, graph=graph.plan.graph, version=graph.version)
        mismatches += [
            facts._replace(text=each.text + suffix, back=each.back, default=each.default, field=each.field)
            for each in problems
        ]
        left += [
            facts._replace(text=each.text + suffix, field=each.field, code=each.code)
            for each in (*_find_removed_fields(graph, frame, more), *notes)
        ]
        if done or more:
            ops[key] = [*done, *more]
    shift.field_changes = ops
    return mismatches, left


def _find_removed_fields(graph: Walked, frame: Frame, changes: Sequence[Op]) -> Iterator[Mismatch]:
    """Yield a warning for each recorded field that today's state no longer has, because its value would be lost.

    If a new field has the same type, the field may only have been renamed. The warning then names the new field and has
    the code `field_renamed`; otherwise its code is `field_removed`.
    """
    set_fields = {op[1]: op[2] for op in changes if op[0] == "set"}
    renamed = renamed_fields(graph.graph_spec, graph.plan.graph_spec)
    for gone in frame.values:
        if gone in graph.plan.state.fields or gone not in graph.graph_spec.get("state", {gone: ""}):
            continue
        value = frame.values[gone]
        news = [new for new in renamed.get(gone, ()) if value != set_fields.get(new, value)]
        text = f"field {gone!r} is gone, and its value with it"
        if news:
            text += f"; new of its type: {', '.join(map(repr, news))}"
        yield Mismatch(text, field=news[0] if news else "", code="field_renamed" if news else "field_removed")


def renamed_fields(recorded: GraphSpec, today: GraphSpec) -> dict[str, list[str]]:
    """List, for each recorded field that no longer exists, the new fields of the same type.

    The field may have been renamed to one of them. For example, `{"mail": ["email"]}` if the text field `mail` is gone
    and the text field `email` is new.
    """
    before, now = recorded.get("state", {}), today.get("state", {})
    return {
        gone: [new for new in now if new not in before and now[new] == kind]
        for gone, kind in before.items()
        if gone not in now
    }


def _operations(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> list[Op]:
    """Return the operations that turn the fields of a state before a migration into the fields after the migration.

    For example, `[("set", "total", 3), ("drop", "sum")]`. A step of the run records a change of the state in this form.
    """
    changed = [
        ("set", name, value)
        for name, value in after.items()
        if name not in before or value != before[name] or type(value) is not type(before[name])
    ]
    return [*changed, *(("drop", name) for name in before if name not in after)]


def fit_fields(
    graph: Walked, frame: Frame, migrated: Collection[str]
) -> tuple[list[Op], list[Mismatch], list[Mismatch]]:
    """Read the recorded fields of a state with the types of today's state, and fill in new fields that have a default.

    Args:
        graph: The graph that the state belongs to.
        frame: The position (frame) of the run that holds the state after the migrations.
        migrated: The fields that migrations changed. Their recorded types do not apply to them any more.

    Returns:
        Three lists. First, the operations that change the state: they give new fields their defaults, and record again
            each value that today's types write in another way. Second, a mismatch for each recorded value that does not
            fit its type. Third, a note for each value that fits, but is lost or changed in part.
    """
    plan = graph.plan
    ops: list[Op] = []
    problems: list[Mismatch] = []
    notes: list[Mismatch] = []
    view = View(plan.state, frame)
    typed: dict[str, Any] = {}
    recorded, today = graph.graph_spec.get("types", {}), plan.graph_spec.get("types", {})
    for name, kind in plan.state.fields.items():
        was = name if name in frame.values else _alias_in(frame.values, name, kind, plan.state.fields)
        try:
            if not was:
                default = kind.info.get_default(call_default_factory=True, validated_data=typed)
                if default is PydanticUndefined:
                    problems.append(Mismatch(f"field {name!r} is new and has no default", default=name, field=name))
                    continue
                record, typed[name] = kind.record(default, view)
                ops.append(("set", name, record))
                continue
            record = frame.values[was]
            if was != name and kind.cipher is not None and is_sealed(record):
                record = kind.cipher.seal(name, kind.cipher.unseal(was, record))
            found = kind.reread(record, view, recorded if name not in migrated else {}, today)
            typed[name] = found.value
            notes += [Mismatch(note.text(hide=kind.secret), code=note.code) for note in found.notes]
            if was != name:
                ops.append(("drop", was))
            if was != name or not found.is_same:
                ops.append(("set", name, kind.record(found.value, view)[0]))
        except (InvalidUpdate, NotRecordable) as error:
            held = HIDDEN if kind.secret else _clip(frame.values.get(was))
            text = f"field {name!r} holds {held}: {error.message}"
            problems.append(Mismatch(text, f"the type of {name!r}", field=name))
    if plan.state.whole and not problems:
        try:
            plan.state.model.__pydantic_validator__.validate_python(typed, by_name=True, by_alias=False)
        except ValidationError as error:
            reason = explain(error, hide=bool(plan.state.secrets))
            problems.append(Mismatch(f"the state as a whole: {reason}", "the validators of the state"))
    return ops, problems, notes


def _alias_in(values: Mapping[str, JsonValue], name: str, kind: FieldType, fields: Collection[str]) -> str:
    """Return the alias under which the value of a field was recorded.

    A field of the state may have a pydantic alias, under which older versions of the graph recorded it. The result is
    "" if no alias of the field occurs in the recorded values.
    """
    alias = kind.info.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias, kind.info.alias]
    aliases = (each for each in choices if isinstance(each, str) and each != name and each not in fields)
    return next((each for each in aliases if each in values), "")


def _clip(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
