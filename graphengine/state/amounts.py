"""Recorded amounts by name: the usage of models, and the limits of a run.

For type checkers they are typed dictionaries, so that a misspelt name is an error. When a log is read they are plain
dictionaries, because msgspec drops keys that a `TypedDict` lacks, and an amount that another version recorded must not
be lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias, TypedDict, cast, get_args

from msgspec import Meta

_LARGEST: Final = (1 << 63) - 1
_DECIMALS: Final = 9
Number: TypeAlias = Annotated[int, Meta(ge=-_LARGEST, le=_LARGEST)] | float
"""A number that is kept as it was recorded: 1 and 1.0 are different JSON.

An integer of hundreds of digits means damage.
"""

TokensName: TypeAlias = Literal[
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"
]
LossName: TypeAlias = Literal[
    "failed_items", "failed_children", "unused_results", "fallbacks", "retries", "rejected_answers", "failed_tools"
]
LOSSES: Final[Sequence[str]] = get_args(LossName)
"""The kinds of things that a run can lose on its way to its end, the worst first."""

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    class Usage(TypedDict, total=False):
        """What model calls used (calls, tokens and cost), by the names of `graphengine.Usage`, and what calls lost.

        Attributes:
            calls: The number of answers of models, and of failed calls that used tokens or may have used tokens.
            offline_calls: The number of these calls that were answered by rules or a script.
            input_tokens: The tokens of all requests.
            output_tokens: The tokens of all answers.
            cost_usd: The cost in US dollars; None if the price of a call is unknown.
            cache_read_tokens: The part of the input tokens that providers read from their caches.
            cache_write_tokens: The part of the input tokens that providers wrote to their caches.
            reasoning_tokens: The part of the output tokens that was used for reasoning.
            priced_usd: If `cost_usd` is None: the cost of the calls whose price is known.
            unknown_calls: The number of calls that failed in progress and whose usage is not known.
            rejected_answers: The number of answers of models that did not fit, so that another answer was requested.
            failed_tools: The number of tool calls whose result was an error.
            failed_children: The number of unfinished ends of child runs that waiting nodes received.
            unused_results: The number of recorded results of earlier code that the current code of a node did not ask
                for again.
        """

        calls: int
        offline_calls: int
        input_tokens: int
        output_tokens: int
        cost_usd: float | None
        cache_read_tokens: int
        cache_write_tokens: int
        reasoning_tokens: int
        priced_usd: float
        unknown_calls: int
        rejected_answers: int
        failed_tools: int
        failed_children: int
        unused_results: int

    class LimitsRecord(TypedDict, total=False):
        """Limits of a run, as recorded, by the names of `graphengine.Limits`. Limits that are not set are left out.

        Attributes:
            visits: The number of completed visits of nodes.
            tokens: The number of input and output tokens.
            cost_usd: The cost in US dollars.
            seconds: The time during which the run is driven.
            unknown_cost: 1 if models of unknown price are allowed under a limit on cost.
            depth: The number of runs that may be above a child run; None for any number. If it is missing, the default
                applies.
        """

        visits: int | None
        tokens: int | None
        cost_usd: float | None
        seconds: float | None
        unknown_cost: float
        depth: int | None

else:
    Usage = dict[str, Number | None]
    LimitsRecord = dict[str, Number | bool | None]


def amounts_by_name(amounts: Usage | LimitsRecord) -> Mapping[str, float | None]:
    """Return all amounts of a usage record by name, including amounts that only other versions of graphengine know.

    >>> dict(amounts_by_name({"calls": 1}))
    {'calls': 1}
    """
    return cast("Mapping[str, float | None]", amounts)


def losses_of(usage: Usage, losses: Mapping[str, int]) -> dict[str, int]:
    """Return how often a run lost something on the way, such as a failed tool call, with the worst kinds first.

    The result combines what nodes lost and what model calls lost. `LOSSES` lists the names.

    >>> losses_of({"calls": 3, "failed_tools": 2}, {"failed_items": 1})
    {'failed_items': 1, 'failed_tools': 2}
    """
    amounts = {**amounts_by_name(usage), **losses}
    return {name: int(amounts[name] or 0) for name in LOSSES if amounts.get(name)}


def is_cost_unknown(usage: Usage) -> bool:
    """Return whether a record of what a call used shows that the price of the call is unknown.

    >>> is_cost_unknown({"cost_usd": None}), is_cost_unknown({"cost_usd": 0.5}), is_cost_unknown({})
    (True, False, False)
    """
    cost: float | None = usage.get("cost_usd", 0.0)
    return cost is None


def allows_unknown_cost(limits: LimitsRecord) -> bool:
    """Return whether a run with a limit on cost may call models whose price is not known."""
    allowed: float = limits.get("unknown_cost", 0.0)
    return bool(allowed)


def rounded(amount: float) -> float:
    """Round a sum of costs to the precision with which limits and budgets compare costs.

    Without rounding, ten calls for 0.1 dollars would cost 0.9999999999999999 dollars, and a limit of 1 would not be
    met.
    """
    return round(amount, _DECIMALS)


def dollars(amount: float) -> str:
    """Return an amount of US dollars with four decimals, or with up to two significant digits if it is smaller.

    >>> dollars(1.5), dollars(0.0019), dollars(2.6e-05), dollars(0)
    ('1.5000', '0.0019', '0.000026', '0')
    """
    if not amount:
        return "0"
    exponent = int(f"{amount:.1e}".partition("e")[2])
    places = max(4, 1 - exponent)
    text = f"{amount:.{places}f}"
    return text.rstrip("0") if places > 4 else text  # noqa: PLR2004 - 0.0008, not 0.00080
