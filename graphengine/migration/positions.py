"""Whether the place where each frame is still exists in today's graph: its node, its fork, its map and its waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.checks.fork_regions import region
from graphengine.engine.phases import Waiting
from graphengine.errors import GraphEngineError, InvalidUpdate, NoChoice
from graphengine.kernel.extension import START, Fork, View
from graphengine.kernel.inside import AskBody, plan_of, reraise_interrupt, view_of
from graphengine.kernel.reader import (
    Collecting,
    Ended,
    Fallback,
    Forked,
    Frame,
    GivenUp,
    Inside,
    Leaving,
    Ready,
    path_of,
)
from graphengine.records.replay.step_diff import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel.extension import AnyEdge, JsonValue, NodePlan, Op, Plan

Arm = tuple[str, str, str]
"""An arm of a fork: the node that it leaves, its target, and its join."""

_WRITTEN: Final[Mapping[str | None, Sequence[str]]] = {
    "append": ("append", "extend", "set", "reduce", "raw"),
    "extend": ("extend", "set", "reduce", "raw"),
    "merge": ("merge", "put", "grow", "set", "reduce", "raw"),
    "add": ("add", "set", "reduce", "raw"),
    None: ("reduce", "set", "put", "grow", "raw"),
}
"""The operations that can be recorded for a field with a reducer. The key None means a reducer that the user wrote."""
_BARE: Final = ("set", "put", "grow", "item", "raw")
"""The operations that can be recorded for a field without a reducer."""
_KINDS: Final = {"graph": "a graph", "ask": "a question", "pass": "a node that runs nothing"}


class Mismatch(NamedTuple):
    """A problem of a recorded run under today's graph, and how to repair the problem.

    The run either cannot continue, or it would lose a recorded value.

    Attributes:
        text: The reason.
        back: What to put back into the graph; "" if there is nothing to put back.
        migration: A migration that would repair it.
        default: The field that needs a default instead of a migration; "" if a default would not repair it.
        place: The path of the node where the run does not fit; "" if the run's state does not fit.
        graph: The name of the graph that would need the migration; "" if a migration would not repair it.
        version: The version of that graph under which the run was recorded.
        at: The node that a migration would rename or move.
        field: The field that a migration would change.
        code: The kind of reason. It is `does_not_fit` for a reason that keeps the run from continuing. For a run that
            fits it is `field_removed`, `field_renamed`, `value_changed` or `visits_dropped`.
    """

    text: str
    back: str = ""
    migration: str = ""
    default: str = ""
    place: str = ""
    graph: str = ""
    version: int = 0
    at: str = ""
    field: str = ""
    code: str = "does_not_fit"


def place_mismatches(plan: Plan[Any], frame: Frame, version: int) -> list[Mismatch]:
    """Check that a position of the run still exists in today's graph, and return the reasons if it does not.

    A position (frame) is one place where the run is: its node, and the fork, map or nested graph around it.

    Args:
        plan: The run's plan.
        frame: The frame after the migrations.
        version: The version under which the graph that the frame is in was recorded.
    """
    try:
        inner = plan_of(plan, frame)
    except (KeyError, NoChoice):
        sub = frame.sub
        up = sub.up if sub is not None else None
        path = path_of(up.id, up.at) if up is not None else ""
        if frame is not sub:
            return []  # the frame of that graph itself reports it, so that it is reported once
        hint = f"Migration(moved={{{up.at!r}: 'the node to continue at'}})" if up is not None else ""
        text = f"the run is inside the graph at node {path!r}, but this node is no longer a graph"
        return [Mismatch(text, f"the graph at {path!r}", hint, place=path)]
    hint = migration_hint(inner, version, f"Migration(moved={{{frame.at!r}: 'the node to continue at'}})")
    found = list(_at_node(inner, frame, _version_to_leave(inner, version), hint))
    if isinstance(frame.phase, Ended):
        found = list(_check_updates(inner, frame, hint))
    elif not found:
        found += [*_regions(inner, frame, hint), *_check_updates(inner, frame, hint), *_asks(inner, frame, hint)]
    path = path_of(frame.id, frame.at)
    return [mismatch._replace(place=path, graph=inner.graph, version=version, at=frame.at) for mismatch in found]


def migration_hint(plan: Plan[Any], version: int, migration: str) -> str:
    """Write, as code for an error message, how to add a migration from the recorded version."""
    older = _version_to_leave(plan, version)
    kept = "…, " if plan.migrate else ""
    return f"Graph({plan.graph!r}, …, version={max(plan.version, older + 1)}, migrate={{{kept}{older}: {migration}}})"


def _version_to_leave(plan: Plan[Any], version: int) -> int:
    """Return the version from which a new migration has to start, for runs that were recorded under this version."""
    return plan.version if version in plan.migrate else version


def asks_anew(plan: Plan[Any], frame: Frame) -> bool:
    """Return whether the question of a waiting `ask` node has changed, so that the run has to ask the person again.

    The question counts as changed if its text differs, or if the answer must have another type.
    """
    for facts in frame.waits.values():
        if facts.kind != "ask" or facts.key:
            continue
        call = plan.nodes[frame.at].chosen(facts.choice)
        if not isinstance(call.body, AskBody):
            return False
        if plain(call.body.ask.answers.schema) != plain(facts.schema):
            return True
        if call.extras:
            return False
        try:
            return bool(call.function(**call.values(view_of(plan, frame))) != facts.question)
        except BaseException as error:  # noqa: BLE001 - user code; its node fails with it when it asks again
            reraise_interrupt(error)
            return True
    return False


def _at_node(plan: Plan[Any], frame: Frame, older: int, hint: str) -> Iterator[Mismatch]:
    """Check that the node at which the run is still exists in today's graph.

    The fork, map, nested graph or fallback of the node that is in progress must still exist too.
    """
    path = path_of(frame.id, frame.at)
    phase = frame.phase
    if isinstance(phase, Ended):
        return
    if frame.at not in (START, *plan.nodes):
        yield Mismatch(
            f"the run is at node {path!r} (visit {frame.visit}, {_DOING[type(frame.phase)]}), "
            "which the graph no longer has",
            f"node {path!r}",
            f"{hint}, or {older}: Migration(renamed={{{frame.at!r}: 'its new name'}})",
        )
        return
    if isinstance(phase, Forked) and not _has_fork(plan, frame, phase):
        arms = ", ".join(repr(key.rsplit("~", 1)[-1]) for key in phase.arms)
        text = (
            f"the run is in the fork at {path!r} into {arms} with the join {phase.fork.join!r}, which no longer exists"
        )
        yield Mismatch(text, f"the fork at {path!r}", hint)
    if frame.at == START:
        return
    node = plan.nodes[frame.at]
    if isinstance(phase, Collecting):
        names = sorted({*phase.fields, *phase.items})
        if node.each is None or sorted(name for name, _, _ in node.each.sources) != names:
            listed = ", ".join(map(repr, names))
            text = f"the run is in the map at {path!r} over {listed}, which no longer exists"
            yield Mismatch(text, f"each= of {path!r}", hint)
    elif isinstance(phase, Inside) and frame.kind != "item" and node.each is not None:
        yield Mismatch(f"the run is inside the graph at {path!r}, which is a map now", f"node {path!r}", hint)
    elif _is_in_fallback(frame) and (node.fallback is None or node.fallback.call is None):
        yield Mismatch(
            f"the run is in the fallback of {path!r}, which no longer has a function to run",
            f"fallback= of {path!r}",
            hint,
        )


_DOING: Final[Mapping[type, str]] = {
    Ready: "about to run",
    Fallback: "about to run its fallback",
    Leaving: "done, its outgoing edge not chosen yet",
    Forked: "forked",
    Collecting: "its items are running",
    Inside: "inside its graph",
    Waiting: "waiting",
    GivenUp: "failed",
    Ended: "ended",
}


def _has_fork(plan: Plan[Any], frame: Frame, forked: Forked) -> bool:
    """Return whether today's graph still contains the fork through which this run has gone.

    A fork counts as the same one if it has the same join and contains at least the arms that the run has taken.
    """
    edges = plan.start if frame.at == START else plan.nodes[frame.at].edges
    arms = {key.rsplit("~", 1)[-1] for key in forked.arms}
    return any(
        isinstance(edge, Fork) and edge.join == forked.fork.join and arms <= {t for t, _ in edge.arms} for edge in edges
    )


def _regions(plan: Plan[Any], frame: Frame, hint: str) -> Iterator[Mismatch]:
    """Check that the node where the run is still lies in the same arms of forks as when the run was recorded.

    Yields a mismatch for each arm that no longer contains the node, and for each arm that contains the node now
    although the run has not taken that fork.
    """
    if frame.at == START or frame.kind == "item":
        return
    is_in: set[Arm] = set()
    around: Frame | None = frame
    while around is not None and around.kind == "arm" and around.up is not None:
        is_in.add((around.up.at, around.id.rsplit("~", 1)[-1], around.until))
        around = around.up
    path = path_of(frame.id, frame.at)
    declared_in = {arm for arm, nodes in _arms(plan).items() if frame.at in nodes}
    for source, target, join in sorted(is_in - declared_in):
        text = f"the run is at {path!r} in the arm to {target!r} of the fork at {source!r}, which no longer leads there"
        yield Mismatch(f"{text} before the join {join!r}", f"the edges to {path!r} in that arm", hint)
    for source, target, _ in sorted(declared_in - is_in):
        text = f"the run is at {path!r}, which is now in the arm to {target!r} of the fork at {source!r}"
        yield Mismatch(f"{text}, but the run has not taken this fork", f"{path!r} before or after that fork", hint)


def _arms(plan: Plan[Any]) -> dict[Arm, set[str]]:
    """Return the nodes that belong to each arm of each fork of a graph.

    These are all nodes from the first node of the arm up to the join.
    """
    edges: dict[str, Sequence[AnyEdge]] = {START: plan.start}
    edges |= {name: (*node.edges, *node.failure_edges) for name, node in plan.nodes.items()}
    out = {name: [target for edge in every for target in edge.targets] for name, every in edges.items()}
    return {
        (source, target, edge.join): region(target, edge.join, out) - {source}
        for source, every in edges.items()
        for edge in every
        if isinstance(edge, Fork)
        for target, _ in edge.arms
    }


def _check_updates(plan: Plan[Any], frame: Frame, hint: str) -> Iterator[Mismatch]:
    """Check that the updates recorded by an unfinished arm or map still fit the fields of today's state.

    For a map, also check that the recorded items still have the types that the node takes.
    """
    path = path_of(frame.id, frame.at)
    if frame.kind == "arm":
        target = frame.id.rsplit("~", 1)[-1]
        yield from _updates(plan, View(plan.state, frame), frame.journal, f"the arm to {target!r}", hint)
    phase = frame.phase
    if isinstance(phase, Collecting) and plan.nodes[frame.at].each is not None:
        view = View(plan.state, frame)
        done = [op for writes in phase.done for op in writes or ()]
        yield from _updates(plan, view, done, f"an item of the map at {path!r}", hint)
        yield from _check_recorded_items(plan.nodes[frame.at], frame, phase.items, path, hint)
    elif frame.kind == "item" and plan.nodes[frame.at].each is not None:
        yield from _check_recorded_items(
            plan.nodes[frame.at], frame, {name: [value] for name, value in frame.values.items()}, path, hint
        )


def _updates(plan: Plan[Any], view: View, ops: Sequence[Op], who: str, hint: str) -> Iterator[Mismatch]:
    reported: set[str] = set()
    for op in ops:
        name = op[1]
        field = plan.state.fields.get(name)
        if name in reported:
            continue
        if field is None:
            reported.add(name)
            yield Mismatch(f"{who} wrote field {name!r}, which no longer exists", f"field {name!r}", hint)
            continue
        if op[0] not in (_BARE if field.reducer is None else _WRITTEN[field.operation]):
            reported.add(name)
            reducer = getattr(field.reducer, "__name__", "none")
            yield Mismatch(
                f"{who} wrote {op[0]} to field {name!r}, whose reducer is {reducer} now",
                f"the reducer of {name!r}",
                hint,
            )
            continue
        try:
            field.parts([op], view) if op[0] in ("item", "raw") else field.again(op, view)
        except (GraphEngineError, ValueError, TypeError) as error:
            reported.add(name)
            why = error.message if isinstance(error, InvalidUpdate) else " ".join(str(error).split())
            yield Mismatch(
                f"{who} wrote {op[-1]!r:.100} to field {name!r}, which does not fit: {why}",
                f"the type of {name!r}",
                hint,
            )


def _check_recorded_items(
    node: NodePlan, frame: Frame, items: Mapping[str, Sequence[JsonValue]], path: str, hint: str
) -> Iterator[Mismatch]:
    state = node.each.state if node.each is not None else None
    for name, values in items.items() if state is not None else ():
        for value in values:
            held = Frame(kind="item", values={name: value}, base=frame.base)
            try:
                View(state, held).get(name)  # type: ignore[arg-type]
            except (InvalidUpdate, KeyError) as error:
                why = error.message if isinstance(error, InvalidUpdate) else f"unknown item {error}"
                text = f"item {name!r} of the map at {path!r}, which is {value!r:.100}, does not fit: {why}"
                yield Mismatch(text, f"the type of item {name!r}", hint)
                return


def _asks(plan: Plan[Any], frame: Frame, hint: str) -> Iterator[Mismatch]:
    """Check that a node at which the run waits for an answer or a message can still receive it in today's graph.

    For example, an `ask` node may have become a plain function. A fallback that waits is not checked, because it can
    receive its answer whatever kind its node has now.
    """
    path = path_of(frame.id, frame.at)
    for name, facts in frame.waits.items():
        if facts.kind == "pause" or _is_in_fallback(frame):
            continue
        try:
            body = plan.nodes[frame.at].chosen(facts.choice).body
        except NoChoice as error:
            text = f"the run waits for an answer to {name!r}, but {error.message}"
            yield Mismatch(text, f"that case of {path!r}", hint)
            continue
        if not facts.key and facts.kind == "ask" and body.kind != "ask":
            text = f"the run waits for an answer to {name!r}, which is no longer a question"
            yield Mismatch(text, f"the question at {path!r}", hint)
        elif facts.key and (body.kind not in ("function", "agent") or _is_map(plan, frame)):
            kind = "a map" if _is_map(plan, frame) else _KINDS[body.kind]
            text = f"the run waits inside node {path!r} for {facts.question!r}, but this node is {kind} now"
            yield Mismatch(text, f"the former node {path!r}", hint)


def _is_in_fallback(frame: Frame) -> bool:
    """Return whether the run is about to run the fallback of a node, or will do so again after a wait."""
    phase = frame.phase
    return isinstance(phase.then if isinstance(phase, Waiting) else phase, Fallback)


def _is_map(plan: Plan[Any], frame: Frame) -> bool:
    return frame.kind != "item" and plan.nodes[frame.at].each is not None
