"""Values of a run's state, cut to what fits a screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from graphengine.cli.terminal import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.cli.terminal import Channel
    from graphengine.state.json_values import JsonValue

_SCREEN_LINES: Final = 3
"""The lines of a value on a terminal."""
_PIPE_LINES: Final = 24
_PIPE_COLUMNS: Final = 500
_INDENT: Final = 4


def show_state(out: Channel, values: Mapping[str, JsonValue], *, is_whole: bool = False) -> bool:
    """Show the fields of a state; return whether a value was cut.

    Args:
        out: The channel to write to.
        values: The fields.
        is_whole: Whether to show long values uncut.
    """
    is_cut = False
    for name, value in values.items():
        is_cut |= _show_field(out, name, value, is_whole=is_whole)
    return is_cut


def _show_field(out: Channel, name: str, value: JsonValue, *, is_whole: bool) -> bool:
    columns, left_out = out.columns, ""
    if is_whole:
        text = whole(value)
    elif columns is None:
        text, left_out = _for_pipe(value)
    else:
        text, left_out = _for_screen(value, _SCREEN_LINES * (columns - 2 * _INDENT) - len(name))
    out.prose((name, "bold"), ": ", text, (f" … {left_out} more" if left_out else "", "dim"), indent=_INDENT)
    return bool(left_out)


def whole(value: JsonValue) -> str:
    """Return a value uncut: a text of several lines below its name, anything else as JSON on one line."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    lines = value.splitlines()
    return value.strip("\n") if len(lines) <= 1 else "".join(f"\n{' ' * _INDENT}{line}" for line in lines)


def _for_screen(value: JsonValue, room: int) -> tuple[str, str]:
    """Return the beginning of a value, on one line and cut between words, and how much is left out."""
    text = one_line(clean(value if isinstance(value, str) else whole(value)), 1_000_000_000)
    if len(text) <= room:
        return text, ""
    room -= len(f" … {len(text):,} characters more")
    cut = text[: text.rfind(" ", room // 2, room) if " " in text[room // 2 : room] else room]
    return cut, f"{len(text) - len(cut):,} characters"


def _for_pipe(value: JsonValue) -> tuple[str, str]:
    """Return a value with at most a number of lines and columns, and how much is left out."""
    if not isinstance(value, str):
        text = whole(value)
        left_out = len(text) - _PIPE_COLUMNS
        return text[:_PIPE_COLUMNS], f"{left_out:,} characters" if left_out > 0 else ""
    lines = value.splitlines()
    shown = [line[:_PIPE_COLUMNS] for line in lines[:_PIPE_LINES]]
    left_out = sum(map(len, lines)) - sum(map(len, shown))
    return whole("\n".join(shown)), f"{left_out:,} characters" if left_out else ""
