"""The check that a graph's state can be recorded and read back field by field, as `graphengine.state.schema` does."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final, get_origin

from pydantic.errors import PydanticUserError

from graphengine.errors import Problem
from graphengine.kernel.extension import signature_of
from graphengine.kernel.inside import (
    OPERATIONS,
    has_secret,
    is_async,
    lost_in,
    members,
    reducers_of,
    type_name,
)
from graphengine.reducers import Replace, append

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import BaseModel

    from graphengine.kernel.extension import FieldType

_WRITERS: Final = ("format", "function-plain", "to-string")
"""Serialisers of pydantic that write something other than the value itself."""
_LIST_REDUCERS: Final = {"append": list, "extend": list, "merge": dict}


def model_problems(model: type[BaseModel]) -> Iterator[Problem]:
    """Find settings of a state's model that conflict with graphs, such as `extra="allow"` or private attributes.

    A graph records and updates the fields of its state one by one, which such settings prevent.
    """
    where = f"state {model.__name__}"
    if model.model_config.get("extra") == "allow":
        text = "the model has extra='allow', which accepts misspelt fields"
        yield Problem("bad_state", where, text, "remove extra='allow' from its configuration")
    if model.__pydantic_decorators__.model_serializers:
        text = "the model has a model_serializer, so its fields cannot be recorded one by one"
        yield Problem("not_recordable", where, text, "serialise single fields with field_serializer")
    if not inspect.unwrap(model.model_post_init).__module__.startswith("pydantic."):
        text = "model_post_init runs when a model is created, not when a node updates a field"
        repair = "use a @model_validator(mode='after') that returns self, which runs with each update"
        yield Problem("bad_state", where, text, repair)
    for name in model.__private_attributes__:
        text = f"the private attribute {name!r} is not recorded, so every node would see its default"
        yield Problem("not_recordable", where, text, "make it a field, or pass the value as a resource of the graph")


def field_problems(where: str, field: FieldType) -> Iterator[Problem]:
    """Find reasons why a field of a graph's state cannot be reduced, recorded or read back."""
    info = field.info
    reducers = reducers_of(info)
    if len(reducers) > 1:
        names = ", ".join(r.__name__ for r in reducers)
        text = f"the field has several reducers, {names}, but only one can combine its values"
        yield Problem("two_reducers", where, text, "keep one of them")
    elif reducers:
        kind = _LIST_REDUCERS.get(getattr(reducers[0], "__name__", ""))
        kinds = [get_origin(m) or m for m in members(info.annotation)]
        if kind is not None and reducers[0].__module__ == append.__module__ and kind not in (*kinds, Any):
            text = f"the reducer {reducers[0].__name__} needs a field of type {kind.__name__}"
            yield Problem("bad_reducer", where, text, "change the type of the field, or the reducer")
        if not _takes_two(reducers[0]):
            text = (
                f"the reducer {reducers[0].__name__} cannot be called with two arguments, the old value and the new one"
            )
            yield Problem("bad_reducer", where, text, "give the function two parameters: (old, new)")
        if is_async(reducers[0]):
            text = f"the reducer {reducers[0].__name__} is async, but reducers are called without await"
            yield Problem("bad_function", where, text, "write the function with def, and do the waiting in a node")
    for name in {*OPERATIONS.values()}.intersection(item for item in info.metadata if isinstance(item, str)):
        repair = f"write {name} without quotes: from graphengine.reducers import {name}"
        text = f"the annotation of the field contains the text {name!r} in place of the reducer"
        yield Problem("bad_reducer", where, text, repair)
    if info.exclude:
        text = "the field is excluded from JSON, so a resumed run would lose its value"
        yield Problem("not_recordable", where, text, "remove exclude=True")
    yield from _default_problems(where, field)
    yield from _json_problems(where, field)


def _default_problems(where: str, field: FieldType) -> Iterator[Problem]:
    """Report a default that does not fit its field. pydantic does not validate defaults, and runs could not start."""
    info = field.info
    is_simple = info.default is None or type(info.default) in (str, int, float, bool)
    own = field.own or field.secret or any(hasattr(item, "__get_pydantic_core_schema__") for item in info.metadata)
    if not is_simple or info.default_factory is not None or own:
        return
    wrong = field.mismatch(Replace(info.default))
    if wrong is not None:
        repair = f"declare it {type_name(info.annotation)} | None" if info.default is None else wrong.repair
        text = f"the default does not fit the field, so every input must give a value: {wrong.message}"
        yield Problem("bad_default", where, text, repair, warning=True)


def _takes_two(reducer: Callable[..., object]) -> bool:
    try:
        parameters = signature_of(reducer)
    except (TypeError, ValueError):  # a builtin has no signature
        return True
    try:
        parameters.bind(None, None)
    except TypeError:
        return False
    return True


def _json_problems(where: str, field: FieldType) -> Iterator[Problem]:
    """Find parts of a field's type that cannot be written as JSON, or cannot be read back from JSON."""
    if field.constrained or not field.scalar:
        for name in sorted(set(_with_context(field.models.checked.__pydantic_core_schema__))):
            text = f"the validator {name} of the field reads info.context, which is always None in a run"
            yield Problem(
                "bad_function", where, text, "check the value in a node, which can use a resource of the graph"
            )
    found = [] if field.secret or field.own or field.dumped else [*lost_in(field.info, field.model.model_config)]
    for lost in found:
        text = f"{lost.text} cannot be read back from JSON"
        yield Problem("not_recordable", where, text, lost.repair, warning=not lost.certain)
    if any(lost.certain for lost in found):
        return
    if field.scalar or field.exact is not None:
        return  # all its values are JSON; making a schema to find this out would take most of the time of a compilation
    try:
        field.models.single.model_json_schema(mode="serialization")
    except (PydanticUserError, ValueError) as error:  # pydantic raises a ValueError for a member of an enum
        repair = (
            "use a type that JSON can represent; a type of your own needs WithJsonSchema({…}) in its Annotated, or "
        )
        repair += "json_schema_input_type=… in its validator"
        yield Problem("not_recordable", where, re.sub(r" at 0x\w+", "", str(error).splitlines()[0]), repair)
    if _has_plain_bytes(field.models.single.__pydantic_core_schema__) and not has_secret(field.info.annotation):
        repair = "set ConfigDict(ser_json_bytes='base64', val_json_bytes='base64') on the model that has them"
        yield Problem("not_recordable", where, "bytes have no reliable form in JSON", repair)


def _has_plain_bytes(schema: object, encoding: str = "utf8") -> bool:
    """Return whether a value of this type contains bytes that pydantic would write to JSON as plain UTF-8 text.

    Bytes that are not valid UTF-8 could not be recorded in this way.
    """
    if isinstance(schema, dict):
        config = schema.get("config")
        if isinstance(config, dict):
            encoding = config.get("ser_json_bytes", "utf8")
        if (schema.get("serialization") or {}).get("type") in _WRITERS:
            # its own serialiser writes them (as in Base64Bytes), or str() does (as in a ULID)
            return False
        if schema.get("type") == "bytes" and encoding == "utf8":
            return True
        return any(_has_plain_bytes(v, encoding) for k, v in schema.items() if k not in ("config", "metadata", "cls"))
    if isinstance(schema, (list, tuple)):
        return any(_has_plain_bytes(item, encoding) for item in schema)
    return False


def _with_context(schema: object) -> Iterator[str]:
    """Find validators of a model that read the validation context, which is not available when a graph runs."""
    if isinstance(schema, dict):
        function = schema.get("function")
        if isinstance(function, dict) and function.get("type") == "with-info":
            code = getattr(function.get("function"), "__code__", None)
            if code is not None and "context" in code.co_names:
                yield code.co_name
        for key, part in schema.items():
            if key not in ("metadata", "cls", "serialization"):
                yield from _with_context(part)
    elif isinstance(schema, (list, tuple)):
        for part in schema:
            yield from _with_context(part)
