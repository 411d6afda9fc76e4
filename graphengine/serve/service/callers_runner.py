"""What the doors of a service do with its Runner: what the caller may, with the runs that exist for them.

Each call checks the right that it takes and whose run it is, so that no door can leave that out.
"""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from graphengine.kernel import UnknownRun, ask_anew
from graphengine.serve.callers import CallersStore, caller, require, signed_by

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from graphengine.api.graph import Graph
    from graphengine.api.runner import Runner
    from graphengine.kernel import At, Event, RunInfo, Step
    from graphengine.serve.callers import Right


class CallersRunner:
    """A Runner, as the caller may use it.

    Every call raises `NotAllowed` to a caller without the right, whether there is such a run or not, and then
    `UnknownRun` if there is none for the caller.

    Attributes:
        store: The reads of its store.

    Args:
        runner: The Runner.
        graphs: The graphs whose runs there are, by name.
        drives: Whether a run may be driven here, and not only by workers elsewhere.
    """

    def __init__(self, runner: Runner, graphs: Mapping[str, Graph[Any]], *, drives: bool = False) -> None:
        self.store = CallersStore.of(runner.store)
        self._runner = runner
        self._graphs = graphs
        self._drives = drives

    async def info(self, run_id: str, right: Right = "read") -> RunInfo:
        """Return the row of a run."""
        require(right)
        with suppress(UnknownRun):
            info = await self._runner.info(run_id)
            if info.graph in self._graphs and caller().sees(info.tenant):
                return info
        message = f"this service has no run {run_id!r}"
        raise UnknownRun(message, where=f"run {run_id!r}", repair="GET /runs lists its runs")

    async def runs(
        self,
        *,
        graph: str | None = None,
        tag: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> Sequence[RunInfo]:
        """Return the newest runs, as `Runner.runs`."""
        tenant = require("read").tenant
        if before is not None:
            await self.info(before)
        found = await self._runner.runs(status=status, graph=graph, tag=tag, tenant=tenant, before=before, limit=limit)
        return [info for info in found if info.graph in self._graphs]

    async def history(self, run_id: str, *, after: int = 0, limit: int | None = None) -> Sequence[Step]:
        """Return the steps of a run."""
        await self.info(run_id)
        return await self._runner.history(run_id, after=after, limit=limit)

    async def state_at(self, run_id: str, at: At | None = None) -> Mapping[str, Any]:
        """Return the state of a run."""
        await self.info(run_id)
        return await self._runner.state_at(run_id, at)

    async def watch(self, run_id: str, graph: Graph[Any], *, after: int = 0) -> AsyncGenerator[Event, None]:
        """Yield the events of a run."""
        await self.info(run_id)
        async with aclosing(self._runner.watch(run_id, graph, after=after)) as events:
            async for event in events:
                yield event

    async def answer(self, run_id: str, value: object, *, wait: str | None = None, by: str = "") -> None:
        """Answer a question of a run; a user does so in their own name."""
        info = await self.info(run_id, "answer")
        by = signed_by(by)
        if self._drives:
            await ask_anew(self._runner, run_id, self._graphs[info.graph], wait)
        await self._runner.answer(run_id, value, wait=wait, by=by, through="http")  # a worker drives it on

    async def send(self, run_id: str, topic: str, payload: object, *, idempotency_key: str | None = None) -> None:
        """Send a message to a run."""
        await self.info(run_id, "answer")
        await self._runner.send(run_id, topic, payload, idempotency_key=idempotency_key)

    async def revive(self, run_id: str) -> None:
        """Resume a run that failed or was stopped, if this process drives runs: workers leave it alone."""
        info = await self.info(run_id, "answer")
        if self._drives:
            await self._runner.drive(run_id, self._graphs[info.graph])

    async def tag(self, run_id: str, add: Sequence[str], remove: Sequence[str]) -> None:
        """Note in the tags of a run what was said to it."""
        await self.info(run_id, "answer")
        await self._runner.store.tag(run_id, add, remove)

    async def stop(self, run_id: str, why: str, *, now: bool = False, final: bool = False) -> None:
        """Stop a run."""
        await self.info(run_id, "operate")
        await self._runner.stop(run_id, why, now=now, final=final)


__all__ = ["CallersRunner"]
