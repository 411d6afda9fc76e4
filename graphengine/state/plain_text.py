"""The text of a recorded value as people write it: times, amounts, ids and members of Enums without Python's calls.

A record contains the `repr` of such a value, so that it identifies the value. This module turns it into words when
somebody reads it.
"""

from __future__ import annotations

import datetime
import re
from typing import Final

_INNER: Final = r"(?:[^()]|\((?:[^()]|\([^()]*\))*\))*"
_CALL: Final = re.compile(rf"\b(?:datetime\.(datetime|date|time|timedelta)|(Decimal|UUID|\w*Path))\(({_INNER})\)")
_MEMBER: Final = re.compile(r"<(\w+(?:\.\w+)+): [^<>]*>")
_NUMBERS: Final = re.compile(r"-?\d+(?:, -?\d+)*")
_SECONDS: Final = re.compile(r"(days|seconds|microseconds)=(-?\d+)")
_UTC: Final = ("datetime.timezone.utc", "datetime.UTC", "TzInfo(0)", "TzInfo(UTC)", "zoneinfo.ZoneInfo(key='UTC')")


def plain_text(shown: str) -> str:
    """Rewrite the `repr` of a value for people who do not read Python. Parts that are not recognised stay as they are.

    >>> plain_text("datetime.datetime(2026, 1, 2, 8, 30, tzinfo=datetime.timezone.utc)")
    '2026-01-02 08:30 UTC'
    >>> plain_text("[datetime.timedelta(seconds=7200), Decimal('1.50'), <Color.RED: 1>]")
    '[2:00:00, 1.50, Color.RED]'
    """
    return _MEMBER.sub(r"\1", _CALL.sub(_rewrite_call, shown))


def _rewrite_call(found: re.Match[str]) -> str:
    kind, _, inner = found.groups()
    try:
        if kind is None:
            return inner[1:-1] if inner[:1] in "'\"" else found[0]
        if kind == "timedelta":
            return str(datetime.timedelta(**{name: int(amount) for name, amount in _SECONDS.findall(inner)}))
        return _format_moment(kind, inner)
    except (ValueError, TypeError, OverflowError):
        return found[0]


def _format_moment(kind: str, inner: str) -> str:
    """Write a date or time for people, from the numbers and the time zone in its `repr`."""
    numbers = _NUMBERS.match(inner)
    parts = [int(part) for part in numbers[0].split(", ")] if numbers else []
    if kind == "date":
        return datetime.date(*parts).isoformat()
    _, _, zone = inner.partition("tzinfo=")
    at = datetime.datetime(*parts) if kind == "datetime" else datetime.time(*parts)  # type: ignore[arg-type]  # noqa: DTZ001
    text = at.isoformat(" ") if isinstance(at, datetime.datetime) else at.isoformat()
    text = text.removesuffix(":00") if not at.second and not at.microsecond else text
    return text + (f" {_zone(zone)}" if zone else "")


def _zone(shown: str) -> str:
    if shown in _UTC:
        return "UTC"
    if key := re.search(r"key='([^']+)'", shown):
        return key[1]
    seconds = re.search(r"TzInfo\((-?\d+)\)", shown)
    amount = (
        int(seconds[1])
        if seconds
        else sum(
            int(n) * (86400 if name == "days" else 1) for name, n in _SECONDS.findall(shown) if name != "microseconds"
        )
    )
    if not seconds and "timedelta" not in shown:
        return shown
    sign, minutes = "-" if amount < 0 else "+", abs(amount) // 60
    return f"UTC{sign}{minutes // 60:02}:{minutes % 60:02}"
