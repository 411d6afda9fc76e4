"""Run heavy nodes in child processes. A timeout ends the child process, and a child that died is replaced.

Each child has its own pipe, and a thread of this process waits for the child. Therefore a child can be killed at any
moment. The children of `concurrent.futures.ProcessPoolExecutor` share locks and queues, so killing one of them would
break the pool.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING, Final, TypeVar, cast

from graphengine.executors.base import ThreadedExecutor, ended_before
from graphengine.executors.calls import call_as_bytes, end_with_parent, raised, read_returned
from graphengine.kernel.inside import reraise_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext

    from pydantic import PositiveInt

T = TypeVar("T")

_BEGUN: Final = b""
"""The message of a child that has loaded a call and will call the function next. An outcome is never empty."""


class ChildDied(BrokenExecutor):
    """A child process ended before it returned the outcome of its call."""


class ProcessExecutor(ThreadedExecutor["_ProcessCall"]):
    """Runs heavy nodes in child processes of this machine.

    A `ProcessExecutor` ends a child process whose node ran out of time or is no longer wanted, which
    `concurrent.futures.ProcessPoolExecutor` cannot do. If a child process dies, only the call in that child process is
    lost.

    A `ProcessExecutor` starts child processes when they are needed. Each of them is a new process that imports the
    module of the node. The start method of `multiprocessing` is `forkserver`, or `spawn` on Windows.

    Args:
        max_workers: The maximum number of child processes; the number of processors if not given.
        max_tasks: How many calls a child process runs before a new child replaces it; None for no limit.
        initializer: A function that each child calls first, such as one that loads a model.

    Raises:
        DefinitionError: An argument is invalid.

    Example:
        >>> with ProcessExecutor(2) as executor:
        ...     runner = Runner(executors={"cpu": executor})
    """

    def __init__(
        self,
        max_workers: PositiveInt | None = None,
        *,
        max_tasks: PositiveInt | None = None,
        initializer: Callable[[], object] | None = None,
    ) -> None:
        self._max_tasks = max_tasks
        self._initializer = initializer
        super().__init__(max_workers or os.cpu_count() or 1, "graphengine-child")
        self._idle: list[_Child] = []
        atexit.register(self._close_idle)  # This runs before multiprocessing waits for its child processes.

    def why_died(self, error: BaseException) -> str:
        """Return how the child process of a call ended; "" if the error does not mean that a child died."""
        return str(error) if isinstance(error, ChildDied) else ""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor
        """Accept no further calls and end the child processes.

        The child processes end when their calls are over. With `cancel_futures`, they end at once.
        """
        super().shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            self._close_idle()
            atexit.unregister(self._close_idle)

    def _new(self) -> _ProcessCall:
        return _ProcessCall()

    def _run(self, load: Callable[[], Callable[[], T]], seconds: float | None, call: _ProcessCall) -> T:
        """Run a call in a child process, and return its result.

        An idle child process is used if there is one, and a new one is started otherwise. If waiting for the outcome
        fails, for example because the time is over, the child process is killed.
        """
        child = self._begin_child(pickle.dumps(load, pickle.HIGHEST_PROTOCOL), call)
        try:
            outcome = child.outcome(seconds)
        except BaseException:
            child.kill()
            raise
        call.leave()
        child.tasks += 1
        if self._max_tasks is not None and child.tasks >= self._max_tasks:
            child.close()
        else:
            self._idle.append(child)
        return cast("T", read_returned(outcome))

    def _begin_child(self, message: bytes, call: _ProcessCall) -> _Child:
        """Let a child process load the call, and return the child process.

        An idle child process is used if there is one, and a new one is started otherwise. Idle child processes that
        have died are dropped.

        Raises:
            ChildDied: The new child process ended before the call began.
        """
        while self._idle:
            child = self._idle.pop()
            if call.begin(child) and child.begin(message):
                return child
            child.kill()
        child = _Child(self._initializer)
        if not (call.begin(child) and child.begin(message)):
            child.kill()
            raise ChildDied(ended_before(child.how_it_ended))
        return child

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _ProcessCall:
    """A call of a node's function that runs in a child process. Another thread can end it by killing this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._is_over = False

    def begin(self, child: _Child) -> bool:
        """Remember in which child process the call runs. Returns False if the call is no longer wanted."""
        with self._lock:
            self._child = child
            return not self._is_over

    def leave(self) -> None:
        """Forget which child process ran the call, because the call is over.

        The child process may run another call next. An `end` of this call that comes late would kill the child process
        in the middle of the other call.
        """
        with self._lock:
            self._child = None

    def end(self) -> None:
        """End the call by killing its child process. The thread that waits for the call then returns."""
        with self._lock:
            self._is_over = True
            if self._child is not None:
                self._child.process.kill()


class _Child:
    """A child process that runs calls, and the pipe to it.

    Attributes:
        process: The process.
        tasks: The number of calls that the child process has finished. After a limit, a new process replaces it.
    """

    def __init__(self, initializer: Callable[[], object] | None) -> None:
        context = _context()
        self._pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, initializer), name="graphengine-child")
        try:
            self.process.start()
        # The forkserver has died, or the child has died before it read its work.
        except (EOFError, ConnectionError) as error:
            self._pipe.close()
            raise ChildDied(ended_before(f"{type(error).__name__}: {error}")) from error
        finally:
            other.close()  # Now only the child has this end of the pipe, so the pipe ends when the child ends.
        self.tasks = 0

    def begin(self, message: bytes) -> bool:
        """Send a call to the child process, and wait until the child process has loaded the call.

        Returns False if the child process has died.
        """
        try:
            self._pipe.send_bytes(message)
            self._first = self._pipe.recv_bytes()
        except (EOFError, OSError):
            return False
        return True

    def outcome(self, seconds: float | None) -> bytes:
        """Wait for the outcome of the call that the child process runs, and return its bytes.

        Raises:
            TimeoutError: The time is over.
            ChildDied: The child process ended.
        """
        if self._first != _BEGUN:  # The call could not be loaded, and the first message is its outcome.
            return self._first
        try:
            if not self._pipe.poll(seconds):
                raise TimeoutError
            return self._pipe.recv_bytes()
        except (EOFError, ConnectionError) as error:
            self.process.join()
            raise ChildDied(f"child process {self.process.pid} ended by {self.how_it_ended}") from error

    @property
    def how_it_ended(self) -> str:
        """How the child ended, in words: by which signal or with which exit code."""
        code = self.process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """Kill the child and wait until it has ended."""
        self.process.kill()
        self.close()

    def close(self) -> None:
        """Close the pipe, so that the child exits, and wait until it has ended."""
        self._pipe.close()
        self.process.join()


def _context() -> ForkServerContext | SpawnContext:
    """Return the `multiprocessing` context that decides how child processes are started.

    A child process is not forked from this process, because it would inherit this process's locks and the pipes of
    other child processes.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_list_preloads(sys.version_info[:3]))
    return context


def _list_preloads(release: tuple[int, int, int]) -> list[str]:
    """Return the modules that the forkserver imports in advance, so that a new child can begin at once.

    The forkserver really imports the main script since Python 3.13.8 and 3.14.1 (gh-126631); earlier versions ignored
    it. Before 3.13.12 and 3.14.3, `sys.argv` was empty in the forkserver, so that a script which reads `sys.argv` when
    it is imported would fail (gh-143706). In the versions between, the main script is therefore not imported in
    advance.
    """
    has_no_arguments = (3, 13, 8) <= release < (3, 13, 12) or (3, 14, 1) <= release < (3, 14, 3)
    return [__name__] if has_no_arguments else ["__main__", __name__]


def _serve(pipe: Connection, initializer: Callable[[], object] | None) -> None:
    """Load and run the calls that the parent process sends, until the parent closes the pipe.

    This is the main function of a child process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The Runner handles Ctrl-C and ends its children.
    end_with_parent()
    if initializer is not None:
        initializer()
    while True:
        try:
            message = pipe.recv_bytes()
        except EOFError:
            return
        try:
            work = pickle.loads(message)()  # noqa: S301 - from our own parent
        except BaseException as error:  # noqa: BLE001 - what it imports may raise anything
            reraise_interrupt(error)
            pipe.send_bytes(raised(error))
            continue
        pipe.send_bytes(_BEGUN)
        pipe.send_bytes(call_as_bytes(work))
