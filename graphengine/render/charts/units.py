"""Times, costs and numbers in charts: short, and in a suitable unit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from graphengine.render.words import counted
from graphengine.state.amounts import dollars

if TYPE_CHECKING:
    from graphengine.state.amounts import Usage

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_MILLISECONDS: Final = 0.0995
_STEPS: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800),
)


def lasting(seconds: float) -> str:
    """Return a duration in at most two units.

    >>> lasting(0.012), lasting(3.25), lasting(200), lasting(7_260), lasting(90_000)
    ('12 ms', '3.2 s', '3 min 20 s', '2 h 1 min', '1 d 1 h')
    """
    if seconds < _MILLISECONDS:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 59.95:  # noqa: PLR2004 - rounds to a minute from here on
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    for index, (size, name) in enumerate(_UNITS):
        if whole >= size:
            count, rest = divmod(whole, size)
            small, small_name = _UNITS[index + 1] if index + 1 < len(_UNITS) else (1, "s")
            return f"{count} {name}" + (f" {rest // small} {small_name}" if rest // small else "")
    return f"{whole} s"  # pragma: no cover - at least a minute


def offset(seconds: float, step: float) -> str:
    """Return a time on an axis whose marks are `step` seconds apart.

    >>> offset(0, 0.5), offset(1.5, 0.5), offset(0.02, 0.02), offset(90, 30), offset(7200, 3600)
    ('0', '1.5 s', '20 ms', '1 min 30 s', '2 h')
    """
    if not seconds:
        return "0"
    if step < 0.1 and seconds < 1:  # noqa: PLR2004 - marks of less than a tenth of a second
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"
    return lasting(seconds)


def nice_step(seconds: float) -> float:
    """Return the least sensible distance of marks that is at least this long.

    >>> nice_step(0.3), nice_step(7), nice_step(50)
    (0.5, 10, 60)
    """
    return next((step for step in _STEPS if step >= seconds), float(_STEPS[-1] * (seconds // _STEPS[-1] + 1)))


def nice_count(count: float) -> int:
    """Return the least of 1, 2, 5, 10, 20, 50, … that is at least `count`.

    >>> nice_count(0.3), nice_count(3), nice_count(62.5)
    (1, 5, 100)
    """
    size = 1
    while size * 10 <= count:
        size *= 10
    return next(size * part for part in (1, 2, 5, 10) if size * part >= count)


def moment(at: float) -> str:
    """Return a date and time to the second, in UTC: the same on every machine."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):  # beyond the calendar
        return f"{at:g} s after 1970"


def plain_number(value: float) -> str:
    """Return a number with as many digits as people compare.

    >>> plain_number(7), plain_number(0.333333), plain_number(1234567.0)
    ('7', '0.3333', '1234567')
    """
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"  # noqa: PLR2004 - exact


def cost(usage: Usage) -> str:
    """Return what models cost; "" if nothing."""
    calls: int = usage.get("calls") or 0
    if not calls:
        return ""
    amount = usage.get("cost_usd", 0.0)
    if amount is None:
        known = usage.get("priced_usd") or 0.0
        return f"at least {dollars(known)} USD" if known else "unknown cost"
    return f"{dollars(amount)} USD" if amount else ""


def paid(usage: Usage) -> str:
    """Return how often models were called and what that cost; "" if none was."""
    calls: int = usage.get("calls") or 0
    offline: int = usage.get("offline_calls") or 0
    if not calls:
        return ""
    if offline == calls:
        return f"{counted(calls, 'answer')} by rules"
    by_rules = f", {offline} of them by rules" if offline else ""
    return f"{counted(calls, 'model call')}{by_rules}, {cost(usage) or '0 USD'}"
