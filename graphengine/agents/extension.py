"""Agents as an extension of a Runner: the models that replace their own, and what they need of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.agents.in_run import AgentsOfRun
from graphengine.agents.model_routing import Models
from graphengine.models.line import MACHINE_CLOCK
from graphengine.runner.clock import SystemClock
from graphengine.runner.extensions import Extension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.engine.plan import Plan
    from graphengine.models.base import Model
    from graphengine.models.line import Clock
    from graphengine.runner.extensions import OpenRun


class Agents(Extension):
    """The agents of a Runner's runs.

    Args:
        models: The models that replace agents' own, as `Runner` takes them.
        clock: The clock of the Runner; lanes of models count by that of the machine, unless a test gives another.
    """

    def __init__(self, models: Mapping[str, Model | str], clock: Clock | None = None) -> None:
        self._models = Models(models)
        self._clock = MACHINE_CLOCK if clock is None or isinstance(clock, SystemClock) else clock

    @property
    def is_used(self) -> bool:
        """Whether anything is to be closed."""
        return self._models.is_used

    def checked(self, plan: Plan[Any], *, is_queued: bool) -> None:  # noqa: ARG002 - also for a worker
        """Check the names of models."""
        self._models.check(plan)

    async def opened(self, run: OpenRun) -> AgentsOfRun:
        """Follow a run."""
        return AgentsOfRun(self._models, self._clock, run.snapshot)

    async def closed(self) -> None:
        """Close models and tool sources."""
        await self._models.close()
