"""Threads for sync tools: each tool has its own, so that one that hangs takes none from nodes, guards or other tools.

A thread is started for a call and makes the calls that wait when it is done. A thread cannot be ended: a call that ran
out of time keeps its thread, which then no longer counts as one of the tool's, up to `MOST_LEFT` of them. The threads
are daemons, since what still runs in one when the program ends was abandoned.
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
"""The most calls of one tool in a process that run at the same time; others wait."""

MOST_LEFT: Final = 32
"""The most calls of one tool that ran out of time and still run; with so many, it is not called."""


class ToolThreads:
    """The threads of the tools of one name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._left = 0
        self._waiting: deque[CallThread] = deque()

    @property
    def is_stuck(self) -> bool:
        """Whether too many calls that ran out of time still run."""
        return self._left >= MOST_LEFT

    def begin(self, call: CallThread, *, at_once: bool) -> None:
        """Make a call in a thread: a new one if there may be one more, else one that becomes free.

        Args:
            call: The call.
            at_once: Whether it must not wait: a thread that waits for it may be one of these.
        """
        with self._lock:
            if self._running >= MOST_THREADS and not at_once:
                self._waiting.append(call)
                return
            self._running += 1
        _Thread(self, call).start()

    def leave(self, call: CallThread) -> None:
        """Give up a call that still runs: its thread makes no more calls, and another one may start in its place."""
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
        """Return the call that the thread of this one, which has ended, makes next; None to end the thread."""
        with self._lock:
            call.is_over = True
            if call.is_left:
                self._left -= 1
                return None
            self._running -= 1
            return self._next()

    def _next(self) -> CallThread | None:
        """Take the next call that waits, if there may be one more."""
        if not self._waiting or self._running >= MOST_THREADS:
            return None
        self._running += 1
        return self._waiting.popleft()


class CallThread(Executor):
    """The thread of one call of a tool.

    Attributes:
        is_over: Whether the call has ended.
        is_left: Whether it was given up.
    """

    def __init__(self, threads: ToolThreads) -> None:
        self._threads = threads
        self._make: Callable[[], None] = int  # type: ignore[assignment]  # does nothing
        self.is_over = False
        self.is_left = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # noqa: ANN401 - as in Executor
        """Make the call."""
        future: Future[T] = Future()

        def make() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - the caller raises it
                future.set_exception(error)

        self._make = make
        # A thread that waits for this call, or calls it in an event loop of its own, may hold one of these threads.
        is_nested = FROM_THREAD.get() is not None or isinstance(threading.current_thread(), _Thread)
        self._threads.begin(self, at_once=is_nested)
        return future

    def make(self) -> None:
        """Make the call; called in the thread."""
        self._make()

    def leave(self) -> None:
        """Give up the call, if it still runs."""
        self._threads.leave(self)


class _Thread(threading.Thread):
    """A thread that makes one call, and then those that wait."""

    def __init__(self, threads: ToolThreads, call: CallThread) -> None:
        super().__init__(name="graphengine-tool", daemon=True)
        self._threads = threads
        self._call: CallThread | None = call

    def run(self) -> None:
        """Make the calls."""
        call, self._call = self._call, None
        while call is not None:
            call.make()
            call = self._threads.after(call)


_OF_TOOL: Final[dict[str, ToolThreads]] = {}


def threads_of(tool: str) -> ToolThreads:
    """Return the threads of the tools of this name, in this process."""
    return _OF_TOOL.setdefault(tool, ToolThreads())


if hasattr(os, "register_at_fork"):  # the threads stay in the parent process
    os.register_at_fork(after_in_child=_OF_TOOL.clear)

__all__ = ["MOST_LEFT", "MOST_THREADS", "CallThread", "ToolThreads", "threads_of"]
