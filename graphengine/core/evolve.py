"""evolve: what a step does to a snapshot. The fold of a run's steps, live and on load alike.

It reads nothing but the step, calls no user code, and changes the snapshot in place.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final

from graphengine.core.snapshot import ROOT, Frame, Snapshot
from graphengine.options import START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from graphengine.core.snapshot import Phase
    from graphengine.core.steps import Step
    from graphengine.records import JsonValue, Op


def evolve(snapshot: Snapshot, step: Step) -> Snapshot:
    """The snapshot after this step; the same object, changed.

    Raises:
        ValueError: The step does not follow the snapshot's last one.
    """
    if step.seq != snapshot.seq + 1:
        message = f"step {step.seq} does not follow step {snapshot.seq}"
        raise ValueError(message)
    _KINDS[step.kind](snapshot, step)
    snapshot.seq = step.seq
    snapshot.now = step.at
    return snapshot


def fold(steps: Iterable[Step], snapshot: Snapshot | None = None) -> Snapshot:
    """The snapshot after all these steps."""
    snapshot = snapshot if snapshot is not None else Snapshot()
    for step in steps:
        evolve(snapshot, step)
    return snapshot


def _started(snapshot: Snapshot, step: Step) -> None:
    data = step.data
    snapshot.run_id = data["run_id"]
    snapshot.graph = data["graph"]
    snapshot.fingerprint = data["fingerprint"]
    snapshot.limits = dict(data["limits"])
    frame = snapshot.frames[ROOT] = Frame(at=START)
    _apply(frame, step.update, step.typed)
    frame.marks.update(data.get("marks", ()))
    _leave(snapshot, frame, data)


def _node(snapshot: Snapshot, step: Step) -> None:
    frame = snapshot.frames[step.frame]
    data = step.data
    if step.update:
        _apply(frame, step.update, step.typed)
    _spend(snapshot, step)
    _count(snapshot, frame, step.node)
    if "marks" in data:
        _mark(frame, data)
    frame.cause = None
    _leave(snapshot, frame, data)


def _left(snapshot: Snapshot, step: Step) -> None:
    frame = snapshot.frames[step.frame]
    _mark(frame, step.data)
    _leave(snapshot, frame, step.data)


def _leave(snapshot: Snapshot, frame: Frame, data: Mapping[str, JsonValue]) -> None:
    """Go where the way out leads; without one, or at FAIL, the node is done and the run failed there."""
    if data.get("status") == "failed":
        _fail(snapshot, frame, "leaving", data)
    else:
        _move(snapshot, frame, data)


def _attempt(snapshot: Snapshot, step: Step) -> None:
    frame = snapshot.frames[step.frame]
    _spend(snapshot, step)
    frame.tries += 1
    frame.attempt += 1
    frame.crashes = 0
    frame.due = step.data.get("due_at", 0.0)
    if step.data.get("then") == "fallback":
        frame.phase = "fallback"
        frame.cause = step.data["error"]


def _failed(snapshot: Snapshot, step: Step) -> None:
    frame = snapshot.frames[step.frame]
    data = step.data
    _spend(snapshot, step)
    if step.update:
        _apply(frame, step.update, step.typed)
    frame.cause = None
    if "status" not in data or data["status"] == "finished":
        _count(snapshot, frame, step.node)
        _mark(frame, data)
        _move(snapshot, frame, data)
        frame.error = data["error"]
    else:
        frame.attempt += 1
        _fail(snapshot, frame, "failed", data)


def _joined(snapshot: Snapshot, step: Step) -> None:
    """The arms are gone; what they counted, spent and sampled is their parent's."""
    frame = snapshot.frames[step.frame]
    data = step.data
    if data.get("status") == "failed":
        _fail(snapshot, frame, "forked", data)
        return
    _spend(snapshot, step)
    arms = [snapshot.frames[key] for key in frame.fork["arms"]]
    if step.update:
        _apply(frame, step.update, step.typed)
    _mark(frame, data)
    for arm in arms:
        _drop(snapshot, arm, frame)
    frame.fork = None
    _move(snapshot, frame, data)
    frame.error = next((arm.error for arm in arms if arm.error is not None and arm.phase == "ended"), None)


def _drop(snapshot: Snapshot, arm: Frame, heir: Frame) -> None:
    """Forget an arm and its own arms; what they counted and spent is another frame's."""
    for node, visits in arm.counts.items():
        heir.counts[node] = heir.counts.get(node, 0) + visits
    if arm.usage:
        heir.usage = add_usage(heir.usage, arm.usage)
    for key in (arm.fork or {}).get("arms", ()):
        _drop(snapshot, snapshot.frames[key], heir)
    del snapshot.frames[arm.id]


def _resumed(snapshot: Snapshot, step: Step) -> None:
    data = step.data
    snapshot.limits = dict(data["limits"])
    snapshot.fingerprint = data["fingerprint"]
    was_failed = snapshot.status == "failed"
    snapshot.status, snapshot.stop, snapshot.failure = "running", None, None
    snapshot.now = step.at
    _apply(snapshot.root, step.update, step.typed)
    snapshot.root.marks.update(data.get("marks", ()))
    for frame in snapshot.frames.values():
        if was_failed:
            frame.failure = frame.stop = None
        if frame.phase == "failed" and was_failed:
            frame.phase, frame.tries, frame.crashes, frame.due = "ready", 0, 0, 0.0
        elif data.get("crashed") and frame.phase in ("ready", "fallback") and frame.due <= step.at:
            frame.crashes += 1


def _branched(snapshot: Snapshot, step: Step) -> None:
    snapshot.run_id = step.data["run_id"]
    snapshot.inherited = dict(snapshot.usage)
    _resumed(snapshot, step)


def _stopped(snapshot: Snapshot, step: Step) -> None:
    _spend(snapshot, step)
    snapshot.status, snapshot.stop, snapshot.failure = step.data["status"], step.data["stop"], step.data.get("error")


def _fail(snapshot: Snapshot, frame: Frame, phase: Phase, data: Mapping[str, JsonValue]) -> None:
    """A frame cannot go on: the run fails with its own frame, a fork with its arms at the join."""
    frame.phase = phase
    frame.failure = data["error"]
    if frame.kind == "arm":
        frame.stop = data["stop"]
    if frame.kind == "root":
        snapshot.status, snapshot.stop, snapshot.failure = "failed", data["stop"], data["error"]


def _count(snapshot: Snapshot, frame: Frame, node: str) -> None:
    frame.counts[node] = frame.counts.get(node, 0) + 1
    snapshot.steps += 1


def _mark(frame: Frame, data: Mapping[str, JsonValue]) -> None:
    frame.marks.update(data.get("marks", ()))
    frame.samples.extend(data.get("samples", ()))


def _move(snapshot: Snapshot, frame: Frame, data: Mapping[str, JsonValue]) -> None:
    """Put a frame to where a step leads: the next node, the arms of a fork, the join it is an arm of, its end."""
    frame.tries = frame.crashes = 0
    frame.due = 0.0
    frame.error = None
    to = data["to"]
    if "fork" in data:
        _fork(snapshot, frame, data["fork"], to)
    elif "status" in data:
        frame.phase = "ended"
        snapshot.status, snapshot.stop = data["status"], data["stop"]
    elif frame.kind == "arm" and to[0] == frame.until:
        frame.phase = "ended"
    else:
        _enter(frame, to[0])


def _enter(frame: Frame, node: str) -> None:
    frame.phase = "ready"
    frame.at = node
    frame.visit = frame.count(node) + 1
    frame.attempt = 1


def _fork(snapshot: Snapshot, frame: Frame, fork: Mapping[str, JsonValue], targets: Sequence[str]) -> None:
    frame.phase = "forked"
    arms = [f"{frame.id}~{target}" for target in targets]
    frame.fork = {**fork, "arms": arms}
    for key, target in zip(arms, targets, strict=True):
        arm = snapshot.frames[key] = Frame(id=key, kind="arm", parent=frame.id, base=frame, until=fork["join"])
        arm.check = frame.check
        if target == arm.until:
            arm.phase = "ended"
        else:
            _enter(arm, target)


def _spend(snapshot: Snapshot, step: Step) -> None:
    """Count the time since the last step, and what models were paid."""
    if step.at > snapshot.now:
        snapshot.elapsed_seconds += step.at - snapshot.now
    spent = step.data.get("usage")
    if spent:
        snapshot.usage = add_usage(snapshot.usage, spent)
        frame = snapshot.frames[step.frame]
        frame.usage = add_usage(frame.usage, spent)


def add_usage(total: Mapping[str, float | None], spent: Mapping[str, float | None]) -> dict[str, float | None]:
    """Two usages together; a cost that is unknown stays unknown."""
    joined = dict(total)
    for name, amount in spent.items():
        have = joined.get(name, 0)
        joined[name] = None if amount is None or have is None else have + amount
    return joined


def _apply(frame: Frame, ops: Sequence[Op], typed: Sequence[object] | None) -> None:
    """Fold operations into a frame's records and typed values."""
    if frame.kind == "arm":
        frame.journal.extend(ops)
    for index, op in enumerate(ops):
        kind, name = op[0], op[1]
        _OPS[kind](frame, op)
        if typed is None:
            frame.typed.pop(name, None)
        elif kind not in _GROWING:
            frame.typed[name] = typed[index]
        elif name in frame.typed:
            _grow_typed(frame, kind, name, typed[index])
        if frame.lent:
            frame.lent.discard(name)
        if frame.digests:
            frame.digests.pop(name, None)


def _grow_typed(frame: Frame, kind: str, name: str, new: Any) -> None:  # noqa: ANN401 - a value of the user's type
    cache = frame.typed
    if name in frame.lent:
        cache[name] = copy(cache[name])
    if kind == "append":
        _own(cache, name, list).append(new)
    elif kind == "extend":
        _own(cache, name, list).extend(new)
    else:
        _own(cache, name, dict).update(new)


def _own(cache: dict[str, Any], name: str, kind: type) -> Any:  # noqa: ANN401
    if cache[name] is None:
        cache[name] = kind()
    return cache[name]


def _set(frame: Frame, op: Op) -> None:
    frame.values[op[1]] = op[2]
    frame.owned.discard(op[1])


def _append(frame: Frame, op: Op) -> None:
    _list(frame, op[1]).append(op[2])


def _extend(frame: Frame, op: Op) -> None:
    _list(frame, op[1]).extend(op[2])


def _merge(frame: Frame, op: Op) -> None:
    _dict(frame, op[1]).update(op[2])


def _put(frame: Frame, op: Op) -> None:
    _dict(frame, op[1])[op[2]] = op[3]


def _add(frame: Frame, op: Op) -> None:
    old = _held(frame, op[1])
    frame.values[op[1]] = op[2] if old is None else old + op[2]


def _reduce(frame: Frame, op: Op) -> None:
    frame.values[op[1]] = op[3]
    frame.owned.discard(op[1])


def _held(frame: Frame, name: str) -> JsonValue:
    """A field's record, from the frame that holds it."""
    while frame.base is not None and name not in frame.values:
        frame = frame.base
    return frame.values.get(name)


def _list(frame: Frame, name: str) -> list[JsonValue]:
    """The field's list, a copy of the frame's own the first time: what a step set belongs to the step."""
    if name not in frame.owned:
        frame.values[name] = list(_held(frame, name) or ())
        frame.owned.add(name)
    held: list[JsonValue] = frame.values[name]
    return held


def _dict(frame: Frame, name: str) -> dict[str, JsonValue]:
    if name not in frame.owned:
        frame.values[name] = dict(_held(frame, name) or {})
        frame.owned.add(name)
    held: dict[str, JsonValue] = frame.values[name]
    return held


_KINDS: Final[dict[str, Callable[[Snapshot, Step], None]]] = {
    "started": _started,
    "node": _node,
    "attempt": _attempt,
    "failed": _failed,
    "left": _left,
    "joined": _joined,
    "resumed": _resumed,
    "stopped": _stopped,
    "branched": _branched,
}
_GROWING: Final = frozenset(("append", "extend", "merge", "put"))
"""Operations that add to what a field holds; the others put another value in its place."""

_OPS: Final[dict[str, Callable[[Frame, Op], None]]] = {
    "set": _set,
    "append": _append,
    "extend": _extend,
    "merge": _merge,
    "put": _put,
    "add": _add,
    "reduce": _reduce,
}
