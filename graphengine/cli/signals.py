"""Ctrl-C while runs are driven: once stops cleanly, twice ends the process at once. SIGTERM is like the first.

The handlers are Python's own and not the event loop's, so that the second Ctrl-C is heard while a node blocks the loop.
They write with `os.write` alone, since they may interrupt any other writing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphengine.cli.session import Exit
from graphengine.cli.terminal import WIPE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import FrameType, TracebackType
    from typing import Self

T = TypeVar("T")

STOPPING: Final = "stopping after the node in flight"


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in an event loop of its own, while a `Stopper` handles the signals.

    Where an asyncio task of a node's own raises SystemExit or KeyboardInterrupt, asyncio ends the loop besides handing
    the exception to the node. Here the loop continues, so that the exception is a failure of that node alone.
    """
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(main)
        while True:
            try:
                return loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt):
                if task.done():
                    raise


class Stopper:
    """Asks for a stop of what is driven when a signal comes.

    Attributes:
        says: What is being done then, in words.
        last_words: What goes to which file descriptor before the process ends at once.
        wipes: Whether a line that is passing may stand on the terminal, so that what is said takes its place.
        asked_by: The signal that asked for the stop, in words; "" while none did.
    """

    def __init__(self) -> None:
        self.says = STOPPING
        self.wipes = False
        self.last_words: Sequence[tuple[int, str]] = ()
        self._before: dict[int, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_it: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.asked_by = ""
        self._stopping: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def drives(self, stop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """From now on there is something to stop, and this does it; called once what is driven is durable."""
        self._loop = asyncio.get_running_loop()
        self._stop_it = stop
        if self.asked_by:
            self._stop()

    def over(self) -> None:
        """From now on there is nothing left to stop."""
        self._stop_it = None

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        del frame
        if not self.asked_by:
            self.asked_by = "SIGTERM" if number == signal.SIGTERM else "Ctrl-C"
            again = "Ctrl-C (SIGINT) ends at once" if number == signal.SIGTERM else "Ctrl-C again ends at once"
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop)  # before it is said: who reads it may act on it at once
            wipe = WIPE if self.wipes else ""
            _say(2, f"{wipe}{'SIGTERM: ' if number == signal.SIGTERM else ''}{self.says}; {again}\n")
        elif number == signal.SIGINT:
            for descriptor, text in self.last_words:
                _say(descriptor, (WIPE if self.wipes else "") + text)
            os._exit(Exit.INTERRUPTED)

    def _stop(self) -> None:
        if self._stop_it is not None and self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop_it(), name="graphengine stop")


def _say(descriptor: int, text: str) -> None:
    with suppress(OSError):
        os.write(descriptor, text.encode())
