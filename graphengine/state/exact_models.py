"""Models whose JSON reads back as an equal value, which is decided by their types, without reading it back.

pydantic's serialiser, asked to raise what it would warn of, has checked nearly all of it. It lets pass: instances of
other classes and missing fields, None, texts that are not among those of a Literal, and numbers that JSON cannot carry.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic.fields import FieldInfo

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
"""Settings of a model that do not change how its JSON values are validated and written."""
_OWN_CODE: Final = ("__init__", "__eq__", "__get_pydantic_core_schema__", "model_construct", "model_post_init")

_SCALARS: Final = (int, str, bool, float)
_DIGITS: Final = 2000  # half of those that JSON readers take in an int


@dataclass(frozen=True, slots=True)
class ExactModels:
    """A type of models, lists and dicts of them, and scalars.

    Attributes:
        kind: `list`, `dict`, the model, a scalar type, or `Literal`.
        optional: Whether None is one of its values.
        choices: The values of a Literal.
        parts: The types of a model's fields by name, or of the items under "".
        unproven: Whether it, or a part of it, is a model or a Literal: see above.
    """

    kind: Any
    optional: bool
    choices: frozenset[object] = frozenset()
    parts: Mapping[str, ExactModels] = field(default_factory=dict)
    unproven: bool = False

    def proves(self, value: object, body: bytes) -> bool:
        """Return whether a value reads back equal from the JSON that pydantic's serialiser wrote."""
        if any(body[at : at + _DIGITS].isdigit() for at in range(0, len(body), _DIGITS)):
            return False
        try:
            return self.fits([value], has_null=b"null" in body)
        except (KeyError, TypeError):  # a field is missing, or a value is not hashable
            return False

    def fits(self, values: Iterable[Any], *, has_null: bool) -> bool:
        """Return whether these values are of the type, apart from what the serialiser has checked."""
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


def exact_models(annotation: object) -> ExactModels | None:
    """Return an annotation's type; None if it can have other values, or has no models, for which `Exact` is faster."""
    try:
        found = _type_of(annotation, ())
    except TypeError:  # a choice that is not hashable
        return None
    return found if found is not None and found.unproven else None


def _type_of(annotation: object, around: Sequence[type[BaseModel]]) -> ExactModels | None:
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
        part = _type_of(inner[-1], around)
        return part and ExactModels(origin, optional, parts={"": part}, unproven=part.unproven)
    if not isinstance(kind, type) or not issubclass(kind, BaseModel) or kind in around or not _is_plain(kind):
        return None
    parts = {name: _type_of(info.annotation, (*around, kind)) for name, info in kind.model_fields.items()}
    known = {name: part for name, part in parts.items() if part is not None}
    return ExactModels(kind, optional, parts=known, unproven=True) if len(known) == len(parts) > 0 else None


def _is_plain(model: type[BaseModel]) -> bool:
    """Return whether only the types of its fields decide how instances of a model are read, written and compared."""
    decorators = model.__pydantic_decorators__
    has_rules = any(getattr(decorators, name) for name in decorators.__slots__)
    return (
        not (has_rules or has_own_code(model) or model.__private_attributes__)
        and EXACT_CONFIG.issuperset(model.model_config)
        and model.model_config.get("extra") != "allow"
        and all(map(_is_bare, model.model_fields.values()))
    )


def has_own_code(model: type[BaseModel]) -> bool:
    """Return whether code of a model can change what is read back from its record, or how instances are compared."""
    return any(name in vars(kind) for kind in model.__mro__[: model.__mro__.index(BaseModel)] for name in _OWN_CODE)


def _is_bare(info: FieldInfo) -> bool:
    return not (info.metadata or info.exclude or info.exclude_if or info.discriminator or info.init is False)
