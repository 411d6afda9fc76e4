"""States that are declared as a TypedDict or a dataclass.

The engine works with pydantic models. For any other declaration, this module makes a model with the same fields. Users
never see instances of this model: a user gets a dict, or an instance of the dataclass that is made without calling the
user's code.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Annotated, Any, ClassVar, Final, NotRequired, Required, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError
from typing_extensions import ReadOnly, is_typeddict, override

from graphengine.state.hints import unaliased
from graphengine.state.same import is_same

_MODEL: Final = "__graphengine_model__"
_EMPTY: Final = (list, dict, set)


class DeclaredModel(BaseModel):
    """Base class of the pydantic models that graphengine makes for states declared as a TypedDict or a dataclass.

    `__declared__` is the class that the user declared. `__optional__` names the keys of a TypedDict that may be
    missing.
    """

    model_config = ConfigDict(protected_namespaces=())

    __declared__: ClassVar[Any]
    __optional__: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    @override
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Any:
        if is_typeddict(cls.__declared__):
            return values
        instance = cls.__declared__.__new__(cls.__declared__)
        for name, each in values.items():
            object.__setattr__(instance, name, each)
        return instance


def model_of(declared: object) -> type[BaseModel]:
    """Return the pydantic model for a state that the user declared as a model, a TypedDict or a dataclass.

    Raises:
        ValueError: The class does not declare a state, or its annotations cannot be evaluated. The message says why.
    """
    if not isinstance(declared, type) or not (
        issubclass(declared, BaseModel) or is_typeddict(declared) or dataclasses.is_dataclass(declared)
    ):
        raise ValueError(f"{declared!r} is neither a pydantic model nor a TypedDict or a dataclass")
    if issubclass(declared, BaseModel):
        return declared
    if _MODEL in vars(declared):
        cached: type[BaseModel] = vars(declared)[_MODEL]
        return cached
    if hasattr(declared, "__pydantic_validator__"):
        raise ValueError(f"{declared.__name__} is a pydantic dataclass, whose validators would not run")
    if hasattr(declared, "__post_init__"):
        raise ValueError(f"{declared.__name__}.__post_init__ runs when it is created, not when a node updates a field")
    try:
        hints = get_type_hints(declared, include_extras=True)
    except Exception as error:
        raise ValueError(f"an annotation of {declared.__name__} cannot be evaluated: {error}") from error
    fields, optional = _of_keys(declared, hints) if is_typeddict(declared) else (_of_dataclass(declared, hints), [])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a field may have the same name as a method of BaseModel
            model: type[DeclaredModel] = create_model(
                declared.__name__,
                __base__=DeclaredModel,
                __module__=declared.__module__,
                __doc__=declared.__doc__,
                **fields,
            )
    except (PydanticUserError, NameError) as error:
        raise ValueError(f"{declared.__name__} cannot be a state: {str(error).splitlines()[0]}") from error
    model.__declared__, model.__optional__ = declared, frozenset(optional)
    setattr(declared, _MODEL, model)
    return model


def declared_of(model: type[Any]) -> type[Any]:
    """Return the class with which the user declared a state: a pydantic model, a TypedDict or a dataclass."""
    declared: type[Any] = model.__declared__ if issubclass(model, DeclaredModel) else model
    return declared


def optional_in(model: type[Any]) -> frozenset[str]:
    """Return the names of fields that a state may lack: the keys of a TypedDict that are not required."""
    return model.__optional__ if issubclass(model, DeclaredModel) else frozenset()


def is_state(model: type[Any], given: object) -> bool:
    """Return whether a value is an instance of the class that declares a state.

    The result is always False for a TypedDict, because its values are plain dicts.
    """
    declared = declared_of(model)
    return not is_typeddict(declared) and isinstance(given, declared)


def values_of(state: object) -> dict[str, Any]:
    """Return the values of a state object by field. Fields that the object does not have are left out."""
    if dataclasses.is_dataclass(state):
        names = (each.name for each in dataclasses.fields(state))
        return {name: getattr(state, name) for name in names if hasattr(state, name)}
    return dict(state) if isinstance(state, dict) else dict(vars(state))


def given_in(state: object) -> dict[str, Any]:
    """Return the fields of a state object that the caller set.

    For a dataclass, which does not record this, these are the fields that differ from their defaults.
    """
    if isinstance(state, BaseModel):
        return {name: getattr(state, name) for name in sorted(state.model_fields_set)}
    if not dataclasses.is_dataclass(state):
        return dict(state)  # type: ignore[call-overload,no-any-return]
    found: dict[str, Any] = {}
    for each in dataclasses.fields(state):
        value = getattr(state, each.name)
        default = each.default_factory() if callable(each.default_factory) else each.default
        if default is dataclasses.MISSING or not is_same(value, default):
            found[each.name] = value
    return found


def _of_dataclass(declared: type[Any], hints: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for each in dataclasses.fields(declared):
        if callable(each.default_factory):
            fields[each.name] = (hints[each.name], Field(default_factory=each.default_factory))
        else:
            fields[each.name] = (hints[each.name], ... if each.default is dataclasses.MISSING else each.default)
    return fields


def _of_keys(declared: type[Any], hints: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the keys of a TypedDict as fields of a pydantic model, and the names of the keys that may be missing.

    A key that is not required gets a default: an empty container if its type is a container, and None otherwise. Only
    keys with the default None are listed as keys that may be missing.
    """
    fields: dict[str, Any] = {}
    optional: list[str] = []
    for name, hint in hints.items():
        is_required, kind = name in declared.__required_keys__, hint
        while get_origin(kind) in (Required, NotRequired, ReadOnly):
            is_required = is_required if get_origin(kind) is ReadOnly else get_origin(kind) is Required
            kind = get_args(kind)[0]
        plain = unaliased(kind)
        bare = get_args(plain)[0] if get_origin(plain) is Annotated else plain
        empty = get_origin(bare) or bare
        if is_required:
            fields[name] = (kind, ...)
        elif empty in _EMPTY:
            fields[name] = (kind, Field(default_factory=empty))
        else:
            fields[name] = (kind | None, None)
            optional.append(name)
    return fields, optional
