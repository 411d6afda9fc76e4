"""Frames as the fold makes, moves and drops them: the tree that a run is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from graphengine.engine.field_ops import held
from graphengine.engine.phases import Collecting, Ended, FailedItem, Failing, Fallback, Forked, Inside, Waiting
from graphengine.engine.snapshot import READY, Frame, children, item_id, sub_id
from graphengine.engine.steps import WaitRecord, path_of
from graphengine.graph.options import START

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.phases import Phase
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Entered, ForkRecord, Mapped, Outcome, Usage
    from graphengine.state.json_values import JsonValue, Op


_INDEX: Final = re.compile(r"\[\d+\]")


def move(snapshot: Snapshot, frame: Frame, facts: Outcome) -> None:
    """Put a frame to where a step leads: the next node, the arms of a fork, the join it is an arm of, its end."""
    frame.tries = frame.crashes = 0
    frame.due = 0.0
    frame.error = None
    frame.begun = False
    if not facts.to:
        message = f"the frame {frame.id!r} moves, and nothing says where to"
        raise ValueError(message)
    if facts.fork is not None:
        _fork(snapshot, frame, facts.fork, facts.to)
    elif facts.stop is not None:
        if frame.kind == "root":
            frame.phase = Ended()
            snapshot.status, snapshot.stop = "finished", facts.stop
        else:
            frame.phase = Ended(facts.stop)
    elif frame.kind == "arm" and facts.to[0] == frame.until:
        frame.phase = Ended()
    else:
        enter(snapshot, frame, facts.to[0])
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
    frame.phase = READY
    frame.at = node
    frame.visit = frame.count(node) + 1
    frame.attempt = 1
    frame.arrived = snapshot.now
    if snapshot.pause:
        pause(snapshot, frame)


def pause(snapshot: Snapshot, frame: Frame) -> None:
    """Let a frame wait before its node, if the run is to pause there; one path stands for every item's."""
    path = path_of(frame.id, frame.at)
    if frame.kind != "item" and _INDEX.sub("", path) in snapshot.pause:
        asked = WaitRecord(kind="pause", question=f"paused before {path}", schema={"const": True})
        wait(snapshot, frame, {path: asked})


def unpause(snapshot: Snapshot, frame: Frame) -> None:
    """Let a frame continue that waits before a node where the run is not to pause any more."""
    path = _INDEX.sub("", path_of(frame.id, frame.at))
    if path not in snapshot.pause and any(asked.kind == "pause" for asked in frame.waits.values()):
        wake(snapshot, frame)


def place_of(frame: Frame) -> str:
    """The visit a frame is at, and every visit around it: no other visit of the run has the same."""
    if frame.up is None:
        return f"{frame.at}:{frame.visit}"
    around = place_of(frame.up)
    if frame.kind == "item":
        return around + frame.id[frame.id.rindex("[") :]
    return f"{around}/{frame.at}:{frame.visit}"


def wait(snapshot: Snapshot, frame: Frame, waits: Mapping[str, WaitRecord]) -> None:
    """Let a frame wait. Each wait gets an id that no other ever has, unless it continues an earlier one."""
    named = {name: replace(asked, id=asked.id or f"{name}@{snapshot.seq + 1}") for name, asked in waits.items()}
    then = frame.phase if isinstance(frame.phase, Fallback) else READY
    frame.phase = Waiting(named, then)
    frame.since = snapshot.now
    snapshot.waiting += 1
    touch(snapshot, frame)


def wake(snapshot: Snapshot, frame: Frame) -> None:
    """End a frame's wait: its node, or the fallback, runs, or runs again with what it recorded."""
    if isinstance(frame.phase, Waiting):
        frame.phase = frame.phase.then
    _waits_less(snapshot)
    touch(snapshot, frame)


def _waits_less(snapshot: Snapshot) -> None:
    snapshot.waiting -= 1
    if not snapshot.waiting and snapshot.status == "waiting":
        snapshot.status = "running"


def _fork(snapshot: Snapshot, frame: Frame, fork: ForkRecord, targets: Sequence[str]) -> None:
    arms = [f"{frame.id}~{target}" for target in targets]
    frame.phase = Forked(fork, arms)
    for key, target in zip(arms, targets, strict=True):
        arm = snapshot.frames[key] = Frame(
            id=key,
            kind="arm",
            parent=frame.id,
            up=frame,
            base=frame,
            sub=frame.sub,
            check=frame.check,
            until=fork.join,
        )
        if target == arm.until:
            arm.phase = Ended()
        else:
            enter(snapshot, arm, target)
        snapshot.touched.append(key)


def open_map(snapshot: Snapshot, frame: Frame, at: float, facts: Mapped) -> None:
    """Begin the items of a map, as many as may run at a time."""
    count = facts.count
    lists = [*facts.items.values(), *(held(frame, name) for name in facts.fields.values())]
    if not lists or any(not isinstance(items, list) or len(items) != count for items in lists):
        message = f"a map of {count} items has other numbers of them"  # before room is made for as many
        raise ValueError(message)
    frame.phase = Collecting(count, facts.concurrency, at, facts.fields, facts.items, left=count, done=[None] * count)
    open_items(snapshot, frame, frame.phase)
    touch(snapshot, frame)


def open_items(snapshot: Snapshot, frame: Frame, map_: Collecting) -> None:
    """Begin items until as many are live as may be: those that failed before, then those that never began."""
    live = map_.live
    while len(live) < map_.concurrency and (map_.again or map_.next < map_.count):
        earlier: FailedItem | None = None
        if map_.again:
            index, earlier = map_.again.pop(0)
        else:
            index = map_.next
            map_.next += 1
        live.append(index)
        key = item_id(frame, index)
        if earlier is not None and earlier.kept:
            _reopen(snapshot, snapshot.frames[key])
            continue
        values = {name: held(frame, field)[index] for name, field in map_.fields.items()}
        for name, records in map_.items.items():
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
            item.attempt, item.memos, item.begun = earlier.attempt, earlier.memos, earlier.begun
        snapshot.touched.append(key)


def _reopen(snapshot: Snapshot, frame: Frame) -> None:
    """Let an item whose subgraph failed continue there."""
    frame.failing = None
    frame.tries = 0
    below = [frame.id]
    while below:
        key = below.pop()
        snapshot.touched.append(key)
        below.extend(children(snapshot.frames[key]))


def end_item(
    snapshot: Snapshot, item: Frame, came_to: FailedItem | Sequence[Op], sent: Sequence[JsonValue] = ()
) -> None:
    """Note what an item came to, and begin the next. One whose subgraph failed is kept, to continue in it."""
    frame = item.up
    map_ = frame.phase if frame is not None else None
    if frame is None or not isinstance(map_, Collecting):
        message = f"the item {item.id} belongs to no map"
        raise ValueError(message)
    index = int(item.id[item.id.rindex("[") + 1 : -1])
    if sent:
        map_.sent[str(index)] = sent
    kept = isinstance(came_to, FailedItem) and came_to.kept
    if isinstance(came_to, FailedItem):
        map_.failed[str(index)] = came_to
    else:
        map_.done[index] = came_to
    map_.live.remove(index)
    map_.left -= 1
    if not kept:
        if item.usage:
            frame.usage = add_usage(frame.usage, item.usage)
        del snapshot.frames[item.id]
    if map_.next < map_.count or map_.again:
        open_items(snapshot, frame, map_)
    snapshot.touched.append(frame.id)


def reopen_failed(snapshot: Snapshot, frame: Frame, map_: Collecting) -> None:
    """Begin the failed items of a map again, after a resume."""
    map_.again += [(int(index), map_.failed[index]) for index in sorted(map_.failed, key=int)]
    map_.left += len(map_.failed)
    map_.failed = {}
    open_items(snapshot, frame, map_)


def open_sub(snapshot: Snapshot, frame: Frame, at: float, facts: Entered) -> Frame:
    """The frame of a subgraph, which the frame is inside from now on."""
    frame.phase = Inside(facts.choice)
    key = sub_id(frame)
    sub = snapshot.frames[key] = Frame(
        id=key,
        kind="sub",
        parent=frame.id,
        up=frame,
        check=frame.check,
        at=START,
        limits=facts.limits,
        entered=snapshot.elapsed_seconds,
        since=at,
    )
    sub.sub = sub
    return sub


def drop_children(snapshot: Snapshot, frame: Frame) -> None:
    """Forget the items or the subgraph of a frame, whose phase then is another; what they spent is the frame's."""
    for key in children(frame):
        drop(snapshot, snapshot.frames[key], frame, counts=False)
    frame.phase = READY


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
    if isinstance(frame.phase, Waiting):
        _waits_less(snapshot)
    del snapshot.frames[frame.id]


def fail_frame(snapshot: Snapshot, frame: Frame, phase: Phase, facts: Outcome) -> None:
    """A frame cannot continue: the run fails with its own frame, a fork, map or subgraph with those below it."""
    frame.phase = phase
    if facts.error is None:
        message = f"the frame {frame.id!r} fails without a failure"
        raise ValueError(message)
    if frame.kind == "root":
        frame.failing = Failing(facts.error)
        snapshot.status, snapshot.stop, snapshot.failure = "failed", facts.stop, facts.error
    else:
        frame.failing = Failing(facts.error, facts.names, facts.lasting, facts.stop)
    touch(snapshot, frame)


def add_usage(total: Usage, spent: Usage) -> dict[str, float | None]:
    """Two usages together; a cost that is unknown stays unknown, and what is known of it is kept next to it."""
    joined = dict(total)
    for name, amount in spent.items():
        have = joined.get(name, 0)
        joined[name] = None if amount is None or have is None else have + amount
    if joined.get("cost_usd", 0.0) is None:
        joined["priced_usd"] = priced(total) + priced(spent)
    return joined


def priced(usage: Usage) -> float:
    """What the calls cost whose price is known, in US dollars."""
    cost = usage.get("cost_usd", 0.0)
    return (usage.get("priced_usd") or 0.0) if cost is None else cost
