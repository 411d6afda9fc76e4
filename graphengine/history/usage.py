"""What a run used of models, as recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import TypeVar

    from graphengine.state import amounts

    K = TypeVar("K", bound=Hashable)


class Usage(Struct, frozen=True, kw_only=True):
    """What a run used of models.

    Attributes:
        calls: Answers of models, including offline ones, and failed calls that used tokens, or may have.
        offline_calls: How many of them came from rules or a script instead of a language model.
        input_tokens: Tokens of all requests.
        output_tokens: Tokens of all answers.
        cost_usd: US dollars; None if the price of any call is not known.
        cache_read_tokens: The part of the input tokens that providers read from their caches.
        cache_write_tokens: The part of the input tokens that providers wrote to their caches.
        reasoning_tokens: The part of the output tokens that was reasoning.
        priced_usd: If `cost_usd` is None: the cost of the calls whose price is known.
        unknown_calls: Calls that failed in progress, whose usage is not known; what was reported of it counts.
        held_calls: Calls that waited for others, since as many were in flight as the limiter allows that their model
            got by itself. `RateLimiter(calls_at_once=…)` lets more go at once.
    """

    calls: int = 0
    offline_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    priced_usd: float = 0.0
    unknown_calls: int = 0
    held_calls: int = 0


def usage_from(recorded: amounts.Usage) -> Usage:
    """Return recorded usage, without amounts that only another version knows."""
    known: dict[str, Any] = {name: each for name, each in recorded.items() if name in Usage.__struct_fields__}
    return Usage(**known)


NO_USAGE: Final = Usage()
