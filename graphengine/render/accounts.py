"""What a node, or a whole run, used: driven time, time waiting for answers, and the cost of models."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from graphengine.engine.frame_tree import add_usage
from graphengine.state.amounts import Usage, are_offline, dollars

_MILLI: Final = 1_000
_MINUTE: Final = 60
_HOUR: Final = 3_600
_MILLISECONDS_BELOW: Final = 0.0995
_SHOWN_FROM: Final = 0.0005


@dataclass(frozen=True, slots=True)
class Account:
    """Time and money.

    Attributes:
        seconds: Driven time; None if nothing was timed, as for a node that has not ended.
        usage: Calls, tokens and cost as steps record them; an unknown cost is None.
        waited: Seconds for which answered questions were open.
    """

    seconds: float | None = None
    usage: Usage = field(default_factory=Usage)
    waited: float = 0.0

    def plus(self, usage: Usage) -> Account:
        """Return it with another usage."""
        return replace(self, usage=add_usage(self.usage, usage)) if usage else self

    def in_words(self, *, is_offline_known: bool = False) -> str:
        """Return it as a picture shows it, with a cost only if models were called.

        Args:
            is_offline_known: Whether the caption says that the whole run was offline, so that this need not.

        >>> Account(1.25, {"calls": 2, "cost_usd": None}).in_words()
        '1.2 s, cost unknown'
        """
        waited = f"waited {took(self.waited)}" if self.waited >= _SHOWN_FROM else ""
        least = _SHOWN_FROM if waited else 0.0
        time = "" if self.seconds is None or self.seconds < least else took(self.seconds)
        paid = cost(self.usage)
        paid = "" if is_offline_known and paid == "offline" else paid
        return ", ".join(part for part in (time, waited, paid) if part)


def took(seconds: float) -> str:
    """Return a duration with a readable number of digits.

    >>> took(0.0004), took(0.25), took(75), took(7500)
    ('0 ms', '0.25 s', '1 min 15 s', '2 h 5 min')
    """
    if seconds < _MILLISECONDS_BELOW:
        return f"{max(0.0, seconds) * _MILLI:.0f} ms"
    if round(seconds) < _MINUTE:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"
    if round(seconds) < _HOUR:
        minutes, rest = divmod(round(seconds), _MINUTE)
        return f"{minutes} min {rest} s"
    hours, rest = divmod(round(seconds), _HOUR)
    return f"{hours} h {rest // _MINUTE} min"


def cost(usage: Usage) -> str:
    """Return what models cost; "" if none was called. An unknown cost is never shown as 0.

    >>> cost({"calls": 1, "cost_usd": 0.0123}), cost({"calls": 2, "cost_usd": None, "priced_usd": 0.5})
    ('0.0123 USD', 'over 0.5000 USD, not all known')
    """
    calls: int = usage.get("calls") or 0
    if not calls:
        return ""
    if are_offline(usage):
        return "offline"
    amount = usage.get("cost_usd")
    if amount is not None:
        return f"{dollars(amount)} USD"
    known = usage.get("priced_usd") or 0.0
    return f"over {dollars(known)} USD, not all known" if known else "cost unknown"
