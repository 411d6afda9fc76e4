"""evolve: what a step does to a snapshot. The fold of a run's steps, live and on load alike.

It reads nothing but the step, calls no user code, and changes the snapshot in place. `graphengine.engine.field_ops` has
what it does to fields, `graphengine.engine.frame_tree` what it does to the tree of frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.engine.field_ops import apply_ops, replay
from graphengine.engine.frame_tree import (
    add_usage,
    drop,
    drop_children,
    end_item,
    fail,
    go_on,
    move,
    open_map,
    open_sub,
    pause,
    reopen_failed,
    touch,
    unpause,
    wait,
)
from graphengine.engine.ready import can_move, task_of
from graphengine.engine.rebase import apply_refit, keep_items
from graphengine.engine.snapshot import CRASHES, ROOT, Frame, Snapshot
from graphengine.engine.steps import path_of
from graphengine.errors import WorkNotRepeatable
from graphengine.graph.options import START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue


def evolve(snapshot: Snapshot, step: Step) -> Snapshot:
    """The snapshot after this step; the same object, changed.

    Raises:
        ValueError: The step does not follow the snapshot's last one.
    """
    if step.seq != snapshot.seq + 1:
        message = f"step {step.seq} does not follow step {snapshot.seq}"
        raise ValueError(message)
    now = step.at
    if now > snapshot.now and snapshot.status == "running" and step.kind not in _BEGINNINGS:
        snapshot.elapsed_seconds += now - snapshot.now  # what lies before, in a stop or a wait, is not driven
    snapshot.now = now
    _KINDS[step.kind](snapshot, step)
    snapshot.seq = step.seq
    if step.weight:
        snapshot.weight, snapshot.weighed = step.weight, step.seq
    if snapshot.waiting:
        _settle(snapshot)
    return snapshot


def _settle(snapshot: Snapshot) -> None:
    """A run waits while nothing in it can move before an answer, a message or a time comes."""
    if snapshot.status in ("running", "waiting"):
        snapshot.status = "running" if can_move(snapshot) else "waiting"


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
    snapshot.pause = data.get("pause", ())
    frame = snapshot.frames[ROOT] = Frame(at=START)
    _begin(snapshot, frame, step)


def _begin(snapshot: Snapshot, frame: Frame, step: Step) -> None:
    """A frame with a state of its own begins with it, and leaves START."""
    apply_ops(frame, step.update, step.typed)
    frame.marks.update(step.data.get("marks", ()))
    _leave(snapshot, frame, step.data)


def _node(snapshot: Snapshot, step: Step) -> None:
    frame = snapshot.frames[step.frame]
    data = step.data
    if step.update:
        apply_ops(frame, step.update, step.typed)
    if "usage" in data:
        _spend(snapshot, step)
    _count(snapshot, frame, step.node)
    if frame.phase != "ready" or frame.memos:
        _done(snapshot, frame)
        if "inside" in data and data.get("status") == "failed":  # its way out is chosen later, and may ask for this
            frame.ended = data["inside"]["label"]
    if "marks" in data:
        _mark(frame, data)
    if "sent" in data:
        _keep(snapshot, data["sent"])
    _leave(snapshot, frame, data)


def _done(snapshot: Snapshot, frame: Frame) -> None:
    """A visit is over: nothing is left of what it was made of."""
    if frame.phase in ("mapping", "inside"):
        drop_children(snapshot, frame)
    elif frame.phase == "waiting":
        go_on(snapshot, frame)
    if frame.memos:
        frame.memos.clear()
    frame.cause = None


def _left(snapshot: Snapshot, step: Step) -> None:
    frame = snapshot.frames[step.frame]
    _mark(frame, step.data)
    _leave(snapshot, frame, step.data)
    if frame.phase != "leaving":
        frame.ended = ""


def _leave(snapshot: Snapshot, frame: Frame, data: Mapping[str, JsonValue]) -> None:
    """Go where the way out leads; without one, or at FAIL, the node is done and the run failed there."""
    if data.get("status") == "failed":
        fail(snapshot, frame, "leaving", data)
    else:
        move(snapshot, frame, data)


def _attempt(snapshot: Snapshot, step: Step) -> None:
    frame = snapshot.frames[step.frame]
    _spend(snapshot, step)
    if frame.phase in ("mapping", "inside"):
        drop_children(snapshot, frame)
    elif frame.phase == "waiting":
        go_on(snapshot, frame)
    frame.phase = "ready"
    frame.tries += 1
    frame.attempt += 1
    frame.crashes = 0
    frame.begun = False
    frame.due = step.data.get("due_at", 0.0)
    frame.arrived = max(step.at, frame.due)
    if not step.data.get("keeps"):
        _forget_work(frame, ("answer", "message"))
    if step.data.get("then") == "fallback":
        frame.phase = "fallback"
        frame.cause = step.data["error"]
    touch(snapshot, frame)


def _failed(snapshot: Snapshot, step: Step) -> None:
    frame = snapshot.frames[step.frame]
    data = step.data
    _spend(snapshot, step)
    if step.update:
        apply_ops(frame, step.update, step.typed)
    if "status" not in data or data["status"] == "finished":
        _count(snapshot, frame, step.node)
        _done(snapshot, frame)
        _mark(frame, data)
        move(snapshot, frame, data)
        frame.error = data["error"]
    elif not step.node:  # a limit of the frame's own, wherever it stands
        fail(snapshot, frame, frame.phase, data)
    elif frame.phase not in ("mapping", "inside"):
        _given_up(snapshot, frame, data)
    elif frame.kind == "item":
        frame.failure = data["error"]
        end_item(snapshot, frame, {**_told(data), "kept": True})
    else:
        fail(snapshot, frame, frame.phase, data)


def _forget_work(frame: Frame, but: Sequence[str]) -> None:
    """Begin a visit afresh, but for what others gave: a message is taken once, and nobody is asked twice the same."""
    frame.memos = {key: memo for key, memo in frame.memos.items() if memo.get("by") in but}


def _told(data: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What a map keeps of an item's failure."""
    return {name: data[name] for name in ("error", "names", "lasting") if name in data}


def _given_up(snapshot: Snapshot, frame: Frame, data: Mapping[str, JsonValue]) -> None:
    """A node of its own failed for good; a resume runs it again, with what it had recorded where that may be kept."""
    if frame.phase == "waiting":
        go_on(snapshot, frame)
    if not data.get("keeps"):
        _forget_work(frame, ("message",))
    frame.cause = None
    frame.attempt += 1
    frame.begun = data["error"]["kind"] == WorkNotRepeatable.code  # a resume asks again
    if frame.kind == "item":
        kept = {"attempt": frame.attempt, "memos": frame.memos, "begun": frame.begun}
        end_item(snapshot, frame, {**_told(data), **kept})
    else:
        fail(snapshot, frame, "failed", data)


def _joined(snapshot: Snapshot, step: Step) -> None:
    """The arms are gone; what they counted, spent and sampled is their parent's."""
    frame = snapshot.frames[step.frame]
    data = step.data
    if data.get("status") == "failed":
        fail(snapshot, frame, "forked", data)
        return
    _spend(snapshot, step)
    arms = [snapshot.frames[key] for key in frame.fork["arms"]]
    if step.update:
        apply_ops(frame, step.update, step.typed)
    _mark(frame, data)
    for arm in arms:
        drop(snapshot, arm, frame, counts=True)
    frame.fork = None
    move(snapshot, frame, data)
    frame.error = next((arm.error for arm in arms if arm.error is not None and arm.phase == "ended"), None)


def _mapped(snapshot: Snapshot, step: Step) -> None:
    open_map(snapshot, snapshot.frames[step.frame], step)


def _item(snapshot: Snapshot, step: Step) -> None:
    frame = snapshot.frames[step.frame]
    _spend(snapshot, step)
    if frame.phase in ("inside", "waiting"):
        _done(snapshot, frame)
    end_item(snapshot, frame, updates=step.data["writes"], sent=step.data.get("sent", ()))


def _entered(snapshot: Snapshot, step: Step) -> None:
    _begin(snapshot, open_sub(snapshot, snapshot.frames[step.frame], step), step)


def _begun(snapshot: Snapshot, step: Step) -> None:
    frame = snapshot.frames[step.frame]
    frame.begun = True
    touch(snapshot, frame)


def _recorded(snapshot: Snapshot, step: Step) -> None:
    _spend(snapshot, step)
    snapshot.frames[step.frame].crashes = 0  # it came further than the last time
    memo = {"value": step.data["value"], "at": step.at}
    if "said" in step.data:
        memo["said"] = step.data["said"]
    snapshot.frames[step.frame].memos[step.data["key"]] = memo


def _waiting(snapshot: Snapshot, step: Step) -> None:
    _spend(snapshot, step)
    snapshot.frames[step.frame].crashes = 0
    wait(snapshot, snapshot.frames[step.frame], step.data["waits"])


def _answered(snapshot: Snapshot, step: Step) -> None:
    """A wait is over; its answer is kept for the node, which runs again."""
    frame = snapshot.frames[step.frame]
    data = step.data
    kept = frame.waits[data["wait"]]
    if data.get("by") == "message":
        _take(snapshot, kept["topic"])
    if "key" in kept:
        frame.memos[kept["key"]] = {
            **data["answer"],
            "at": step.at,
            "name": data["wait"],
            "due": kept.get("due"),
            "by": data.get("by"),
        }
        for name, other in frame.waits.items():
            if other is not kept:  # it goes on under its name, until its time
                frame.memos[f"asked {other['key']}"] = {"name": name, "value": other.get("due"), "id": other["id"]}
    if kept["kind"] == "crash":
        frame.begun = False
    go_on(snapshot, frame)


def _refused(snapshot: Snapshot, step: Step) -> None:
    """An answer did not fit; where the node found that out, it asks again."""
    data = step.data
    frame = snapshot.frames.get(step.frame)
    if "key" in data and frame is not None:
        given = frame.memos.pop(data["key"], {})
        frame.memos[f"asked {data['key']}"] = {"name": given.get("name"), "value": given.get("due")}
    elif frame is not None and data["wait"] in frame.waits:
        asked = frame.waits[data["wait"]]
        asked["id"] += "+"  # another answer is another matter


def _message(snapshot: Snapshot, step: Step) -> None:
    _keep(snapshot, [(step.data["topic"], step.data["payload"])])


def _keep(snapshot: Snapshot, messages: Iterable[tuple[str, JsonValue]]) -> None:
    """Keep messages until they are received."""
    for topic, payload in messages:
        snapshot.mailbox.setdefault(topic, []).append(payload)
    if snapshot.waiting:
        snapshot.touched.extend(frame.id for frame in snapshot.frames.values() if frame.phase == "waiting")


def _take(snapshot: Snapshot, topic: str) -> None:
    left = snapshot.mailbox[topic]
    left.pop(0)
    if not left:
        del snapshot.mailbox[topic]


def _resumed(snapshot: Snapshot, step: Step) -> None:
    data = step.data
    snapshot.limits = dict(data["limits"])
    snapshot.fingerprint = data["fingerprint"]
    was_failed = snapshot.status == "failed" or "retries" in data
    cut_off = _in_flight(snapshot, step) if data.get("crashed") else ()
    snapshot.status, snapshot.stop, snapshot.failure = "running", None, None
    apply_refit(snapshot, data)
    for key, limits in data.get("sub_limits", {}).items():
        snapshot.frames[key].limits = limits
    snapshot.root.marks.update(data.get("marks", ()))
    for frame in cut_off:
        counts = frame.crashes < CRASHES - 1 or not snapshot.company  # the last one only where nothing else can be why
        if counts and snapshot.frames.get(frame.id) is frame and frame.id not in data.get("moved", ()):
            frame.crashes += 1
    snapshot.company = bool(data.get("company"))
    for frame in list(snapshot.frames.values()) if was_failed else ():
        _revive(snapshot, frame)
    for frame in list(snapshot.frames.values()):
        if frame.begun and frame.phase == "ready" and step.kind == "resumed":
            _ask_about(snapshot, frame)
    if "pause" in data:
        snapshot.pause = data["pause"]
        for frame in list(snapshot.frames.values()):
            unpause(snapshot, frame)
            if frame.phase == "ready" and frame.attempt == 1 and not (frame.crashes or frame.begun or frame.memos):
                pause(snapshot, frame)


def _in_flight(snapshot: Snapshot, step: Step) -> Sequence[Frame]:
    """The frames whose nodes were running when the process died."""
    tasks = [(frame, task_of(snapshot, frame)) for frame in snapshot.frames.values()]
    return [frame for frame, task in tasks if task is not None and task.mode in _RUNS and task.due <= step.at]


def _revive(snapshot: Snapshot, frame: Frame) -> None:
    """Let a frame of a failed run go on from where it failed. Failed items wait for their turn."""
    if frame.kind == "item" and frame.failure is not None:
        return
    failed = frame.failure is not None
    if failed:
        frame.failure = frame.stop = None
        frame.names = ()
        frame.lasting = False
    if frame.phase == "failed":
        frame.phase, frame.tries, frame.crashes, frame.due = "ready", 0, 0, 0.0
        frame.arrived = snapshot.now
    elif frame.phase == "mapping":
        reopen_failed(snapshot, frame)
    elif frame.phase == "inside" and failed:
        frame.tries = 0


def _ask_about(snapshot: Snapshot, frame: Frame) -> None:
    """A node was cut off that must not be run again unasked."""
    path = path_of(frame.id, frame.at)
    question = f"{path} was cut off while it was running, and may have done its work: rerun it?"
    wait(snapshot, frame, {path: {"kind": "crash", "question": question, "schema": _DECISION}})


def _branched(snapshot: Snapshot, step: Step) -> None:
    data = step.data
    snapshot.run_id = data["run_id"]
    snapshot.inherited = dict(snapshot.usage)
    _resumed(snapshot, step._replace(data={**data, "marks": {}}))
    frame = snapshot.frames[step.frame]
    if step.update:
        keep_items(snapshot, frame, {op[1] for op in step.update})
        apply_ops(frame, step.update, step.typed)
        for other in snapshot.frames.values():
            if other.kind == "arm":
                replay(other)
    frame.marks.update(data.get("marks", ()))


def _stopped(snapshot: Snapshot, step: Step) -> None:
    _spend(snapshot, step)
    snapshot.status, snapshot.stop, snapshot.failure = step.data["status"], step.data["stop"], step.data.get("error")


def _count(snapshot: Snapshot, frame: Frame, node: str) -> None:
    frame.counts[node] = frame.counts.get(node, 0) + 1
    snapshot.steps += 1
    sub = frame.sub
    while sub is not None:
        sub.steps += 1
        sub = sub.up.sub if sub.up is not None else None


def _mark(frame: Frame, data: Mapping[str, JsonValue]) -> None:
    frame.marks.update(data.get("marks", ()))
    frame.samples.extend(data.get("samples", ()))


def _spend(snapshot: Snapshot, step: Step) -> None:
    """Count what models were paid."""
    spent = step.data.get("usage")
    if spent:
        snapshot.usage = add_usage(snapshot.usage, spent)
        frame = snapshot.frames[step.frame]
        frame.usage = add_usage(frame.usage, spent)
        sub = frame.sub
        while sub is not None:
            sub.spent = add_usage(sub.spent, spent)
            sub = sub.up.sub if sub.up is not None else None


_BEGINNINGS: Final = ("started", "resumed", "branched")
_RUNS: Final = ("run", "fallback")
_DECISION: Final[JsonValue] = {
    "anyOf": [{"enum": ["rerun", "fail"]}, {"type": "object", "required": ["result"], "maxProperties": 1}]
}
_KINDS: Final[dict[str, Callable[[Snapshot, Step], Any]]] = {
    "started": _started,
    "node": _node,
    "attempt": _attempt,
    "failed": _failed,
    "left": _left,
    "joined": _joined,
    "mapped": _mapped,
    "item": _item,
    "entered": _entered,
    "begun": _begun,
    "recorded": _recorded,
    "waiting": _waiting,
    "answered": _answered,
    "refused": _refused,
    "message": _message,
    "resumed": _resumed,
    "stopped": _stopped,
    "branched": _branched,
}
