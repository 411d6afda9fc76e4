"""What a provider's server does in a test of a model, and what it heard, in words that are no provider's own.

A scene is what the server answers one call with: `Says` (an answer), `Fails` (an error in the provider's own form),
`Tears` (an answer that ends before it is whole), `Babbles` (what no model's API would answer). `Heard` is one call as
the server got it. Who writes an adapter translates both for its provider, as a `Service`; `model_conformance.py` then
asks everything of the adapter.
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
"""What a provider may complain of. `no_credit` is an account that is not paid (status 402), `no_quota` one that has
nothing left (often 429, like a rate limit); `too_large` is a body of too many bytes, `context_full` too many tokens."""

Noise: TypeAlias = Literal["html", "html_502", "torn_json", "no_body", "no_answer", "null_content"]
"""What is no answer: a page with status 200 or 502, half a JSON document, nothing, an answer that holds no message (an
empty list of them), a message whose content is null."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the server says that a call used, in tokens, each in the sense of `Response`."""

    input_tokens: int = 12
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 5
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Says:
    """An answer.

    Attributes:
        text: What is said; streamed a word at a time.
        calls: The tools it wants called.
        stop: Why it ends; "tools" is understood where there are calls.
        why: What it says of a refusal.
        counted: What it used; None where the server does not tell.
        thinking: A sealed thought (a signature, an encrypted text) that the provider wants back unchanged.
        held: Whether it waits for `go_on`: after the first word of a stream, else before it answers.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    stop: Stop = "end"
    why: str = ""
    counted: Counted | None = field(default_factory=Counted)
    thinking: str = ""
    held: bool = False


@dataclass(frozen=True, slots=True)
class Fails:
    """An error, in the form this provider gives it.

    Attributes:
        trouble: What is wrong.
        message: What the server says of it. "{key}" becomes the API key of the call: careless servers do so.
        retry_after_seconds: For how long it wants to be left alone; None where it does not say.
        in_milliseconds: Whether it says so in milliseconds, where the provider knows both.
        in_stream: Whether it comes after the first word of a stream that began with status 200.
    """

    trouble: Trouble
    message: str = "no, because of {key}"
    retry_after_seconds: float | None = None
    in_milliseconds: bool = False
    in_stream: bool = False


@dataclass(frozen=True, slots=True)
class Tears:
    """An answer that ends in the middle.

    Attributes:
        text, calls: What it would have been.
        broken: Whether the connection breaks; else it ends as if all were well.
    """

    text: str = "one two three four"
    calls: tuple[ToolCall, ...] = ()
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Babbles:
    """Something that is no answer."""

    noise: Noise


Scene: TypeAlias = Says | Fails | Tears | Babbles


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as the server read it.

    Attributes:
        role, text, calls, call_id: As in `Message`. What a provider sends as one message with several parts is several.
        is_error: Of a tool's message: whether it is marked as an error; None where the provider has no such mark.
        thinking: The sealed thoughts that came back with it.
    """

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    is_error: bool | None = None
    thinking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """One call, as the server read it.

    Attributes:
        key: The API key that came with it; None where the server does not show it.
        system: The standing instructions.
        turns: The conversation.
        tools: The JSON Schema of each tool's arguments, by the tool's name.
        schema: The JSON Schema that the answer is held to natively; None if it is not.
        stream: Whether the answer is to be streamed.
        max_tokens: The most tokens of the answer; None where that was not said.
        body: All of it, as it came.
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
    """A provider's server in a test. It may run in this event loop, in a thread or in a process of its own."""

    def play(self, *scenes: Scene) -> None:
        """Answer the next calls with these, in order.

        Raises:
            unittest.SkipTest: This provider has no such thing; the test is skipped with the reason given.
        """
        ...

    def heard(self) -> Sequence[Heard]:
        """All calls so far, in the order in which they came."""
        ...

    async def arrived(self, count: int) -> None:
        """Return once so many calls have come, answered or not."""
        ...

    def go_on(self) -> None:
        """Let one held answer go on; the next one, if none is held yet."""
        ...

    async def left(self) -> None:
        """Return once a caller has gone away before its answer was whole."""
        ...


__all__ = [
    "Babbles",
    "Counted",
    "Fails",
    "Heard",
    "Noise",
    "Says",
    "Scene",
    "Service",
    "Tears",
    "Trouble",
    "Turn",
]
