"""Migrations: what `Graph(version=…, migrate=…)` says of a run that was recorded under an older version.

Each graph of a run, the outermost and those it is inside of, has a version of its own in the recorded outline, and its
own chain of migrations from there to today's. Nothing here changes the run: what comes of it is recorded by the resume
or the branch that asked.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine.phases import Ended
from graphengine.engine.snapshot import ROOT
from graphengine.engine.steps import Shift
from graphengine.errors import GraphChanged, InputError, MigrationFailed, NoChoice
from graphengine.runner.answers import as_record
from graphengine.state.path import did_you_mean
from graphengine.state.secret import clear_texts, is_sealed, scrubbed, worth_scrubbing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.engine.plan import NodePlan, Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.graph.options import Migration
    from graphengine.state.json_values import JsonValue
    from graphengine.state.schema import StateType

_SHOWN: Final = 1000
"""More characters of values are cut in messages."""


@dataclass(frozen=True, slots=True)
class Walked:
    """A graph that a run is in: as it was recorded, as it is today, and what leads from one to the other.

    Attributes:
        plan: Today's.
        version: The version it was recorded under.
        steps: The migrations from there on, with the version each starts from.
        names: The nodes that have another name today, old to new.
        outline: What was recorded of it; empty where nothing is known.
    """

    plan: Plan[Any]
    version: int
    steps: Sequence[tuple[int, Migration]] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    outline: Mapping[str, JsonValue] = field(default_factory=dict)

    def place(self, node: str) -> tuple[str, bool]:
        """Where a frame that stands at a node stands today, and whether it was moved there."""
        moved = False
        for _, step in self.steps:
            if node in step.moved:
                node, moved = step.moved[node], True
            else:
                node = step.renamed.get(node, node)
        return node, moved


def walked(plan: Plan[Any], snapshot: Snapshot, outline: Mapping[str, JsonValue]) -> dict[str, Walked]:
    """The graphs that a run is in, by the frame that walks each; those that are none any more are left out.

    Raises:
        GraphChanged: One of them is of a newer version, or has no migration from the recorded one.
    """
    found: dict[str, Walked] = {}
    for frame in snapshot.frames.values():
        if frame.up is None:
            found[frame.id] = _walked(plan, outline, snapshot, plan.graph)
        elif frame.kind == "sub":
            around = found.get(_graph_of(frame.up))
            here = None if around is None else _inside(around, frame.up)
            if here is not None:
                found[frame.id] = _walked(here[0], here[1], snapshot, frame.id.rstrip("/"))
    return found


def shift_of(plan: Plan[Any], snapshot: Snapshot, graphs: Mapping[str, Walked]) -> Shift:
    """What migrations do to the places of a run: `renamed` and `pauses`; see `graphengine.engine.rebase`."""
    shift = Shift(renamed={key: dict(graph.names) for key, graph in graphs.items() if graph.names})
    root = graphs[ROOT]
    pauses = [_path(plan, root.outline, path.split("/")) for path in snapshot.pause]
    if pauses != list(snapshot.pause):
        shift.pauses = pauses
    return shift


def moves_of(before: Snapshot, after: Snapshot, graphs: Mapping[str, Walked]) -> dict[str, str]:
    """The frames that go on elsewhere, by their names after the renaming, with the nodes they go on at.

    Args:
        before: As the run was recorded.
        after: The same, its nodes renamed.
        graphs: The graphs it is in.
    """
    found: dict[str, str] = {}
    gone: set[str] = set()
    for frame, renamed in zip(before.frames.values(), after.frames.values(), strict=True):
        graph = graphs.get(_graph_of(frame))
        if frame.parent in gone and frame.up is not None:
            gone.add(frame.id)
        elif graph is not None and frame.kind != "item" and not isinstance(frame.phase, Ended):
            node, moved = graph.place(frame.at)
            if moved:
                found[renamed.id] = node
                gone.add(frame.id)
    return found


def in_new_names(plan: Plan[Any], outline: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """A recorded outline with its nodes under the names that migrations give them, those of graphs inside too."""
    steps = _steps(plan, outline)

    def now(name: str) -> str:
        return _renamed(steps, name)

    nodes: list[JsonValue] = []
    for node in outline.get("nodes", ()):
        new = {**node, "name": now(node["name"])}
        if new["name"] != node["name"]:
            new["was"] = node["name"]
        today = plan.nodes.get(new["name"])
        for choice, graph in node.get("graphs", {}).items():
            inner = _chosen(today, choice)
            if inner is not None:
                new["graphs"] = {**new["graphs"], choice: in_new_names(inner, graph)}
        nodes.append(new)
    ways = [_way_in(way, now) for way in outline.get("ways", ())]
    return {**outline, "nodes": nodes, "ways": ways} if outline else outline


def _chosen(node: NodePlan | None, choice: str) -> Plan[Any] | None:
    """The graph that a node is where this was picked; None where it is none."""
    try:
        return node.chosen(choice).graph if node is not None else None
    except NoChoice:
        return None


def _way_in(way: Mapping[str, JsonValue], now: Callable[[str], str]) -> dict[str, JsonValue]:
    """A way out of an outline, in new names."""
    made = {key: now(fact) if key in ("from", "to", "join") else fact for key, fact in way.items()}
    if "arms" in way:
        made["arms"] = [{**arm, "to": now(arm["to"])} for arm in way["arms"]]
    if "cases" in way:
        made["cases"] = {case: now(target) for case, target in way["cases"].items()}
        made["otherwise"] = now(way["otherwise"]) if way["otherwise"] else way["otherwise"]
    return made


def state_of(graph: Walked, values: Mapping[str, JsonValue], where: str) -> dict[str, JsonValue]:
    """The recorded fields of a graph's state as its migrations make them; the same where none touches them.

    Functions are given secrets in clear, and what they give for secret fields is encrypted.

    Raises:
        MigrationFailed: A function raised, or gave what is no state of today's graph.
        SecretKeyWrong: The graph was given another key.
    """
    functions = [(version, step.state) for version, step in graph.steps if step.state is not None]
    if not functions:
        return dict(values)
    state = graph.plan.state
    opened = _opened(state, values)
    now: dict[str, JsonValue] = {**values, **opened}
    texts = [text for value in opened.values() for text in clear_texts(value)]
    try:
        for version, function in functions:
            now = _moved_on(graph, function, version, now, where)
            texts += [text for name in state.secrets & now.keys() for text in clear_texts(now[name])]
        _check_names(graph, now, {**values, **opened}, where)
    except MigrationFailed as error:
        told = str(scrubbed(error.message, worth_scrubbing(texts)))
        raise MigrationFailed(told, where=where, repair=error.repair) from (None if texts else error.__cause__)
    for name in state.secrets & now.keys():
        is_kept = is_sealed(values.get(name)) and opened[name] == now[name]
        cipher = state.fields[name].cipher
        if is_kept or cipher is None:
            now[name] = values[name]
        else:
            now[name] = cipher.seal(name, to_json(now[name]))
    return now


def _opened(state: StateType[Any], values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What is encrypted of recorded fields, in clear; also of fields that today's state has under another name.

    Raises:
        SecretKeyWrong.
    """
    cipher = next((field.cipher for field in state.fields.values() if field.cipher is not None), None)
    if cipher is None:
        return {}
    return {name: from_json(cipher.unseal(name, record)) for name, record in values.items() if is_sealed(record)}


def _check_names(graph: Walked, now: Mapping[str, JsonValue], before: Mapping[str, JsonValue], where: str) -> None:
    """See that migrations that changed something gave fields of today's state alone.

    Raises:
        MigrationFailed: They did not.
    """
    fields = graph.plan.state.fields
    unknown = [name for name in now if name not in fields]
    if unknown and now != dict(before):
        hints = "; ".join(f"unknown field {name!r}: {did_you_mean(name, fields)}" for name in unknown)
        raise MigrationFailed(
            f"the migrations of graph {graph.plan.graph!r} gave {_shown(now)}, which does not fit its state: {hints}",
            where=where,
            repair="return the fields of today's state alone",
        )


def does_not_fit(graph: Walked, values: Mapping[str, JsonValue], problems: Sequence[str], where: str) -> GraphChanged:
    """The error of migrated fields that today's state refuses."""
    return MigrationFailed(
        f"the migrations of graph {graph.plan.graph!r} gave {_shown(values)}, which does not fit its state: "
        + "; ".join(problems),
        where=where,
        repair="let them return what today's state takes",
    )


def _walked(plan: Plan[Any], outline: Mapping[str, JsonValue], snapshot: Snapshot, path: str) -> Walked:
    version: int = outline.get("version", plan.version)
    where = f"run {snapshot.run_id} at step {snapshot.seq}, graph {path}"
    if version > plan.version:
        raise GraphChanged(
            f"run {snapshot.run_id} was recorded under version {version} of graph {plan.graph!r}, which is version "
            f"{plan.version} here",
            where=where,
            repair="go on with it where that version is; nothing leads back to an older one",
        )
    steps: list[tuple[int, Migration]] = []
    for older in range(version, plan.version) if plan.migrate else ():
        if older not in plan.migrate:
            raise GraphChanged(
                f"run {snapshot.run_id} was recorded under version {version} of graph {plan.graph!r}, and nothing "
                f"leads from version {older} to {older + 1}: migrate= has {', '.join(map(str, plan.migrate))}",
                where=where,
                repair=f"add migrate={{{older}: f}}, or {older}: Migration() where nothing has to be changed",
            )
        steps.append((older, plan.migrate[older]))
    graph = Walked(plan, version, steps, {}, outline)
    nodes = [node["name"] for node in outline.get("nodes", ())]
    names = {node: _renamed(graph.steps, node) for node in nodes}
    return Walked(plan, version, steps, {old: new for old, new in names.items() if old != new}, outline)


def _renamed(steps: Sequence[tuple[int, Migration]], node: str) -> str:
    for _, step in steps:
        node = step.renamed.get(node, node)
    return node


def _graph_of(frame: Frame) -> str:
    """The frame that walks the graph which a frame is in."""
    return frame.sub.id if frame.sub is not None else ROOT


def _inside(around: Walked, up: Frame) -> tuple[Plan[Any], Mapping[str, JsonValue]] | None:
    """The graph at the node of a frame: today's, and what was recorded of it; None where there is none today."""
    node = around.plan.nodes.get(around.names.get(up.at, up.at))
    graph = _chosen(node, up.choice)
    outline: Mapping[str, JsonValue] = _graphs_at(around.outline, up.at).get(up.choice, {})
    return None if graph is None else (graph, outline)


def _steps(plan: Plan[Any], outline: Mapping[str, JsonValue]) -> list[tuple[int, Migration]]:
    """The migrations from a recorded graph on, as far as there are any."""
    version: int = outline.get("version", plan.version)
    return [(older, plan.migrate[older]) for older in range(version, plan.version) if older in plan.migrate]


def _graphs_at(outline: Mapping[str, JsonValue], name: str) -> Mapping[str, JsonValue]:
    """The outlines of the graphs that a node of an outline may be, by choice."""
    for node in outline.get("nodes", ()):
        if node["name"] == name:
            graphs: Mapping[str, JsonValue] = node.get("graphs", {})
            return graphs
    return {}


def _path(plan: Plan[Any], outline: Mapping[str, JsonValue], parts: Sequence[str]) -> str:
    """A node's path in today's names."""
    steps = _steps(plan, outline)
    new = _renamed(steps, parts[0])
    if len(parts) == 1:
        return new
    node = plan.nodes.get(new)
    calls = () if node is None else (node.call, *node.choices.values())
    graph = next((call.graph for call in calls if call is not None and call.graph is not None), None)
    inner: Mapping[str, JsonValue] = next(iter(_graphs_at(outline, parts[0]).values()), {})
    return f"{new}/{'/'.join(parts[1:]) if graph is None else _path(graph, inner, parts[1:])}"


def _moved_on(
    graph: Walked, function: Callable[..., object], version: int, values: Mapping[str, JsonValue], where: str
) -> dict[str, JsonValue]:
    """What one function makes of the fields.

    Raises:
        MigrationFailed: It raised, or gave something else than fields.
    """
    name = f"migrate={{{version}: {getattr(function, '__name__', 'f')}}} of graph {graph.plan.graph!r}"
    try:
        made = function(deepcopy(dict(values)))
    except BaseException as error:
        reraise_interrupt(error)
        raise MigrationFailed(
            f"{name} raised {type(error).__name__}: {error}; it was given {_shown(values)}",
            where=where,
            repair=f"mend {getattr(function, '__name__', 'it')}; the run is as it was",
        ) from error
    if not hasattr(made, "keys") or not all(isinstance(key, str) for key in made):  # type: ignore[attr-defined]
        raise MigrationFailed(
            f"{name} gave {type(made).__name__} {_shown(made)} and no fields; it was given {_shown(values)}",
            where=where,
            repair="return the fields of the next version: {'field': value}",
        )
    try:
        found: dict[str, JsonValue] = as_record(dict(made), f"what {name} gave")  # type: ignore[call-overload]
    except InputError as error:
        raise MigrationFailed(error.message, where=where, repair=error.repair) from error
    return found


def _shown(values: object) -> str:
    text = repr(values)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
