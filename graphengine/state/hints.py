"""What annotations say, on every release of Python. Only this file asks Python for users' signatures and hints.

A name that is imported `if TYPE_CHECKING` cannot be evaluated. That is valid code: what cannot be evaluated counts as
unknown. With `from __future__ import annotations` an annotation is a text until somebody evaluates it; since Python
3.14 (PEP 649) whoever looks at one evaluates it, `inspect.signature` too.
"""

from __future__ import annotations

import inspect
import sys
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def signature_of(function: Callable[..., object]) -> inspect.Signature:
    """Return a function's signature. An annotation in it can be a text or a ForwardRef: `hints_of` has the types.

    Raises:
        TypeError: Objects of its kind have no signature.
        ValueError: It has none, as some functions that are built in.
    """
    return _signature(function)


def hints_of(target: object, *, include_extras: bool = True) -> dict[str, Any]:
    """Return the types that a function's or class's annotations denote, by name: Any for one that cannot be evaluated.

    Args:
        target: The function or class; {} for anything else.
        include_extras: Whether `Annotated`, `Required` and the like are kept.
    """
    try:
        return typing.get_type_hints(target, include_extras=include_extras)
    except Exception:  # noqa: BLE001 - any annotation may raise anything
        return _each_by_itself(target, include_extras=include_extras)


def evaluated(annotation: object, names: Mapping[str, Any], *, include_extras: bool = True) -> Any:  # noqa: ANN401
    """Return the type that an annotation denotes in a module with these names.

    Raises:
        Exception: It cannot be evaluated.
    """

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    return typing.get_type_hints(holder, dict(names), include_extras=include_extras)["it"]


def _each_by_itself(target: object, *, include_extras: bool) -> dict[str, Any]:
    """Evaluate annotations one by one, so that an unknown one does not affect the others."""
    found: dict[str, Any] = {}
    for part in reversed(target.__mro__) if isinstance(target, type) else (target,):
        annotations = _annotations(part)
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


def _annotations(part: Any) -> Mapping[str, object]:  # noqa: ANN401 - what users hand us
    """Return annotations as they stand, with texts or ForwardRefs for what is not evaluated; {} if it has none."""
    try:
        return _unevaluated(part)
    except Exception:  # noqa: BLE001 - objects of its kind have none, or what it has raises
        return {}


if sys.version_info >= (3, 14):
    from annotationlib import Format

    def _signature(function: Callable[..., object]) -> inspect.Signature:
        try:
            return inspect.signature(function, annotation_format=Format.FORWARDREF)
        except Exception:  # noqa: BLE001 - an annotation raises something else than NameError
            return inspect.signature(function, annotation_format=Format.STRING)

    def _unevaluated(part: Any) -> Mapping[str, object]:  # noqa: ANN401 - what users hand us
        try:
            return inspect.get_annotations(part, format=Format.FORWARDREF)
        except Exception:  # noqa: BLE001 - an annotation raises something else than NameError
            return inspect.get_annotations(part, format=Format.STRING)

else:
    _signature = inspect.signature
    _unevaluated = inspect.get_annotations
