"""Signals while runs are driven: the first Ctrl-C or SIGTERM stops cleanly, a further Ctrl-C ends the process at once.

The handlers are Python's, not the event loop's, so that a second Ctrl-C works while a node blocks the loop.
They only use `os.write`, since they can interrupt any other write.
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
    """Run a coroutine in a new event loop, while a `Stopper` handles the signals.

    If an asyncio task created by a node raises SystemExit or KeyboardInterrupt, asyncio also ends the loop. Here the
    loop continues, so that the exception is a failure of that node alone.
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
    """Stops the driven runs when a signal arrives.

    Attributes:
        action: The stop in words, shown when the signal arrives.
        last_words: What to write to which file descriptor before the process ends at once.
        wipes: Whether to erase a transient line on the terminal before writing.
        line_of: Returns the line of a text in a log of JSON; None if stderr is text.
        asked_by: The signal that requested the stop; "" before one arrives.
    """

    def __init__(self, line_of: Callable[[str], str] | None = None) -> None:
        self.line_of = line_of
        self.action = STOPPING
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
        """Set the function that stops the driven runs; called once they are durable."""
        self._loop = asyncio.get_running_loop()
        self._stop_it = stop
        if self.asked_by:
            self._stop()

    def over(self) -> None:
        """Clear the function, since nothing is left to stop."""
        self._stop_it = None

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        del frame
        if not self.asked_by:
            self.asked_by = "SIGTERM" if number == signal.SIGTERM else "Ctrl-C"
            again = "Ctrl-C (SIGINT) ends at once" if number == signal.SIGTERM else "Ctrl-C again ends at once"
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop)  # before the message: its reader may react at once
            wipe = WIPE if self.wipes else ""
            text = f"{'SIGTERM: ' if number == signal.SIGTERM else ''}{self.action}; {again}"
            _say(2, self.line_of(text) if self.line_of is not None else f"{wipe}{text}\n")
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
