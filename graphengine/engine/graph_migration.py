"""Shifts: the changes that a resume or a branch under a changed graph makes to a snapshot before the run continues.

The step records all changes, so that a fold needs no code of the user. The changes are applied in this order:

    renamed   {frame of a graph: {old node: new node}}: the frames below are renamed with their nodes, and so is all
              data that is kept under a node's name (counts, marks, samples, joins). The keys are the old frame ids.
    pauses    the nodes before which the run waits, under their new names
    moved     {frame: node}: the frame continues at that node; everything that was running at its old node is dropped
    field_changes
              {frame: operations}: fields that are new or that a migration changed; `["drop", field]` for removed fields
    left      descriptions of the recorded values without which the run continues; nothing is applied
    asks      [frame]: the question of the frame changed, and is asked again
    marks_of  {frame: marks}: marks for conditions that are new in a subgraph, and marks of `changed` conditions on
              values whose types have changed, while nothing else has changed the values

A wait keeps its name and its id, so that an answer which is already on its way still counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from graphengine.engine.field_ops import apply_ops, replay
from graphengine.engine.frame_tree import drop, enter, place_of, touch, wake
from graphengine.engine.phases import BEGUN, Collecting, Ended, Forked, Waiting
from graphengine.engine.provenance import note_changed
from graphengine.engine.published import rename_published
from graphengine.engine.stored import copy_of
from graphengine.engine.work_keys import STARTS, WorkKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphengine.engine.phases import RecordedResult
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import Shift


def shift_snapshot(snapshot: Snapshot, shift: Shift) -> Snapshot:
    """Return the snapshot of a run as it is under a changed graph; the snapshot that was given stays as it is.

    If the change does not affect the run, the given snapshot itself is returned.
    """
    if not shift.moves:
        return snapshot
    other = copy_of(snapshot)
    apply_shift(other, shift)
    return other


def apply_shift(snapshot: Snapshot, shift: Shift) -> None:
    """Change a snapshot in place so that its run can continue under a changed graph."""
    if shift.renamed:
        _rename(snapshot, shift.renamed)
        rename_published(snapshot, shift.renamed)
    if shift.pauses is not None:
        snapshot.pause = shift.pauses
    for key, node in shift.moved.items():
        _put_at(snapshot, snapshot.frames[key], node)
    for key, ops in shift.field_changes.items():
        frame = snapshot.frames[key]
        keep_items(snapshot, frame, {op[1] for op in ops})
        note_changed(frame, ops)
        apply_ops(frame, ops, None)
    if shift.field_changes:
        for frame in snapshot.frames.values():
            if frame.kind == "arm":
                replay(frame)
    for key in shift.asks:
        wake(snapshot, snapshot.frames[key])
    for key, marks in shift.marks_of.items():
        snapshot.frames[key].marks.update(marks)


def keep_items(snapshot: Snapshot, frame: Frame, names: set[str]) -> None:
    """Copy the items of running maps out of list fields that a graph change or a new branch is about to change.

    A running map normally reads its items from the list field. The map must go on with the items that it began with, so
    it gets copies of the fields in `names` before they change.
    """
    for other in snapshot.frames.values():
        map_ = other.phase
        if not isinstance(map_, Collecting) or not _holds(other, frame):
            continue
        taken = {item: name for item, name in map_.fields.items() if name in names}
        map_.items = {**map_.items, **{item: list(other.held(name) or ()) for item, name in taken.items()}}
        map_.fields = {item: name for item, name in map_.fields.items() if item not in taken}


def _holds(frame: Frame | None, other: Frame) -> bool:
    while frame is not None and frame is not other:
        frame = frame.base
    return frame is not None


def _rename(snapshot: Snapshot, renamed: Mapping[str, Mapping[str, str]]) -> None:
    """Rename the run's positions (frames) after nodes were renamed, because their ids contain names of nodes.

    Outer frames come first, because inner ids contain outer ids.
    """
    frames: dict[str, Frame] = {}
    names_of: dict[int, Mapping[str, str]] = {}
    for old_id, frame in snapshot.frames.items():
        graph = frame.sub if frame.sub is not None else snapshot.root
        if frame is graph:
            names_of[id(frame)] = renamed.get(old_id, {})
        names = names_of[id(graph)]
        if frame.at in names:
            frame.named, frame.at = frame.named or frame.at, names[frame.at]
        if frame.up is not None:
            frame.id, frame.parent = _rename_frame_id(frame, frame.up, names), frame.up.id
        _rename_kept(frame, names)
        frames[frame.id] = frame
    snapshot.frames = frames
    snapshot.runnable = ""
    snapshot.changed[:] = list(frames)


def _rename_frame_id(frame: Frame, up: Frame, names: Mapping[str, str]) -> str:
    if frame.kind == "arm":
        target = frame.id.rsplit("~", 1)[-1]
        return f"{up.id}~{names.get(target, target)}"
    if frame.kind == "item":
        return up.item_id(int(frame.id[frame.id.rindex("[") + 1 : -1]))
    return up.sub_id


def _rename_kept(frame: Frame, names: Mapping[str, str]) -> None:
    """Rename nodes in the data that the run keeps by node name.

    This data consists of the visit counts, the memory of conditions, and the arms and join of an open fork.
    """
    frame.until = names.get(frame.until, frame.until)
    counts: dict[str, int] = {}
    for node, visits in frame.counts.items():
        new = names.get(node, node)
        counts[new] = counts.get(new, 0) + visits
    frame.counts = counts
    frame.marks = {_rename_mark(key, names): mark for key, mark in frame.marks.items()}
    frame.samples = [[_rename_mark(key, names), sample] for key, sample in frame.samples]
    if isinstance(frame.phase, Forked):
        targets = [key.rsplit("~", 1)[-1] for key in frame.phase.arms]
        fork = frame.phase.fork
        arms = [f"{frame.id}~{names.get(target, target)}" for target in targets]
        frame.phase = Forked(replace(fork, join=names.get(fork.join, fork.join)), arms)


def _put_at(snapshot: Snapshot, frame: Frame, node: str) -> None:
    """Let a frame continue at another node of a changed graph, and drop what was running at the old node.

    Records of effects that began or completed at the old node are kept, because the code of the new node may ask for
    the same effects, which must not happen twice.
    """
    left = {key: memo for key, memo in frame.recorded_results.items() if _is_effect(key, memo)}
    for inner in _frames_below(snapshot, frame):
        for key, memo in inner.recorded_results.items():
            if _is_effect(key, memo):
                prefix, place = (BEGUN, key.removeprefix(BEGUN)) if key.startswith(BEGUN) else ("", key)
                left[f"{prefix}{WorkKey('', place_of(inner), '', 1)}/{place}"] = memo
    for key in frame.children:
        drop(snapshot, snapshot.frames[key], frame, counts=False)
    if isinstance(frame.phase, Waiting):
        wake(snapshot, frame)
    frame.failing = frame.error = None
    frame.recorded_results, frame.asks = left, {}
    frame.tries = frame.crashes = 0
    frame.due = 0.0
    if frame.kind == "arm" and node == frame.until:
        frame.phase = Ended()
        frame.at = node
    else:
        enter(snapshot, frame, node)
    touch(snapshot, frame)


def _is_effect(key: str, memo: RecordedResult) -> bool:
    """Return whether a recorded result belongs to a side effect that has begun or ended, or to a child run."""
    return bool(memo.begun and memo.id) or WorkKey.read(key).name == STARTS


def _frames_below(snapshot: Snapshot, frame: Frame) -> Iterator[Frame]:
    for key in frame.children:
        yield snapshot.frames[key]
        yield from _frames_below(snapshot, snapshot.frames[key])


def _rename_mark(key: str, names: Mapping[str, str]) -> str:
    """Return the key under which a condition's memory is kept, with the nodes in the key renamed.

    Every key ends with the name of a node. The key of a visit counter contains two names of nodes.
    """
    if not names:
        return key
    kind, _, rest = key.partition(":")
    what, _, since = rest.rpartition(":")
    return f"{kind}:{names.get(what, what) if kind == 'count' else what}:{names.get(since, since)}"
