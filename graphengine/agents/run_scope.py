"""What an agent needs of the run it is called in. The runner sets it; an agent that finds none runs alone."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from graphengine.calls.interrupts import reraise_interrupt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
    from contextlib import AbstractContextManager

    from graphengine.models.base import Model
    from graphengine.state.json_values import JsonValue

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work that is done: its record, and what is said of it.

    Attributes:
        record: What is kept, and given again.
        size_bytes: What it takes as JSON.
        usage: What a model was paid for it.
        by: Which `agent` asked which `model`.
    """

    record: JsonValue
    size_bytes: int
    usage: Mapping[str, float | None] | None = None
    by: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T_co]):
    """What a call came to, as data: its result, or the exception that it raised."""

    value: T_co | None = None
    error: BaseException | None = None

    def result(self) -> T_co:
        """Return the result, or raise the exception."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only where that is the result


async def as_outcome(call: Awaitable[T]) -> Outcome[T]:
    """Await a call in an asyncio task of its own, and return what it raises as data.

    Without this SystemExit and KeyboardInterrupt would end the event loop: asyncio raises them out of it at once.
    """
    try:
        return Outcome(await call)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - the caller raises it again
        reraise_interrupt(error)
        return Outcome(error=error)


class Opens(Protocol):
    """Something that is opened before it is used, and closed."""

    async def open(self) -> Sequence[Any]:
        """Open it; gives what it holds."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


class Scope(Protocol):
    """The run's side of an agent's call."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the run: everything here but `blocking` is called in it."""
        ...

    def model_for(self, agent: str, own: str | Model) -> Model:
        """The model that answers for this agent here: the one that the run wants, or the agent's own."""
        ...

    @property
    def attempt(self) -> int:
        """Which attempt of its node this is, from 1."""
        ...

    async def blocking(self, function: Callable[[], object]) -> object:
        """Call a function that blocks in a thread of the run's, and wait for it whatever happens."""
        ...

    def paid(self, usage: Mapping[str, float | None]) -> None:
        """Count what a call cost that is not recorded as a piece of work."""
        ...

    def given(self) -> Mapping[str, object]:
        """What tools may ask for by name: `ctx`, and the resources of the graph."""
        ...

    def place(self, name: str, what: str) -> str:
        """A key of its own for something in which several pieces of work are done, whatever goes on beside it."""
        ...

    def recorded(self, place: str) -> Sequence[JsonValue]:
        """What was recorded directly below this key."""
        ...

    def group(self, place: str) -> AbstractContextManager[None]:
        """What is recorded inside has its keys below this one."""
        ...

    def may_record(self, text: str) -> bool:
        """Whether a text holds no secret."""
        ...

    def call(self, key: str) -> AbstractContextManager[None]:
        """Inside, a call of a tool is made: its idempotency key ends with this one."""
        ...

    async def piece(self, name: str, what: str, make: Callable[[], Awaitable[Piece]]) -> JsonValue:
        """The record of a piece of work: the one that is there, or that of doing it now."""
        ...

    def keeping(self) -> AbstractContextManager[None]:
        """What fails inside is no reason to forget what was recorded: the next attempt has it."""
        ...

    async def may_call(self, model: Model) -> None:
        """Return when a model may be called: never, where the run has to stop first.

        Raises:
            PriceUnknown: A limit on costs is in force, and the model cannot say what it will cost.
        """
        ...

    async def allowed(self, question: str) -> bool:
        """Ask a person for leave; returns when there is an answer."""
        ...

    def listener(self, agent: str) -> Callable[[str], None] | None:
        """Who gets the text of an answer as it comes; None where nobody watches."""
        ...

    async def opened(self, source: Opens) -> Sequence[Any] | None:
        """The tools of a source that stays open as long as the Runner; None where it is opened for one call."""
        ...

    def shared(self, key: str, make: Callable[[], object]) -> object:
        """A thing that all agents of the Runner share, made when it is first asked for and closed with the Runner."""
        ...


class Calls:
    """The calls of agents that a thread waits for. They end with it: a thread that waits cannot be ended itself.

    What they in turn call in threads has threads of its own, since those that wait might be all there are.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_over = False
        self._threads: ThreadPoolExecutor | None = None

    async def make(self, call: Coroutine[Any, Any, T]) -> T:
        """Make a call, in the run's event loop.

        Raises:
            asyncio.CancelledError: The thread is not to go on.
        """
        task = asyncio.current_task()
        if self._is_over or task is None:
            call.close()
            raise asyncio.CancelledError
        self._tasks.add(task)
        try:
            return await call
        finally:
            self._tasks.discard(task)

    def threads(self) -> ThreadPoolExecutor:
        """The threads for what these calls call."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(thread_name_prefix="graphengine-call")
        return self._threads

    def cancel(self) -> None:
        """Cancel the calls, and those that come yet."""
        self._is_over = True
        for task in tuple(self._tasks):
            task.cancel()

    def close(self) -> None:
        """Give the threads back; called when the thread that waits is done."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)


FROM_THREAD: Final[ContextVar[Calls | None]] = ContextVar("graphengine_from_thread", default=None)
"""Where an agent is called in a thread of the run's pool, which waits for it: what the thread waits for."""

CURRENT: Final[ContextVar[Scope | None]] = ContextVar("graphengine_scope", default=None)
"""The Context: what a node may know and do beside reading fields and returning a result."""
