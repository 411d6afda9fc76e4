"""A connection can break after the commit and before the answer: a repeated write is recognised, and not made twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from graphengine.databases.postgres import PostgresStore, sessions
from graphengine.databases.postgres.direct import Direct
from graphengine.errors import LeaseLost, RunExists, RunIsDriven, StoreUnreachable
from graphengine.kernel.testing.kit import (
    SnapshotProbe,
    append,
    batch,
    branch,
    covers,
    new_run,
    refused,
    run_info,
    same,
    step,
    steps,
)
from graphengine.kernel.testing.queued import ids, pick, queue_run
from graphengine.stores.base import Append, ClaimQuery


class Cuts:
    """Cuts connections after their next calls."""

    def __init__(self) -> None:
        self.left = 0
        self.made = 0

    def after(self, work: Callable[..., Any], connection: Any, *, again: bool) -> Any:
        """Do the work, and lose its answer if a cut is left."""
        result = work(connection, again=again)
        if self.left and not again:
            self.left -= 1
            self.made += 1
            connection.close()
            message = "the connection was cut after the commit"
            raise psycopg.OperationalError(message)
        return result

    def of(self, direct: Direct, rows: Any) -> Any:
        """Return the rows of a statement that the event loop sent; None if their answer is lost."""
        if not self.left or rows is None:
            return rows
        self.left -= 1
        self.made += 1
        direct.leave()
        connection = direct._connection  # noqa: SLF001 - what a cut breaks
        assert connection is not None
        connection.close()
        return None


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> Cuts:
    """What cuts the connections of the stores of a test; at first nothing."""
    found = Cuts()
    run = sessions.ServerConnection.run
    monkeypatch.setattr(
        sessions.ServerConnection, "run", lambda session, work: run(session, partial(found.after, work))
    )
    finish = Direct._finish  # noqa: SLF001 - the moment after the commit
    monkeypatch.setattr(Direct, "_finish", lambda direct, rows: finish(direct, found.of(direct, rows)))
    return found


@pytest.fixture
async def store(postgres: str, cuts: Cuts) -> AsyncIterator[PostgresStore]:
    """An open store on a new schema."""
    opened = PostgresStore(postgres)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def _every_cut_was_made(cuts: Cuts) -> Any:
    yield
    assert (cuts.left, cuts.made > 0) == (0, True)


async def test_runs_and_branches_are_created_once(store: PostgresStore, cuts: Cuts) -> None:
    """The caller gets its fence; a second run with that id is refused, also in the same transaction."""
    cuts.left = 1
    fence = await new_run(store, count=2)
    await append(store, batch("r", fence, [step(3)]))
    cuts.left = 1
    fence = await branch(store, "b", "r", at=2, count=1)
    await append(store, batch("b", fence, [step(4, field="b")]))
    cuts.left = 1
    results = await asyncio.gather(new_run(store, "twin"), new_run(store, "twin"), return_exceptions=True)
    assert [type(each) for each in results] == [int, RunExists]
    with refused(RunExists):
        await new_run(store, "twin")
    cuts.left = 1
    assert await asyncio.gather(*(new_run(store, f"m{n}", count=1) for n in range(5))) == [1] * 5
    assert same(await store.steps("r"), steps(1, 3))
    assert (await store.info("b")).seq == 4


async def test_steps_are_recorded_once(store: PostgresStore, cuts: Cuts) -> None:
    """One step, several, those of many runs in a transaction, and one that releases the run."""
    fence = await new_run(store)
    for added in ([step(1)], steps(2, 5)):
        cuts.left = 1
        await append(store, batch("r", fence, added))
    fences = {f"r{n}": await new_run(store, f"r{n}") for n in range(5)}
    cuts.left = 1
    await asyncio.gather(*(append(store, batch(run_id, fence, [step(1)])) for run_id, fence in fences.items()))
    cuts.left = 1
    await append(store, Append("r", fence, [step(6)], "waiting", due_at=5.0))
    assert same(await store.steps("r"), steps(1, 6))
    info = await store.info("r")
    assert (info.status, info.due_at, info.held) == ("waiting", 5.0, False)
    assert [(await store.info(run_id)).seq for run_id in fences] == [1] * 5


async def test_a_step_that_another_process_follows_is_recorded(
    store: PostgresStore, cuts: Cuts, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the commit and the repeated call the run can be claimed elsewhere: the step counts as written."""
    fence = await new_run(store)
    other = PostgresStore(postgres)
    await other.open()
    pause = sessions.ServerConnection._can_repeat  # noqa: SLF001 - the moment between the two calls

    def claimed(session: sessions.ServerConnection, error: Exception) -> bool:
        asyncio.run_coroutine_threadsafe(other.claim("r"), loop).result()
        return pause(session, error)

    loop = asyncio.get_running_loop()
    with monkeypatch.context() as patch:
        patch.setattr(sessions.ServerConnection, "_can_repeat", claimed)
        cuts.left = 1
        await append(store, batch("r", fence, [step(1)], "waiting"))
    assert same(await other.steps("r"), [step(1)])
    await other.close()


async def test_a_queued_run_that_a_worker_has_taken_was_created(
    store: PostgresStore, cuts: Cuts, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the commit and the repeated call a worker takes it: the caller has created it, and no other call has."""
    other = PostgresStore(postgres)
    await other.open()
    pause = sessions.ServerConnection._can_repeat  # noqa: SLF001 - the moment between the two calls
    loop = asyncio.get_running_loop()
    queued = replace(run_info("q"), queue="mail", queued=True, status="running")

    def taken(session: sessions.ServerConnection, error: Exception) -> bool:
        pick = ClaimQuery(200.0, 1, [queued.graph], ["mail"])
        (found,) = asyncio.run_coroutine_threadsafe(other.take(pick), loop).result()
        assert found.fence == 1
        return pause(session, error)

    with monkeypatch.context() as patch:
        patch.setattr(sessions.ServerConnection, "_can_repeat", taken)
        cuts.left = 1
        assert await store.create(queued, [step(1)], {"nodes": []}) == 0
    assert (await other.info("q")).driver is not None
    cuts.left = 1
    with refused(RunExists):
        await store.create(replace(queued, created_at=queued.created_at + 1), [step(1)], {"nodes": []})
    await other.close()


async def test_a_stale_batch_stays_stale(store: PostgresStore, cuts: Cuts, postgres: str) -> None:
    """A repeated call cannot get around the fence."""
    fence = await new_run(store)
    other = PostgresStore(postgres)
    await other.open()
    await store._release("r", fence, store._writable_lease())  # noqa: SLF001 - as another process sees it, without telling this store
    await other.claim("r")
    cuts.left = 1
    with refused(LeaseLost):
        await append(store, batch("r", fence, [step(1)]))
    assert (await other.info("r")).seq == 0
    await other.close()


async def test_snapshots_and_messages_are_consumed_once(store: PostgresStore, cuts: Cuts) -> None:
    """All parts of a batch are written together."""
    fence = await new_run(store, count=300)
    await store.post("r", "answer", 1, "k")
    [message] = await store.inbox(["r"])
    probe = SnapshotProbe()
    cuts.left = 1
    await probe.append(store, fence, 301)
    cuts.left = 1
    await append(store, Append("r", fence, [step(302)], "running", consume=[message.id]))
    assert await store.inbox(["r"]) == []
    assert covers(await store.load("r"), 302)


async def test_claims_and_releases(store: PostgresStore, cuts: Cuts) -> None:
    """A claim that was made is the caller's, with one new fence; a release does not release the next driver."""
    fence = await new_run(store)
    cuts.left = 1
    await store.release("r", fence)
    cuts.left = 1
    assert await store.claim("r") == fence + 1
    with refused(RunIsDriven):
        await store.claim("r")
    await append(store, batch("r", fence + 1, [step(1)]))


async def test_messages_tags_and_removals(store: PostgresStore, cuts: Cuts) -> None:
    """A message is new to the caller that posted it, and a removed run counts as removed."""
    fence = await new_run(store)
    cuts.left = 1
    assert await store.post("r", "answer", 1, "k") is True
    assert await store.post("r", "answer", 1, "k") is False
    cuts.left = 1
    assert await store.tag("r", ["x"]) == ("x",)
    await append(store, batch("r", fence, [step(1)], "finished"))
    info = await store.info("r")
    assert info == replace(
        run_info(), status="finished", seq=1, updated_at=101.0, tags=("x",), began_with="f1", ended_at=101.0
    )
    cuts.left = 1
    assert await store.remove([info]) == {}
    cuts.left = 1
    await store.sweep()
    assert await store.ids("") == []


async def test_what_a_failed_call_took_is_released(cuts: Cuts, postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is lost, and the server stays away: nothing here knows that the run was taken."""
    store, other = PostgresStore(postgres, lease_seconds=0.6, patience_seconds=0.0), PostgresStore(postgres)
    await store.open()
    await other.open()
    await queue_run(other, "q")
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "q": lambda: store.take(pick()),
        "claimed": lambda: store.claim("claimed"),
        "created": lambda: new_run(store, "created", count=1),
    }
    await other.release("claimed", await new_run(other, "claimed"))

    def away(_: sessions.Connector) -> None:
        message = "the server is away"
        raise psycopg.OperationalError(message)

    for run_id, call in calls.items():
        await store.tag("q", [run_id])  # the event loop has a connection
        cuts.left = 1
        with monkeypatch.context() as patch, refused(StoreUnreachable):
            patch.setattr(sessions.Connector, "connect", away)
            await call()
        async with asyncio.timeout(30):
            while (await other.info(run_id)).held:  # noqa: ASYNC110 - the lease's thread releases it
                await asyncio.sleep(0.01)
    assert sorted(await ids(other, pick())) == ["claimed", "created", "q"]
    await store.close()
    await other.close()
