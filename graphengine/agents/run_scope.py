"""What an agent needs from the run in which it is called. The runner sets it; without it an agent runs alone."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from graphengine.calls.interrupts import reraise_interrupt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from graphengine.agents.live_events import Live
    from graphengine.engine.steps import ModelCaller
    from graphengine.errors import ModelTransient
    from graphengine.models.base import Model, Request
    from graphengine.models.line import Waits
    from graphengine.state.amounts import Usage
    from graphengine.state.json_values import JsonValue

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Piece:
    """A finished piece of work: its record, and facts about it.

    Attributes:
        record: The value that is stored, and returned when the piece is replayed.
        size_bytes: The record's size as JSON.
        usage: The usage of a model's call.
        by: The `agent` that called, and the `model` that answered.
    """

    record: JsonValue
    size_bytes: int
    usage: Usage | None = None
    by: ModelCaller | None = None


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T_co]):
    """The outcome of a call as data: its result, or the exception that it raised."""

    value: T_co | None = None
    error: BaseException | None = None

    def result(self) -> T_co:
        """Return the result, or raise the exception."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only where that is the result


async def as_outcome(call: Callable[[], Awaitable[T]]) -> Outcome[T]:
    """Make a call in its own asyncio task, and return the exception that it raises as data.

    Otherwise SystemExit and KeyboardInterrupt would end the event loop: asyncio raises them out of it at once. The call
    is made here, as a task that is cancelled before it begins would leave a coroutine that is never awaited.
    """
    try:
        return Outcome(await call())
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - the caller raises it again
        reraise_interrupt(error)
        return Outcome(error=error)


class Opens(Protocol):
    """A resource that is opened before use, and closed after it."""

    async def open(self) -> Sequence[Any]:
        """Open it. Return its content."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a person.

    Attributes:
        text: Its text.
        schema: The JSON Schema of the answer.
        read: Returns the answer of a record, or raises a `ValidationError`.
        timeout_seconds: How long to wait for the answer; None to wait for ever.
        default: The record of the answer after that time.
    """

    text: str
    schema: Mapping[str, JsonValue]
    read: Callable[[object], object]
    timeout_seconds: float | None
    default: JsonValue


class AsksPerson(Protocol):
    """Makes a question."""

    def __call__(self, *, was_asked: bool) -> Awaitable[Question | None]:
        """Return the question; None if none is to be asked, which cannot be if it was asked already."""
        ...


class Scope(Protocol):
    """The run's side of an agent's call."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the run: everything here but `blocking` is called in it."""
        ...

    def model_for(self, agent: str, own: str | Model) -> Model:
        """Return the model that answers for this agent: the run's choice, or the agent's own."""
        ...

    async def blocking(self, function: Callable[[], object], threads: Executor | None = None) -> object:
        """Call a blocking function in a thread, of the run if none are given, and wait for it even if cancelled."""
        ...

    def paid(self, usage: Usage) -> None:
        """Count the usage of a call that is not recorded as a piece of work."""
        ...

    def given(self) -> Mapping[str, object]:
        """Return what tools can read by name: `ctx`, and the resources of the graph."""
        ...

    def place(self, name: str, what: Callable[[], str]) -> str:
        """Return a unique key for an activity of several pieces of work, independent of concurrent activities.

        Args:
            name: The kind of activity.
            what: Returns a text that distinguishes it from others of that name; not called if nothing is recorded.
        """
        ...

    def recorded(self, place: str) -> Sequence[JsonValue]:
        """Return the records directly below this key."""
        ...

    def group(self, place: str) -> AbstractContextManager[None]:
        """Put the keys of pieces recorded inside the block below this one."""
        ...

    def may_record(self, text: str) -> bool:
        """Return whether a text contains no secret."""
        ...

    def call(self, key: str) -> AbstractContextManager[None]:
        """Mark the block as a tool call, whose idempotency key ends with this one."""
        ...

    async def piece(self, name: str, what: str, make: Callable[[], Awaitable[Piece]]) -> Any:  # noqa: ANN401 - a record of any form
        """Return the record of a piece of work: the existing one, or that of doing it now."""
        ...

    def refuse(self, error: BaseException, name: str, what: str) -> None:
        """Note that an exception says that the record of a piece of work cannot be used.

        If the attempt fails of it, the next one does that piece anew.
        """
        ...

    def answered(self, name: str, what: str, value: object) -> None:
        """Note the piece of work that an answer is from.

        If the node returns this value, and its update is refused, the next attempt does that piece anew.
        """
        ...

    async def may_call(self, model: Model) -> None:
        """Wait until a model may be called; never return if the run has to stop first.

        Raises:
            PriceUnknown: A limit on costs applies, and the price of the model is unknown.
        """
        ...

    def may_sleep(self) -> bool:
        """Return whether `sleep_for` works here: in a run, outside a `ctx.step`."""
        ...

    def has_slept(self, what: str) -> bool:
        """Return whether the next `sleep_for` of this text is recorded, and is over already."""
        ...

    async def sleep_for(self, seconds: float, what: str) -> None:
        """Wait as `ctx.sleep` does, with the run stored as waiting; `what` is shown to people."""
        ...

    async def approved(self, identity: str, record: tuple[str, str], ask: AsksPerson) -> Any:  # noqa: ANN401 - as read
        """Ask a person, and return the answer; None if nothing is asked.

        Args:
            identity: A text that identifies the question.
            record: The name and the key of the piece of work that it is about: nothing is asked if that is recorded.
            ask: Returns the question, None if none is to be asked.
        """
        ...

    def live(self, agent: str) -> Live | None:
        """Return what shows the live events of a call of an agent, or None if they are not wanted."""
        ...

    async def opened(self, source: Opens) -> Sequence[Any] | None:
        """Return the tools of a source that stays open as long as the Runner, or None if it is opened for each call."""
        ...

    @property
    def waits(self) -> Waits:
        """How to wait for a model."""
        ...

    def pause_after(self, error: ModelTransient, tries: int) -> float | None:
        """Return how long to wait before a model is called again after a failure; None to raise it.

        Args:
            error: The failure. Its lane has waited already if the server refused the call.
            tries: How often the model was called.
        """
        ...

    async def reserved(self, model: Model, request: Request) -> AbstractContextManager[Callable[[Usage], None]]:
        """Reserve what a call may use of the run's limits; wait until that is free.

        It is reserved until the block ends. The block gets a function to call with what the call used.
        """
        ...


class Calls:
    """The calls of agents that one thread waits for. They end with the attempt, as a waiting thread cannot be ended.

    Functions that they call in threads run in a separate pool, since the waiting threads could occupy the run's pool.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_over = False
        self._threads: ThreadPoolExecutor | None = None

    async def make(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, in the run's event loop.

        Raises:
            asyncio.CancelledError: The calls were cancelled.
        """
        task = asyncio.current_task()
        if self._is_over or task is None:
            raise asyncio.CancelledError
        self._tasks.add(task)
        try:
            return await call()
        finally:
            self._tasks.discard(task)

    def threads(self) -> ThreadPoolExecutor:
        """Return the thread pool for functions that these calls call."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(thread_name_prefix="graphengine-call")
        return self._threads

    def cancel(self) -> None:
        """Cancel the calls, and any later ones."""
        self._is_over = True
        for task in tuple(self._tasks):
            task.cancel()

    def close(self) -> None:
        """Release the thread pool; called when the waiting thread is done."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)


FROM_THREAD: Final[ContextVar[Calls | None]] = ContextVar("graphengine_from_thread", default=None)
"""The calls that the current thread of the run's pool waits for; None outside such a thread."""

CURRENT: Final[ContextVar[Scope | None]] = ContextVar("graphengine_scope", default=None)
"""The scope of the running node, None outside a run."""


async def in_loop_of(scope: Scope, call: Callable[[], Awaitable[T]]) -> T:
    """Make a call in the run's event loop, from any thread or loop."""
    if asyncio.get_running_loop() is scope.loop:
        return await call()
    calls = FROM_THREAD.get()
    made = as_outcome(call if calls is None else functools.partial(calls.make, call))
    try:
        future = asyncio.run_coroutine_threadsafe(made, scope.loop)
    except RuntimeError:  # the event loop is closed, and this thread outlived it
        made.close()
        raise
    return (await asyncio.wrap_future(future)).result()
