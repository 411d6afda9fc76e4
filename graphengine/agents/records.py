"""The records of a model's answers and of tool results, and the values that these records represent.

A model may be user code and return anything. Its answers are validated before they are recorded, because limits depend
on their costs and tokens, their texts are written to files, and their tool calls are distinguished by id.
"""

from __future__ import annotations

import inspect
import json
import math
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
from pydantic_core import PydanticSerializationError, from_json, to_json, to_jsonable_python

from graphengine.agents.prompts import as_text, has_media, marked
from graphengine.errors import NotDone
from graphengine.kernel.extension import utf8_text
from graphengine.kernel.inside import check_depth, text_of, user_traceback
from graphengine.media import Media, joined
from graphengine.models.base import Message, Response, Stop, ToolCall
from graphengine.models.errors import ModelError
from graphengine.models.sdk import sound_json
from graphengine.records.work_records import CallRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel.extension import JsonObject, JsonValue
    from graphengine.models.base import Model

_FIGURES: Final = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_MORE: Final = (
    "stop", "why", "model", *_FIGURES, "offline", "cost_usd", "native", "form", "id", "server", "unsealed",
    "held_seconds",
)  # fmt: skip
_STOPS: Final = get_args(Stop)
_UNWRITABLE: Final = (PydanticSerializationError, ValueError, RecursionError)


def check_record(response: object, model: Model, agent: str, known: set[str]) -> Response:
    """Validate the answer that a model returned, and return a copy that is safe to record.

    Args:
        response: The answer.
        model: The model.
        agent: The agent's name, for errors.
        known: The ids of earlier calls. A call without an id, or with one of these ids, gets a new id. If the answer
            has a native form, the ids stay unchanged, because the provider receives the native form with the original
            ids.

    Raises:
        ModelError: The answer is invalid.
    """
    problem = _problem(response)
    if problem or not isinstance(response, Response):
        raise _build_invalid_answer_error(model, agent, problem)
    return replace(
        response,
        content=utf8_text(response.content if isinstance(response.content, str) else as_text(response.content)),
        calls=tuple(_iter_unique_calls(response, known)),
        why=utf8_text(response.why or ""),
        model=utf8_text(response.model or ""),
        id=utf8_text(response.id or ""),
        server=utf8_text(response.server or ""),
        unsealed=utf8_text(response.unsealed or ""),
        native=_prepare_native_form(response, model, agent),
    )


def _prepare_native_form(response: Response, model: Model, agent: str) -> dict[str, Any] | None:
    """Return the native form of a model's answer, which is the form that its provider sent; None if there is none.

    A native form that could not be written as JSON is repaired.
    """
    native = response.native
    if native is None:
        return None
    with suppress(*_UNWRITABLE):
        check_depth(to_json(native))
        return native
    try:
        repaired = sound_json(native)
        check_depth(to_json(repaired))
    except _UNWRITABLE as error:
        raise _build_invalid_answer_error(
            model, agent, f"an answer whose native form cannot be written as JSON: {error}"
        ) from error
    return repaired


def _build_invalid_answer_error(model: Model, agent: str, what: str) -> ModelError:
    repair = "let the class of the model return a valid answer, as graphengine.models.Response describes"
    return ModelError(f"the model {model.name!r} returned {what}", where=f"agent {agent}", repair=repair)


def _problem(response: object) -> str:
    """Find out what is wrong in a model's answer, such as a negative number of tokens; "" if the answer is valid."""
    if not isinstance(response, Response):
        return f"{type(response).__name__} instead of a Response"
    for name in _FIGURES:
        number = getattr(response, name)
        if type(number) is not int or number < 0:
            return f"an answer with {name}={number!r}"
    for name in ("cost_usd", "held_seconds"):
        amount = getattr(response, name)
        if amount is not None and not (type(amount) in (int, float) and 0 <= amount < math.inf):
            return f"an answer with {name}={amount!r}"
    if response.stop not in _STOPS:
        return f"an answer with stop={response.stop!r}"
    if not all(isinstance(call, ToolCall) for call in response.calls):
        return "an answer whose calls are not ToolCalls"
    return ""


def record_of(response: Response) -> dict[str, JsonValue]:
    """Convert a model's answer to the JSON that is recorded. Empty fields are left out."""
    record: dict[str, JsonValue] = {"text": str(response.content), "stop": response.stop}
    if response.calls:
        record["calls"] = [call.model_dump() for call in response.calls]
    for name in _MORE:
        value = getattr(response, name)
        if value or (name == "cost_usd" and value is not None):
            record[name] = value
    return record


def response_of(record: JsonObject) -> Response:
    """Convert the recorded JSON of a model's answer back to a Response."""
    calls = tuple(ToolCall(**call) for call in record.get("calls", ()))
    more = {name: record[name] for name in _MORE if name in record}
    return Response(record["text"], calls, **more)


def result_record(outcome: ToolOutcome, arguments: str | None) -> dict[str, JsonValue]:
    """Convert the outcome of a tool call to the JSON that a run records.

    If a person or a hook changed the arguments of the call, `arguments` contains the changed arguments. It is None if
    the model's own arguments were used.
    """
    record: dict[str, JsonValue] = {"text": outcome.text}
    if arguments is not None:
        record["arguments"] = arguments
    if outcome.media:
        record["media"] = [one.model_dump() for one in outcome.media]
    if outcome.writes:
        record["writes"] = dict(outcome.writes)
    if outcome.is_error:
        record["error"] = True
    if outcome.is_guarded:
        record["guarded"] = True
    if outcome.error is not None:
        record["traceback"] = traceback_text(outcome.error)
    return record


def call_text(tool: str, arguments: str) -> str:
    """Return a text that identifies a tool call by its name and its arguments, in whatever order they are."""
    try:
        found = from_json(arguments)
    except ValueError:
        found = arguments
    return f"{tool} {json.dumps(found, sort_keys=True)}"


def outcome_in(record: JsonObject) -> ToolOutcome:
    """Convert the recorded JSON of a tool call back to its outcome."""
    found = msgspec.convert(record, CallRecord)
    media = tuple(Media.model_validate(one) for one in found.media)
    return ToolOutcome(found.text, is_error=found.error, media=media, writes=found.writes)


def result_message(call: ToolCall, record: JsonObject) -> Message:
    """Return the message that tells a model the result of its tool call, made from the record of the result."""
    found = msgspec.convert(record, CallRecord)
    media = tuple(Media.model_validate(one) for one in found.media)
    text = found.text
    if found.arguments is not None:
        text = f"A person changed the arguments of this call to {found.arguments}.\n\n{text}"
    return Message(role="tool", text=text, media=media, call_id=call.id, is_error=found.error)


def _iter_unique_calls(response: Response, known: set[str]) -> Iterator[ToolCall]:
    """Yield the tool calls of a model's answer, and give each call without an id, or with a used id, a new id.

    If the answer has a native form, the ids stay unchanged, because the provider receives that form with the original
    ids.
    """
    taken = set(known)
    for call in response.calls:
        given = identity = utf8_text(call.id)
        number = 0
        while response.native is None and (not identity or identity in taken):
            number += 1
            identity = f"{given or 'call'}_{len(taken) + number}"
        taken.add(identity)
        yield ToolCall(id=identity, name=utf8_text(call.name), arguments=utf8_text(call.arguments))


MAX_RESULT_CHARACTERS: Final = 200_000
"""The longest result that a model receives. A longer result is an error that contains its size and its beginning."""

MAX_ERROR_CHARACTERS: Final = 10_000
"""The largest number of characters that are shown of an exception's text."""

NOT_KNOWN: Final = "It is not known whether it took effect, or still will: find out before you call it again."
"""The note about a call that was given up: its requests to other systems continue without it."""

_BEGINNING: Final = 2_000
_MOST_UTF8_BYTES: Final = 4  # of one character
_MEDIA: Final = b'"data":"'
"""A text that the JSON of every medium contains. Searching for it is faster than searching the value for media."""
_NOTHING: Final = "(done; there is no result)"


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """The outcome of a tool call: a text for the model, and whether the text is an error.

    A tool's function may return a ToolOutcome to report a failure itself.

    Attributes:
        text: The text for the model.
        is_error: Whether the text describes an error.
        media: The media that the result shows in addition to the text. In the text, `[media 1: chart.png]` represents
            the first of them.
        error: The exception that the function raised, for the record and the log; None if it raised no exception.
        is_unknown: Whether it is unknown how the call ended, because its time was over or its server died.
        writes: The values that the call writes to the state, by field, as JSON.
        is_guarded: Whether a guard refused the arguments, so that the call was not made.
    """

    text: str
    is_error: bool = False
    media: Sequence[Media] = ()
    error: BaseException | None = field(default=None, compare=False, repr=False)
    is_unknown: bool = field(default=False, compare=False, repr=False)
    writes: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    is_guarded: bool = field(default=False, compare=False, repr=False)

    @property
    def cut_off(self) -> BaseException | None:
        """The reason why it is unknown whether the tool call took effect; None if this is known."""
        if self.is_unknown:
            return self.error or TimeoutError(self.text.removesuffix(NOT_KNOWN).rstrip(" ."))
        return None if isinstance(self.error, NotDone) else self.error


def outcome_of(tool: str, value: object) -> ToolOutcome:
    """Convert the value that a tool's function returned to the outcome that the model reads.

    A text is unchanged, and media and lists of texts and media are shown. Any other value becomes JSON, in which a mark
    such as `[media 1: photo.png]` represents each medium. A value without a JSON form, or with a text that is too long,
    becomes an error.
    """
    if isinstance(value, ToolOutcome):
        passed = _passable(tool, value.text, is_error=value.is_error)
        return replace(passed, media=tuple(value.media), is_unknown=value.is_unknown)
    items: Sequence[object] = value if isinstance(value, (list, tuple)) else [value]
    parts = [item for item in items if isinstance(item, (str, Media))]
    if len(parts) == len(items) and any(isinstance(part, Media) for part in parts):
        text, media = joined(parts)
        return replace(_passable(tool, text), media=tuple(media))
    shown: list[Media] = []
    try:
        written = _dump_result(value)
        if isinstance(written, bytes) and _MEDIA in written and has_media(value):
            written = _dump_result(marked(value, shown))
        return replace(_passable(tool, written), media=tuple(shown))
    except (ValueError, RecursionError) as error:
        kind = type(value).__name__
        text = f"{tool} did its work, but its result of type {kind} cannot be written as JSON: {text_of(error)}"
        return ToolOutcome(_cut_error_text(text), is_error=True)


def failed_outcome(error: Exception) -> ToolOutcome:
    """Convert an exception of a tool's function to the outcome that the model reads: its type and its text.

    If the exception is a group with a single exception, the type and text of the inner exception are used.
    """
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    name, message = type(error).__name__, text_of(error)
    return ToolOutcome(_cut_error_text(f"{name}: {message}" if message else name), is_error=True, error=error)


def leaves(error: Exception) -> Iterator[Exception]:
    """Yield the exceptions inside an exception group and its inner groups; any other exception is yielded itself."""
    left = [error]
    while left:
        here = left.pop()
        if isinstance(here, ExceptionGroup):
            left += reversed(here.exceptions)
        else:
            yield here


def traceback_text(error: BaseException) -> str:
    """Format the traceback of a tool's exception for the record.

    Of a long traceback, only the end is kept, which names the raising line.
    """
    try:
        text = utf8_text(user_traceback(error))
    except Exception as raised:  # noqa: BLE001 - an attribute of the user's exception raised this error
        text = f"could not be described: {type(raised).__name__}"
    return text if len(text) <= MAX_ERROR_CHARACTERS else f"…{text[-MAX_ERROR_CHARACTERS:]}"


def _dump_result(value: object) -> str | bytes:
    """Convert the result of a tool to text, or to the bytes of JSON.

    The bytes are decoded later, and only if they are not too many.

    Raises:
        ValueError: The result has no JSON form.
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
    # The value contains a lone surrogate, which is replaced in the text later.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=to_jsonable_python)


def _passable(tool: str, text: str | bytes, *, is_error: bool = False) -> ToolOutcome:
    """Return a text as the outcome of a tool call, or an error for the model if the text is too large.

    The error shows only the beginning of the text. A text that is too large is never copied as a whole, to save memory.
    """
    unit, most_units = ("characters", 1) if isinstance(text, str) else ("bytes", _MOST_UTF8_BYTES)
    if len(text) <= MAX_RESULT_CHARACTERS * most_units:
        whole = text if isinstance(text, str) else text.decode()
        if len(whole) <= MAX_RESULT_CHARACTERS:
            return ToolOutcome(utf8_text(whole), is_error)
    part = text[:_BEGINNING]
    begins = utf8_text(part) if isinstance(part, str) else part.decode(errors="ignore")
    message = (
        f"The result of {tool} has {len(text):,} {unit}; at most {MAX_RESULT_CHARACTERS:,} characters can be passed "
        f"on. Ask it for less. The result begins:\n{begins}…"
    )
    return ToolOutcome(message, is_error=True)


def _cut_error_text(text: str) -> str:
    left = len(text) - MAX_ERROR_CHARACTERS
    return text if left <= 0 else f"{text[:MAX_ERROR_CHARACTERS]} … ({left:,} more characters)"


__all__ = [
    "MAX_ERROR_CHARACTERS",
    "MAX_RESULT_CHARACTERS",
    "NOT_KNOWN",
    "ToolOutcome",
    "call_text",
    "check_record",
    "failed_outcome",
    "leaves",
    "outcome_in",
    "outcome_of",
    "record_of",
    "response_of",
    "result_message",
    "result_record",
    "traceback_text",
]
