"""Structured output: the schema of an agent's answers, and the conversion of an answer to a value of its type.

Each agent has one `Output`. It provides the JSON Schema for requests, which always describes an object, and it reads
answers: JSON strictly, text that is nearly JSON tolerantly (see `json_text`), and a single word for a choice exactly.
An answer that cannot be read without guessing raises a `BadAnswer`, whose text the model can understand. `feedback`
makes the message to the model from this error.
"""

from __future__ import annotations

import enum
import functools
import inspect
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Literal, NewType, cast, get_args, get_origin, overload

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import PydanticSerializationError, from_json, to_json
from typing_extensions import TypeForm, TypeVar

from graphengine.agents.errors import BadAnswer
from graphengine.agents.json_text import (
    NOTHING,
    UnreadableJson,
    no_numbers,
    strict,
    tolerant,
    tolerant_of_prose,
    unfenced,
    without_thoughts,
)
from graphengine.agents.nested_texts import texts_read
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import clipped, utf8_text
from graphengine.kernel.inside import Injected, marked, members, read_json, type_name, unaliased
from graphengine.models.parts import Cited
from graphengine.schemas.walking import resolve_reference, with_definitions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from pydantic import JsonValue
    from pydantic_core import ErrorDetails

    from graphengine.agents.arguments import ArgumentForm

T = TypeVar("T", default=str)

KEY: Final = "answer"
"""The key under which a schema contains an answer whose type is not an object."""

_SHOWN: Final = 120  # the largest number of characters of a value in a message
_MOST_ERRORS: Final = 10  # the largest number of errors in a message; with more errors, a model starts over anyway
_LONGEST_NAME: Final = 64  # the limit of the providers
_AROUND: Final = " \t\r\n\"'`*.\u2018\u2019\u201c\u201d\u00ab\u00bb"  # characters that may surround a choice
_BARE: Final = frozenset({"date", "date-time", "time", "uuid"})  # formats that are recognizable without quotes


class Output(Generic[T]):
    """The form of an agent's answers: a JSON Schema, and a reader for answers.

    Attributes:
        schema: The JSON Schema of the answer, which always describes an object; None for text. If the type is not an
            object (a number, a list, a union, a choice, a dict), the schema describes an object with the value under
            the key `answer`.
        name: The schema's name, made of letters, digits, `_` and `-`.
        wrapped: Whether the value is under the key `answer`.

    Args:
        output: The type of the answers: any type for which pydantic has a JSON Schema.
        where: The place that a `BadAnswer` names, such as `agent critic`.
        form: The arguments of a function, which are read instead of the type.

    Raises:
        DefinitionError: The type has no JSON form.

    Example:
        >>> Output(int).read('{"answer": 8}')
        8
    """

    __slots__ = ("_adapter", "_bare", "_choices", "_fields", "_keys", "_type", "_where", "name", "schema", "wrapped")

    def __init__(self, output: TypeForm[T], *, where: str = "", form: ArgumentForm | None = None) -> None:
        self._where, output = where, unaliased(output)
        plain_type = _strip_constraints(output)
        self._type = type_name(plain_type) if form is None else form.tool
        try:
            self._adapter: TypeAdapter[T] = TypeAdapter(output) if form is None else cast("Any", form.adapter)
            schema = self._adapter.json_schema(by_alias=False) if plain_type not in (str, Cited) else None
        # Raised, for example, if the type is a value.
        except (PydanticUserError, PydanticUndefinedAnnotation, AttributeError, IndexError) as error:
            raise DefinitionError(
                f"the type {self._type!r} cannot be the type of an answer: {getattr(error, 'message', error)}",
                where=where,
                repair="use a type that has a JSON Schema",
            ) from error
        self.name = re.sub(r"[^A-Za-z0-9_-]+", "_", self._type).strip("_")[:_LONGEST_NAME] or KEY
        schema = schema if form is None else dict(form.schema)
        self._choices = {} if schema is not None and "contentSchema" in schema else _list_choice_texts(output)
        self._bare = schema is not None and schema.get("format") in _BARE
        inner = resolve_reference(schema, schema)
        plain = inner.get("type") == "object" and "properties" in inner
        self.wrapped = schema is not None and not plain
        self._fields = (
            frozenset(inner["properties"]) if plain and not inner.get("additionalProperties") else frozenset()
        )
        self.schema: Mapping[str, JsonValue] | None = _wrap(schema) if schema is not None and self.wrapped else None
        if plain:
            self.schema = inner
        self._keys = frozenset(inner.get("required") or self._fields) if plain else frozenset([KEY])

    def read(self, content: object) -> T:
        """Convert a model's answer to a value of the output type. In an event loop, await `read_in_loop` instead.

        Args:
            content: The text of a model, or a value that rules returned.

        Raises:
            BadAnswer: The answer does not fit, is empty, or could only be read by guessing.
        """
        found = self._at_once(content)
        return self._fit_value(self._repair_text(found.text)) if isinstance(found, _NotJson) else found

    async def read_in_loop(
        self,
        content: object,
        in_thread: Callable[[Callable[[], object]], Awaitable[object]],
        *,
        as_before: bool = False,
    ) -> T:
        """Convert an answer as `read` does, but repair malformed JSON in a thread, because this may take seconds.

        Args:
            content: As for `read`.
            in_thread: Calls a function in a thread.
            as_before: Whether to read the answer as earlier versions did, which accepted JSON anywhere in a text and
                recognised other fences. Answers that these versions recorded are read again in this way.
        """
        found = self._at_once(content, as_before=as_before)
        if not isinstance(found, _NotJson):
            return found
        return self._fit_value(await in_thread(functools.partial(self._repair_text, found.text, as_before)))

    def _at_once(self, content: object, *, as_before: bool = False) -> T | _NotJson:
        """Convert a model's answer to a value, unless its JSON is malformed. `_NotJson` is returned for malformed JSON.

        The repair of malformed JSON may take seconds. The caller therefore decides whether the text is repaired in the
        event loop or in a thread.
        """
        if not isinstance(content, str):
            return self._validate_answer(content)
        text = utf8_text(content)
        if not text.strip():
            raise self._bad("the answer is empty")
        if self.schema is None:
            return self._validate_answer(text)
        return self._read_structured(text, as_before=as_before)

    def again(self, value: T) -> T:
        """Validate an answer again after a guard changed texts in it.

        Raises:
            BadAnswer: The answer no longer fits its type.
        """
        if self.schema is None:
            return self._validate_answer(value)
        try:
            return self._validate_loaded(
                self._adapter.dump_json(value, by_alias=False, round_trip=True, warnings="error"), ()
            )
        except PydanticSerializationError as error:
            raise self._bad(f"the answer does not fit {self._type} after a guard changed it: {error}") from error

    def recorded(self, value: object) -> JsonValue:
        """Convert the result of an output function to the JSON that a run records.

        Raises:
            PydanticSerializationError: The value is not of the type.
        """
        dumped = self._adapter.dump_json(cast("T", value), by_alias=False, round_trip=True, warnings="error")
        return cast("JsonValue", from_json(marked(value, dumped)))

    def from_record(self, record: JsonValue) -> T:
        """Convert the recorded JSON of an output function's result back to the value."""
        validate = functools.partial(self._adapter.validate_json, by_name=True, by_alias=False)
        return read_json(validate, to_json(record))

    def feedback(self, error: Exception) -> str:
        """Return the message that tells the model why its answer cannot be used, so that the model can correct it.

        Args:
            error: A `BadAnswer`, or the ValueError of a check.
        """
        message = error.message if isinstance(error, BadAnswer) else str(error) or type(error).__name__
        if self.schema is None:
            form = "Give the whole answer again, corrected."
        elif self.wrapped:
            form = f'Give the whole answer again, corrected, as one JSON object of the form {{"{KEY}": …}} alone.'
        else:
            form = "Give the whole answer again, corrected, as one JSON object that fits the schema, and nothing else."
        return f"Your answer cannot be used: {utf8_text(message)}\n\n{form}"

    def _read_structured(self, text: str, *, as_before: bool) -> T | _NotJson:
        bare = unfenced(text, as_before=as_before)
        # The text "```yes\n```" looks like a fence with a language.
        for each in (bare,) if as_before else (without_thoughts(text), bare):
            if self._choices and (found := self._chosen(each)) is not None:
                return self._validate_loaded(found, ())
        try:
            value = strict(bare)
        except UnreadableJson as error:
            raise self._unreadable(error, text) from None
        if value is NOTHING and self._bare and (plain := self._read_unquoted(bare)) is not None:
            return plain
        if value is NOTHING and self._choices and "{" not in bare:
            raise self._none_of(bare)
        return _NotJson(text) if value is NOTHING else self._fit_value(value)

    def _repair_text(self, text: str, as_before: bool = False) -> object:  # noqa: FBT001, FBT002 - of a partial
        try:
            return tolerant_of_prose(text) if as_before else tolerant(text, self._keys)
        except UnreadableJson as error:
            raise self._unreadable(error, text) from None

    def _fit_value(self, value: object) -> T:
        """Convert a parsed answer to a value of the output type.

        The schema puts a value that is not an object under the key `answer`. Many models leave this key out, so the
        value is accepted with and without the key.
        """
        if not self.wrapped:
            self._refuse_unknown_object(value)
            return self._validate_dumped(value, ())
        if not isinstance(value, dict) or KEY not in value:
            return self._alone(value, ())
        if len(value) == 1:
            try:
                return self._alone(value[KEY], (KEY,))
            except BadAnswer:
                return self._or(value, value[KEY])
        return self._or(value, value[KEY])

    def _or(self, first: object, second: object) -> T:
        """Convert a parsed answer, `first`, to the output type. If it does not fit, convert `second` instead.

        `second` is the value that the answer contains under the key `answer`. If neither fits, the error is about
        `second`.
        """
        try:
            return self._alone(first, ())
        except BadAnswer:
            return self._alone(second, (KEY,))

    def _alone(self, value: object, place: tuple[str, ...]) -> T:
        """Convert one parsed value to the output type, after the key `answer` was removed if there was one.

        `place` is the place of the value in the model's answer, for errors.
        """
        if self._choices:
            found = self._chosen(value if isinstance(value, str) else json.dumps(value))
            if found is not None and not isinstance(value, (dict, list)):
                return self._validate_loaded(found, place)
            if isinstance(value, (str, int, float)):
                raise self._none_of(value)
        return self._validate_dumped(value, place)

    def _chosen(self, text: str) -> bytes | None:
        """Return the JSON value of the choice that a model's text names, ignoring case, quotes and full stops.

        Returns None if the text names no choice, or could name several.
        """
        if text in self._choices:
            return self._choices[text]
        plain = _fold_choice(text)
        found = {body for choice, body in self._choices.items() if plain and _fold_choice(choice) == plain}
        return found.pop() if len(found) == 1 else None

    def _read_unquoted(self, text: str) -> T | None:
        """Read a date, a time or an id that the model wrote without the quotes of JSON; None for other texts."""
        try:
            return self._validate_loaded(json.dumps(text.strip(_AROUND)).encode(), ())
        except BadAnswer:
            return None

    def _refuse_unknown_object(self, value: object) -> None:
        """Raise an error for an object that has no field of the output type.

        If all fields of the type have defaults, pydantic would accept any such object as a value with only defaults.
        """
        if isinstance(value, dict) and value and self._fields and self._fields.isdisjoint(value):
            given, wanted = ", ".join(map(str, value)), ", ".join(sorted(self._fields))
            raise self._bad(
                f"the answer does not fit {self._type}: it has {_clip_answer_value(given)}, but none of {wanted}"
            )

    def _validate_dumped(self, value: object, place: tuple[str, ...]) -> T:
        try:
            body = utf8_text(json.dumps(value, ensure_ascii=False, allow_nan=False))
        except (ValueError, RecursionError) as error:
            raise self._bad(f"the answer does not fit {self._type}: {error}") from error
        return self._validate_loaded(body.encode(), place)

    def _validate_loaded(self, body: bytes, place: tuple[str, ...]) -> T:
        try:
            value = self._adapter.validate_json(body, by_name=True, by_alias=False)
        except ValidationError as error:
            if (read := self._read_texts(body)) is not None:
                return self._validate_loaded(read, place)
            raise self._bad(self._mistakes(error.errors(include_url=False), place)) from error
        strictly = functools.partial(self._adapter.validate_json, strict=True, by_name=True, by_alias=False)
        if counted := no_numbers(body, strictly):
            raise self._bad(self._mistakes(counted, place))
        return value

    def _read_texts(self, body: bytes) -> bytes | None:
        """Decode JSON texts inside a model's answer where a list or an object is wanted; None if there are none."""
        root = self.schema or {}
        schema = cast("Mapping[str, JsonValue]", root["properties"])[KEY] if self.wrapped else root
        try:
            read = texts_read(from_json(body), cast("Mapping[str, JsonValue]", schema), root)
        except ValueError:
            return None
        return None if read is None else to_json(read)

    def _validate_answer(self, value: object) -> T:
        try:
            return self._adapter.validate_python(value, by_name=True, by_alias=True)
        except ValidationError as error:
            raise self._bad(self._mistakes(error.errors(include_url=False), ())) from error

    def _mistakes(self, found: Sequence[ErrorDetails], place: tuple[str, ...]) -> str:
        """Format validation errors for the model, one line for each: the place, the problem and the given value."""
        lines = []
        for item in found[:_MOST_ERRORS]:
            given = "" if item["type"].startswith("missing") else f" (given: {_clip_answer_value(item['input'])})"
            lines.append(
                f"- {_format_answer_place((*place, *item['loc']))}: {item['msg'].removeprefix('Value error, ')}{given}"
            )
        if len(found) > _MOST_ERRORS:
            lines.append(f"- and {len(found) - _MOST_ERRORS} more")
        return f"the answer does not fit {self._type}:\n" + "\n".join(lines)

    def _none_of(self, value: object) -> BadAnswer:
        choices = ", ".join(dict.fromkeys(choice.decode() for choice in self._choices.values()))
        return self._bad(f"the answer is not one of {choices} (given: {_clip_answer_value(value)})")

    def _unreadable(self, error: UnreadableJson, text: str) -> BadAnswer:
        return self._bad(f"the answer does not fit {self._type}: {error} (given: {_clip_answer_value(text)})")

    def _bad(self, message: str) -> BadAnswer:
        repair = "state in the prompt which form the answer must have, or choose a more general output type"
        return BadAnswer(message, where=self._where, repair=repair)


@dataclass(frozen=True, slots=True)
class OutputFunction:
    """A function whose results are the answers of an agent, as `result_of` returns it for `output=`."""

    function: Callable[..., object]

    @property
    def returns(self) -> object:
        return Injected.of(self.function).returns


@overload
def result_of(function: Callable[..., Coroutine[Any, Any, T]]) -> TypeForm[T]: ...
@overload
def result_of(function: Callable[..., T]) -> TypeForm[T]: ...
def result_of(function: Callable[..., Any]) -> TypeForm[Any]:
    """Return the `output=` of an agent whose answers are the results of a function.

    With `output=result_of(function)`, the model writes the arguments of the function as JSON. The function is called
    with these arguments, and its result is the answer of the agent. If the function raises ValueError, the error
    message is sent back to the model, which can then correct the arguments. The option `check=` of an agent works in
    the same way.

    An agent with `result_of(function)` records the call of the function with its result, so a resumed run does not call
    the function again. If a rule or a placeholder answers in place of a model, it returns the result itself, and the
    function is not called.

    Args:
        function: Makes the answer, sync or async. Like a tool, it can read resources and `ctx` by name.

    Raises:
        DefinitionError: The argument is not a function, or its return type is not annotated.

    Example:
        >>> def halve(number: int) -> int:
        ...     if number % 2:
        ...         raise ValueError("give an even number")
        ...     return number // 2
        >>> model = ScriptedModel([{"number": 7}, {"number": 8}])
        >>> Agent("halving", model=model, prompt="Think of a number.", output=result_of(halve)).run_sync()
        4
    """
    output = OutputFunction(function)
    if not inspect.isroutine(function) or output.returns is Any:
        text = f"result_of({function!r}): the argument must be a function with an annotated result"
        repair = "give a function whose result is annotated: def refund(amount: int) -> Refund"
        raise DefinitionError(text, where="output=", repair=repair)
    return cast("TypeForm[Any]", output)


@dataclass(frozen=True, slots=True)
class _NotJson:
    """A model's answer that is not JSON, but may become JSON by a repair."""

    text: str


def _strip_constraints(output: object) -> object:
    while True:
        if get_origin(output) is Annotated:
            output = get_args(output)[0]
        elif isinstance(output, NewType):
            output = output.__supertype__
        else:
            return output


def _list_choice_texts(output: object) -> dict[str, bytes]:
    """List the choices that a Literal, an enum or a bool allows, each as a text for the model and as the JSON value.

    The list is empty for every other type.
    """
    found: dict[str, bytes] = {}
    for member in members(output):
        if get_origin(member) is Literal:
            values: Sequence[object] = get_args(member)
        elif isinstance(member, type) and issubclass(member, enum.Enum):
            values = [item.value for item in member]
        elif member is bool:
            found |= {"true": b"true", "yes": b"true", "false": b"false", "no": b"false"}
            continue
        elif member in (None, type(None)):
            continue
        else:
            return {}
        for value in values:
            plain = value.value if isinstance(value, enum.Enum) else value
            if not isinstance(plain, (str, int, float, type(None))):
                return {}  # an enum whose values are structures
            found[plain if isinstance(plain, str) else to_json(plain).decode()] = to_json(plain)
    return found


def _fold_choice(text: str) -> str:
    return text.strip(_AROUND).casefold()


def _wrap(schema: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the schema of an object that contains a value of this schema under the key `answer`."""
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    members = {"properties": {KEY: inner}, "required": [KEY], "additionalProperties": False}
    return with_definitions({"type": "object", **members}, schema)


def _format_answer_place(parts: Sequence[str | int]) -> str:
    """Format the path to a part of an answer for a message, such as `issues[0].text`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".") or "the answer"


def _clip_answer_value(value: object) -> str:
    if isinstance(value, str):
        text = json.dumps(value[: _SHOWN + 1], ensure_ascii=False)
    else:
        text = to_json(value, fallback=repr, inf_nan_mode="constants").decode()
    return clipped(text, _SHOWN)


__all__ = ["KEY", "Output", "OutputFunction", "result_of"]
