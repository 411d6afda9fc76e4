"""The connections of a Runner to PostgreSQL are cut and frozen: nothing is lost, and nothing is recorded twice.

`CUTS=300 SEED=7 pytest -s tests/crash/test_postgres_cuts.py` is the full size. A proxy cuts them at once, in the middle
of a request, and between the commit and its answer; so takes, appends, claims and posts break at every point.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, Worker, ask
from graphengine.databases.postgres import PostgresStore, owners, sessions, taking
from graphengine.errors import LeaseLost
from graphengine.kernel.testing.kit import new_run
from graphengine.kernel.testing.queued import ids, pick, queue_run
from graphengine.stores import dispatch
from graphengine.stores.base import QueueLimits
from tests.crash import life_of_workers
from tests.crash.deaths import done
from tests.crash.life_of_workers import EFFECTS, effect
from tests.crash.test_workers_life import check
from tests.kit.postgres import PostgresServer, execute
from tests.kit.proxy import Proxy
from tests.kit.runs import row

ROUNDS: Final = int(os.environ.get("CUTS", "12"))
SEED: Final = int(os.environ.get("SEED", "3"))
AT_ONCE: Final = 6
REQUEST_BYTES: Final = 3000
PATIENCE_SECONDS: Final = 60.0
LEASE_SECONDS: Final = 1.0


class Question(BaseModel):
    """What a person says, and what follows."""

    said: str = ""
    end: str = ""


async def end(ctx: Context) -> str:
    """Do the last work."""
    return effect(f"{ctx.idempotency_key} whole")


def asking() -> Graph[Question]:
    """Return a graph that asks, and then works."""
    return row(Question, ("ask", ask("Well?", str), "said"), ("end", end, "end"), name="asking")


@pytest.fixture(autouse=True)
def effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the effects of nodes."""
    monkeypatch.setattr(life_of_workers, "FILE", tmp_path / "effects")
    return tmp_path / "effects"


@pytest.fixture
async def proxy(postgres_server: PostgresServer) -> AsyncIterator[Proxy]:
    """A proxy in front of the server."""
    async with Proxy(postgres_server) as found:
        yield found


async def test_cut_connections_lose_and_repeat_nothing(proxy: Proxy, postgres: str, effects: Path) -> None:
    """Half of the runs are taken by a worker, a third waits for an answer; the process lives, so all is done once."""
    random, schema = Random(SEED), postgres.partition("?schema=")[2]  # noqa: S311 - repeatable, not for security
    graphs: dict[str, Graph[Any]] = {"small": life_of_workers.small(), "asking": asking()}
    kinds: Counter[str] = Counter()
    names: list[str] = []

    async def lives(runner: Runner) -> None:
        while sum(kinds.values()) < ROUNDS:
            name = f"r{len(names)}"
            names.append(name)
            graph = graphs["asking" if random.random() < 1 / 3 else "small"]
            await runner.start(graph, run_id=name, queue="q" if random.random() < 1 / 2 else None).result()
            if graph.name == "asking":
                await at_rest(runner, name, "waiting")
                await runner.answer(name, "yes")
            await at_rest(runner, name, "finished")

    async with Runner(PostgresStore(proxy.address(schema), patience_seconds=PATIENCE_SECONDS)) as runner:
        worker = Worker(runner, *graphs.values(), concurrency=4, poll_seconds=0.05)
        working = asyncio.create_task(worker.run())
        living = [asyncio.create_task(lives(runner)) for _ in range(AT_ONCE)]
        async with asyncio.timeout(PATIENCE_SECONDS + ROUNDS):
            while sum(kinds.values()) < ROUNDS:
                await asyncio.sleep(random.uniform(0.02, 0.1))
                kinds[await cut(proxy, random)] += 1
            await asyncio.gather(*living)
        worker.stop()
        await working
        logs = [await runner.history(name) for name in names]
        fences = [(await runner.store.info(name)).held for name in names]
    sys.stdout.write(f"{proxy.cuts} connections were cut: {dict(kinds)}, {len(names)} runs, SEED={SEED}\n")
    assert not any(fences)
    works = sum(EFFECTS if any(step.node == "plan" for step in log) else 1 for log in logs)
    assert check(done(effects), logs, set(), works) == 0


async def cut(proxy: Proxy, random: Random) -> str:
    """Cut connections in one of three ways, and return when it is done."""
    before = proxy.cuts
    kind = random.choice(["now", "in a request", "before the answer"])
    if kind == "now":
        proxy.cut()
    elif kind == "in a request":
        proxy.cut_request(random.randrange(1, REQUEST_BYTES))
    else:
        proxy.lose_answer(random.randrange(1, REQUEST_BYTES))
    for _ in range(200):
        if proxy.cuts > before:
            return kind
        await asyncio.sleep(0.005)
    proxy.cut()  # the client has closed that connection itself
    return "now"


async def at_rest(runner: Runner, name: str, status: str) -> None:
    """Wait until a run has this status and no driver."""
    while (await runner.store.info(name)).status != status:  # noqa: ASYNC110 - other tasks drive it
        await asyncio.sleep(0.02)


async def test_a_frozen_connection_costs_the_lease(proxy: Proxy, postgres: str) -> None:
    """Another process finishes the run; the first driver learns it when the network is back, and writes nothing."""
    begun: list[str] = []
    there = asyncio.Event()

    async def first() -> str:
        begun.append("first")
        return "done"

    async def second() -> str:
        begun.append("second")
        if begun.count("second") == 1:
            there.set()
            await gate.wait()
        return "done"

    gate = asyncio.Event()
    graph = Graph("frozen", life_of_workers.State)
    graph.add_node("first", first, writes="left")
    graph.add_node("second", second, writes="right")
    graph.add_node("third", second, writes="end")
    graph.add_path(START, "first", "second", "third", END)
    behind = PostgresStore(proxy.address(postgres.partition("?schema=")[2]), lease_seconds=LEASE_SECONDS)
    async with Runner(behind) as cut_off, Runner(postgres) as other, asyncio.timeout(PATIENCE_SECONDS):
        run = cut_off.start(graph, run_id="r")
        await there.wait()
        proxy.freeze()
        worker = Worker(other, graph, poll_seconds=0.05)
        working = asyncio.create_task(worker.run())
        await at_rest(other, "r", "finished")
        log = await other.history("r")
        gate.set()
        proxy.thaw()
        with pytest.raises(LeaseLost):
            await run.result()
        worker.stop()
        await working
        assert await other.history("r") == log
    assert [step.seq for step in log] == list(range(1, len(log) + 1))
    assert Counter(step.node for step in log if step.kind == "node") == Counter(["first", "second", "third"])
    assert begun == ["first", "second", "second", "second"], "the third node ran once, in the other process"


async def test_a_process_that_connects_again_keeps_its_runs(
    proxy: Proxy, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections are cut: others see its lock free for a moment, and take its runs only if it stays so."""
    monkeypatch.setattr(owners, "_DEATH_SECONDS", PATIENCE_SECONDS)  # a busy machine can take longer than the default
    held, other = PostgresStore(proxy.address(postgres.partition("?schema=")[2])), PostgresStore(postgres)
    await held.open()
    await other.open()
    fence = await new_run(held)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(3):
            assert held.lease is not None
            before = held.lease._connection  # noqa: SLF001 - what was cut
            proxy.cut()
            while held.lease._connection in (before, None):  # noqa: SLF001
                assert not await other.take(pick())
        await held.release("r", fence)
        assert await ids(other, pick()) == ["r"]
    await held.close()
    await other.close()


async def test_what_is_taken_by_a_commit_that_was_cut_is_returned(proxy: Proxy, postgres: str) -> None:
    """The commit ends after the call is repeated: the runs that it takes must not stay without a driver."""
    store = PostgresStore(proxy.address(postgres.partition("?schema=")[2]))
    await store.open()
    for run_id in ("a", "b"):
        await queue_run(store, run_id)
    slow = (
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$"
    )
    trigger = "CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON runs DEFERRABLE INITIALLY DEFERRED"
    execute(postgres, slow, f"{trigger} FOR EACH ROW EXECUTE FUNCTION slow()")
    taking = asyncio.create_task(store.take(pick(limit=1)))
    committing = "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'"
    while await asyncio.to_thread(execute, postgres, committing) != [(1,)]:
        pass
    proxy.cut()
    assert [taken.info.id for taken in await taking] == ["a"]
    assert execute(postgres, "SELECT id FROM runs WHERE driver IS NOT NULL") == [("a",)]
    await store.close()


async def test_a_process_that_disappears_in_a_transaction_keeps_no_lock(
    proxy: Proxy, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its network freezes while it takes a run from a queue with a limit; the server ends the session."""
    monkeypatch.setitem(sessions._SETTINGS, "idle_in_transaction_session_timeout", "300ms")  # noqa: SLF001 - no waiting
    gone, other = PostgresStore(proxy.address(postgres.partition("?schema=")[2])), PostgresStore(postgres)
    await gone.open()
    await other.open()
    await other.limit_queue("default", QueueLimits(concurrency=1))
    await queue_run(other, "r")
    locked, loop = asyncio.Event(), asyncio.get_running_loop()

    def frozen(*given: Any) -> Any:
        monkeypatch.setattr(taking, "choose", dispatch.choose)
        proxy.freeze()  # before this thread sends anything more
        loop.call_soon_threadsafe(locked.set)
        return dispatch.choose(*given)

    monkeypatch.setattr(taking, "choose", frozen)
    async with asyncio.timeout(PATIENCE_SECONDS):
        lost = asyncio.create_task(gone.take(pick()))
        await locked.wait()
        assert await ids(other, pick()) == ["r"]
        proxy.thaw()
        assert not await lost, "the call was repeated"
    await gone.close()
    await other.close()
