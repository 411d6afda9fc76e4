"""Refits: what a resume or a branch under a changed graph does to a snapshot, before the run goes on.

The step says all of it, so that a fold needs no code of the user's. In the order in which it is done:

    renamed   {frame of a graph: {old node: new node}}: the frames below are renamed with their nodes, and what is kept
              under a node's name (counts, marks, samples, joins) goes along. Frames are named as they were before.
    pauses    the nodes before which the run waits, under their new names
    moved     {frame: node}: it goes on there; what was under way at the node where it stood is dropped
    refit     {frame: operations}: fields that are new or that a migration changed; `["drop", field]` for those gone
    asks      [frame]: its question is another one now, and is asked anew
    marks_of  {frame: marks}: for conditions that are new in a graph inside

What a frame waits for keeps its name and its id, so that an answer which is on its way arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.engine.field_ops import apply_ops, held, replay
from graphengine.engine.frame_tree import drop, enter, go_on, touch
from graphengine.engine.snapshot import children, from_record, item_id, sub_id, to_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.state.json_values import JsonValue

KEYS: Final = ("renamed", "pauses", "moved", "refit", "asks", "marks_of")
"""The names under which a step's data has them."""


def refitted(snapshot: Snapshot, data: Mapping[str, JsonValue]) -> Snapshot:
    """A snapshot as it is after a refit: another one, or the same where there is nothing to do."""
    if not any(data.get(key) for key in KEYS):
        return snapshot
    other = from_record(to_record(snapshot))
    apply_refit(other, data)
    return other


def apply_refit(snapshot: Snapshot, data: Mapping[str, JsonValue]) -> None:
    """Do to a snapshot what a step says."""
    if "renamed" in data:
        _rename(snapshot, data["renamed"])
    if "pauses" in data:
        snapshot.pause = data["pauses"]
    for key, node in data.get("moved", {}).items():
        _put_at(snapshot, snapshot.frames[key], node)
    for key, ops in data.get("refit", {}).items():
        frame = snapshot.frames[key]
        keep_items(snapshot, frame, {op[1] for op in ops})
        apply_ops(frame, ops, None)
    if data.get("refit"):
        for frame in snapshot.frames.values():
            if frame.kind == "arm":
                replay(frame)
    for key in data.get("asks", ()):
        go_on(snapshot, snapshot.frames[key])
    for key, marks in data.get("marks_of", {}).items():
        snapshot.frames[key].marks.update(marks)


def keep_items(snapshot: Snapshot, frame: Frame, names: set[str]) -> None:
    """Keep the items of maps under way as they were taken, where the list they were taken from is to be changed."""
    for other in snapshot.frames.values():
        if other.phase != "mapping":
            continue
        fields = other.map["fields"]
        for item, name in list(fields.items()):
            if name in names and _holds(other, frame):
                other.map["items"][item] = list(held(other, name) or ())
                del fields[item]


def _holds(frame: Frame | None, other: Frame) -> bool:
    """Whether a frame has its state from another one, or is that one."""
    while frame is not None and frame is not other:
        frame = frame.base
    return frame is not None


def _rename(snapshot: Snapshot, renamed: Mapping[str, Mapping[str, str]]) -> None:
    """Give frames the new names of their nodes, those around them first."""
    frames: dict[str, Frame] = {}
    names_of: dict[int, Mapping[str, str]] = {}
    for old_id, frame in snapshot.frames.items():
        graph = frame.sub if frame.sub is not None else snapshot.root
        if frame is graph:
            names_of[id(frame)] = renamed.get(old_id, {})
        names = names_of[id(graph)]
        frame.at = names.get(frame.at, frame.at)
        if frame.up is not None:
            frame.id, frame.parent = _new_id(frame, frame.up, names), frame.up.id
        _rename_kept(frame, names)
        frames[frame.id] = frame
    snapshot.frames = frames
    snapshot.mover = ""
    snapshot.touched[:] = list(frames)


def _new_id(frame: Frame, up: Frame, names: Mapping[str, str]) -> str:
    """The id of a frame below one that was renamed already."""
    if frame.kind == "arm":
        target = frame.id.rsplit("~", 1)[-1]
        return f"{up.id}~{names.get(target, target)}"
    if frame.kind == "item":
        return item_id(up, int(frame.id[frame.id.rindex("[") + 1 : -1]))
    return sub_id(up)


def _rename_kept(frame: Frame, names: Mapping[str, str]) -> None:
    """What a frame keeps under the names of nodes."""
    frame.until = names.get(frame.until, frame.until)
    counts: dict[str, int] = {}
    for node, visits in frame.counts.items():
        new = names.get(node, node)
        counts[new] = counts.get(new, 0) + visits
    frame.counts = counts
    frame.marks = {_renamed_mark(key, names): mark for key, mark in frame.marks.items()}
    frame.samples = [[_renamed_mark(key, names), sample] for key, sample in frame.samples]
    if frame.fork is not None:
        targets = [key.rsplit("~", 1)[-1] for key in frame.fork["arms"]]
        join = frame.fork["join"]
        arms = [f"{frame.id}~{names.get(target, target)}" for target in targets]
        frame.fork = {**frame.fork, "join": names.get(join, join), "arms": arms}


def _put_at(snapshot: Snapshot, frame: Frame, node: str) -> None:
    """Let a frame go on at a node, whatever it was doing."""
    for key in children(frame):
        drop(snapshot, snapshot.frames[key], frame, counts=False)
    if frame.phase == "waiting":
        go_on(snapshot, frame)
    frame.map = frame.fork = frame.cause = frame.error = frame.failure = frame.stop = None
    frame.memos = {}
    frame.choice = frame.ended = ""
    frame.names, frame.lasting, frame.begun = (), False, False
    frame.tries = frame.crashes = 0
    frame.due = 0.0
    if frame.kind == "arm" and node == frame.until:
        frame.phase = "ended"
        frame.at = node
    else:
        enter(snapshot, frame, node)
    touch(snapshot, frame)


def _renamed_mark(key: str, names: Mapping[str, str]) -> str:
    """The key of a mark once nodes have other names: every key ends with a node, and a count's names two."""
    if not names:
        return key
    kind, _, rest = key.partition(":")
    what, _, since = rest.rpartition(":")
    return f"{kind}:{names.get(what, what) if kind == 'count' else what}:{names.get(since, since)}"
