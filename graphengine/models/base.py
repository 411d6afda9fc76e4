"""The protocol between agents and models.

A `Model` takes a `Request` (a whole conversation, the tools that may be called, the schema of the answer) and returns
one `Response`. It keeps no state between calls, so a conversation that was begun with one provider can be continued
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
"""Why an answer ends: it is complete; it calls tools; it reached `max_tokens`; it was refused; the context window is
full."""

Form: TypeAlias = Literal["", "native", "words"]
"""How the schema of an answer was sent: not at all, in the API's own form, or in words in the instructions."""

_WORD: Final = re.compile(r"\s*\S+\s*|\s+")


def _is_none(value: object) -> bool:
    return value is None


class ToolCall(BaseModel):
    """A model's request to call a tool.

    Attributes:
        id: The provider's id of this call; the tool's result refers to it.
        name: The tool.
        arguments: The arguments as the model wrote them: the text of a JSON object, possibly malformed.
    """

    model_config = ConfigDict(frozen=True)
    __unrecorded__: ClassVar = ("model_fields_set",)

    id: str
    name: str
    arguments: str = "{}"


class Message(BaseModel):
    """One message of a conversation, in a form that fits every provider and that a state can hold.

    Attributes:
        role: `user` (the question), `assistant` (the model's answer), `tool` (a tool's result), `summary` (the
            replacement of earlier messages that are no longer sent).
        text: The message's text.
        calls: For an assistant's message: the tools that it calls.
        media: What the question or a tool's result shows besides its text, where `[media 1: photo.png]` stands for the
            first of it.
        call_id: For a tool's message: the call that it is the result of.
        is_error: For a tool's message: whether the tool failed; `text` is then the error.
        agent: The agent that wrote the message, or that received it.
        tags: For a question: the names of the tags between which its text has what others wrote.
        covers: For a summary: how many messages it replaces, counted from the first.
        tokens: For an assistant's message: the tokens of the conversation up to and including it, as the provider
            counted them, less the share of instructions and tools; None if that is unknown.
        native: For an assistant's message: `{"provider": …, "content": …}`, the provider's own form, which that
            provider must get back unchanged (signed thinking, for instance). Other providers ignore it.
        unsealed: For an assistant's message: the provider that refused earlier answers in its own form, as another key
            or region had sealed them; they are not sent to it so again. "" for none.
    """

    model_config = ConfigDict(frozen=True)
    __unrecorded__: ClassVar = ("model_fields_set",)

    role: Literal["user", "assistant", "tool", "summary"]
    text: str = Field(default="", exclude_if=not_)  # what is the default is not written: states have many messages
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
        """Its parts in order: `Text`, `Media`, `Thinking`, `ToolCall`, `ToolResult`, `Citation` and `Native`.

        Example:
            >>> Message(role="user", text="Hello").parts
            (Text(text='Hello'),)
        """
        from graphengine.models.parts import parts_of  # noqa: PLC0415 - that module reads messages

        return parts_of(self)

    def labelled_media(self) -> Iterator[tuple[str, Media]]:
        """Yield each medium with the text that stands for it, for adapters."""
        for number, one in enumerate(self.media, 1):
            yield label(number, one), one


PDF: Final = "application/pdf"
CHARACTERS_PER_TOKEN: Final = 4
PICTURE_TOKENS: Final = 1600
"""The most tokens of a picture, to which Anthropic scales larger ones."""
_BYTES_PER_TOKEN: Final = 30
"""About, in documents: a page with text and its picture has 3,000 tokens and 90 KB."""


def cannot_show(one: Media) -> BadRequest:
    """Return the error for a medium that a model's API does not take."""
    repair = "give the media to another model, or turn them into text or pictures in a node before"
    if one.url or one.file_id:
        repair = "give the data: Media(data=…); or the media to another model"
    how = " by its address" if one.url else " by an id" if one.file_id else ""
    return BadRequest(f"the model's API takes no {one.type}{how} ({one})", repair=repair)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as described to a model.

    Args:
        name: Its name.
        description: Its purpose.
        schema: The JSON Schema of its arguments (an object).
        may_be_strict: Whether an API may hold the model to the schema, if the schema has a form for that.
    """

    name: str
    description: str
    schema: Mapping[str, JsonValue]
    may_be_strict: bool = field(default=True, repr=False)


class CallerWait(Protocol):
    """How a caller waits: by which clock, and what ends the wait early."""

    @property
    def clock(self) -> Clock:
        """The clock."""
        ...

    async def first_of(self, *awaited: asyncio.Future[Any]) -> None:
        """Return when the first of them is done. If the caller has to stop, its task is cancelled instead."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a model.

    Attributes:
        agent: The name of the calling agent.
        system: The agent's standing instructions, "" for none.
        note: The end of `system` that the engine adds: it explains the tags of the prompt.
        messages: The conversation, oldest first; the last one is a user's or a tool's. A summary replaces the messages
            before it, and is sent as a user's message.
        schema: JSON Schema of the answer, always of an object; None for a text answer. A model without native support
            for schemas puts it into the instructions.
        output: The schema's name, as `Review`.
        tools: The tools that may be called.
        hosted: The tools that the provider may run.
        settings: How to answer: the most tokens, how much to think, and so on; see `Settings`.
        compact_from: The number of tokens from which the provider itself replaces older messages by a shorter form;
            None if it must not. Ignored by a model that does not have the protocol `Compacts`.
        on_text: Gets the text of the answer piece by piece as it arrives; None if it is not wanted. Ignored by a model
            that cannot stream.
        on_thinking: Gets the model's thinking in the same way, if the provider shows it.
        on_reset: Called with the reason when what was passed on does not count, because the call failed; None if that
            is not wanted. The call may then be made again, or by another model.
        on_begin: Called when the first part of the answer arrives, whether text, thinking or a tool call; None if that
            is not wanted. It can be called more than once. Ignored by a model that cannot stream.
        on_spent: Gets the usage of each call that failed; see `usage_of_failure`.
        watch: Who watches what `on_text` and `on_thinking` get; None if each piece is wanted when it arrives.
        waits: How to wait in the model's queue; None for the machine's clock. Adapters ignore it.
        path: The path of the node that asks in a run, as `ask[2]` for an item of a map; "" outside a run.
        by_rules: The agent's rule-based answer to this question, None if it has none.
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
        """Whether the caller wants any part of the answer before it is complete."""
        return self.on_text is not None or self.on_thinking is not None or self.on_begin is not None

    def began(self) -> None:
        """Report that a part of the answer has arrived; adapters that stream call it."""
        if self.on_begin is not None:
            self.on_begin()

    def emit_text(self, text: str) -> None:
        """Pass on a piece of the answer's text; adapters that stream call it."""
        if self.on_text is not None:
            self.on_text(text)

    def emit_whole(self, text: str) -> None:
        """Pass on an answer that is there at once, word by word; in one piece while nobody watches."""
        self.began()
        if self.on_text is not None:
            is_watched = self.watch is None or self.watch.is_watched()
            for piece in _WORD.findall(text) if is_watched else [text]:
                self.on_text(piece)

    def emit_thinking(self, text: str) -> None:
        """Pass on a piece of the model's thinking; adapters that stream call it."""
        if self.on_thinking is not None:
            self.on_thinking(text)

    def bare(self) -> Request:
        """Return it with earlier answers as texts and calls alone, for a provider that refuses them in its own form."""
        return replace(self, messages=[message.model_copy(update={"native": None}) for message in self.messages])

    def with_tool_names(self) -> Request:
        """Return the request with a description of each tool that the conversation names and the request lacks.

        The description allows any arguments. Returns the request itself if it lacks none.
        """
        known = {tool.name for tool in self.tools}
        named = dict.fromkeys(
            call.name for message in self.messages for call in message.calls if call.name not in known
        )
        gone = [
            ToolSpec(name, "This tool is gone: do not call it.", {"type": "object", "properties": {}}) for name in named
        ]
        return replace(self, tools=[*self.tools, *gone]) if gone else self

    @property
    def prompt(self) -> str:
        """The text of the last question; "" if there is none."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")


def without_refused(messages: Sequence[Message]) -> Sequence[Message]:
    """Return messages without the own forms of answers that their provider refused to read back."""
    refused: set[object] = set()
    made: list[Message] = []
    for message in reversed(messages):
        is_refused = message.native is not None and message.native.get("provider") in refused
        made.append(message.model_copy(update={"native": None}) if is_refused else message)
        refused |= {message.unsealed} if message.unsealed else set()
    return made[::-1] if refused else messages


@dataclass(frozen=True, slots=True)
class Response:
    """A model's answer.

    Attributes:
        content: Text, "" for none; or a value that was not made from text (a rule-based answer).
        calls: The tools to call before the conversation is continued.
        stop: Why the answer ends.
        why: The provider's explanation of a refusal, "" for none.
        model: The model that answered, as `anthropic:claude-…`; "" for the model that was called.
        input_tokens: All tokens of the question, including those read from and written to a cache.
        cache_read_tokens: Of those, read from the provider's cache.
        cache_write_tokens: Of those, written to it.
        output_tokens: All tokens of the answer, including those of its thinking.
        reasoning_tokens: Of those, thinking.
        cost_usd: The cost in US dollars; None if it is unknown.
        offline: Whether no language model was involved.
        native: The answer in the provider's own form; see `Message.native`.
        form: How the schema of a typed answer was sent; "" if there is none, or the adapter does not say.
        id: The provider's id of the answer; "" for none.
        server: Which server answered, as `api.openai.com:443`; "" if none did, or the adapter does not say.
        unsealed: The provider, if it refused earlier answers in its own form, see `Message.unsealed`; else "".
        held_seconds: How long the call waited before it began, since as many calls were in flight as the model's
            limiter allows (`RateLimiter(calls_at_once=…)`); 0.0 if it did not.
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
        if isinstance(self.content, str) and type(self.content) is not str:  # a str Enum's member formats as its name
            object.__setattr__(self, "content", str.__str__(self.content))


def usage_of(response: Response) -> Usage:
    """Return the usage of a call, as steps record it. Cache and reasoning tokens are left out if they are 0."""
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
"""The usage of a call that was in flight and may be billed, but reported nothing. Tokens count only what is known."""


def at_least(reported: Usage) -> Usage:
    """Return the usage of a call that broke off after its provider had reported this much, and may bill more.

    Example:
        >>> at_least({"calls": 1, "input_tokens": 12, "cost_usd": 0.5})
        {'calls': 1, 'input_tokens': 12, 'cost_usd': None, 'unknown_calls': 1, 'priced_usd': 0.5}
    """
    return {**reported, "unknown_calls": 1, "cost_usd": None, "priced_usd": reported.get("cost_usd") or 0.0}


_MAY_BE_PAID: Final = (AnswerTorn, ModelTimeout, ModelUnreachable, asyncio.CancelledError)


def usage_of_failure(error: BaseException) -> Usage:
    """Return the usage of a failed call: what its provider reported, else unknown if it may be billed, else {}.

    Example:
        >>> from graphengine.models import ModelTimeout, RateLimited
        >>> usage_of_failure(RateLimited("later")), usage_of_failure(ModelTimeout("late"))["cost_usd"]
        ({}, None)
    """
    if isinstance(error, ModelError) and error.usage is not None:
        return cast("Usage", error.usage)
    return UNKNOWN_USAGE if isinstance(error, _MAY_BE_PAID) else {}


def estimate_tokens(request: Request) -> int:
    """Return about how many tokens a question has."""
    return characters(request) // CHARACTERS_PER_TOKEN + 1


def characters(request: Request) -> int:
    """Return how many characters a question has; a medium counts as many as its tokens."""
    count = len(request.system)
    for message in request.messages:
        count += len(message.text) + sum(len(call.arguments) for call in message.calls)
        count += sum(media_tokens(one) * CHARACTERS_PER_TOKEN for one in message.media)
    return count


def media_tokens(one: Media) -> int:
    """Return about how many tokens a medium has: those of a large picture, or by its size."""
    return PICTURE_TOKENS if one.kind == "image" else max(PICTURE_TOKENS, one.size_bytes // _BYTES_PER_TOKEN)


class Model(Protocol):
    """Answers requests.

    Calls may run concurrently, and may be cancelled. A call returns one complete answer, or raises the `ModelError`
    that fits. It does not retry, and keeps nothing of a conversation between calls. Errors, log lines and answers never
    contain an API key.

    Agents call a model through its rate limiter, which waits and calls again: see `graphengine.models.RateLimiter`. A
    model may have an attribute `limiter`. Its value is a `RateLimiter`, or None for a model that only calls other
    models. A model without the attribute gets a limiter of its own, without limits.
    """

    @property
    def name(self) -> str:
        """The model's name in usage and messages, as `anthropic:claude-…`."""
        ...

    async def answer(self, request: Request) -> Response:
        """Return the answer to one request."""
        ...


@runtime_checkable
class Closes(Protocol):
    """A model that holds connections. The last Runner that used it closes it; it may be used again afterwards."""

    async def close(self) -> None:
        """Close the running event loop's connections."""
        ...


@runtime_checkable
class Compacts(Protocol):
    """A model whose provider can compact a long conversation itself; the result is in `Message.native`."""

    def compacts(self, tokens: int) -> bool:
        """Return whether it can, from this number of tokens on."""
        ...


@runtime_checkable
class HasKeys(Protocol):
    """A model that is called with a key."""

    def __keys__(self) -> Sequence[str]:
        """Return its keys, which no text to a model has."""
        ...


@runtime_checkable
class ChecksSetUp(Protocol):
    """A model that knows before a call whether it has what it needs."""

    def check_set_up(self) -> None:
        """Check that a key and the packages are there. Nothing is loaded, and no server is asked.

        Raises:
            ModelUnavailable: Something is missing; the repair says how to get it.
        """
        ...


@runtime_checkable
class KnowsPrices(Protocol):
    """A model that knows before a call whether its price is known."""

    async def knows_price(self) -> bool:
        """Return whether `cost_usd` of its answers will be known."""
        ...


@runtime_checkable
class KnowsWindow(Protocol):
    """A model that can know how much it reads at once."""

    async def window_tokens(self) -> int | None:
        """Return how many tokens question and answer can have together; None if it is unknown."""
        ...


@runtime_checkable
class EstimatesCosts(Protocol):
    """A model that can estimate the cost of a call from its size."""

    async def price_of(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return the cost of this many tokens in US dollars, without a cache; None if it is unknown."""
        ...


class RulesModel:
    """Answers with the function that the agent has as `by_rules=`, at no cost.

    Attributes:
        name: `rules`.
        calls_tools: Whether it takes turns with tools, each of them recorded, as a language model does.
    """

    name = "rules"
    calls_tools = False

    async def answer(self, request: Request) -> Response:
        """Return the rule-based answer.

        Raises:
            ModelUnavailable: The agent has no rule-based answer.
        """
        if request.by_rules is None:
            raise ModelUnavailable(
                f"agent {request.agent} has no rules to answer by",
                where=f"agent {request.agent}",
                repair="give it by_rules=function, or use a model that can be called: anthropic:MODEL, openai:MODEL, "
                "openai-chat:MODEL@http://HOST:PORT/v1",
            )
        return Response(await request.by_rules(), cost_usd=0.0, offline=True)

    async def knows_price(self) -> bool:
        """Return True: it costs nothing."""
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
