"""Statements that the event loop sends itself: races for the run's row, broken connections, and what it cannot send."""

import asyncio
import threading
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from graphengine.databases.addresses import parse
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.postgres.direct import Direct
from graphengine.databases.postgres.queries import SQL
from graphengine.errors import LeaseLost, RunExists, StoreError
from graphengine.kernel.testing.kit import append, batch, new_run, refused, run_info, same, step, steps
from graphengine.stores.base import Append
from tests.kit.postgres import execute

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO steps%'"


@pytest.fixture
async def store(postgres: str) -> AsyncIterator[PostgresStore]:
    """An open store on a new schema."""
    opened = PostgresStore(postgres, patience_seconds=20)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that an event loop sent."""
    found: list[str] = []
    names = {statement: name for name, statement in SQL.items()}
    send = Direct.send

    def noted(direct: Direct, statement: bytes, *rest: Any) -> bool:
        is_sent = send(direct, statement, *rest)
        if is_sent:
            found.append(names[statement])
        return is_sent

    monkeypatch.setattr(Direct, "send", noted)
    return found


def _change(address: str, change: str, locked: threading.Event) -> None:
    parsed = parse(address)
    with psycopg.connect(parsed.url, options=f"-csearch_path={parsed.schema}") as connection:
        connection.execute("SELECT FROM runs FOR NO KEY UPDATE")
        locked.set()
        with psycopg.connect(parsed.url, autocommit=True) as other:
            while other.execute(WAITING).fetchall() != [(1,)]:
                pass
        connection.execute(change.encode())


async def begin(store: PostgresStore, address: str, added: Append, change: str) -> None:
    """Append a step while another session has locked the row of the run and changes something."""
    locked = threading.Event()
    changing = asyncio.create_task(asyncio.to_thread(_change, address, change, locked))
    await asyncio.to_thread(locked.wait)
    try:
        await append(store, added)
    finally:
        await changing


async def locked(address: str, count: int) -> None:
    """Return when so many sessions wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while await asyncio.to_thread(execute, address, waiting) != [(count,)]:
        pass


async def test_steps_and_new_runs_are_sent_by_the_event_loop(store: PostgresStore, sent: list[str]) -> None:
    """All but the first write, with which the thread connects; many new runs are one statement, and many steps too."""
    fence = await new_run(store)
    assert sent == []
    for seq in (1, 2):
        await append(store, batch("r", fence, [step(seq)]))
    await append(store, batch("r", fence, [step(3)], "finished"))
    ids = [f"r{number}" for number in range(8)]
    fences = await asyncio.gather(*(new_run(store, run_id, count=1) for run_id in ids))
    pending = [append(store, batch(run_id, fence, [step(2)])) for run_id, fence in zip(ids, fences, strict=True)]
    await asyncio.gather(*pending)
    assert sent == ["append_step", "append_step", "append", "create_many", "append"]
    for run_id in ids:
        assert same(await store.steps(run_id), steps(1, 2))
    again = await asyncio.gather(*(new_run(store, run_id, count=1) for run_id in ("new", *ids)), return_exceptions=True)
    assert [type(each) for each in again] == [int, *[RunExists] * len(ids)]


async def test_a_step_that_waits_for_a_claim_is_refused(store: PostgresStore, postgres: str, sent: list[str]) -> None:
    """The row is checked again after the wait."""
    fence = await new_run(store, count=1)
    with refused(LeaseLost):
        await begin(
            store, postgres, batch("r", fence, [step(2)]), "UPDATE runs SET fence = fence + 1, driver = 'other'"
        )
    assert len(sent) == 1
    assert same(await store.steps("r"), [step(1)])
    with refused(LeaseLost):
        await append(store, batch("r", fence, []))  # only asks


@pytest.mark.parametrize("at", [102.0, 101.5])
async def test_a_step_that_waits_for_its_own_number_is_not_recorded_twice(
    store: PostgresStore, postgres: str, at: float
) -> None:
    """It counts as written if it is that step, as when a call is repeated while the first one still runs."""
    fence = await new_run(store, count=1)
    await append(store, batch("r", fence, [step(2)]))
    execute(postgres, "CREATE TABLE kept AS SELECT * FROM steps WHERE seq = 2", "DELETE FROM steps WHERE seq = 2")
    change = "INSERT INTO steps SELECT * FROM kept"
    if at == step(2).at:
        await begin(store, postgres, batch("r", fence, [step(2)]), change)
    else:
        execute(postgres, "UPDATE kept SET at = 101.5")
        with pytest.raises(StoreError, match="the next step is 3"):
            await begin(store, postgres, batch("r", fence, [step(2)]), change)
    assert execute(postgres, "SELECT at FROM steps ORDER BY seq") == [(101.0,), (at,)]


async def test_a_step_in_a_call_that_was_cut_and_goes_on_is_recorded_once(store: PostgresStore, postgres: str) -> None:
    """The server waits for the run's row, and does not notice the cut. The call is repeated, and waits after it."""
    fence = await new_run(store)
    await append(store, batch("r", fence, [step(1)]))
    parsed = parse(postgres)
    with psycopg.connect(parsed.url, options=f"-csearch_path={parsed.schema}") as other:
        other.execute("SELECT FROM runs FOR NO KEY UPDATE")
        adding = asyncio.create_task(append(store, batch("r", fence, [step(2)])))
        await locked(postgres, 1)
        assert store._commits is not None  # noqa: SLF001 - what a cut breaks
        store._commits._direct._lose()  # noqa: SLF001
        await locked(postgres, 2)
    await adding
    assert same(await store.steps("r"), steps(1, 2))


async def test_a_connection_that_was_ended_while_it_was_idle(store: PostgresStore, postgres: str) -> None:
    """The next step is written on another one, and the event loop does not watch the ended one."""
    fence = await new_run(store)
    await append(store, batch("r", fence, [step(1)]))
    execute(postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO steps%'")
    await asyncio.sleep(0)
    for seq in (2, 3):
        await append(store, batch("r", fence, [step(seq)]))
    assert same(await store.steps("r"), steps(1, 3))


async def test_a_message_that_is_larger_than_the_space_of_the_socket(store: PostgresStore, sent: list[str]) -> None:
    """It is sent in parts, as the server reads it."""
    fence = await new_run(store)
    added = steps(1, 40, value=["word"] * 20_000)
    await append(store, batch("r", fence, added))
    assert len(sent) == 1
    assert same(await store.steps("r"), added)


async def test_an_event_loop_that_cannot_watch_sockets(
    postgres: str, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writes are sent by the writing thread."""

    def refuse(*_: object) -> None:
        raise NotImplementedError

    store = PostgresStore(postgres)
    await store.open()
    with monkeypatch.context() as patch:
        patch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
        fence = await new_run(store)
        for seq in (1, 2):
            await append(store, batch("r", fence, [step(seq)]))
    assert same(await store.steps("r"), steps(1, 2))
    assert sent == []
    await store.close()


def test_a_step_that_was_queued_when_the_event_loop_ends_is_written(postgres: str, sent: list[str]) -> None:
    """A queued step is written when the event loop ends, even if nothing awaits the answer to its statement."""
    stores: list[PostgresStore] = []

    async def main() -> None:
        store = PostgresStore(postgres)
        stores.append(store)
        await store.open()
        fence = await new_run(store)
        await append(store, batch("r", fence, [step(1)]))
        store.append(batch("r", fence, [step(2)]))
        await asyncio.sleep(0)
        store.append(batch("r", fence, [step(3)]))

    async def found() -> bool:
        reading = PostgresStore(postgres)
        await reading.open()
        is_same = same(await reading.steps("r"), steps(1, 3))
        await reading.close()
        return is_same

    asyncio.run(main())
    assert len(sent) == 3
    stores[0].abandon()
    assert asyncio.run(found())


async def test_a_text_that_the_server_cannot_store_fails_alone(store: PostgresStore) -> None:
    """New runs that were sent with it are created."""
    await new_run(store)
    infos = [run_info("a"), run_info("b", graph="g\0"), run_info("c")]
    results = await asyncio.gather(
        *(store.create(info, [step(1)], {"nodes": []}) for info in infos), return_exceptions=True
    )
    assert [type(each) for each in results] == [int, StoreError, int]
    assert list(await store.ids("")) == ["a", "c", "r"]


async def test_the_rows_that_count_runs_stay_few(store: PostgresStore, postgres: str) -> None:
    """The turns of a chat, which begin no run, put together the rows that they add."""
    fence = await new_run(store, "chat", count=1)
    for n in range(150):
        await append(store, batch("chat", fence, [step(2 + 2 * n)], "waiting"))
        fence = await store.claim("chat")
        await append(store, batch("chat", fence, [step(3 + 2 * n)], "running"))
    ((rows,),) = execute(postgres, "SELECT count(*) < 400 FROM run_counts")
    assert rows is True
    assert [(each.status, each.runs) for each in await store.counts()] == [("running", 1)]


async def test_rows_that_gathered_are_put_together_bit_by_bit(store: PostgresStore, postgres: str) -> None:
    """No one statement pays for all of them, and their sums stay."""
    gathered = (
        "INSERT INTO run_counts SELECT g, 'waiting', 1 FROM unnest('{a,b}'::text[]) AS g, generate_series(1, 2000)"
    )
    execute(postgres, "SET session_replication_role = replica", gathered)
    noted = "CREATE TEMPORARY TABLE noted (n bigint GENERATED ALWAYS AS IDENTITY, rows bigint)"
    added = (
        "INSERT INTO run_counts VALUES ('a', 'waiting', 1)",
        "INSERT INTO noted (rows) SELECT count(*) FROM run_counts",
    )
    found = execute(postgres, noted, *added * 400, "SELECT rows FROM noted ORDER BY n")
    rows = [4000, *(int(str(row)) for (row,) in found)]
    assert max(before - after for before, after in pairwise(rows)) in range(1, 512)
    assert {each.graph: each.runs for each in await store.counts()} == {"a": 2400, "b": 2000}
