"""The Runner of the fixture `runner`: open from its first use on, closed with the test, and able to die.

It is a Runner in everything that concerns runs. It can be made again over the same store, as by a process that restarts
after a crash (`graphengine.testing.crashes`).
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from graphengine.api.runner import Runner
from graphengine.calls.caller_line import ends_at_caller
from graphengine.errors import DefinitionError
from graphengine.executors.of_runner import ExecutorsByName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor
    from types import TracebackType

    from graphengine.engine.plan import Plan
    from graphengine.models.base import Model
    from graphengine.runner.clock import Clock
    from graphengine.runner.life import Life, Opening
    from graphengine.runner.run import Run
    from graphengine.stores.base import Store
    from graphengine.testing.crashes import DeathPoints

S = TypeVar("S")


@ends_at_caller
class OpenRunner(Runner):
    """A Runner for one test, which belongs to the event loop that first uses it.

    In an async test it needs no `async with` and is closed when the test function ends. In a plain one, enter it as any
    other Runner: `async with runner: …` inside `asyncio.run`.

    Args:
        store: The store of its runs.
        clock: Its clock.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._real = self._store = store
        self._models_given: dict[str, Model | str] = {}
        self._resources_given: dict[str, object] = {}
        self._executors_used: dict[str, Executor | Callable[[], Executor]] = {}
        self._points: DeathPoints | None = None
        self._started: list[Life[Any]] = []
        self._driven: list[str] = []
        self._guard: asyncio.Task[None] | None = None
        super().__init__(store, clock=clock)
        self._run_in_place()

    def use(
        self,
        *,
        models: Mapping[str, Model | str] | None = None,
        resources: Mapping[str, object] | None = None,
        executors: Mapping[str, Executor | Callable[[], Executor]] | None = None,
    ) -> None:
        """Replace models and resources, as `Runner(models=…, resources=…)` does; they add up.

        Args:
            models: Models in place of agents' own, by agent, path or `*`.
            resources: Ready-made resources, by name.
            executors: The executors of nodes with `on=`. Without any, these nodes run in place.

        Raises:
            DefinitionError: A run was started already.
        """
        self._unused("use")
        self._models_given |= models or {}
        self._resources_given |= resources or {}
        self._executors_used |= executors or {}
        self._reset()

    def die_at(self, points: DeathPoints) -> None:
        """Die at the point that these points name.

        Raises:
            DefinitionError: A run was started already.
        """
        self._unused("crash_at")
        self._points = points
        self._reset()

    @property
    def active(self) -> Sequence[Run[Any]]:
        """The runs that it is driving."""
        return [self._handle(life) for life in self._started if not life.task.done()]

    async def restart(self) -> None:
        """Become a new runner after a death: end the remaining tasks, and release the runs as the system would."""
        points = self._points
        if points is None:
            return
        shared = self._shared
        lives = [life.task for life in shared.lives]
        for life in lives:
            life.cancel()
        left: list[asyncio.Task[Any]] = [*shared.close(), *lives, *points.tasks]
        current = asyncio.current_task()
        await asyncio.gather(*(task for task in left if task is not current), return_exceptions=True)
        await shared.resources.close()
        for each in shared.extensions:
            await each.closed()
        shared.threads.shutdown()
        crashed = await points.release(self._real)
        self._points = None
        self._started.clear()
        self._reset(crashed)

    async def settle(self) -> None:
        """Close it at the end of a test, in the test's own event loop, and note what was still in progress."""
        if self._shared.closed or self._loop is None:
            return
        if self._points is not None and self._points.is_dead:
            await self.restart()
        await self.__aexit__(None, None, None)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        guard, self._guard = self._guard, None
        if guard is not None and guard is not asyncio.current_task():
            guard.cancel()
        asleep = self._shared.asleep
        driven = [life for life in self._started if not life.task.done() or life.task.cancelled()]
        self._driven = [life.id for life in driven if life.id not in asleep]
        await super().__aexit__(kind, error, trace)

    def check(self) -> None:
        """Check that the test left no run in progress.

        Raises:
            AssertionError: It did.
        """
        __tracebackhide__ = True
        cut_off = [] if self._shared.closed else [life.id for life in self._started if life.task.cancelled()]
        driven = self._driven or cut_off
        if driven:
            runs = f"run {driven[0]}" if len(driven) == 1 else f"runs {', '.join(driven)}"
            raise AssertionError(
                f"the test ended while its runner was driving {runs}\n"
                "  repair: await run.result(), or stop it: await runner.stop(run.id)"
            )

    def abandon(self) -> None:
        """Close the store and the threads if the event loop is gone and they are still open."""
        if self._shared.closed or self._loop is None:
            return
        self._shared.closed = True
        self._shared.threads.shutdown()
        close_leftover(self._real)

    def _live(self, plan: Plan[S], run_id: str, open_: Opening[S], **how: bool) -> Life[S]:
        if self._guard is None:
            self._guard = asyncio.create_task(self._close_with_loop(), name="closes the fixture runner")
        with nullcontext() if self._points is None else self._points.here():
            life = super()._live(plan, run_id, open_, **how)
        self._started.append(life)
        return life

    async def _close_with_loop(self) -> None:
        """Close it in its event loop if nothing else does: `asyncio.run` cancels what is left, and waits for it."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.settle()

    def _unused(self, what: str) -> None:
        if self._loop is not None:
            raise DefinitionError(
                f"{what} is too late: the runner of this test was used already",
                where="the fixture runner",
                repair=f"call {what} before the first run is started",
            )

    def _reset(self, crashed: Store | None = None) -> None:
        """Become a new Runner over the same store, or over the store after a crash."""
        self._store = crashed or self._store
        store = self._store if self._points is None else self._points.watched(self._store)
        given: dict[str, Any] = {"models": self._models_given, "resources": self._resources_given}
        super().__init__(store, **given, executors=self._executors_used, clock=self._clock)
        if not self._executors_used:
            self._run_in_place()

    def _run_in_place(self) -> None:
        """Run nodes with `on=` in place."""
        shared = self._shared
        shared.extensions = [each for each in shared.extensions if not isinstance(each, ExecutorsByName)]
        shared.executors = None


def close_leftover(store: Store) -> None:
    """Close a store that may still be open in an event loop that no longer exists."""
    abandon = getattr(store, "abandon", None)

    def close() -> None:
        if abandon is not None:
            abandon()
        else:
            asyncio.run(store.close())

    thread = threading.Thread(target=close, name="graphengine-test-close")  # a thread without an event loop
    thread.start()
    thread.join()


__all__ = ["OpenRunner", "close_leftover"]
