"""Waits and recorded work: what a node that is not done yet leaves in the log.

A wait is kept with its frame as a mapping: `kind` (`ask`, `receive`, `sleep`; `pause` before a node; `crash` of an
attempt that must not be repeated unasked), `id` (that of no other wait), `question`, `schema` (of the answer), `topic`,
`due` and `default`. A wait of a node's code has a `key` under which the answer is recorded, for the node to find when
it runs again; one without is the node's own, and its answer is the node's result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from graphengine.engine.events import NodeFailed, NodeFinished
from graphengine.engine.failures import error_of
from graphengine.engine.lookup import ATTEMPTED, StaleEvent, frame_of, plan_of
from graphengine.engine.rules.visit import fail, finish
from graphengine.engine.size_limits import added, bytes_of
from graphengine.engine.steps import Step, path_of
from graphengine.errors import WaitTimeout, WorkNotRepeatable
from graphengine.graph.question import AskBody
from graphengine.state.field import explain

if TYPE_CHECKING:
    from graphengine.engine.events import (
        Answered,
        AnswerRefused,
        MessageCame,
        NodeBegun,
        NodeWaits,
        WaitOver,
        WorkDone,
    )
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.errors import NodeError
    from graphengine.state.json_values import JsonValue


def node_begun(plan: Plan[Any], snapshot: Snapshot, event: NodeBegun) -> Step:  # noqa: ARG001 - one signature
    """The start of an attempt, before it starts."""
    frame_of(snapshot, event, ("ready",))
    return Step(snapshot.seq + 1, "begun", event.now, *event[:4])


def work_done(plan: Plan[Any], snapshot: Snapshot, event: WorkDone) -> Step:  # noqa: ARG001
    """A piece of a node's work, to be given again when the node runs again."""
    frame_of(snapshot, event, ATTEMPTED)
    data: dict[str, JsonValue] = {"key": event.key, "name": event.name, "value": event.value}
    if event.usage:
        data["usage"] = dict(event.usage)
    if event.by:
        data["by"] = dict(event.by)
    if event.said:
        data["said"] = dict(event.said)
    weight = added(snapshot, event.size_bytes)
    return Step(snapshot.seq + 1, "recorded", event.now, *event[:5], data=data, weight=weight)


def node_waits(plan: Plan[Any], snapshot: Snapshot, event: NodeWaits) -> Step:  # noqa: ARG001
    """A node's frame is parked until one of these is over."""
    frame_of(snapshot, event, ATTEMPTED)
    data: dict[str, JsonValue] = {"waits": {name: dict(wait) for name, wait in event.waits.items()}}
    if event.usage:
        data["usage"] = dict(event.usage)
    return Step(snapshot.seq + 1, "waiting", event.now, *event[:5], data=data)


def answered(plan: Plan[Any], snapshot: Snapshot, event: Answered) -> Step:
    """Somebody's answer ends a wait, or is refused."""
    frame = waiting_for(snapshot, event.wait, event.id)
    if frame is None:
        return _refused(snapshot, event.now, event.wait, event.value, "nobody waits for it any more")
    wait = frame.waits[event.wait]
    value = event.value
    more: dict[str, JsonValue] = {"wait": event.wait, "by": "answer", "answer": {"value": value}}
    if wait["kind"] == "crash" and value != "rerun":
        return _decided(plan, snapshot, frame, event, more)
    if wait["kind"] == "ask" and "key" not in wait:
        try:
            result = _question(plan, frame, wait).read(value)
        except ValidationError as error:
            return _refused(snapshot, event.now, event.wait, value, explain(error), frame)
        return _finished(plan, snapshot, frame, event.now, result, {**more, **_choice(wait)})
    return _answered(snapshot, frame, event.now, more)


def _decided(plan: Plan[Any], snapshot: Snapshot, frame: Frame, event: Answered, more: dict[str, JsonValue]) -> Step:
    """What a person decided of an attempt that a crash ended: its result, or that it failed."""
    if isinstance(event.value, dict) and "result" in event.value:
        step = _finished(plan, snapshot, frame, event.now, event.value["result"], more)
        if step.kind in ("node", "item"):
            return step
        why = step.data["error"]["message"]
        return _refused(snapshot, event.now, event.wait, event.value, f"that is no result of it: {why}", frame)
    path = path_of(frame.id, frame.at)
    text = f"{path} was cut off while it was running, and it was decided not to run it again"
    step = _failed(plan, snapshot, frame, event.now, WorkNotRepeatable(text, where=f"node {path}"))
    return step._replace(data={**more, **step.data})


def wait_over(plan: Plan[Any], snapshot: Snapshot, event: WaitOver) -> Step:
    """A wait's time has come, or a message for it."""
    frame = snapshot.frames.get(event.frame)
    wait = frame.waits.get(event.wait) if frame is not None and frame.phase == "waiting" else None
    if frame is None or wait is None:
        raise StaleEvent(event)
    if event.delivered:
        if wait.get("topic") not in snapshot.mailbox:
            raise StaleEvent(event)
        answer = {"value": snapshot.mailbox[wait["topic"]][0]}
        return _answered(snapshot, frame, event.now, {"wait": event.wait, "by": "message", "answer": answer})
    if "due" not in wait or event.now < wait["due"]:
        raise StaleEvent(event)
    more: dict[str, JsonValue] = {"wait": event.wait, "by": "time"}
    if wait["kind"] == "sleep":
        return _answered(snapshot, frame, event.now, {**more, "answer": {"value": None}})
    if "default" in wait:
        more["by"], more["answer"] = "default", {"value": wait["default"]}
        if "key" in wait:
            return _answered(snapshot, frame, event.now, more)
        result = _question(plan, frame, wait).read(wait["default"])
        return _finished(plan, snapshot, frame, event.now, result, {**more, **_choice(wait)})
    if "key" in wait:
        return _answered(snapshot, frame, event.now, {**more, "answer": {"timeout": True}})
    path = path_of(frame.id, frame.at)
    text = f"nobody answered {wait['question']!r} in time"
    return _failed(plan, snapshot, frame, event.now, WaitTimeout(text, where=f"node {path}"))


def refused(plan: Plan[Any], snapshot: Snapshot, event: AnswerRefused) -> Step:  # noqa: ARG001
    """A node found that an answer or message is none of its type; it waits again."""
    frame_of(snapshot, event, ATTEMPTED)
    data = {"key": event.key, "message": event.message}
    return Step(snapshot.seq + 1, "refused", event.now, *event[:4], data=data)


def message_came(plan: Plan[Any], snapshot: Snapshot, event: MessageCame) -> Step:  # noqa: ARG001
    """A message, kept until somebody receives it."""
    weight = added(snapshot, bytes_of(event.payload)) if snapshot.sizes is not None else 0
    data = {"topic": event.topic, "payload": event.payload}
    return Step(snapshot.seq + 1, "message", event.now, data=data, weight=weight)


def waiting_for(snapshot: Snapshot, name: str, identity: str) -> Frame | None:
    """The frame that has this wait, None if none has."""
    frames = (frame for frame in snapshot.frames.values() if name in frame.waits)
    return next((frame for frame in frames if frame.waits[name]["id"] == identity), None)


def _question(plan: Plan[Any], frame: Frame, wait: JsonValue) -> Any:  # noqa: ANN401 - the type of the answer
    body = plan_of(plan, frame).nodes[frame.at].chosen(wait.get("choice", "")).body
    if not isinstance(body, AskBody):
        raise StaleEvent(wait)
    return body.ask.answers


def _choice(wait: JsonValue) -> dict[str, JsonValue]:
    return {"choice": wait["choice"]} if "choice" in wait else {}


def _finished(  # noqa: PLR0913 - the parts of an event
    plan: Plan[Any], snapshot: Snapshot, frame: Frame, now: float, result: object, more: dict[str, JsonValue]
) -> Step:
    visit = (frame.id, frame.at, frame.visit, frame.attempt)
    done = NodeFinished(*visit, frame.since, now, result, more=more)
    return finish(plan, snapshot, frame, done)


def _failed(plan: Plan[Any], snapshot: Snapshot, frame: Frame, now: float, error: NodeError) -> Step:
    event = NodeFailed(frame.id, frame.at, frame.visit, frame.attempt, frame.since, now, error_of(error))
    return fail(plan, snapshot, frame, event)


def _answered(snapshot: Snapshot, frame: Frame, now: float, data: dict[str, JsonValue]) -> Step:
    visit = (frame.id, frame.at, frame.visit, frame.attempt)
    return Step(snapshot.seq + 1, "answered", now, *visit, data=data)


def _refused(  # noqa: PLR0913 - what is told of it
    snapshot: Snapshot, now: float, wait: str, value: JsonValue, message: str, frame: Frame | None = None
) -> Step:
    data = {"wait": wait, "answer": value, "message": message}
    visit = (frame.id, frame.at, frame.visit, frame.attempt) if frame is not None else ("", "", 0, 0)
    return Step(snapshot.seq + 1, "refused", now, *visit, data=data)
