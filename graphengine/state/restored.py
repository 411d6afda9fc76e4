"""The parts of a type that JSON can write but not restore. Values of Enums and Literals, and keys of dicts, are tried.

How a value is recorded depends on the type as a whole: `Literal[1]` is 1 as a value, and "1" as a key, which no longer
is a member. So the values of a closed type, and a sample of each type of key, are recorded once in the same way as a
run records them.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr, create_model
from typing_extensions import is_typeddict

from graphengine.errors import InvalidUpdate, NotRecordable
from graphengine.state.field import type_name
from graphengine.state.field_from_model import field_type
from graphengine.state.hints import hints_of, is_alias, value_of
from graphengine.state.path import members
from graphengine.state.texts import steady_text
from graphengine.state.type_facts import closed_values
from graphengine.state.view import RecordsAlone, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic.fields import FieldInfo

_NEVER_AS_KEY: Final = (tuple, frozenset, BaseModel, complex)
_READ_ONCE: Final = (Generator, Iterable, Iterator)
_MOST_TRIED: Final = 50
_SAMPLES: Final[Mapping[object, object]] = {
    bool: True,
    int: 1,
    float: 1.5,
    str: "a",
    NoneType: None,
    datetime.date: datetime.date(2000, 1, 1),
    datetime.datetime: datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC),
    decimal.Decimal: decimal.Decimal("1.5"),
    uuid.UUID: uuid.UUID(int=1),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Lost:
    """A part of the type of a state field whose values cannot be restored from the log, with a repair to suggest.

    Attributes:
        text: A description of the part.
        repair: What to declare instead.
        certain: Whether no value of the type can be restored. If False, some values can.
    """

    text: str
    repair: str = "use another type"
    certain: bool = True


def lost_in(info: FieldInfo, config: ConfigDict) -> Iterator[Lost]:
    """Find values that a state field accepts but that could not be restored from the log, to warn before the first run.

    Args:
        info: The field.
        config: The settings of its model.
    """
    if not _has_own_code(info.metadata):
        yield from _find_lost(info.annotation, config, ())


def unrecordable(annotation: object) -> str:
    """Return the first type in an annotation that can be written as JSON but never restored; "" if there is none."""
    return next((lost.text for lost in _find_lost(annotation, ConfigDict(), ()) if lost.certain), "")


def _find_lost(annotation: Any, config: ConfigDict, seen: tuple[object, ...]) -> Iterator[Lost]:  # noqa: ANN401
    if is_alias(annotation):
        if annotation not in seen:
            yield from _find_lost(value_of(annotation), config, (*seen, annotation))
        return
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if not _has_own_code(parts[1:]):
            yield from _find_lost(parts[0], config, seen)
        return
    kind = origin or annotation
    if origin is Literal or (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        yield from _find_lost_members(annotation, config)
        return
    if isinstance(kind, type) and annotation not in seen:
        yield from _find_lost_in_class(kind, annotation, config, (*seen, annotation))
    for part in parts:
        if part is not Ellipsis:
            yield from _find_lost(part, config, (*seen, annotation))


def _find_lost_in_class(kind: type, annotation: object, config: ConfigDict, seen: tuple[object, ...]) -> Iterator[Lost]:
    if issubclass(kind, (SecretStr, SecretBytes)):
        if not any(isinstance(each, type) for each in seen[:-1]):  # inside a model it is reported as a secret
            yield Lost(kind.__name__)
    elif kind in _READ_ONCE:
        yield Lost(type_name(annotation), "use list[…]")
    elif kind is type:
        yield Lost(f"a class ({type_name(annotation)})", "write its name, and look it up in a node")
    elif issubclass(kind, Mapping) and get_args(annotation):
        yield from _find_lost_keys(get_args(annotation)[0], config)
    else:
        for part, settings in _types_in_class(kind, config):
            yield from _find_lost(part, settings, seen)


def _types_in_class(kind: type, config: ConfigDict) -> Iterator[tuple[object, ConfigDict]]:
    """Yield the types of the fields of a class, each with the model settings by which its values are restored."""
    if issubclass(kind, BaseModel):
        own = kind.__pydantic_decorators__
        fields = () if own.field_serializers or own.model_serializers else kind.model_fields.values()
        yield from ((info.annotation, kind.model_config) for info in fields if not _has_own_code(info.metadata))
    elif is_typeddict(kind) or dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        yield from ((hint, config) for hint in hints_of(kind).values())


def _find_lost_members(annotation: object, config: ConfigDict) -> Iterator[Lost]:
    """Yield those values of a Literal or Enum type that cannot be restored from JSON."""
    values = closed_values([annotation]) or []
    if all(type(getattr(each, "value", each)) in (str, int, bool) for each in values):
        return
    lost = [each for each in values[:_MOST_TRIED] if not _is_restored(annotation, each, config)]
    if lost:
        shown = ", ".join(map(_member_text, lost))
        repair = "give it texts or whole numbers, and look up what they stand for"
        yield Lost(shown, repair, certain=len(lost) == len(values))


def _find_lost_keys(key: object, config: ConfigDict) -> Iterator[Lost]:
    """Yield descriptions of keys of a dict type that do not survive being written to JSON, where all keys are texts."""
    kinds = [get_origin(kind) or kind for kind in members(key)]
    text = f"a dict with keys of type {type_name(key)}"
    if any(_is_never_a_key(kind) for kind in kinds):
        yield Lost(text, "use keys of type str")
        return
    tried = [*_keys_to_try(key)]
    if len(kinds) == 1 and kinds[0] in _SAMPLES and kinds[0] is not NoneType:
        return
    lost = [each for each in tried if not _is_restored(dict[key, int], {each: 1}, config)]  # type: ignore[valid-type]
    if lost:
        certain = len(lost) == len(tried) and len(tried) >= len(kinds)
        shown = ", ".join(map(_member_text, lost))
        yield Lost(
            text if certain else f"{shown} as a key of a dict ({type_name(key)})", "use keys of type str", certain
        )


def _is_never_a_key(kind: object) -> bool:
    return isinstance(kind, type) and (issubclass(kind, _NEVER_AS_KEY) or dataclasses.is_dataclass(kind))


def _keys_to_try(key: object) -> Iterator[object]:
    for kind in members(key):
        closed = closed_values([kind]) if kind not in (None, NoneType, bool) else None
        if closed is not None:
            yield from closed[:_MOST_TRIED]
        elif (NoneType if kind is None else kind) in _SAMPLES:
            yield _SAMPLES[NoneType if kind is None else kind]


def _member_text(value: object) -> str:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name} ({steady_text(value.value)})"
    return steady_text(value)


def _is_restored(annotation: Any, value: object, config: ConfigDict) -> bool:  # noqa: ANN401 - any annotation
    """Return whether a value of this type, after it is recorded as JSON, is restored unchanged.

    The value is recorded for a trial. If the type raises an unexpected error, the result is True, because other checks
    report such a type.
    """
    try:
        model = create_model("Tried", __config__=config, value=(annotation, ...))
        field, view = field_type(model, "value", model.model_fields["value"]), View(_NO_STATE, RecordsAlone({}))
        field.record(field.validate(value, view), view)
    except (InvalidUpdate, NotRecordable):
        return False
    except Exception:  # noqa: BLE001 - a type may raise anything; the other checks report what it is
        return True
    return True


def _has_own_code(metadata: Sequence[object]) -> bool:
    """Return whether an annotation contains custom code that decides how the value is read or written."""
    return any(hasattr(item, "__get_pydantic_core_schema__") for item in metadata)


class _Nothing(BaseModel):
    """Stands in for the state where a value is recorded on its own."""


class _State:
    model: type[BaseModel] = _Nothing
    fields: Mapping[str, Any] = {}
    secrets: frozenset[str] = frozenset()


_NO_STATE: Final = _State()
