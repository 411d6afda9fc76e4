"""What the doors of a service do with its Runner: what the caller may, with the runs that exist for them.

Each call checks the right that it takes and whose run it is, so that no door can leave that out.
"""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from graphengine.kernel import UnknownRun, ask_anew, lives_of, polled
from graphengine.records.retention import remove
from graphengine.serve.callers import CallersStore, caller, require, signed_by

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from graphengine.api.graph import Graph
    from graphengine.api.runner import Runner
    from graphengine.kernel import At, Event, RunInfo, Step
    from graphengine.kernel.stores import InboxMessage
    from graphengine.serve.callers import Right


class CallersRunner:
    """A Runner, as the caller may use it.

    Every call raises `NotAllowed` to a caller without the right, whether there is such a run or not, and then
    `UnknownRun` if there is none for the caller. A call that takes a run takes its id, or its row: who has read that
    need not read it again.

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

    async def info(self, run: str | RunInfo, right: Right = "read") -> RunInfo:
        """Return the row of a run."""
        require(right)
        with suppress(UnknownRun):
            info = await self._runner.info(run) if isinstance(run, str) else run
            if info.graph in self._graphs and caller().sees(info.tenant):
                return info
        run_id = run if isinstance(run, str) else run.id
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

    async def history(self, run_id: str | RunInfo, *, after: int = 0, limit: int | None = None) -> Sequence[Step]:
        """Return the steps of a run."""
        info = await self.info(run_id)
        return await self._runner.history(info.id, after=after, limit=limit)

    async def inbox(self, run: str | RunInfo) -> Sequence[InboxMessage]:
        """Return the messages to a run that it has not taken up."""
        info = await self.info(run)
        return await self._runner.store.inbox([info.id])

    async def state_at(self, run_id: str, at: At | None = None) -> Mapping[str, Any]:
        """Return the state of a run."""
        await self.info(run_id)
        return await self._runner.state_at(run_id, at)

    async def watch(self, run: str | RunInfo, *, after: int = 0, wait_out: bool = True) -> AsyncGenerator[Event, None]:
        """Yield the events of a run."""
        info = await self.info(run)
        events = self._runner.watch(info.id, self._graphs[info.graph], after=after, wait_out=wait_out)
        async with aclosing(events):
            async for event in events:
                yield event

    def lives(self, run_id: str) -> bool:
        """Return whether a run is alive in this process, so that it has live events."""
        return lives_of(self._runner).of(run_id) is not None

    async def changes(self, run: str | RunInfo, after: int) -> AsyncGenerator[tuple[RunInfo, Sequence[Step]], None]:
        """Yield the row of a run and its steps after a seq, at once and then whenever it changes."""
        changes = polled(self._runner.store, await self.info(run), after, wants_posted=False)
        async with aclosing(changes) as found:
            async for row, steps, _ in found:
                yield row, steps

    async def answer(self, run_id: str, value: object, *, wait: str, by: str = "") -> None:
        """Answer a question of a run, by its id; a user does so in their own name."""
        info = await self.info(run_id, "answer")
        by = signed_by(by)
        if self._drives:
            await ask_anew(self._runner, run_id, self._graphs[info.graph], wait)
        await self._runner.answer(run_id, value, wait=wait, by=by, through="http")  # a worker drives it on

    async def send(
        self, run: str | RunInfo, topic: str, payload: object, *, idempotency_key: str | None = None
    ) -> None:
        """Send a message to a run."""
        info = await self.info(run, "answer")
        await self._runner.send(info.id, topic, payload, idempotency_key=idempotency_key)

    async def revive(self, run_id: str) -> None:
        """Resume a run that failed or was stopped, if this process drives runs: workers leave it alone."""
        info = await self.info(run_id, "answer")
        if self._drives:
            await self._runner.drive(run_id, self._graphs[info.graph])

    async def tag(self, run: str | RunInfo, add: Sequence[str], remove: Sequence[str]) -> None:
        """Note in the tags of a run what was said to it."""
        info = await self.info(run, "answer")
        await self._runner.store.tag(info.id, add, remove)

    async def stop(self, run_id: str, why: str, *, now: bool = False, final: bool = False) -> None:
        """Stop a run."""
        await self.info(run_id, "operate")
        await self._runner.stop(run_id, why, now=now, final=final)

    async def remove(self, run_id: str) -> str:
        """Remove a run with everything that is recorded of it; return why it is kept, or "" if it is removed."""
        info, kept = await self.info(run_id, "operate"), dict[str, str]()
        await remove(self._runner.store, {info.id: info}, kept, dry_run=False)
        return kept.get(info.id, "")


__all__ = ["CallersRunner"]
