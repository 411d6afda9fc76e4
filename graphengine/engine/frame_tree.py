"""Frames as the fold makes, moves and drops them: the tree that a run is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from graphengine.engine.field_ops import held
from graphengine.engine.snapshot import Frame, children, item_id, sub_id
from graphengine.engine.steps import path_of
from graphengine.graph.options import START

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.snapshot import Phase, Snapshot
    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue


_INDEX: Final = re.compile(r"\[\d+\]")


def move(snapshot: Snapshot, frame: Frame, data: Mapping[str, JsonValue]) -> None:
    """Put a frame to where a step leads: the next node, the arms of a fork, the join it is an arm of, its end."""
    frame.tries = frame.crashes = 0
    frame.due = 0.0
    frame.error = None
    frame.begun = False
    to = data["to"]
    if "fork" in data:
        _fork(snapshot, frame, data["fork"], to)
    elif "stop" in data:
        frame.phase = "ended"
        if frame.kind == "root":
            snapshot.status, snapshot.stop = data["status"], data["stop"]
        else:
            frame.stop = data["stop"]
    elif frame.kind == "arm" and to[0] == frame.until:
        frame.phase = "ended"
    else:
        enter(snapshot, frame, to[0])
    snapshot.touched.append(frame.id)
    if frame.up is not None:
        snapshot.touched.append(frame.parent)


def touch(snapshot: Snapshot, frame: Frame) -> None:
    """Note that a frame, and the one around it, may have something to run."""
    snapshot.touched.append(frame.id)
    if frame.up is not None:
        snapshot.touched.append(frame.parent)


def enter(snapshot: Snapshot, frame: Frame, node: str) -> None:
    """Put a frame before a node."""
    frame.phase = "ready"
    frame.at = node
    frame.visit = frame.count(node) + 1
    frame.attempt = 1
    frame.arrived = snapshot.now
    if snapshot.pause:
        pause(snapshot, frame)


def pause(snapshot: Snapshot, frame: Frame) -> None:
    """Let a frame wait before its node, if the run is to pause there; every item's is meant by one path."""
    path = path_of(frame.id, frame.at)
    if frame.kind != "item" and _INDEX.sub("", path) in snapshot.pause:
        asked = {"kind": "pause", "question": f"paused before {path}"}
        wait(snapshot, frame, {path: {**asked, "schema": {"const": True}}})


def unpause(snapshot: Snapshot, frame: Frame) -> None:
    """Let a frame go on that waits before a node where the run is not to pause any more."""
    path = _INDEX.sub("", path_of(frame.id, frame.at))
    if path not in snapshot.pause and any(facts["kind"] == "pause" for facts in frame.waits.values()):
        go_on(snapshot, frame)


def place_of(frame: Frame) -> str:
    """The visit a frame is at, and every visit around it: no other visit of the run has the same."""
    if frame.up is None:
        return f"{frame.at}:{frame.visit}"
    around = place_of(frame.up)
    if frame.kind == "item":
        return around + frame.id[frame.id.rindex("[") :]
    return f"{around}/{frame.at}:{frame.visit}"


def wait(snapshot: Snapshot, frame: Frame, waits: Mapping[str, JsonValue]) -> None:
    """Let a frame wait. Each wait gets an id that no other ever has, unless it goes on from before."""
    for name, facts in waits.items():
        frame.waits[name] = {**facts, "id": facts.get("id") or f"{name}@{snapshot.seq + 1}"}
    frame.phase = "waiting"
    frame.since = snapshot.now
    snapshot.waiting += 1
    touch(snapshot, frame)


def go_on(snapshot: Snapshot, frame: Frame) -> None:
    """Let a frame wait no more: its node, or the fallback, runs, or runs again with what it recorded."""
    frame.waits.clear()
    frame.phase = "fallback" if frame.cause is not None else "ready"
    _waits_less(snapshot)
    touch(snapshot, frame)


def _waits_less(snapshot: Snapshot) -> None:
    snapshot.waiting -= 1
    if not snapshot.waiting and snapshot.status == "waiting":
        snapshot.status = "running"


def _fork(snapshot: Snapshot, frame: Frame, fork: Mapping[str, JsonValue], targets: Sequence[str]) -> None:
    frame.phase = "forked"
    arms = [f"{frame.id}~{target}" for target in targets]
    frame.fork = {**fork, "arms": arms}
    for key, target in zip(arms, targets, strict=True):
        arm = snapshot.frames[key] = Frame(
            id=key,
            kind="arm",
            parent=frame.id,
            up=frame,
            base=frame,
            sub=frame.sub,
            check=frame.check,
            until=fork["join"],
        )
        if target == arm.until:
            arm.phase = "ended"
        else:
            enter(snapshot, arm, target)
        snapshot.touched.append(key)


def open_map(snapshot: Snapshot, frame: Frame, step: Step) -> None:
    """Begin the items of a map, as many as may run at a time."""
    data = step.data
    count: int = data["count"]
    lists = [*data.get("items", {}).values(), *(held(frame, name) for name in data.get("fields", {}).values())]
    if not lists or any(len(items) != count for items in lists):  # before room is made for as many
        message = f"a map of {count} items has other numbers of them"
        raise ValueError(message)
    frame.phase = "mapping"
    frame.map = {
        "count": count,
        "concurrency": data["concurrency"],
        "fields": dict(data.get("fields", {})),
        "items": dict(data.get("items", {})),
        "began": step.at,
        "next": 0,
        "again": [],
        "live": [],
        "left": count,
        "done": [None] * count,
        "failed": {},
        "sent": {},
    }
    open_items(snapshot, frame)
    touch(snapshot, frame)


def open_items(snapshot: Snapshot, frame: Frame) -> None:
    """Begin items until as many are live as may be: those that failed before, then those that never began."""
    facts = frame.map
    live = facts["live"]
    while len(live) < facts["concurrency"] and (facts["again"] or facts["next"] < facts["count"]):
        if facts["again"]:
            index, earlier = facts["again"].pop(0)
        else:
            index, earlier = facts["next"], None
            facts["next"] += 1
        live.append(index)
        key = item_id(frame, index)
        if earlier is not None and "kept" in earlier:
            _reopen(snapshot, snapshot.frames[key])
            continue
        values = {name: held(frame, field)[index] for name, field in facts["fields"].items()}
        for name, records in facts["items"].items():
            values[name] = records[index]
        item = snapshot.frames[key] = Frame(
            id=key,
            kind="item",
            parent=frame.id,
            up=frame,
            base=frame,
            sub=frame.sub,
            check=frame.check,
            values=values,
            at=frame.at,
            visit=frame.visit,
            arrived=snapshot.now,
        )
        if earlier is not None:
            item.attempt = earlier["attempt"]
            item.memos = earlier["memos"]
            item.begun = earlier["begun"]
        snapshot.touched.append(key)


def _reopen(snapshot: Snapshot, frame: Frame) -> None:
    """Let an item whose subgraph failed go on from there."""
    frame.failure = None
    frame.tries = 0
    below = [frame.id]
    while below:
        key = below.pop()
        snapshot.touched.append(key)
        below.extend(children(snapshot.frames[key]))


def end_item(
    snapshot: Snapshot, item: Frame, failed: JsonValue = None, updates: JsonValue = None, sent: Sequence[JsonValue] = ()
) -> None:
    """Note what an item came to, and begin the next. One whose subgraph failed is kept, to go on in it."""
    frame = item.up
    if frame is None:
        message = f"the item {item.id} belongs to no map"
        raise ValueError(message)
    facts = frame.map
    index = int(item.id[item.id.rindex("[") + 1 : -1])
    if sent:
        facts["sent"][str(index)] = sent
    if failed is None:
        facts["done"][index] = updates
    else:
        facts["failed"][str(index)] = failed
    facts["live"].remove(index)
    facts["left"] -= 1
    if failed is None or "kept" not in failed:
        if item.usage:
            frame.usage = add_usage(frame.usage, item.usage)
        del snapshot.frames[item.id]
    if facts["next"] < facts["count"] or facts["again"]:
        open_items(snapshot, frame)
    snapshot.touched.append(frame.id)


def reopen_failed(snapshot: Snapshot, frame: Frame) -> None:
    """Begin the failed items of a map again, after a resume."""
    facts = frame.map
    facts["again"] += [[int(index), facts["failed"][index]] for index in sorted(facts["failed"], key=int)]
    facts["left"] += len(facts["failed"])
    facts["failed"] = {}
    open_items(snapshot, frame)


def open_sub(snapshot: Snapshot, frame: Frame, step: Step) -> Frame:
    """The frame of a subgraph, which the frame is inside from now on."""
    data = step.data
    frame.phase = "inside"
    frame.choice = data.get("choice", "")
    key = sub_id(frame)
    sub = snapshot.frames[key] = Frame(
        id=key,
        kind="sub",
        parent=frame.id,
        up=frame,
        check=frame.check,
        at=START,
        limits=data.get("limits", {}),
        entered=snapshot.elapsed_seconds,
        since=step.at,
    )
    sub.sub = sub
    return sub


def drop_children(snapshot: Snapshot, frame: Frame) -> None:
    """Forget the items or the subgraph of a frame; what they spent is the frame's."""
    for key in children(frame):
        drop(snapshot, snapshot.frames[key], frame, counts=False)
    frame.map = None
    frame.choice = ""


def drop(snapshot: Snapshot, frame: Frame, heir: Frame, *, counts: bool) -> None:
    """Forget a frame and those below it; what they spent is another's, and, in arms, what they counted."""
    counts = counts and frame.kind == "arm"
    if counts:
        for node, visits in frame.counts.items():
            heir.counts[node] = heir.counts.get(node, 0) + visits
    if frame.usage:
        heir.usage = add_usage(heir.usage, frame.usage)
    for key in children(frame):
        drop(snapshot, snapshot.frames[key], heir, counts=counts)
    if frame.phase == "waiting":
        _waits_less(snapshot)
    del snapshot.frames[frame.id]


def fail(snapshot: Snapshot, frame: Frame, phase: Phase, data: Mapping[str, JsonValue]) -> None:
    """A frame cannot go on: the run fails with its own frame, a fork, map or subgraph with those below it."""
    frame.phase = phase
    frame.failure = data["error"]
    if frame.kind == "root":
        snapshot.status, snapshot.stop, snapshot.failure = "failed", data["stop"], data["error"]
    else:
        frame.stop = data["stop"]
        frame.names = data.get("names", ())
        frame.lasting = data.get("lasting", False)
    touch(snapshot, frame)


def add_usage(total: Mapping[str, float | None], spent: Mapping[str, float | None]) -> dict[str, float | None]:
    """Two usages together; a cost that is unknown stays unknown, and what is known of it is kept beside it."""
    joined = dict(total)
    for name, amount in spent.items():
        have = joined.get(name, 0)
        joined[name] = None if amount is None or have is None else have + amount
    if joined.get("cost_usd", 0.0) is None:
        joined["priced_usd"] = priced(total) + priced(spent)
    return joined


def priced(usage: Mapping[str, float | None]) -> float:
    """What the calls cost whose price is known, in US dollars."""
    cost = usage.get("cost_usd", 0.0)
    return (usage.get("priced_usd") or 0.0) if cost is None else cost
