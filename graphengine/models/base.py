"""The protocol between agents and whatever answers them.

A `Model` gets a `Request` (a whole conversation, what may be called, what form the answer must have) and gives one
`Response`. It keeps nothing from one call to the next, so that a conversation that was begun with one provider can go
on with another. What every provider says in its own words, the classes here say in ours: `Message`, `ToolCall`,
`Response` and the errors of `graphengine.errors` below `ModelError`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel, ConfigDict, JsonValue, SerializerFunctionWrapHandler, model_serializer

from graphengine.errors import AnswerTorn, ModelError, ModelTimeout, ModelUnreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

Effort: TypeAlias = Literal["low", "medium", "high"]
"""How hard a model is to think before it answers, where it can."""

Stop: TypeAlias = Literal["end", "tools", "cut", "refused", "full"]
"""Why an answer ends: it is whole; tools are to be called; it reached `max_tokens`; it was refused; the context window
is full."""


class ToolCall(BaseModel):
    """A tool that a model wants to be called.

    Attributes:
        id: What the provider knows this call by; its result names it.
        name: The tool.
        arguments: What it is given, as the model wrote it: the text of a JSON object, or what was to be one.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    arguments: str = "{}"


class Message(BaseModel):
    """One message of a conversation, in a form that any provider's can be made of, and that a state can hold.

    Attributes:
        role: `user` (the question), `assistant` (the model's answer), `tool` (what a tool gave), `summary` (what stands
            for the messages before it that are not sent any more).
        text: What is said.
        calls: Of an assistant's message: the tools it wants to be called.
        call_id: Of a tool's message: the call that it is the result of.
        is_error: Of a tool's message: whether the tool failed, and `text` says how.
        agent: Which agent said it, or was asked.
        covers: Of a summary: how many of the messages before it, from the first, it stands for.
        tokens: Of an assistant's message: how many tokens the conversation had, up to and with it, as the provider
            counted; None where that is not known.
        native: Of an assistant's message: `{"provider": …, "content": …}`, its own form, which that provider wants to
            get back as it was (signed thinking, say) and which is nothing to others.
    """

    model_config = ConfigDict(frozen=True)

    role: Literal["user", "assistant", "tool", "summary"]
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    is_error: bool = False
    agent: str = ""
    covers: int = 0
    tokens: int | None = None
    native: dict[str, JsonValue] | None = None

    @model_serializer(mode="wrap")
    def _without_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Most of a message is as it mostly is; a state that holds many keeps only what is not."""
        fields = type(self).model_fields
        return {name: value for name, value in dump(self).items() if getattr(self, name) != fields[name].default}


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model is told of it: its name, what it is for, and the JSON Schema of its arguments (an object)."""

    name: str
    description: str
    schema: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a model.

    Attributes:
        agent: The name of the agent that asks.
        system: Its standing instructions, "" for none.
        messages: The conversation, oldest first; the last one is a user's or a tool's. A summary stands for what was
            before it, and is to be sent as a user's message.
        schema: JSON Schema that the answer must fit, always of an object; None where text is wanted. A model that
            cannot be held to it natively puts it into the instructions.
        output: What the schema is called, as `Review`.
        tools: What may be called.
        max_tokens: The most tokens of the answer; None for the model's own default.
        temperature: How varied answers are to be; None for the model's own default. A model that has no such setting
            passes it over.
        effort: How hard to think; None for the model's own default. Passed over where there is none.
        cache: Whether the instructions and tools are to be cached by the provider, since many calls share them.
        on_text: Gets the text of the answer piece by piece as it comes; None where nobody watches. A model that cannot
            stream leaves it alone.
        on_begin: Is called when the first part of the answer has come, be it text, thinking or a call of a tool; None
            where nothing waits for that. It may be called more than once. A model that cannot stream leaves it alone.
        on_spent: Gets what calls used that failed before another one answered, as a Router's; see `usage_of_failure`.
        stand_in: The agent's rule-based answer to this question, None if it has none.
    """

    agent: str
    system: str
    messages: Sequence[Message]
    schema: Mapping[str, JsonValue] | None = None
    output: str = "answer"
    tools: Sequence[ToolSpec] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    effort: Effort | None = None
    cache: bool = False
    on_text: Callable[[str], None] | None = None
    on_begin: Callable[[], None] | None = None
    on_spent: Callable[[Mapping[str, float | None]], None] | None = None
    stand_in: Callable[[], Awaitable[object]] | None = None

    @property
    def streams(self) -> bool:
        """Whether anything of the answer is wanted before it is whole."""
        return self.on_text is not None or self.on_begin is not None

    def began(self) -> None:
        """Report that a part of the answer has come; an adapter that streams calls it."""
        if self.on_begin is not None:
            self.on_begin()

    def said(self, text: str) -> None:
        """Pass on a piece of the answer's text; an adapter that streams calls it."""
        if self.on_text is not None:
            self.on_text(text)

    @property
    def prompt(self) -> str:
        """The text of the last question; "" if there is none."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")


@dataclass(frozen=True, slots=True)
class Response:
    """A model's answer.

    Attributes:
        content: Text, "" for none; or a value that was not made from text (a rule-based answer).
        calls: The tools that are to be called before it goes on.
        stop: Why the answer ends here.
        why: What the provider says of a refusal, "" for nothing.
        model: Who answered, as `anthropic:claude-…`; "" for the model that was asked.
        input_tokens: All tokens of the question, those read from and written to a cache included.
        cache_read_tokens: Of those, read from the provider's cache.
        cache_write_tokens: Of those, written to it.
        output_tokens: All tokens of the answer, those of its thinking included.
        reasoning_tokens: Of those, thinking.
        cost_usd: What it cost in US dollars; None if that is not known.
        offline: Whether no language model was involved.
        native: The answer as this provider wants to get it back; see `Message.native`.
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


def usage_of(response: Response) -> dict[str, float | None]:
    """What a call used up, as steps record it: what is 0 of the rarer figures is left out."""
    used: dict[str, float | None] = {
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


UNKNOWN_USAGE: Final[Mapping[str, float | None]] = {
    "calls": 1,
    "offline_calls": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "unknown_calls": 1,
    "cost_usd": None,
}
"""A call that was under way and may be paid, of which nothing is known. Tokens are sums of what is known."""

_MAY_BE_PAID: Final = (AnswerTorn, ModelTimeout, ModelUnreachable, asyncio.CancelledError)


def usage_of_failure(error: BaseException) -> Mapping[str, float | None]:
    """What a call that failed used up: what its provider had reported, else unknown if it may be paid; {} for nothing.

    Example:
        >>> from graphengine.errors import ModelTimeout, RateLimited
        >>> usage_of_failure(RateLimited("later")), usage_of_failure(ModelTimeout("late"))["cost_usd"]
        ({}, None)
    """
    if isinstance(error, ModelError) and error.usage is not None:
        return error.usage
    return UNKNOWN_USAGE if isinstance(error, _MAY_BE_PAID) else {}


class Model(Protocol):
    """Answers requests.

    Calls may run side by side, and may be cancelled. A call gives one whole answer or raises a `ModelError` of the kind
    that fits; it makes no second attempt by itself, and keeps nothing of a conversation from one call to the next. No
    error, log line or answer carries an API key.
    """

    @property
    def name(self) -> str:
        """What usage and messages call it, as `anthropic:claude-…`."""
        ...

    async def answer(self, request: Request) -> Response:
        """The answer to one request."""
        ...


@runtime_checkable
class Closes(Protocol):
    """A model that holds connections. The last Runner that used it closes it; it may be used again afterwards."""

    async def close(self) -> None:
        """Close what the running event loop has open."""
        ...


@runtime_checkable
class KnowsPrices(Protocol):
    """A model that can tell before a call whether its price is known."""

    async def knows_price(self) -> bool:
        """Whether `cost_usd` of its answers will be known."""
        ...


__all__ = [
    "UNKNOWN_USAGE",
    "Closes",
    "Effort",
    "KnowsPrices",
    "Message",
    "Model",
    "Request",
    "Response",
    "Stop",
    "ToolCall",
    "ToolSpec",
    "usage_of",
    "usage_of_failure",
]
