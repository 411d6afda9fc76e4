"""The base classes of executors that run nodes in other processes, and the adapter for executors of other libraries."""

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
    """Return the error message for a call that did not begin, because its process ended before.

    Args:
        how: How the process ended, such as its exit code.
    """
    return (
        f"the process ended before the call began ({how}): see the output of the process; a script that starts runs "
        'needs `if __name__ == "__main__":`, because child processes import the script'
    )


class NodeExecutor(Executor, ABC):
    """Base of executors that run heavy nodes in other processes, and that end calls whose time is over.

    A Runner calls these methods of a `NodeExecutor`:

    - `open`, once before the first call of a node
    - `begin`, for each attempt of a node
    - `end`, if an attempt is no longer wanted
    - `shutdown`, when the Runner closes, but only if the Runner made the executor itself

    A `NodeExecutor` is not responsible for attempts, retries and records, because the Runner is. Two attempts of one
    node never run at the same time: the Runner begins the next attempt when the future of the last attempt is done, or
    when `end` has returned.

    The page "Write an executor" of the documentation shows how to write a `NodeExecutor`. The class
    `graphengine.testing.ExecutorConformance` contains the requirements as tests.

    Attributes:
        counts_time: Whether the executor ends a call when its time is over. Otherwise the Runner counts the time,
            beginning with its call of `begin`.
        repeats: Whether the system behind the executor may run a call again by itself, for example after the loss of a
            machine. Then nodes with `effect="once"` are refused.
    """

    counts_time: bool = True
    repeats: bool = False

    def open(self) -> None:
        """Make slow preparations, such as starting processes. Called in a thread before the first call."""

    def dumps(self, value: object) -> bytes:
        """Pickle a node's function and arguments, so that the other process can read them with `pickle.loads`."""
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    @abstractmethod
    def begin(self, packed: bytes, timeout_seconds: float | None) -> Future[bytes]:
        """Start a packed call in another process and return its future at once.

        The other process must call `run_packed(packed)`, and the future must return the bytes that this call returns.
        They also contain the exception of the node, if the node raised one. The following rules apply:

        - The future must be marked as running (`set_running_or_notify_cancel`), unless cancelling the future really
          prevents the call from beginning.
        - An executor that counts time counts from the beginning of the work in the other process, and not while the
          call waits for a free place. When the time is over, it ends the work, and the future raises TimeoutError.
        - If the call cannot begin, because the other system does not answer or no machine can run the call, the future
          raises `graphengine.errors.ExecutorUnreachable`. This error means that the call has not begun.

        Args:
            packed: The call. `facts_of(packed)` returns its run, node and attempt, for example to name a job.
            timeout_seconds: The timeout of the node; None for no limit.
        """

    @abstractmethod
    def end(self, future: Future[bytes]) -> None:
        """End a call that is no longer wanted, and return when its work has ended.

        If the executor cannot end the work, this method must wait for its end. The Runner calls this in a thread.

        Args:
            future: The future that `begin` returned.
        """

    @abstractmethod
    def why_died(self, error: BaseException) -> str:
        """Return how the process of a call ended, if the error means that the process died; "" otherwise.

        If `why_died` returns a text, the attempt fails as `worker_died`, because the call had begun and it is not known
        how much of its work was done.

        Args:
            error: The exception that the future raised.
        """


class Ongoing(Protocol):
    """A call of a node's function that runs in another process. A thread of the executor waits for the result."""

    def end(self) -> None:
        """End the process of the call, so that the thread that waits for it returns."""
        ...


C = TypeVar("C", bound=Ongoing)


class ThreadedExecutor(NodeExecutor, Generic[C]):
    """Base of executors that use one thread of this process for each call. The thread waits for the other process.

    Args:
        count: The maximum number of calls at a time.
        name: The prefix of the threads' names.
    """

    def __init__(self, count: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._calls: dict[Future[Any], C] = {}

    @abstractmethod
    def _new(self) -> C:
        """Return a new object that stands for one call."""

    @abstractmethod
    def _run(self, load: Callable[[], Callable[[], T]], seconds: float | None, call: C) -> T:
        """Run a call in another process and return its result. This method is called in the thread of the call."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in another process, in the same way as `Executor.submit` of `concurrent.futures`.

        Args:
            function: The function.
            args: Its arguments.
            kwargs: Its named arguments.
        """
        return self._begin(partial(partial, function, *args, **kwargs), None)

    def begin(self, packed: bytes, timeout_seconds: float | None) -> Future[bytes]:
        """Run the call of a node in another process, which is ended when the time is over."""
        return self._begin(partial(calls.load_packed, packed), timeout_seconds)

    def end(self, future: Future[bytes]) -> None:
        """End the process that runs a call. This method returns when the process has ended."""
        call = self._calls.get(future)
        if call is not None and not future.cancel():
            call.end()
            wait([future])  # The thread of the call returns when the process has ended.

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor
        """Accept no further calls. With `cancel_futures`, also end the calls in progress."""
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
    """Adapts an executor of another library, such as ProcessPoolExecutor, to what a Runner expects.

    A call that has begun cannot be ended. A process pool whose child process died accepts no further calls, so it is
    replaced by a new pool. An executor that is not part of the standard library is assumed to repeat calls by itself,
    unless its attribute `repeats` is False.

    Args:
        executor: The executor.
        make: A function that makes a new executor when this one is broken; None if it cannot be replaced.
    """

    counts_time = False

    def __init__(self, executor: Executor, make: Callable[[], Executor] | None) -> None:
        self._executor = executor
        self._make = make
        self._is_ours = False
        is_known = isinstance(executor, (ProcessPoolExecutor, ThreadPoolExecutor))
        self.repeats = bool(getattr(executor, "repeats", not is_known))

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function, as `Executor.submit` does. A broken executor is replaced by a new one first.

        Raises:
            BrokenExecutor: The executor is broken and cannot be replaced, or it could not start a process.
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
            # The broken executor has kept the call and would run it as soon as it can start a process.
            self._replace(self._make)
            raise BrokenExecutor(ended_before(f"{type(error).__name__}: {error}")) from error

    def _replace(self, make: Callable[[], Executor]) -> None:
        if self._is_ours:
            shut_down(self._executor, wait=False, cancel_futures=True)
        self._executor, self._is_ours = make(), True

    def begin(self, packed: bytes, timeout_seconds: float | None) -> Future[bytes]:  # noqa: ARG002 - the Runner counts
        """Submit the call of a node. The Runner measures its time from now on, because this executor does not."""
        # The function is read from its module, because the public name is replaced when it is first used.
        return self.submit(calls.run_packed, packed)

    def end(self, future: Future[bytes]) -> None:
        """Cancel a call that has not begun, or wait for the end of a call that has begun."""
        if not future.cancel():
            wait([future])

    def why_died(self, error: BaseException) -> str:
        """Explain how the process of a call died, given the error of the call; "" if the process did not die.

        An exception of the node itself is not passed to this method, because it is part of the bytes that the process
        returns.
        """
        if isinstance(error, SystemExit):
            return f"a signal handler ended it with {error}"
        return str(error) or type(error).__name__ if isinstance(error, BrokenExecutor) else ""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor
        """Shut down the replacement of a broken executor. The original executor is shut down by its owner."""
        if self._is_ours:
            shut_down(self._executor, wait=wait, cancel_futures=cancel_futures)


def shut_down(executor: Executor, *, wait: bool = True, cancel_futures: bool = False) -> None:
    """Shut down an executor of any library, also if its `shutdown` does not accept `cancel_futures`."""
    parameters = signature_of(executor.shutdown).parameters
    knows = "cancel_futures" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    executor.shutdown(wait, **({"cancel_futures": cancel_futures} if knows else {}))


def same_pool(pool: Executor) -> Callable[[], Executor] | None:
    """Return a function that makes a process pool with the same arguments as `pool`, to replace it when it is broken.

    None if `pool` is not a ProcessPoolExecutor, because the arguments of other executors are not known.
    """
    if type(pool) is not ProcessPoolExecutor:
        return None
    found = vars(pool)  # A pool offers no public way to read its arguments.
    names = ("max_workers", "mp_context", "initializer", "initargs", "max_tasks_per_child")
    arguments: dict[str, Any] = {name: found[f"_{name}"] for name in names}
    return lambda: ProcessPoolExecutor(**arguments)
