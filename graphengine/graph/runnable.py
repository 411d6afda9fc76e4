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
    """The form in which the engine runs what a node does: a function, an agent, a graph or a question.

    Attributes:
        name: The name of the function, agent or graph, which is recorded with its usage.
        kind: `function`, `agent`, `pass`, `graph` or `ask`.
        parameters: The parameters whose values the node reads. Their names can be paths of the state.
        returns: The annotation of the result, Any if unknown.
        thread: Whether calling it blocks, so that it must run in a thread of the runner's pool.
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
        """The function to call, with the parameters by name. Its result can be awaitable."""
        ...

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """Return problems of the function, agent or question itself, as (code, message, repair)."""
        ...


@runtime_checkable
class HasScope(Protocol):
    """An interface of what nodes run, if it uses fields or resources of the graph, such as an agent with tools.

    The graph calls `problems_in` to check that these fields and resources exist.
    """

    def problems_in(self, fields: Collection[str], resources: Collection[str]) -> Iterable[tuple[str, str, str, bool]]:
        """Return problems with these fields and resources of the graph, as (code, message, repair, is a warning)."""
        ...


@runtime_checkable
class HasDetails(Protocol):
    """An interface of what nodes run, if it adds details to the graph's description, such as instructions."""

    @property
    def details(self) -> Mapping[str, str]:
        """The details by which changes of the node are noticed and shown, by a name for each."""
        ...


@runtime_checkable
class HasBody(Protocol):
    """Protocol of everything other than a plain function that a node can run: an Agent, a Graph, a question."""

    def __body__(self) -> Body:
        """Return the form in which the engine runs this."""
        ...


@dataclass(frozen=True, slots=True)
class FunctionBody:
    """Lets a node run a plain function, through the interface that the engine also uses for agents and graphs."""

    name: str
    parameters: Sequence[Parameter]
    returns: object
    call: Callable[..., object]
    thread: bool
    variadic: Sequence[str]
    kind: Kind = "function"

    @classmethod
    def of(cls, function: Callable[..., object], *, thread: bool | None, kind: Kind = "function") -> FunctionBody:
        """Wrap a function so that the engine can run it. A sync function runs in a thread unless `thread` is False."""
        found, blocks = Injected.of(function), thread is not False and not is_async(function)
        return cls(found.name, found.parameters, found.returns, function, blocks, found.variadic, kind)

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """Return a problem for each parameter that the engine cannot fill in by name, such as `*args`."""
        return [
            ("bad_parameter", f"{self.name} has {text}, which names no field", _repair_of(text))
            for text in self.variadic
        ]


def _repair_of(text: str) -> str:
    """Return the repair for a parameter that the engine cannot fill in by name, such as `*args`."""
    if "singledispatch" in text:
        return "call it in a function whose parameters name the fields"
    slash = "remove the / from its parameters"
    return slash if text.endswith(" before a /") else "write one parameter for each field that the function reads"


def is_async(function: object) -> bool:
    inner = getattr(function, "func", function)  # functools.partial
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(type(inner), "__call__", None))  # noqa: B004 - checks what the method is, not whether it exists
