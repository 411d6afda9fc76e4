"""The threads of SQLite stores, at a drawn speed, so that a failure can be reproduced.

The speed of a thread decides which batches share a transaction, which of two runs continues first, and how much of an
owner's work reached the file before it died. With real threads, that differs from one time to the next. Here each piece
of work waits for a drawn number of turns of the event loop before it is done, and its answer for another number. It is
done on its store's own thread, while everything else pauses. So no two threads write at the same moment: simultaneous
writes are tested by `store_machine`, whose threads are real, and by tests/crash, with processes.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeAlias, cast
from unittest.mock import patch

from graphengine.stores.sqlite.worker import Worker

Work: TypeAlias = Callable[[sqlite3.Connection], object]

NEVER_SECONDS = 1e6
PATIENCE_SECONDS = 20.0


def no_sign_of_life() -> Any:
    """Patch the renewal of leases, so that owners do not renew them by real time, however long an example takes."""
    return patch("graphengine.stores.sqlite.owners._RENEWALS_PER_LEASE", 1 / NEVER_SECONDS)


def lose(worker: Worker) -> None:
    """Drop the work that a thread has not started, since its process is killed; a real thread is left alone."""
    queue: object = worker._queue  # noqa: SLF001
    if isinstance(queue, Line):
        queue.lose()


class Killed:
    """The connection of a process that was killed."""

    def __getattr__(self, name: str) -> Any:
        """Fail."""
        message = "its process was killed"
        raise sqlite3.OperationalError(message)


class Piece:
    """One piece of work of a thread.

    Attributes:
        before: How many turns pass before it is done.
        after: How many more turns pass before the event loop learns of it.
        is_done: Whether the thread has done it.
        is_last: Whether the thread ends after it.
    """

    def __init__(self, threads: Threads, work: Work, before: int, after: int) -> None:
        self.before = before
        self.after = after
        self.is_done = self.is_last = False
        self.work = work
        self._threads = threads
        self._answers: list[Callable[[], object]] = []
        self._has_ended = threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Do the work, on the thread."""
        self._threads.answers[threading.get_ident()] = self._answers
        try:
            self.work(connection)
        finally:
            del self._threads.answers[threading.get_ident()]
            self._has_ended.set()

    def wait(self) -> None:
        """Wait until the thread has done it."""
        self.is_done = True
        assert self._has_ended.wait(PATIENCE_SECONDS), "a store's thread hangs"

    def answer(self) -> None:
        """Let the event loop learn of it."""
        for answer in self._answers:
            answer()


class Line:
    """The work of one thread, in order: a worker uses it as its queue."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._held: deque[Piece] = deque()
        self._queue: SimpleQueue[Piece | None] = SimpleQueue()

    def put(self, work: Work | None) -> None:
        """Add work. Called on the event loop."""
        if work is not None:
            self._held.append(self._threads.piece(work))
            self._threads.wake(self)
        elif self._held:
            self._held[-1].is_last = True
        else:
            self._queue.put(None)

    def get(self) -> Piece | None:
        """Return the next piece whose turn has come, or None at the end. Called on the thread."""
        return self._queue.get()

    def turn(self) -> bool:
        """Count a turn of the event loop. Return whether there is more to do."""
        piece = self._held[0]
        if piece.before:
            piece.before -= 1
            return True
        if not piece.is_done:
            self._queue.put(piece)
            piece.wait()
            if piece.is_last:
                self._queue.put(None)
        if piece.after:
            piece.after -= 1
            return True
        self._held.popleft()
        piece.answer()
        return bool(self._held)

    def lose(self) -> None:
        """Drop the work that was not started; who waits for the result of one gets an error."""
        lost = [piece for piece in self._held if not piece.is_done]
        self._held = deque(piece for piece in self._held if piece.is_done)
        for piece in lost:
            if getattr(piece.work, "__name__", "") == "keep":
                piece.work(cast("sqlite3.Connection", Killed()))
        if not self._held:
            self._threads.rest(self)

    def finish(self) -> None:
        """Do all held work at once."""
        while self.turn():
            pass


class Threads:
    """All threads of the stores on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._busy: dict[Line, None] = {}
        self._next: asyncio.Handle | None = None
        self._turns: Iterator[int] = itertools.repeat(0)
        self._call_soon_threadsafe = loop.call_soon_threadsafe
        self.answers: dict[int, list[Callable[[], object]]] = {}

    def patches(self) -> list[Any]:
        """Yield the patches that replace real threads, and stop everything else that depends on real time."""
        return [
            patch("graphengine.stores.sqlite.worker.SimpleQueue", lambda: Line(self)),
            patch.object(self._loop, "call_soon_threadsafe", self._keep_answer),
            patch("graphengine.stores.sqlite.removal.STRIDE_SECONDS", NEVER_SECONDS),
            patch("graphengine.stores.sqlite.removal._MOST_REST_SECONDS", 0.0),
            no_sign_of_life(),
        ]

    def take(self, turns: Sequence[int]) -> None:
        """Use these numbers from now on: each piece of work waits for the next two, cyclically."""
        self._turns = itertools.cycle(turns)

    def piece(self, work: Work) -> Piece:
        """Return a piece of work that a thread does when its turn comes."""
        return Piece(self, work, next(self._turns), next(self._turns))

    def _keep_answer(self, callback: Callable[..., object], *args: Any, **options: Any) -> object:
        """Hold what a thread tells the event loop until the turn of its piece has come."""
        answers = self.answers.get(threading.get_ident())
        if answers is None:
            return self._call_soon_threadsafe(callback, *args, **options)
        answers.append(partial(callback, *args))
        return None

    def wake(self, line: Line) -> None:
        """Note that a thread has work. If no turns pass any more, do it at once, so that the thread ends."""
        if self._loop.is_closed():
            line.finish()
            return
        self._busy[line] = None
        self._schedule()

    def rest(self, line: Line) -> None:
        """Note that a thread has nothing left to do."""
        self._busy.pop(line, None)

    def _schedule(self) -> None:
        """Let the next turn pass, unless it is scheduled already."""
        if self._next is None or self._next.cancelled():
            self._next = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._next = None
        try:
            for line in list(self._busy):
                if not line.turn():
                    self._busy.pop(line, None)
        finally:  # an error in one turn must not keep the others from passing
            if self._busy:
                self._schedule()

    def end(self) -> None:
        """Let every thread do its remaining work at once."""
        for line in self._busy:
            line.finish()
        self._busy.clear()
