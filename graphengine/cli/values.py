"""VALUE on the command line as an answer or a message: JSON or text, given directly, in a file, or on stdin.

The schema of the answer determines whether a text like `5` or `yes` is a text, a number or a bool: the first of these
that fits is used.

1. The text parsed as JSON, if it is valid.
2. The text itself.
3. For a bool: `yes` as true and `no` as false, in any case.

Without a schema (a message), valid JSON is parsed; anything else is text.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pydantic_core import from_json

from graphengine.cli.inputs import read_text
from graphengine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.state.json_values import JsonValue

_WORDS: Final = {"yes": True, "no": False, "true": True, "false": False}


def value_from(raw: str, schema: Mapping[str, JsonValue] | None) -> JsonValue:
    """Return the value that VALUE, @file or `-` gives.

    Args:
        raw: The argument; a leading `@@` means a literal `@`.
        schema: The JSON Schema of the value; None if there is none.

    Raises:
        InputError: A file cannot be read, or stdin is not text.
    """
    text = _text(raw)
    candidates: list[JsonValue] = []
    with suppress(ValueError, TypeError):  # the latter for lone surrogates
        candidates.append(from_json(text, allow_inf_nan=False))
    candidates.append(text)
    if text.strip().lower() in _WORDS:
        candidates.append(_WORDS[text.strip().lower()])
    return next((value for value in candidates if _fits(value, schema)), candidates[0])


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


def _fits(value: JsonValue, schema: Mapping[str, JsonValue] | None) -> bool:
    if schema is None:
        return True
    from graphengine.runner.answer_schema import whats_wrong

    return not whats_wrong(schema, value)
