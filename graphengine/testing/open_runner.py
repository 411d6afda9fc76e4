"""The Runner of the fixture `runner`: open from its first use on, and closed with the test."""

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
    """A Runner for one test, which belongs to the event loop that first uses it.

    In an async test, use the fixture without `async with`. It is closed when the test function ends. In a test that is
    not async, enter it like any other Runner, with `async with runner: …` inside `asyncio.run`.

    Args:
        store: The store of its runs.
        clock: Its clock.
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
        """Replace models and resources, as `Runner(models=…, resources=…)` does; they add up.

        Args:
            models: Models in place of agents' own, as `Runner(models=…)` takes them.
            resources: Ready-made resources, by name.
            executors: The executors of nodes with `on=`. Without any, these nodes run in place.
            effects: What is called in place of what acts outside the run, as `Runner(effects=…)` takes it, or `"act"`
                to let it act. In a test effects are refused.

        Raises:
            DefinitionError: A run was started already.
        """
        if self._lives.loop is not None:
            raise DefinitionError(
                "use is too late: the runner of this test was used already",
                where="the fixture runner",
                repair="call use before the first run is started",
            )
        self._models_given |= by_agent(models)
        self._resources_given |= resources or {}
        self._executors_used |= executors or {}
        self._effects = self._effects if effects is None else effects
        given: dict[str, Any] = {"models": self._models_given, "resources": self._resources_given}
        given["effects"], given["run_again"] = self._effects, True
        super().__init__(self.store, **given, executors=self._executors_used, clock=self._shared.clock)
        self._lives = _NotedLives(self._shared, self)
        if not self._executors_used:
            self._run_in_place()

    async def settle(self) -> None:
        """Close it at the end of a test, in the test's own event loop, and note what was still in progress."""
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
        if self._shared.closed or self._lives.loop is None:
            return
        self._shared.closed = True
        self._shared.threads.shutdown(wait=False)
        close_leftover(self.store)

    def note(self, life: Life[Any]) -> None:
        """Note a run that begins to live here, and close with the event loop."""
        if self._guard is None:
            self._guard = asyncio.create_task(self._close_with_loop(), name="closes the fixture runner")
        self._started.append(life)

    async def _close_with_loop(self) -> None:
        """Close it in its event loop if nothing else does: `asyncio.run` cancels what is left, and waits for it."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.settle()

    def _run_in_place(self) -> None:
        """Run nodes with `on=` in place."""
        shared = self._shared
        shared.extensions = [each for each in shared.extensions if not isinstance(each, ExecutorsByName)]
        shared.checking = [each for each in shared.checking if not isinstance(each, ExecutorsByName)]
        shared.executors = None


class _NotedLives(Lives):
    """The lives of the runs of a test, which its runner notes."""

    def __init__(self, shared: Shared[Life[Any]], runner: OpenRunner) -> None:
        super().__init__(shared)
        self._runner = runner

    def begin(self, plan: Plan[S], run_id: str, open_: Opening[S], claim: Claim | None = None) -> Life[S]:
        life = super().begin(plan, run_id, open_, claim)
        self._runner.note(life)
        return life


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
