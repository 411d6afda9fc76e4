"""Times, costs and numbers in pictures: short, and in a suitable unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, log10
from typing import Final

from graphengine.kernel.extension import add_usage, is_cost_unknown
from graphengine.kernel.reader import Usage
from graphengine.records.words import cost, counted, seconds

_SHOWN_FROM: Final = 0.0005
_LONG_STEPS: Final = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)


@dataclass(frozen=True, slots=True)
class Used:
    """What a node, or a whole run, used.

    Attributes:
        seconds: Driven time; None if nothing was timed, as for a node that has not ended.
        usage: Calls, tokens and cost as steps record them; an unknown cost is None.
        waited: Seconds for which answered questions were open.
        failures: How many attempts failed, also those that were tried again or that a fallback replaced.
    """

    seconds: float | None = None
    usage: Usage = field(default_factory=Usage)
    waited: float = 0.0
    failures: int = 0

    def plus(self, other: Used) -> Used:
        """Return both together."""
        driven = self.seconds if other.seconds is None else other.seconds + (self.seconds or 0.0)
        usage = add_usage(self.usage, other.usage) if other.usage else self.usage
        return Used(driven, usage, self.waited + other.waited, self.failures + other.failures)

    def in_words(self, *, is_offline_known: bool = False) -> str:
        """Return it as a picture shows it, with a cost only if models were called.

        Args:
            is_offline_known: Whether the caption says that the whole run was offline, so that this need not.

        >>> Used(1.25, {"calls": 2, "cost_usd": None}).in_words()
        '1.2 s, cost unknown'
        """
        waited = f"waited {seconds(self.waited)}" if self.waited >= _SHOWN_FROM else ""
        least = _SHOWN_FROM if waited else 0.0
        time = "" if self.seconds is None or self.seconds < least else seconds(self.seconds)
        paid_for = priced(self.usage)
        paid_for = "" if is_offline_known and paid_for == "offline" else paid_for
        return ", ".join(part for part in (time, waited, paid_for) if part)


def paid(usage: Usage) -> str:
    """Return how often models were called and what that cost; "" if none was."""
    calls: int = usage.get("calls") or 0
    offline: int = usage.get("offline_calls") or 0
    if not calls:
        return ""
    if offline == calls:
        return f"{counted(calls, 'answer')} by rules"
    by_rules = f", {offline} of them by rules" if offline else ""
    return f"{counted(calls, 'model call')}{by_rules}, {priced(usage)}"


def priced(usage: Usage) -> str:
    """Return what models cost, in words that stand alone; "" if none was called.

    >>> priced({"calls": 1, "cost_usd": 0.0123}), priced({"calls": 1, "cost_usd": None})
    ('0.0123 USD', 'cost unknown')
    """
    return f"cost {cost(usage)}" if is_cost_unknown(usage) else cost(usage)


def plain_number(value: float) -> str:
    """Return a number with as many digits as people compare.

    >>> plain_number(7), plain_number(0.333333), plain_number(1234567.0)
    ('7', '0.3333', '1234567')
    """
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"  # noqa: PLR2004 - exact


def nice(value: float) -> float:
    """Return the least of …, 0.5, 1, 2, 5, 10, 20, … that is at least `value`, which is above 0.

    >>> nice(0.3), nice(3), nice(62.5)
    (0.5, 5.0, 100.0)
    """
    size = 10.0 ** floor(log10(value))
    return next(size * part for part in (1, 2, 5, 10, 20) if size * part >= value)


def nice_seconds(seconds: float) -> float:
    """Return the least sensible distance of marks on an axis of time that is at least this long.

    >>> nice_seconds(0.3), nice_seconds(7), nice_seconds(50), nice_seconds(100_000)
    (0.5, 10, 60, 172800.0)
    """
    if seconds <= 5:  # noqa: PLR2004 - above, minutes and hours are no powers of ten
        return nice(seconds)
    return next((step for step in _LONG_STEPS if step >= seconds), 86_400 * nice(seconds / 86_400))
