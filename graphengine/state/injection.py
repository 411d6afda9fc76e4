"""Calling a function of the user with the values that its parameters name.

Parameters name the fields that a function reads. Some names are special: `state` (the whole state), `ctx` (the
Context), `error` (the Failure that led here), and the names of declared resources. Nodes, fallbacks, conditions,
`writes` functions, and functions that replace a path are all called in this way.
"""

from __future__ import annotations

import inspect
import typing
from contextlib import suppress
from dataclasses import dataclass
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from graphengine.errors import DefinitionError, MutatedInput
from graphengine.state.hints import hints_of, is_alias, signature_of, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphengine.state.view import View

NO_DEFAULT: Final = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a user's function.

    Attributes:
        name: The name of the parameter.
        annotation: The annotation; Any if it is unknown.
        default: The default.
        shown: Whether the value appears in the text of an agent's prompt or of a question.
    """

    name: str
    annotation: object = Any
    default: object = NO_DEFAULT
    shown: bool = False

    @property
    def allows_none(self) -> bool:
        """Whether the parameter accepts None. It is True if the type of the parameter is not known."""
        if self.default is None or self.annotation in (Any, object, None):
            return True
        arguments = typing.get_args(value_of(self.annotation) if is_alias(self.annotation) else self.annotation)
        if isinstance(self.annotation, (str, typing.TypeVar)):
            return True
        return type(None) in arguments or None in arguments or Any in arguments


@dataclass(frozen=True, slots=True)
class Injected:
    """A user's function whose parameters are filled in by name, from the state and other sources.

    Attributes:
        variadic: The function's `*args`, `**kwargs` and positional-only parameters, to which no values can be passed.
        returns: The annotation of the result; Any if there is none.
    """

    function: Callable[..., object]
    name: str
    parameters: tuple[Parameter, ...]
    variadic: tuple[str, ...]
    returns: object

    @classmethod
    def of(cls, function: Callable[..., object]) -> Injected:
        """Inspect the parameters of a user's function. Annotations that cannot be evaluated count as unknown.

        Python versions differ in which built-in types have a signature, so optional positional-only parameters of
        built-in types (`bool(object=False, /)`) are ignored in all versions.

        Raises:
            DefinitionError: The object cannot be called, such as `value("score")` in place of the path `"score"`.
        """
        if not callable(function):
            text = f"{type(function).__name__} {function!s:.200} is not a function"
            raise DefinitionError(text, repair="give a path such as 'score', or a function of fields")
        name = getattr(function, "__name__", type(function).__name__)
        try:
            signature = signature_of(function)
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
                is_plain = parameter.kind is parameter.POSITIONAL_ONLY
                variadic.append(f"the parameter {f'{parameter.name} before a /' if is_plain else parameter}")
        if hasattr(function, "dispatch"):
            variadic = ["functools.singledispatch, which decides by an argument that has no name"]
        returns = hints.get("return", Any)
        if name == "<lambda>":
            name = f"function of {', '.join(p.name for p in named)}" if named else "function"
        return cls(function, name, tuple(named), tuple(variadic), returns)

    @property
    def names(self) -> frozenset[str]:
        """The names of the parameters."""
        return frozenset(parameter.name for parameter in self.parameters)

    def call(self, view: View, given: Mapping[str, object] | None = None) -> object:
        """Call the function with arguments from the state, and with the values in `given`, which take precedence.

        If an argument was changed in place during the call, a task that an earlier node left running may have done so.
        Therefore the function is called once more with fresh values, before it is blamed.

        Raises:
            MutatedInput: The function itself changed an argument in place.
            TypeError: The function returned a coroutine, which would always count as true.
            Exception: The function raised it.
        """
        with suppress(MutatedInput):
            return self._call_function(view, given)
        return self._call_function(view, given)

    def _call_function(self, view: View, given: Mapping[str, object] | None) -> object:
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
        try:
            result = self.function(**values)
        finally:
            changed = view.changed(read)
            if changed:
                view.forget(changed)
                raise MutatedInput(
                    f"{self.name} changed its argument {', '.join(map(repr, changed))} in place",
                    where=self.name,
                    repair="change a copy instead; the values passed to the function belong to the run",
                )
        if type(result) is CoroutineType:
            result.close()
            raise TypeError(f"it returned the coroutine {result.__qualname__}, but is called here without await")
        return result


def _hints(function: Callable[..., object]) -> dict[str, object]:
    target = function if inspect.isroutine(function) or isinstance(function, type) else type(function).__call__
    target = getattr(function, "func", target)  # for a functools.partial
    return hints_of(target)
