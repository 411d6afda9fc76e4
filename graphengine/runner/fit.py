"""Whether a recorded run still fits a graph that was changed since."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticUndefined

from graphengine.core.lookup import plan_of
from graphengine.core.steps import path_of
from graphengine.errors import GraphChanged, InputError, InvalidUpdate, NoChoice
from graphengine.options import START
from graphengine.plan import ForkWay
from graphengine.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.core.snapshot import Frame, Snapshot
    from graphengine.plan import Plan
    from graphengine.records import JsonValue, Op


@dataclass(frozen=True, slots=True)
class Refit:
    """What a resume must record so that a run goes on under a changed graph: operations by frame."""

    changes: Sequence[str] = ()
    ops: Mapping[str, Sequence[Op]] = field(default_factory=dict)


def refit(plan: Plan[Any], snapshot: Snapshot, outline: Mapping[str, JsonValue] | None) -> Refit:
    """How the run goes on under this plan: nothing to do where the graph is the same.

    Raises:
        GraphChanged: A position or the state does not fit any more.
    """
    check_name(plan, snapshot.graph, snapshot.run_id)
    if snapshot.fingerprint == plan.fingerprint:
        return Refit()
    problems: list[str] = []
    ops: dict[str, Sequence[Op]] = {}
    for frame in snapshot.frames.values():
        try:
            inner = plan_of(plan, frame)
        except (KeyError, NoChoice):
            problems.append(f"the run is inside a graph at {frame.parent or frame.id}, which is none any more")
            continue
        problems += _place(inner, frame)
        if frame.kind in ("root", "sub"):
            ops[frame.id], misfits = _state(inner, frame)
            problems += misfits
    ops = {key: changes for key, changes in ops.items() if changes}
    changes = differences(outline or {}, plan.outline)
    if problems:
        raise GraphChanged(
            f"the graph {plan.graph!r} was changed, and run {snapshot.run_id} no longer fits: {'; '.join(problems)}"
            + "".join(f"\n    {line}" for line in changes),
            where=f"run {snapshot.run_id} at step {snapshot.seq}",
            repair="put back what the run needs, or branch it from a step where it still fits",
        )
    return Refit(changes, ops)


def _place(plan: Plan[Any], frame: Frame) -> Iterator[str]:
    """What the place of a frame has lost."""
    if frame.phase != "ended" and frame.at not in (START, *plan.nodes):
        yield f"the run stands at node {path_of(frame.id, frame.at)!r}, which the graph no longer has"
        return
    if frame.fork is not None and not _forks(plan, frame):
        yield f"the fork at {frame.at} to the join {frame.fork['join']}, which is under way, is gone"
    yield from _asks(plan, frame)
    if frame.phase == "mapping":
        each = plan.nodes[frame.at].each
        names = sorted({*frame.map["fields"], *frame.map["items"]})
        if each is None or sorted(name for name, _, _ in each.sources) != names:
            yield f"the map at {frame.at} over {', '.join(names)}, which is under way, is gone"


def _asks(plan: Plan[Any], frame: Frame) -> Iterator[str]:
    """Questions of nodes that are none any more."""
    for name, facts in frame.waits.items():
        if facts["kind"] != "ask" or "key" in facts:
            continue
        try:
            body = plan.nodes[frame.at].chosen(facts.get("choice", "")).body
        except NoChoice as error:
            yield f"the run waits for an answer to {name}: {error.message}"
            continue
        if body.kind != "ask":
            yield f"the run waits for an answer to {name}, which is no question any more"


def frame_at(snapshot: Snapshot, path: str | None, where: str) -> Frame:
    """The frame whose fields a branch writes.

    Raises:
        InputError: There is none at this path, or several and none is named.
    """
    known = {"": snapshot.root}
    for frame in snapshot.frames.values():
        if frame.kind in ("sub", "arm"):
            known[frame.id.rstrip("/")] = frame
    listed = ", ".join(repr(key) for key in known)
    if path is None and len(known) > 1:
        told = "several states are open there, and nothing says which one is updated"
        raise InputError(told, where=where, repair=f"name its path, one of: {listed} (path='' for the run's own)")
    found = known.get((path or "").rstrip("/"))
    if found is None:
        raise InputError(f"no state of its own is open at {path!r}", where=where, repair=f"the paths are: {listed}")
    return found


def _forks(plan: Plan[Any], frame: Frame) -> bool:
    """Whether the graph still has the fork that a frame is at."""
    ways = plan.start if frame.at == START else plan.nodes[frame.at].ways if frame.at in plan.nodes else ()
    arms = {key.rsplit("~", 1)[-1] for key in frame.fork["arms"]}
    return any(
        isinstance(way, ForkWay) and way.join == frame.fork["join"] and arms <= {t for t, _ in way.arms} for way in ways
    )


def check_name(plan: Plan[Any], graph: str, run_id: str) -> None:
    """See that a run is of this graph, changed or not.

    Raises:
        GraphChanged: It is of a graph of another name.
    """
    if graph != plan.graph:
        raise GraphChanged(
            f"run {run_id} is of graph {graph!r}, not {plan.graph!r}",
            where=f"run {run_id}",
            repair=f"give the graph named {graph!r}",
        )


def _state(plan: Plan[Any], frame: Frame) -> tuple[list[Op], list[str]]:
    """New fields get their defaults; every recorded value must still be one of its field's type."""
    ops: list[Op] = []
    problems: list[str] = []
    view = View(plan.state, frame)
    for name, kind in plan.state.fields.items():
        if name in frame.values:
            try:
                view.get(name)
            except InvalidUpdate as error:
                problems.append(error.message)
            continue
        default = kind.info.get_default(call_default_factory=True, validated_data=dict(frame.typed))
        if default is PydanticUndefined:
            problems.append(f"field {name!r} is new and has no default")
        else:
            ops.append(("set", name, kind.record(default, view)[0]))
    return ops, problems


def differences(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> list[str]:
    """What differs between two outlines, a line each."""
    lines = (
        [] if not old or old.get("version") == new.get("version") else [f"version {old['version']} → {new['version']}"]
    )
    before, after = old.get("state", {}), new.get("state", {})
    lines += [
        f"field {name}: {before.get(name, 'none')} → {after.get(name, 'none')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    if not any("reads" in node for node in old.get("nodes", ())):  # older versions did not tell it
        new = _without_reads(new)
    for title, key in (("node", "nodes"), ("way", "ways")):
        olds, news = [_line(x) for x in old.get(key, ())], [_line(x) for x in new.get(key, ())]
        lines += [f"{title} gone: {line}" for line in olds if line not in news]
        lines += [f"{title} new: {line}" for line in news if line not in olds]
    return lines


def _without_reads(outline: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """An outline as versions wrote it that did not tell what nodes read."""
    nodes = []
    for node in outline.get("nodes", ()):
        kept = {name: fact for name, fact in node.items() if name != "reads"}
        if "graphs" in kept:
            kept["graphs"] = {choice: _without_reads(graph) for choice, graph in kept["graphs"].items()}
        nodes.append(kept)
    return {**outline, "nodes": nodes}


def _line(item: Mapping[str, JsonValue]) -> str:
    """An entry of an outline with all that is said of it."""
    rest = dict(item)
    head = str(rest.pop("name")) if "name" in rest else f"{rest.pop('from')} → {rest.pop('to', '')}".rstrip(" →")
    return ", ".join([head, *(f"{name} {value}" for name, value in rest.items())])
