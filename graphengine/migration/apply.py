"""The effects of `Graph(version=…, migrate=…)` on a run that was recorded under an older version.

A run is in one or several graphs: the outermost one and the graphs inside it. The recorded graph spec has a version for
each of these graphs, and each has its own chain of migrations from this version to today's version. Nothing here
changes the run. The resume or the branch that calls this module records the result.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json

from graphengine.errors import GraphChanged, InputError, MigrationFailed, NoChoice
from graphengine.kernel.extension import clipped
from graphengine.kernel.inside import (
    ROOT,
    Shift,
    as_record,
    clear_texts,
    is_sealed,
    reraise_interrupt,
    scrubbed,
    unknown_fields,
    worth_scrubbing,
)
from graphengine.kernel.reader import Ended, GraphSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.kernel.extension import JsonValue, Migration, NodePlan, Plan, StateType
    from graphengine.kernel.reader import EdgeSpec, Frame, NodeSpec, Snapshot

_SHOWN: Final = 1000
"""How many characters of a value a message shows at most."""


@dataclass(frozen=True, slots=True)
class Walked:
    """One graph that a recorded run is in, with everything that is needed to bring the run into today's version of it.

    This is the graph as it was recorded, the graph as it is today, and the migrations in between.

    Attributes:
        plan: Today's plan.
        version: The version under which the graph was recorded.
        steps: The migrations from that version on. Each has the version from which it starts.
        names: The nodes that were renamed since then: the old name and the new one.
        graph_spec: The recorded graph spec; empty if it is not known.
    """

    plan: Plan[Any]
    version: int
    steps: Sequence[tuple[int, Migration]] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    graph_spec: GraphSpec = field(default_factory=GraphSpec)

    def place(self, node: str) -> tuple[str, bool]:
        """Return the name of the node of today's graph at which a run continues, given its recorded node.

        The second value is True if a migration moved the run to another node. It is False if the node is still the same
        one and at most has a new name.
        """
        moved = False
        for _, step in self.steps:
            if node in step.moved:
                node, moved = step.moved[node], True
            else:
                node = step.renamed.get(node, node)
        return node, moved


def walk_frames(plan: Plan[Any], snapshot: Snapshot, graph_spec: GraphSpec) -> dict[str, Walked]:
    """List the graphs that a run is in.

    These are the run's own graph, and the nested graphs that the run has entered and that still exist. The keys of the
    result are the ids of the run's positions (frames) in these graphs.

    Raises:
        GraphChanged: A graph was recorded under a newer version, or no migration leads on from the recorded one.
    """
    found: dict[str, Walked] = {}
    for frame in snapshot.frames.values():
        if frame.up is None:
            found[frame.id] = _plan_walk(plan, graph_spec, snapshot, plan.graph)
        elif frame.kind == "sub":
            around = found.get(_graph_of(frame.up))
            here = None if around is None else _graph_inside(around, frame.up)
            if here is not None:
                found[frame.id] = _plan_walk(here[0], here[1], snapshot, frame.id.rstrip("/"))
    return found


def shift_of(plan: Plan[Any], snapshot: Snapshot, graphs: Mapping[str, Walked]) -> Shift:
    """Collect from the migrations which nodes were renamed, and the new paths of nodes before which the run pauses.

    A run records the paths of the nodes before which it pauses, so these paths have to follow a renamed node. The
    result is a `Shift`, the form in which a step records such changes. `graphengine.engine.graph_migration` explains a
    `Shift`.
    """
    shift = Shift(renamed={key: dict(graph.names) for key, graph in graphs.items() if graph.names})
    root = graphs[ROOT]
    pauses = [_path(plan, root.graph_spec, path.split("/")) for path in snapshot.pause]
    if pauses != list(snapshot.pause):
        shift.pauses = pauses
    return shift


def moves_of(before: Snapshot, after: Snapshot, graphs: Mapping[str, Walked]) -> dict[str, str]:
    """Return the positions of the run that migrations move to another node, each with the name of that node.

    A position (frame) is one place where the run is. The keys of the result are the ids that the frames have after
    their nodes were renamed. Frames inside a moved frame are not listed.

    Args:
        before: The snapshot as it was recorded.
        after: The same snapshot after its nodes were renamed.
        graphs: The graphs that the run is in.
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


def in_new_names(plan: Plan[Any], graph_spec: GraphSpec) -> GraphSpec:
    """Return a recorded graph spec in which each node that migrations have renamed has its new name.

    This makes the recorded spec comparable with the spec of today's graph. A renamed node keeps its recorded name under
    the key `was`. Nested graphs are converted in the same way.
    """
    steps = _steps(plan, graph_spec)

    def now(name: str) -> str:
        return _rename_node(steps, name)

    nodes: list[NodeSpec] = []
    for node in graph_spec.get("nodes", ()):
        new: NodeSpec = {**node, "name": now(node["name"])}
        if new["name"] != node["name"]:
            new["was"] = node["name"]
        today = plan.nodes.get(new["name"])
        for choice, graph in node.get("graphs", {}).items():
            inner = _chosen(today, choice)
            if inner is not None:
                new["graphs"] = {**new.get("graphs", {}), choice: in_new_names(inner, graph)}
        nodes.append(new)
    edges = [_edge_in(edge, now) for edge in graph_spec.get("ways", ())]
    return {**graph_spec, "nodes": nodes, "ways": edges} if graph_spec else graph_spec


def _chosen(node: NodePlan | None, choice: str) -> Plan[Any] | None:
    try:
        return node.chosen(choice).graph if node is not None else None
    except NoChoice:
        return None


def _edge_in(edge: EdgeSpec, now: Callable[[str], str]) -> EdgeSpec:
    renamed_edge: EdgeSpec = {**edge, "from": now(edge["from"])}
    if "to" in edge:
        renamed_edge["to"] = now(edge["to"])
    if "join" in edge:
        renamed_edge["join"] = now(edge["join"])
    if "arms" in edge:
        renamed_edge["arms"] = [{**arm, "to": now(arm["to"])} for arm in edge["arms"]]
    if "cases" in edge:
        renamed_edge["cases"] = {case: now(target) for case, target in edge["cases"].items()}
        otherwise = edge.get("otherwise")
        renamed_edge["otherwise"] = now(otherwise) if otherwise else otherwise
    return renamed_edge


def state_of(graph: Walked, values: Mapping[str, JsonValue], where: str) -> dict[str, JsonValue]:
    """Apply the migrations to the recorded fields of a graph's state.

    The functions of migrations receive secret fields decrypted. The secret fields that they return are encrypted again.

    Raises:
        MigrationFailed: A function raised an error, or returned fields that do not fit today's state.
        SecretKeyWrong: The graph has another key than the one with which the fields were encrypted.
    """
    functions = [(version, step.state) for version, step in graph.steps if step.state is not None]
    if not functions:
        return dict(values)
    state = graph.plan.state
    opened = _decrypt_fields(state, values)
    now: dict[str, JsonValue] = {**values, **opened}
    texts = [text for value in opened.values() for text in clear_texts(value)]
    try:
        for version, function in functions:
            now = _call_migration(graph, function, version, now, where)
            texts += [text for name in state.secrets & now.keys() for text in clear_texts(now[name])]
        _check_names(graph, now, {**values, **opened}, where)
    except MigrationFailed as error:
        text = str(scrubbed(error.message, worth_scrubbing(texts)))
        raise MigrationFailed(text, where=where, repair=error.repair) from (None if texts else error.__cause__)
    for name in state.secrets & now.keys():
        is_kept = is_sealed(values.get(name)) and opened[name] == now[name]
        cipher = state.fields[name].cipher
        if is_kept or cipher is None:
            now[name] = values[name]
        else:
            now[name] = cipher.seal(name, to_json(now[name]))
    return now


def _decrypt_fields(state: StateType[Any], values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Decrypt all encrypted fields of a recorded state, including fields that no longer exist in today's state.

    Raises:
        SecretKeyWrong: The graph has another key than the one with which the fields were encrypted.
    """
    cipher = next((field.cipher for field in state.fields.values() if field.cipher is not None), None)
    if cipher is None:
        return {}
    return {name: from_json(cipher.unseal(name, record)) for name, record in values.items() if is_sealed(record)}


def _check_names(graph: Walked, now: Mapping[str, JsonValue], before: Mapping[str, JsonValue], where: str) -> None:
    """Check that migrations which changed the recorded fields returned only fields that today's state has.

    Raises:
        MigrationFailed: The migrations returned a field that today's state does not have.
    """
    fields = graph.plan.state.fields
    unknown = [name for name in now if name not in fields]
    if unknown and now != dict(before):
        hints = unknown_fields(unknown, fields)
        raise MigrationFailed(
            f"the migrations of graph {graph.plan.graph!r} gave {_clip_repr(now)}, "
            f"which does not fit its state: {hints}",
            where=where,
            repair="return only fields of today's state: {'field': value}",
        )


def does_not_fit(graph: Walked, values: Mapping[str, JsonValue], problems: Sequence[str], where: str) -> GraphChanged:
    """Build the error for a graph whose migrations returned values that do not fit the types of today's state."""
    return MigrationFailed(
        f"the migrations of graph {graph.plan.graph!r} gave {_clip_repr(values)}, which does not fit its state: "
        + "; ".join(problems),
        where=where,
        repair="return values that fit the fields of today's state",
    )


def name_record(snapshot: Snapshot) -> str:
    """Return how messages call this snapshot: "run 'r'", or "the input of run 'r'" for a run that has no step yet."""
    return f"run {snapshot.run_id!r}" if snapshot.seq else f"the input of run {snapshot.run_id!r}"


def place_of_record(snapshot: Snapshot) -> str:
    """Return the place that an error about this snapshot names: "run r", or "the input of run r" without a step."""
    return f"run {snapshot.run_id}" if snapshot.seq else f"the input of run {snapshot.run_id}"


def _plan_walk(plan: Plan[Any], graph_spec: GraphSpec, snapshot: Snapshot, path: str) -> Walked:
    version: int = graph_spec.get("version", plan.version)
    what = name_record(snapshot)
    where = f"{place_of_record(snapshot)} at step {snapshot.seq}, graph {path}"
    if version > plan.version:
        raise GraphChanged(
            f"{what} was recorded under version {version} of graph {plan.graph!r}, but this process has version "
            f"{plan.version}",
            where=where,
            repair=f"deploy version {version} of the graph, then resume; migrations cannot go back to an older version",
        )
    steps: list[tuple[int, Migration]] = []
    for older in range(version, plan.version) if plan.migrate else ():
        if older not in plan.migrate:
            raise GraphChanged(
                f"{what} was recorded under version {version} of graph {plan.graph!r}, but migrate= contains no "
                f"migration from version {older} to {older + 1}, only from {', '.join(map(str, plan.migrate))}",
                where=where,
                repair=f"add migrate={{{older}: f}}, or {older}: Migration() if nothing has to change",
            )
        steps.append((older, plan.migrate[older]))
    graph = Walked(plan, version, steps, {}, graph_spec)
    nodes = [node["name"] for node in graph_spec.get("nodes", ())]
    names = {node: _rename_node(graph.steps, node) for node in nodes}
    return Walked(plan, version, steps, {old: new for old, new in names.items() if old != new}, graph_spec)


def _rename_node(steps: Sequence[tuple[int, Migration]], node: str) -> str:
    for _, step in steps:
        node = step.renamed.get(node, node)
    return node


def _graph_of(frame: Frame) -> str:
    """Return the id of the frame in which the run entered the graph to which this frame belongs."""
    return frame.sub.id if frame.sub is not None else ROOT


def _graph_inside(around: Walked, up: Frame) -> tuple[Plan[Any], GraphSpec] | None:
    """Return the nested graph that a node was running when the run was recorded, if the node still runs a graph today.

    Args:
        around: The graph that contains the node.
        up: The position (frame) of the run at that node.

    Returns:
        The plan and the spec, or None if the node does not run a graph any more.
    """
    node = around.plan.nodes.get(around.names.get(up.at, up.at))
    graph = _chosen(node, up.choice)
    graph_spec: GraphSpec = _graph_specs_at(around.graph_spec, up.at).get(up.choice, {})
    return None if graph is None else (graph, graph_spec)


def _steps(plan: Plan[Any], graph_spec: GraphSpec) -> list[tuple[int, Migration]]:
    """Return the migrations from the recorded version to today's version. Missing ones are left out."""
    version: int = graph_spec.get("version", plan.version)
    return [(older, plan.migrate[older]) for older in range(version, plan.version) if older in plan.migrate]


def _graph_specs_at(graph_spec: GraphSpec, name: str) -> Mapping[str, GraphSpec]:
    """Return the recorded specs of the graphs that a node could run.

    A node with `choose` can run one of several graphs. So the specs are returned by the choice that selects each graph.
    """
    for node in graph_spec.get("nodes", ()):
        if node["name"] == name:
            return node.get("graphs", {})
    return {}


def _path(plan: Plan[Any], graph_spec: GraphSpec, parts: Sequence[str]) -> str:
    """Convert the recorded path of a node, such as `article/review`, to its path in today's graph.

    Each part of the path is the name of a node in one graph, and the migrations of that graph can rename it. In the
    example, `article` is a node of the outer graph, and `review` is a node of the graph that `article` runs.
    """
    steps = _steps(plan, graph_spec)
    new = _rename_node(steps, parts[0])
    if len(parts) == 1:
        return new
    node = plan.nodes.get(new)
    calls = () if node is None else node.calls
    graph = next((call.graph for call in calls if call.graph is not None), None)
    inner: GraphSpec = next(iter(_graph_specs_at(graph_spec, parts[0]).values()), GraphSpec())
    return f"{new}/{'/'.join(parts[1:]) if graph is None else _path(graph, inner, parts[1:])}"


def _call_migration(
    graph: Walked, function: Callable[..., object], version: int, values: Mapping[str, JsonValue], where: str
) -> dict[str, JsonValue]:
    """Call the function of one migration with the recorded fields, and return the fields of the next version.

    Raises:
        MigrationFailed: The function raised an error, or did not return fields.
    """
    name = f"migrate={{{version}: {getattr(function, '__name__', 'f')}}} of graph {graph.plan.graph!r}"
    try:
        migrated = function(deepcopy(dict(values)))
    except BaseException as error:
        reraise_interrupt(error)
        raise MigrationFailed(
            f"{name} raised {type(error).__name__}: {error}; its input was {_clip_repr(values)}",
            where=where,
            repair=f"fix the function {getattr(function, '__name__', name)!r}; the run is unchanged",
        ) from error
    if not hasattr(migrated, "keys") or not all(isinstance(key, str) for key in migrated):  # type: ignore[attr-defined]
        raise MigrationFailed(
            f"{name} returned {_clip_repr(migrated)}, which does not contain fields by name; "
            f"its input was {_clip_repr(values)}",
            where=where,
            repair="return the fields of the next version: {'field': value}",
        )
    try:
        found: Any = as_record(dict(migrated), f"the result of {name}")  # type: ignore[call-overload]
    except InputError as error:
        raise MigrationFailed(error.message, where=where, repair=error.repair) from error
    return dict(found)


def _clip_repr(values: object) -> str:
    return clipped(repr(values), _SHOWN)
