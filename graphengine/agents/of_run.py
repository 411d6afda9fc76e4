"""The agents of one run, as its follower; every run has it, so what it needs is imported when an agent is called."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from graphengine.runner.followers import Follower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.agents.budget import Budgets
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.models.base import Model
    from graphengine.runner.clock import Clock


class Opens(Protocol):
    """A resource that is opened before use, and closed after it."""

    async def open(self) -> Sequence[Any]:
        """Open it. Return its content."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


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
        clock: The clock of the limiters of models; None for that of the machine.
        snapshot: The run.
    """

    def __init__(self, models: Routes, clock: Clock | None, snapshot: Snapshot) -> None:
        self.models, self.clock, self.snapshot = models, clock, snapshot

    @cached_property
    def budgets(self) -> Budgets:
        """The reservations of calls."""
        from graphengine.agents.budget import Budgets  # noqa: PLC0415 - imported only if agents are called

        return Budgets(self.snapshot)

    def ended(self, frame: Frame) -> None:
        """Let waiting calls look at their limits again."""
        if "budgets" in vars(self):
            self.budgets.recorded(frame)
