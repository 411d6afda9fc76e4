"""Callers of one Runner at the same time: each test lets one call happen in the middle of another one."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from graphengine import Runner, ask
from graphengine.databases.postgres import owners as postgres
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite import owners as sqlite
from graphengine.errors import RunIsDriven
from tests.kit.runs import row
from tests.runner.gates import State
from tests.runner.test_concurrent_callers import Between


class File(SQLiteStore, Between):
    """A file in the middle of whose reads something happens."""

    def __init__(self, path: Path) -> None:
        SQLiteStore.__init__(self, path)
        Between.__init__(self)

    async def inbox(self, run_ids: Any) -> Any:  # type: ignore[override]  # as `read` in databases/sql.py
        """Read, then let something happen, then report what was read."""
        found = await super().inbox(run_ids)
        await self.happens("inbox")
        return found


async def test_resume_of_a_run_that_another_process_is_just_resuming_is_refused(tmp_path: Path) -> None:
    """1. It waits, says its row. 2. Another process resumes it. 3. By its log it runs: that is not its result."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def last(n: int) -> int:
        entered.set()
        await leave.wait()
        return n + 1

    graph = row(State, ("a", ask("Which?", int), "n"), ("b", last, "n"), name="asks")
    store = File(tmp_path / "runs.db")
    async with Runner(tmp_path / "runs.db") as other, Runner(store) as runner:
        await other.start(graph, run_id="r").result()

        async def resume() -> None:
            await other.answer("r", 5)
            other.resume("r", graph)
            await entered.wait()

        store.calls["inbox"] = resume
        with pytest.raises(RunIsDriven):
            await runner.resume("r", graph).result()
        leave.set()
        assert (await other.get("r", graph).result()).state.n == 6


async def test_an_opening_that_is_cancelled_leaves_no_lease(
    database: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that opens the store is just taking the lease; nothing would ever close that store."""
    before = set(threading.enumerate())
    owner, method = (sqlite.Lease, "register") if isinstance(database, Path) else (postgres.Lease, "_register")
    register, begun, cancelled = getattr(owner, method), threading.Event(), threading.Event()

    def late(*args: Any) -> None:
        begun.set()
        assert cancelled.wait(60)
        register(*args)

    runner = Runner(database)
    with monkeypatch.context() as patch:
        patch.setattr(owner, method, late)
        opening = asyncio.create_task(runner.__aenter__())
        assert await asyncio.to_thread(begun.wait, 60)
        opening.cancel()
        await asyncio.sleep(0.01)
        cancelled.set()
        with pytest.raises(asyncio.CancelledError):
            await opening
    async with asyncio.timeout(60):
        while {each.name for each in set(threading.enumerate()) - before} & {"graphengine-lease", "graphengine-read_0"}:  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0.01)
    async with Runner(database) as other:
        assert len(await other.store.owners()) == 1
