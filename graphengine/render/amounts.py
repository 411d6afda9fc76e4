"""Format times, costs and numbers for pictures, in a suitable unit and with few digits."""

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
    """The resources that a node or a whole run used: its working time, its model calls, and its failures.

    Attributes:
        seconds: The time in which a process drove the node or the run; None if no time was measured, as for a node that
            has not ended.
        usage: The number of model calls, their tokens and their cost, as the steps recorded them. An unknown cost is
            None.
        waited: The time for which questions to people were open until they were answered, in seconds.
        failures: The number of failed attempts, including attempts that were retried or replaced by a fallback.
    """

    seconds: float | None = None
    usage: Usage = field(default_factory=Usage)
    waited: float = 0.0
    failures: int = 0

    def plus(self, other: Used) -> Used:
        """Return the sum of both."""
        driven = self.seconds if other.seconds is None else other.seconds + (self.seconds or 0.0)
        usage = add_usage(self.usage, other.usage) if other.usage else self.usage
        return Used(driven, usage, self.waited + other.waited, self.failures + other.failures)

    def in_words(self, *, is_offline_known: bool = False) -> str:
        """Describe the time and the cost of a node or a run in words, for a picture.

        The cost is left out if no models were called.

        Args:
            is_offline_known: Whether the caption already says that the whole run was offline, so that the word
                `offline` is left out.

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
    """Write the number and the cost of model calls in words; "" if no model was called."""
    calls: int = usage.get("calls") or 0
    offline: int = usage.get("offline_calls") or 0
    if not calls:
        return ""
    if offline == calls:
        return f"{counted(calls, 'answer')} by rules"
    by_rules = f", {offline} of them by rules" if offline else ""
    return f"{counted(calls, 'model call')}{by_rules}, {priced(usage)}"


def priced(usage: Usage) -> str:
    """Write the cost of model calls, such as `0.0123 USD`; "" if no model was called.

    >>> priced({"calls": 1, "cost_usd": 0.0123}), priced({"calls": 1, "cost_usd": None})
    ('0.0123 USD', 'cost unknown')
    """
    return f"cost {cost(usage)}" if is_cost_unknown(usage) else cost(usage)


def plain_number(value: float) -> str:
    """Write a number for people: as a whole number without a fraction, or with four significant digits.

    >>> plain_number(7), plain_number(0.333333), plain_number(1234567.0)
    ('7', '0.3333', '1234567')
    """
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"  # noqa: PLR2004 - exact


def nice(value: float) -> float:
    """Round a positive number up to the next number of the series …, 0.5, 1, 2, 5, 10, 20, ….

    >>> nice(0.3), nice(3), nice(62.5)
    (0.5, 5.0, 100.0)
    """
    size = 10.0 ** floor(log10(value))
    return next(size * part for part in (1, 2, 5, 10, 20) if size * part >= value)


def nice_seconds(seconds: float) -> float:
    """Round a number of seconds up to a sensible distance between two marks on an axis of time.

    >>> nice_seconds(0.3), nice_seconds(7), nice_seconds(50), nice_seconds(100_000)
    (0.5, 10, 60, 172800.0)
    """
    if seconds <= 5:  # noqa: PLR2004 - above, minutes and hours are no powers of ten
        return nice(seconds)
    return next((step for step in _LONG_STEPS if step >= seconds), 86_400 * nice(seconds / 86_400))
