"""The parts of a message: text, media, thinking, calls, results, citations, and parts that only the provider knows.

A message stores its text, calls and media. If the answer contains more, the message also stores the answer in its
provider's own form. The parts are read from these, so that nothing is stored twice. A part that is unknown here becomes
a `Native` part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from graphengine.media import Media
from graphengine.models.base import Message, ToolCall
from graphengine.models.received import inside, list_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from graphengine.models.received import JsonObject

C = TypeVar("C", bound="Cited")


@dataclass(frozen=True, slots=True)
class Text:
    """Text of a user message or of an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """A model's thinking, or a summary of the thinking; "" if the provider does not show it."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool that the agent itself called."""

    call_id: str
    text: str
    is_error: bool = False


class Citation(BaseModel):
    """A source that an answer cites.

    Attributes:
        text: The quoted text of the source; "" if the provider gives none.
        title: The source's title; "" if it has none.
        url: The source's address; "" if it has none.
        start: The index at which the supported part of the answer's text begins; None if it is unknown.
        end: The index at which the supported part ends; None if it is unknown.
        native: The citation in the provider's own form, with its place in the source. A `Cited` leaves it out.
    """

    model_config = ConfigDict(frozen=True)
    __unrecorded__: ClassVar = ("model_fields_set",)

    text: str = ""
    title: str = ""
    url: str = ""
    start: int | None = None
    end: int | None = None
    native: dict[str, JsonValue] = Field(default={}, repr=False)


class Cited(BaseModel):
    """An answer with the sources that it cites: `Agent(output=Cited, tools=[web_search()])`.

    Attributes:
        text: The answer.
        citations: The sources, in the order of the text.
    """

    model_config = ConfigDict(frozen=True)
    __unrecorded__: ClassVar = ("model_fields_set",)

    text: str
    citations: tuple[Citation, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, given: object) -> object:
        """Accept a plain text in place of a `Cited`, because a plain text is what the model returns.

        The sources are added afterwards by `with_citations`.
        """
        return {"text": given} if isinstance(given, str) else given

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class HostedCall:
    """A call of a tool that the provider itself ran while it wrote the answer, such as a web search.

    Attributes:
        id: The provider's id of the call.
        name: The tool: `web_search`, `web_fetch`, `code_execution`, or the provider's own name for a part of a tool.
        arguments: The arguments of the call.
    """

    id: str
    name: str
    arguments: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class HostedResult:
    """The result of a tool that the provider itself ran, such as a web search.

    Attributes:
        call_id: The id of the call.
        text: The output of code, or the text of a page; "" for a search.
        sources: The pages that were found or read, each with its address and title.
        is_error: Whether the tool failed; `text` is then the provider's error code.
        native: The result in the provider's own form.
    """

    call_id: str
    text: str
    sources: tuple[tuple[str, str], ...] = ()
    is_error: bool = False
    native: JsonValue = None


@dataclass(frozen=True, slots=True)
class Native:
    """A part of an answer that graphengine does not interpret, kept as the provider sent it.

    Attributes:
        kind: The provider's name for this type of part.
        content: The part in the provider's own form.
    """

    kind: str
    content: JsonValue


Part: TypeAlias = Text | Media | Thinking | ToolCall | ToolResult | HostedCall | HostedResult | Citation | Native


def parts_of(message: Message) -> tuple[Part, ...]:
    if message.role == "tool":
        return (ToolResult(message.call_id, message.text, message.is_error), *message.media)
    native = message.native or {}
    read = _FORMS.get(str(native.get("provider", "")).partition(" ")[0])
    if message.role == "assistant" and read is not None:
        return tuple(read(message, native))
    return (*_iter_text_part(message.text), *message.media, *message.calls)


def _iter_text_part(text: str) -> Iterator[Part]:
    if text:
        yield Text(text)


def _str(value: JsonObject, *keys: str) -> str:
    """Return the first non-empty text among the values of these keys; "" if there is none."""
    found = (value.get(key) for key in keys)
    return next((text for text in found if isinstance(text, str) and text), "")


def _citation(value: JsonObject, start: int | None = None, end: int | None = None) -> Citation:
    value = inside(value, _str(value, "type")) or value  # the form of Chat Completions
    text, title = _str(value, "cited_text", "quote"), _str(value, "title", "document_title", "filename")
    url = _str(value, "url", "source")
    return Citation(text=text, title=title, url=url, start=start, end=end, native=value)


def _annotations(values: list[JsonObject], offset: int | None) -> Iterator[Citation]:
    """Convert the citations of OpenAI's APIs.

    OpenAI counts the characters of a citation from the beginning of its text part. `offset` is the number of characters
    of the answer before that part; None if the part does not belong to the answer's text.
    """
    for value in values:
        place = inside(value, _str(value, "type")) or value
        start, end = place.get("start_index"), place.get("end_index")
        if offset is None or not isinstance(start, int) or not isinstance(end, int):
            yield _citation(value)
        else:
            yield _citation(value, offset + start, offset + end)


def _build_call_finder(message: Message) -> Callable[[str], ToolCall | None]:
    by_id = {call.id: call for call in message.calls}
    return by_id.get


def _iter_anthropic_parts(message: Message, native: JsonObject) -> Iterator[Part]:
    """Yield the parts of an answer of Anthropic's Messages API in order: texts, thinking, tool calls and others."""
    call_of, at = _build_call_finder(message), 0
    for block in list_at(native, "content"):
        kind = _str(block, "type")
        call = call_of(_str(block, "id")) if kind == "tool_use" else None
        if kind == "text":
            text = _str(block, "text")
            yield from _iter_text_part(text)
            for value in list_at(block, "citations"):
                yield _citation(value, at, at + len(text))
            at += len(text)
        elif kind in {"thinking", "redacted_thinking"}:
            yield Thinking(_str(block, "thinking"))
        elif kind == "server_tool_use":
            tool_input = block.get("input")
            yield HostedCall(_str(block, "id"), _str(block, "name"), tool_input if isinstance(tool_input, dict) else {})
        elif kind.endswith("_tool_result") and "tool_use_id" in block:
            yield _read_hosted_result(block)
        else:
            yield Native(kind, block) if call is None else call


def _read_hosted_result(block: JsonObject) -> HostedResult:
    """Convert a result block of a tool that Anthropic ran: a web search, a fetched page, or an execution of code."""
    found = inside(block, "content")
    document = inside(found, "content")
    source = inside(document, "source")
    texts = [_str(found, "stdout"), _str(found, "stderr"), _str(found, "content"), _str(found, "error_code")]
    if source.get("type") == "text":
        texts.append(_str(source, "data"))
    pages = [(_str(page, "url"), _str(page, "title")) for page in list_at(block, "content")]
    if url := _str(found, "url"):
        pages = [(url, _str(document, "title"))]
    text = "\n".join(text for text in texts if text)
    return HostedResult(_str(block, "tool_use_id"), text, tuple(pages), is_error="error_code" in found, native=block)


def _of_responses(message: Message, native: JsonObject) -> Iterator[Part]:
    """Yield the parts of an answer that OpenAI's Responses API returned."""
    call_of, at, items = _build_call_finder(message), 0, list_at(native, "content")
    has_final = any(item.get("phase") == "final_answer" for item in items if item.get("type") == "message")
    for item in items:
        kind = _str(item, "type")
        call = call_of(_str(item, "call_id", "id")) if kind == "function_call" else None
        if kind == "message":
            is_answer = not has_final or item.get("phase") == "final_answer"  # other messages are comments on the work
            for part in list_at(item, "content"):
                yield from _iter_text_part(_str(part, "text", "refusal"))
                yield from _annotations(list_at(part, "annotations"), at if is_answer else None)
                at += len(_str(part, "text")) if is_answer else 0
        elif kind == "reasoning":
            shown = list_at(item, "content") or list_at(item, "summary")
            yield Thinking("\n\n".join(_str(part, "text") for part in shown))
        elif kind in _HOSTED:
            yield from _read_hosted_call(item)
        else:
            yield Native(kind, item) if call is None else call


def _read_hosted_call(item: JsonObject) -> Iterator[HostedCall | HostedResult]:
    """Split an item of OpenAI for a web search or an execution of code into the call and its result.

    OpenAI puts both into one item. The result is left out if the item contains none yet.
    """
    call_id, action = _str(item, "id"), inside(item, "action")
    action = action or ({"code": item["code"]} if item.get("code") else {})
    yield HostedCall(call_id, _HOSTED[_str(item, "type")], {k: v for k, v in action.items() if k != "sources"})
    pages = tuple((_str(page, "url"), _str(page, "title")) for page in list_at(action, "sources"))
    outputs = list_at(item, "outputs")
    failed = item.get("status") in {"failed", "incomplete"}
    if pages or outputs or failed:
        text = "\n".join(_str(output, "logs", "url") for output in outputs)
        yield HostedResult(call_id, text, pages, is_error=failed, native=item)


def _of_chat(message: Message, native: JsonObject) -> Iterator[Part]:
    """Yield the parts of an answer that a server with the Chat Completions API returned.

    Besides text and tool calls, servers send the model's thinking and citations in fields of their own.
    """
    content = inside(native, "content")
    found = dict(inside(content, "message"))
    thinking = [found.pop(key) for key in _THINKING if isinstance(found.get(key), str)]
    thinking += [text] if (text := _str(content, "thinking")) else []
    yield from (Thinking(str(text)) for text in thinking[:1])
    yield from _iter_text_part(message.text)
    yield from _annotations(list_at(content, "annotations"), 0)
    yield from message.calls
    yield from (Native(name, value) for name, value in found.items())


def citations_of(message: Message) -> tuple[Citation, ...]:
    return tuple(part for part in message.parts if isinstance(part, Citation))


def with_citations(value: C, *messages: Message) -> C:
    """Copy the sources that these messages cite into the answer.

    If the text of the answer differs from the text of the last message, the positions of the sources within the text
    are left out, because they would point to the wrong words.
    """
    changes: dict[str, object] = {"native": {}}
    if value.text != messages[-1].text:
        changes |= {"start": None, "end": None}
    found = tuple(each.model_copy(update=changes) for message in messages for each in citations_of(message))
    return value.model_copy(update={"citations": found})


_HOSTED: Final = {"web_search_call": "web_search", "code_interpreter_call": "code_execution"}
"""The tools that OpenAI runs, by the types of their calls."""

_THINKING: Final = ("reasoning_content", "reasoning")
"""Names under which servers send a model's thinking. Some servers send it under both."""

_FORMS: Final = {"anthropic": _iter_anthropic_parts, "openai": _of_responses, "openai-chat": _of_chat}
"""The function that reads each provider's own form, by the first word of the provider's name in `Message.native`."""


__all__ = [
    "Citation",
    "Cited",
    "HostedCall",
    "HostedResult",
    "Native",
    "Part",
    "Text",
    "Thinking",
    "ToolResult",
    "citations_of",
    "parts_of",
    "with_citations",
]
