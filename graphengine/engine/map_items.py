"""The frames of a map: how the fold begins, ends and reopens its items. `graphengine.engine.rules.map` decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from graphengine.engine.field_ops import list_of
from graphengine.engine.frame_tree import add_usage, touch
from graphengine.engine.phases import Collecting, FailedItem, LostItem
from graphengine.engine.snapshot import Frame, children, item_id

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Mapped
    from graphengine.state.json_values import JsonValue, Op


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
        values = _values(frame, map_, index)
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
            item.attempt, item.recorded_results = earlier.attempt, earlier.recorded_results
        snapshot.changed.append(key)


def _values(frame: Frame, map_: Collecting, index: int) -> dict[str, JsonValue]:
    """Return an item's value in each list, by its name in the node."""
    values = {name: list_of(frame, field)[index] for name, field in map_.fields.items()}
    for name, records in map_.items.items():
        values[name] = records[index]
    return values


def failed_items(frame: Frame, map_: Collecting) -> list[LostItem]:
    """Return the items of a map that have failed, in item order."""
    failed = map_.failed
    return [LostItem(failed[index].error, _values(frame, map_, int(index))) for index in sorted(failed, key=int)]


def lost_parts(snapshot: Snapshot) -> list[LostItem]:
    """Return every item of a map, and every arm of a fork, that failed for good and was not repeated since."""
    lost = list(snapshot.failures)
    for frame in snapshot.frames.values():
        if isinstance(frame.phase, Collecting):
            lost += failed_items(frame, frame.phase)
        elif frame.kind == "arm" and frame.failing is not None:
            lost.append(LostItem(frame.failing.error, {}))
    return lost


def keep_failures(snapshot: Snapshot, frame: Frame, map_: Collecting) -> None:
    """Remember the failed items of a map that is left; their tracebacks stay in the log only."""
    for item in failed_items(frame, map_):
        snapshot.failures.append(LostItem(replace(item.error, traceback="", replaced=None), item.values))


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


def is_settled(frame: Frame, maps: Collection[str]) -> bool:
    """Return whether a frame is a failed item of one of these maps, or inside of one."""
    around = frame if maps else None
    while around is not None:
        if around.kind == "item" and around.failing is not None and around.id[: around.id.rindex("[")] in maps:
            return True
        around = around.up
    return False


def reopen_failed(snapshot: Snapshot, frame: Frame, map_: Collecting) -> None:
    """Begin the failed items of a map again, after a resume."""
    map_.again += [(int(index), map_.failed[index]) for index in sorted(map_.failed, key=int)]
    map_.left += len(map_.failed)
    map_.failed = {}
    open_items(snapshot, frame, map_)
