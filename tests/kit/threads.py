"""The threads of SQLite stores, at a drawn speed, so that a failure can be reproduced.

The speed of a thread decides which batches share a transaction, which of two runs continues first, and how much of an
owner's work reached the file before it died. With real threads, that differs from one time to the next. Here each piece
of work waits for a drawn number of turns of the event loop before it is done, and its answer for another number. It is
done by the event loop, while everything else pauses. So no two threads write at the same moment: simultaneous
writes are tested by `tests/databases/test_sqlite_threads.py`, whose threads are real, and by tests/crash, with
processes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any
from unittest.mock import patch

from graphengine.databases.sqlite.worker import Job, Worker

NEVER_SECONDS = 1e6


def no_sign_of_life() -> Any:
    """Patch the renewal of leases, so that owners do not renew them by real time, however long an example takes."""
    return patch("graphengine.databases.leases.RENEWALS_PER_LEASE", 1 / NEVER_SECONDS)


def lose(worker: Worker) -> None:
    """Drop the work that a thread has not started, since its process is killed; a real thread is left alone."""
    queue = worker._calls  # noqa: SLF001
    if isinstance(queue, Line):
        queue.lose()


class Piece:
    """One piece of work of a thread.

    Attributes:
        call: What is done.
        before: How many turns pass before it is done.
        after: How many more turns pass before its waiter learns of it.
        is_done: Whether it is done.
    """

    def __init__(self, call: Job, before: int, after: int) -> None:
        self.call = call
        self.before = before
        self.after = after
        self.is_done = False


class Line(SimpleQueue[Job]):
    """The work of one thread, in order, as the queue of a connection: the thread itself only gets its end."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._held: deque[Piece] = deque()

    def put_nowait(self, item: Job) -> None:
        """Add work. Called on the event loop."""
        self._held.append(self._threads.piece(item))
        self._threads.wake(self)

    def turn(self) -> bool:
        """Count a turn of the event loop. Return whether there is more to do."""
        piece = self._held[0]
        if piece.before:
            piece.before -= 1
            return True
        if not piece.is_done:
            piece.is_done = True  # also if it raises: a real thread goes on, too
            piece.call.work()
            if piece.call.is_last:
                self.put(Job(_nothing, is_last=True))
        if piece.after:
            piece.after -= 1
            return True
        self._held.popleft()
        if piece.call.then is not None:
            with suppress(RuntimeError):  # the loop is closed
                piece.call.then()
        return bool(self._held)

    def lose(self) -> None:
        """Drop the work that was not started: nobody learns of it, since its process is killed."""
        self._held = deque(piece for piece in self._held if piece.is_done)
        if not self._held:
            self._threads.rest(self)

    def finish(self) -> None:
        """Do all held work at once."""
        while self.turn():
            pass


def _nothing() -> None:
    """Do nothing: the thread ends."""


class Threads:
    """All threads of the stores on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._busy: dict[Line, None] = {}
        self._next: asyncio.Handle | None = None
        self._turns: Iterator[int] = itertools.repeat(0)

    def patches(self) -> list[Any]:
        """Yield the patches that replace real threads, and stop everything else that depends on real time."""
        return [
            patch("graphengine.databases.sqlite.worker.SimpleQueue", lambda: Line(self)),
            patch("graphengine.databases.sqlite.removal.STRIDE_SECONDS", NEVER_SECONDS),
            patch("graphengine.databases.sqlite.removal._MOST_REST_SECONDS", 0.0),
            no_sign_of_life(),
        ]

    def take(self, turns: Sequence[int]) -> None:
        """Use these numbers from now on: each piece of work waits for the next two, cyclically."""
        self._turns = itertools.cycle(turns)

    def piece(self, call: Job) -> Piece:
        """Return a piece of work that a thread does when its turn comes."""
        return Piece(call, next(self._turns), next(self._turns))

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
