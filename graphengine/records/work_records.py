"""Typed records of the work of agents: the answers of models and the results of tools.

A log stores this work as JSON. Only this module reads that JSON; other readers use `TurnRecord` and `CallRecord`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from graphengine.kernel.extension import JsonObject  # noqa: TC001 - msgspec reads it too
from graphengine.kernel.inside import WorkKey

if TYPE_CHECKING:
    from graphengine.kernel.reader import Recorded


class CalledTool(Struct, frozen=True):
    """A tool call in the answer of a model: the provider's id, the name of the tool, and the arguments as JSON text."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class TurnRecord(Struct, frozen=True):
    """The recorded answer of a model in one turn of an agent, with what was sent to the model before.

    The record of a summary, which replaces earlier messages of a conversation, has the same form.

    Attributes:
        text: The text of the answer.
        calls: The tool calls in the answer.
        stop: Why the answer ended. `end` and `tools` mean that the answer is complete.
        why: The same reason in the provider's words.
        model: The model that answered, as the provider names it.
        server: The address and port of the server that answered.
        id: The provider's id of the answer.
        feedback: Why the previous answer was sent back to the model; None if it was accepted.
        goes_on: The request to continue an answer that was cut off; None if there was no such request.
        steered: The messages that were sent to the agent while it was working.
        note: The explanation of the tags around inserted values; None if it is the same as in the previous turn.
        not_made: Why tool calls of the previous turn were not made, by the index of the call.
        system: The instructions with which the conversation began. Only the first turn records them.
        question: The question with which the conversation began.
        media: The pictures and documents of that question.
        covers: How many messages a summary replaces; 0 for a turn.
        held_seconds: How many seconds the call waited because its limiter allows only some calls at once.
    """

    text: str = ""
    calls: Sequence[CalledTool] = ()
    stop: str = "end"
    why: str = ""
    model: str = ""
    server: str = ""
    id: str = ""
    feedback: str | None = None
    goes_on: str | None = None
    steered: Sequence[str] = ()
    note: str | None = None
    not_made: Mapping[str, str] = {}
    system: str | Sequence[str] = ""
    question: str | Sequence[str] = ""
    media: Sequence[JsonObject] = ()
    covers: int = 0
    held_seconds: float = 0.0


class CallRecord(Struct, frozen=True):
    """The result of a tool call.

    Attributes:
        text: The text that the model receives.
        error: Whether the call failed.
        traceback: The traceback of the exception that the tool's function raised; "" if it raised none.
        arguments: The arguments that a person set when approving the call; None if the person changed nothing.
        writes: The values that the tool writes to the state, by field.
        media: Pictures and documents that the model receives with the text.
        guarded: Whether a guard refused the arguments, so that the call was not made.
    """

    text: str
    error: bool = False
    traceback: str = ""
    arguments: str | None = None
    writes: JsonObject = {}
    media: Sequence[JsonObject] = ()
    guarded: bool = False


WorkRecord: TypeAlias = "TurnRecord | CallRecord"
T = TypeVar("T", TurnRecord, CallRecord)


def work_record(facts: Recorded) -> WorkRecord | None:
    """Return the answer of a model or the result of a tool call that an agent recorded.

    Return None for other recorded results, and for JSON from an imported file that has another form.
    """
    if facts.by is not None:
        return read_record(facts.value, TurnRecord)
    return read_record(facts.value, CallRecord) if WorkKey.read(facts.key).kind == "tool" else None


def turn_record(facts: Recorded) -> TurnRecord | None:
    """Return the answer of a model if a step recorded one; None otherwise."""
    found = work_record(facts)
    return found if isinstance(found, TurnRecord) else None


def call_record(facts: Recorded) -> CallRecord | None:
    """Return the result of a tool call if a step recorded one; None otherwise."""
    found = work_record(facts)
    return found if isinstance(found, CallRecord) else None


def read_record(value: object, kind: type[T]) -> T | None:
    """Convert a JSON value to a record of this kind; return None if the value has another form.

    An imported file can contain any JSON in the place of a record.
    """
    if not isinstance(value, Mapping):
        return None
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


__all__ = [
    "CallRecord",
    "CalledTool",
    "TurnRecord",
    "WorkRecord",
    "call_record",
    "read_record",
    "turn_record",
    "work_record",
]
