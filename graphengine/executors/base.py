"""What a Runner needs of an executor in other processes, and how it uses one of another library."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

from graphengine.executors.calls import load_packed, run_packed

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


P = ParamSpec("P")
T = TypeVar("T")


def ended_before(how: str) -> str:
    """Return why a call has not begun whose child process has ended in this way, or could not be started."""
    return (
        f"it ended before the call began ({how}): see its output; a script that starts runs needs "
        '`if __name__ == "__main__":`, since its child processes import it'
    )


class NodeExecutor(Executor, ABC):
    """An executor that runs calls in other processes, and ends them when their node's time is over.

    Attributes:
        counts_time: Whether `begin` ends a call at its time. Otherwise the Runner counts, from when it calls `begin`.
    """

    counts_time = True

    def open(self) -> None:
        """Prepare what takes time, such as starting processes. Called in a thread before the first call."""

    def dumps(self, value: object) -> bytes:
        """Return a value as bytes, which `pickle.loads` reads in the other process."""
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    @abstractmethod
    def begin(self, packed: bytes, timeout_seconds: float | None) -> Future[bytes]:
        """Run a packed call in another process, as `load_packed(packed)()` does, and return at once.

        The time counts from when the call is loaded there. When it is over, the work is ended, and then the future
        raises TimeoutError.
        """

    @abstractmethod
    def end(self, future: Future[bytes]) -> None:
        """End a call that is no longer wanted, and return when nothing of it runs any more. Called in a thread."""

    @abstractmethod
    def why_died(self, error: BaseException) -> str:
        """Return how the process of a call ended, if that is what the error means; "" otherwise."""


class Ongoing(Protocol):
    """A call on its way, for which a thread waits."""

    def end(self) -> None:
        """End the process of the call. Its thread then returns."""
        ...


C = TypeVar("C", bound=Ongoing)


class ThreadedExecutor(NodeExecutor, Generic[C]):
    """An executor with a thread here for each call, which waits for the other process.

    Args:
        count: How many calls can be on their way at a time.
        name: What the names of the threads begin with.
    """

    def __init__(self, count: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._calls: dict[Future[Any], C] = {}

    @abstractmethod
    def _new(self) -> C:
        """Return a call that has not begun."""

    @abstractmethod
    def _run(self, load: Callable[[], Callable[[], T]], seconds: float | None, call: C) -> T:
        """Run a call in another process, from its thread, and return its result."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in another process, as `Executor.submit` does.

        Args:
            function: The function.
            args: Its arguments.
            kwargs: Its named arguments.
        """
        return self._begin(partial(partial, function, *args, **kwargs), None)

    def begin(self, packed: bytes, timeout_seconds: float | None) -> Future[bytes]:
        """Run a packed call in another process, which is ended when the time is over."""
        return self._begin(partial(load_packed, packed), timeout_seconds)

    def end(self, future: Future[bytes]) -> None:
        """End the process of a call, and return when it is gone."""
        call = self._calls.get(future)
        if call is not None and not future.cancel():
            call.end()
            wait([future])  # its thread returns when the process is gone

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor
        """Accept nothing more; end the calls, if they are cancelled."""
        for call in list(self._calls.values()) if cancel_futures else ():
            call.end()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)

    def _begin(self, load: Callable[[], Callable[[], T]], seconds: float | None) -> Future[T]:
        call = self._new()
        future = self._threads.submit(self._run, load, seconds, call)
        self._calls[future] = call
        future.add_done_callback(lambda done: self._calls.pop(done, None))
        return future


class OtherExecutor(NodeExecutor):
    """An executor of another library, such as ProcessPoolExecutor. A call that has begun cannot be ended.

    A process pool whose child died accepts nothing more, so it is replaced by a new one.

    Args:
        executor: The executor.
        make: Makes another one when it is broken; None if it cannot be replaced.
    """

    counts_time = False

    def __init__(self, executor: Executor, make: Callable[[], Executor] | None) -> None:
        self._executor = executor
        self._make = make
        self._is_ours = False

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function, as `Executor.submit` does, in a new executor if this one is broken.

        Raises:
            BrokenExecutor: It is broken, and cannot be replaced, or it could not start a process.
        """
        try:
            try:
                return self._executor.submit(function, *args, **kwargs)
            except BrokenExecutor:
                if self._make is None:
                    raise
                self._replace(self._make)
            return self._executor.submit(function, *args, **kwargs)
        except (EOFError, ConnectionError) as error:
            if self._make is None:
                raise
            self._replace(self._make)  # it has kept the call, and would make it once it can start a process
            raise BrokenExecutor(ended_before(f"{type(error).__name__}: {error}")) from error

    def _replace(self, make: Callable[[], Executor]) -> None:
        if self._is_ours:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor, self._is_ours = make(), True

    def begin(self, packed: bytes, timeout_seconds: float | None) -> Future[bytes]:  # noqa: ARG002 - the Runner counts
        """Submit the call. The time is not counted: the Runner does, from now on."""
        return self.submit(run_packed, packed)

    def end(self, future: Future[bytes]) -> None:
        """Cancel a call that has not begun, and wait for one that has."""
        if not future.cancel():
            wait([future])

    def why_died(self, error: BaseException) -> str:
        """Return the text of a BrokenExecutor."""
        return str(error) or type(error).__name__ if isinstance(error, BrokenExecutor) else ""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor
        """Shut down the executor that replaced a broken one; the given one belongs to its owner."""
        if self._is_ours:
            self._executor.shutdown(wait, cancel_futures=cancel_futures)


def same_pool(pool: Executor) -> Callable[[], Executor] | None:
    """Return a function that makes a process pool like this one; None for an executor of another kind."""
    if type(pool) is not ProcessPoolExecutor:
        return None
    found = vars(pool)  # it offers no other way to read its arguments
    names = ("max_workers", "mp_context", "initializer", "initargs", "max_tasks_per_child")
    arguments: dict[str, Any] = {name: found[f"_{name}"] for name in names}
    return lambda: ProcessPoolExecutor(**arguments)
