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
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypedDict,
    Unpack,
    cast,
    overload,
    runtime_checkable,
)

from pydantic_core import from_json
from typing_extensions import ParamSpec, TypeVar

from graphengine.agents.approval import Approval, as_approval
from graphengine.agents.arguments import (
    NAME,
    BadArguments,
    Form,
    Signature,
    as_object,
    check_fit,
    repair_first,
    with_defaults,
)
from graphengine.agents.nested_texts import texts_read
from graphengine.agents.records import MAX_RESULT_CHARACTERS, NOT_KNOWN, ToolOutcome, failed, leaves
from graphengine.agents.tool_threads import MOST_LEFT, CallThread, threads_of
from graphengine.agents.tool_writes import WrittenPart, outcome_with, parts_of
from graphengine.errors import DefinitionError, EffectUnknown, RunnerClosed, StoreError
from graphengine.kernel.extension import did_you_mean, is_seconds
from graphengine.kernel.inside import (
    KEY_NAME,
    NO_DEFAULT,
    Effect,
    Parameter,
    TimeLimit,
    check_tool_effect,
    is_async,
    is_path,
    none_for_ever,
)
from graphengine.models.base import ToolSpec
from graphengine.models.errors import ModelError, ModelNotReady, ModelTransient
from graphengine.models.hosted import HostedTool
from graphengine.models.tool_schemas import SentSchema, sent_schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
    from concurrent.futures import Executor
    from types import EllipsisType

    from pydantic import JsonValue

    from graphengine.agents.approval import Approve
    from graphengine.kernel.inside import AnyFunction

    Blocking: TypeAlias = Callable[[Callable[[], object], Executor], Awaitable[object]]

log = logging.getLogger("graphengine.agents")

P = ParamSpec("P", default=...)
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True, default=object)

OnError: TypeAlias = Literal["report", "raise"]
ToolWrites: TypeAlias = "str | Sequence[str] | Mapping[str, str]"

_IN_ONE_TURN: Final = 100
"""How many tools are handled in one turn of the event loop: some milliseconds."""

_PASSES: Final = (StoreError, RunnerClosed, EffectUnknown, ModelTransient, ModelNotReady)
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
        approve: Whether a person has to approve each call, or a function of its arguments that returns whether; see
            `Approval` for more.
        timeout_seconds: How long a call may take; None for no limit. An async function is then cancelled; what it has
            sent elsewhere is not, so the model is told that nobody knows whether it took effect. A sync one cannot be
            cancelled: the model gets a timeout error, the conversation is continued, and the function keeps running in
            its thread until it returns or the program ends. Its side effects still happen, its result is dropped, and
            after 32 such calls at once the tool is not called until one returns.
        serial: Whether a call never runs at the same time as another call of the same turn: it begins when those before
            it have ended, and those after it begin when it has ended.
        max_calls: How often it is called for one answer of the agent; None for no limit. Further calls are not made,
            which the model is told.
        effect: What a call does outside the run: `"read"`, `"idempotent"`, `"once"` or `Once(…)`. Except with `"read"`
            a parameter `idempotency_key` gets the key of the call, which stays the same when the call is repeated. An
            effect that must not be repeated and raises, or runs out of time, is unknown, unless it raises `NotDone`.
        on_error: What an exception of the function, or a timeout, does: `"report"` gives its text to the model,
            `"raise"` raises it from the agent, so that its node fails or is retried.
        inputs: The parameters that are read from the state, not described to models: their names, if they are those of
            fields, or a dict of parameter to path.
        writes: The fields of the state that its result is written to, besides being the model's: a field, several that
            the result's keys name, or a dict of field to `"path.in.result"` or `"."`. They are recorded with the call,
            and written with the result of the agent's node, in the order of the calls; later calls find them in
            `ctx.written`, see `ToolContext`. A call that fails writes nothing, nor does a key that the result lacks.
        offered: A function that returns whether a turn offers the tool to the model. Its parameters name fields of the
            state, what `inputs` of the tool names, `turn` (the number of the turn, from 1) and `tool` (the name of the
            tool). Without this function, every turn offers the tool. A turn records which tools it offered, and a call
            of another tool is refused.
        schema: JSON Schema of the arguments (an object), to use instead of the signature. The function then gets them
            as one dict, validated by it. Models get a form of it that all providers accept, with other names for
            properties whose own are not.
        origin: The name that it has where it is from, as at a server, which its `name` may differ from; "" for `name`.

    Raises:
        DefinitionError: A model could not call this function.

    Attributes:
        approval: `approve` as an `Approval`; None if no call is approved first.
        parts: The fields that it writes, each with its part of the result.
    """

    function: Callable[P, R_co]
    _: KW_ONLY
    name: str = ""
    description: str = ""
    approve: Approve = False
    timeout_seconds: float | None = None
    serial: bool = False
    max_calls: int | None = None
    effect: Effect | None = None
    on_error: OnError = "report"
    inputs: Mapping[str, str] | Sequence[str] = ()
    writes: ToolWrites = ()
    offered: Callable[..., bool] | None = None
    schema: Mapping[str, JsonValue] | None = field(default=None, compare=False)
    origin: str = field(default="", repr=False, compare=False)
    approval: Approval | None = field(init=False, repr=False, compare=False)
    parts: tuple[WrittenPart, ...] = field(init=False, repr=False, compare=False)
    _signature: Signature | None = field(init=False, repr=False, compare=False, default=None)
    _sent: SentSchema | None = field(init=False, repr=False, compare=False, default=None)
    _forms: dict[frozenset[str], Form] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not callable(self.function):
            text = f"a tool of {self.function!r}, which cannot be called"
            raise DefinitionError(text, where="tool", repair="give a function")
        object.__setattr__(self, "timeout_seconds", none_for_ever(self.timeout_seconds))
        if not self.name:
            object.__setattr__(self, "name", getattr(self.function, "__name__", type(self.function).__name__))
        if self.is_external and getattr(self.function, "name", self.name) != self.name:  # its answer is found by that
            object.__setattr__(self, "function", replace(cast("Any", self.function), name=self.name))
        _check_tool(self)
        check_tool_effect(self.effect, f"tool {self.name}")
        object.__setattr__(self, "approval", as_approval(self.approve, f"tool {self.name}"))
        object.__setattr__(self, "inputs", _as_inputs(self.inputs, f"tool {self.name}"))
        object.__setattr__(self, "parts", parts_of(self.writes, self.function, self.name) if self.writes else ())
        if self.schema is None:
            signature = Signature.of(self.function, self.name)
            _check_inputs(self, signature)
            object.__setattr__(self, "_signature", signature)
            if not self.description:
                object.__setattr__(self, "description", signature.summary)
        else:
            object.__setattr__(self, "_sent", _make_sent_schema(self.schema, f"tool {self.name}"))

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
        schema = self._sent.schema if self._sent is not None else self.form(given).schema
        return ToolSpec(self.name, self.description, schema)

    @property
    def is_external(self) -> bool:
        """Whether another program executes it: see `external_tool`."""
        return getattr(self.function, "is_external", False)

    @property
    def parameters(self) -> Sequence[str]:
        """The names of its parameters."""
        return () if self._signature is None else [each.name for each in self._signature.parameters]

    def not_for_models(self, given: Collection[str]) -> Mapping[str, str]:
        """Return the parameters that no model can fill in, and that are not `given`, each with the reason."""
        return {} if self._signature is None else self._signature.not_for_models(self._names_provided(given))

    def reads(self) -> Sequence[Parameter]:
        """Return the paths of the state that it reads."""
        taken = {} if self._signature is None else {each.name: each for each in self._signature.parameters}
        inputs = cast("Mapping[str, str]", self.inputs)
        return [Parameter(path, taken[name].annotation, taken[name].default) for name, path in inputs.items()]

    def given(self, given: Mapping[str, object], fields: Mapping[str, object]) -> Mapping[str, object]:
        """Return what it gets besides the model's arguments.

        Args:
            given: The values that the run provides, by name.
            fields: The values of the state, by path.

        Raises:
            DefinitionError: A path that it reads has no value.
        """
        if not self.inputs:
            return given
        found: dict[str, object] = {}
        for name, parameter in zip(self.inputs, self.reads(), strict=True):
            if parameter.name in fields:
                found[name] = fields[parameter.name]
            elif parameter.default is NO_DEFAULT:
                problem = f"the tool {self.name} reads {parameter.name!r}, which is not given"
                repair = f"give it to the agent: agent.run({parameter.name}=…)"
                raise DefinitionError(problem, where=f"tool {self.name}", repair=repair)
        return {**{name: value for name, value in given.items() if name not in self.inputs}, **found}

    async def call(self, arguments: str, given: Mapping[str, object], blocking: Blocking) -> ToolOutcome:
        """Make the call of a model; failures are reported in the outcome.

        Args:
            arguments: The model's arguments: a JSON object, possibly malformed.
            given: The values that the run provides, by name.
            blocking: Calls a function in one of the given threads, and returns its result.

        Raises:
            asyncio.CancelledError: This call was cancelled. It waited for a sync function, if `blocking` does that.
            StoreError, RunnerClosed, EffectUnknown: Raised by the function: the run cannot continue.
            ModelTransient, ModelNotReady: The model of an agent in the function could not be called.
            Exception: What the function raised, and TimeoutError, with `on_error="raise"`.
        """
        try:
            await repair_first(arguments, lambda work: blocking(work, CallThread(threads_of(self.name))))
            call = self._bind_arguments(arguments, given)
            if is_async(self.function):
                return await self._await_outcome(cast("Awaitable[object]", call()))
            return await self._in_thread(call, blocking)
        except BadArguments as error:
            return ToolOutcome(str(error), is_error=True)
        except Exception as error:
            passes = self._error_to_raise(error)
            if passes is error:
                raise
            if passes is not None:
                raise passes from None
            return failed(error)

    def _error_to_raise(self, error: Exception) -> Exception | None:
        """Return the error to raise instead of reporting it to the model; None if there is none."""
        passes = next((each for each in leaves(error) if isinstance(each, _PASSES)), None)
        return passes if passes is not None or self.on_error == "report" else error

    def written(self, arguments: str) -> dict[str, JsonValue]:
        """Return a model's arguments, which fit, as it wrote them."""
        return cast("dict[str, JsonValue]", as_object(arguments, _plain_object))

    def values(self, arguments: str, given: Collection[str]) -> Mapping[str, object]:
        """Return a model's arguments, which fit, as the function gets them, without the names in `given`."""
        return (
            self.form(given).read(arguments) if self._sent is None else self._rename_to_declared(self._sent, arguments)
        )

    def filled(self, arguments: str, given: Collection[str]) -> Mapping[str, object]:
        """Return a model's arguments, which fit, with what the tool has for those that are not written."""
        found = self.values(arguments, given)
        return found if self.schema is None else cast("dict[str, object]", with_defaults(self.schema, dict(found)))

    def _rename_to_declared(self, sent: SentSchema, arguments: str) -> dict[str, object]:
        """Return a model's arguments under the declared names, with the lists and objects that it wrote as texts."""
        found = sent.declared(as_object(arguments, _plain_object))
        schema = cast("Mapping[str, JsonValue]", self.schema)
        read = texts_read(cast("dict[str, JsonValue]", found), schema)
        return found if read is None else cast("dict[str, object]", read)

    def mismatch(self, arguments: str, given: Mapping[str, object]) -> ToolOutcome | None:
        """Validate a model's arguments without calling the function.

        Args:
            arguments: The model's arguments.
            given: The values that the run provides, by name.

        Returns:
            The outcome that explains the error to the model; None if the arguments fit.
        """
        try:
            self._bind_arguments(arguments, given)
        except BadArguments as error:
            return ToolOutcome(str(error), is_error=True)
        except Exception as error:  # noqa: BLE001 - a validator of the user's may raise anything
            return failed(error)
        return None

    def _bind_arguments(self, arguments: str, given: Mapping[str, object]) -> Callable[[], object]:
        """Bind the model's arguments and the run's values to the function."""
        function = cast("Callable[..., object]", self.function)
        if self._sent is not None:
            found = self._rename_to_declared(self._sent, arguments)
            check_fit(self.name, cast("Mapping[str, JsonValue]", self.schema), found)
            return functools.partial(function, found)
        form = self.form(given)
        provided = {name: given[name] for name in form.injected if name in given}
        return functools.partial(function, **form.read(arguments), **provided)

    def form(self, given: Collection[str]) -> Form:
        """Return what a model fills in, if the run provides these names."""
        signature, provided = cast("Signature", self._signature), self._names_provided(given)
        injected = signature.injected(provided)
        form = self._forms.get(injected)
        if form is None:
            form = self._forms[injected] = signature.form(provided)
        return form

    def _names_provided(self, given: Collection[str]) -> set[str]:
        """Return the names that are not the model's to fill in, if the run provides these."""
        has_key = self.effect not in (None, "read")  # else the model fills in a parameter of this name, if there is one
        return {*given, *self.inputs} - {KEY_NAME} | ({KEY_NAME} if has_key else set[str]())

    async def _await_outcome(self, found: Awaitable[object]) -> ToolOutcome:
        """Return the outcome of an async function."""
        limit = TimeLimit(self.timeout_seconds)
        try:
            async with limit:
                return outcome_with(self.parts, self.name, await found)
        except TimeoutError:
            if not limit.expired():
                raise
            then = "It changes nothing." if self.effect == "read" else NOT_KNOWN
            return self._late(then, limit.spent_seconds if limit.is_longer else None)

    async def _in_thread(self, call: Callable[[], object], blocking: Blocking) -> ToolOutcome:
        """Return the outcome of a sync function, which keeps running if its time is over."""
        threads = threads_of(self.name)
        if threads.is_stuck:
            text = (
                f"{MOST_LEFT} calls of {self.name} that ran out of time are still running; it is not called again yet."
            )
            return self._problem(text)
        thread = CallThread(threads)
        answer = functools.partial(blocking, functools.partial(self._answer, call), thread)
        if self.timeout_seconds is None:
            found = await answer()
        else:
            task = await _in_time(answer, self.timeout_seconds)
            if not task.done():
                _abandon_function(task, self.name)
                thread.leave()
                return self._late("It cannot be stopped: what it does may still happen, its result is dropped.")
            found = task.result()
        if isinstance(found, _Raised):
            raise found.error
        if isinstance(found, ToolOutcome):
            return found
        return await self._await_outcome(cast("Awaitable[object]", found))

    def _answer(self, call: Callable[[], object]) -> object:
        """Return the outcome, an awaitable that gives it, or an error to propagate; called in the thread."""
        try:
            found = call()
            return found if inspect.isawaitable(found) else outcome_with(self.parts, self.name, found)
        except Exception as error:  # noqa: BLE001 - a tool may raise anything; no future carries a StopIteration
            passes = self._error_to_raise(error)
            return failed(error) if passes is None else _Raised(passes)
        except BaseException as error:  # noqa: BLE001 - SystemExit in an asyncio task would end the event loop
            return _Raised(error)

    def _late(self, then: str, seconds: float | None = None) -> ToolOutcome:
        within = f"{self.timeout_seconds:g}" if seconds is None else f"{seconds:.0f}"
        found = self._problem(f"{self.name} gave no result within {within} seconds. {then}")
        return replace(found, is_unknown=True)

    def _problem(self, text: str) -> ToolOutcome:
        """Return the outcome of a call without a result.

        Raises:
            TimeoutError: The tool's errors are raised.
        """
        if self.on_error == "raise":
            raise TimeoutError(text)
        return ToolOutcome(text, is_error=True)


@runtime_checkable
class ToolSource(Protocol):
    """A source of tools that are unknown until it is opened, such as a server.

    A toolset may be opened several times, also in several event loops. Its resources are released after the last close.
    When a call waits or is repeated, it goes to the toolset with the same `origin`, or with the same `name` if there is
    no `origin`. The tools of a toolset may not write fields of the state.
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


@runtime_checkable
class Relists(ToolSource, Protocol):
    """A source whose tools change while it is open."""

    def is_outdated(self) -> bool:
        """Return whether it is known, without asking, that the tools are others than it returned last."""
        ...

    async def current(self) -> Sequence[Tool]:
        """Return its tools as they are now, asked for as its own rules say; it is open.

        The same list is returned if nothing has changed. If it cannot be asked, the tools are those that are known.
        """
        ...


@runtime_checkable
class LeavesOut(ToolSource, Protocol):
    """A source that leaves out the tools that no model can call."""

    async def left_out(self) -> Mapping[str, str]:
        """Open it, and return these, by the names that it lists, each with the reason."""
        ...


class ToolsUnavailable(ModelError):
    """A source of tools is unavailable: its SDK is missing, or its server does not start or answer."""

    code = "tools_unavailable"


class ToolOptions(TypedDict, total=False):
    """The options of a tool; see `Tool`."""

    name: str
    description: str
    approve: Approve
    timeout_seconds: float | None
    serial: bool
    max_calls: int | None
    effect: Effect | None
    on_error: OnError
    inputs: Mapping[str, str] | Sequence[str]
    writes: ToolWrites
    offered: AnyFunction[bool] | None


@overload
def tool(function: Callable[P, R_co], **options: Unpack[ToolOptions]) -> Tool[P, R_co]: ...


@overload
def tool(**options: Unpack[ToolOptions]) -> Callable[[Callable[P, R_co]], Tool[P, R_co]]: ...


def tool(  # noqa: PLR0913 - the options of Tool
    function: Callable[..., object] | None = None,
    *,
    name: str | EllipsisType = ...,
    description: str | EllipsisType = ...,
    approve: Approve | EllipsisType = ...,
    timeout_seconds: float | EllipsisType | None = ...,
    serial: bool | EllipsisType = ...,
    max_calls: int | EllipsisType | None = ...,
    effect: Effect | EllipsisType | None = ...,
    on_error: OnError | EllipsisType = ...,
    inputs: Mapping[str, str] | Sequence[str] | EllipsisType = ...,
    writes: ToolWrites | EllipsisType = ...,
    offered: AnyFunction[bool] | EllipsisType | None = ...,
) -> object:
    """Make a tool from a function, as a decorator or by a call. Plain functions need it only for these options.

    Args:
        function: Does the work, sync or async; see `Tool`. For a Tool, a copy is returned that has what is given.
        name: As for `Tool`, as are the others.
        description: Its purpose.
        approve: Whether a person has to approve each call.
        timeout_seconds: How long a call may take.
        serial: Whether a call never runs at the same time as another of its turn.
        max_calls: How often it is called for one answer.
        effect: What a call does outside the run.
        on_error: What an exception does.
        inputs: The parameters that are read from the state.
        writes: The fields of the state that its result is written to.
        offered: Returns whether models get it in a turn.

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
    options = {option: given for option, given in locals().items() if given is not ... and option != "function"}
    if function is None:
        return functools.partial(tool, **options)
    return replace(function, **options) if isinstance(function, Tool) else Tool(function, **options)


def split_tools(items: Iterable[object]) -> tuple[tuple[Tool | ToolSource, ...], tuple[HostedTool, ...]]:
    """Return an agent's tools, and those that its model's provider runs.

    Functions become Tools; Tools and sources are unchanged.

    Raises:
        DefinitionError: An item is neither of these, or a model could not call it, or two tools have one name.
    """
    found = tuple(item if isinstance(item, HostedTool) else _as_tool(item) for item in items)
    hosted = tuple(each for each in found if isinstance(each, HostedTool))
    kit = tuple(each for each in found if not isinstance(each, HostedTool))
    own = by_name(each for each in kit if isinstance(each, Tool))
    names = [*own, *(each.name for each in hosted)]
    for name in {each.name for each in hosted if names.count(each.name) > 1}:
        repair = "rename the function: tool(function, name=…)" if name in own else "give it once"
        raise DefinitionError(f"two tools are called {name}", where=f"tool {name}", repair=repair)
    return kit, hosted


def by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Return the tools by name.

    Raises:
        DefinitionError: Two have the same name.
    """
    found: dict[str, Tool] = {}
    for each in tools:
        if each.name in found:
            raise called_alike(each.name)
        found[each.name] = each
    return found


def called_alike(name: str) -> DefinitionError:
    """Return the error of two tools with one name."""
    repair = "rename one: tool(function, name=…), or mcp(…, prefix=…) for those of a server"
    return DefinitionError(f"two tools are called {name}", where=f"tool {name}", repair=repair)


def refuse_writes(found: Tool, source: ToolSource) -> Tool:
    """Return a source's tool.

    Raises:
        DefinitionError: It writes fields, of which `compile` could not know.
    """
    if found.parts:
        text = f"{source.name} lists {found.name}, which writes {found.parts[0].field}: no check of a graph sees that"
        raise DefinitionError(text, where=f"tool {found.name}", repair="give that tool to the agent itself")
    return found


async def unhurried(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield items, and let the event loop go on after each few: a server may list thousands of tools."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _IN_ONE_TURN == 0:
            await asyncio.sleep(0)


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
        await _end_task(tasks[0])
        raise
    return tasks[0]


async def _end_task(task: asyncio.Future[object]) -> None:
    """Cancel a task, and return when it is done, however often this wait is cancelled."""
    task.cancel()
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue


def _abandon_function(task: asyncio.Future[object], name: str) -> None:
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


def _make_sent_schema(schema: Mapping[str, JsonValue], where: str) -> SentSchema:
    """Return a schema as models get it. Raises: DefinitionError: No model could give such arguments."""
    try:
        return sent_schema(schema)
    except ValueError as error:
        raise DefinitionError(f"{where}: {error}", where=where, repair="give the schema of an object") from error


def _plain_object(text: str) -> dict[str, object]:
    return cast("dict[str, object]", from_json(text, allow_inf_nan=False))


def _as_tool(item: object) -> Tool | ToolSource:
    if isinstance(item, (Tool, ToolSource)):
        return item
    if not callable(item) or isinstance(item, type):
        repair = "give functions, tool(function, …), or mcp(…); for an agent, a function that awaits its run(…)"
        raise DefinitionError(f"{reprlib.repr(item)} is not a tool", where="tools", repair=repair)
    return Tool(item)


def _check_tool(made: Tool) -> None:
    """Refuse a name that some provider does not accept, and an invalid timeout."""
    where = f"tool {made.name}"
    if not NAME.fullmatch(made.name):
        repair = "name it: tool(function, name=…), with 1 to 64 of A-Z a-z 0-9 _ -"
        raise DefinitionError(f"{made.name!r} is not a name that all providers accept", where=where, repair=repair)
    seconds = made.timeout_seconds
    if seconds is not None and not is_seconds(seconds):
        raise DefinitionError(
            f"timeout_seconds={seconds!r} is not valid", where=where, repair="give seconds above 0, or None"
        )
    if made.max_calls is not None and not (type(made.max_calls) is int and made.max_calls >= 1):
        raise DefinitionError(
            f"max_calls={made.max_calls!r} is not valid", where=where, repair="give a whole number from 1 on"
        )
    if made.offered is not None and (not callable(cast("object", made.offered)) or is_async(made.offered)):
        repair = "give a sync function of fields of the state, `turn` and `tool`"
        raise DefinitionError(f"offered={made.offered!r} is not valid", where=where, repair=repair)
    if made.on_error not in ("report", "raise"):
        repair = 'give "report", for the model, or "raise"'
        raise DefinitionError(f"on_error={made.on_error!r} is not valid", where=where, repair=repair)


def _as_inputs(inputs: object, where: str) -> dict[str, str]:
    """Return what a tool reads: parameter to path.

    Raises:
        DefinitionError: It is something else.
    """
    pairs: object = inputs if isinstance(inputs, Mapping) else None
    if pairs is None and isinstance(inputs, (list, tuple, set, frozenset)) and all(isinstance(n, str) for n in inputs):
        pairs = {name: name for name in inputs}
    if not isinstance(pairs, Mapping):
        repair = "name the parameters: inputs=['customer'], or inputs={'who': 'customer.name'}"
        raise DefinitionError(f"inputs={inputs!r} is not valid", where=where, repair=repair)
    for name, path in pairs.items():
        if not isinstance(name, str) or not isinstance(path, str) or not is_path(path):
            raise DefinitionError(
                f"inputs={{{name!r}: {path!r}}} is not valid", where=where, repair="give a path: 'customer.name'"
            )
    return dict(pairs)


def _check_inputs(made: Tool[Any, Any], signature: Signature) -> None:
    """Refuse inputs that are not parameters of the function."""
    names = [each.name for each in signature.parameters]
    for name in made.inputs:
        if name not in names:
            text, repair = f"it has no parameter {name!r}, which inputs= names", did_you_mean(name, names)
            raise DefinitionError(f"tool {made.name}: {text}", where=f"tool {made.name}", repair=repair)


__all__ = [
    "MAX_RESULT_CHARACTERS",
    "LeavesOut",
    "Relists",
    "Tool",
    "ToolOutcome",
    "ToolSource",
    "ToolsUnavailable",
    "by_name",
    "called_alike",
    "check_choice",
    "refuse_writes",
    "split_tools",
    "tool",
    "unhurried",
]
