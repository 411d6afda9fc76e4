"""Ids of calls that are unique in a conversation, which providers require: some servers count anew in each answer."""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import count
from typing import TYPE_CHECKING, Final

from graphengine.models.received import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from graphengine.models.base import Message

_ID_OF: Final = {"tool_use": "id", "function_call": "call_id"}
"""Where the native parts of calls have their ids, by type."""


def told_apart(messages: Sequence[Message]) -> Sequence[Message]:
    """Return messages in which no two calls have one id. A result belongs to the call of its id in the last answer."""
    ids = [call.id for message in messages for call in message.calls]
    taken = set(ids)
    if len(taken) == len(ids) and "" not in taken:
        return messages
    made: list[Message] = []
    seen = {""}
    waiting: defaultdict[str, deque[str]] = defaultdict(deque)
    for message in messages:
        if message.calls:
            waiting.clear()
            names: list[str] = []
            for call in message.calls:
                others = (f"{call.id or 'call'}_{number}" for number in count(2))
                names.append(call.id if call.id not in seen else next(other for other in others if other not in taken))
                seen.add(names[-1])
                taken.add(names[-1])
                waiting[call.id].append(names[-1])
            calls = [call.model_copy(update={"id": name}) for call, name in zip(message.calls, names, strict=True)]
            made.append(message.model_copy(update={"calls": tuple(calls), "native": _renamed(message.native, names)}))
        elif message.role == "tool" and waiting[message.call_id]:
            made.append(message.model_copy(update={"call_id": waiting[message.call_id].popleft()}))
        else:
            made.append(message)
    return made


def _renamed(native: dict[str, JsonValue] | None, names: Sequence[str]) -> dict[str, JsonValue] | None:
    """Return an answer in its provider's form with other ids of its calls."""
    if native is None or not isinstance(native.get("content"), list):
        return native
    left = deque(names)
    parts: list[JsonValue] = []
    for part in listed(native, "content"):
        key = _ID_OF.get(str(part.get("type")))
        parts.append({**part, key: left.popleft()} if key and left else part)
    return {**native, "content": parts}


__all__ = ["told_apart"]
