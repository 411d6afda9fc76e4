"""Format texts, values, amounts and times for people, with one function for each, so that all displays look the same.

Commands that must start quickly import this module. The inspector's page has the same functions in `words.ts`, and a
test compares them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, Final

from graphengine.records.offline import are_offline

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.inside import TokensName
    from graphengine.kernel.reader import Usage

_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control codes except tab and newline
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # line separators, and controls of the writing direction
    "\u00ad\u180e\u200b\u2060-\u2064\ufeff\U000e0000-\U000e007f"  # what is not seen at all
    "\ud800-\udfff]"  # lone surrogates, which no encoding can represent
)
_ROOM: Final = 4
"""How many characters are read for each that is shown: blanks may be among them."""
_MILLISECONDS_BELOW: Final = 0.0995
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_CALENDAR: Final = "%Y-%m-%d %H:%M:%S %Z"
SECRET: Final = "$secret"  # noqa: S105 - the mark of a record: what it has is encrypted
SET_FIELDS: Final = "__fields_set__"
"""What the record of a model has beside its fields: which of them were set."""
_PARTS: Final[tuple[tuple[int, TokensName, str], ...]] = (
    (0, "cache_read_tokens", "cached"),
    (0, "cache_write_tokens", "written to the cache"),
    (1, "reasoning_tokens", "thinking"),
)
"""Parts of the input (0) and output (1) tokens, in words."""


# --- Texts and values ------------------------------------------------------------------------------------------------
_LOSSES: Final[Mapping[str, tuple[str, str]]] = {
    "failed_items": ("item failed", "items failed"),
    "failed_children": ("child run failed", "child runs failed"),
    "unused_results": ("recorded result not used again", "recorded results not used again"),
    "fallbacks": ("fallback", "fallbacks"),
    "retries": ("retry", "retries"),
    "rejected_answers": ("answer rejected", "answers rejected"),
    "failed_tools": ("tool call failed", "tool calls failed"),
    "unmigrated": ("state not migrated", "states not migrated"),
}
"""How one and several of what a run can lose are called."""


def clean(text: str) -> str:
    r"""Escape control codes (except newline and tab) and invisible characters, so that no text can disturb a terminal.

    >>> clean("\x1b[2Jhel\u200blo")
    '\\x1b[2Jhel\\u200blo'
    """
    return _UNSAFE.sub(_escape_character, text.replace("\r\n", "\n"))


def _escape_character(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - digits


def one_line(text: str, limit: int = 200) -> str:
    r"""Put a text on one line and cut it to the limit. Only the beginning of a long text is read.

    >>> one_line("a long\n text", 7)
    'a long…'
    """
    joined = " ".join(text[: _ROOM * limit].split())
    return joined if len(joined) <= limit and len(text) <= _ROOM * limit else joined[: limit - 1] + "…"


def quoted(text: str, limit: int = 200) -> str:
    r"""Put a text in quotes and on one line, cut to the limit. Quotes inside the text are escaped as in JSON.

    >>> print(quoted("a long\n text", 7), quoted(""), quoted('"'))
    "a long…" "" "\""
    """
    from json.encoder import encode_basestring  # noqa: PLC0415 - `--help` writes none

    return encode_basestring(one_line(text, limit))


def compact(value: JsonValue, limit: int = 200) -> str:
    """Format a value on one line, cut to the limit. A text stays as it is; any other value is written as JSON.

    Only the part of a large value that is shown is converted.

    >>> compact("tides"), compact(""), compact({"score": 7, "notes": ["long"] * 1000}, 20)
    ('tides', '""', '{"score": 7, "notes…')
    >>> compact({"token": {"$secret": "gAAAAA"}})
    '{"token": secret}'
    """
    if isinstance(value, str):
        return one_line(value, limit) or '""'
    try:
        return one_line(_as_clipped_json(value, _ROOM * limit), limit)
    except RecursionError:
        return "…"


def _as_clipped_json(value: JsonValue, room: int) -> str:
    """Convert a value to JSON, and stop once `room` characters are written. Secrets are shown as the word `secret`."""
    import json  # noqa: PLC0415 - `--help` writes none
    from json.encoder import encode_basestring  # noqa: PLC0415

    if isinstance(value, str):
        return encode_basestring(value[:room])
    if not isinstance(value, (dict, list)):
        return json.dumps(value, default=repr)
    if len(value) == 1 and SECRET in value and isinstance(value, dict):
        return "secret"
    text, ends = "", "{}" if isinstance(value, dict) else "[]"
    for name, each in value.items() if isinstance(value, dict) else zip(repeat(""), value, strict=False):
        if name == SET_FIELDS:
            continue
        text += ", " if text else ""
        text += f"{encode_basestring(name)}: " if ends == "{}" else ""
        text += _as_clipped_json(each, room - len(text))
        if len(text) > room:
            break
    return f"{ends[0]}{text}{ends[1]}"


def counted(number: int, noun: str) -> str:
    """Format a number with a noun, which gets an "s" unless the number is 1.

    >>> counted(1, "visit"), counted(1200, "visit")
    ('1 visit', '1,200 visits')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


# --- Times -----------------------------------------------------------------------------------------------------------


def seconds(duration: float) -> str:
    """Format a duration in seconds with at most two units.

    >>> seconds(0.0004), seconds(0.25), seconds(75), seconds(7500), seconds(90_000), seconds(120)
    ('0 ms', '0.25 s', '1 min 15 s', '2 h 5 min', '1 d 1 h', '2 min')
    """
    if duration < _MILLISECONDS_BELOW:
        return f"{max(0.0, duration) * 1000:.0f} ms"
    whole = round(duration)
    for (size, name), (small, small_name) in pairwise(_UNITS):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{duration:.1f} s" if duration >= 1 else f"{duration:.2f} s"


def age(duration: float) -> str:
    """Format how many seconds ago something happened, in the largest unit.

    >>> age(0.2), age(75), age(90_000)
    ('0 s ago', '1 min ago', '1 d ago')
    """
    size, name = next((unit for unit in _UNITS if duration >= unit[0]), _UNITS[-1])
    return f"{max(0, int(duration // size))} {name} ago"


def when(at: float, zone: tzinfo | None = None, form: str = _CALENDAR) -> str:
    """Format epoch seconds as a date and time with the name of the time zone, by default that of this machine.

    >>> when(0.0, UTC), when(1e30)
    ('1970-01-01 00:00:00 UTC', '1e+30 s after 1970')
    """
    try:
        return datetime.fromtimestamp(at, UTC).astimezone(zone).strftime(form).rstrip()
    except (ValueError, OverflowError, OSError):  # out of the calendar's range
        return f"{at:g} s after 1970"


# --- What models used ------------------------------------------------------------------------------------------------


def cost(usage: Usage) -> str:
    """Format the cost of model calls; "" if no model was called. An unknown cost is never shown as 0.

    >>> cost({"calls": 1, "cost_usd": 0.0123}), cost({"calls": 1, "offline_calls": 1}), cost({})
    ('0.0123 USD', 'offline', '')
    >>> cost({"calls": 2, "cost_usd": None, "priced_usd": 0.5}), cost({"calls": 1, "cost_usd": None})
    ('unknown, at least 0.5000 USD', 'unknown')
    """
    if not usage.get("calls") and not usage.get("unknown_calls"):
        return ""
    if are_offline(usage) and not usage.get("unknown_calls"):
        return "offline"
    known: float = usage.get("priced_usd") or 0.0
    return usd(usage.get("cost_usd", 0.0)) or "unknown" + (f", at least {usd(known)}" if known else "")


def usd(amount: float | None) -> str:
    """Format an amount of US dollars; "" if the amount is None, which means unknown."""
    from graphengine.kernel.extension import dollars  # noqa: PLC0415 - as above

    return "" if amount is None else f"{dollars(amount)} USD"


def tokens(usage: Usage) -> str:
    """Format the number of tokens of model calls. Tokens of caches and of thinking are named if there are any.

    >>> tokens({"input_tokens": 1200, "output_tokens": 30, "reasoning_tokens": 20})
    '1,230 tokens (1,200 in; 30 out, 20 of them thinking)'
    """
    tokens_in: int = usage.get("input_tokens") or 0
    tokens_out: int = usage.get("output_tokens") or 0
    text, parts = counted(tokens_in + tokens_out, "token"), [f"{tokens_in:,} in", f"{tokens_out:,} out"]
    for at, name, word in _PARTS:
        number: int = usage.get(name) or 0
        parts[at] += f", {number:,} of them {word}" if number else ""
    text += f" ({'; '.join(parts)})" if tokens_in + tokens_out else ""
    unknown: int = usage.get("unknown_calls") or 0
    return f"{text}, plus unreported tokens of {counted(unknown, 'failed call')}" if unknown else text


def used(usage: Usage) -> str:
    """Format the number, tokens and cost of model calls.

    >>> used({"calls": 2, "offline_calls": 2}), used({"calls": 1, "input_tokens": 9, "cost_usd": 0.5})
    ('2 model calls, all offline', '1 model call, 9 tokens (9 in; 0 out), cost 0.5000 USD')
    """
    calls: int = usage.get("calls") or 0
    offline: int = usage.get("offline_calls") or 0
    paid = cost(usage)
    if not paid:
        return "no model calls"
    if paid == "offline":
        return f"{counted(calls, 'model call')}, all offline"
    return f"{counted(calls, 'model call')}{f' ({offline} offline)' if offline else ''}, {tokens(usage)}, cost {paid}"


def loss_words(losses: Mapping[str, int]) -> str:
    """Format what went wrong in a run, such as retries and failed items; "" if nothing did.

    >>> loss_words({"failed_items": 3, "retries": 25, "rejected_answers": 1})
    '3 items failed, 25 retries, 1 answer rejected'
    """
    return ", ".join(f"{count} {_LOSSES[name][count > 1]}" for name, count in losses.items() if name in _LOSSES)


__all__ = [
    "SECRET",
    "SET_FIELDS",
    "age",
    "clean",
    "compact",
    "cost",
    "counted",
    "loss_words",
    "one_line",
    "seconds",
    "tokens",
    "usd",
    "used",
    "when",
]
