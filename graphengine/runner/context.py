"""The Context: what a node may know and do beside reading fields and returning a result."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphengine.core.steps import path_of
from graphengine.runner.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from graphengine.core.snapshot import Task
    from graphengine.models.base import Model, Response

_USAGE = ("calls", "offline_calls", "input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the contexts of a run have in common."""

    run_id: str
    models: Mapping[str, Model]
    now: Callable[[], float]
    emit: Callable[[str, object], None]
    threads: Callable[[], Executor]
    loop: asyncio.AbstractEventLoop


class Context:
    """One attempt of one visit of a node; declare a parameter `ctx: Context` to get it.

    Attributes:
        usage: What models did in this attempt so far.
    """

    __slots__ = ("_random", "_surroundings", "_task", "usage")

    def __init__(self, task: Task, surroundings: Surroundings) -> None:
        self.usage: dict[str, float | None] | None = None
        self._task = task
        self._surroundings = surroundings
        self._random: random.Random | None = None

    @property
    def run_id(self) -> str:
        """The run."""
        return self._surroundings.run_id

    @property
    def node(self) -> str:
        """The node's name."""
        return self._task.node

    @property
    def path(self) -> str:
        """The node's place in the run, as `article/review`."""
        return path_of(self._task.frame, self._task.node)

    @property
    def visit(self) -> int:
        """Which visit of the node this is, from 1."""
        return self._task.visit

    @property
    def attempt(self) -> int:
        """Which attempt of the visit this is, from 1."""
        return self._task.attempt

    @property
    def idempotency_key(self) -> str:
        """The same over retries and resumes of this visit, another in each visit and branch."""
        return f"{self.run_id}/{self.path}/{self.visit}"

    @property
    def random(self) -> random.Random:
        """A random generator with a seed of this visit's own: an attempt that is run again draws the same numbers."""
        if self._random is None:
            self._random = random.Random(self.idempotency_key)  # noqa: S311 - for repeatable choices, not for secrets
        return self._random

    def now(self) -> float:
        """The time, epoch seconds."""
        return self._surroundings.now()

    def emit(self, data: object) -> None:
        """Show something to whoever watches the run live; it is not recorded."""
        self._surroundings.emit(self.path, data)

    def model_for(self, agent: str) -> Model | None:
        """The model that the run wants this agent to use, None for the agent's own."""
        return self._surroundings.models.get(agent)

    async def blocking(self, function: Callable[[], object]) -> object:
        """Call a function that blocks in a thread of the runner's pool."""
        if asyncio.get_running_loop() is not self._surroundings.loop:
            return await asyncio.to_thread(function)  # called in a thread of the pool: two more might never be free
        return await in_thread(self._surroundings.threads(), function)

    def paid(self, response: Response) -> None:
        """Count what a model's answer cost."""
        used = self.usage or {**dict.fromkeys(_USAGE, 0), "cost_usd": 0.0}
        used["calls"] = (used["calls"] or 0) + 1
        used["offline_calls"] = (used["offline_calls"] or 0) + response.offline
        used["input_tokens"] = (used["input_tokens"] or 0) + response.input_tokens
        used["output_tokens"] = (used["output_tokens"] or 0) + response.output_tokens
        cost = used["cost_usd"]
        used["cost_usd"] = None if cost is None or response.cost_usd is None else cost + response.cost_usd
        self.usage = used
