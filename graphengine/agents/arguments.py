"""The arguments of a tool: their description for models as JSON Schema, and their validation.

`Signature.of` reads the tool's function once, when the tool is made, and refuses functions that no model could call. A
`Form` is the signature for one set of names that the run supplies (resources and `ctx`): a schema without these names,
and a validator.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticUndefined, from_json, to_json

from graphengine.agents.json_text import LEAST_ROUNDED, ROUNDED, UnreadableJson, no_numbers, repair_json, strict
from graphengine.agents.nested_texts import texts_read
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import clipped, signature_of, utf8_text
from graphengine.kernel.inside import evaluated, unaliased
from graphengine.models.sdk import plain_arguments
from graphengine.models.tool_schemas import SentSchema, sent_schema
from graphengine.schemas.walking import resolve_reference, variants

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from pydantic_core import ErrorDetails

    from graphengine.schemas.walking import Schema

log = logging.getLogger("graphengine.agents")

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The form of names of tools and arguments that every provider accepts."""

ALWAYS_GIVEN: Final = "ctx"
"""A parameter that is never described to a model, even if no run supplies it."""

MAX_REPAIR_CHARACTERS: Final = 20_000
"""Arguments that are not JSON and have more characters than this are not repaired."""

_NONE: Final = inspect.Parameter.empty
_MAX_PROBLEMS: Final = 20
_SHOWN: Final = 80
_LONGER: Final = 300
_BEGINNING: Final = 20
_KEPT: Final = 64  # how many repaired arguments are cached; the arguments of a turn's calls are read several times
_MOST_LEVELS: Final = 32
Place: TypeAlias = tuple[str | int, ...]
"""Where a part of a JSON value is: the keys and indexes that lead to it."""
_MISSING: Final = ("missing_argument", "missing_keyword_only_argument")


class BadArguments(Exception):
    """Raised when the arguments that a model wrote do not fit a tool.

    The text of the exception lists the problems. It is sent to the model, which can correct the call.
    """


@dataclass(frozen=True, slots=True)
class ToolParameter:
    name: str
    annotation: object
    default: object
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """A tool's function as it is described to a model.

    Attributes:
        tool: The name of the tool.
        parameters: The parameters of the function.
        described: The descriptions of parameters in the docstring, by name.
        summary: The docstring without its sections.
    """

    tool: str
    parameters: tuple[ToolParameter, ...]
    described: Mapping[str, str]
    summary: str

    @classmethod
    def of(cls, function: Callable[..., object], tool: str) -> Signature:
        """Read the signature and the docstring of a tool's function.

        Raises:
            DefinitionError: The parameters cannot be passed by name, or the function is a generator or a class.
        """
        _refuse_kind(function, tool)
        try:
            found = signature_of(function)
        except (TypeError, ValueError) as error:
            raise _build_tool_error(
                tool, f"the signature of {function!r} cannot be read", "call it in a function made with def"
            ) from error
        names = _AnnotationEvaluator(function)
        taken = tuple(_take_parameter(parameter, names, tool) for parameter in found.parameters.values())
        if taken and taken[0].name in ("self", "cls") and inspect.isfunction(function):
            repair = f"make the tool of a bound method: tool(an_object.{function.__name__})"
            text = f"the first parameter is {taken[0].name!r}, so the function is a method without its object"
            raise _build_tool_error(tool, text, repair)
        summary, described = _descriptions(function)
        return cls(tool, taken, described, summary)

    def form(self, given: Collection[str]) -> ArgumentForm:
        """Return the schema and the validator for the arguments that the model writes.

        Args:
            given: The names that the run supplies, such as resources. Parameters with these names are left out.

        Raises:
            DefinitionError: A model cannot supply one of the remaining parameters.
        """
        injected = self.injected(given)
        asked = [each for each in self.parameters if each.name not in injected and each.name != ALWAYS_GIVEN]
        if any(each.name == ALWAYS_GIVEN not in injected and each.default is _NONE for each in self.parameters):
            repair = "give the parameter a default (ctx=None), or use the agent as a node of a graph"
            raise _build_tool_error(self.tool, "the function needs 'ctx', which exists only in a run", repair)
        for each in asked:
            problem, repair = each.problem, _CHANGE
            if not problem and not NAME.fullmatch(each.name):
                problem = "has a name that some providers of models do not accept"
                repair = "give the parameter a name of 1 to 64 characters, each of A-Z a-z 0-9 _ -"
            if problem:
                raise _build_tool_error(self.tool, f"the parameter {each.name!r} {problem}", repair)
        adapter = self._adapter(asked)
        sent = self._schema_to_send(asked, adapter)
        return ArgumentForm(self.tool, injected, adapter, sent.schema, sent.names)

    def injected(self, given: Collection[str]) -> frozenset[str]:
        return frozenset(each.name for each in self.parameters if each.name in given)

    def not_for_models(self, given: Collection[str]) -> dict[str, str]:
        """Find the parameters that no model can supply because their types have no JSON Schema, and say why.

        Parameters whose names are in `given` are skipped, because the run supplies them.
        """
        asked = [each for each in self.parameters if each.name not in given and not each.problem]
        try:
            _adapter_of(asked).json_schema(schema_generator=_Plain)
        except (PydanticUserError, TypeError):
            return {each.name: reason for each in asked if (reason := _no_schema(each))}
        return {}

    def _adapter(self, asked: Sequence[ToolParameter]) -> TypeAdapter[dict[str, object]]:
        try:
            return _adapter_of(asked)
        except (PydanticUserError, TypeError) as error:
            raise self._build_parameter_error(asked, error) from error

    def _schema_to_send(self, asked: Sequence[ToolParameter], adapter: TypeAdapter[dict[str, object]]) -> SentSchema:
        try:
            schema = cast("dict[str, JsonValue]", adapter.json_schema(schema_generator=_Plain))
        except PydanticUserError as error:
            raise self._build_parameter_error(asked, error) from error
        properties = cast("dict[str, dict[str, JsonValue]]", schema["properties"])
        for name, text in self.described.items():
            if name in properties:
                properties[name].setdefault("description", text)
        return sent_schema(schema)

    def _build_parameter_error(self, asked: Sequence[ToolParameter], error: Exception) -> DefinitionError:
        for each in asked:
            if reason := _no_schema(each):
                text = f"the type of the parameter {each.name!r} has no JSON Schema: {reason}"
                return _build_tool_error(self.tool, text, _CHANGE)
        return _build_tool_error(self.tool, f"the types of the parameters have no JSON Schema: {error}", _CHANGE)


def _no_schema(parameter: ToolParameter) -> str:
    """Return the reason why the type of a tool's parameter has no JSON Schema; "" if the type has a schema."""
    try:
        _adapter_of([parameter]).json_schema(schema_generator=_Plain)
    except (PydanticUserError, TypeError) as error:
        return str(error).split("\n", maxsplit=1)[0]
    return ""


@dataclass(frozen=True, slots=True)
class ArgumentForm:
    """The JSON Schema and the validator for the arguments that a model writes in a tool call.

    Attributes:
        tool: The name of the tool.
        injected: The names of the parameters that the run supplies, such as resources. The model does not see them.
        adapter: Validates the arguments.
        schema: The schema that models receive.
        names: The aliases that the validator expects, by the names that the schema shows to models. Only names that
            differ are included.
    """

    tool: str
    injected: frozenset[str]
    adapter: TypeAdapter[dict[str, object]]
    schema: Mapping[str, JsonValue]
    names: Mapping[str, str]

    def read(self, text: str) -> dict[str, object]:
        """Parse and validate the arguments that a model wrote for a tool call, and return them by name.

        An argument gets its default if the model left it out, or wrote null although the type does not allow null.

        Raises:
            BadArguments: The arguments do not fit.
        """
        return as_object(text, self._validate_arguments)

    def _validate_arguments(self, text: str) -> dict[str, object]:
        declared = self._use_declared_names(text)
        try:
            found = self.adapter.validate_json(declared)
        except ValidationError as error:
            if any(item["type"] == "json_invalid" for item in error.errors(include_url=False, include_input=False)):
                raise
            if (without := self._without_nulls(text, error)) is not None:
                return self._validate_arguments(without)
            if (read := texts_read(from_json(text), self.schema)) is not None:
                return self._validate_arguments(to_json(read).decode())
            raise BadArguments(self._explain_mistakes(error.errors(include_url=False))) from error
        if counted := no_numbers(declared.encode(), functools.partial(self.adapter.validate_json, strict=True)):
            raise BadArguments(self._explain_mistakes(counted))
        return found

    def _without_nulls(self, text: str, error: ValidationError) -> str | None:
        """Remove the nulls that a model wrote for arguments whose types do not allow null, if they have defaults.

        The defaults of the arguments then apply. Fields of nested models are treated in the same way. Returns the new
        JSON text, or None if no argument or field with a default has such a null.
        """
        sent = {declared: name for name, declared in self.names.items()}
        given: dict[str, JsonValue] = from_json(text)
        places: set[Place] = set()
        for item in error.errors(include_url=False):
            first, *inner = item["loc"] or ("",)
            places.add(_find_place(given, [sent.get(str(first), first), *inner]))
        kept = _leave_out_nulls(
            self.schema, given, lambda place, _, *, is_required: place in places and not is_required, self.schema
        )
        return None if kept == given else to_json(kept, inf_nan_mode="constants").decode()

    def _use_declared_names(self, text: str) -> str:
        """Rename the arguments of a tool call from the names that models see to those that the validator expects.

        Raises:
            ValueError: The text is not JSON.
        """
        if not self.names:
            return text
        found: dict[str, JsonValue] = from_json(text)
        named = {self.names.get(name, name): value for name, value in found.items()}
        return to_json(named, inf_nan_mode="constants").decode()

    def _explain_mistakes(self, found: Sequence[ErrorDetails]) -> str:
        sent = {declared: name for name, declared in self.names.items()}
        takes = ", ".join(cast("dict[str, JsonValue]", self.schema["properties"])) or "nothing"
        lines: list[str] = []
        for item in found[:_MAX_PROBLEMS]:
            first, *inner = item["loc"] or ("value",)
            place = ".".join(map(str, [sent.get(str(first), first), *inner]))
            if item["type"] in _MISSING:
                lines.append(f"- {place}: missing")
            elif item["type"] == "unexpected_keyword_argument":
                lines.append(f"- {place}: there is no such argument; {self.tool} takes {takes}")
            else:
                lines.append(f"- {place}: {item['msg']} (got {_clip_given_repr(item['input'])})")
        return _do_not_fit(self.tool, lines, len(found))


def check_fit(tool: str, schema: Mapping[str, JsonValue], arguments: Mapping[str, object]) -> None:
    """Check the arguments of a tool call against the JSON Schema that the tool declares.

    Raises:
        BadArguments: The arguments do not fit the schema.
    """
    if wrong := misfits(schema, arguments):
        raise BadArguments(_do_not_fit(tool, [f"- {each}" for each in wrong[:_MAX_PROBLEMS]], len(wrong)))


def misfits(schema: Mapping[str, JsonValue], value: object) -> list[str]:
    """List the reasons why a value does not fit a JSON Schema that a user or a server declared.

    The list is empty if the schema itself is invalid, because such a schema cannot check anything. A whole number that
    arrives as a float beyond 2**53 does not fit, because it may have been rounded.
    """
    from jsonschema import exceptions, validators  # noqa: PLC0415 - heavy, and needed for such calls alone
    from referencing import Registry  # noqa: PLC0415 - as jsonschema

    plain: Any = validators.validator_for(schema, default=validators.Draft202012Validator)
    extend: Any = validators.extend
    checker = extend(plain, type_checker=plain.TYPE_CHECKER.redefine("integer", _is_exact_integer))
    try:
        checker.check_schema(schema)
        found = [exceptions.best_match([each]) for each in checker(schema, registry=Registry()).iter_errors(value)]
    except Exception as error:  # noqa: BLE001 - jsonschema raises errors of any kind for invalid schemas
        log.debug("a declared schema checks nothing: %s", error)
        return []
    places = [".".join(map(str, each.absolute_path)) or "value" for each in found]
    whys = [ROUNDED if each.validator == "type" and _is_rounded(each.instance) else each.message for each in found]
    return [f"{place}: {clipped(utf8_text(why), _LONGER)}" for place, why in zip(places, whys, strict=True)]


def _is_exact_integer(_: object, value: object) -> bool:
    is_integer = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return is_integer and not isinstance(value, bool) and not _is_rounded(value)


def _is_rounded(value: object) -> bool:
    return isinstance(value, float) and value.is_integer() and abs(value) >= LEAST_ROUNDED


def without_nulls(schema: Mapping[str, JsonValue], arguments: dict[str, object]) -> dict[str, object]:
    """Leave out each null whose property has a default in the schema and does not accept null.

    Some models write null for every argument that they do not want to give. The tool then uses the default. Properties
    of nested objects, and of objects in lists, are treated in the same way.
    """
    around = {name: schema[name] for name in ("$defs", "definitions") if name in schema}

    def is_left_out(_: Place, inner: Schema, *, is_required: bool) -> bool:  # noqa: ARG001 - a default is enough
        return "default" in inner and bool(misfits({**around, **inner}, None))

    return cast("dict[str, object]", _leave_out_nulls(schema, arguments, is_left_out, schema))


class _IsLeftOut(Protocol):
    """Decides whether to leave out a null, by its place, the schema of its property, and whether that is required."""

    def __call__(self, place: Place, inner: Schema, /, *, is_required: bool) -> bool: ...


def _leave_out_nulls(schema: object, value: object, is_left_out: _IsLeftOut, root: Schema, place: Place = ()) -> object:
    """Return a value without the nulls of declared properties for which `is_left_out` returns True.

    If the schema is a union, a null is only left out if all alternatives that declare the property agree.
    """
    if len(place) == _MOST_LEVELS or not isinstance(value, (dict, list)):
        return value
    allowed = [resolve_reference(schema, root), *variants(schema, root)]
    if isinstance(value, list):
        items = next((each["items"] for each in allowed if isinstance(each.get("items"), Mapping)), None)
        listed: list[object] = next(
            (each["prefixItems"] for each in allowed if isinstance(each.get("prefixItems"), list)), []
        )
        parts = [*listed, *[items] * len(value)]
        return [
            _leave_out_nulls(part, each, is_left_out, root, (*place, number))
            for number, (part, each) in enumerate(zip(parts, value, strict=False))
        ]
    found: dict[str, object] = {}
    for name, each in value.items():
        inside = (*place, name)
        declared = [
            (resolve_reference(one["properties"][name], root), name in (one.get("required") or ()))
            for one in allowed
            if isinstance(one.get("properties"), Mapping) and name in one["properties"]
        ]
        if each is None and declared and all(is_left_out(inside, one, is_required=need) for one, need in declared):
            continue
        more = next((one["additionalProperties"] for one in allowed if "additionalProperties" in one), None)
        found[name] = _leave_out_nulls(
            {"anyOf": [one for one, _ in declared]} if declared else more, each, is_left_out, root, inside
        )
    return found


def _find_place(value: object, location: Sequence[str | int]) -> Place:
    """Return the place of a part of a JSON value to which an error of pydantic refers.

    The location of an error also contains the names of alternatives of unions. These names are left out.
    """
    place: list[str | int] = []
    for part in location:
        is_key = isinstance(value, dict) and part in value
        if is_key or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            value = cast("Any", value)[part]
            place.append(part)
    return tuple(place)


def with_defaults(
    schema: Mapping[str, JsonValue], value: object, root: Mapping[str, JsonValue] | None = None
) -> object:
    """Fill in the defaults that a JSON Schema declares for properties which a value lacks, and return the new value."""
    whole = schema if root is None else root
    properties = resolve_reference(schema, whole).get("properties")
    if not isinstance(value, dict) or not isinstance(properties, dict):
        return value
    found: dict[str, object] = {**value}
    for name, each in properties.items():
        inner = resolve_reference(each, whole)
        if name in found:
            found[name] = with_defaults(inner, found[name], whole)
        # References inside a default are not followed, because they may lead back to it without end.
        elif "default" in inner:
            found[name] = with_defaults(inner, inner["default"], {})
    return found


def _do_not_fit(tool: str, lines: list[str], count: int) -> str:
    """Return the message that tells a model why the arguments of its tool call are not accepted.

    `lines` contains the descriptions of the first problems. `count` is the number of all problems, so the message can
    tell how many problems are not described.
    """
    if count > len(lines):
        lines = [*lines, f"- and {count - len(lines)} more"]
    problems = "\n".join(lines)
    return f"The arguments of {tool} do not fit, so it was not called:\n{problems}\nCall it again with these fixed."


async def repair_first(text: str, in_thread: Callable[[Callable[[], object]], Awaitable[object]]) -> None:
    """Repair the malformed JSON arguments of a tool call in a thread, because the repair may take seconds.

    The repaired arguments are cached, so that a later call of `as_object` does not block the event loop.
    """
    written = _unwrap_arguments(text)
    try:
        from_json(written)
    except ValueError:
        await in_thread(functools.partial(_repair_object, written))


def as_object(text: str, read: Callable[[str], dict[str, object]]) -> dict[str, object]:
    """Parse the JSON object that a model wrote as the arguments of a tool call, and return its values by name.

    Nearly correct JSON (with a trailing comma, single quotes or a code fence) is repaired. A text that was cut off is
    not repaired, because its missing end would be a guess. An empty text counts as an empty object. In an event loop,
    await `repair_first` before this function.

    `read` receives the repaired text, converts it to the values, and raises ValueError if that is not possible.

    Raises:
        BadArguments: The text is not a JSON object. Exceptions of `read` other than ValueError are raised unchanged.
    """
    written = _unwrap_arguments(text)
    problem = f"they begin with {_clip_given_repr(clipped(written, _BEGINNING))}"
    for candidate in (written, _repair_object(written)):
        if candidate is not None and candidate.startswith("{"):
            try:
                strict(candidate)  # refuses an object with a duplicate key, because either value could be meant
                return read(candidate)
            except UnreadableJson as error:
                problem = str(error)
                break
            except ValueError as error:
                problem = _json_problem(candidate, error)
    raise BadArguments(f"The arguments are not a JSON object: {problem}. Call the tool again with a JSON object.")


class _Plain(GenerateJsonSchema):
    """Generates the JSON Schemas that models receive. They have no titles, which would only repeat the names.

    A default that JSON cannot represent is left out without a warning.
    """

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as pydantic has it

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's own
        return False


class _AnnotationEvaluator:
    """Evaluates the annotations of a tool's function one at a time.

    If one annotation names an unknown type, only this annotation fails. All other parameters keep their types.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        self._globals: dict[str, Any] = getattr(inspect.unwrap(_unwrap_callable(function)), "__globals__", {})

    def evaluated(self, annotation: object) -> tuple[object, str]:
        """Evaluate an annotation, such as the text `"list[int]"`, and return the type that it denotes: `list[int]`.

        The result is a pair of the type and a text. The text is "" if the annotation could be evaluated. Otherwise the
        type is `Any`, and the text is the reason.
        """
        if annotation is _NONE:
            return Any, ""
        try:
            return unaliased(evaluated(annotation, self._globals)), ""
        except Exception as error:  # noqa: BLE001 - any annotation may raise anything
            text = getattr(annotation, "__forward_arg__", annotation)
            return Any, f"has the annotation {text!r}, which cannot be evaluated: {error}"


def _take_parameter(parameter: inspect.Parameter, names: _AnnotationEvaluator, tool: str) -> ToolParameter:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        kind = (
            "is positional-only" if parameter.kind is parameter.POSITIONAL_ONLY else "accepts any number of arguments"
        )
        repair = "give each parameter a name: a list can replace *args, and a dict can replace **kwargs"
        text = f"the parameter {str(parameter)!r} {kind}, but models give each argument by the name of a parameter"
        raise _build_tool_error(tool, text, repair)
    annotation, problem = names.evaluated(parameter.annotation)
    return ToolParameter(parameter.name, annotation, parameter.default, problem)


def _refuse_kind(function: Callable[..., object], tool: str) -> None:
    if isinstance(function, type):
        text = f"{function.__name__!r} is a class, and only functions can be tools"
        raise _build_tool_error(tool, text, "give a function that creates the object")
    called = _unwrap_callable(function)
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        text = "the function is a generator, but a model receives only one result of a call"
        raise _build_tool_error(tool, text, "return all values as a list")


def _unwrap_callable(function: Callable[..., object]) -> Callable[..., object]:
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _adapter_of(asked: Sequence[ToolParameter]) -> TypeAdapter[dict[str, object]]:
    """Return a pydantic validator for the arguments of a tool call, given by name.

    pydantic validates the arguments of functions. The validator is therefore made from a generated function that has
    the given parameters and returns its arguments.
    """

    def arguments(**values: object) -> dict[str, object]:
        return values

    parameters = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.annotation)
        for each in asked
    ]
    arguments.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    arguments.__annotations__ = {each.name: each.annotation for each in asked}
    return TypeAdapter(cast("Any", arguments))  # pydantic makes a validator of any function


def _descriptions(function: Callable[..., object]) -> tuple[str, dict[str, str]]:
    """Split the docstring of a tool's function into its description and the description of each argument."""
    text = inspect.getdoc(_unwrap_callable(function)) or ""
    if not text:
        return "", {}
    from docstring_parser import ParseError, parse  # noqa: PLC0415 - keeps `import graphengine` fast

    try:
        found = parse(text)
    except ParseError:
        return text, {}
    summary = "\n\n".join(part for part in (found.short_description, found.long_description) if part)
    return summary, {each.arg_name: each.description for each in found.params if each.description}


def _json_problem(text: str, error: ValueError) -> str:
    """Return the reason why a text is not valid JSON, with the position of the mistake, for the model that wrote it.

    If the text is valid JSON, it was refused for another reason, so the message of `error` is returned.
    """
    try:
        from_json(text)
    except ValueError as found:
        return str(found)
    return str(error)


def _unwrap_arguments(text: str) -> str:
    """Return the arguments of a call as the text of a JSON object.

    Some models encode the object a second time, as a JSON string.
    """
    written = plain_arguments(utf8_text(text)).strip()
    if written.startswith('"'):
        with suppress(ValueError):
            inner = from_json(written)
            return inner.strip() if isinstance(inner, str) and inner.lstrip().startswith("{") else written
    return written


@functools.lru_cache(_KEPT)
def _repair_object(text: str) -> str | None:
    """Repair a JSON object that a model wrote with mistakes; None if the text is too far from JSON or was cut off."""
    if len(text) > MAX_REPAIR_CHARACTERS or not text.rstrip("`\n ").endswith("}"):
        return None
    value = repair_json(text)
    return utf8_text(json.dumps(value, ensure_ascii=False)) if isinstance(value, dict) else None


def _clip_given_repr(value: object) -> str:
    text = "nothing" if value is PydanticUndefined else utf8_text(repr(value))
    return clipped(text, _SHOWN)


def _build_tool_error(tool: str, problem: str, repair: str) -> DefinitionError:
    return DefinitionError(f"tool {tool!r} is not valid: {problem}", where=f"tool {tool}", repair=repair)


_CHANGE: Final = (
    "annotate the parameter with a type that JSON can represent (str, int, list[str], a pydantic model …) and that the "
    "module of the function defines. Or give a resource of this name, which the run fills in"
)

__all__ = [
    "ALWAYS_GIVEN",
    "NAME",
    "ArgumentForm",
    "BadArguments",
    "Signature",
    "ToolParameter",
    "as_object",
    "check_fit",
    "misfits",
    "repair_first",
    "with_defaults",
    "without_nulls",
]
