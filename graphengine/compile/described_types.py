"""Types in the form in which graph specs describe them: fields with types, constraints and defaults, as our own texts.

A change inside a type that keeps its name is also a change of the graph. Therefore a run that waits is checked against
the type before the run continues. Titles, descriptions and the order of fields are left out. Pydantic writes none of
these texts, so that a new release of pydantic or of Python does not change a fingerprint. Types of Python, of pydantic
and of this package are described by their names only.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import inspect
import re
import sys
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, ForwardRef, Literal, Union, get_args, get_origin
from weakref import WeakKeyDictionary

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import NoExtraItems, is_typeddict

from graphengine.state.field import type_name
from graphengine.state.hints import hints_of, is_alias, value_of
from graphengine.state.secret import is_secret
from graphengine.state.texts import steady_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LEFT: Final = frozenset((*sys.stdlib_module_names, "graphengine", "pydantic", "pydantic_core", "typing_extensions"))
_ONLY_SHOWN: Final = ("Doc", "Examples", "SkipJsonSchema", "WithJsonSchema")
_OF_CONFIG: Final = (
    *("allow_inf_nan", "coerce_numbers_to_str", "extra", "revalidate_instances", "ser_json_bytes", "ser_json_inf_nan"),
    *("ser_json_timedelta", "str_max_length", "str_min_length", "str_strip_whitespace", "str_to_lower", "str_to_upper"),
    *("strict", "use_enum_values", "val_json_bytes", "validate_default"),
)
_QUALIFIERS: Final = ("NotRequired", "ReadOnly", "Required")
_LONGEST: Final = 200
_OWN: Final = ""
"""The key under which the rules of a type as a whole are described."""


def types_in(annotations: Iterable[object]) -> dict[str, dict[str, str]]:
    """Describe the types that annotations name, and all types that those name in turn, for the graph's description.

    Args:
        annotations: The annotations.

    Returns:
        The fields of each type, by the name of the type, with a text for each field. The rules of the type as a whole
        have the key "".
    """
    found: dict[str, list[dict[str, str]]] = {}
    seen: dict[int, object] = {}
    waiting = [*annotations]
    while waiting:
        for kind in _find_named_types(waiting.pop(0)):
            if id(kind) in seen or _is_left(kind):
                continue
            seen[id(kind)] = kind
            parts = dict(_parts_of_type(kind))
            waiting += [annotation for annotation, _ in parts.values()]
            describe_state = {part: _join_rules(annotation, rules) for part, (annotation, rules) in parts.items()}
            found.setdefault(_name_of_type(kind), []).append(
                {part: text for part, text in describe_state.items() if text or part}
            )
    alike = {name: sorted(kinds, key=lambda parts: sorted(parts.items())) for name, kinds in found.items()}
    numbered = {
        f"{name} ({n})" if n > 1 else name: parts for name, kinds in alike.items() for n, parts in enumerate(kinds, 1)
    }
    return {name: parts for name, parts in numbered.items() if parts}


@dataclasses.dataclass(frozen=True, slots=True)
class Described:
    """The description of a graph's state, as a part of the JSON description of the graph.

    Attributes:
        fields: The types of the state's fields.
        rules: The constraints and defaults of those fields that have some. The rules of the state as a whole have the
            key "".
        types: The descriptions of the types that the fields name, as `types_in` returns them.
    """

    fields: Mapping[str, str]
    rules: Mapping[str, str]
    types: Mapping[str, Mapping[str, str]]


_KNOWN: Final[WeakKeyDictionary[type[BaseModel], Described]] = WeakKeyDictionary()


def described(model: type[BaseModel]) -> Described:
    """Describe the class of a graph's state: its fields, their constraints, and the types that they name.

    The description is cached for each class.
    """
    if (cached := _KNOWN.get(model)) is not None:
        return cached
    kinds = {name: info.annotation for name, info in model.model_fields.items()}
    rules = {name: ", ".join(_rules_of_field(info, is_state=True)) for name, info in model.model_fields.items()}
    rules[_OWN] = ", ".join(_rules_of_model(model))
    description = Described(
        {name: type_text(kind) for name, kind in kinds.items()},
        {name: text for name, text in rules.items() if text},
        types_in(kinds.values()),
    )
    if model.__pydantic_complete__:
        _KNOWN[model] = description
    return description


def type_text(annotation: Any) -> str:  # noqa: ANN401 - an annotation is any object
    """Return the text of an annotation, in the same form on every version of Python and pydantic.

    Example:
        >>> from pydantic import Field
        >>> type_text(Annotated[int, Field(ge=1)] | None)
        'Annotated[int, ge=1] | None'
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated and (rules := _rules(parts[1:])):
        return f"Annotated[{', '.join([type_text(parts[0]), *rules])}]"
    if origin is Annotated or (origin is not None and _name_of_type(origin) in _QUALIFIERS):
        return type_text(parts[0])
    if origin in (Union, UnionType):
        return " | ".join(map(type_text, parts))
    if origin is Literal:
        return f"Literal[{', '.join(map(_literal_text, parts))}]"
    if origin is not None and parts:
        return f"{_name_of_type(origin)}[{', '.join(map(_part_text, parts))}]"
    return "None" if annotation in (None, NoneType) else _name_of_type(annotation)


def _literal_text(part: object) -> str:
    return f"{type(part).__name__}.{part.name}" if isinstance(part, enum.Enum) else repr(part)


def _part_text(part: Any) -> str:  # noqa: ANN401 - as above
    if part is Ellipsis:
        return "..."
    return f"[{', '.join(map(type_text, part))}]" if isinstance(part, list) else type_text(part)


def _name_of_type(kind: Any) -> str:  # noqa: ANN401 - as above
    if isinstance(kind, str):
        return kind
    if isinstance(kind, ForwardRef):
        return kind.__forward_arg__
    found: object = getattr(kind, "__name__", None)
    return found if isinstance(found, str) else type_name(kind)


def _is_left(kind: Any) -> bool:  # noqa: ANN401 - as above
    return str(getattr(kind, "__module__", "")).partition(".")[0] in _LEFT


def _find_named_types(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - as above
    """Yield the types named in an annotation whose parts belong in the graph's description.

    These are classes with fields or members, and type aliases. For `list[Order] | None`, this is `Order`.
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, list) or (origin is not None and parts and origin is not Literal):
        for part in (*(() if origin is None else (origin,)), *(annotation if isinstance(annotation, list) else parts)):
            yield from _find_named_types(part)
    elif origin is Literal:
        yield from {type(part): None for part in parts if isinstance(part, enum.Enum)}
    elif _is_described(annotation):
        yield annotation


def _is_described(kind: Any) -> bool:  # noqa: ANN401 - as above
    if not isinstance(kind, type):
        return hasattr(kind, "__supertype__") or is_alias(kind)
    is_named_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return (
        issubclass(kind, (BaseModel, enum.Enum))
        or is_named_tuple
        or dataclasses.is_dataclass(kind)
        or is_typeddict(kind)
    )


def _parts_of_type(kind: Any) -> Iterator[tuple[str, tuple[object, list[str]]]]:  # noqa: ANN401 - as above
    """Yield the fields of a class, or the members of an enum: the name, the annotation, and the constraints of each.

    The rules of a type as a whole, such as the validators of a model, are yielded under the key "".
    """
    if not isinstance(kind, type):
        yield _OWN, (getattr(kind, "__supertype__", None) or value_of(kind), [])
    elif issubclass(kind, BaseModel):
        for name, info in kind.model_fields.items():
            yield name, (info.annotation, _rules_of_field(info))
        yield _OWN, (None, _rules_of_model(kind))
    elif issubclass(kind, enum.Enum):
        yield from ((member.name, (None, [_describe_value(member.value)])) for member in kind)
    elif is_typeddict(kind):
        yield from _describe_keys(kind)
    else:
        hints, defaults = hints_of(kind), _defaults(kind)
        yield from ((name, (hint, defaults.get(name, []))) for name, hint in hints.items())


def _describe_keys(kind: Any) -> Iterator[tuple[str, tuple[object, list[str]]]]:  # noqa: ANN401 - as above
    for name, hint in hints_of(kind).items():
        needed = [] if name in kind.__required_keys__ else ["not required"]
        yield name, (hint, needed)
    extra = getattr(kind, "__extra_items__", NoExtraItems)
    rules = [] if extra in (NoExtraItems, None) else [f"extra_items={type_text(extra)}"]
    rules += ["closed"] if getattr(kind, "__closed__", None) else []
    yield _OWN, (None, [*rules, *_of_config(getattr(kind, "__pydantic_config__", {}))])


def _defaults(kind: Any) -> Mapping[str, list[str]]:  # noqa: ANN401 - a named tuple or a dataclass
    if not dataclasses.is_dataclass(kind):
        return {name: [f"default {_describe_value(value)}"] for name, value in kind._field_defaults.items()}
    found: dict[str, list[str]] = {}
    for each in dataclasses.fields(kind):
        if isinstance(each.default, FieldInfo):
            found[each.name] = _rules_of_field(each.default)
        elif each.default is not dataclasses.MISSING:
            found[each.name] = [f"default {_describe_value(each.default)}"]
        elif each.default_factory is not dataclasses.MISSING:
            found[each.name] = [f"default {_describe_function(each.default_factory)}()"]
    return found


def _join_rules(annotation: object, rules: list[str]) -> str:
    return ", ".join([*([] if annotation is None else [type_text(annotation)]), *rules])


def _rules_of_field(info: FieldInfo, *, is_state: bool = False) -> list[str]:
    """Return the constraints and the default of a field as texts, such as `ge=1` and `default 3`.

    The default of a secret field is left out.
    """
    # a reducer is described elsewhere
    own = [item for item in info.metadata if not (is_state and inspect.isroutine(item))]
    rules = _rules(own)
    if isinstance(info.discriminator, str):
        rules.append(f"discriminator={info.discriminator}")
    if info.exclude:
        rules.append("exclude")
    if info.default_factory is not None:
        rules.append(f"default {_describe_function(info.default_factory)}()")
    elif not info.is_required():
        hidden = is_secret(info.annotation, info.metadata)
        rules.append("default" if hidden else f"default {_describe_value(info.default)}")
    return rules


def _rules_of_model(model: type[BaseModel]) -> list[str]:
    """Describe what a model class checks as a whole: its settings, and the names of its validators and serializers."""
    groups = model.__pydantic_decorators__
    names = [
        name
        for group in (
            groups.field_validators,
            groups.model_validators,
            groups.field_serializers,
            groups.model_serializers,
        )
        for name in group
    ]
    return [*_of_config(model.model_config), *(f"{name}()" for name in sorted(names))]


def _of_config(config: Mapping[str, Any]) -> list[str]:
    return [f"{key}={config[key]}" for key in _OF_CONFIG if config.get(key) is not None]


def _rules(metadata: Iterable[object]) -> list[str]:
    """Return the constraints in the metadata of an annotation as texts, such as `ge=1` for `Field(ge=1)`.

    Metadata that only describes the value, such as a plain text, is left out.
    """
    found: list[str] = []
    for item in metadata:
        kind = type(item)
        if isinstance(item, FieldInfo):
            found += _rules_of_field(item)
        elif isinstance(item, str) or kind.__name__ in _ONLY_SHOWN:
            continue
        elif inspect.isroutine(item):
            found.append(_describe_function(item))
        else:
            found += _describe_rule(item, kind)
    return sorted(found)


def _describe_rule(item: object, kind: type) -> Iterator[str]:
    if dataclasses.is_dataclass(item):
        facts = {each.name: getattr(item, each.name, None) for each in dataclasses.fields(item)}
    else:
        facts = dict(vars(item)) if kind.__module__.startswith("pydantic") and hasattr(item, "__dict__") else {}
    arguments = {key: value for key, value in facts.items() if value is not None}
    is_plain = kind.__module__.startswith(("annotated_types", "pydantic")) and not any(
        map(callable, arguments.values())
    )
    texts = [f"{key}={_describe_value(value)}" for key, value in sorted(arguments.items())]
    if is_plain and texts:
        yield from texts
    else:
        yield f"{kind.__name__}({', '.join(texts)})" if texts else kind.__name__


def _describe_value(value: Any) -> str:  # noqa: ANN401 - a default or a bound
    """Return the text of a value. A long value is replaced by the beginning of its text, its length and a digest."""
    if isinstance(value, re.Pattern):
        value = value.pattern
    if isinstance(value, type) or callable(value):
        return _describe_function(value)
    try:
        text = steady_text(value)
    except Exception:  # noqa: BLE001 - a user's __repr__ raised, or an int has too many digits
        return type(value).__name__
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.blake2b(text.encode("utf8", "surrogatepass"), digest_size=9).hexdigest()
    return f"{text[:_LONGEST]}… of {len(text)} characters, {digest}"


def _describe_function(function: object) -> str:
    name: object = getattr(function, "__qualname__", None)
    return name.rpartition("<locals>.")[2] if isinstance(name, str) else type(function).__name__
