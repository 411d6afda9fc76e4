"""Calling a user's function with what its parameters name.

Parameters are the fields a function reads. A few names mean more: `state` (the whole state), `ctx` (the Context),
`error` (the Failure that led here), and the names of declared resources. One mechanism serves nodes, fallbacks,
conditions, writes-functions and functions in place of a path.
"""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphengine.errors import MutatedInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphengine.state.view import View

NO_DEFAULT: Final = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a user's function: its name, annotation (Any if none can be had) and default.

    Of an agent or a question `shown` says that the value stands in its text.
    """

    name: str
    annotation: object = Any
    default: object = NO_DEFAULT
    shown: bool = False

    @property
    def allows_none(self) -> bool:
        """Whether None may be passed; unknown types may."""
        if self.default is None or self.annotation in (Any, object, None):
            return True
        arguments = typing.get_args(self.annotation)
        if isinstance(self.annotation, (str, typing.TypeVar)):
            return True
        return type(None) in arguments or None in arguments or Any in arguments


@dataclass(frozen=True, slots=True)
class Injected:
    """A function with its parameters read once.

    Attributes:
        variadic: `*args` or `**kwargs` or positional-only parameters it has, which cannot be injected.
        returns: The annotation of its result, Any if there is none.
    """

    function: Callable[..., object]
    name: str
    parameters: tuple[Parameter, ...]
    variadic: tuple[str, ...]
    returns: object

    @classmethod
    def of(cls, function: Callable[..., object]) -> Injected:
        """Read a function's signature. Annotations that cannot be evaluated count as unknown.

        Which of Python's own types have a signature differs from version to version, so what may be left out of it
        (`bool(object=False, /)`) is, in all of them.
        """
        name = getattr(function, "__name__", type(function).__name__)
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return cls(function, name, (), (), Any)
        hints = _hints(function)
        named: list[Parameter] = []
        variadic: list[str] = []
        for parameter in signature.parameters.values():
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                hint = hints.get(parameter.name, Any)
                named.append(Parameter(parameter.name, hint, parameter.default))
            elif parameter.default is NO_DEFAULT or getattr(function, "__module__", "") != "builtins":
                variadic.append(str(parameter))
        returns = hints.get("return", Any)
        if name == "<lambda>":
            name = f"function of {', '.join(p.name for p in named)}" if named else "function"
        return cls(function, name, tuple(named), tuple(variadic), returns)

    @property
    def names(self) -> frozenset[str]:
        """The names of its parameters."""
        return frozenset(parameter.name for parameter in self.parameters)

    def call(self, view: View, given: Mapping[str, object] | None = None) -> object:
        """Call it with fields of the view and what is given besides.

        Raises:
            MutatedInput: It changed a field in place; besides what the function raises.
        """
        values: dict[str, object] = {}
        read: list[str] = []
        for parameter in self.parameters:
            name = parameter.name
            if given is not None and name in given:
                values[name] = given[name]
            elif view.has(name):
                values[name] = view.lend(name)
                read.append(name)
            elif name == "state":
                values[name] = view.instance(view.lend)
                read.extend(view.names)
        before = view.digests(read)
        try:
            return self.function(**values)
        finally:
            changed = [name for name, digest in before.items() if view.digest(name) != digest]
            if changed:
                view.forget(changed)
                raise MutatedInput(
                    f"{self.name} changed {', '.join(changed)} in place",
                    where=self.name,
                    repair="work on a copy; what a function of fields is given belongs to the run",
                )


def _hints(function: Callable[..., object]) -> dict[str, object]:
    target = function if inspect.isroutine(function) or isinstance(function, type) else type(function).__call__
    target = getattr(function, "func", target)  # functools.partial
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception:  # noqa: BLE001 - any annotation may raise anything; the function itself is still callable
        return {}
