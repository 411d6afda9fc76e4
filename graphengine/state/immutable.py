"""Properties of types: whether their values can be changed in place, and whether JSON restores them.

Digests of values.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import hashlib
import json
import math
import uuid
from collections.abc import Mapping
from itertools import chain
from operator import attrgetter, itemgetter
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import to_jsonable_python

from graphengine.state.marks import keeps_set_fields
from graphengine.state.path import members

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic.fields import FieldInfo

_ATOMS: Final = (
    int,
    float,
    str,
    bool,
    bytes,
    complex,
    NoneType,
    decimal.Decimal,
    uuid.UUID,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    enum.Enum,
    SecretStr,
    SecretBytes,
)

EXACT_CONFIG: Final = frozenset(
    (
        "arbitrary_types_allowed",
        "extra",
        "frozen",
        "populate_by_name",
        "protected_namespaces",
        "title",
        "use_attribute_docstrings",
        "validate_assignment",
        "validate_by_alias",
        "validate_by_name",
    )
)
"""The settings of a model that do not change how its JSON values are validated and written."""
_OWN_CODE: Final = ("__init__", "__eq__", "__get_pydantic_core_schema__", "model_construct", "model_post_init")

_SCALARS: Final = (int, str, bool, float)
_set_fields: Final = attrgetter("__pydantic_fields_set__")
_DIGITS: Final = 2000  # half of the digits that JSON readers accept in an int


def is_immutable(annotation: object) -> bool:
    """Return whether all values of this type are immutable, such as numbers and texts. False if not known."""
    return all(_immutable(member, ()) for member in members(annotation))


def _immutable(member: object, seen: tuple[object, ...]) -> bool:
    if member is None or get_origin(member) is Literal:
        return True
    origin = get_origin(member) or member
    if not isinstance(origin, type) or member in seen:
        return False
    if issubclass(origin, (tuple, frozenset)) and get_args(member):
        inner = [arg for arg in get_args(member) if arg is not Ellipsis]
        return all(_immutable(m, (*seen, member)) for arg in inner for m in members(arg))
    if issubclass(origin, BaseModel):
        frozen = bool(origin.model_config.get("frozen")) and not origin.__private_attributes__
        fields = [field.annotation for field in origin.model_fields.values()]
        return frozen and all(_immutable(m, (*seen, member)) for f in fields for m in members(f))
    return issubclass(origin, _ATOMS) and not dataclasses.is_dataclass(origin)


def digest_of(content: object) -> str:
    """Return a short digest of any value. The order of sets and dicts does not affect the digest."""
    body = json.dumps(_make_canonical(content), sort_keys=True).encode()
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def _make_canonical(content: object) -> object:
    if isinstance(content, BaseModel):
        return {name: _make_canonical(getattr(content, name)) for name in type(content).model_fields}
    if isinstance(content, Mapping):
        return {str(_make_canonical(key)): _make_canonical(item) for key, item in content.items()}
    if isinstance(content, (set, frozenset)):
        return sorted(json.dumps(_make_canonical(item), sort_keys=True) for item in content)
    if isinstance(content, (list, tuple)):
        return [_make_canonical(item) for item in content]
    return to_jsonable_python(content, fallback=repr, inf_nan_mode="strings", bytes_mode="base64")


@dataclasses.dataclass(frozen=True, slots=True)
class ExactModels:
    """A type whose values certainly survive being written to JSON and read back, so that they need not be compared.

    Such a type consists of models, lists, dicts and scalars. pydantic's serializer already checks most of what is
    necessary if its warnings are raised as errors. It does not check instances of other classes, missing fields, None,
    texts that are not listed in a Literal, and numbers that JSON cannot represent, so this class checks them.

    Attributes:
        kind: `list`, `dict`, the model, a scalar type, or `Literal`.
        optional: Whether None is a value of the type.
        choices: The values of a Literal.
        parts: The types of a model's fields by name, or the type of the items under "".
        unproven: Whether the type, or a part of it, is a model or a Literal.
        flat: Whether the type is a model that contains no other models.
        counts: Whether it is recorded which fields of its instances were set explicitly.
    """

    kind: Any
    optional: bool
    choices: frozenset[object] = frozenset()
    parts: Mapping[str, ExactModels] = dataclasses.field(default_factory=dict)
    unproven: bool = False
    flat: bool = False
    counts: bool = True

    def proves(self, value: object, body: bytes) -> bool:
        """Return whether decoding `body`, the JSON that pydantic wrote for `value`, certainly gives an equal value."""
        if any(body[at : at + _DIGITS].isdigit() for at in range(0, len(body), _DIGITS)):
            return False
        try:
            return self.fits([value], has_null=b"null" in body)
        except (KeyError, TypeError):  # a field is missing, or a value is not hashable
            return False

    def fits(self, values: Iterable[Any], *, has_null: bool) -> bool:
        """Check these values for what the serializer of pydantic does not check, and return whether they fit the type.

        For example, None must not occur where the type does not allow it. The class docstring lists the other respects.
        """
        if not (self.unproven or has_null):
            return True
        found = [value for value in values if value is not None] if self.optional else list(values)
        kinds = set(map(type, found))
        if self.kind is float:
            return NoneType not in kinds and all(map(math.isfinite, found))
        if self.kind is Literal:
            return self.choices.issuperset(found)
        if self.kind in _SCALARS or not found:
            return NoneType not in kinds
        if self.kind in (list, dict):
            items = chain.from_iterable(found if self.kind is list else map(dict.values, found))
            return self.parts[""].fits(items, has_null=has_null)
        held = list(map(vars, found)) if kinds == {self.kind} else []
        return set(map(len, held)) == {len(self.parts)} and all(
            part.fits(map(itemgetter(name), held), has_null=has_null) for name, part in self.parts.items()
        )

    def models(self, values: Iterable[Any]) -> Iterable[BaseModel]:
        """Return the models among these values and inside them, in a fixed order."""
        if not self.unproven or self.kind is Literal:
            return ()
        found = [value for value in values if value is not None]
        if self.kind in (list, dict):
            return self.parts[""].models(chain.from_iterable(found if self.kind is list else map(dict.values, found)))
        parts = [(name, part) for name, part in self.parts.items() if part.unproven]
        return chain(found, *(part.models(map(itemgetter(name), map(vars, found))) for name, part in parts))

    def set_fields(self, value: object) -> Sequence[set[str]]:
        """Return which fields were set explicitly in each model inside a value, in the order of `models`."""
        return list(map(_set_fields, self.models([value])))

    def all_set(self, value: Any) -> bool:  # noqa: ANN401 - of this type
        """Return whether every field of every model inside a value was set explicitly.

        If so, the record need not tell which fields were set and which have their defaults. Models that opt out of
        recording this are not examined.
        """
        if self.flat:
            return value is None or not self.counts or len(value.__pydantic_fields_set__) == len(self.parts)
        if self.kind is list and value and self.parts[""].flat and not self.parts[""].optional:
            return {*map(len, map(_set_fields, value))} == {len(self.parts[""].parts)} or not self.parts[""].counts
        return not any(
            len(model.__pydantic_fields_set__) < len(type(model).__pydantic_fields__) and keeps_set_fields(type(model))
            for model in self.models([value])
        )


def exact_models(annotation: object) -> ExactModels | None:
    """Return a checker for values of an annotated type that contains models; None if the type is not suitable.

    A type is not suitable if it allows other values than models, lists, dicts and scalars. If it contains no models,
    `Exact` is faster.
    """
    found = _find_exact_models(annotation, ())
    return found if found is not None and found.unproven else None


def _find_exact_models(annotation: object, around: Sequence[type[BaseModel]]) -> ExactModels | None:
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    kinds = [kind for kind in options if kind not in (None, NoneType)]
    if len(kinds) != 1:
        return None
    kind, optional = kinds[0], len(options) > 1
    origin, inner = get_origin(kind), get_args(kind)
    if kind in _SCALARS:
        return ExactModels(kind, optional)
    if origin is Literal:
        is_plain = all(type(choice) in (str, int) for choice in inner)
        return ExactModels(Literal, optional, frozenset(inner), unproven=True) if is_plain else None
    if origin is list or (origin is dict and inner[0] is str):
        part = _find_exact_models(inner[-1], around)
        return part and ExactModels(origin, optional, parts={"": part}, unproven=part.unproven)
    if not isinstance(kind, type) or not issubclass(kind, BaseModel) or kind in around or not _is_plain(kind):
        return None
    parts = {name: _find_exact_models(info.annotation, (*around, kind)) for name, info in kind.model_fields.items()}
    exact_parts = {name: part for name, part in parts.items() if part is not None}
    flat = not any(part.unproven and part.kind is not Literal for part in exact_parts.values())
    exact = ExactModels(kind, optional, parts=exact_parts, unproven=True, flat=flat, counts=keeps_set_fields(kind))
    return exact if len(exact_parts) == len(parts) > 0 else None


def _is_plain(model: type[BaseModel]) -> bool:
    """Return whether pydantic reads, writes and compares a model by the types of its fields alone.

    This is false if the model has validators, serializers, private attributes or other code of its own.
    """
    decorators = model.__pydantic_decorators__
    has_rules = any(getattr(decorators, name) for name in decorators.__slots__)
    return (
        not (has_rules or has_own_code(model) or model.__private_attributes__)
        and EXACT_CONFIG.issuperset(model.model_config)
        and model.model_config.get("extra") != "allow"
        and all(map(_is_bare, model.model_fields.values()))
    )


def has_own_code(model: type[BaseModel]) -> bool:
    """Return whether a model has code of its own that affects how instances are read from records or compared."""
    return any(name in vars(kind) for kind in model.__mro__[: model.__mro__.index(BaseModel)] for name in _OWN_CODE)


def _is_bare(info: FieldInfo) -> bool:
    return not (info.metadata or info.exclude or info.exclude_if or info.discriminator or info.init is False)
