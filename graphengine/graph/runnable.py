"""Bodies: what a node does when it is visited, in the form that the engine calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Final, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from graphengine.state.injection import Injected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from graphengine.state.injection import Parameter

R = TypeVar("R")
Kind: TypeAlias = Literal["function", "agent", "pass", "graph", "ask"]
MYPY: Final = False  # True for mypy, which makes one type of all members of such a union, and then refuses most lambdas
AnyFunction: TypeAlias = Callable[..., R]  # pyright: ignore[reportRedeclaration]
if not MYPY:  # pyright knows the parameters of a lambda only from a member that names as many
    AnyFunction: TypeAlias = (  # pyright: ignore[reportRedeclaration]
        Callable[..., R]
        | Callable[Concatenate[Any, ...], R]
        | Callable[Concatenate[Any, Any, ...], R]
        | Callable[Concatenate[Any, Any, Any, ...], R]
    )
"""A function of any parameters, with the type of its result."""


class Body(Protocol):
    """What a node does when it is visited, in the form that the engine calls.

    Attributes:
        name: Its own name, recorded with usage.
        kind: `function`, `agent`, `pass`, `graph` or `ask`.
        parameters: The parameters that it reads; a name can be a path of the state.
        returns: The annotation of its result, Any if unknown.
        thread: Whether it blocks and so runs in a thread of the runner's pool.
    """

    @property
    def name(self) -> str:
        """Its own name."""
        ...

    @property
    def kind(self) -> Kind:
        """Its kind."""
        ...

    @property
    def parameters(self) -> Sequence[Parameter]:
        """The parameters that it reads."""
        ...

    @property
    def returns(self) -> object:
        """The annotation of its result."""
        ...

    @property
    def thread(self) -> bool:
        """Whether it blocks."""
        ...

    @property
    def call(self) -> Callable[..., object]:
        """The function to call with the parameters by name; its result can be awaitable."""
        ...

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """Return the problems of the body itself, as (code, message, repair)."""
        ...


@runtime_checkable
class HasScope(Protocol):
    """A body whose parts take what the graph around it provides, such as an agent with tools."""

    def problems_in(self, fields: Collection[str], resources: Collection[str]) -> Iterable[tuple[str, str, str, bool]]:
        """Return the problems in a graph with these fields and resources: code, message, repair, is it a warning."""
        ...


@runtime_checkable
class HasDetails(Protocol):
    """A body of which graph specs say more than its kind, such as an agent with its instructions."""

    @property
    def details(self) -> Mapping[str, str]:
        """What changes of a graph are compared by, by a name for each."""
        ...


@runtime_checkable
class HasBody(Protocol):
    """A runnable other than a plain function: an Agent, a Graph, a question."""

    def __body__(self) -> Body:
        """Return the body that the engine calls."""
        ...


@dataclass(frozen=True, slots=True)
class FunctionBody:
    """A plain function as a node's body."""

    name: str
    parameters: Sequence[Parameter]
    returns: object
    call: Callable[..., object]
    thread: bool
    variadic: Sequence[str]
    kind: Kind = "function"

    @classmethod
    def of(cls, function: Callable[..., object], *, thread: bool | None, kind: Kind = "function") -> FunctionBody:
        """Wrap a function. A sync one runs in a thread unless `thread` is False."""
        found, blocks = Injected.of(function), thread is not False and not is_async(function)
        return cls(found.name, found.parameters, found.returns, function, blocks, found.variadic, kind)

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """Return the parameters that cannot be injected."""
        return [
            ("bad_parameter", f"{self.name} has {text}, which names no field", _repair_of(text))
            for text in self.variadic
        ]


def _repair_of(text: str) -> str:
    """Return how a parameter that cannot be filled in by name is written."""
    if "singledispatch" in text:
        return "call it in a function whose parameters name the fields"
    return "remove the /" if text.endswith(" before a /") else "name each field it reads"


def is_async(function: object) -> bool:
    """Return whether calling it returns a coroutine."""
    inner = getattr(function, "func", function)  # functools.partial
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(type(inner), "__call__", None))  # noqa: B004 - checks what the method is, not whether it exists
