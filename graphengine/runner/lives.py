"""The runs that are alive in one Runner: found by their id, and begun.

The Runner, its handles, workers and commands share it. Nothing of it is public.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, TypeVar

from graphengine.engine.claim import Claim
from graphengine.errors import DefinitionError, RunnerClosed
from graphengine.runner.import_guard import IS_IMPORTING, RunAtImport
from graphengine.runner.life import Life

if TYPE_CHECKING:
    from graphengine.engine.plan import Plan
    from graphengine.runner.life import Opening
    from graphengine.runner.shared import Shared

S = TypeVar("S")


class Lives:
    """The lives of a Runner's runs.

    Attributes:
        shared: What they share.
        loop: The event loop that first used the Runner.
    """

    def __init__(self, shared: Shared[Life[Any]]) -> None:
        self.shared = shared
        self._pid = os.getpid()
        self.loop: asyncio.AbstractEventLoop | None = None

    def check_usable(self) -> None:
        """Check that the Runner is open, in its process and event loop. Raises: RunnerClosed, DefinitionError."""
        if IS_IMPORTING.get():
            raise RunAtImport
        if self.shared.closed or self._pid != os.getpid():
            forked = "" if self.shared.closed else ", in a process that was forked from the one that created it"
            raise RunnerClosed(f"this Runner is closed{forked}", repair="create a new one: async with Runner(path)")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            raise DefinitionError(
                "a Runner was used where no event loop is running",
                repair="in a script: SyncRunner(path) or graph.run_sync(state); in async code: async with Runner(path)",
            )
        if self.loop is not None and self.loop is not loop:
            raise RunnerClosed(
                "this Runner belongs to another event loop", repair="create one in each: async with Runner(path)"
            )
        self.loop = loop

    def checked(self, plan: Plan[S], *, is_queued: bool = False) -> Plan[S]:
        """Return a plan that is about to be run, if it has what it needs here. Raises: as `Runner.start`."""
        self.check_usable()
        resources = self.shared.resources
        if resources.replaced:
            resources.check({name: make for here in plan.nest for name, make in here.resources.items()})
        for each in self.shared.checking:
            each.checked(plan, is_queued=is_queued)
        return plan

    async def known(self, run_id: str) -> None:
        """Wait until a run that was just started here is recorded, so that the store can be queried for it."""
        self.check_usable()
        await self.shared.store.open()
        while (life := self.of(run_id)) is not None and not (life.seq or life.claim.held_back):
            await life.until("begun")
            self.check_usable()

    def of(self, run_id: str) -> Life[Any] | None:
        """Return the life of a run that is alive here."""
        driven = self.shared.driven.get(run_id)
        if driven is not None:
            return driven
        lives = (life for life in self.shared.lives if life.id == run_id and not life.task.done())
        return min(lives, key=lambda life: (life.claim.state == "parked", not life.seq), default=None)

    def begin(self, plan: Plan[S], run_id: str, open_: Opening[S], claim: Claim | None = None) -> Life[S]:
        """Let a run live here, from its opening to its result."""
        return Life(self.shared, run_id, plan, open_, claim or Claim())


__all__ = ["Lives"]
