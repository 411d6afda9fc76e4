"""Threads for sync tools, so that a tool that hangs does not block nodes, guards or other tools.

Each tool has its own threads. A thread is started for a call, and afterwards makes calls that are waiting. A thread
cannot be stopped. If a call exceeds its time, its thread is abandoned: it no longer counts as a thread of the tool, and
another thread may start. At most `MOST_LEFT` threads of a tool may be abandoned at the same time. The threads are
daemons, because a call that still runs when the program ends was abandoned before.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphengine.kernel.inside import FROM_THREAD

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MOST_THREADS: Final = 32
"""The largest number of calls of one tool that run at the same time in a process. Further calls wait."""

MOST_LEFT: Final = 32
"""The largest number of abandoned calls of one tool that may still be running. With so many, it is not called again."""


class ToolThreads:
    """The threads in which the calls of one sync tool run. Their number is limited."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._left = 0
        self._waiting: deque[CallThread] = deque()

    @property
    def is_stuck(self) -> bool:
        """Whether so many calls that ran out of time are still running that the tool must not be called again."""
        return self._left >= MOST_LEFT

    def begin(self, call: CallThread, *, at_once: bool) -> None:
        """Run a call of a sync tool in a new thread. If too many threads are running, the call waits until one is free.

        Args:
            call: The call.
            at_once: Whether to start a thread in any case. This is necessary if the caller may itself be one of these
                threads, because threads that all wait for each other would never end.
        """
        with self._lock:
            if self._running >= MOST_THREADS and not at_once:
                self._waiting.append(call)
                return
            self._running += 1
        _Thread(self, call).start()

    def leave(self, call: CallThread) -> None:
        """Give up a call that is still running. Its thread no longer counts, so that another thread may start."""
        with self._lock:
            if call.is_over or call.is_left:
                return
            call.is_left = True
            self._left += 1
            self._running -= 1
            following = self._next()
        if following is not None:
            _Thread(self, following).start()

    def after(self, call: CallThread) -> CallThread | None:
        """Note that the thread of this call has finished it, and return the call that the thread runs next.

        Returns None if no call waits, or if the finished call had been given up. The thread then ends.
        """
        with self._lock:
            call.is_over = True
            if call.is_left:
                self._left -= 1
                return None
            self._running -= 1
            return self._next()

    def _next(self) -> CallThread | None:
        if not self._waiting or self._running >= MOST_THREADS:
            return None
        self._running += 1
        return self._waiting.popleft()


class CallThread(Executor):
    """Runs one call of a sync tool in a thread that belongs to the tool. It can be used like any `Executor`.

    Attributes:
        is_over: Whether the call has ended.
        is_left: Whether the call was given up because its time was over.
    """

    def __init__(self, threads: ToolThreads) -> None:
        self._threads = threads
        self._make: Callable[[], None] = int  # type: ignore[assignment]  # does nothing until `submit` is called
        self.is_over = False
        self.is_left = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # noqa: ANN401 - as in Executor
        future: Future[T] = Future()

        def make() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - the caller raises it
                future.set_exception(error)

        self._make = make
        # A thread that waits for this call, or that makes it in its own event loop, may itself be one of these threads.
        is_nested = FROM_THREAD.get() is not None or isinstance(threading.current_thread(), _Thread)
        self._threads.begin(self, at_once=is_nested)
        return future

    def make(self) -> None:
        self._make()

    def leave(self) -> None:
        self._threads.leave(self)


class _Thread(threading.Thread):
    def __init__(self, threads: ToolThreads, call: CallThread) -> None:
        super().__init__(name="graphengine-tool", daemon=True)
        self._threads = threads
        self._call: CallThread | None = call

    def run(self) -> None:
        call, self._call = self._call, None
        while call is not None:
            call.make()
            call = self._threads.after(call)


_OF_TOOL: Final[dict[str, ToolThreads]] = {}


def threads_of(tool: str) -> ToolThreads:
    """Return the threads of the tools with this name. Tools with the same name share their threads."""
    return _OF_TOOL.setdefault(tool, ToolThreads())


if hasattr(os, "register_at_fork"):  # a child process does not inherit the threads
    os.register_at_fork(after_in_child=_OF_TOOL.clear)

__all__ = ["MOST_LEFT", "MOST_THREADS", "CallThread", "ToolThreads", "threads_of"]
