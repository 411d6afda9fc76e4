"""The protocol between agents and models.

A `Model` receives a `Request` (a whole conversation, the tools that may be called, the schema of the answer) and
returns one `Response`. It keeps no state between calls, so a conversation that began with one provider can continue
with another. `Message`, `ToolCall`, `Response` and the subclasses of `ModelError` are the same for every provider.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from operator import not_
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, TypeAlias, cast, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from graphengine.media import Media, label
from graphengine.models.errors import (
    AnswerTorn,
    BadRequest,
    ModelError,
    ModelTimeout,
    ModelUnavailable,
    ModelUnreachable,
)
from graphengine.models.received import Watch
from graphengine.models.settings import NO_SETTINGS, Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from graphengine.kernel.extension import Clock
    from graphengine.kernel.reader import Usage
    from graphengine.models.hosted import HostedTool
    from graphengine.models.parts import Part

Stop: TypeAlias = Literal["end", "tools", "cut", "refused", "full"]
"""The reason why an answer ends.

- `end`: the answer is complete.
- `tools`: the answer calls tools.
- `cut`: the answer reached `max_tokens`.
- `refused`: the model or its provider refused to answer.
- `full`: the context window is full.
"""

Form: TypeAlias = Literal["", "native", "words"]
"""How the schema of an answer was sent: not at all, in the API's own form, or in words in the instructions."""

_WORD: Final = re.compile(r"\s*\S+\s*|\s+")


def _is_none(value: object) -> bool:
    return value is None


class ToolCall(BaseModel):
    """A model's request to call a tool.

    Attributes:
        id: The provider's id of this call. The message with the tool's result refers to it.
        name: The name of the tool.
        arguments: The arguments as the model wrote them: the text of a JSON object, possibly malformed.
    """

    model_config = ConfigDict(frozen=True)
    __unrecorded__: ClassVar = ("model_fields_set",)

    id: str
    name: str
    arguments: str = "{}"


class Message(BaseModel):
    """One message of a conversation, in a form that fits every provider and that a state can contain.

    Attributes:
        role: `user` (the question), `assistant` (the model's answer), `tool` (a tool's result), or `summary` (the
            replacement of earlier messages that are no longer sent).
        text: The message's text.
        calls: In an assistant's message: the tools that it calls.
        media: The media that a question or a tool's result shows besides its text. In the text, `[media 1: photo.png]`
            refers to the first of them.
        call_id: In a tool's message: the id of the call that produced this result.
        is_error: In a tool's message: whether the tool failed; `text` is then the error.
        agent: The agent that wrote the message, or that received it.
        tags: In a question: the names of the tags that enclose texts of other authors.
        covers: In a summary: the number of messages that it replaces, counted from the first.
        tokens: In an assistant's message: the tokens of the conversation up to and including this message, as the
            provider counted them, without the share of instructions and tools; None if the number is unknown.
        native: In an assistant's message: the provider's own form, `{"provider": …, "content": …}`. This provider must
            get it back unchanged (signed thinking, for instance). Other providers ignore it.
        unsealed: In an assistant's message: the provider that refused the native form of earlier answers, because
            another key or region had sealed them. These answers are no longer sent to it in native form. "" if no
            provider refused them.
    """

    model_config = ConfigDict(frozen=True)
    __unrecorded__: ClassVar = ("model_fields_set",)

    role: Literal["user", "assistant", "tool", "summary"]
    # Fields with their default are not written, because states contain many messages.
    text: str = Field(default="", exclude_if=not_)
    media: tuple[Media, ...] = Field(default=(), exclude_if=not_)
    calls: tuple[ToolCall, ...] = Field(default=(), exclude_if=not_)
    call_id: str = Field(default="", exclude_if=not_)
    is_error: bool = Field(default=False, exclude_if=not_)
    agent: str = Field(default="", exclude_if=not_)
    tags: tuple[str, ...] = Field(default=(), exclude_if=not_)
    covers: int = Field(default=0, exclude_if=not_)
    tokens: int | None = Field(default=None, exclude_if=_is_none)
    native: dict[str, JsonValue] | None = Field(default=None, exclude_if=_is_none)
    unsealed: str = Field(default="", exclude_if=not_)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the message: `Text`, `Media`, `Thinking`, `ToolCall`, `ToolResult`, `Citation` and `Native`.

        Example:
            >>> Message(role="user", text="Hello").parts
            (Text(text='Hello'),)
        """
        from graphengine.models.parts import parts_of  # noqa: PLC0415 - that module reads messages

        return parts_of(self)

    def labelled_media(self) -> Iterator[tuple[str, Media]]:
        """Yield each media object of the message with its label, such as `[media 1: photo.png]`.

        An adapter sends the label before the media object, so that the model knows which object a text means.
        """
        for number, one in enumerate(self.media, 1):
            yield label(number, one), one


PDF: Final = "application/pdf"
CHARACTERS_PER_TOKEN: Final = 4
PICTURE_TOKENS: Final = 1600
"""The largest number of tokens of a picture. Anthropic scales larger pictures down to this number."""
_BYTES_PER_TOKEN: Final = 30
"""The approximate number of bytes per token in documents.

A page with text and its picture has 3,000 tokens and 90 KB.
"""


def cannot_show(one: Media) -> BadRequest:
    repair = "give the media to another model, or convert them to text or pictures in a node before"
    if one.url or one.file_id:
        repair = "give the data of the media: Media(data=…). Or give the media to another model"
    how = " by its address" if one.url else " by an id" if one.file_id else ""
    return BadRequest(f"the API of the model does not accept media of type {one.type}{how} ({one})", repair=repair)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """The description of a tool that is sent to a model, so that the model can call the tool.

    Args:
        name: The tool's name.
        description: The tool's purpose.
        schema: The JSON Schema of the tool's arguments (an object).
        may_be_strict: Whether an API may force the model to follow the schema, if the schema can be expressed in the
            API's form for that.
    """

    name: str
    description: str
    schema: Mapping[str, JsonValue]
    may_be_strict: bool = field(default=True, repr=False)


class CallerWait(Protocol):
    """How an agent waits while its call is in the queue of a rate limiter.

    A run provides its own clock, and stops waiting when the run is cancelled or the worker shuts down.
    """

    @property
    def clock(self) -> Clock:
        """The clock by which waiting times are measured."""
        ...

    async def first_of(self, *awaited: asyncio.Future[Any]) -> None:
        """Wait until at least one of the given futures is done, for a call that its rate limiter delays.

        If the run is cancelled or the worker shuts down meanwhile, the calling task is cancelled instead.
        """
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that an agent passes to a model for one call: conversation, tools, schema and callbacks.

    Attributes:
        agent: The name of the calling agent.
        system: The agent's standing instructions; "" if there are none.
        note: The end of `system` that the engine adds, which explains the tags of the prompt.
        messages: The conversation, oldest message first. The last message is a user's or a tool's. A summary replaces
            the messages before it and is sent as a user's message.
        schema: The JSON Schema of the answer, which always describes an object; None for a text answer. A model without
            native support for schemas puts it into the instructions.
        output: The schema's name, such as `Review`.
        tools: The tools that the model may call.
        hosted: The tools that the provider may run.
        settings: How to answer, such as the token limit and the amount of thinking; see `Settings`.
        compact_from: The number of tokens from which the provider itself replaces older messages by a shorter form;
            None if it must not. A model without the protocol `Compacts` ignores this.
        on_text: Receives the text of the answer piece by piece as it arrives; None if the caller does not want it. A
            model that cannot stream ignores this.
        on_thinking: Receives the model's thinking in the same way, if the provider shows it.
        on_reset: Called with the reason when the text that was passed on does not count, because the call failed; None
            if the caller does not want to know. The call may then be made again, or by another model.
        on_begin: Called when the first part of the answer arrives, whether text, thinking or a tool call; None if the
            caller does not want to know. It can be called more than once. A model that cannot stream ignores this.
        on_spent: Receives the usage of each call that failed; see `usage_of_failure`.
        watch: Tells whether anybody watches the text that `on_text` and `on_thinking` receive; None if the caller wants
            each piece as soon as it arrives.
        waits: How to wait in the model's queue; None for the machine's clock. Adapters ignore this.
        path: The path of the node that asks in a run, such as `ask[2]` for an item of a map; "" outside a run.
        by_rules: The agent's rule-based answer to this question; None if the agent has no rules.
    """

    agent: str
    system: str
    messages: Sequence[Message]
    schema: Mapping[str, JsonValue] | None = None
    output: str = "answer"
    tools: Sequence[ToolSpec] = ()
    hosted: Sequence[HostedTool] = ()
    settings: Settings = NO_SETTINGS
    compact_from: int | None = None
    on_text: Callable[[str], None] | None = None
    on_thinking: Callable[[str], None] | None = None
    on_reset: Callable[[str], None] | None = None
    on_begin: Callable[[], None] | None = None
    on_spent: Callable[[Usage], None] | None = None
    waits: CallerWait | None = None
    by_rules: Callable[[], Awaitable[object]] | None = None
    note: str = ""
    watch: Watch | None = None
    path: str = ""

    @property
    def streams(self) -> bool:
        """Whether the caller wants parts of the answer before it is complete."""
        return self.on_text is not None or self.on_thinking is not None or self.on_begin is not None

    def began(self) -> None:
        """Report to the caller that the first part of the answer has arrived.

        An adapter that streams calls `began` for every part of the answer, including parts that are not text.
        """
        if self.on_begin is not None:
            self.on_begin()

    def emit_text(self, text: str) -> None:
        """Pass a piece of the answer's text to `on_text`. Adapters that stream the answer call this method."""
        if self.on_text is not None:
            self.on_text(text)

    def emit_whole(self, text: str) -> None:
        """Stream a complete answer word by word, for a model that cannot stream.

        If nobody watches the run, `emit_whole` passes the answer on in one piece, because small pieces would only cost
        time.
        """
        self.began()
        if self.on_text is not None:
            is_watched = self.watch is None or self.watch.is_watched()
            for piece in _WORD.findall(text) if is_watched else [text]:
                self.on_text(piece)

    def emit_thinking(self, text: str) -> None:
        """Pass a piece of the model's thinking to `on_thinking`. Adapters that stream the answer call this method."""
        if self.on_thinking is not None:
            self.on_thinking(text)

    def bare(self) -> Request:
        """Return a copy of the request whose earlier answers contain only text and tool calls, not the provider's JSON.

        An adapter sends this copy when the provider has refused the JSON of earlier answers, for example because
        another API key had encrypted the thinking in it.
        """
        return replace(self, messages=[message.model_copy(update={"native": None}) for message in self.messages])

    def with_tool_names(self) -> Request:
        """Return a copy of the request with a description of every tool that earlier answers called.

        `with_tool_names` is needed because some providers refuse a conversation that calls a tool which the request
        does not describe. A tool that the agent no longer has is described as removed, with a schema that allows any
        arguments. If no tool is missing, the request itself is returned.
        """
        declared_names = {tool.name for tool in self.tools}
        named = dict.fromkeys(
            call.name for message in self.messages for call in message.calls if call.name not in declared_names
        )
        gone = [
            ToolSpec(name, "This tool is gone: do not call it.", {"type": "object", "properties": {}}) for name in named
        ]
        return replace(self, tools=[*self.tools, *gone]) if gone else self

    @property
    def prompt(self) -> str:
        """The text of the newest user message; "" if there is none. Tests read it to see what an agent asked."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")


def without_refused(messages: Sequence[Message]) -> Sequence[Message]:
    """Remove the provider's own JSON from answers that the provider has already refused to read back.

    A later answer records such a refusal in `Message.unsealed`. Without this step, every further call would first be
    refused once more before it succeeds.
    """
    refused: set[object] = set()
    kept: list[Message] = []
    for message in reversed(messages):
        is_refused = message.native is not None and message.native.get("provider") in refused
        kept.append(message.model_copy(update={"native": None}) if is_refused else message)
        refused |= {message.unsealed} if message.unsealed else set()
    return kept[::-1] if refused else messages


@dataclass(frozen=True, slots=True)
class Response:
    """The answer of a model to one request.

    Attributes:
        content: The text, "" for no text; or a value that was not made from text (a rule-based answer).
        calls: The tools to call before the conversation is continued.
        stop: Why the answer ends.
        why: The provider's explanation of a refusal; "" if there is none.
        model: The model that answered, such as `anthropic:claude-…`; "" for the model that was called.
        input_tokens: All tokens of the question, including those read from and written to a cache.
        cache_read_tokens: The input tokens that were read from the provider's cache.
        cache_write_tokens: The input tokens that were written to the provider's cache.
        output_tokens: All tokens of the answer, including those of its thinking.
        reasoning_tokens: The output tokens that were used for thinking.
        cost_usd: The cost in US dollars; None if it is unknown.
        offline: Whether no language model was involved.
        native: The answer in the provider's own form; see `Message.native`.
        form: How the schema of a typed answer was sent; "" if there is no schema, or the adapter does not report it.
        id: The provider's id of the answer; "" if there is none.
        server: The server that answered, such as `api.openai.com:443`; "" if no server answered, or the adapter does
            not report it.
        unsealed: The provider, if it refused the native form of earlier answers, see `Message.unsealed`; otherwise "".
        held_seconds: How long the call waited before it began because the limiter allowed no more calls at once
            (`RateLimiter(calls_at_once=…)`); 0.0 if it did not wait.
    """

    content: object
    calls: tuple[ToolCall, ...] = ()
    stop: Stop = "end"
    why: str = ""
    model: str = ""
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    offline: bool = False
    native: dict[str, JsonValue] | None = None
    form: Form = ""
    id: str = ""
    server: str = ""
    unsealed: str = ""
    held_seconds: float = 0.0

    def __post_init__(self) -> None:
        # A member of a str Enum would be formatted as its name.
        if isinstance(self.content, str) and type(self.content) is not str:
            object.__setattr__(self, "content", str.__str__(self.content))


def usage_of(response: Response) -> Usage:
    """Convert the token counts and the cost of an answer to the usage that a step records.

    Cache and reasoning tokens are left out if they are 0, so that steps stay small.
    """
    used: Usage = {
        "calls": 1,
        "offline_calls": int(response.offline),
        "input_tokens": response.input_tokens,
        "output_tokens": response.output_tokens,
        "cost_usd": response.cost_usd,
    }
    for name in ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens"):
        if getattr(response, name):
            used[name] = getattr(response, name)
    return used


UNKNOWN_USAGE: Final[Usage] = {
    "calls": 1,
    "offline_calls": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "unknown_calls": 1,
    "cost_usd": None,
}
"""The usage of a call that was in flight and may be billed, but reported nothing. Its tokens are counted as 0."""


def at_least(reported: Usage) -> Usage:
    """Mark usage as a lower bound, because the call broke off after the provider had reported this usage.

    The provider may bill more. The total cost therefore becomes unknown, and the cost so far moves to `priced_usd`.

    Example:
        >>> at_least({"calls": 1, "input_tokens": 12, "cost_usd": 0.5})
        {'calls': 1, 'input_tokens': 12, 'cost_usd': None, 'unknown_calls': 1, 'priced_usd': 0.5}
    """
    return {**reported, "unknown_calls": 1, "cost_usd": None, "priced_usd": reported.get("cost_usd") or 0.0}


_MAY_BE_PAID: Final = (AnswerTorn, ModelTimeout, ModelUnreachable, asyncio.CancelledError)


def usage_of_failure(error: BaseException) -> Usage:
    """Return the usage to record for a model call that failed.

    If the provider reported the usage, that usage is returned. Otherwise the usage is unknown if the provider may have
    billed the call, as after a timeout, and {} if the provider refused the call.

    Example:
        >>> from graphengine.models import ModelTimeout, RateLimited
        >>> usage_of_failure(RateLimited("later")), usage_of_failure(ModelTimeout("late"))["cost_usd"]
        ({}, None)
    """
    if isinstance(error, ModelError) and error.usage is not None:
        return cast("Usage", error.usage)
    return UNKNOWN_USAGE if isinstance(error, _MAY_BE_PAID) else {}


def estimate_tokens(request: Request) -> int:
    """Estimate the number of tokens of a request from its length, so that limits can be checked before the call."""
    return characters(request) // CHARACTERS_PER_TOKEN + 1


def characters(request: Request) -> int:
    """Count the characters of a request, from which its number of tokens is estimated.

    Each image or document counts as many characters as a text with the same number of tokens would have.
    """
    count = len(request.system)
    for message in request.messages:
        count += len(message.text) + sum(len(call.arguments) for call in message.calls)
        count += sum(media_tokens(one) * CHARACTERS_PER_TOKEN for one in message.media)
    return count


def media_tokens(one: Media) -> int:
    """Estimate the tokens of an image or document.

    An image counts as the largest number that a provider charges for an image. A document counts by its size in bytes.
    """
    return PICTURE_TOKENS if one.kind == "image" else max(PICTURE_TOKENS, one.size_bytes // _BYTES_PER_TOKEN)


class Model(Protocol):
    """A language model, or a replacement for one, that agents can call."""

    @property
    def name(self) -> str:
        """The model's name in usage and messages, such as `anthropic:claude-…`."""
        ...

    async def answer(self, request: Request) -> Response:
        """Call the model once and return its complete answer."""
        ...


@runtime_checkable
class Closes(Protocol):
    """A model that holds network connections, and can close them.

    A Runner that stops calls `close` of a model if no other Runner uses the model any more. If the model is used again
    later, it opens new connections.
    """

    async def close(self) -> None:
        """Close the connections that belong to the running event loop."""
        ...


@runtime_checkable
class Compacts(Protocol):
    """A model whose provider can replace older messages of a long conversation by a shorter form itself.

    `compacts(tokens)` returns whether the provider accepts this number of tokens as the threshold. The shorter form is
    stored in `Message.native`.
    """

    def compacts(self, tokens: int) -> bool: ...


@runtime_checkable
class HasKeys(Protocol):
    """An interface of models that can list their secret API keys, so that the keys can be removed from texts."""

    def __keys__(self) -> Sequence[str]:
        """Return the API keys of the model, so that they can be removed from prompts, errors and logs."""
        ...


@runtime_checkable
class ChecksSetUp(Protocol):
    """An interface of models that can check, before a call, whether their key and their packages are available."""

    def check_set_up(self) -> None:
        """Check that the key and the packages are available, without loading packages or calling a server.

        Raises:
            ModelUnavailable: The key or a package is missing; the repair describes how to get it.
        """
        ...


@runtime_checkable
class KnowsPrices(Protocol):
    """An interface of models that can say before a call whether the cost of their answers will be known.

    A run with a cost limit calls `knows_price` before it calls the model, because the run cannot enforce the limit if
    the cost of an answer is unknown.
    """

    async def knows_price(self) -> bool:
        """Return whether the cost of the model's answers will be known (`Response.cost_usd`)."""
        ...


@runtime_checkable
class KnowsWindow(Protocol):
    """An interface of models that may know the size of their context window."""

    async def window_tokens(self) -> int | None:
        """Return the size of the context window, in tokens of question and answer together; None if it is unknown."""
        ...


@runtime_checkable
class EstimatesCosts(Protocol):
    """An interface of models that can estimate the cost of a call from its number of tokens."""

    async def price_of(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return the cost in US dollars of a call with these numbers of tokens, without any cached tokens.

        The result is None if unknown.
        """
        ...


class RulesModel:
    """Answers an agent's prompt with the Python function that was passed to the agent as `by_rules=`, at no cost.

    Attributes:
        name: `rules`.
        calls_tools: Whether the model calls tools of the agent. A function of rules never does; `PlaceholderModel` can.
    """

    name = "rules"
    calls_tools = False

    async def answer(self, request: Request) -> Response:
        """Call the agent's `by_rules=` function and return its result.

        Raises:
            ModelUnavailable: The agent has no `by_rules=` function.
        """
        if request.by_rules is None:
            raise ModelUnavailable(
                f"agent {request.agent!r} has no by_rules= function, which the model 'rules' needs to answer",
                where=f"agent {request.agent}",
                repair="give the agent by_rules=function, or use a model that can be called: anthropic:MODEL, "
                "openai:MODEL, openai-chat:MODEL@http://HOST:PORT/v1",
            )
        return Response(await request.by_rules(), cost_usd=0.0, offline=True)

    async def knows_price(self) -> bool:
        """Return True, because rules cost nothing."""
        return True


__all__ = [
    "PDF",
    "UNKNOWN_USAGE",
    "CallerWait",
    "ChecksSetUp",
    "Closes",
    "Compacts",
    "EstimatesCosts",
    "Form",
    "HasKeys",
    "KnowsPrices",
    "KnowsWindow",
    "Message",
    "Model",
    "Request",
    "Response",
    "Stop",
    "ToolCall",
    "ToolSpec",
    "Watch",
    "at_least",
    "cannot_show",
    "characters",
    "estimate_tokens",
    "media_tokens",
    "usage_of",
    "usage_of_failure",
    "without_refused",
]
