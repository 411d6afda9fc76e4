"""Tools: functions that a model may call while it works on an answer.

A `Tool` is a function with its description: `spec` describes it to a model, `call` takes the arguments that the model
wrote and always returns text. An exception of the function, arguments that do not fit and a result that is too large
are texts for the model too, marked as errors, so that it can react. Only cancellation, interrupts, errors that end the
run, and errors of a model that could not be called propagate: another call of the tool would not help, while a retry or
a resume of the node may. Turns, runs and records are the concern of the agent's loop.
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
from graphengine.calls.caller_line import ends_at_caller
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
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from typing import TypeAlias

    from pydantic import JsonValue

    Blocking: TypeAlias = Callable[[Callable[[], object]], Awaitable[object]]

log = logging.getLogger("graphengine.agents")

P = ParamSpec("P", default=...)
R_co = TypeVar("R_co", covariant=True, default=object)

_PASSES: Final = (StoreError, RunnerClosed, WorkNotRepeatable, ModelTransient, ModelNotReady)
"""Errors that are not the tool's: the run cannot continue, or the model of an agent in the tool could not be called."""


@dataclass(frozen=True, slots=True)
class Tool(Generic[P, R_co]):
    """A function that a model may call; made by `tool`, or from a plain function in `Agent(tools=[…])`.

    It can still be called as the function.

    Args:
        function: Does the work. Its parameters are the arguments. Parameters named as a resource of the graph, and
            `ctx`, are provided by the run, and not described to models.
        name: Its name for models, 1 to 64 of A-Z a-z 0-9 _ -; the function's own name if not given.
        description: Its purpose; the docstring without its sections if not given.
        approve: Whether a person has to approve each call.
        timeout_seconds: How long a call may take; None for no limit. An async function is then cancelled. A sync one
            cannot be: the model gets a timeout error, the conversation is continued, and the function keeps running in
            its thread. Its side effects still happen, its result is dropped, the thread is occupied until it returns,
            and the program does not end before that.
        schema: JSON Schema of the arguments (an object), to use instead of the signature. The function then gets them
            unvalidated, as one dict.

    Raises:
        DefinitionError: A model could not call this function.
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
        """Return its description for a model.

        Args:
            given: Names that the run provides: resources of the graph, `ctx`.

        Raises:
            DefinitionError: A remaining parameter has a type without a JSON form, or a name that providers do not
                accept, or is `ctx` outside a run.
        """
        schema = self.schema if self.schema is not None else self._form(given).schema
        return ToolSpec(self.name, self.description, schema)

    async def call(self, arguments: str, given: Mapping[str, object], blocking: Blocking) -> ToolOutcome:
        """Make the call of a model; failures are reported in the outcome.

        Args:
            arguments: The model's arguments: a JSON object, possibly malformed.
            given: The values that the run provides, by name.
            blocking: Calls a function in a thread and returns its result.

        Raises:
            asyncio.CancelledError: This call was cancelled. It waited for a sync function, if `blocking` does that.
            StoreError, RunnerClosed, WorkNotRepeatable: Raised by the function: the run cannot continue.
            ModelTransient, ModelNotReady: The model of an agent in the function could not be called.
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
        """Validate a model's arguments without calling the function.

        Args:
            arguments: The model's arguments.
            given: The values that the run provides, by name.

        Returns:
            The outcome that explains the error to the model; None if the arguments fit.
        """
        try:
            self._bound(arguments, given)
        except BadArguments as error:
            return ToolOutcome(str(error), is_error=True)
        except Exception as error:  # noqa: BLE001 - a validator of the user's may raise anything
            return failed(error)
        return None

    def _bound(self, arguments: str, given: Mapping[str, object]) -> Callable[[], object]:
        """Bind the model's arguments and the run's values to the function."""
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
        """Return the outcome of an async function."""
        limit = TimeLimit(self.timeout_seconds)
        try:
            async with limit:
                return outcome_of(self.name, await found)
        except TimeoutError:
            if not limit.expired():
                raise
            return self._late("It was cancelled.")

    async def _in_thread(self, call: Callable[[], object], blocking: Blocking) -> ToolOutcome:
        """Return the outcome of a sync function, which keeps running if its time is over."""
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
        """Return the outcome, an awaitable that gives it, or an error to propagate; called in the thread."""
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
    """A source of tools that are unknown until it is opened, such as a server.

    It may be opened several times, also by several event loops; its resources are released after the last close.
    """

    @property
    def name(self) -> str:
        """Its name in messages."""
        ...

    async def open(self) -> Sequence[Tool]:
        """Return its current tools, which can be called until it is closed.

        Raises:
            ToolsUnavailable: It cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Undo one `open` of the running event loop; the last one releases everything. Never fails."""
        ...


class ToolsUnavailable(ModelError):
    """A source of tools is unavailable: its SDK is missing, or its server does not start or answer."""

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


@ends_at_caller
def tool(
    function: Callable[..., object] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    approve: bool = False,
    timeout_seconds: float | None = None,
) -> object:
    """Make a tool from a function, as a decorator or by a call. Plain functions need it only for these options.

    Args:
        function: Does the work, sync or async; see `Tool`. For a Tool, a changed copy is returned.
        name: Its name for models; the function's own name if not given.
        description: Its purpose; the docstring's text if not given.
        approve: Whether a person has to approve each call.
        timeout_seconds: How long a call may take; see `Tool` for the effect on a sync function.

    Returns:
        A Tool, or a decorator.

    Raises:
        DefinitionError: A model could not call this function.

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
    """Return an agent's tools: functions become Tools, Tools and sources are unchanged.

    Raises:
        DefinitionError: An item is neither of these, or a model could not call it, or two tools have one name.
    """
    if isinstance(items, (str, bytes, Tool, ToolSource)) or callable(items) or not hasattr(items, "__iter__"):
        raise DefinitionError(f"tools={items!r}", where="tools", repair="give a list: tools=[…]")
    found = tuple(_as_tool(item) for item in items)
    by_name(each for each in found if isinstance(each, Tool))
    return found


def by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Return the tools by name.

    Raises:
        DefinitionError: Two have the same name.
    """
    found: dict[str, Tool] = {}
    for each in tools:
        if each.name in found:
            repair = "rename one: tool(function, name=…), or mcp(…, prefix=…) for those of a server"
            raise DefinitionError(f"two tools are called {each.name}", where=f"tool {each.name}", repair=repair)
        found[each.name] = each
    return found


@dataclass(frozen=True, slots=True)
class _Raised:
    """An exception of a function in its thread, to be raised in the event loop."""

    error: BaseException


_left: Final[set[asyncio.Future[object]]] = set()  # keeps abandoned tasks alive; asyncio has only weak references


async def _in_time(answer: Callable[[], Awaitable[object]], seconds: float) -> asyncio.Future[object]:
    """Return the task, ended or still running after the time. If this wait is cancelled, cancel and await it."""
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
    """Cancel a task, and return when it is done, however often this wait is cancelled."""
    task.cancel()
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue


def _leave(task: asyncio.Future[object], name: str) -> None:
    """Abandon a function that took too long and drop its result; agents in it make no further calls."""

    def ended(task: asyncio.Future[object]) -> None:
        _left.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, or asyncio would log it
        log.debug("tool %s, which had timed out, has returned", name)

    _left.add(task)
    task.add_done_callback(ended)
    task.cancel()


def check_choice(choice: str | None, tools: Collection[str], *, where: str) -> None:
    """Check the setting `tool_choice`: `auto`, `none`, or with tools `required` or the name of one.

    Raises:
        DefinitionError: It is of another type.
    """
    if choice is None or choice in {"auto", "none", *tools} or (choice == "required" and tools):
        return
    repair = did_you_mean(choice, tools) if tools else "give it tools"
    raise DefinitionError(f"tool_choice={choice!r} names no tool", where=where, repair=repair)


def _plain_object(text: str) -> dict[str, object]:
    return cast("dict[str, object]", from_json(text, allow_inf_nan=False))


def _as_tool(item: object) -> Tool | ToolSource:
    if isinstance(item, (Tool, ToolSource)):
        return item
    if not callable(item) or isinstance(item, type):
        repair = "give functions, tool(function, …), or mcp(…); for an agent, a function that awaits its run(…)"
        raise DefinitionError(f"{reprlib.repr(item)} is not a tool", where="tools", repair=repair)
    return Tool(item)


def _check(made: Tool) -> None:
    """Refuse a name that some provider does not accept, and an invalid timeout."""
    where = f"tool {made.name}"
    if not NAME.fullmatch(made.name):
        repair = "name it: tool(function, name=…), with 1 to 64 of A-Z a-z 0-9 _ -"
        raise DefinitionError(f"{made.name!r} is not a name that all providers accept", where=where, repair=repair)
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
    "check_choice",
    "tool",
]
