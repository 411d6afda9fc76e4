"""The tree of frames: how the fold creates, moves and drops frames."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from graphengine.engine.field_ops import list_of
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
    """Move a frame to the target of a step: the next node, the arms of a fork, its own join, or its end."""
    if frame.tries or frame.crashes or frame.due or frame.begun:  # writing a field costs ten times what reading does
        frame.tries = frame.crashes = 0
        frame.due = 0.0
        frame.begun = False
    if frame.error is not None:
        frame.error = None
    if not facts.to:
        message = f"the frame {frame.id!r} moves, but its step has no target"
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
    snapshot.changed.append(frame.id)
    if frame.up is not None and isinstance(frame.phase, Ended):  # otherwise the frame around it waits as before
        snapshot.changed.append(frame.parent)


def touch(snapshot: Snapshot, frame: Frame) -> None:
    """Mark a frame, and the one around it, as changed: they may have something to run."""
    snapshot.changed.append(frame.id)
    if frame.up is not None:
        snapshot.changed.append(frame.parent)


def enter(snapshot: Snapshot, frame: Frame, node: str) -> None:
    """Place a frame before a node."""
    if frame.phase is not READY:
        frame.phase = READY
    frame.at = node
    frame.visit = (frame.counts.get(node, 0) if frame.base is None else frame.count(node)) + 1
    if frame.attempt != 1:
        frame.attempt = 1
    frame.arrived = snapshot.now
    if snapshot.pause:
        pause(snapshot, frame)


def pause(snapshot: Snapshot, frame: Frame) -> None:
    """Make a frame wait before its node, if the run pauses there. One path covers all items of a map."""
    path = path_of(frame.id, frame.at)
    if frame.kind != "item" and _INDEX.sub("", path) in snapshot.pause:
        asked = WaitRecord(kind="pause", question=f"paused before {path}", schema={"const": True})
        wait(snapshot, frame, {path: asked})


def unpause(snapshot: Snapshot, frame: Frame) -> None:
    """Wake a frame that is paused before a node at which the run no longer pauses."""
    path = _INDEX.sub("", path_of(frame.id, frame.at))
    if path not in snapshot.pause and any(asked.kind == "pause" for asked in frame.waits.values()):
        wake(snapshot, frame)


def place_of(frame: Frame) -> str:
    """Return a text that identifies a frame's visit in its run, composed of that visit and all visits around it."""
    if frame.up is None:
        return f"{frame.at}:{frame.visit}"
    around = place_of(frame.up)
    if frame.kind == "item":
        return around + frame.id[frame.id.rindex("[") :]
    return f"{around}/{frame.at}:{frame.visit}"


def wait(snapshot: Snapshot, frame: Frame, waits: Mapping[str, WaitRecord]) -> None:
    """Make a frame wait. Each wait gets a unique id, unless it continues an earlier wait."""
    named = {name: replace(asked, id=asked.id or f"{name}@{snapshot.seq + 1}") for name, asked in waits.items()}
    then = frame.phase if isinstance(frame.phase, Fallback) else READY
    frame.phase = Waiting(named, then)
    frame.since = snapshot.now
    snapshot.waiting += 1
    if snapshot.open is not None:
        snapshot.open.add(frame.id, named)
    touch(snapshot, frame)


def wake(snapshot: Snapshot, frame: Frame) -> None:
    """End a frame's wait, so that its node or fallback runs, or runs again with its recorded work."""
    waits = frame.waits
    if isinstance(frame.phase, Waiting):
        frame.phase = frame.phase.then
    _count_wait_over(snapshot, waits)
    touch(snapshot, frame)


def _count_wait_over(snapshot: Snapshot, waits: Mapping[str, WaitRecord]) -> None:
    snapshot.waiting -= 1
    if snapshot.open is not None:
        snapshot.open.remove(waits)
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
            until=fork.join,
        )
        if target == arm.until:
            arm.phase = Ended()
        else:
            enter(snapshot, arm, target)
        snapshot.changed.append(key)


def open_map(snapshot: Snapshot, frame: Frame, at: float, facts: Mapped) -> None:
    """Begin the first items of a map, as many as its concurrency allows."""
    count = facts.count
    lists = [*facts.items.values(), *(list_of(frame, name) for name in facts.fields.values())]
    if not lists or any(not isinstance(items, list) or len(items) != count for items in lists):
        # Checked before a list of `count` entries is allocated: a damaged row can claim any number.
        message = f"a map of {count} items has lists of other lengths"
        raise ValueError(message)
    frame.phase = Collecting(count, facts.concurrency, at, facts.fields, facts.items, left=count, done=[None] * count)
    open_items(snapshot, frame, frame.phase)
    touch(snapshot, frame)


def open_items(snapshot: Snapshot, frame: Frame, map_: Collecting) -> None:
    """Begin items up to the map's concurrency: first those that failed before, then those that never began."""
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
        values = {name: list_of(frame, field)[index] for name, field in map_.fields.items()}
        for name, records in map_.items.items():
            values[name] = records[index]
        item = snapshot.frames[key] = Frame(
            id=key,
            kind="item",
            parent=frame.id,
            up=frame,
            base=frame,
            sub=frame.sub,
            values=values,
            at=frame.at,
            visit=frame.visit,
            arrived=snapshot.now,
        )
        if earlier is not None:
            item.attempt, item.memos, item.begun = earlier.attempt, earlier.memos, earlier.begun
        snapshot.changed.append(key)


def _reopen(snapshot: Snapshot, frame: Frame) -> None:
    """Let an item whose subgraph failed continue inside it."""
    frame.failing = None
    frame.tries = 0
    below = [frame.id]
    while below:
        key = below.pop()
        snapshot.changed.append(key)
        below.extend(children(snapshot.frames[key]))


def end_item(
    snapshot: Snapshot, item: Frame, outcome: FailedItem | Sequence[Op], sent: Sequence[JsonValue] = ()
) -> None:
    """Record the outcome of an item, and begin the next one. An item whose subgraph failed is kept, to be resumed."""
    frame = item.up
    map_ = frame.phase if frame is not None else None
    if frame is None or not isinstance(map_, Collecting):
        message = f"the item {item.id} belongs to no map"
        raise ValueError(message)
    index = int(item.id[item.id.rindex("[") + 1 : -1])
    if sent:
        map_.sent[str(index)] = sent
    kept = isinstance(outcome, FailedItem) and outcome.kept
    if isinstance(outcome, FailedItem):
        map_.failed[str(index)] = outcome
    else:
        map_.done[index] = outcome
    map_.live.remove(index)
    map_.left -= 1
    if not kept:
        if item.usage:
            frame.usage = add_usage(frame.usage, item.usage)
        del snapshot.frames[item.id]
    if map_.next < map_.count or map_.again:
        open_items(snapshot, frame, map_)
    snapshot.changed.append(frame.id)


def reopen_failed(snapshot: Snapshot, frame: Frame, map_: Collecting) -> None:
    """Begin the failed items of a map again, after a resume."""
    map_.again += [(int(index), map_.failed[index]) for index in sorted(map_.failed, key=int)]
    map_.left += len(map_.failed)
    map_.failed = {}
    open_items(snapshot, frame, map_)


def open_sub(snapshot: Snapshot, frame: Frame, at: float, facts: Entered) -> Frame:
    """Create and return the frame of a subgraph, which the given frame is inside from now on."""
    frame.phase = Inside(facts.choice)
    key = sub_id(frame)
    sub = snapshot.frames[key] = Frame(
        id=key,
        kind="sub",
        parent=frame.id,
        up=frame,
        at=START,
        limits=facts.limits,
        entered=snapshot.elapsed_seconds,
        since=at,
    )
    sub.sub = sub
    if facts.limits:
        snapshot.movers = None
    return sub


def drop_children(snapshot: Snapshot, frame: Frame) -> None:
    """Drop the items or the subgraph of a frame, and make it ready; what they spent is added to the frame."""
    for key in children(frame):
        drop(snapshot, snapshot.frames[key], frame, counts=False)
    frame.phase = READY


def drop(snapshot: Snapshot, frame: Frame, heir: Frame, *, counts: bool) -> None:
    """Drop a frame and those below it. The heir gets what they spent and, for arms, their counts of visits."""
    counts = counts and frame.kind == "arm"
    if counts:
        for node, visits in frame.counts.items():
            heir.counts[node] = heir.counts.get(node, 0) + visits
    if frame.usage:
        heir.usage = add_usage(heir.usage, frame.usage)
    for key in children(frame):
        drop(snapshot, snapshot.frames[key], heir, counts=counts)
    if isinstance(frame.phase, Waiting):
        _count_wait_over(snapshot, frame.phase.waits)
    del snapshot.frames[frame.id]


def fail_frame(snapshot: Snapshot, frame: Frame, phase: Phase, facts: Outcome) -> None:
    """Fail a frame. The run fails with its root frame; a failed arm or subgraph is left to the frame around it."""
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
    """Add two usages. An unknown cost makes the sum unknown; `priced_usd` then keeps the known part."""
    joined = dict(total)
    for name, amount in spent.items():
        have = joined.get(name, 0)
        joined[name] = None if amount is None or have is None else have + amount
    if joined.get("cost_usd", 0.0) is None:
        joined["priced_usd"] = priced(total) + priced(spent)
    return joined


def priced(usage: Usage) -> float:
    """Return the cost of the calls whose price is known, in US dollars."""
    cost = usage.get("cost_usd", 0.0)
    return (usage.get("priced_usd") or 0.0) if cost is None else cost
