"""Waiting runs that other processes continue, and the cost of many waits."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import StoreError
from graphengine.kernel.fake_clock import FakeClock
from graphengine.stores.base import InboxMessage, RunInfo
from tests.databases.runs.test_held_asleep import rest
from tests.databases.runs.test_woken_elsewhere import until
from tests.kit.runs import SOON
from tests.runner.waits.test_elsewhere import one


class Interposed(SQLiteStore):
    """A store with which something else happens once, after a run was recorded as waiting and before it sleeps."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:  # type: ignore[override]  # as `read` in databases/sql.py
        """Read the inbox, and let it happen."""
        found = await super().inbox(run_ids)
        status = (await self.info(run_ids[0])).status
        if status == "waiting" and self.meanwhile is not None:
            happening, self.meanwhile = self.meanwhile, None
            await happening()
        return found


@pytest.mark.usefixtures("quick_polls")
async def test_a_stop_by_another_process_before_a_run_sleeps_is_seen(tmp_path: Path) -> None:
    """The run is compared with the step after which it waits, not with what is recorded when it falls asleep."""
    store = Interposed(tmp_path / "runs.db")
    async with Runner(store, clock=FakeClock(start=0.0, jumps=False)) as first, Runner(tmp_path / "runs.db") as second:
        store.meanwhile = partial(second.stop, "r")
        run = first.start(one(rest), run_id="r")
        async with asyncio.timeout(SOON):
            assert (await run.result()).status == "stopped"


class Counting(SQLiteStore):
    """A store that counts what its runner asks while runs sleep."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.lookups = 0
        self.tokens = 0
        self.polls: list[int] = []

    async def info(self, run_id: str) -> RunInfo:  # type: ignore[override]  # as `read` in databases/sql.py
        self.lookups += 1
        return await super().info(run_id)

    async def change_token(self) -> str:
        self.tokens += 1
        return await super().change_token()

    async def moved(self, seqs: Mapping[str, int]) -> Sequence[str]:  # type: ignore[override]  # as `info`
        self.polls.append(len(seqs))
        return await super().moved(seqs)

    async def looked(self, times: int = 3) -> None:
        """Return when the runner has looked a few times more whether anything was written."""
        until = self.tokens + times
        while self.tokens < until:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0.001)


@pytest.mark.usefixtures("quick_polls")
async def test_one_poll_serves_all_runs_that_sleep(tmp_path: Path) -> None:
    """After a write the store is asked once for all of them, after none not at all; polling ends with the last run."""
    store = Counting(tmp_path / "runs.db")
    async with Runner(store, clock=FakeClock(start=0.0, jumps=False)) as runner, asyncio.timeout(SOON):
        runs = [runner.start(one(rest)) for _ in range(20)]
        while len(runner._shared._seen) < len(runs):  # noqa: ASYNC110, SLF001 - no event reports it
            await asyncio.sleep(0.001)
        await store.looked()
        store.polls.clear()
        await store.looked(20)
        assert store.polls == [], "nothing was written"
        await runner.tag(runs[0].id, add=["seen"])
        await store.looked()
        assert store.polls == [20]
        assert store.lookups <= 20
        async with Runner(tmp_path / "runs.db") as other:
            for run in runs:
                await other.stop(run.id)
        assert {(await run.result()).status for run in runs} == {"stopped"}
        before = store.tokens
        await asyncio.sleep(0.02)
        assert store.tokens <= before + 1


@pytest.mark.usefixtures("quick_polls")
async def test_a_run_that_falls_asleep_is_looked_at(tmp_path: Path) -> None:
    """It is, although nothing is written after the look that came before: another process can have moved it by then."""

    class Late(Counting):
        """A store in which a run is stopped before it has fallen asleep here, and the others are looked at."""

        async def change_token(self) -> str:
            await super().change_token()
            return "as before"

        async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:  # type: ignore[override]  # as `info`
            messages = await super().inbox(run_ids)
            if run_ids == ["late"] and "late" in runner._shared.asleep:  # noqa: SLF001 - it is just falling asleep
                async with Runner(tmp_path / "runs.db") as other:
                    await other.stop("late")
                await self.looked()
            return messages

    store = Late(tmp_path / "runs.db")
    async with Runner(store, clock=FakeClock(start=0.0, jumps=False)) as runner, asyncio.timeout(SOON):
        first = runner.start(one(rest))
        await until(first, "waiting")
        assert (await runner.start(one(rest), run_id="late").result()).status == "stopped"


@pytest.mark.usefixtures("quick_polls")
async def test_a_look_that_fails_is_repeated(tmp_path: Path) -> None:
    """Although nothing is written since then."""

    class Failing(Counting):
        """A store in which nothing is written but a stop, and the look that finds it fails, once."""

        async def change_token(self) -> str:
            await super().change_token()
            return (await super().info(run.id)).status

        async def moved(self, seqs: Mapping[str, int]) -> Sequence[str]:  # type: ignore[override]  # as `info`
            found = await super().moved(seqs)
            if found and not self.failed:
                self.failed = True
                message = "the disk is away"
                raise StoreError(message)
            return found

        failed = False

    store = Failing(tmp_path / "runs.db")
    async with Runner(store, clock=FakeClock(start=0.0, jumps=False)) as runner, asyncio.timeout(SOON):
        run = runner.start(one(rest))
        await until(run, "waiting")
        async with Runner(tmp_path / "runs.db") as other:
            await other.stop(run.id)
        assert (await run.result()).status == "stopped"
        assert store.failed
