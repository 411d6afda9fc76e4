"""Crash points: the places where the death of a process matters, by name, and a death at any of them.

A run guarantees that a process can die anywhere and another one continues. Only a few places differ: before and after
each call of the store, each COMMIT, and each task. Here each has a name (`before append`, `after commit`, `before
task`), and a process that a test starts can report which ones it passes, and kill itself with SIGKILL at one of them:

    points = CrashPoints(Point("after append", 3))
    with points.installed():
        asyncio.run(main(points.watched(SQLiteStore("runs.db"))))       # dies when the third append is durable

To test a graph: run a process without a point to die at and read its `passed`; then, for each of these points, let one
process die there and another one resume, and compare the outcome. Use separate processes: the death is real.

The names are made from the `Store` protocol, so a method that is added there has its points automatically, and a test
over `names()` checks that each is passed. A process that does not install points pays nothing.
"""

from __future__ import annotations

import inspect
import os
import signal
import sqlite3
import threading
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from graphengine.runner.attempt import Attempt
from graphengine.stores.base import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from graphengine.engine.events import Event

T = TypeVar("T")


def calls_of(protocol: type) -> Sequence[str]:
    """Return the public methods of a protocol and of those that it extends."""
    found = {name: getattr(protocol, name) for name in dir(protocol) if not name.startswith("_")}
    return [name for name, member in found.items() if inspect.isfunction(member)]


CALLS: Final[Sequence[str]] = calls_of(Store)
"""The methods of the Store protocol."""


class Point(NamedTuple):
    """A point as a process passes it: its name, and the number of the pass, from 1."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


def names() -> Sequence[str]:
    """Return the names of all points: before and after each method of `Store`, each commit and each task.

    Without "after notifications", since a store that receives no announcements never returns from it.
    """
    points = [f"{side} {what}" for what in (*CALLS, "commit", "task") for side in ("before", "after")]
    return [name for name in points if name != "after notifications"]


class CrashPoints:
    """The points that this process passes, and the one at which it dies.

    Args:
        die_at: Where to die by SIGKILL; None: nowhere.
        instead: What happens there instead, in the thread that passes the point.

    Attributes:
        passed: The points passed so far, in order.

    Example:
        >>> points = CrashPoints()
        >>> points.passes("before append")
        >>> points.passed
        [Point(name='before append', number=1)]
    """

    def __init__(self, die_at: Point | None = None, instead: Callable[[], object] | None = None) -> None:
        self._die_at = die_at
        self._instead = instead or _die
        self._counts: dict[str, int] = {}
        self._counting = threading.Lock()  # the store's thread passes commits
        self.passed: list[Point] = []

    def passes(self, name: str) -> None:
        """Pass a point; do not return if the process is to die there."""
        with self._counting:
            number = self._counts[name] = self._counts.get(name, 0) + 1
            point = Point(name, number)
            self.passed.append(point)
        if point == self._die_at:
            self._instead()

    def watched(self, store: Store) -> Store:
        """Return the store with a point before and after each call; `after` is once the call's effect is guaranteed."""
        return cast("Store", _Watched(store, self))

    @contextmanager
    def installed(self) -> Generator[None]:
        """Pass points at commits and tasks too, in the whole process, until the block ends.

        Commits are those of SQLite stores that are opened meanwhile.
        """
        with ExitStack() as undone:
            self._watch_tasks(undone)
            self._watch_commits(undone)
            yield

    def _watch_tasks(self, undone: ExitStack) -> None:
        run = Attempt.run

        async def watched_run(attempt: Attempt) -> Event | None:
            self.passes("before task")
            event = await run(attempt)
            self.passes("after task")
            return event

        _replace(Attempt, "run", watched_run, undone)

    def _watch_commits(self, undone: ExitStack) -> None:
        from graphengine.databases.sqlite import checkpoints, worker  # noqa: PLC0415 - other stores do not need it
        from graphengine.databases.sqlite.writes import ADD_NEXT_STEP  # noqa: PLC0415

        points, connect = self, worker.connect

        class Watched(sqlite3.Connection):
            def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
                if sql != "COMMIT" and (sql != ADD_NEXT_STEP or self.in_transaction):  # a lone step commits itself
                    return super().execute(sql, parameters)
                points.passes("before commit")
                cursor = super().execute(sql, parameters)
                points.passes("after commit")
                return cursor

        def of_thread(uri: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
            return sqlite3.connect(
                uri,
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=busy_timeout_seconds,
                factory=Watched,
            )

        def for_steps(uri: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
            """Watch the event loop's own connection, the only one that waits for nothing; leave the lease's alone."""
            chosen = connect if busy_timeout_seconds else of_thread
            return chosen(uri, busy_timeout_seconds=busy_timeout_seconds)

        _replace(worker, "connect", of_thread, undone)
        _replace(checkpoints, "connect", for_steps, undone)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Watched:
    """A store whose protocol calls pass points; everything else is delegated to the store."""

    def __init__(self, store: Store, points: CrashPoints) -> None:
        self._store = store
        for name in CALLS:
            call = getattr(store, name)
            is_async = inspect.iscoroutinefunction(getattr(Store, name))
            setattr(self, name, (_watched_async if is_async else _watched_call)(call, name, points))

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def _watched_async(call: Callable[..., Awaitable[T]], name: str, points: CrashPoints) -> Callable[..., Awaitable[T]]:
    @wraps(call)
    async def watched(*args: object, **kwargs: object) -> T:
        points.passes(f"before {name}")
        result = await call(*args, **kwargs)
        points.passes(f"after {name}")
        return result

    return watched


def _watched_call(
    call: Callable[..., Awaitable[T] | None], name: str, points: CrashPoints
) -> Callable[..., Awaitable[T] | None]:
    """Return a call with points around it; it does part of its work at once, and any rest while it is awaited."""

    async def rest(pending: Awaitable[T]) -> T:
        result = await pending
        points.passes(f"after {name}")
        return result

    @wraps(call)
    def watched(*args: object, **kwargs: object) -> Awaitable[T] | None:
        points.passes(f"before {name}")
        pending = call(*args, **kwargs)
        if pending is not None:
            return rest(pending)
        points.passes(f"after {name}")
        return None

    return watched


def _replace(owner: object, name: str, value: object, undone: ExitStack) -> None:
    undone.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


__all__ = ["CALLS", "CrashPoints", "Point", "calls_of", "names"]
