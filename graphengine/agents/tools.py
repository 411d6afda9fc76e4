"""Tools: functions that a model may call while it works on an answer.

A `Tool` is a function with what a model has to know of it: `spec` tells the model, `call` takes what the model wrote
and gives back text, whatever happens. An error of the function, arguments that do not fit and a result that is too
large are texts for the model too, marked as errors, so that it can do better. Only cancellation, an interrupt, what
ends the run itself, and a model that could not be asked pass through: no other call of the tool would do better, while
a retry or a resume of the node does. Nothing here knows of turns, runs or records: the agent's loop does.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import reprlib
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Final, Generic, Protocol, cast, overload, runtime_checkable

from pydantic_core import from_json
from typing_extensions import ParamSpec, TypeVar

from graphengine.agents.arguments import NAME, BadArguments, Form, Signature, as_object
from graphengine.agents.outcomes import MAX_RESULT_CHARACTERS, ToolOutcome, failed, outcome_of, single
from graphengine.calls.time_limit import TimeLimit
from graphengine.errors import (
    DefinitionError,
    ModelError,
    ModelNotReady,
    ModelTransient,
    RunnerClosed,
    StoreError,
    WorkNotRepeatable,
)
from graphengine.graph.options import is_seconds, none_for_ever
from graphengine.graph.runnable import is_async
from graphengine.models.base import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from typing import TypeAlias

    from pydantic import JsonValue

    Blocking: TypeAlias = Callable[[Callable[[], object]], Awaitable[object]]

log = logging.getLogger("graphengine.agents")

P = ParamSpec("P", default=...)
R_co = TypeVar("R_co", covariant=True, default=object)

_PASSES: Final = (StoreError, RunnerClosed, WorkNotRepeatable, ModelTransient, ModelNotReady)
"""No mistakes of the tool: the run cannot continue, or the model of an agent that the tool asked could not be asked."""


@dataclass(frozen=True, slots=True)
class Tool(Generic[P, R_co]):
    """A function that a model may call; made by `tool`, or of a plain function in `Agent(tools=[…])`.

    It can still be called as the function.

    Args:
        function: What does the work. Its parameters are the arguments; those that are named as a resource of the graph,
            and `ctx`, are filled in by the run, and models are not told of them.
        name: What models call it, 1 to 64 of A-Z a-z 0-9 _ -; the function's own name if not given.
        description: What it is for; the docstring without its sections if not given.
        approve: Whether a person has to agree to each call.
        timeout_seconds: How long a call may take; None for no limit. An async function is cancelled then. A sync one
            cannot be: the model is told that it timed out, the loop goes on, and the function runs on in its thread.
            What it does still happens, what it returns is dropped, the thread is taken until it returns, and a program
            does not end before that.
        schema: JSON Schema of the arguments (an object), where they are not told by a signature. The function then gets
            them as they are, as one dict.

    Raises:
        DefinitionError: No model could be told of this function, or call it.
    """

    function: Callable[P, R_co]
    _: KW_ONLY
    name: str = ""
    description: str = ""
    approve: bool = False
    timeout_seconds: float | None = None
    schema: Mapping[str, JsonValue] | None = field(default=None, compare=False)
    _signature: Signature | None = field(init=False, repr=False, compare=False, default=None)
    _forms: dict[frozenset[str], Form] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not callable(self.function):
            text = f"a tool of {self.function!r}, which cannot be called"
            raise DefinitionError(text, where="tool", repair="give a function")
        object.__setattr__(self, "timeout_seconds", none_for_ever(self.timeout_seconds))
        if not self.name:
            object.__setattr__(self, "name", getattr(self.function, "__name__", type(self.function).__name__))
        _check(self)
        if self.schema is None:
            signature = Signature.of(self.function, self.name)
            object.__setattr__(self, "_signature", signature)
            if not self.description:
                object.__setattr__(self, "description", signature.summary)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function."""
        return self.function(*args, **kwargs)

    def spec(self, given: Collection[str] = ()) -> ToolSpec:
        """What a model is told of it.

        Args:
            given: Names that the run fills in: resources of the graph, `ctx`.

        Raises:
            DefinitionError: A parameter that is left has a type that JSON does not have, or a name that providers do
                not take, or is `ctx` outside a run.
        """
        schema = self.schema if self.schema is not None else self._form(given).schema
        return ToolSpec(self.name, self.description, schema)

    async def call(self, arguments: str, given: Mapping[str, object], blocking: Blocking) -> ToolOutcome:
        """Do what a model asked for; what goes wrong is told in the outcome.

        Args:
            arguments: What the model wrote: a JSON object, or what was to be one.
            given: What the run fills in, by name.
            blocking: Calls a function in a thread and gives back what it returns.

        Raises:
            asyncio.CancelledError: This call was cancelled. A sync function was waited for, if `blocking` does that.
            StoreError, RunnerClosed, WorkNotRepeatable: The function met these: the run cannot go on.
            ModelTransient, ModelNotReady: The model of an agent that the function asked could not be asked.
        """
        try:
            call = self._bound(arguments, given)
            if is_async(self.function):
                return await self._awaited(cast("Awaitable[object]", call()))
            return await self._in_thread(call, blocking)
        except BadArguments as error:
            return ToolOutcome(str(error), is_error=True)
        except _PASSES:
            raise
        except Exception as error:  # noqa: BLE001 - a tool may raise anything
            if isinstance(single(error), _PASSES):
                raise single(error) from None
            return failed(error)

    def misfit(self, arguments: str, given: Mapping[str, object]) -> ToolOutcome | None:
        """Check what a model wrote without calling anything.

        Args:
            arguments: What the model wrote.
            given: What the run fills in, by name.

        Returns:
            The outcome that tells the model what is wrong with it; None if the function can be called.
        """
        try:
            self._bound(arguments, given)
        except BadArguments as error:
            return ToolOutcome(str(error), is_error=True)
        except Exception as error:  # noqa: BLE001 - a validator of the user's may raise anything
            return failed(error)
        return None

    def _bound(self, arguments: str, given: Mapping[str, object]) -> Callable[[], object]:
        """The function with what the model wrote and what the run gives."""
        function = cast("Callable[..., object]", self.function)
        if self.schema is not None:
            return functools.partial(function, as_object(arguments, _plain_object))
        form = self._form(given.keys())
        return functools.partial(function, **form.read(arguments), **{name: given[name] for name in form.injected})

    def _form(self, given: Collection[str]) -> Form:
        signature = cast("Signature", self._signature)
        injected = signature.injected(given)
        form = self._forms.get(injected)
        if form is None:
            form = self._forms[injected] = signature.form(given)
        return form

    async def _awaited(self, found: Awaitable[object]) -> ToolOutcome:
        """The outcome of what an async function gives."""
        limit = TimeLimit(self.timeout_seconds)
        try:
            async with limit:
                return outcome_of(self.name, await found)
        except TimeoutError:
            if not limit.expired():
                raise
            return self._late("It was cancelled.")

    async def _in_thread(self, call: Callable[[], object], blocking: Blocking) -> ToolOutcome:
        """The outcome of a sync function, which is left alone when its time is over."""
        answer = functools.partial(blocking, functools.partial(self._answer, call))
        if self.timeout_seconds is None:
            found = await answer()
        else:
            task = await _in_time(answer, self.timeout_seconds)
            if not task.done():
                _leave(task, self.name)
                return self._late("It cannot be stopped: what it does may still happen, its result is dropped.")
            found = task.result()
        if isinstance(found, _Raised):
            raise found.error
        if isinstance(found, ToolOutcome):
            return found
        return await self._awaited(cast("Awaitable[object]", found))

    def _answer(self, call: Callable[[], object]) -> object:
        """In the thread: the outcome, an awaitable that is to be awaited for it, or the error that passes through."""
        try:
            found = call()
            return found if inspect.isawaitable(found) else outcome_of(self.name, found)
        except Exception as error:  # noqa: BLE001 - a tool may raise anything; no future carries a StopIteration
            cause = single(error)
            return _Raised(cause) if isinstance(cause, _PASSES) else failed(error)
        except BaseException as error:  # noqa: BLE001 - SystemExit in an asyncio task would end the event loop
            return _Raised(error)

    def _late(self, then: str) -> ToolOutcome:
        return ToolOutcome(f"{self.name} gave no result within {self.timeout_seconds:g} seconds. {then}", is_error=True)


@runtime_checkable
class ToolSource(Protocol):
    """Where tools come from that are not known before it is asked, as a server.

    It may be opened several times, also by several event loops; what it holds is given up when each opening was closed.
    """

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    async def open(self) -> Sequence[Tool]:
        """The tools it has now, ready to be called until it is closed.

        Raises:
            ToolsUnavailable: It cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Take back one opening of the running event loop's; the last one leaves nothing open. Never fails."""
        ...


class ToolsUnavailable(ModelError):
    """A source of tools cannot be had here: no SDK, a server that does not start or does not answer."""

    code = "tools_unavailable"


@overload
def tool(
    function: Callable[P, R_co],
    *,
    name: str | None = None,
    description: str | None = None,
    approve: bool = False,
    timeout_seconds: float | None = None,
) -> Tool[P, R_co]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    approve: bool = False,
    timeout_seconds: float | None = None,
) -> Callable[[Callable[P, R_co]], Tool[P, R_co]]: ...


def tool(
    function: Callable[..., object] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    approve: bool = False,
    timeout_seconds: float | None = None,
) -> object:
    """Make a tool of a function, as a decorator or by a call. Plain functions need it only for these options.

    Args:
        function: What does the work, sync or async; see `Tool`. A Tool gives another one with these changes.
        name: What models call it; the function's own name if not given.
        description: What it is for; the docstring's text if not given.
        approve: Whether a person has to agree to each call.
        timeout_seconds: How long a call may take; see `Tool` for what that means for a sync function.

    Returns:
        A Tool, or what makes one of a function.

    Raises:
        DefinitionError: No model could be told of this function, or call it.

    Example:
        >>> @tool(timeout_seconds=5)
        ... def add(a: int, b: int = 1) -> int:
        ...     '''Add two numbers.'''
        ...     return a + b
        >>> add(2, 3)
        5
        >>> add.spec().schema["required"]
        ['a']
    """
    if function is None:
        return functools.partial(
            tool, name=name, description=description, approve=approve, timeout_seconds=timeout_seconds
        )
    if isinstance(function, Tool):
        return replace(
            function,
            name=function.name if name is None else name,
            description=function.description if description is None else description,
            approve=approve or function.approve,
            timeout_seconds=function.timeout_seconds if timeout_seconds is None else timeout_seconds,
        )
    return Tool(
        function,
        name=name or "",
        description=description or "",
        approve=approve,
        timeout_seconds=timeout_seconds,
    )


def as_tools(items: Iterable[object]) -> tuple[Tool | ToolSource, ...]:
    """What an agent is given as its tools: functions become Tools, Tools and sources stay as they are.

    Raises:
        DefinitionError: Something else is among them, or a function that no model could call, or two tools of one name.
    """
    if isinstance(items, (str, bytes, Tool, ToolSource)) or callable(items) or not hasattr(items, "__iter__"):
        raise DefinitionError(f"tools={items!r}", where="tools", repair="give a list: tools=[…]")
    found = tuple(_as_tool(item) for item in items)
    by_name(each for each in found if isinstance(each, Tool))
    return found


def by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Tools by what models call them.

    Raises:
        DefinitionError: Two have one name.
    """
    found: dict[str, Tool] = {}
    for each in tools:
        if each.name in found:
            repair = "give one another name: tool(function, name=…), or mcp(…, prefix=…) for those of a server"
            raise DefinitionError(f"two tools are called {each.name}", where=f"tool {each.name}", repair=repair)
        found[each.name] = each
    return found


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a function raised in its thread that is to be raised on the event loop."""

    error: BaseException


_left: Final[set[asyncio.Future[object]]] = set()  # keeps those that run on; asyncio itself holds them weakly


async def _in_time(answer: Callable[[], Awaitable[object]], seconds: float) -> asyncio.Future[object]:
    """What ends in time, or still runs then. Where the wait is cancelled, so is that, and its end is waited for."""
    tasks: list[asyncio.Future[object]] = []
    try:
        async with TimeLimit(seconds):
            tasks.append(asyncio.ensure_future(answer()))
            await asyncio.wait(tasks)
    except TimeoutError:
        pass
    except asyncio.CancelledError:
        await _ended(tasks[0])
        raise
    return tasks[0]


async def _ended(task: asyncio.Future[object]) -> None:
    """Cancel it, and return when it is done, however often this wait is cancelled."""
    task.cancel()
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue


def _leave(task: asyncio.Future[object], name: str) -> None:
    """Let a function that took too long run on, and drop what it comes to; agents that it asks are asked no more."""

    def ended(task: asyncio.Future[object]) -> None:
        _left.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio would report one that nobody looked at
        log.debug("tool %s, which had timed out, has returned", name)

    _left.add(task)
    task.add_done_callback(ended)
    task.cancel()


def _plain_object(text: str) -> dict[str, object]:
    return cast("dict[str, object]", from_json(text, allow_inf_nan=False))


def _as_tool(item: object) -> Tool | ToolSource:
    if isinstance(item, (Tool, ToolSource)):
        return item
    if not callable(item) or isinstance(item, type):
        repair = "give functions, tool(function, …), or mcp(…); of an agent, a function that awaits its run(…)"
        raise DefinitionError(f"{reprlib.repr(item)} is no tool", where="tools", repair=repair)
    return Tool(item)


def _check(made: Tool) -> None:
    """Refuse a name that no provider takes, and a timeout that is none."""
    where = f"tool {made.name}"
    if not NAME.fullmatch(made.name):
        repair = "name it: tool(function, name=…), with 1 to 64 of A-Z a-z 0-9 _ -"
        raise DefinitionError(f"{made.name!r} is no name that models' providers take", where=where, repair=repair)
    seconds = made.timeout_seconds
    if seconds is not None and not is_seconds(seconds):
        raise DefinitionError(f"timeout_seconds={seconds!r}", where=where, repair="give seconds above 0, or None")


__all__ = [
    "MAX_RESULT_CHARACTERS",
    "Tool",
    "ToolOutcome",
    "ToolSource",
    "ToolsUnavailable",
    "as_tools",
    "by_name",
    "tool",
]
