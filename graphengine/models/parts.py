"""The parts of a message: text, media, thinking, calls, results, citations, and what only its provider knows.

A message stores its text, calls and media, and the answer in its provider's own form, if that holds more. The parts are
read from these, so nothing is stored twice; what is not known here is a `Native` part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from graphengine.models.base import Message, ToolCall
from graphengine.state.media import Media

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import JsonValue

    JsonObject: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Text:
    """Text of a question or an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a model thought, or its summary; "" if the provider shows none."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool call."""

    call_id: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Citation:
    """A source that an answer cites.

    Attributes:
        text: The cited text of the source, "" if the provider gives none.
        title: The source's title, "" for none.
        url: Its address, "" for none.
        native: The citation in the provider's own form, with its place in the source.
    """

    text: str
    title: str
    url: str
    native: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Native:
    """A part that only its provider knows, as a search that it made.

    Attributes:
        kind: The provider's type of it.
        content: The part in the provider's own form.
    """

    kind: str
    content: JsonValue


Part: TypeAlias = Text | Media | Thinking | ToolCall | ToolResult | Citation | Native


def parts_of(message: Message) -> tuple[Part, ...]:
    """Return the parts of a message in order."""
    if message.role == "tool":
        return (ToolResult(message.call_id, message.text, message.is_error), *message.media)
    native = message.native or {}
    read = _FORMS.get(str(native.get("provider", "")).partition(" ")[0])
    if message.role == "assistant" and read is not None:
        return tuple(read(message, native.get("content")))
    return (*_text(message.text), *message.media, *message.calls)


def _text(text: str) -> Iterator[Part]:
    if text:
        yield Text(text)


def _str(value: JsonObject, *keys: str) -> str:
    """Return the first text at one of the keys, "" if there is none."""
    found = (value.get(key) for key in keys)
    return next((text for text in found if isinstance(text, str) and text), "")


def _objects(value: object) -> list[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _citation(value: JsonObject) -> Citation:
    inner = value.get(_str(value, "type"))
    value = inner if isinstance(inner, dict) else value  # Chat Completions
    text, title = _str(value, "cited_text", "quote"), _str(value, "title", "document_title", "filename")
    return Citation(text, title, _str(value, "url", "source"), value)


def _calls(message: Message) -> Callable[[str], ToolCall | None]:
    """Return a function that finds a call of the message by its id."""
    by_id = {call.id: call for call in message.calls}
    return by_id.get


def _of_messages(message: Message, content: JsonValue) -> Iterator[Part]:
    """Read the blocks of Anthropic's Messages."""
    call_of = _calls(message)
    for block in _objects(content):
        kind = _str(block, "type")
        call = call_of(_str(block, "id")) if kind == "tool_use" else None
        if kind == "text":
            yield from _text(_str(block, "text"))
            yield from map(_citation, _objects(block.get("citations")))
        elif kind in {"thinking", "redacted_thinking"}:
            yield Thinking(_str(block, "thinking"))
        else:
            yield Native(kind, block) if call is None else call


def _of_responses(message: Message, content: JsonValue) -> Iterator[Part]:
    """Read the items of OpenAI's Responses."""
    call_of = _calls(message)
    for item in _objects(content):
        kind = _str(item, "type")
        call = call_of(_str(item, "call_id", "id")) if kind == "function_call" else None
        if kind == "message":
            for part in _objects(item.get("content")):
                yield from _text(_str(part, "text", "refusal"))
                yield from map(_citation, _objects(part.get("annotations")))
        elif kind == "reasoning":
            shown = _objects(item.get("content")) or _objects(item.get("summary"))
            yield Thinking("\n\n".join(_str(part, "text") for part in shown))
        else:
            yield Native(kind, item) if call is None else call


def _of_chat(message: Message, content: JsonValue) -> Iterator[Part]:
    """Read the fields that servers add to Chat Completions."""
    more = content.get("message") if isinstance(content, dict) else None
    found = dict(more) if isinstance(more, dict) else {}
    thinking = [found.pop(key) for key in _THINKING if isinstance(found.get(key), str)]
    yield from (Thinking(str(text)) for text in thinking[:1])
    yield from _text(message.text)
    yield from map(_citation, _objects(content.get("annotations") if isinstance(content, dict) else None))
    yield from message.calls
    yield from (Native(name, value) for name, value in found.items())


_THINKING: Final = ("reasoning_content", "reasoning")
"""Names under which servers send what a model thought; some send it under both."""

_FORMS: Final = {"anthropic": _of_messages, "openai": _of_responses, "openai-chat": _of_chat}
"""How the form of each provider is read, by the first word of its name in `Message.native`."""


__all__ = ["Citation", "Native", "Part", "Text", "Thinking", "ToolResult", "parts_of"]
