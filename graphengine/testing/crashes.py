"""A crash inside a test: the fixture's runner dies at a named point, and the test continues with a new one.

    async def test_nothing_is_written_twice(runner, crash_at):
        crash = crash_at("after append", 3)
        run = runner.start(graph, {"task": "x"})
        await crash.happened()
        result = await runner.resume(graph, run.id).result()

From that point on nothing of the dead runner reaches the store, its tasks are cancelled, and its claims are released,
as the system releases the lock of a dead process. After `happened` the fixture's runner is a new one over the same
store, with no memory of the old one. Unlike in a real death, a cancelled node still runs its `finally`, and a sync
node's thread runs to its end. If that matters, kill a process with `graphengine.testing.crash_points`, which has
the points of commits too.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from graphengine.calls.caller_line import ends_at_caller
from graphengine.calls.interrupts import Interrupt
from graphengine.errors import DefinitionError
from graphengine.runner.attempt import TaskRunner
from graphengine.state.path import did_you_mean
from graphengine.testing.crash_points import CALLS, CrashPoints, Point

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from graphengine.engine.events import Event
    from graphengine.engine.outline import Outline
    from graphengine.engine.snapshot import Task
    from graphengine.engine.steps import Step
    from graphengine.stores.base import RunInfo, Store
    from graphengine.testing.open_runner import OpenRunner

POINTS: Final[Sequence[str]] = [f"{side} {what}" for what in (*CALLS, "task") for side in ("before", "after")]
"""Where a runner can die: before and after each call of the store, and each task of a node."""


class Died(Interrupt):
    """Ends the work of a dead runner; neither nodes nor the engine handle it as an error of theirs."""


class DeathPoints(CrashPoints):
    """The points that one runner passes, and the one at which it dies.

    Args:
        die_at: The point at which it dies.

    Attributes:
        is_dead: Whether it died. Nothing of it reaches the store any longer.
        tasks: The asyncio tasks in which it died.
        fences: The runs that it drives or drove, with their fences.
    """

    def __init__(self, die_at: Point) -> None:
        super().__init__(die_at)
        self.is_dead = False
        self.tasks: list[asyncio.Task[object]] = []
        self.fences: dict[str, int] = {}

    def passes(self, name: str) -> None:
        """Pass a point, or die there.

        Raises:
            Died: It dies here, or did before.
        """
        if self.is_dead:
            self._note()
            raise Died
        super().passes(name)

    def watched(self, store: Store) -> Store:
        """Return the store, with its points, for this runner alone."""
        return super().watched(cast("Store", _Fenced(store, self.fences)))

    async def release(self, store: Store) -> Store:
        """Release its claims, as the system releases a dead process's lock.

        Returns:
            The store as the next runner finds it: runs in progress count as left by a crash, until they are claimed.
        """
        left: set[str] = set()
        for run_id, fence in self.fences.items():
            if (await store.info(run_id)).held:
                left.add(run_id)
                await store.release(run_id, fence)
        return cast("Store", _Left(store, left))

    @contextmanager
    def here(self) -> Generator[None]:
        """Let tasks that are started inside pass these points too."""
        _watch_tasks()
        before = _HERE.set(self)
        try:
            yield
        finally:
            _HERE.reset(before)

    def _die(self, point: Point) -> None:
        self.is_dead = True
        self._note()
        raise Died(str(point))

    def _note(self) -> None:
        """Remember the task in which it died, so that asyncio does not log its exception."""
        task = asyncio.current_task()
        if task is not None:
            self.tasks.append(task)


class Crash:
    """One death that a test has requested."""

    def __init__(self, runner: OpenRunner, point: Point, points: DeathPoints) -> None:
        self._runner = runner
        self._point = point
        self._points = points

    @property
    def is_over(self) -> bool:
        """Whether the runner died."""
        return self._points.is_dead

    async def happened(self) -> None:
        """Return once the runner has died; the fixture's runner is then a new one over the same store.

        Raises:
            AssertionError: Its runs ended without passing the point; the text lists the points that they passed.
        """
        while not self._points.is_dead and (active := self._runner.active):
            await asyncio.wait(
                {asyncio.ensure_future(run.ended()) for run in active}, return_when=asyncio.FIRST_COMPLETED
            )
        self.check()
        await self._runner.restart()

    def check(self) -> None:
        """Check that the runner died.

        Raises:
            AssertionError: It did not.
        """
        __tracebackhide__ = True
        if self._points.is_dead:
            return
        counts: dict[str, int] = {}
        for point in self._points.passed:
            counts[point.name] = point.number
        listed = "".join(f"\n    {name}: {count}" for name, count in counts.items()) or " none"
        raise AssertionError(
            f"the runner never reached {self._point.name!r} for the {self._point.number}. time; it passed{listed}\n"
            "  repair: choose one of these points, and a number up to its count"
        )


@ends_at_caller
class CrashAt:
    """The fixture `crash_at`, which sets where the test's runner dies."""

    def __init__(self, runner: OpenRunner) -> None:
        self._runner = runner
        self._crashes: list[Crash] = []

    def __call__(self, point: str, number: int = 1) -> Crash:
        """Let the runner die when it passes a point; call it before a run is started.

        Args:
            point: `before` or `after`, and a method of the Store protocol or `task`: "after append".
            number: The number of the pass, from 1.

        Raises:
            DefinitionError: There is no such point, or a run was started already.
        """
        if point not in POINTS:
            raise DefinitionError(f"there is no point {point!r}", where="crash_at", repair=_suggestion(point))
        if number < 1:
            raise DefinitionError(f"crash_at({point!r}, {number})", repair="count from 1")
        where = Point(point, number)
        points = DeathPoints(where)
        self._runner.die_at(points)
        crash = Crash(self._runner, where, points)
        self._crashes.append(crash)
        return crash

    def check(self) -> None:
        """Check that every requested death happened."""
        __tracebackhide__ = True
        for crash in self._crashes:
            crash.check()


class _Fenced:
    """A store that notes the fence of each claim."""

    def __init__(self, store: Store, fences: dict[str, int]) -> None:
        self._store = store
        self._fences = fences

    async def create(self, info: RunInfo, steps: Sequence[Step], outline: Outline) -> int:
        """Record a run; see `Store.create`."""
        self._fences[info.id] = fence = await self._store.create(info, steps, outline)
        return fence

    async def claim(self, run_id: str) -> int:
        """Become a run's driver; see `Store.claim`."""
        self._fences[run_id] = fence = await self._store.claim(run_id)
        return fence

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


class _Left:
    """A store in which some runs were left by a crash."""

    def __init__(self, store: Store, left: set[str]) -> None:
        self._store = store
        self._left = left

    async def info(self, run_id: str) -> RunInfo:
        """Return the store's facts about a run; see `Store.info`."""
        found = await self._store.info(run_id)
        return replace(found, held=True) if run_id in self._left else found

    async def claim(self, run_id: str) -> int:
        """Become a run's driver; see `Store.claim`."""
        fence = await self._store.claim(run_id)
        self._left.discard(run_id)
        return fence

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


_watched: Final[set[str]] = set()
_HERE: Final[ContextVar[DeathPoints | None]] = ContextVar("graphengine_death", default=None)


def _watch_tasks() -> None:
    """Make all tasks from now on pass the points of their runner."""
    if _watched:
        return
    run = TaskRunner.run

    async def passing(tasks: TaskRunner, task: Task) -> Event | None:
        points = _HERE.get()
        if points is None:
            return await run(tasks, task)
        points.passes("before task")
        event = await run(tasks, task)
        points.passes("after task")
        return event

    _watched.add("run")
    TaskRunner.run = cast("Any", passing)  # type: ignore[method-assign]


def _suggestion(point: str) -> str:
    if point.endswith(" commit"):
        return (
            "commits belong to a process: use 'after append', or graphengine.testing.crash_points in a separate process"
        )
    return did_you_mean(point, POINTS) or f"choose one of {', '.join(POINTS)}"


__all__ = ["POINTS", "Crash", "CrashAt", "DeathPoints", "Died"]
