"""Pair calls and results for providers: each call has its result, and its id is unique in the conversation.

Providers refuse a call without a result after it, and a result without its call. Conversations may contain both,
because `history=` may leave a message out, and because other code may write a state. In addition, some servers start
counting the ids again in each answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from itertools import count
from typing import TYPE_CHECKING, Final, TypeVar

from graphengine.models.base import Message, ToolCall
from graphengine.models.received import list_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import JsonValue

_ID_OF: Final = {"tool_use": "id", "function_call": "call_id"}
"""For each type of native call, the field with its id."""


def paired(messages: Sequence[Message]) -> Sequence[Message]:
    """Make every tool call in a conversation be followed by its result, as providers demand.

    Calls without a result and results without a call are left out. So are answers that are then empty.
    """
    result: list[Message] = []
    is_changed, place = False, 0
    while place < len(messages):
        message, place = messages[place], place + 1
        results: list[Message] = []
        while message.role == "assistant" and place < len(messages) and messages[place].role == "tool":
            results.append(messages[place])
            place += 1
        if message.role == "tool" or (not message.calls and results):
            is_changed = True
            result += [message] if message.role != "tool" else []
            continue
        open_, answered = Counter(call.id for call in message.calls), Counter(each.call_id for each in results)
        if open_ != answered:
            is_changed = True
            both = open_ & answered
            results, calls = _take_by_ids(results, both, "call_id"), _take_by_ids(message.calls, both, "id")
            message = message.model_copy(update={"calls": tuple(calls)})
            result += [message] if message.calls or message.text.strip() else []
        else:
            result.append(message)
        result += results
    return result if is_changed else messages


_Named = TypeVar("_Named", Message, ToolCall)


def _take_by_ids(found: Iterable[_Named], ids: Counter[str], key: str) -> list[_Named]:
    """Return those tool calls or results whose ids are among the given ids, each id as often as the counter says.

    If the counter contains an id twice, the first two items with this id are returned.
    """
    left = ids.copy()
    taken = []
    for each in found:
        identity = getattr(each, key)
        if left[identity]:
            left[identity] -= 1
            taken.append(each)
    return taken


def told_apart(messages: Sequence[Message]) -> Sequence[Message]:
    """Give each tool call of a conversation a different id, and pair each call with its result (see `paired`).

    Some servers use the same id for several calls, which other providers refuse. If several answers use the same id, a
    result belongs to the call in the newest answer before it.
    """
    messages = paired(messages)
    ids = [call.id for message in messages for call in message.calls]
    taken = set(ids)
    if len(taken) == len(ids) and "" not in taken:
        return messages
    result: list[Message] = []
    used_ids = {""}
    waiting: defaultdict[str, deque[str]] = defaultdict(deque)
    for message in messages:
        if message.calls:
            waiting.clear()
            names: list[str] = []
            for call in message.calls:
                others = (f"{call.id or 'call'}_{number}" for number in count(2))
                names.append(
                    call.id if call.id not in used_ids else next(other for other in others if other not in taken)
                )
                used_ids.add(names[-1])
                taken.add(names[-1])
                waiting[call.id].append(names[-1])
            calls = [call.model_copy(update={"id": name}) for call, name in zip(message.calls, names, strict=True)]
            result.append(
                message.model_copy(update={"calls": tuple(calls), "native": _rename_native_ids(message.native, names)})
            )
        elif message.role == "tool" and waiting[message.call_id]:
            result.append(message.model_copy(update={"call_id": waiting[message.call_id].popleft()}))
        else:
            result.append(message)
    return result


def _rename_native_ids(native: dict[str, JsonValue] | None, names: Sequence[str]) -> dict[str, JsonValue] | None:
    """Replace the ids of the tool calls in the provider's own JSON of an answer by these new ids, in order."""
    if native is None or not isinstance(native.get("content"), list):
        return native
    left = deque(names)
    parts: list[JsonValue] = []
    for part in list_at(native, "content"):
        key = _ID_OF.get(str(part.get("type")))
        parts.append({**part, key: left.popleft()} if key and left else part)
    return {**native, "content": parts}


__all__ = ["paired", "told_apart"]
