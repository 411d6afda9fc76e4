"""Recorded amounts by name: what was spent on models, and the limits of a run.

For type checkers they are typed dictionaries, so that a misspelt name is an error. When a log is read they are plain
dictionaries: msgspec drops the keys that a `TypedDict` lacks, and an amount of another version must not be lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias, TypedDict, cast, get_args

from msgspec import Meta

_LARGEST: Final = (1 << 63) - 1
_DECIMALS: Final = 9
Number: TypeAlias = Annotated[int, Meta(ge=-_LARGEST, le=_LARGEST)] | float
"""Kept as recorded: 1 and 1.0 are different JSON. An integer of hundreds of digits in a log is damage."""

TokensName: TypeAlias = Literal[
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"
]
LossName: TypeAlias = Literal[
    "failed_items", "failed_children", "unused_results", "fallbacks", "retries", "rejected_answers", "failed_tools"
]
LOSSES: Final[Sequence[str]] = get_args(LossName)
"""What a run can lose on its way to its end, the worst first."""

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    class Usage(TypedDict, total=False):
        """What was spent on models, by the names of `graphengine.Usage`, and what was lost.

        Attributes:
            calls: Answers of models, and failed calls that used tokens, or may have.
            offline_calls: How many of them came from rules or a script.
            input_tokens: Tokens of all requests.
            output_tokens: Tokens of all answers.
            cost_usd: US dollars; None if the price of a call is unknown.
            cache_read_tokens: The part of the input tokens that providers read from their caches.
            cache_write_tokens: The part of the input tokens that providers wrote to their caches.
            reasoning_tokens: The part of the output tokens that was reasoning.
            priced_usd: If `cost_usd` is None: the cost of the calls whose price is known.
            unknown_calls: Calls that failed in progress, whose usage is not known.
            rejected_answers: Answers of models that did not fit, and were asked for again.
            failed_tools: Calls of tools whose result was an error.
            failed_children: Ends of child runs that did not finish, as the nodes that wait for them received them.
            unused_results: Recorded results of earlier code that the current code of a node did not ask for again.
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
        """The limits that are set, by the names of `graphengine.Limits`.

        Attributes:
            visits: Completed node visits.
            tokens: Input and output tokens.
            cost_usd: US dollars.
            seconds: Driven time.
            unknown_cost: 1 if models of unknown price are allowed under a limit on costs.
            depth: How many runs may be above a child run; None: any number. The default if it is left out.
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
    """Return all amounts by name, with those of other versions.

    >>> dict(amounts_by_name({"calls": 1}))
    {'calls': 1}
    """
    return cast("Mapping[str, float | None]", amounts)


def losses_of(usage: Usage, losses: Mapping[str, int]) -> dict[str, int]:
    """Return what was lost on the way, by the names of `LOSSES`, the worst first: of nodes, and in calls.

    >>> losses_of({"calls": 3, "failed_tools": 2}, {"failed_items": 1})
    {'failed_items': 1, 'failed_tools': 2}
    """
    amounts = {**amounts_by_name(usage), **losses}
    return {name: int(amounts[name] or 0) for name in LOSSES if amounts.get(name)}


def is_cost_unknown(usage: Usage) -> bool:
    """Return whether the price of a call is unknown.

    >>> is_cost_unknown({"cost_usd": None}), is_cost_unknown({"cost_usd": 0.5}), is_cost_unknown({})
    (True, False, False)
    """
    cost: float | None = usage.get("cost_usd", 0.0)
    return cost is None


def allows_unknown_cost(limits: LimitsRecord) -> bool:
    """Return whether models of unknown price are allowed under a limit on costs."""
    allowed: float = limits.get("unknown_cost", 0.0)
    return bool(allowed)


def rounded(amount: float) -> float:
    """Return a sum as limits and budgets compare it: ten times 0.1 dollars are 0.9999999999999999 in floats."""
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
