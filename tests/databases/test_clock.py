"""The fake clock: weeks pass in milliseconds, in order, and never ahead of work in progress."""

import asyncio
import threading
from queue import SimpleQueue
from typing import Any

import aiosqlite
import pytest

from graphengine.databases.sqlite.worker import Worker
from graphengine.kernel import fake_clock as clocks
from graphengine.kernel.fake_clock import FakeClock
from tests.kit.runs import SOON


class Late(SimpleQueue[Any]):
    """A queue whose thread gets its first call only when the test lets it, as on a busy system."""

    def __init__(self) -> None:
        super().__init__()
        self._given = SimpleQueue[Any]()
        self.get = self._given.get  # type: ignore[method-assign]
        self.kept = asyncio.Event()

    def put_nowait(self, item: Any) -> None:
        """Keep the first call; pass on the others."""
        if self.kept.is_set():
            self._given.put(item)
        else:
            super().put_nowait(item)
            self.kept.set()

    def let(self) -> None:
        """Pass on the first call."""
        self._given.put(super().get_nowait())


async def test_a_thread_that_has_not_begun_its_call_counts_as_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy system may wake it only after the clock has checked it several times."""
    queue = Late()
    monkeypatch.setattr("graphengine.databases.sqlite.worker.SimpleQueue", lambda: queue)
    opening = asyncio.ensure_future(Worker.connect("file::memory:", busy_timeout_seconds=1))
    await queue.kept.wait()
    assert True in clocks._threads()  # noqa: SLF001
    queue.let()
    connection = await opening
    async with asyncio.timeout(SOON):
        await FakeClock(start=0.0).sleep_until(9.0)  # it is idle again
    await connection.close()


async def test_a_thread_of_aiosqlite_counts_as_at_work() -> None:
    """Nodes may use it, and a tool of agents does; time does not pass while it reads."""
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def wait() -> bool:
        loop.call_soon_threadsafe(begun.set)
        return may_end.wait(SOON)

    async with aiosqlite.connect(":memory:") as connection:
        await connection.create_function("wait", 0, wait)
        reading = asyncio.ensure_future(connection.execute_fetchall("SELECT wait()"))
        await begun.wait()
        assert True in clocks._threads()  # noqa: SLF001
        may_end.set()
        assert [*await reading] == [(1,)]
