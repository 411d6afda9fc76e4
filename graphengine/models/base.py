"""The protocol between agents and whatever answers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from graphengine.records import JsonValue


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model.

    Attributes:
        agent: The name of the agent that asks.
        system: Its standing instructions, "" for none.
        prompt: The text of this question.
        schema: JSON Schema that the answer must fit, None where text is wanted.
        stand_in: The agent's rule-based answer to this question, None if it has none.
    """

    agent: str
    system: str
    prompt: str
    schema: Mapping[str, JsonValue] | None = None
    stand_in: Callable[[], Awaitable[object]] | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A model's answer.

    Attributes:
        content: Text, or a value that was not made from text (a rule-based answer).
        input_tokens: Tokens of the question.
        output_tokens: Tokens of the answer.
        cost_usd: What it cost in US dollars; None if that is not known.
        offline: Whether no language model was involved.
    """

    content: object
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    offline: bool = False


class Model(Protocol):
    """Answers requests.

    Calls may run side by side. A call either returns one whole answer or raises; it keeps nothing of a conversation
    from one call to the next.
    """

    @property
    def name(self) -> str:
        """What usage and messages call it, as `anthropic:claude-…`."""
        ...

    async def answer(self, request: Request) -> Response:
        """The answer to one request."""
        ...
