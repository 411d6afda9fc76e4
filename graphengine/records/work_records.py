"""What agents and children recorded, as typed records: a log's JSON is read here once, and by nobody else."""

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
    """A call that a model made: the provider's id, the tool's name, and the arguments as it wrote them."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class TurnRecord(Struct, frozen=True):
    """What a model answered in a turn, or to the request for a summary, and what it had been told before.

    Attributes:
        text: Its text.
        calls: The calls that it made.
        stop: Why it ended; `end` or `tools` for an answer that is whole.
        why: Why, in the provider's words.
        model: The model that answered, as the provider names it.
        server: The address that answered, with its port.
        id: The provider's id of the answer.
        feedback: Why the answer of the turn before was sent back; None if it was not.
        goes_on: What it was told to go on with its answer, which was cut; None if it was not.
        steered: What it was sent while it was at work.
        note: The note on the tags in what it was told; None for that of the turn before.
        not_made: Why calls of the turn before were not made, by their index.
        system: The instructions with which the conversation began; only its first turn has them.
        question: The question with which it began.
        media: The media of that.
        covers: Of a summary, how many messages it replaces.
        held_seconds: How long the call waited for others of its model's limiter.
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
    """What a call of a tool gave back.

    Attributes:
        text: What the model is told.
        error: Whether it failed.
        traceback: Where its function raised; "" if it did not.
        arguments: Those that a person gave it instead; None if nobody changed them.
        writes: What it writes of the state, by field.
        media: What it shows besides the text.
    """

    text: str
    error: bool = False
    traceback: str = ""
    arguments: str | None = None
    writes: JsonObject = {}
    media: Sequence[JsonObject] = ()


WorkRecord: TypeAlias = "TurnRecord | CallRecord"
T = TypeVar("T", TurnRecord, CallRecord)


def work_record(facts: Recorded) -> WorkRecord | None:
    """Return what an agent recorded; None for other work, and for what no agent wrote so."""
    if facts.by is not None:
        return read_record(facts.value, TurnRecord)
    return read_record(facts.value, CallRecord) if WorkKey.read(facts.key).kind == "tool" else None


def turn_record(facts: Recorded) -> TurnRecord | None:
    """Return what a model answered; None for other work."""
    found = work_record(facts)
    return found if isinstance(found, TurnRecord) else None


def call_record(facts: Recorded) -> CallRecord | None:
    """Return what a call of a tool gave back; None for other work."""
    found = work_record(facts)
    return found if isinstance(found, CallRecord) else None


def read_record(value: object, kind: type[T]) -> T | None:
    """Return a record of this kind; None if it is none: a file from elsewhere can have anything."""
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
