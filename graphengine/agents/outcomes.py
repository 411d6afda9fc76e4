"""What comes of a tool call, as text for a model: results, errors, and those that are too large to be passed on."""

from __future__ import annotations

import inspect
import json
import traceback
from dataclasses import dataclass, field
from typing import Final

from pydantic_core import to_json, to_jsonable_python

from graphengine.agents.arguments import mended
from graphengine.engine.failures import text_of

MAX_RESULT_CHARACTERS: Final = 200_000
"""The longest result that is passed on to a model; a longer one is an error that tells its size and how it begins."""

MAX_ERROR_CHARACTERS: Final = 10_000
"""How much of an exception's text is told."""

_BEGINNING: Final = 2_000
_MOST_UTF8_BYTES: Final = 4  # of one character
_NOTHING: Final = "(done; there is no result)"


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What a tool call came to: a text for the model, and whether it is about an error.

    A tool's function may return one, to say itself that it failed.

    Attributes:
        text: What the model gets.
        is_error: Whether that describes an error.
        error: What the function raised, for the record and the log; None if it raised nothing.
    """

    text: str
    is_error: bool = False
    error: BaseException | None = field(default=None, compare=False, repr=False)


def outcome_of(tool: str, value: object) -> ToolOutcome:
    """What a tool's function returned, as a model gets it.

    Text stays as it is, anything else becomes JSON. What JSON cannot carry, and what is too long, becomes an error.
    """
    if isinstance(value, ToolOutcome):
        return _passable(tool, value.text, is_error=value.is_error)
    try:
        return _passable(tool, _text(value))
    except (ValueError, RecursionError) as error:
        kind = type(value).__name__
        text = f"{tool} did its work, but its result, a {kind}, cannot be told as JSON: {text_of(error)}"
        return ToolOutcome(_cut(text), is_error=True)


def failed(error: Exception) -> ToolOutcome:
    """What a tool's function raised, as a model gets it: its kind and its text; of a group of one, those of the one."""
    error = single(error)
    name, said = type(error).__name__, text_of(error)
    return ToolOutcome(_cut(f"{name}: {said}" if said else name), is_error=True, error=error)


def single(error: Exception) -> Exception:
    """The error itself, or the only one of a group."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def traceback_text(error: BaseException) -> str:
    """The traceback as it is recorded; of a long one the end, which names the line that raised."""
    text = mended("".join(traceback.format_exception(error)))
    return text if len(text) <= MAX_ERROR_CHARACTERS else f"…{text[-MAX_ERROR_CHARACTERS:]}"


def _text(value: object) -> str | bytes:
    """A result as text, or as the bytes of JSON: they are decoded only if they are not too many.

    Raises:
        ValueError: JSON cannot carry it.
    """
    if value is None:
        return _NOTHING
    if isinstance(value, str):
        return str.__str__(value)
    if inspect.isgenerator(value):
        message = "it yields values; return a list of them"
        raise ValueError(message)
    try:
        return to_json(value, inf_nan_mode="strings")
    except ValueError as error:
        if "UnicodeEncodeError" not in str(error):
            raise
    # A lone surrogate is in it, to be mended in the text.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=to_jsonable_python)


def _passable(tool: str, text: str | bytes, *, is_error: bool = False) -> ToolOutcome:
    """The outcome, or that it is too large. What is too large is not copied."""
    unit, most_units = ("characters", 1) if isinstance(text, str) else ("bytes", _MOST_UTF8_BYTES)
    if len(text) <= MAX_RESULT_CHARACTERS * most_units:
        whole = text if isinstance(text, str) else text.decode()
        if len(whole) <= MAX_RESULT_CHARACTERS:
            return ToolOutcome(mended(whole), is_error)
    part = text[:_BEGINNING]
    begins = mended(part) if isinstance(part, str) else part.decode(errors="ignore")
    told = (
        f"The result of {tool} has {len(text):,} {unit}; at most {MAX_RESULT_CHARACTERS:,} characters can be passed "
        f"on. Ask it for less. The result begins:\n{begins}"
    )
    return ToolOutcome(told, is_error=True)


def _cut(text: str) -> str:
    left = len(text) - MAX_ERROR_CHARACTERS
    return text if left <= 0 else f"{text[:MAX_ERROR_CHARACTERS]} … ({left:,} more characters)"


__all__ = [
    "MAX_ERROR_CHARACTERS",
    "MAX_RESULT_CHARACTERS",
    "ToolOutcome",
    "failed",
    "outcome_of",
    "single",
    "traceback_text",
]
