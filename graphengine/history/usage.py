"""The recorded usage of models by a run: calls, tokens and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import TypeVar

    from graphengine.state import amounts

    K = TypeVar("K", bound=Hashable)


class Usage(Struct, frozen=True, kw_only=True):
    """What the model calls of a run used: calls, tokens and cost.

    Attributes:
        calls: The number of answers of models, including offline answers, and of failed calls that used tokens or may
            have used tokens.
        offline_calls: How many of these answers came from rules or a script instead of a language model.
        input_tokens: The tokens of all requests.
        output_tokens: The tokens of all answers.
        cost_usd: The cost in US dollars; None if the price of any call is not known.
        cache_read_tokens: The part of the input tokens that providers read from their caches.
        cache_write_tokens: The part of the input tokens that providers wrote to their caches.
        reasoning_tokens: The part of the output tokens that was reasoning.
        priced_usd: The cost of the calls whose price is known, if `cost_usd` is None.
        unknown_calls: The number of calls that failed in progress, so that their full usage is not known. The part of
            their usage that was reported is counted.
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


def usage_from(recorded: amounts.Usage) -> Usage:
    """Convert recorded usage to a `Usage`. Amounts that only another version of graphengine knows are left out."""
    known: dict[str, Any] = {name: each for name, each in recorded.items() if name in Usage.__struct_fields__}
    return Usage(**known)


NO_USAGE: Final = Usage()
