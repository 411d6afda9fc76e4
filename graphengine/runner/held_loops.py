"""Report code that blocks an event loop on which runs are driven, while the code blocks the event loop.

While code blocks the event loop, nothing else in its process moves: no other run, no timer, no stop. Nothing is lost,
because the lease is renewed from a thread, but the user has to know which code it is. So one thread of the process asks
every event loop that drives runs for a sign of life twice a second, and logs the stack of an event loop that gives none
for two seconds. An event loop that drives no run is not asked. The thread ends half a second after the last Runner that
drove a run was closed, so that programs that open a Runner for each run do not start a thread for each.

The thread counts its own turns, and not the time: a process that was suspended has no turns meanwhile, so no code is
blamed for the time in which the machine slept. Code in C that keeps the lock of the interpreter stops this thread too,
and is not reported.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from graphengine.engine.user_frames import is_engine_code
from graphengine.runner.scope import CURRENT, AttemptFacts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import FrameType

log = logging.getLogger("graphengine.runner")

TURN_SECONDS: Final = 0.5
_FIRST: Final = 4
"""The number of turns without a sign of life after which an event loop is reported.

A busy event loop stays well below this number.
"""
_GROWTH: Final = 4
"""The next report follows when the event loop has been blocked for this many times as long."""
_NAMED: Final = 3
"""The maximum number of runs that a report lists if it cannot tell which of the runs executes the code."""
_RUN_IN: Final = "run_in"
"""The method of an attempt inside which the code of its node runs."""
_HELD: Final = (
    "%s has held the event loop of process %d for %.1f s, so that nothing else in the process moves\n"
    "  repair: %s\n  it is here now:\n%s"
)
_FREE: Final = "the event loop of process %d is free again, after %s had held it for about %.1f s"
_OF_LOOP: Final = "make it a plain function (def, without thread=False), which runs in a thread, or await what blocks"
_OF_THREAD: Final = "its code has a thread, so its values took long: keep large data in files, their names in the state"
_OF_OTHERS: Final = "let code that blocks run in a thread, as with `await asyncio.to_thread(…)`"

_lock = threading.Lock()
_watched: Final[set[LoopWatch]] = set()
_thread: threading.Thread | None = None


def _forget_parent() -> None:
    """Forget the event loops and the thread of the parent process after a fork. The child process has neither."""
    global _lock, _thread
    _lock, _thread = threading.Lock(), None
    _watched.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


class LoopWatch:
    """Watches one event loop while runs are driven on it, to report code that blocks the event loop.

    Args:
        driven: The runs that are driven on the event loop now.
    """

    def __init__(self, driven: Collection[str]) -> None:
        self._loop, self._ident = asyncio.get_running_loop(), threading.get_ident()
        self._driven = driven
        self._has_answered = True
        self._missed, self._next = 0, _FIRST
        self._held_by = ""

    def begin(self) -> None:
        """Begin to watch the event loop.

        The thread that watches all event loops of the process is started if it is not running.
        """
        global _thread  # noqa: PLW0603 - one for all event loops of the process
        with _lock:
            _watched.add(self)
            if _thread is None:
                _thread = threading.Thread(target=_watch_loops, name="graphengine-loop-watch", daemon=True)
                _thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the event loop is closed. This can also happen if the Runner was never closed."""
        return self._loop.is_closed()

    def end(self) -> None:
        """Stop watching the event loop, because the Runner is closed.

        The watch is removed at once and not by the next turn of the thread, so that the thread does not keep the runs
        of the closed Runner in memory until then.
        """
        with _lock:
            _watched.discard(self)

    def look(self) -> None:
        """Ask the event loop for a sign of life, or report the event loop if it has given no sign for several turns.

        The watching thread calls this twice a second.
        """
        if not self._has_answered:
            self._missed += 1
            if self._missed == self._next:
                self._next *= _GROWTH
                self._report()
            return
        if not self._driven:
            return
        self._missed, self._next, self._has_answered = 0, _FIRST, False
        with suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        """Show that the event loop is not blocked. The event loop calls this method as soon as it can."""
        if self._held_by:
            log.warning(_FREE, os.getpid(), self._held_by, self._missed * TURN_SECONDS)
        self._held_by, self._has_answered = "", True

    def _report(self) -> None:
        """Log the code that blocks the event loop: its stack, and the node to which it belongs, if known."""
        frame = frames_of_threads().get(self._ident)
        attempt = _find_attempt(frame, self._loop)
        who, repair, extra = f"a task beside the nodes of {self._name_runs()}", _OF_OTHERS, dict[str, str]()
        if attempt is not None:
            run_id, call = attempt.services.run_id, attempt.call
            who, extra = f"{attempt.where} (run {run_id})", {"run": run_id, "node": attempt.path}
            repair = _OF_THREAD if call is not None and (call.thread or call.on) else _OF_LOOP
        self._held_by = who
        log.warning(_HELD, who, os.getpid(), self._missed * TURN_SECONDS, repair, _format_frames(frame), extra=extra)

    def _name_runs(self) -> str:
        """List the runs on the event loop, for a report that cannot tell to which run the code belongs."""
        first = [*self._driven][:_NAMED]
        return f"run {', '.join(first)}{' and others' if len(self._driven) > len(first) else ''}"


def _watch_loops() -> None:
    """The thread that checks all watched event loops twice a second. It ends when no event loop is watched any more."""
    global _thread  # noqa: PLW0603 - as above
    pause = threading.Event()
    try:
        while True:
            with _lock:
                _watched.difference_update([each for each in _watched if each.is_over])
                found = list(_watched)
                if not found:
                    _thread = None
                    return
            for each in found:
                each.look()
            del found
            pause.wait(TURN_SECONDS)
    except BaseException:  # for example if a handler of the log raises; the next Runner starts another thread
        with _lock:
            _thread = None
        raise


def _find_attempt(frame: FrameType | None, loop: asyncio.AbstractEventLoop) -> AttemptFacts | None:
    """Return the attempt of a node whose code an event loop is running; None if that is not known.

    The code of a node runs below `Attempt.run_in`. A task that a node started does not, but has the context variables
    of the node.
    """
    while frame is not None:
        if frame.f_code.co_name == _RUN_IN and isinstance(found := frame.f_locals.get("self"), AttemptFacts):
            return found
        frame = frame.f_back
    task = asyncio.current_task(loop)
    if task is None or sys.version_info < (3, 12):
        return None
    of_task = task.get_context().get(CURRENT)
    return of_task if isinstance(of_task, AttemptFacts) else None


def _format_frames(frame: FrameType | None) -> str:
    """Format a stack as text for users, without the frames of graphengine and of the event loop.

    These frames are kept if there are no others.
    """
    stack = traceback.extract_stack(frame) if frame is not None else []
    engine = [place for place, each in enumerate(stack) if is_engine_code(each.filename)]
    loops = [
        place for place, each in enumerate(stack) if each.filename.endswith(("asyncio/events.py", "asyncio\\events.py"))
    ]
    first = max([*engine[:1], *loops[:1], -1]) + 1
    shown = [each for each in stack[first:] if not is_engine_code(each.filename)]
    return "".join(traceback.format_list(shown or stack[-1:])).rstrip()


def frames_of_threads() -> Mapping[int, FrameType]:
    """Return the current stack frame of every thread, by the id of the thread.

    Garbage collection is disabled during this call. Before CPython 3.11.9, a thread that collects garbage in the middle
    of this call waits for ever (gh-106883):

    1. It holds the lock of the list of threads.
    2. The collection lets another thread run.
    3. The other thread starts or ends a thread, and waits for the lock, while the first thread waits to run.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()  # noqa: SLF001 - the documented way to see them
    finally:
        if collects:
            gc.enable()


__all__ = ["LoopWatch", "frames_of_threads"]
