"""Calls of functions as `ctx.call` records them: the identity of a call, and how its result is written and read.

A call is identified by the name of its function and a digest of its typed arguments, which is the same in every
process. Its result is recorded as the type of the function's return annotation, and the value that is read back must
equal the result.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import hashlib
import inspect
import typing
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Coroutine, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import EnumType
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeVar, cast

from msgspec import UNSET, UnsetType
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from graphengine.engine.steps import own_name
from graphengine.errors import NotRecordable
from graphengine.graph.effect import KEY_NAME
from graphengine.graph.elsewhere import shown
from graphengine.state.field import short, why
from graphengine.state.given import in_utf8
from graphengine.state.hints import hints_of, signature_of
from graphengine.state.json_values import check_depth, clipped, utf8_text
from graphengine.state.marks import FIELDS_SET, marked, read_json
from graphengine.state.reread import EarlierReader, Reread, Then
from graphengine.state.same import Changed, Ways, is_same, kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.state.json_values import JsonValue


class Returned:
    """Converts the results of a recorded function to JSON and back, according to the return type of the function."""

    __slots__ = ("_adapter",)

    def __init__(self, annotation: Any) -> None:  # noqa: ANN401 - a type
        self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    def record(self, value: object, name: str) -> tuple[JsonValue, object, int]:
        """Convert the result of a recorded function to JSON.

        Args:
            value: The result.
            name: The name of the function, for errors.

        Returns:
            The record, the value that is read back from the record, and the size of the record in bytes.

        Raises:
            NotRecordable: JSON cannot represent the result, or the value read back differs from the result.
        """
        return in_utf8(functools.partial(self._record, name=name), value)

    def _record(self, value: object, name: str) -> tuple[JsonValue, object, int]:
        try:
            body = self._dump(value)
            check_depth(body)
            body, back = kept(body, value, self._read(body), Ways(self._read, self._dump, self._validate_again))
        except Changed as error:
            text = f"{name} returned {short(value)}, whose record "
            text += f"cannot contain {error.lost}" if error.lost else f"would be read back as {short(error.back)}"
            raise NotRecordable(text, where=f"ctx.call({name})", repair=_ANNOTATE) from None
        except (PydanticSerializationError, ValidationError, ValueError, RecursionError) as error:
            text = f"the value that {name} returned cannot be recorded as JSON: {why(error)}"
            raise NotRecordable(text, where=f"ctx.call({name})", repair=_ANNOTATE) from error
        return from_json(body), back, len(body)

    def read(self, record: JsonValue) -> object:
        return self._read(to_json(record))

    def reread(self, record: JsonValue, name: str) -> Reread[object]:
        """Convert a record to the current return type, which may differ from the return type at the time of the record.

        The notes of the returned `Reread` list each recorded value that is lost or changed by the conversion.

        Args:
            record: The recorded result, as JSON values.
            name: The name of the function. The paths of the notes begin with the name.

        Raises:
            ValidationError: The record does not fit the current return type.
            AnotherMember: The record would be decoded as another member of a union than the recorded one.
        """
        return EarlierReader(self._adapter.core_schema).read(
            record,
            lambda json, validate: read_json(validate, to_json(json)),
            lambda value: from_json(marked(value, self._dump(value))),
            f"{name}()",
            Then(),
        )

    def _read(self, body: bytes) -> object:
        return read_json(functools.partial(self._adapter.validate_json, by_name=True, by_alias=False), body)

    def _dump(self, value: object) -> bytes:
        return self._adapter.dump_json(value, by_alias=False, round_trip=True, warnings="error")

    def _validate_again(self, value: object, plain: bool) -> object:  # noqa: FBT001 - as `Ways.again`
        whole = self._adapter.dump_python(value, by_alias=False, round_trip=True) if plain else value
        return self._adapter.validate_python(whole, by_name=True, by_alias=False)


_SHOWN_CHARACTERS: Final = 4000  # of the text of an argument of an effect
_ANNOTATE: Final = "annotate the function with a return type that JSON can represent"


def returned(function: Callable[..., object], name: str) -> Returned:
    """Return the converter for the results of a function, according to its return annotation.

    Raises:
        NotRecordable: JSON cannot represent values of the return annotation.
    """
    annotation = _find_return_annotation(function)
    if typing.get_origin(annotation) in (Awaitable, Coroutine):
        annotation = typing.get_args(annotation)[-1]
    if isinstance(annotation, TypeVar):
        annotation = Any
    try:
        hash(annotation)
        make: Callable[[Any], Returned] = _make_returned
    except TypeError:
        make = Returned
    try:
        return make(annotation)
    except PydanticSchemaGenerationError as error:  # a TypeError before pydantic 2.13
        text = f"{name} returns {getattr(annotation, '__name__', annotation)}, which cannot be recorded as JSON"
        raise NotRecordable(text, where=f"ctx.call({name})", repair=_ANNOTATE) from error


def _find_return_annotation(function: Callable[..., object]) -> Any:  # noqa: ANN401 - a type
    """Return the type of what a call of this function returns, according to its return annotation.

    For a class, this is the class itself, because calling a class returns an instance. Without an annotation, it is
    Any.
    """
    if isinstance(function, type):
        return function
    target = function if inspect.isroutine(function) else type(function).__call__
    return hints_of(target).get("return", Any)


@functools.lru_cache(maxsize=512)
def _make_returned(annotation: Any) -> Returned:  # noqa: ANN401 - a type
    return Returned(annotation)


def identity_of(function: Callable[..., object]) -> tuple[str, object]:
    """Return the name of a function, and an object that tells whether two functions are the same.

    The objects for two functions are equal only if the functions are the same, and bound to the same object. The name
    alone would not distinguish two functions with the same name. For a `functools.partial`, the function inside it
    counts.
    """
    function = unwrap_partials(function, (), {})[0]
    name = getattr(function, "__qualname__", type(function).__name__)
    bound = getattr(function, "__self__", None)
    inner = getattr(function, "__func__", function)
    return name, (_Identity(bound), _Identity(inner))


def unwrap_partials(
    function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
) -> tuple[Callable[..., object], Sequence[object], Mapping[str, object]]:
    """Return the function inside nested `functools.partial` objects, with all arguments.

    For example, `unwrap_partials(partial(f, 1), (2,), {})` returns `(f, (1, 2), {})`.
    """
    while isinstance(function, functools.partial):
        args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
        function = function.func
    return function, args, kwargs


class DoesNotFit(ValueError):
    """Raised if the current arguments cannot be those of a recorded call, because they use a field added since."""


class Shapes:
    """Knows which fields the types had, and which parameters the functions had, when the calls of a node were recorded.

    With this knowledge, a node that runs again under changed code can tell whether a call that it makes is the recorded
    call. A field or parameter that was added since then is ignored if its value is the default, so adding a field with
    a default does not turn the call into another one. A renamed class counts as the earlier class if exactly one
    earlier class can be meant. An added field whose type is a `Literal` or an enum is never ignored, because such
    fields often distinguish one kind of value from another.

    Args:
        then: The code that recorded the call, as `Code.body`.
        now: The current code, as `Code.body`.
    """

    def __init__(self, then: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> None:
        self._types, self._parameters = then["types"], then["parameters"]
        gone = {name: parts.keys() for name, parts in then["types"].items() if name not in now["types"]}
        new = {name: parts.keys() for name, parts in now["types"].items() if name not in then["types"]}
        fits = {name: [old for old, parts in gone.items() if parts - {""} <= fields] for name, fields in new.items()}
        claimed = Counter(old for olds in fits.values() for old in olds)
        self._names = {name: olds[0] for name, olds in fits.items() if len(olds) == 1 and claimed[olds[0]] == 1}

    def parameters(self, function: str) -> Sequence[str] | None:
        """Return the parameters that a function had when the call was recorded; None if they are not known."""
        return self._parameters.get(function)

    def narrow(self, value: object) -> Mapping[str, object] | None:
        """Return those fields of a value that its class already had when a call was recorded.

        Fields that were added since then are left out. Return None if the value is neither a model nor a dataclass.

        Raises:
            DoesNotFit: An added field differs from its default, or is a `Literal` or an enum. Such a value cannot have
                been recorded, because the field did not exist.
        """
        values = field_values(value)
        return None if values is None else self.fields(value, values)[1]

    def project(self, value: object, record: object) -> object:
        """Remove from the JSON record of a value the fields that were added since the call was recorded.

        This gives the record that the value would have had then.

        Args:
            value: The value.
            record: The record of the value, as JSON values.

        Raises:
            DoesNotFit: An added field differs from its default, or is a `Literal` or an enum.
        """
        values = field_values(value)
        if values is not None and isinstance(record, Mapping):
            kept = self.fields(value, values)[1]
            added = values.keys() - kept.keys()
            inside = {name: each for name, each in record.items() if name not in added}
            if isinstance(marked_set := inside.pop(FIELDS_SET, None), list):
                given = [name for name in marked_set if name not in added]
                # without the mark, all fields are set
                inside |= {} if len(given) == len(inside) else {FIELDS_SET: given}
            return {name: self.project(values.get(name), each) for name, each in inside.items()}
        if isinstance(value, Mapping) and isinstance(record, Mapping) and len(value) == len(record):
            pairs = zip(value.values(), record.items(), strict=True)
            return {name: self.project(each, held) for each, (name, held) in pairs}
        if isinstance(value, (list, tuple)) and isinstance(record, list) and len(value) == len(record):
            return [self.project(each, held) for each, held in zip(value, record, strict=True)]
        return record

    def fields(self, value: object, values: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
        """Return the name that a value's class had when the call was recorded, and the fields that the value had then.

        Args:
            value: The value.
            values: The fields that the value has now.

        Raises:
            DoesNotFit: An added field differs from its default, or is a `Literal` or an enum.
        """
        kind = type(value)
        name = own_name(kind.__qualname__)
        then = self._names.get(kind.__name__, kind.__name__)
        if then not in self._types:
            return name, values
        earlier = self._types[then]
        for field in values.keys() - earlier.keys():
            if not is_same(values[field], _new_default(kind, field)):
                raise DoesNotFit(field)
        kept = {field: each for field, each in values.items() if field in earlier}
        return name.removesuffix(kind.__name__) + then, kept

    def narrow_given(self, kind: type, typed: Mapping[str, object], given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the input of a child run as JSON, as an earlier version of the code would have recorded it.

        The id of a child run is derived from its input. So a node whose code has changed needs this to find the child
        that its earlier code started.

        Args:
            kind: The state model of the child run.
            typed: The values of the fields.
            given: The JSON of the fields that the caller gave.

        Raises:
            DoesNotFit: A field that was added since then differs from its default, or is a `Literal` or an enum.
        """
        earlier = self._types.get(self._names.get(kind.__name__, kind.__name__), given)
        for name in given.keys() - earlier.keys():
            if not is_same(typed[name], _new_default(kind, name)):
                raise DoesNotFit(name)
        return {name: self.project(typed[name], each) for name, each in given.items() if name in earlier}


_NO_DEFAULT: Final = object()


def _new_default(kind: type, field: str) -> object:
    """Return the default value of a field that was added to a class.

    Returns `_NO_DEFAULT`, which equals no value, if the field has no default, if its type is a `Literal` or an enum, or
    if the function that makes the default raises an error.
    """
    hint = hints_of(kind).get(field)
    if typing.get_origin(hint) is Literal or isinstance(hint, EnumType):
        return _NO_DEFAULT
    with contextlib.suppress(Exception):  # The function of the user that makes the default may fail here.
        if issubclass(kind, BaseModel):
            return kind.model_fields[field].get_default(call_default_factory=True, validated_data={})
        each = next(each for each in dataclasses.fields(cast("Any", kind)) if each.name == field)
        return each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
    return _NO_DEFAULT


def bind_arguments(
    function: Callable[..., object],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    shapes: Shapes | None = None,
) -> tuple[Sequence[object], Mapping[str, object]]:
    """Bind the arguments of a call to the names of the function's parameters, to identify the call.

    Parameters that the call does not give have their defaults. So an argument can become a keyword argument, or a
    default can be written out, and the call keeps its identity. If the default changes, the call becomes another one.

    Two defaults are left out: a default that JSON cannot represent, and the default of the parameter `idempotency_key`.

    Args:
        function: The function, or a `functools.partial` of the function.
        args: The positional arguments of the call.
        kwargs: The keyword arguments of the call.
        shapes: The parameters that the function had when the call was recorded. A parameter that was added since then
            is left out if its value is the default. None binds the arguments in the current form.

    Returns:
        The arguments for `*args`, which have no names, and all other arguments by name. If the function has no
        signature, or its signature does not accept the arguments, `args` and `kwargs` are returned unchanged.

    Example:
        >>> def pay(amount, currency="EUR"): ...
        >>> bind_arguments(pay, (5,), {}) == bind_arguments(pay, (), {"amount": 5, "currency": "EUR"})
        True
    """
    function, args, kwargs = unwrap_partials(function, args, kwargs)
    try:
        parameters = signature_of(function).parameters
        given = signature_of(function).bind_partial(*args, **kwargs).arguments
    # The function is written in C, or does not accept the arguments. The call itself will report that.
    except (TypeError, ValueError):
        return args, kwargs
    rest: Sequence[object] = ()
    named: dict[str, object] = {}
    earlier = None if shapes is None else shapes.parameters(own_name(getattr(function, "__qualname__", "")))
    for name, each in parameters.items():
        if earlier is not None and name not in earlier and is_same(given.get(name, each.default), each.default):
            continue  # the parameter was added since then, and its value is the default
        if name not in given:
            if each.default is not each.empty and name != KEY_NAME and _can_identify(each.default):
                named[name] = each.default
        elif each.kind is each.VAR_POSITIONAL:
            rest = given[name]
        elif each.kind is each.VAR_KEYWORD:
            named.update(given[name])
        else:
            named[name] = given[name]
    return rest, named


def _can_identify(value: object) -> bool:
    """Return whether a value can be part of the digest that identifies a call. JSON must be able to represent it."""
    if type(value) in _ATOMS:
        return True
    try:
        to_json(_canonicalise(value))
    except Exception:  # noqa: BLE001 - a serializer of the user's
        return False
    return True


def arguments_of(
    function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Return the arguments of a call by the names of the parameters, and the default values of the function.

    For example, a call `pay(5)` of `def pay(amount, currency="EUR")` gives `{"amount": 5}` and `{"currency": "EUR"}`.
    If the signature of the function is not known, the arguments are named by their positions: `{"0": 5}`.
    """
    function, args, kwargs = unwrap_partials(function, args, kwargs)
    try:
        signature = signature_of(function)
        named = signature.bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return {**{str(number): value for number, value in enumerate(args)}, **kwargs}, {}
    parameters = signature.parameters.values()
    for more in (named.pop(each.name, {}) for each in parameters if each.kind is each.VAR_KEYWORD):
        named.update(more)
    return named, {each.name: each.default for each in parameters if each.default is not each.empty}


def held_call(
    function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object], handle: str
) -> tuple[Callable[[object], object], Mapping[str, object]]:
    """Turn a call that needs a database connection into a function that receives the connection when the call is made.

    The connection exists only then, while the other arguments are known, and identify the call. The parameter for the
    connection may stand before other parameters.

    Args:
        function: The function.
        args: The positional arguments of the call, without the connection.
        kwargs: The keyword arguments of the call.
        handle: The name of the parameter for the connection.

    Returns:
        The function of the connection, and the other arguments by name.

    Raises:
        TypeError: The function does not accept the other arguments.
    """
    whole = signature_of(function)
    others = [each for each in whole.parameters.values() if each.name != handle]
    bound = whole.replace(parameters=others).bind(*args, **kwargs)

    def call(held: object) -> object:
        full = inspect.BoundArguments(whole, OrderedDict({**bound.arguments, handle: held}))
        return function(*full.args, **full.kwargs)

    return call, {name: value for name, value in bound.arguments.items() if name != KEY_NAME}


def takes_key(function: Callable[..., object], kwargs: Mapping[str, object]) -> bool:
    """Return whether the engine has to pass an idempotency key to the function of a call.

    This is necessary if the function has a parameter `idempotency_key`, and the caller gave no argument for it.
    """
    try:
        return KEY_NAME in signature_of(function).parameters and KEY_NAME not in kwargs
    except (TypeError, ValueError):
        return False


def recordable(values: Mapping[str, object]) -> JsonValue | UnsetType:
    """Convert the arguments of a call to JSON that is shown to people; UNSET if there are no arguments.

    A value that JSON cannot represent is replaced by a text.
    """
    return {name: _recordable(value) for name, value in values.items()} or UNSET


def _recordable(value: object) -> JsonValue:
    try:
        _refuse_iterators(value)
        record: JsonValue = from_json(to_json(value, fallback=shown, inf_nan_mode="strings"))
    except (ValueError, RecursionError):  # an iterator, a cycle, or bytes that are not text
        record = utf8_text(shown(value))
    return record


def _refuse_iterators(value: object) -> None:
    if isinstance(value, Iterator):
        _refuse_iterator(value)
    if isinstance(value, (Mapping, list, tuple, AbstractSet)):
        for part in value.values() if isinstance(value, Mapping) else value:
            _refuse_iterators(part)


def _refuse_iterator(value: object) -> NoReturn:
    message = f"a value of type {type(value).__name__} can be read only once, so it cannot be recorded"
    raise PydanticSerializationError(message)


def shortened(values: JsonValue | UnsetType) -> JsonValue | UnsetType:
    """Shorten long arguments of a recorded call for people: a long value becomes the beginning of its text."""
    if not isinstance(values, dict):
        return values
    texts = {name: to_json(value).decode() for name, value in values.items()}
    return {
        name: values[name] if len(text) <= _SHOWN_CHARACTERS else clipped(text, _SHOWN_CHARACTERS)
        for name, text in texts.items()
    }


class _Identity:
    """Wraps an object so that two wrappers are equal only if they wrap the same object.

    The wrapper keeps the object alive, so that no other object can get the same id.
    """

    __slots__ = ("_held",)

    def __init__(self, held: object) -> None:
        self._held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self._held is other._held

    def __hash__(self) -> int:
        return id(self._held)


def digest_of_call(
    name: str, args: Sequence[object], kwargs: Mapping[str, object], shapes: Shapes | None = None
) -> str:
    """Return a digest of a call's arguments and their types, which is the same in every process.

    Args:
        name: The name of the function, for errors.
        args: The arguments without names.
        kwargs: The arguments by name.
        shapes: The types as they were when a call was recorded, to compare the digest with the digest of that call.
            None computes the digest with the current types.

    Raises:
        NotRecordable: JSON cannot represent an argument, or an argument is an iterator, which reading would consume.
        DoesNotFit: `shapes` is given, and the call cannot have been recorded with those types.
    """
    given: list[object] = [[*args], dict(kwargs)]
    try:
        body = in_utf8(lambda held: to_json([_canonicalise(each, shapes) for each in held]), given)
    except (PydanticSerializationError, RecursionError) as error:
        raise NotRecordable(
            f"the arguments of {own_name(name)} cannot identify the call: {error}",
            where=f"ctx.call({own_name(name)})",
            repair="give the call a key='…' that identifies it",
        ) from error
    return hashlib.blake2b(body, digest_size=9).hexdigest()


_ATOMS: Final = frozenset((str, int, float, bool, type(None)))
_TYPED: Final = ""
"""The key of a JSON object that represents a value of a type that JSON does not have.

Such an object is `{"": [name of the type, content]}`.
"""


def _canonicalise(value: Any, shapes: Shapes | None = None) -> object:  # noqa: ANN401 - whatever a call is given
    """Convert a value to JSON from which a digest is computed: equal for equal values, and different for all others.

    The JSON is the same in each process. It also differs if only the types differ. JSON's own values represent
    themselves, with the keys of a dict in order. So `()` is not `[]`, `{1: x}` is not `{"1": x}`, and a Decimal is not
    its text.

    Raises:
        PydanticSerializationError: The value is an iterator, or contains one, or JSON cannot represent it.
    """
    kind = type(value)
    if kind in _ATOMS:  # the most frequent kinds
        return value
    if kind is list:
        return [_canonicalise(item, shapes) for item in value]
    if kind is dict and _TYPED not in value and all(type(key) is str for key in value):
        return _encode_members(value, shapes)
    # Only the name of the class itself counts, because the class can later be in another module or function.
    name = "Path" if isinstance(value, PurePath) else own_name(kind.__qualname__)
    fields = field_values(value)
    if fields is None:
        return {_TYPED: [name, _encode_contents(value, shapes)]}
    if shapes is not None:
        name, fields = shapes.fields(value, fields)
    return {_TYPED: [name, _encode_members(fields, shapes)]}


def field_values(value: Any) -> Mapping[str, object] | None:  # noqa: ANN401 - as above
    """Return the fields of a pydantic model or a dataclass by name; None for any other value."""
    if isinstance(value, BaseModel):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, (type, enum.Enum, Mapping, list, tuple)):
        return {each.name: getattr(value, each.name, None) for each in dataclasses.fields(value)}
    return None


def _encode_members(value: Mapping[str, object], shapes: Shapes | None) -> object:
    return {key: _canonicalise(value[key], shapes) for key in sorted(value)}


def _encode_contents(value: Any, shapes: Shapes | None) -> object:  # noqa: ANN401 - as above
    """Convert a value of a type that JSON lacks, such as an enum, a set or a time, to JSON.

    The JSON depends only on the content of the value. For example, the items of a set are sorted, so that equal sets
    have equal JSON.
    """
    if isinstance(value, enum.Enum):
        return _canonicalise(value.value, shapes)
    if isinstance(value, Iterator):
        _refuse_iterator(value)
    if isinstance(value, AbstractSet):
        return sorted(to_json(_canonicalise(item, shapes)).decode() for item in value)
    if isinstance(value, Mapping):
        pairs = [[_canonicalise(key, shapes), _canonicalise(item, shapes)] for key, item in value.items()]
        return pairs if isinstance(value, OrderedDict) else sorted(pairs, key=to_json)
    if isinstance(value, (list, tuple, deque)):
        return [_canonicalise(item, shapes) for item in value]
    return from_json(marked(value, to_json(value)))  # For example, a time is marked with its time zone.
