"""The meaning of annotations, on every release of Python. Only this file asks Python for signatures and hints of users.

An alias, `type Reviews = list[Review]` (PEP 695), stands for its value, and hints contain the value; see `unaliased`.

A name that is imported `if TYPE_CHECKING` cannot be evaluated. Such code is valid, so an annotation that cannot be
evaluated counts as unknown. With `from __future__ import annotations`, an annotation is a text until somebody evaluates
it. Since Python 3.14 (PEP 649), anyone who looks at an annotation evaluates it, including `inspect.signature`.
"""

from __future__ import annotations

import inspect
import sys
import typing
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

import typing_extensions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ALIASES: Final = tuple(
    {getattr(each, "TypeAliasType", typing_extensions.TypeAliasType) for each in (typing, typing_extensions)}
)
"""The classes of aliases. The class of typing_extensions is the same as the class of typing in some releases only."""


def signature_of(function: Callable[..., object]) -> inspect.Signature:
    """Return the signature of a function. Annotations in it may be unevaluated texts; use `hints_of` for the types.

    Raises:
        TypeError: Objects of this kind have no signature.
        ValueError: The function has no signature, as some built-in functions.
    """
    return _signature(function)


def hints_of(target: object, *, include_extras: bool = True) -> dict[str, Any]:
    """Return the evaluated annotations of a function or class by name.

    An annotation that cannot be evaluated becomes Any.

    Args:
        target: The function or class. For any other object, {} is returned.
        include_extras: Whether `Annotated`, `Required` and similar forms are kept.
    """
    try:
        found = typing.get_type_hints(target, include_extras=include_extras)
    except Exception:  # noqa: BLE001 - any annotation may raise anything
        found = _each_by_itself(target, include_extras=include_extras)
    return {name: unaliased(hint) for name, hint in found.items()}


def evaluated(annotation: object, names: Mapping[str, Any], *, include_extras: bool = True) -> Any:  # noqa: ANN401
    """Evaluate an annotation that is written as text, with the names of its module.

    Raises:
        Exception: The annotation cannot be evaluated.
    """

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    return typing.get_type_hints(holder, dict(names), include_extras=include_extras)["it"]


def is_alias(annotation: object) -> bool:
    """Return whether an annotation is a type alias (`type X = …`), with or without arguments."""
    return isinstance(get_origin(annotation) or annotation, _ALIASES)


def unaliased(annotation: Any) -> Any:  # noqa: ANN401 - any annotation
    """Replace the type aliases in an annotation by the types for which they stand.

    An alias stays if it is recursive, or if its value contains a text that only the alias's own module can evaluate, as
    pydantic's `JsonValue` does.
    """
    return _resolve_aliases(annotation, ())


def value_of(annotation: Any) -> Any:  # noqa: ANN401 - an alias, or a generic one with its arguments
    """Return the type for which an alias stands, with its arguments filled in; Any if it cannot be evaluated."""
    alias, arguments = get_origin(annotation) or annotation, get_args(annotation)
    try:
        value = alias.__value__
        if not arguments:
            return value
        places = dict(zip(alias.__type_params__, arguments, strict=True))
        wanted = getattr(value, "__parameters__", ())
        return value[tuple(places[each] for each in wanted)] if wanted else places.get(value, value)
    except Exception:  # noqa: BLE001 - any annotation may raise anything
        return Any


class _Closed(Exception):
    """Raised if the value of a type alias cannot be used in place of the alias."""


def _resolve_aliases(annotation: Any, inside: tuple[object, ...]) -> Any:  # noqa: ANN401 - any annotation
    """Replace the type aliases inside an annotation; `inside` contains the aliases that are being replaced already.

    Raises:
        _Closed: The annotation contains one of these aliases again, so the alias is recursive, or contains a text that
            only the module of the alias can evaluate.
    """
    origin = get_origin(annotation)
    alias = origin or annotation
    if alias in inside or (inside and isinstance(annotation, (str, typing.ForwardRef))):
        raise _Closed
    if isinstance(alias, _ALIASES):
        arguments = [_resolve_aliases(each, inside) for each in get_args(annotation)]
        try:
            return _resolve_aliases(value_of(alias[tuple(arguments)] if arguments else alias), (*inside, alias))
        except _Closed:
            return annotation
    if origin is None or origin is Literal:
        return annotation
    old = get_args(annotation)[:1] if origin is Annotated else get_args(annotation)
    new = tuple(_resolve_aliases(each, inside) for each in old)
    if all(one is other for one, other in zip(old, new, strict=True)):
        return annotation
    return _rebuild_annotation(origin, new, annotation)


def _rebuild_annotation(origin: Any, arguments: tuple[Any, ...], like: Any) -> Any:  # noqa: ANN401 - annotations
    """Rebuild an annotation such as `list[X]` with other arguments."""
    if origin is Annotated:
        return Annotated[(*arguments, *like.__metadata__)]
    if origin is UnionType or origin is Union:
        return Union[arguments]  # noqa: UP007 - built at runtime
    try:
        return origin[arguments[0] if len(arguments) == 1 else arguments]
    except TypeError:  # a form that is not created from its arguments
        return like


def _each_by_itself(target: object, *, include_extras: bool) -> dict[str, Any]:
    """Evaluate annotations one by one, so that an unknown name in one of them does not affect the others."""
    found: dict[str, Any] = {}
    for part in reversed(target.__mro__) if isinstance(target, type) else (target,):
        annotations = _read_annotations(part)
        names = _names_around(part) if annotations else {}
        for name, annotation in annotations.items():
            try:
                found[name] = evaluated(annotation, names, include_extras=include_extras)
            except Exception:  # noqa: BLE001 - any annotation may raise anything
                found[name] = Any
    return found


def _names_around(part: object) -> Mapping[str, Any]:
    if isinstance(part, type):
        return {**getattr(sys.modules.get(part.__module__), "__dict__", {}), **vars(part)}
    names: Mapping[str, Any] = getattr(inspect.unwrap(part) if callable(part) else part, "__globals__", {})
    return names


def _read_annotations(part: Any) -> Mapping[str, object]:  # noqa: ANN401 - what users hand us
    """Return the annotations of an object as they are written, without evaluating them; {} if it has none."""
    try:
        return _read_unevaluated(part)
    except Exception:  # noqa: BLE001 - objects of its kind have none, or what it has raises
        return {}


if sys.version_info >= (3, 14):
    from annotationlib import Format

    def _signature(function: Callable[..., object]) -> inspect.Signature:
        try:
            return inspect.signature(function, annotation_format=Format.FORWARDREF)
        except Exception:  # noqa: BLE001 - an annotation raises something else than NameError
            return inspect.signature(function, annotation_format=Format.STRING)

    def _read_unevaluated(part: Any) -> Mapping[str, object]:  # noqa: ANN401 - what users hand us
        try:
            return inspect.get_annotations(part, format=Format.FORWARDREF)
        except Exception:  # noqa: BLE001 - an annotation raises something else than NameError
            return inspect.get_annotations(part, format=Format.STRING)

else:
    _signature = inspect.signature
    _read_unevaluated = inspect.get_annotations
