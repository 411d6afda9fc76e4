"""Blocking functions in the threads of a Runner.

The outcome of a function is passed back as data and raised on the event loop: a future cannot carry a StopIteration,
and an exception that is never retrieved would be reported at an unrelated moment. A thread cannot be ended, so a
cancelled call still waits for its function. Otherwise a retry could run at the same time. Calls on the event loop for
which the thread waits are cancelled with the call.

A pool has a fixed number of threads, and further functions wait in a queue. A time limit applies to the work itself, so
the limit is paused while any part of the work waits in the queue: a hundred calls of 0.2 s with a limit of 0.5 s all
finish in time, however few threads there are.
"""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Self, TypeVar

from graphengine.state.interrupts import reraise_interrupt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from concurrent.futures import Future
    from contextvars import Token
    from types import TracebackType

T = TypeVar("T")
P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class CallOutcome(Generic[T_co]):
    """The outcome of a call, its result or its exception, as an object to pass to another thread or task."""

    value: T_co | None = None
    error: BaseException | None = None

    def result(self) -> T_co:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only where that is the result

    @staticmethod
    async def of(call: Callable[[], Awaitable[T]]) -> CallOutcome[T]:
        """Await a call in an asyncio task of its own, and return its result, or its exception as an object.

        An exception is returned and not raised, because asyncio would end the event loop at once if the task raised
        SystemExit or KeyboardInterrupt. The coroutine is created in this task, because a task that is cancelled before
        it begins would leave a coroutine that is never awaited.
        """
        try:
            return CallOutcome(await call())
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the caller raises it again
            reraise_interrupt(error)
            return CallOutcome(error=error)


class Threads(Executor):
    """A thread pool that is created when it is first used, because most runs need no threads.

    Args:
        name: The beginning of the names of the threads.
        most: The maximum number of threads; None for Python's default.
    """

    def __init__(self, name: str, most: int | None = None) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._options = most, name

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        self._pool = self._pool or ThreadPoolExecutor(*self._options)
        return self._pool.submit(function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as of any Executor
        if self._pool is not None:
            self._pool.shutdown(wait, cancel_futures=cancel_futures)


@dataclass(slots=True, eq=False)
class Calls:
    """The calls that code in a thread makes on the event loop, such as the call of an agent by a sync node.

    All these calls are cancelled when the attempt ends. The thread cannot be ended while it waits for a call, so the
    call must end instead.

    Attributes:
        pool: The threads for blocking functions inside these calls. In the Runner's threads, there may be no room left,
            because threads that wait for these calls can occupy the whole pool.
    """

    pool: Threads = field(default_factory=lambda: Threads("graphengine-call"))
    _is_over: bool = False
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def make(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call on the event loop of the run, for a thread that waits for the result of the call.

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

    def cancel(self) -> None:
        """Cancel these calls, and refuse later ones."""
        self._is_over = True
        for task in tuple(self._tasks):
            task.cancel()


FROM_THREAD: Final[ContextVar[Calls | None]] = ContextVar("graphengine_from_thread", default=None)
"""The calls for which the current thread of the run's pool waits; None outside such a thread."""


async def in_thread(
    pool: Executor, function: Callable[[], object], *, keeps: Callable[[], bool] = lambda: False
) -> object:
    """Call a function in a thread of the pool, with the context variables of the calling task.

    If the calling task is cancelled while the function runs, the function still runs to its end before the cancellation
    is raised.

    Args:
        pool: The pool.
        function: The function.
        keeps: Tells, after a cancellation, whether to return the result of the function instead of raising the
            cancellation.

    Raises:
        RuntimeError: The function raised StopIteration.
        Exception: The function raised it.
    """
    context, calls = contextvars.copy_context(), Calls()
    context.run(FROM_THREAD.set, calls)
    with queued(function) as wanted:
        call = pool.submit(lambda: context.run(_outcome_of, wanted))
        thread = asyncio.wrap_future(call)
        try:
            outcome = await asyncio.shield(thread)
        except asyncio.CancelledError:
            calls.cancel()
            if not call.cancel():  # the function is running already
                await _wait_for_thread(thread)
            outcome = thread.result() if thread.done() and not thread.cancelled() else CallOutcome()
            if call.cancelled() or outcome.error is not None or not keeps():
                raise
        finally:
            calls.pool.shutdown(wait=False)
    if isinstance(outcome.error, StopIteration):
        message = "the function raised StopIteration, which only an iterator may raise"
        raise RuntimeError(message) from outcome.error
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


async def _wait_for_thread(thread: asyncio.Future[CallOutcome[object]]) -> None:
    """Wait until the thread is done, even if the calling task is cancelled meanwhile."""
    while not thread.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait((thread,))


def _outcome_of(function: Callable[[], object]) -> CallOutcome[object]:
    try:
        return CallOutcome(function())
    except BaseException as error:  # noqa: BLE001 - it is raised again on the event loop
        return CallOutcome(error=error)


class TimeLimit:
    """Limits how long an `async with` block may take.

    Like `asyncio.timeout`, it cancels the block and raises TimeoutError. Unlike `asyncio.timeout`, it can be paused and
    extended.

    Args:
        seconds: How long the block may take; None for no limit.

    Attributes:
        loop: The event loop of the block.
        is_longer: Whether the block may take longer than the limit that was first set.
    """

    __slots__ = (
        "_around",
        "_began",
        "_left",
        "_queued",
        "_seconds",
        "_since",
        "_timeout",
        "_token",
        "is_longer",
        "loop",
    )

    def __init__(self, seconds: float | None) -> None:
        self.loop = asyncio.get_running_loop()
        self._left = self._seconds = seconds
        self._timeout = asyncio.timeout(seconds)
        self._queued = 0
        self._since = self._began = 0.0
        self.is_longer = False
        self._around: TimeLimit | None = None
        self._token: Token[TimeLimit | None] | None = None

    async def __aenter__(self) -> Self:
        self._around = _limit_here()
        self._token = _LIMIT.set(self)
        self._since = self._began = self.loop.time()
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _LIMIT.reset(self._token)
        await self._timeout.__aexit__(kind, error, traceback)

    def expired(self) -> bool:
        """Return whether the `async with` block of this time limit was cancelled because its time ran out."""
        return self._timeout.expired()

    @staticmethod
    def here() -> TimeLimit | None:
        """Return the innermost time limit around the running code; None if there is none in this event loop."""
        return _limit_here()

    def begin_again(self, most_seconds: float) -> None:
        """Let the time limit of the block begin again now, with an end `most_seconds` after its start at the latest."""
        now = self.loop.time()
        if self._seconds is not None:
            self.is_longer, self._since = True, now
            self._left = min(self._seconds, max(0.0, self._began + most_seconds - now))
            if not self._queued:
                self._set(now + self._left)

    def restart(self) -> None:
        """Let the time limits of this block and of the blocks around it begin again, because a wait is over.

        A node that runs again after a wait begins with its full time. A node that was suspended in memory instead must
        get the same time.
        """
        if self._seconds is not None:
            self._began = self._since = self.loop.time()
            self._left = self._seconds
            if not self._queued:
                self._set(self._since + self._left)
        if self._around is not None:
            self._around.restart()

    @property
    def spent_seconds(self) -> float:
        """How many seconds the `async with` block of this time limit has taken so far."""
        return self.loop.time() - self._began

    def stand_still(self) -> None:
        """Pause this limit and the limits around it while a function waits for a free thread.

        `count_again` ends the pause.
        """
        self._queued += 1
        if self._queued == 1 and self._left is not None:
            self._left = max(0.0, self._left - (self.loop.time() - self._since))
            self._set(None)
        if self._around is not None:
            self._around.stand_still()

    def count_again(self) -> None:
        """End the pause of this limit and the limits around it, because the function has got a thread."""
        self._queued -= 1
        if not self._queued and self._left is not None:
            self._since = self.loop.time()
            self._set(self._since + self._left)
        if self._around is not None:
            self._around.count_again()

    def _set(self, when: float | None) -> None:
        with suppress(RuntimeError):  # the block has ended
            self._timeout.reschedule(when)


@contextmanager
def queued(function: Callable[[], object]) -> Iterator[Callable[[], object]]:
    """Stop the time limits of the calling code from counting while a function waits for a free thread of the pool.

    The context manager yields a function that must be given to the pool in place of `function`. When a thread calls it,
    the time limits count again.
    """
    limit = _limit_here()
    if limit is None:
        yield function
        return
    loop = asyncio.get_running_loop()
    is_waiting = True

    def begun() -> None:
        nonlocal is_waiting
        if is_waiting:
            is_waiting = False
            limit.count_again()

    def begin() -> object:
        with suppress(RuntimeError):  # The event loop is closed, and this thread outlived it.
            loop.call_soon_threadsafe(begun)
        return function()

    limit.stand_still()
    try:
        yield begin
    finally:
        begun()  # The call may have been cancelled before a thread took it.


def _limit_here() -> TimeLimit | None:
    """Return the innermost time limit around the running code, if the limit belongs to this event loop."""
    limit = _LIMIT.get()
    return limit if limit is not None and limit.loop is asyncio.get_running_loop() else None


_LIMIT: Final[ContextVar[TimeLimit | None]] = ContextVar("graphengine_time_limit", default=None)
