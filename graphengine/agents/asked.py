"""Reconstruct what a model was asked in a recorded call, from the run alone, without the code of the graph.

The record of a turn contains the answer. The record of the first turn also contains the question and the instructions.
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from graphengine.agents.prompts import text_in
from graphengine.agents.records import response_of, result_message
from graphengine.errors import GraphEngineError
from graphengine.kernel.inside import WorkKey
from graphengine.kernel.reader import AttemptEnded, Recorded, load_snapshot
from graphengine.media import Media
from graphengine.models.base import Message
from graphengine.models.hiding import hide_secrets
from graphengine.records.work_records import TurnRecord, read_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel.extension import JsonObject
    from graphengine.kernel.reader import Frame, Snapshot, Step
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.models.base import ToolCall

_UNREADABLE: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError, GraphEngineError)
"""The errors that reading a record can raise if the record was not written by a graph."""

_NOT_MADE: Final = {"text": "This call was not made.", "error": True}
"""The result of a call that was not made, if the turn after it, which contains the reason, is not recorded."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """The request that a model received in one turn of an agent, with secrets removed.

    Messages that the agent remembered from earlier calls are not included.

    Attributes:
        agent: The agent that asked.
        model: The name of the model.
        system: The instructions; "" if there were none.
        messages: The question and the messages after it: answers, results of tools, and reasons why an answer was sent
            back.
        new: The index of the first message that the previous turn did not contain.
        answer: The model's answer; None if the call failed.
    """

    agent: str
    model: str
    system: str
    messages: Sequence[Message]
    new: int
    answer: Message | None


def has_conversation(frame: Frame) -> bool:
    """Return whether an agent has recorded the first turn of a conversation in this visit of a node."""
    return any(work.kind == "turn" and work.place[0] == 1 for work in map(WorkKey.read, frame.recorded_results))


async def asked_in(store: Store, info: RunInfo, step: Step) -> Sequence[TurnRequest]:
    """Reconstruct the requests to models that a step of a run records.

    A step records either one turn that was answered, or the model calls that failed in one attempt of a node.
    """
    facts = step.data
    failed = facts.lost if isinstance(facts, AttemptEnded) else {}
    if not failed and not (isinstance(facts, Recorded) and facts.by is not None):
        return []
    try:
        snapshot = await load_snapshot(store, info.id, step.seq - bool(failed))
    except GraphEngineError:  # earlier steps were removed
        return []
    if not failed:
        turn = turn_of(step, snapshot)
        return [turn] if turn is not None else []
    frame = snapshot.frames.get(step.frame)
    records = {key: memo.value for key, memo in frame.recorded_results.items()} if frame is not None else {}
    turns = [_read_request(key, record, records) for key, record in failed.items()]
    return [each for each in turns if each is not None]


def turn_of(step: Step, snapshot: Snapshot) -> TurnRequest | None:
    """Reconstruct the request of the turn that a step records.

    Args:
        step: The step.
        snapshot: The state of the run after this step, or after a later step of the same attempt.

    Returns:
        The request. None if the step records no turn, or if the record cannot be read.
    """
    facts, frame = step.data, snapshot.frames.get(step.frame)
    if not isinstance(facts, Recorded) or facts.by is None or frame is None:
        return None
    records = {key: memo.value for key, memo in frame.recorded_results.items()}
    return _read_request(facts.key, facts.value, records, facts.by)


def last_turn(frame: Frame, around: str) -> tuple[TurnRequest, Sequence[ToolCall]] | None:
    """Reconstruct the latest turn of an agent's conversation from the records of the node that runs the agent.

    This shows what the agent did before it began some other recorded work, such as the tool call that is waiting.

    Args:
        frame: The recorded state of the node.
        around: The key of the conversation, or the key of work that is recorded inside it, such as a tool call.

    Returns:
        The request, and the tool calls of the model's answer. None if the work does not belong to a conversation, or if
        the record cannot be read.
    """
    records: dict[str, Any] = {key: memo.value for key, memo in frame.recorded_results.items()}
    while around and WorkKey.of_turn(around, 1) not in records:
        # Work that the function of a tool records is nested below the key of the tool's call.
        around = WorkKey.read(around).around
    last = next((number for number in itertools.count(1) if WorkKey.of_turn(around, number + 1) not in records), 1)
    key, name = WorkKey.of_turn(around, last), WorkKey.read(around).of
    found = _read_request(key, records[key], records, {"agent": name, "model": ""}) if key in records else None
    with suppress(*_UNREADABLE):
        return None if found is None else (found, response_of(records[key]).calls)
    return None


def _read_request(
    key: str,
    found: Any,  # noqa: ANN401 - as recorded
    records: Mapping[str, Any],
    by: Mapping[str, Any] | None = None,
) -> TurnRequest | None:
    """Reconstruct the request to the model in one turn of an agent, from the records of the node that runs the agent.

    If the call of the model failed, the turn has no record of its own that names the agent and the model. The caller
    then passes their names in `by`. For a turn that was answered, `by` is None.
    """
    asked = WorkKey.read(key)
    if asked.kind != "turn":
        return None
    around = asked.around
    records = {**records, key: found}
    with suppress(*_UNREADABLE):
        who = found if by is None else by
        system, question = _read_opening_words(msgspec.convert(records[WorkKey.of_turn(around, 1)], TurnRecord))
        messages, note = [question], ""
        new = 0
        for turn in range(1, asked.place[0] + 1):
            record: Any = records[WorkKey.of_turn(around, turn)]
            turn_record = msgspec.convert(record, TurnRecord)
            note = note if turn_record.note is None else turn_record.note
            messages += _iter_messages_before(turn_record, records.get(str(WorkKey(around, "summary", str(turn), 1))))
            answer = None if record is found and by is None else _read_answer_message(record)
            if answer is None or record is found:
                shown, last = (
                    [hide_secrets(each) for each in messages],
                    None if answer is None else hide_secrets(answer),
                )
                system = hide_secrets("\n\n".join(filter(None, (system, note))))
                return TurnRequest(who["agent"], who["model"], system, shown, new, last)
            messages.append(answer)
            new = len(messages)
            for index, call in enumerate(answer.calls):
                result: Any = records.get(WorkKey.of_call(around, call.name, turn, index))
                after = read_record(records.get(WorkKey.of_turn(around, turn + 1)), TurnRecord) or TurnRecord()
                why = after.not_made.get(str(index))
                refused = _NOT_MADE if why is None else {"text": why, "error": True}
                messages.append(result_message(call, refused if result is None else result))
    return None


def _read_answer_message(record: JsonObject) -> Message:
    response = response_of(record)
    return Message(role="assistant", text=str(response.content), calls=response.calls)


def _iter_messages_before(record: TurnRecord, summary: Any) -> Iterator[Message]:  # noqa: ANN401 - as recorded
    """Yield the messages that the agent added to the conversation before it asked the model in a turn.

    These are feedback on the previous answer, a request to continue an answer that was cut off, messages that were sent
    to the agent, and a summary.
    """
    yield from (Message(role="user", text=text) for text in (record.feedback, record.goes_on) if text is not None)
    yield from (Message(role="user", text=text) for text in record.steered)
    if summary is not None:
        found = msgspec.convert(summary, TurnRecord)
        yield Message(role="summary", text=found.text or found.why, covers=found.covers)


def _read_opening_words(first: TurnRecord) -> tuple[str, Message]:
    media = tuple(Media.model_validate(one) for one in first.media)
    return text_in(first.system), Message(role="user", text=text_in(first.question), media=media)


__all__ = ["TurnRequest", "asked_in", "has_conversation", "last_turn", "turn_of"]
