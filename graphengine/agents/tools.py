"""Tools: functions that a model may call while it works on an answer.

A `Tool` combines a function with its description. `Tool.spec` describes the function to a model, and `Tool.call` calls
it with the arguments that the model wrote.

`Tool.call` nearly always returns a text for the model. An exception of the function, arguments that do not fit and a
result that is too large become texts that are marked as errors, so that the model can react. Only four kinds of
exceptions propagate: cancellation, interrupts, errors that end the run, and errors of a model that could not be called.
Calling the tool again would not help in these cases, while a retry of the node or a resume of the run may help.

Turns, runs and records are handled by `graphengine.agents.conversation`.
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
    ArgumentForm,
    BadArguments,
    Signature,
    as_object,
    check_fit,
    repair_first,
    with_defaults,
    without_nulls,
)
from graphengine.agents.nested_texts import texts_read
from graphengine.agents.records import MAX_RESULT_CHARACTERS, NOT_KNOWN, ToolOutcome, failed_outcome, leaves
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
"""The number of tools that are handled in one turn of the event loop, which takes some milliseconds."""

_PASSES: Final = (StoreError, RunnerClosed, EffectUnknown, ModelTransient, ModelNotReady)
"""Errors that the tool did not cause: the run cannot continue, or an agent inside the tool could not call its model."""


@dataclass(frozen=True, slots=True)
class Tool(Generic[P, R_co]):
    """A function that a model may call. Make one with `tool`, or pass a plain function in `Agent(tools=[…])`.

    A Tool can still be called like the function.

    Args:
        function: The function that does the work. Its parameters are the arguments of the tool. The run supplies
            parameters that have the name of a resource of the graph, and the parameter `ctx`; models do not see them.
        name: The tool's name for models: 1 to 64 characters of A-Z a-z 0-9 _ -. The default is the function's name.
        description: The tool's purpose for models. The default is the docstring without its sections.
        approve: Whether a person has to approve each call, or a function of the arguments that returns whether a call
            needs approval. See `Approval` for more.
        timeout_seconds: How long a call may take; None for no limit. An async function is cancelled when the time is
            over. Requests that it has sent to other systems may still take effect, so the model reads that the outcome
            is unknown. A sync function cannot be cancelled. The model gets a timeout error and the conversation
            continues, while the function keeps running in its thread until it returns or the program ends. Its side
            effects still happen, and its result is dropped. While 32 such calls are still running, the tool is not
            called again.
        serial: Whether a call of the tool never overlaps another call of the same turn. The call begins when all
            earlier calls of the turn have ended, and later calls begin when it has ended.
        max_calls: How many calls may be made for one answer of the agent; None for no limit. Further calls are not
            made, and the model reads that they were not made.
        effect: The effect of a call outside the run: `"read"`, `"idempotent"`, `"once"` or `Once(…)`. With every value
            except `"read"`, a parameter `idempotency_key` receives the key of the call, which stays the same when the
            call is repeated. If an effect that must not be repeated raises an exception or exceeds its time, its
            outcome counts as unknown, unless it raises `NotDone`.
        on_error: The reaction to an exception of the function or a timeout. With `"report"` the model reads the text of
            the error. With `"raise"` the agent raises the error, so that its node fails or is retried.
        inputs: The parameters that are read from the state and that models do not see. Pass their names if the fields
            of the state have the same names, or a dict that maps each parameter to a path.
        writes: The fields of the state to which the result is written; the model still receives the result. Pass a
            field, several fields that are also keys of the result, or a dict that maps each field to `"path.in.result"`
            or `"."`. The values are recorded with the call and written together with the result of the agent's node, in
            the order of the calls. Later calls of the visit find them in `ctx.written`, see `ToolContext`. A call that
            fails writes nothing, and a key that the result lacks is skipped.
        offered: A function that returns whether a turn offers the tool to the model. Its parameters name fields of the
            state, the tool's `inputs`, `turn` (the number of the turn, from 1) and `tool` (the name of the tool).
            Without this function, every turn offers the tool. A turn records which tools it offered, and a call of
            another tool is refused.
        schema: The JSON Schema of the arguments (an object), which replaces the function's signature. The function then
            receives the arguments as one dict, validated by the schema. Models receive a form of the schema that all
            providers accept, in which properties with unsupported names are renamed.
        origin: The name of the tool at the place that it comes from, such as a server, if it differs from `name`; "" if
            both are the same.

    Raises:
        DefinitionError: A model could not call this function.

    Attributes:
        approval: The argument `approve` as an `Approval`; None if calls need no approval.
        parts: The fields that the tool writes, each with its part of the result.
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
    _forms: dict[frozenset[str], ArgumentForm] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not callable(self.function):
            text = f"{self.function!r} cannot be a tool, because it is not a function"
            raise DefinitionError(text, where="tool", repair="give a function: tool(look_up)")
        object.__setattr__(self, "timeout_seconds", none_for_ever(self.timeout_seconds))
        if not self.name:
            object.__setattr__(self, "name", getattr(self.function, "__name__", type(self.function).__name__))
        # The answer of an external tool is found by this name.
        if self.is_external and getattr(self.function, "name", self.name) != self.name:
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
        """Call the function, without the model, the run and the checks of a tool call."""
        return self.function(*args, **kwargs)

    def spec(self, given: Collection[str] = ()) -> ToolSpec:
        """Return the description of the tool for a model: its name, its purpose and the schema of its arguments.

        Args:
            given: The names that the run supplies: resources of the graph, and `ctx`.

        Raises:
            DefinitionError: One of the other parameters has a type without a JSON form, has a name that providers do
                not accept, or is `ctx` outside a run.
        """
        schema = self._sent.schema if self._sent is not None else self.form(given).schema
        return ToolSpec(self.name, self.description, schema)

    @property
    def is_external(self) -> bool:
        """Whether another program executes the tool; see `external_tool`."""
        return getattr(self.function, "is_external", False)

    @property
    def parameters(self) -> Sequence[str]:
        """The names of the function's parameters."""
        return () if self._signature is None else [each.name for each in self._signature.parameters]

    def not_for_models(self, given: Collection[str]) -> Mapping[str, str]:
        """Return the parameters that neither a model nor the run can supply, each with the reason."""
        return {} if self._signature is None else self._signature.not_for_models(self._names_provided(given))

    def reads(self) -> Sequence[Parameter]:
        """Return the paths of the state that the tool reads, with the types of its parameters."""
        taken = {} if self._signature is None else {each.name: each for each in self._signature.parameters}
        inputs = cast("Mapping[str, str]", self.inputs)
        return [Parameter(path, taken[name].annotation, taken[name].default) for name, path in inputs.items()]

    def given(self, given: Mapping[str, object], fields: Mapping[str, object]) -> Mapping[str, object]:
        """Return the values that the tool's function receives in addition to the arguments that the model writes.

        `given` contains the values that the run supplies, and the values of the state that the option `inputs=` of the
        tool names.

        Args:
            given: The values that the run supplies, by name.
            fields: The values of the state, by path.

        Raises:
            DefinitionError: A path that the tool reads has no value.
        """
        if not self.inputs:
            return given
        found: dict[str, object] = {}
        for name, parameter in zip(self.inputs, self.reads(), strict=True):
            if parameter.name in fields:
                found[name] = fields[parameter.name]
            elif parameter.default is NO_DEFAULT:
                problem = f"the tool {self.name!r} reads {parameter.name!r}, but the call of the agent does not give it"
                repair = f"give the value to the agent: agent.run({parameter.name}=…)"
                raise DefinitionError(problem, where=f"tool {self.name}", repair=repair)
        return {**{name: value for name, value in given.items() if name not in self.inputs}, **found}

    async def call(self, arguments: str, given: Mapping[str, object], blocking: Blocking) -> ToolOutcome:
        """Call the function with the arguments that a model wrote. Failures are reported in the returned outcome.

        Args:
            arguments: The model's arguments: a JSON object, possibly malformed.
            given: The values that the run supplies, by name.
            blocking: Calls a function in a thread of the given executor, so that the event loop is not blocked, and
                returns the result.

        Raises:
            asyncio.CancelledError: This call was cancelled. If `blocking` waits for sync functions, the function has
                ended.
            StoreError, RunnerClosed, EffectUnknown: The function raised this error, and the run cannot continue.
            ModelTransient, ModelNotReady: An agent inside the function could not call its model.
            Exception: With `on_error="raise"`: the function raised this error, or exceeded its time (TimeoutError).
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
            return failed_outcome(error)

    def _error_to_raise(self, error: Exception) -> Exception | None:
        """Return the exception that the agent has to raise; None if the model reads about the error instead."""
        passes = next((each for each in leaves(error) if isinstance(each, _PASSES)), None)
        return passes if passes is not None or self.on_error == "report" else error

    def written(self, arguments: str) -> dict[str, JsonValue]:
        """Parse the arguments that a model wrote, without converting their values. The arguments must fit the tool."""
        return cast("dict[str, JsonValue]", as_object(arguments, _plain_object))

    def values(self, arguments: str, given: Collection[str]) -> Mapping[str, object]:
        """Convert the arguments that a model wrote to the values that the tool's function receives, by name.

        `values` leaves out values that the run supplies; their names are in `given`. The arguments must fit the tool.
        """
        return (
            self.form(given).read(arguments) if self._sent is None else self._rename_to_declared(self._sent, arguments)
        )

    def filled(self, arguments: str, given: Collection[str]) -> Mapping[str, object]:
        """Return the arguments of a tool call as values, including the defaults of those that the model left out.

        The arguments must fit the tool.
        """
        found = self.values(arguments, given)
        return found if self.schema is None else cast("dict[str, object]", with_defaults(self.schema, dict(found)))

    def _rename_to_declared(self, sent: SentSchema, arguments: str) -> dict[str, object]:
        """Rename a model's arguments to the names in the tool's own `schema=`, and decode nested JSON texts.

        Models do not receive this schema itself. They receive a form of it in which names that some providers refuse
        are replaced.
        """
        schema = cast("Mapping[str, JsonValue]", self.schema)
        found = sent.declared(as_object(arguments, _plain_object))
        read = texts_read(cast("dict[str, JsonValue]", found), schema)
        decoded = found if read is None else cast("dict[str, object]", read)
        return without_nulls(schema, decoded) if "null" in arguments else decoded  # large arguments are seldom walked

    def mismatch(self, arguments: str, given: Mapping[str, object]) -> ToolOutcome | None:
        """Validate the arguments that a model wrote without calling the function.

        Args:
            arguments: The model's arguments.
            given: The values that the run supplies, by name.

        Returns:
            The outcome that explains the error to the model; None if the arguments fit.
        """
        try:
            self._bind_arguments(arguments, given)
        except BadArguments as error:
            return ToolOutcome(str(error), is_error=True)
        except Exception as error:  # noqa: BLE001 - a user's validator may raise anything
            return failed_outcome(error)
        return None

    def _bind_arguments(self, arguments: str, given: Mapping[str, object]) -> Callable[[], object]:
        function = cast("Callable[..., object]", self.function)
        if self._sent is not None:
            found = self._rename_to_declared(self._sent, arguments)
            check_fit(self.name, cast("Mapping[str, JsonValue]", self.schema), found)
            return functools.partial(function, found)
        form = self.form(given)
        provided = {name: given[name] for name in form.injected if name in given}
        return functools.partial(function, **form.read(arguments), **provided)

    def form(self, given: Collection[str]) -> ArgumentForm:
        """Return the JSON Schema and the validator for the arguments that a model writes for this tool.

        `given` contains the names of the values that the run supplies. Parameters with these names are left out.
        """
        signature, provided = cast("Signature", self._signature), self._names_provided(given)
        injected = signature.injected(provided)
        form = self._forms.get(injected)
        if form is None:
            form = self._forms[injected] = signature.form(provided)
        return form

    def _names_provided(self, given: Collection[str]) -> set[str]:
        """Return the names of the parameters whose values the run or the state supplies, and not the model."""
        has_key = self.effect not in (None, "read")  # otherwise the model fills in a parameter of this name
        return {*given, *self.inputs} - {KEY_NAME} | ({KEY_NAME} if has_key else set[str]())

    async def _await_outcome(self, found: Awaitable[object]) -> ToolOutcome:
        """Await the result of an async tool function for at most `timeout_seconds`, and return the call's outcome."""
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
        """Call a sync function in a thread and return the outcome of the call.

        If the call exceeds its time, its outcome is an error, and the function keeps running in its thread.
        """
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
        """Call the tool's function in its thread, and return what the event loop needs to finish the tool call.

        This is one of three things: the outcome of the call; an awaitable, if the function returned one; or a `_Raised`
        with an error that the caller has to raise.
        """
        try:
            found = call()
            return found if inspect.isawaitable(found) else outcome_with(self.parts, self.name, found)
        except Exception as error:  # noqa: BLE001 - a tool may raise anything; no future carries a StopIteration
            passes = self._error_to_raise(error)
            return failed_outcome(error) if passes is None else _Raised(passes)
        except BaseException as error:  # noqa: BLE001 - SystemExit in an asyncio task would end the event loop
            return _Raised(error)

    def _late(self, then: str, seconds: float | None = None) -> ToolOutcome:
        within = f"{self.timeout_seconds:g}" if seconds is None else f"{seconds:.0f}"
        found = self._problem(f"{self.name} gave no result within {within} seconds. {then}")
        return replace(found, is_unknown=True)

    def _problem(self, text: str) -> ToolOutcome:
        """Return the outcome that reports a failed call to the model, such as a call that exceeded its time.

        Raises:
            TimeoutError: The tool was made with `on_error="raise"`.
        """
        if self.on_error == "raise":
            raise TimeoutError(text)
        return ToolOutcome(text, is_error=True)


@runtime_checkable
class ToolSource(Protocol):
    """A source of tools that are unknown until it is opened, such as a server.

    A `ToolSource` may be opened several times, also in several event loops. It releases its resources when it has been
    closed as often as it was opened.

    The tools that a `ToolSource` lists may change while a call of a tool waits or before the call is repeated. The call
    then goes to the tool of the same `ToolSource` that has the same `origin` as before, or the same `name` if the tool
    has no `origin`. The tools of a `ToolSource` may not write fields of the state.
    """

    @property
    def name(self) -> str:
        """The name of the source, which messages show."""
        ...

    async def open(self) -> Sequence[Tool]:
        """Open the source and return its current tools, which can be called until the source is closed.

        Raises:
            ToolsUnavailable: The source cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Undo one `open` of the running event loop. The last close releases all resources. Never raises an error."""
        ...


@runtime_checkable
class Relists(ToolSource, Protocol):
    """An interface of sources whose tools may change while they are open, such as an MCP server."""

    def is_outdated(self) -> bool:
        """Return whether the source already knows, without a request, that its tools have changed."""
        ...

    async def current(self) -> Sequence[Tool]:
        """Return the current tools of an open source, which decides whether it has to ask its server for them.

        If nothing has changed, the same list object is returned. If the server cannot be asked, the known tools are
        returned.
        """
        ...


@runtime_checkable
class LeavesOut(ToolSource, Protocol):
    """An interface of sources that leave out some of their tools, because no model can call these.

    For example, the declared arguments of a tool may be no JSON object.
    """

    async def left_out(self) -> Mapping[str, str]:
        """Open the source and return the tools that it leaves out, by their listed names, each with the reason."""
        ...


class ToolsUnavailable(ModelError):
    """The tools of a source cannot be used: its SDK is missing, or its server does not start or does not answer."""

    code = "tools_unavailable"


class ToolOptions(TypedDict, total=False):
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
        function: The function that does the work, sync or async; see `Tool`. If it is already a Tool, a copy with the
            given options is returned.
        name: As for `Tool`.
        description: The tool's purpose for models.
        approve: Whether a person has to approve each call.
        timeout_seconds: How long a call may take.
        serial: Whether a call never overlaps another call of its turn.
        max_calls: How many calls may be made for one answer.
        effect: The effect of a call outside the run.
        on_error: The reaction to an exception.
        inputs: The parameters that are read from the state.
        writes: The fields of the state to which the result is written.
        offered: Returns whether a turn offers the tool to models.

    Returns:
        A Tool, or a decorator if no function was passed.

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
    """Split an agent's `tools=` into the tools that run here and the tools that the model's provider runs.

    Functions become Tools. Tools and sources stay as they are.

    Raises:
        DefinitionError: An item is not a tool, a model could not call it, or two tools have the same name.
    """
    found = tuple(item if isinstance(item, HostedTool) else _as_tool(item) for item in items)
    hosted = tuple(each for each in found if isinstance(each, HostedTool))
    kit = tuple(each for each in found if not isinstance(each, HostedTool))
    own = by_name(each for each in kit if isinstance(each, Tool))
    names = [*own, *(each.name for each in hosted)]
    for name in {each.name for each in hosted if names.count(each.name) > 1}:
        repair = "remove one of the two from tools=[…]"
        if name in own:
            repair = "rename the function: tool(function, name=…)"
        raise DefinitionError(f"two tools have the same name {name!r}", where=f"tool {name}", repair=repair)
    return kit, hosted


def by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    found: dict[str, Tool] = {}
    for each in tools:
        if each.name in found:
            raise called_alike(each.name)
        found[each.name] = each
    return found


def called_alike(name: str) -> DefinitionError:
    repair = "rename one of the tools: tool(function, name=…), or mcp(…, prefix=…) for the tools of a server"
    return DefinitionError(f"two tools have the same name {name!r}", where=f"tool {name}", repair=repair)


def refuse_writes(found: Tool, source: ToolSource) -> Tool:
    """Check that a tool of a source does not write fields of the state, and return the tool.

    Raises:
        DefinitionError: The tool writes fields. The check of a graph could not know about them, because it does not
            open sources.
    """
    if found.parts:
        text = f"the tool {found.name!r} of {source.name!r} writes the field {found.parts[0].field!r}, but a tool of a "
        text += "source must not write fields, because a check of the graph could not see this"
        repair = f"give the tool {found.name!r} to the agent directly: Agent(…, tools=[…])"
        raise DefinitionError(text, where=f"tool {found.name}", repair=repair)
    return found


async def unhurried(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items of a long list one by one, without blocking the event loop for the whole list.

    A server may list thousands of tools. After every 100 items, the event loop may run other tasks.
    """
    for number, item in enumerate(items, 1):
        yield item
        if number % _IN_ONE_TURN == 0:
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class _Raised:
    """An exception that a function raised in its thread, to be raised again in the event loop."""

    error: BaseException


# Keeps abandoned tasks alive, because asyncio only has weak references to tasks.
_left: Final[set[asyncio.Future[object]]] = set()


async def _in_time(answer: Callable[[], Awaitable[object]], seconds: float) -> asyncio.Future[object]:
    """Await a function's result for at most `seconds`, and return its task, which has ended or is still running.

    If the caller is cancelled meanwhile, the task is cancelled, too, and awaited.
    """
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
    """Cancel a task and return when it has ended, even if this wait is cancelled in between."""
    task.cancel()
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue


def _abandon_function(task: asyncio.Future[object], name: str) -> None:
    """Give up a sync function of a tool that has exceeded its time.

    A thread cannot be stopped, so the function keeps running, and its result is dropped. Agents that the function calls
    make no further model calls.
    """

    def ended(task: asyncio.Future[object]) -> None:
        _left.discard(task)
        if not task.cancelled():
            task.exception()  # retrieve the exception, because asyncio would log it otherwise
        log.debug("tool %s, which had timed out, has returned", name)

    _left.add(task)
    task.add_done_callback(ended)
    task.cancel()


def check_choice(choice: str | None, tools: Collection[str], *, where: str) -> None:
    """Check that the setting `tool_choice` is `auto`, `none`, `required` or the name of one of these tools.

    Raises:
        DefinitionError: The setting has another value, or it is `required` although there are no tools.
    """
    if choice is None or choice in {"auto", "none", *tools} or (choice == "required" and tools):
        return
    repair = did_you_mean(choice, tools) if tools else "give the agent tools, or leave out tool_choice="
    why = "is not the name of a tool of this agent" if tools else "is not possible for an agent without tools"
    raise DefinitionError(f"Settings(tool_choice={choice!r}) {why}", where=where, repair=repair)


def _make_sent_schema(schema: Mapping[str, JsonValue], where: str) -> SentSchema:
    """Convert the `schema=` of a tool to a form that all providers accept.

    Raises:
        DefinitionError: The schema does not describe an object.
    """
    try:
        return sent_schema(schema)
    except ValueError as error:
        text = f"schema= of the {where} cannot be used: {error}"
        repair = "give a JSON Schema that describes an object with the arguments"
        raise DefinitionError(text, where=where, repair=repair) from error


def _plain_object(text: str) -> dict[str, object]:
    return cast("dict[str, object]", from_json(text, allow_inf_nan=False))


def _as_tool(item: object) -> Tool | ToolSource:
    if isinstance(item, (Tool, ToolSource)):
        return item
    if not callable(item) or isinstance(item, type):
        repair = "give functions, tool(function, …), or mcp(…). To use an agent, give a function that awaits its run(…)"
        raise DefinitionError(f"{reprlib.repr(item)} is not a tool", where="tools", repair=repair)
    return Tool(item)


def _check_tool(checked_tool: Tool) -> None:
    where = f"tool {checked_tool.name}"
    if not NAME.fullmatch(checked_tool.name):
        text = f"the tool name {checked_tool.name!r} is not a name that all providers accept"
        repair = "give another name: tool(function, name=…), with 1 to 64 characters, each of A-Z a-z 0-9 _ -"
        raise DefinitionError(text, where=where, repair=repair)
    call, seconds = f"tool({checked_tool.name}, ", checked_tool.timeout_seconds
    if seconds is not None and not is_seconds(seconds):
        text = f"{call}timeout_seconds={seconds!r}): timeout_seconds must be a number of seconds above 0, or None"
        repair = "write timeout_seconds=30, or None for no limit"
        raise DefinitionError(text, where=where, repair=repair)
    if checked_tool.max_calls is not None and not (type(checked_tool.max_calls) is int and checked_tool.max_calls >= 1):
        text = f"{call}max_calls={checked_tool.max_calls!r}): max_calls must be a whole number of at least 1, or None"
        raise DefinitionError(text, where=where, repair="write max_calls=5, or None for no limit")
    if checked_tool.offered is not None and (
        not callable(cast("object", checked_tool.offered)) or is_async(checked_tool.offered)
    ):
        repair = "give a function without async, whose parameters are fields of the state, `turn` or `tool`"
        text = f"{call}offered={checked_tool.offered!r}): offered must be a function without async"
        raise DefinitionError(text, where=where, repair=repair)
    if checked_tool.on_error not in ("report", "raise"):
        text = f"{call}on_error={checked_tool.on_error!r}): on_error must be 'report' or 'raise'"
        repair = "write on_error='report' to send errors to the model, or 'raise' to let the call of the agent fail"
        raise DefinitionError(text, where=where, repair=repair)


def _as_inputs(inputs: object, where: str) -> dict[str, str]:
    """Convert the argument `inputs=` of a tool to a dict from the names of its parameters to paths of the state.

    Raises:
        DefinitionError: The argument has another form.
    """
    pairs: object = inputs if isinstance(inputs, Mapping) else None
    if pairs is None and isinstance(inputs, (list, tuple, set, frozenset)) and all(isinstance(n, str) for n in inputs):
        pairs = {name: name for name in inputs}
    if not isinstance(pairs, Mapping):
        repair = "name the parameters that the state supplies: inputs=['customer'], or inputs={'who': 'customer.name'}"
        text = f"inputs={inputs!r}: inputs must be a list of parameters, or a mapping from parameters to paths"
        raise DefinitionError(text, where=where, repair=repair)
    for name, path in pairs.items():
        if not isinstance(name, str) or not isinstance(path, str) or not is_path(path):
            is_name = isinstance(name, str)
            wrong = f"{path!r} is not a path of the state" if is_name else f"{name!r} is not the name of a parameter"
            raise DefinitionError(
                f"inputs={{{name!r}: {path!r}}}: {wrong}",
                where=where,
                repair="give a path of the state for each parameter, as in inputs={'who': 'customer.name'}",
            )
    return dict(pairs)


def _check_inputs(checked_tool: Tool[Any, Any], signature: Signature) -> None:
    names = [each.name for each in signature.parameters]
    for name in checked_tool.inputs:
        if name not in names:
            text = f"inputs= of tool {checked_tool.name!r} names {name!r}, which is not a parameter of the function"
            repair = did_you_mean(name, names)
            raise DefinitionError(text, where=f"tool {checked_tool.name}", repair=repair)


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
