"""What a Runner needs of an executor in other processes, and how it uses one of another library."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

from graphengine.executors import calls
from graphengine.kernel.extension import signature_of

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
    """An executor that runs calls elsewhere, and ends them when their node's time is over.

    A Runner calls `open` once before the first call, `begin` for each attempt of a node, and `end` if an attempt is no
    longer wanted. If the Runner made the executor itself, it calls `shutdown` when it closes. The Runner is responsible
    for attempts and retries, and for what is recorded. Two attempts of a node never run at the same time: the next
    attempt begins when the future of the last attempt is done, or when `end` has returned.

    See the page "Write an executor"; `graphengine.testing.ExecutorConformance` has the requirements as tests.

    Attributes:
        counts_time: Whether `begin` ends a call at its time. Otherwise the Runner counts, from when it calls `begin`.
        repeats: Whether what runs the calls may run one again by itself, as after the loss of a machine. Then nodes
            with `effect="once"` are refused.
    """

    counts_time: bool = True
    repeats: bool = False

    def open(self) -> None:
        """Prepare what takes time, such as starting processes. Called in a thread before the first call."""

    def dumps(self, value: object) -> bytes:
        """Return a value as bytes, which `pickle.loads` reads in the other process."""
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    @abstractmethod
    def begin(self, packed: bytes, timeout_seconds: float | None) -> Future[bytes]:
        """Run a packed call elsewhere, as `run_packed(packed)` does, and return at once.

        The future is a running one (`set_running_or_notify_cancel`), unless its `cancel` keeps the call from beginning.
        Only the bytes travel. What a node raises is in the bytes that `run_packed` returns. An executor that counts
        time does so from when the call begins there, not while it waits for a place; then it ends the work, and the
        future raises TimeoutError. If the call cannot begin, since nothing answers or no machine can run it, the future
        raises `graphengine.errors.ExecutorUnreachable`, which says that it did not begin.

        Args:
            packed: The call. `facts_of(packed)` has its run, node and attempt, such as to name a job.
            timeout_seconds: The node's time; None for no limit.
        """

    @abstractmethod
    def end(self, future: Future[bytes]) -> None:
        """End a call that is no longer wanted, and return when nothing of it runs any more. Called in a thread.

        Work that cannot be ended is waited for.

        Args:
            future: What `begin` returned.
        """

    @abstractmethod
    def why_died(self, error: BaseException) -> str:
        """Return how the process of a call ended, if that is what the error means; "" otherwise.

        Then the attempt fails as `worker_died`: the call had begun, and nobody knows how far it came.

        Args:
            error: What the future raised.
        """


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
        return self._begin(partial(calls.load_packed, packed), timeout_seconds)

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

    A process pool whose child died accepts nothing more, so it is replaced by a new one. One that is not of the
    standard library may run a call again by itself, unless its attribute `repeats` is False.

    Args:
        executor: The executor.
        make: Makes another one when it is broken; None if it cannot be replaced.
    """

    counts_time = False

    def __init__(self, executor: Executor, make: Callable[[], Executor] | None) -> None:
        self._executor = executor
        self._make = make
        self._is_ours = False
        is_known = isinstance(executor, (ProcessPoolExecutor, ThreadPoolExecutor))
        self.repeats = bool(getattr(executor, "repeats", not is_known))

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
            shut_down(self._executor, wait=False, cancel_futures=True)
        self._executor, self._is_ours = make(), True

    def begin(self, packed: bytes, timeout_seconds: float | None) -> Future[bytes]:  # noqa: ARG002 - the Runner counts
        """Submit the call. The time is not counted: the Runner does, from now on."""
        return self.submit(
            calls.run_packed, packed
        )  # by its module: it is replaced once it is asked for as a public name

    def end(self, future: Future[bytes]) -> None:
        """Cancel a call that has not begun, and wait for one that has."""
        if not future.cancel():
            wait([future])

    def why_died(self, error: BaseException) -> str:
        """Return the text of a BrokenExecutor, or that a signal ended it: nothing that a node raises comes this way."""
        if isinstance(error, SystemExit):
            return f"a signal handler ended it with {error}"
        return str(error) or type(error).__name__ if isinstance(error, BrokenExecutor) else ""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor
        """Shut down the executor that replaced a broken one; the given one belongs to its owner."""
        if self._is_ours:
            shut_down(self._executor, wait=wait, cancel_futures=cancel_futures)


def shut_down(executor: Executor, *, wait: bool = True, cancel_futures: bool = False) -> None:
    """Shut down an executor, also one without `cancel_futures`, which came with Python 3.9."""
    parameters = signature_of(executor.shutdown).parameters
    knows = "cancel_futures" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    executor.shutdown(wait, **({"cancel_futures": cancel_futures} if knows else {}))


def same_pool(pool: Executor) -> Callable[[], Executor] | None:
    """Return a function that makes a process pool like this one; None for an executor of another kind."""
    if type(pool) is not ProcessPoolExecutor:
        return None
    found = vars(pool)  # it offers no other way to read its arguments
    names = ("max_workers", "mp_context", "initializer", "initargs", "max_tasks_per_child")
    arguments: dict[str, Any] = {name: found[f"_{name}"] for name in names}
    return lambda: ProcessPoolExecutor(**arguments)
