"""The frames of a map: how the fold begins, ends and reopens items.

`graphengine.engine.rules.map` contains the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from graphengine.engine.field_ops import list_of
from graphengine.engine.frame_tree import add_usage, renew, touch
from graphengine.engine.phases import Collecting, FailedItem, Fallback, Forked, Inside, LostItem, Waiting
from graphengine.engine.ready import arms_settled, settled
from graphengine.engine.snapshot import Frame, index_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Mapped
    from graphengine.state.json_values import JsonValue, Op


_KEEP_SLOTS: Final = ("pause", "unknown")
"""The kinds of waits during which an item keeps its slot, so that no further item begins.

A pause before a node halts a map in the same way as it halts the rest of the run. An effect with an unknown end may be
the first of many.
"""


def open_map(snapshot: Snapshot, frame: Frame, at: float, facts: Mapped) -> None:
    """Begin the first items of a map over a list, as many as its concurrency allows."""
    count = facts.count
    lists = [*facts.items.values(), *(list_of(frame, name) for name in facts.fields.values())]
    if not lists or any(not isinstance(items, list) or len(items) != count for items in lists):
        # Checked before a list of `count` entries is allocated, because a damaged row can contain any number.
        message = f"a map of {count} items has lists of other lengths"
        raise ValueError(message)
    bounds = facts.concurrency, at, facts.max_open
    map_ = Collecting(count, *bounds, facts.fields, facts.items, left=count, done=[None] * count, written=facts.written)
    frame.phase = map_
    open_items(snapshot, frame)
    touch(snapshot, frame)


def open_items(snapshot: Snapshot, frame: Frame) -> None:
    """Let items of a map begin or continue while fewer than `concurrency=` of them are working.

    An item that only waits, for example for a person, does not count as working. Free places are given out in this
    order:

    1. Items that waited and can continue, in the order in which their waits ended.
    2. Items that failed before and are retried, as long as the limit of open items allows it.
    3. Items that have not begun yet, as long as the limit of open items allows it.
    """
    map_ = frame.phase
    while isinstance(map_, Collecting) and len(map_.live) < map_.concurrency:
        if map_.woken:
            index = map_.woken.pop(0)
            del map_.idle[str(index)]
            map_.live.append(index)
            _change_below(snapshot, snapshot.frames[frame.item_id(index)], _list_moving)
        elif (map_.again or map_.next < map_.count) and len(map_.live) + len(map_.idle) < map_.max_open:
            if map_.again:
                index, earlier = map_.again.pop(0)
                map_.live.append(index)
                _reopen_item(snapshot, frame, map_, index, earlier)
            else:
                index = map_.next
                map_.next += 1
                map_.live.append(index)
                _open_item(snapshot, frame, map_, index)
        else:
            break


def _open_item(snapshot: Snapshot, frame: Frame, map_: Collecting, index: int) -> Frame:
    """Create the frame in which one item of a map is worked on, and return the frame.

    The item reads the fields that it has not written itself from the state outside the map.
    """
    key = frame.item_id(index)
    item = snapshot.frames[key] = Frame(
        id=key,
        kind="item",
        parent=frame.id,
        up=frame,
        base=frame,
        sub=frame.sub,
        values=_values_of_item(frame, map_, index),
        arrived=snapshot.now,
        at=frame.at,
        visit=frame.visit,
    )
    if map_.written:
        item.written = dict.fromkeys(map_.written, True)
    snapshot.changed.append(key)
    return item


def _reopen_item(snapshot: Snapshot, frame: Frame, map_: Collecting, index: int, earlier: FailedItem) -> None:
    """Begin a failed item of a map again.

    If its subgraph failed, or its fallback must not be lost, the item continues in the frame that was kept for it.
    """
    if earlier.kept:
        kept = snapshot.frames[frame.item_id(index)]
        kept.failing, kept.tries = None, 0
        if isinstance(kept.phase, Fallback):
            renew(snapshot, kept)
        _change_below(snapshot, kept, lambda frame: frame.children)
        update_slots(snapshot, (kept,))  # The item may only be waiting.
        return
    item = _open_item(snapshot, frame, map_, index)
    item.attempt, item.recorded_results, item.asks = earlier.attempt, earlier.recorded_results, earlier.asks


def _values_of_item(frame: Frame, map_: Collecting, index: int) -> dict[str, JsonValue]:
    """Return the arguments of one item of a map, by name: from each list of the map, the element at this index."""
    values = {name: list_of(frame, field)[index] for name, field in map_.fields.items()}
    for name, records in map_.items.items():
        values[name] = records[index]
    return values


def list_failed_items(frame: Frame, map_: Collecting) -> list[LostItem]:
    failed = map_.failed
    return [
        LostItem(failed[index].error, _values_of_item(frame, map_, int(index))) for index in sorted(failed, key=int)
    ]


def list_lost_parts(snapshot: Snapshot) -> list[LostItem]:
    """Return all map items and fork arms that failed for good, and that no later retry of the run has completed."""
    lost = list(snapshot.failures)
    for frame in snapshot.frames.values():
        if isinstance(frame.phase, Collecting):
            lost += list_failed_items(frame, frame.phase)
        elif frame.kind == "arm" and frame.failing is not None:
            lost.append(LostItem(frame.failing.error, {}))
    return lost


def keep_failures(snapshot: Snapshot, frame: Frame, map_: Collecting) -> None:
    """Remember which items of a completed map failed. Their tracebacks are kept only in the log."""
    for item in list_failed_items(frame, map_):
        snapshot.failures.append(LostItem(replace(item.error, traceback="", replaced=None), item.values))


def end_item(
    snapshot: Snapshot, item: Frame, outcome: FailedItem | Sequence[Op], sent: Sequence[JsonValue] = ()
) -> None:
    """Record the result or the failure of a map item that ended, and let the next item begin.

    If a subgraph failed in the item, the frame of the item is kept so that a resume can continue in the subgraph.
    """
    frame = item.up
    map_ = frame.phase if frame is not None else None
    if frame is None or not isinstance(map_, Collecting):
        message = f"the item {item.id} belongs to no map"
        raise ValueError(message)
    key = index_of(item)
    index = int(key)
    if sent:
        map_.sent[key] = sent
    kept = isinstance(outcome, FailedItem) and outcome.kept
    if isinstance(outcome, FailedItem):
        map_.failed[key] = outcome
    else:
        map_.done[index] = outcome
    if not map_.idle or key not in map_.idle:
        map_.live.remove(index)
    elif map_.idle.pop(key):
        map_.woken.remove(index)
    map_.left -= 1
    if not kept:
        if item.usage:
            frame.usage = add_usage(frame.usage, item.usage)
        del snapshot.frames[item.id]
    open_items(snapshot, frame)
    snapshot.changed += (item.id, frame.id)


def update_slots(snapshot: Snapshot, frames: Iterable[Frame]) -> None:
    """Update which items of a map count as working after a step changed these frames, and start other items.

    At most `concurrency=` items of a map work at the same time. An item stops counting while everything in it waits for
    a person, a message or a time. When one of these waits ends, the item queues for a free place again. `frames` must
    list inner frames before outer ones.
    """
    for frame in frames:
        map_ = frame.up.phase if frame.up is not None and frame.kind == "item" else None
        is_open = frame.failing is None and snapshot.frames.get(frame.id) is frame
        if isinstance(map_, Collecting) and is_open:
            key, is_resting = index_of(frame), _rests(snapshot, frame)
            asks = map_.idle.get(key)  # None: the item has a slot. Otherwise: whether it requests a slot.
            if is_resting != (asks is False):
                if not is_resting:
                    map_.woken.append(int(key))
                else:
                    (map_.live if asks is None else map_.woken).remove(int(key))
                map_.idle[key] = not is_resting
        open_items(snapshot, frame)


def upwards(frame: Frame | None) -> Iterator[Frame]:
    """Yield a frame, and then each frame around it: the map, fork or subgraph that started it, up to the run itself."""
    while frame is not None:
        yield frame
        frame = frame.up


def _rests(snapshot: Snapshot, frame: Frame) -> bool:
    """Return whether everything in an item of a map waits, so that another item of the map may begin meanwhile.

    A wait can be for a person, a message or a time.
    """
    phase = frame.phase
    if isinstance(phase, Waiting):
        return not any(wait.keeps_slot or wait.kind in _KEEP_SLOTS for wait in phase.waits.values())
    if isinstance(phase, Forked):
        arms = [snapshot.frames[key] for key in phase.arms]
        return not arms_settled(snapshot, phase) and all(settled(arm) or _rests(snapshot, arm) for arm in arms)
    if isinstance(phase, Inside):
        sub = snapshot.frames[frame.sub_id]
        return not settled(sub) and _rests(snapshot, sub)
    return isinstance(phase, Collecting) and phase.left > 0 and not phase.live


def _list_moving(frame: Frame) -> Sequence[str]:
    """Return the ids of everything directly inside a frame, except for map items that do not count as working."""
    phase = frame.phase
    return [frame.item_id(index) for index in phase.live] if isinstance(phase, Collecting) else frame.children


def _change_below(snapshot: Snapshot, frame: Frame, below: Callable[[Frame], Sequence[str]]) -> None:
    snapshot.changed.append(frame.id)
    for key in below(frame):
        _change_below(snapshot, snapshot.frames[key], below)


def reopen_failed(map_: Collecting) -> None:
    map_.again += [(int(index), map_.failed[index]) for index in sorted(map_.failed, key=int)]
    map_.left += len(map_.failed)
    map_.failed = {}
