"""The Runner of the fixture `runner`, which opens at its first use and is closed at the end of the test."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from graphengine.agents.model_routing import by_agent
from graphengine.api.runner import Runner
from graphengine.errors import DefinitionError
from graphengine.executors.of_runner import ExecutorsByName
from graphengine.runner.life import Lives

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from types import TracebackType

    from graphengine.agents.model_routing import GivenModels
    from graphengine.kernel.extension import Clock, Effects, Plan
    from graphengine.kernel.inside import Claim
    from graphengine.kernel.store import Store
    from graphengine.models.base import Model
    from graphengine.runner.life import Life, Opening
    from graphengine.runner.shared import Shared

S = TypeVar("S")


class OpenRunner(Runner):
    """The Runner of the fixture `runner`. It needs no `async with`, and belongs to the event loop that first uses it.

    The fixture `runner` closes its Runner at the end of an async test function. In a test function that is not async,
    enter the Runner like any other, with `async with runner: …` in a coroutine that is passed to `asyncio.run`.

    Args:
        store: The store of the runs.
        clock: The clock of the runs.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._models_given: dict[str, Model | str] = {}
        self._resources_given: dict[str, object] = {}
        self._executors_used: dict[str, Executor | Callable[[], Executor]] = {}
        self._started: list[Life[Any]] = []
        self._driven: list[str] = []
        self._guard: asyncio.Task[None] | None = None
        self._effects: Effects = {}
        super().__init__(store, clock=clock, effects=self._effects, run_again=True)
        self._lives = _NotedLives(self._shared, self)
        self._run_in_place()

    def use(
        self,
        *,
        models: GivenModels | None = None,
        resources: Mapping[str, object] | None = None,
        executors: Mapping[str, Executor | Callable[[], Executor]] | None = None,
        effects: Effects | None = None,
    ) -> None:
        """Replace models, resources, executors and effects for this test, like the arguments of `Runner`.

        Several calls of `use` add to each other. Only `effects=` replaces the effects of earlier calls.

        Args:
            models: Models in place of the agents' own models, as for `Runner(models=…)`.
            resources: Resources by name, as finished objects.
            executors: The executors of nodes with `on=`. If no executors are given, these nodes run in place.
            effects: Replacements for functions, tools and nodes that act outside the run, as for `Runner(effects=…)`.
                With `"act"`, effects are carried out. By default a test refuses effects.

        Raises:
            DefinitionError: The Runner has already been used.
        """
        if self._lives.loop is not None:
            raise DefinitionError(
                "runner.use(…) was called after the runner had already been used in this test",
                where="the fixture runner",
                repair="call runner.use(…) before the first run is started",
            )
        self._models_given |= by_agent(models)
        self._resources_given |= resources or {}
        self._executors_used |= executors or {}
        self._effects = self._effects if effects is None else effects
        replaced: dict[str, Any] = {"models": self._models_given, "resources": self._resources_given}
        replaced["effects"], replaced["run_again"] = self._effects, True
        super().__init__(self.store, **replaced, executors=self._executors_used, clock=self._shared.clock)
        self._lives = _NotedLives(self._shared, self)
        if not self._executors_used:
            self._run_in_place()

    async def settle(self) -> None:
        """Close the Runner at the end of the test function, and remember which runs were still in progress."""
        if self._shared.closed or self._lives.loop is None:
            return
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
        """Fail the test if a run was still in progress at its end.

        Raises:
            AssertionError: A run was in progress.
        """
        __tracebackhide__ = True
        cut_off = [] if self._shared.closed else [life.id for life in self._started if life.task.cancelled()]
        driven = self._driven or cut_off
        if driven:
            runs = f"run {driven[0]}" if len(driven) == 1 else f"runs {', '.join(driven)}"
            raise AssertionError(
                f"the test ended while its runner was driving {runs}\n"
                "  repair: await run.result(), or stop the run: await runner.stop(run.id)"
            )

    def abandon(self) -> None:
        """Close the store and the threads of a Runner that is still open after the test.

        The event loop of the test no longer runs then, so the Runner itself cannot be closed any more.
        """
        if self._shared.closed or self._lives.loop is None:
            return
        self._shared.closed = True
        self._shared.threads.shutdown(wait=False)
        close_leftover(self.store)

    def note(self, life: Life[Any]) -> None:
        """Remember a run that this Runner drives, so that `check` can report it if it is unfinished when the test ends.

        The first run also starts the task that closes the Runner when the event loop ends.
        """
        if self._guard is None:
            self._guard = asyncio.create_task(self._close_with_loop(), name="closes the fixture runner")
        self._started.append(life)

    async def _close_with_loop(self) -> None:
        """Wait until the event loop ends, and then close the Runner, unless the test has already closed it.

        `asyncio.run` cancels all remaining tasks at its end and waits for them. This task uses its cancellation as the
        signal.
        """
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.settle()

    def _run_in_place(self) -> None:
        """Make nodes with `on=` run in this process, by removing their executors from this Runner."""
        shared = self._shared
        shared.extensions = [each for each in shared.extensions if not isinstance(each, ExecutorsByName)]
        shared.checking = [each for each in shared.checking if not isinstance(each, ExecutorsByName)]
        shared.executors = None


class _NotedLives(Lives):
    """Registers each run that a test's Runner begins to drive, so that the test fails if a run stays unfinished."""

    def __init__(self, shared: Shared[Life[Any]], runner: OpenRunner) -> None:
        super().__init__(shared)
        self._runner = runner

    def begin(self, plan: Plan[S], run_id: str, open_: Opening[S], claim: Claim | None = None) -> Life[S]:
        life = super().begin(plan, run_id, open_, claim)
        self._runner.note(life)
        return life


def close_leftover(store: Store) -> None:
    """Close a store that a test has not closed, although the event loop in which the test used the store has ended."""
    abandon = getattr(store, "abandon", None)

    def close() -> None:
        if abandon is not None:
            abandon()
        else:
            asyncio.run(store.close())

    # A new thread has no running event loop, so `asyncio.run` is allowed there.
    thread = threading.Thread(target=close, name="graphengine-test-close")
    thread.start()
    thread.join()


__all__ = ["OpenRunner", "close_leftover"]
