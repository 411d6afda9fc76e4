"""Waits: how a wait begins, is answered or times out, and how messages are kept.

A wait is kept in its frame as a `WaitRecord`, which explains its fields. A wait that the code of a node asked for has a
`key`, under which its answer is recorded, so that the node finds the answer when it runs again. A wait without a key is
the node itself, and its answer is the result of the node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from graphengine.engine import steps
from graphengine.engine.events import NodeFailed, NodeFinished
from graphengine.engine.failures import failure_record, why_refused
from graphengine.engine.lookup import StaleEvent, plan_of
from graphengine.engine.phases import Fallback, Ready
from graphengine.engine.rules.visit import node_failed, node_finished
from graphengine.engine.size_limits import bytes_of, sum_bounds
from graphengine.engine.steps import (
    AnswerRecord,
    Decided,
    Message,
    Node,
    Refused,
    path_of,
)
from graphengine.errors import WaitTimeout
from graphengine.graph.question import AskBody
from graphengine.state.recorded_text import to_show

_NOT_OPEN: Final = (
    "this question is no longer open: another answer came first, its time was over, or a changed graph asks anew; "
    "answer what the run asks now"
)

if TYPE_CHECKING:
    from graphengine.engine.events import (
        AnswerArrived,
        MessageCame,
        WaitOver,
    )
    from graphengine.engine.lookup import RunState
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import WaitRecord
    from graphengine.errors import NodeError
    from graphengine.state.json_values import JsonValue


def take_answer(run: RunState, event: AnswerArrived) -> Decided:
    """Return the step to record for an answer: the answer ends its wait, or is refused if it does not fit."""
    plan, snapshot = run.plan, run.snapshot
    frame, answer = snapshot.open_waits.holder(event.wait, event.id), replace(event.answer, id=event.id)
    if frame is None:
        again = _find_asking_frame(snapshot, event)
        if again is None:
            return _refuse_answer(snapshot, event, _NOT_OPEN)
        return _keep_answer(snapshot, again, event.now, steps.Answered(wait=event.wait, by="answer", answer=answer))
    wait = frame.waits[event.wait]
    if wait.kind == "ask" and not wait.key:
        answers = _answer_type_of(plan, frame, wait)
        try:
            result = answers.read(answer.value)
        except BaseException as error:  # noqa: BLE001 - a validator of the user's
            return _refuse_answer(snapshot, event, why_refused(error), frame)
        more = Node(wait=event.wait, by="answer", answer=answer, choice=wait.choice)
        return _finish_node(run, frame, event.now, result, more)
    return _keep_answer(snapshot, frame, event.now, steps.Answered(wait=event.wait, by="answer", answer=answer))


def wait_over(run: RunState, frame: Frame, event: WaitOver) -> Decided:
    """Return the step to record when a wait ends because it timed out or because a message for it has arrived."""
    snapshot = run.snapshot
    wait = frame.waits.get(event.wait)
    if wait is None:
        raise StaleEvent(event)
    facts = steps.Answered(wait=event.wait, by="time", answer=AnswerRecord())
    if event.delivered:
        if wait.topic is None or wait.topic not in snapshot.mailbox:
            raise StaleEvent(event)
        facts.by, facts.answer.value = "message", snapshot.mailbox[wait.topic][0]
        if wait.together:
            facts.also = _find_messages_beside(snapshot, frame, wait.topic)
        return _keep_answer(snapshot, frame, event.now, facts)
    if wait.due is None or event.now < wait.due:
        raise StaleEvent(event)
    if wait.kind == "sleep":
        facts.answer.value = None
        return _keep_answer(snapshot, frame, event.now, facts)
    if wait.default is not UNSET:
        facts.by, facts.answer.value = "default", wait.default
        if wait.key:
            return _keep_answer(snapshot, frame, event.now, facts)
        result = _answer_type_of(run.plan, frame, wait).read(wait.default)
        more = Node(wait=facts.wait, by=facts.by, answer=facts.answer, choice=wait.choice)
        return _finish_node(run, frame, event.now, result, more)
    if wait.key:
        facts.answer.timeout = True
        return _keep_answer(snapshot, frame, event.now, facts)
    path = path_of(frame.id, frame.at)
    text = f"{wait.question!r} was not answered in time"
    return _fail_node(run, frame, event.now, WaitTimeout(text, where=f"node {path}"))


def _find_messages_beside(snapshot: Snapshot, frame: Frame, topic: str) -> dict[str, JsonValue]:
    """Find messages that have already arrived for other waits of a node, when one of its waits ends.

    One step can then end all these waits.

    Returns:
        The messages, by the names of the waits that they end.
    """
    found: dict[str, str] = {}
    for name, wait in frame.waits.items():
        if wait.together and wait.topic in snapshot.mailbox and wait.topic != topic:
            found.setdefault(wait.topic, name)  # If two waits are for the same message, the first of them gets it.
    return {name: snapshot.mailbox[each][0] for each, name in found.items()}


def message_came(run: RunState, event: MessageCame) -> Decided:
    state_bytes = sum_bounds(run, bytes_of(event.payload)) if run.sizes is not None else 0
    message = Message(topic=event.topic, payload=event.payload, told=event.told)
    return Decided(run.snapshot.seq + 1, event.now, message, state_bytes=state_bytes)


def _find_asking_frame(snapshot: Snapshot, event: AnswerArrived) -> Frame | None:
    """Find the position of the run (a frame) whose node is about to ask again a question that is not open now.

    Example: the node of a map item asks two questions, and another item begins to work meanwhile. The first answer
    arrives. The node cannot run again yet, because as many items as `concurrency=` allows are working, and its second
    question is not open. If the second answer arrives now, it must not be refused: it is kept for the node. None if
    there is no such frame.
    """
    for frame in snapshot.frames.values():
        is_ready = isinstance(frame.phase, (Ready, Fallback)) and frame.failing is None
        if is_ready and event.wait in (asked := frame.asked) and asked[event.wait][1].id == event.id:
            return frame
    return None


def _answer_type_of(plan: Plan[Any], frame: Frame, wait: WaitRecord) -> Any:  # noqa: ANN401 - the type of the answer
    body = plan_of(plan, frame).nodes[frame.at].chosen(wait.choice).body
    if not isinstance(body, AskBody):
        raise StaleEvent(wait)
    return body.ask.answers


def _finish_node(run: RunState, frame: Frame, now: float, result: object, more: Node) -> Decided:
    return node_finished(run, frame, NodeFinished(frame.attempt_id, frame.since, now, result, more=more))


def _fail_node(run: RunState, frame: Frame, now: float, error: NodeError) -> Decided:
    failure = failure_record(error, path_of(frame.id, frame.at), frame.attempt)
    return node_failed(run, frame, NodeFailed(frame.attempt_id, frame.since, now, failure))


def _keep_answer(snapshot: Snapshot, frame: Frame, now: float, facts: steps.Answered) -> Decided:
    return Decided(snapshot.seq + 1, now, facts, frame.id, frame.at, frame.visit, frame.attempt)


def _refuse_answer(snapshot: Snapshot, event: AnswerArrived, message: str, frame: Frame | None = None) -> Decided:
    facts = Refused(wait=event.wait, id=event.id, answer=event.answer.value, message=to_show(message))
    visit = (frame.id, frame.at, frame.visit, frame.attempt) if frame is not None else ("", "", 0, 0)
    return Decided(snapshot.seq + 1, event.now, facts, *visit)
