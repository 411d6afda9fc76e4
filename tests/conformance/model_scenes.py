"""Scenes that a provider's server plays in a test of a model, and the requests it received, independent of a provider.

A scene is the server's response to one call: `Says` (an answer), `Fails` (an error in the provider's format), `Tears`
(an answer that is cut off), `Babbles` (a response that is not an answer). `Received` is one request as the server read
it. The author of an adapter translates both for its provider, as a `Service`; `models.py` then tests the
adapter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.models.base import Stop, ToolCall
    from graphengine.state.json_values import JsonValue

Trouble: TypeAlias = Literal[
    "bad_request",
    "wrong_key",
    "no_credit",
    "no_quota",
    "forbidden",
    "unknown_model",
    "timeout",
    "too_large",
    "context_full",
    "rate_limit",
    "server_error",
    "unavailable",
    "overloaded",
]
"""The errors of a provider. `no_credit`: the account is not paid (status 402). `no_quota`: its quota is used up (often
429, like a rate limit). `too_large`: the body has too many bytes. `context_full`: the request has too many tokens."""

Noise: TypeAlias = Literal["html", "html_502", "torn_json", "no_body", "no_answer", "null_content"]
"""Responses that are not answers: a page with status 200 or 502, half a JSON document, no body, an answer with an empty
list of messages, a message whose content is null."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The usage that the server reports for a call, in tokens, as in `Response`."""

    input_tokens: int = 12
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 5
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Says:
    """An answer.

    Attributes:
        text: The text; streamed word by word.
        calls: The calls of tools.
        stop: Why it ends; with calls, "tools" is implied.
        why: The explanation of a refusal.
        counted: The usage; None if the server does not report it.
        thinking: Encrypted or signed reasoning that the provider expects back unchanged.
        held: Whether it waits for `release`: after the first word of a stream, or before the answer.
        lingers: Whether the server keeps the connection open after the last event of a stream.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    stop: Stop = "end"
    why: str = ""
    counted: Counted | None = field(default_factory=Counted)
    thinking: str = ""
    held: bool = False
    lingers: bool = False


@dataclass(frozen=True, slots=True)
class Fails:
    """An error, in the provider's format.

    Attributes:
        trouble: The error.
        message: The server's message. "{key}" becomes the API key of the call, as with careless servers.
        retry_after_seconds: How long the caller should wait before a retry; None if the server does not say.
        in_milliseconds: Whether that time is sent in milliseconds, if the provider supports both.
        in_stream: Whether the error follows the first word of a stream that started with status 200.
    """

    trouble: Trouble
    message: str = "no, because of {key}"
    retry_after_seconds: float | None = None
    in_milliseconds: bool = False
    in_stream: bool = False


@dataclass(frozen=True, slots=True)
class Tears:
    """An answer that is cut off in the middle.

    Attributes:
        text, calls: The complete answer.
        broken: Whether the connection breaks; if not, it is closed normally.
    """

    text: str = "one two three four"
    calls: tuple[ToolCall, ...] = ()
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Babbles:
    """A response that is not an answer."""

    noise: Noise


Scene: TypeAlias = Says | Fails | Tears | Babbles


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as the server read it.

    Attributes:
        role, text, calls, call_id: As in `Message`. What a provider sends as one message with several parts is several.
        is_error: Whether a tool's message is marked as an error; None if the provider has no such mark.
        thinking: The encrypted reasoning that was sent back with it.
    """

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    is_error: bool | None = None
    thinking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as the server read it.

    Attributes:
        key: The API key that was sent; None if the server does not show it.
        system: The system instructions.
        turns: The conversation.
        tools: The JSON Schema of each tool's arguments, by the tool's name.
        schema: The JSON Schema that the provider enforces for the answer; None if there is none.
        stream: Whether the answer is to be streamed.
        max_tokens: The most tokens of the answer; None if it was not sent.
        body: The whole body.
    """

    key: str | None
    system: str
    turns: tuple[Turn, ...]
    tools: Mapping[str, Mapping[str, JsonValue]]
    schema: Mapping[str, JsonValue] | None
    stream: bool
    max_tokens: int | None
    body: Mapping[str, JsonValue]


class Service(Protocol):
    """A provider's server in a test. It may run in this event loop, in a thread or in another process."""

    def play(self, *scenes: Scene) -> None:
        """Answer the next calls with these, in order.

        Raises:
            unittest.SkipTest: This provider cannot express one of them; the test is skipped with this reason.
        """
        ...

    def received(self) -> Sequence[Received]:
        """Return all requests so far, in the order of their arrival."""
        ...

    async def arrived(self, count: int) -> None:
        """Return once this many requests have arrived, answered or not."""
        ...

    def release(self) -> None:
        """Let one held answer continue; the next one, if none is held yet."""
        ...

    async def disconnected(self) -> None:
        """Return once a caller has disconnected before its answer was complete."""
        ...


__all__ = [
    "Babbles",
    "Counted",
    "Fails",
    "Noise",
    "Received",
    "Says",
    "Scene",
    "Service",
    "Tears",
    "Trouble",
    "Turn",
]
