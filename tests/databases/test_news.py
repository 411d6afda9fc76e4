"""Processes announce what others may have to do, so that none of them waits for the next poll."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import TypeAlias

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, Worker, ask
from graphengine.databases.addresses import is_postgres
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite.announcements import Announcements
from graphengine.kernel.inside import polled
from graphengine.kernel.testing.kit import append, batch, new_run, step
from graphengine.worker.worker import RunOutcome, WorkerEvent

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30.0
"""More than any wait here, and less than the polls of these tests."""
LONG_SECONDS = 3600.0

HOLDER = """
import asyncio, sys
from graphengine.databases.addresses import is_postgres
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.sqlite import SQLiteStore
from graphengine.kernel.testing.kit import new_run

async def main():
    store = PostgresStore(sys.argv[1])
    await store.open()
    await new_run(store, "held")
    print("ok", flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


class Note(BaseModel):
    text: str = ""


Pair: TypeAlias = "tuple[PostgresStore | SQLiteStore, PostgresStore | SQLiteStore]"


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the runs are."""
    return str(tmp_path / "runs.db") if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
async def pair(database: str) -> AsyncIterator[Pair]:
    """Two stores on one database, as two processes have them."""
    kind = PostgresStore if is_postgres(database) else SQLiteStore
    one, two = kind(database), kind(database)
    await one.open()
    await two.open()
    yield one, two
    await one.close()
    await two.close()


async def heard(store: PostgresStore | SQLiteStore, after: int) -> int:
    """Wait for an announcement."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await store.notifications(after)


async def test_messages_and_releases_are_announced(pair: Pair) -> None:
    """A message to a run that is driven here or waits, and a run that another process left."""
    one, two = pair
    fence = await new_run(one)
    before = await settled(one)
    await two.post("r", "message", 1, "a")
    after = await heard(one, before)
    await append(one, batch("r", fence, [step(1)], "waiting"))
    quiet = await settled(two)
    await one.post("r", "answer", 1, "b")
    assert await heard(two, quiet) > quiet
    assert await heard(one, after) > after
    fence = await new_run(one, "left")
    quiet = await settled(two)
    await one.release("left", fence)
    assert await heard(two, quiet) > quiet


async def test_what_another_process_records_is_followed(pair: Pair) -> None:
    """Its steps, an answer that is posted through it, and that it leaves the run."""
    one, two = pair
    fence = await new_run(one)
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(polled(two, await two.info("r"), 0)) as polls:
        assert (await anext(polls))[0].driver is not None
        await append(one, batch("r", fence, [step(1)]))
        while [each.seq for each in (await anext(polls))[1]] != [1]:
            pass
        await append(one, batch("r", fence, [step(2)], "waiting"))
        while (row := (await anext(polls))[0]).status != "waiting":
            pass
        assert (row.seq, row.driver) == (2, None)
        await one.post("r", "answer", {"wait": "w", "id": "i", "value": 1}, "k")
        while list((await anext(polls))[2]) != ["i"]:
            pass


async def settled(store: PostgresStore | SQLiteStore) -> int:
    """Return how much a store has heard, once it hears nothing more."""
    found = 0
    while True:
        try:
            async with asyncio.timeout(0.3):
                found = await store.notifications(found)
        except TimeoutError:
            return found


async def test_two_can_wait_for_one_announcement(pair: Pair) -> None:
    """Two can wait for one announcement, and a caller who begins to wait after it gets it too."""
    one, two = pair
    await new_run(one)
    before = await settled(one)
    waiting = [asyncio.ensure_future(heard(one, before)) for _ in range(2)]
    await asyncio.sleep(0)
    await two.post("r", "message", 1, "a")
    await asyncio.gather(*waiting)
    assert await heard(one, before) > before


async def test_announcements_at_one_time_of_the_file_system_are_all_heard(tmp_path: Path) -> None:
    """Its clock counts in milliseconds; those who announce do not."""
    listening, announcing = Announcements(tmp_path), Announcements(tmp_path)
    for heard in range(20):
        announcing.announce()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await listening.heard(heard) == heard + 1


async def test_the_death_of_a_process_is_noticed(postgres: str) -> None:
    """Another process hears of it and can claim its runs at once."""
    store = PostgresStore(postgres)
    await store.open()
    words = [sys.executable, "-c", HOLDER, postgres]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.to_thread(subprocess.Popen, words, stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"ok\n"
        before = await settled(store)
        process.kill()
        await heard(store, before)
        assert [info.id for info in await store.due(time.time())] == ["held"]
        assert await store.claim("held") == 2
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)
        await store.close()


def asks() -> Graph[Note]:
    """Return a graph that asks one question."""
    graph = Graph("asks", Note)
    graph.add_node("q", ask("Well?", str), writes="text")
    graph.add_path(START, "q", END)
    return graph


async def test_a_worker_does_not_wait_for_its_next_poll(database: str) -> None:
    """A queued run, and an answer that another process gives, are taken at once."""
    graph, asked, ended = asks(), asyncio.Event(), asyncio.Event()

    def on_event(event: WorkerEvent) -> None:
        if isinstance(event, RunOutcome):
            (asked if event.result.status == "waiting" else ended).set()

    async with Runner(database) as here, Runner(database) as there, asyncio.timeout(PATIENCE_SECONDS):
        worker = Worker(there, graph, poll_seconds=LONG_SECONDS, on_event=on_event)
        working = asyncio.create_task(worker.run())
        await settled_worker(worker)
        await here.start(graph, run_id="r", queue="q").result()
        await asked.wait()
        await here.answer("r", "yes")
        await ended.wait()
        worker.stop()
        await working


async def settled_worker(worker: Worker) -> None:
    """Wait until a worker waits for its next poll."""
    while worker.state.polled_at is None:  # noqa: ASYNC110 - there is nothing to wait for
        await asyncio.sleep(0.01)
