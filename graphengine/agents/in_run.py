"""An agent in a run: its model, its budget, and what else it needs of the run."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from graphengine.agents.budget import Budgets
from graphengine.agents.live_events import Live
from graphengine.agents.waits import RunWaits
from graphengine.engine.frame_tree import add_usage
from graphengine.engine.ready import limit_over, limits_costs
from graphengine.engine.steps import WaitRecord
from graphengine.errors import PriceUnknown
from graphengine.models.base import KnowsPrices
from graphengine.runner.context import Context, NodeScope
from graphengine.runner.followers import Follower
from graphengine.runner.scope import CURRENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from graphengine.agents.run_scope import Opens, Scope
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.errors import ModelTransient
    from graphengine.models.base import Model, Request
    from graphengine.models.limiter import Waits
    from graphengine.runner.clock import Clock
    from graphengine.state.amounts import Usage


class Routes(Protocol):
    """The models of a Runner: `graphengine.agents.model_routing.Models`."""

    def of(self, graph: str, path: str, agent: str, own: Model | str) -> Model:
        """Return the model of an agent at a path in a run of this graph."""
        ...

    async def tools_of(self, source: Opens) -> Sequence[Any]:
        """Return the tools of a source, which stays open as long as the Runner."""
        ...


class AgentsOfRun(Follower):
    """The agents of one run.

    Args:
        models: The models of the Runner.
        clock: The clock of the limiters of models.
        snapshot: The run.
    """

    def __init__(self, models: Routes, clock: Clock, snapshot: Snapshot) -> None:
        self.models, self.clock, self.snapshot = models, clock, snapshot

    @cached_property
    def budgets(self) -> Budgets:
        """The reservations of calls."""
        return Budgets(self.snapshot)

    def ended(self, frame: Frame) -> None:
        """Let waiting calls look at their limits again."""
        self.budgets.recorded(frame)


def scope_here() -> Scope | None:
    """Return the run's side of an agent's call; None outside a run."""
    context = CURRENT.get()
    return InRun(context) if isinstance(context, Context) else context


class InRun(NodeScope):
    """The run's side of an agent's call: `graphengine.agents.run_scope.Scope`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._run = next(each for each in self.around.following.all if isinstance(each, AgentsOfRun))

    def model_for(self, agent: str, own: str | Model) -> Model:
        """Return the model of an agent here: the Runner's replacement, or the agent's own."""
        return self._run.models.of(self.around.graph, self.context.path, agent, own)

    async def may_call(self, model: Model) -> None:
        """Return if a model may be called now. If the run must stop first, never return; recorded work is kept.

        A tool's call in which that happens is cut off, and repeated when the run is resumed, with the work recorded
        inside it. A call that the node records with `ctx.step` finishes first.

        Raises:
            PriceUnknown: A limit on costs is in force, and the model's price is not known.
            DefinitionError: The node has ended, or was cancelled.
            StoreError: A step could not be recorded, and the run ends.
        """
        around, frame, work = self.around, self.frame, self.work
        work.over = work.over or around.snapshot.frames.get(frame.id) is not frame
        work.check_not_over("an agent")
        around.host.check()
        if (around.host.is_halting or limit_over(around.snapshot, frame)) and not work.is_inside:
            await work.halt()
        if not limits_costs(around.snapshot, frame) or not isinstance(model, KnowsPrices):
            return
        if not await model.knows_price():
            raise PriceUnknown(
                f"the price of {model.name} is not known, and a limit on costs is in force",
                where=f"node {self.context.path}",
                repair="allow it: Limits(cost_usd=…, unknown_cost=True); or give the model price=Price(…)",
            )

    async def sleep_for(self, seconds: float, what: str) -> None:
        """Wait, with the run stored as waiting."""
        wait = WaitRecord(kind="sleep", question=what, due=self.around.wall() + seconds)
        with self._run.budgets.asleep(self.frame, self.work.below):
            await self.work.wait(wait, what, None)

    def live(self, agent: str) -> Live | None:
        """Return what shows the live events of a call of an agent."""
        host, guard, context = self.around.host, self.around.guard, self.context
        return Live(agent, context.path, context.attempt, host.show, lambda: host.is_watched, host.in_flight, guard)

    async def opened(self, source: Opens) -> Sequence[Any]:
        """Return the tools of a source, which stays open as long as the Runner."""
        return await self._run.models.tools_of(source)

    @property
    def waits(self) -> Waits:
        """How to wait for a model: by the Runner's clock, until the run stops or reaches a limit."""
        around = self.around
        return RunWaits(self._run.clock, around.host, around.snapshot, self.frame, self.work)

    def pause_after(self, error: ModelTransient, tries: int) -> float | None:  # noqa: ARG002 - nothing is repeated here
        """Return None: the node's `retry=` decides."""
        return None

    async def reserved(self, model: Model, request: Request) -> AbstractContextManager[Callable[[Usage], None]]:
        """Reserve what a call may use of the limits, once it fits."""
        below = self.work.below
        return await self._run.budgets.held(self.frame, model, request, self.waits.first_of, below)

    def paid(self, usage: Usage) -> None:
        """Add the usage of a model call that is not recorded as a piece of work."""
        self.context.usage = add_usage(self.context.usage or {}, usage)
        self._run.budgets.unrecorded(self.frame, usage)
