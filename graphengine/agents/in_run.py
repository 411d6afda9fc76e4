"""Agents as an extension of the runner: the choice of models, budgets, and what an agent needs of a run."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from graphengine.agents.budget import Budgets
from graphengine.agents.live_events import Live
from graphengine.agents.run_scope import CURRENT
from graphengine.agents.waits import RunWaits
from graphengine.engine.frame_tree import add_usage
from graphengine.engine.ready import limit_over, limits_costs
from graphengine.engine.steps import WaitRecord
from graphengine.errors import PriceUnknown
from graphengine.models.base import KnowsPrices
from graphengine.runner.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from graphengine.agents.model_routing import Models
    from graphengine.agents.run_scope import Opens, Scope
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.errors import ModelTransient
    from graphengine.models.base import Model, Request
    from graphengine.models.line import Clock, Waits
    from graphengine.runner.extensions import OpenRun
    from graphengine.state.amounts import Usage


class Agents:
    """The agents of a Runner's runs: an extension, see `graphengine.runner.extensions`.

    Args:
        models: The models of the Runner.
        clock: The clock of the lanes of models.
    """

    def __init__(self, models: Models, clock: Clock) -> None:
        self.models, self.clock = models, clock

    @property
    def is_used(self) -> bool:
        """Whether anything is to be closed."""
        return self.models.is_used

    def checked(self, plan: Plan[Any]) -> None:
        """Check the names of models."""
        self.models.check(plan)

    async def opened(self, run: OpenRun) -> AgentsOfRun:
        """Follow a run."""
        return AgentsOfRun(self, run.snapshot)

    async def closed(self) -> None:
        """Close models and tool sources."""
        await self.models.close()


class AgentsOfRun:
    """The agents of one run."""

    def __init__(self, agents: Agents, snapshot: Snapshot) -> None:
        self.agents, self.snapshot = agents, snapshot

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


class InRun:
    """The run's side of an agent's call: `graphengine.agents.run_scope.Scope`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._around, self._frame = context._surroundings, context._frame
        self._work = context._work
        found = (each for each in self._around.followers if isinstance(each, AgentsOfRun))
        self._run = next(found)
        for name in _OF_CONTEXT:
            setattr(self, name, getattr(context, name))

    @property
    def loop(self) -> Any:
        """The event loop of the run."""
        return self._around.loop

    def model_for(self, agent: str, own: str | Model) -> Model:
        """Return the model of an agent here: the Runner's replacement, or the agent's own."""
        return self._run.agents.models.of(self._around.graph, self._context.path, agent, own)

    async def may_call(self, model: Model) -> None:
        """Return if a model may be called now. If the run must stop first, never return; recorded work is kept.

        A tool's call in which that happens is cut off, and repeated when the run is resumed, with the work recorded
        inside it. A call that the node records with `ctx.step` finishes first.

        Raises:
            PriceUnknown: A limit on costs is in force, and the model's price is not known.
            DefinitionError: The node has ended, or was cancelled.
            StoreError: A step could not be recorded, and the run ends.
        """
        around, frame, work = self._around, self._frame, self._work("")
        work.over = work.over or around.snapshot.frames.get(frame.id) is not frame
        work.check_not_over("an agent")
        around.host.check()
        if (around.host.is_halting or limit_over(around.snapshot, frame)) and not work.is_inside:
            await work.halt()
        if not limits_costs(around.snapshot, frame) or not isinstance(model, KnowsPrices):
            return
        with self._context.keeping():
            if not await model.knows_price():
                raise PriceUnknown(
                    f"the price of {model.name} is not known, and a limit on costs is in force",
                    where=f"node {self._context.path}",
                    repair="allow it: Limits(cost_usd=…, unknown_cost=True); or give the model price=Price(…)",
                )

    async def sleep_for(self, seconds: float, what: str) -> None:
        """Wait, with the run stored as waiting."""
        wait = WaitRecord(kind="sleep", question=what, due=self._around.wall() + seconds)
        with self._run.budgets.asleep(self._frame, self._work("").below):
            await self._work("").wait(wait, what, None)

    def live(self, agent: str) -> Live | None:
        """Return what shows the live events of a call of an agent."""
        host, guard, context = self._around.host, self._around.guard, self._context
        return Live(agent, context.path, context.attempt, host.show, lambda: host.is_watched, host.in_flight, guard)

    async def opened(self, source: Opens) -> Sequence[Any]:
        """Return the tools of a source, which stays open as long as the Runner."""
        return await self._run.agents.models.opened(source)

    @property
    def waits(self) -> Waits:
        """How to wait for a model: by the Runner's clock, until the run stops or reaches a limit."""
        around = self._around
        return RunWaits(self._run.agents.clock, around.host, around.snapshot, self._frame, self._work(""))

    def pause_after(self, error: ModelTransient, tries: int) -> float | None:
        """Return None: the node's `retry=` decides."""
        return None

    async def reserved(self, model: Model, request: Request) -> AbstractContextManager[Callable[[Usage], None]]:
        """Reserve what a call may use of the limits, once it fits."""
        below = self._work("").below
        return await self._run.budgets.held(self._frame, model, request, self.waits.first_of, below)

    def paid(self, usage: Usage) -> None:
        """Add the usage of a model call that is not recorded as a piece of work."""
        self._context.usage = add_usage(self._context.usage or {}, usage)
        self._run.budgets.unrecorded(self._frame, usage)


_OF_CONTEXT: Final = (
    "run_id", "path", "attempt", "given", "place", "recorded", "group", "may_record", "call", "piece", "keeping",
    "may_sleep", "has_slept", "approved", "blocking",
)  # fmt: skip
