"""The outcome of a tool call as text for a model: results, errors, and results that are too large."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json, to_jsonable_python

from graphengine.agents.prompts import has_media, marked
from graphengine.calls.user_frames import user_traceback
from graphengine.engine.failures import text_of
from graphengine.media import Media, joined
from graphengine.state.json_values import utf8_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_RESULT_CHARACTERS: Final = 200_000
"""The longest result that is passed on to a model; a longer one is an error with its size and its beginning."""

MAX_ERROR_CHARACTERS: Final = 10_000
"""How much of an exception's text is shown."""

_BEGINNING: Final = 2_000
_MOST_UTF8_BYTES: Final = 4  # of one character
_MEDIA: Final = b'"data":"'
"""What the JSON of a medium contains; a search for it is faster than one for media."""
_NOTHING: Final = "(done; there is no result)"


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """The outcome of a tool call: a text for the model, and whether it is an error.

    A tool's function may return one, to report a failure itself.

    Attributes:
        text: The text for the model.
        is_error: Whether it describes an error.
        media: What the result shows besides the text, where `[media 1: chart.png]` stands for the first of it.
        error: The exception of the function, for the record and the log; None if it raised none.
    """

    text: str
    is_error: bool = False
    media: Sequence[Media] = ()
    error: BaseException | None = field(default=None, compare=False, repr=False)


def outcome_of(tool: str, value: object) -> ToolOutcome:
    """Return the outcome for the value that a tool's function returned.

    Text is unchanged, media and lists of texts and media are shown, any other value becomes JSON, in which a mark such
    as `[media 1: photo.png]` stands for each medium. A value without a JSON form, or one that is too long, is an error.
    """
    if isinstance(value, ToolOutcome):
        return replace(_passable(tool, value.text, is_error=value.is_error), media=tuple(value.media))
    items: Sequence[object] = value if isinstance(value, (list, tuple)) else [value]
    parts = [item for item in items if isinstance(item, (str, Media))]
    if len(parts) == len(items) and any(isinstance(part, Media) for part in parts):
        text, media = joined(parts)
        return replace(_passable(tool, text), media=tuple(media))
    shown: list[Media] = []
    try:
        written = _text(value)
        if isinstance(written, bytes) and _MEDIA in written and has_media(value):
            written = _text(marked(value, shown))
        return replace(_passable(tool, written), media=tuple(shown))
    except (ValueError, RecursionError) as error:
        kind = type(value).__name__
        text = f"{tool} did its work, but its result, a {kind}, cannot be written as JSON: {text_of(error)}"
        return ToolOutcome(_cut(text), is_error=True)


def failed(error: Exception) -> ToolOutcome:
    """Return the outcome for a function's exception: its type and text, or those of the only one in its group."""
    error = single(error)
    name, message = type(error).__name__, text_of(error)
    return ToolOutcome(_cut(f"{name}: {message}" if message else name), is_error=True, error=error)


def single(error: Exception) -> Exception:
    """Return the error itself, or the only one of a group."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def leaves(error: Exception) -> Iterator[Exception]:
    """Yield the errors of a group, and of the groups in it; or the error itself."""
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for each in error.exceptions:
        yield from leaves(each)


def traceback_text(error: BaseException) -> str:
    """Return the traceback for the record; only the end of a long one, which names the line that raised."""
    text = utf8_text(user_traceback(error))
    return text if len(text) <= MAX_ERROR_CHARACTERS else f"…{text[-MAX_ERROR_CHARACTERS:]}"


def _text(value: object) -> str | bytes:
    """Return a result as text, or as the bytes of JSON, which are decoded only if they are not too many.

    Raises:
        ValueError: It has no JSON form.
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
    # It contains a lone surrogate, to be replaced in the text.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=to_jsonable_python)


def _passable(tool: str, text: str | bytes, *, is_error: bool = False) -> ToolOutcome:
    """Return the outcome, or an error if it is too large. A text that is too large is not copied."""
    unit, most_units = ("characters", 1) if isinstance(text, str) else ("bytes", _MOST_UTF8_BYTES)
    if len(text) <= MAX_RESULT_CHARACTERS * most_units:
        whole = text if isinstance(text, str) else text.decode()
        if len(whole) <= MAX_RESULT_CHARACTERS:
            return ToolOutcome(utf8_text(whole), is_error)
    part = text[:_BEGINNING]
    begins = utf8_text(part) if isinstance(part, str) else part.decode(errors="ignore")
    message = (
        f"The result of {tool} has {len(text):,} {unit}; at most {MAX_RESULT_CHARACTERS:,} characters can be passed "
        f"on. Ask it for less. The result begins:\n{begins}"
    )
    return ToolOutcome(message, is_error=True)


def _cut(text: str) -> str:
    left = len(text) - MAX_ERROR_CHARACTERS
    return text if left <= 0 else f"{text[:MAX_ERROR_CHARACTERS]} … ({left:,} more characters)"


__all__ = [
    "MAX_ERROR_CHARACTERS",
    "MAX_RESULT_CHARACTERS",
    "ToolOutcome",
    "failed",
    "leaves",
    "outcome_of",
    "single",
    "traceback_text",
]
