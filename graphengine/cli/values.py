"""VALUE on the command line as an answer or a message: JSON or text, given directly, in a file, or on stdin."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from graphengine.cli.inputs import read_text
from graphengine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.state.json_values import JsonValue


def value_from(raw: str, schema: Mapping[str, JsonValue] | None) -> JsonValue:
    """Return the value that VALUE, @file or `-` gives.

    Args:
        raw: The argument; a leading `@@` means a literal `@`.
        schema: The JSON Schema of the value; None if there is none.

    Raises:
        InputError: A file cannot be read, or stdin is not text.
    """
    from graphengine.runner.answers import parsed

    return parsed(_text(raw), schema)


def _text(raw: str) -> str:
    if raw.startswith("@@"):
        return raw[1:]
    if raw.startswith("@"):
        return _without_last_break(read_text(raw[1:], f"VALUE {raw}"))
    if raw != "-":
        return raw
    try:
        return _without_last_break(sys.stdin.read())
    except UnicodeDecodeError as error:
        raise InputError(
            f"stdin is not UTF-8 text: {error.reason} at byte {error.start}", where="VALUE -", repair="give UTF-8"
        ) from error


def _without_last_break(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")
