"""Faults of a PostgreSQL server: one clear error each, no password shown, nothing recorded is lost."""

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from graphengine.databases.addresses import parse
from graphengine.databases.postgres import PostgresStore, queries
from graphengine.databases.postgres import opening as preparing
from graphengine.databases.postgres import store as store_module
from graphengine.databases.postgres.faults import words_of
from graphengine.databases.postgres.sessions import Connector, Sessions
from graphengine.errors import (
    GraphEngineError,
    StoreAltered,
    StoreForbidden,
    StoreMissing,
    StoreNotADatabase,
    StoreReadOnly,
    StoreTooNew,
    StoreUnreachable,
)
from graphengine.kernel.testing.kit import append, batch, new_run, same, step, steps
from graphengine.stores.base import Append
from tests.kit.postgres import PostgresServer, execute
from tests.kit.postgres_recipes import standby_of

Opening = Callable[..., Awaitable[PostgresStore]]


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """The address of a schema that does not exist yet."""
    return postgres_server.new_address()


@pytest.fixture
async def opening(postgres: str) -> AsyncIterator[Opening]:
    """A function that opens stores, by default on a new schema, and closes them at the end."""
    opened: list[PostgresStore] = []

    async def open_one(address: str = postgres, **options: Any) -> PostgresStore:
        store = PostgresStore(address, **{"patience_seconds": 5.0, **options})
        opened.append(store)
        await store.open()
        return store

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
def own_server(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A server that a test can stop."""
    server = PostgresServer(postgres_server.template, is_safe=True)
    yield server
    server.remove()


async def refusal(store: PostgresStore) -> GraphEngineError:
    """Return the error of an opening, which shows the address and no password."""
    with pytest.raises(GraphEngineError) as caught:
        await store.open()
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.where == store.address.shown
    assert caught.value.repair
    return caught.value


def test_the_words_of_an_error_are_searched_before_they_are_joined() -> None:
    """A password with a line break is found."""
    address = parse("postgresql://me:se%0A%20cret@db.example/runs")
    assert words_of(OSError("no entry for se\n cret\n  at db"), address) == "no entry for … at db"


async def test_a_server_that_is_not_there() -> None:
    """The first connection is tried once: neither a wrong port nor a wrong host keeps the caller waiting."""
    for host in ("127.0.0.1:1", "%2Fnowhere", "no-such-host.invalid"):
        error = await refusal(PostgresStore(f"postgresql://me:secret@{host}/runs"))
        assert type(error) is StoreUnreachable


async def test_a_wrong_password(postgres_server: PostgresServer) -> None:
    """The error names the user and no password."""
    rules = postgres_server.hba.read_text()
    postgres_server.hba.write_text(f"local all guarded scram-sha-256\n{rules}")
    base = postgres_server.address()
    execute(base, "CREATE ROLE guarded LOGIN PASSWORD 'right'", "SELECT pg_reload_conf()")
    try:
        for password in ("secret", ""):
            error = await refusal(PostgresStore(postgres_server.address(user="guarded", password=password)))
            assert type(error) is StoreForbidden
            assert "PGPASSWORD" in error.repair
    finally:
        postgres_server.hba.write_text(rules)
        execute(base, "SELECT pg_reload_conf()")


async def test_a_user_or_database_that_does_not_exist(postgres_server: PostgresServer) -> None:
    """A misspelled user is refused, a misspelled database is missing."""
    assert type(await refusal(PostgresStore(postgres_server.address(user="nobody")))) is StoreForbidden
    error = await refusal(PostgresStore(postgres_server.address(database="nothing")))
    assert (type(error), "createdb" in error.repair) == (StoreMissing, True)


async def test_a_user_without_rights(postgres_server: PostgresServer, opening: Opening, postgres: str) -> None:
    """A user without rights can neither create a schema nor use another's; the error says what to grant."""
    base = postgres_server.address()
    execute(base, "CREATE ROLE guest LOGIN")
    error = await refusal(PostgresStore(postgres.replace("tester@", "guest@")))
    assert (type(error), "GRANT" in error.repair) == (StoreForbidden, True)
    await opening()
    error = await refusal(PostgresStore(postgres.replace("tester@", "guest@")))
    assert (type(error), "GRANT" in error.repair) == (StoreForbidden, True)
    schema = postgres.partition("?schema=")[2]
    execute(base, f"GRANT USAGE ON SCHEMA {schema} TO guest")
    error = await refusal(PostgresStore(postgres.replace("tester@", "guest@")))
    assert (type(error), "GRANT" in error.repair) == (StoreForbidden, True)
    execute(base, f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO guest")
    await new_run(await opening(postgres.replace("tester@", "guest@")))


async def test_a_schema_of_another_application(opening: Opening, postgres: str) -> None:
    """It is refused and unchanged; an empty schema, which an administrator made, is used."""
    schema = postgres.partition("?schema=")[2]
    execute(postgres, f"CREATE SCHEMA {schema}", "CREATE TABLE theirs (a integer)")
    error = await refusal(PostgresStore(postgres))
    assert (type(error), "?schema=" in error.repair) == (StoreNotADatabase, True)
    execute(postgres, "DROP TABLE theirs")
    await new_run(await opening())


async def test_formats(opening: Opening, postgres: str) -> None:
    """A newer format is refused unless this version can work with it; an older one is migrated by a writer only."""
    await new_run(await opening())
    execute(postgres, "UPDATE meta SET format = 99, oldest = 98")
    for read_only in (False, True):
        error = await refusal(PostgresStore(postgres, read_only=read_only))
        assert (type(error), "update graphengine" in error.repair) == (StoreTooNew, True)
    execute(postgres, "UPDATE meta SET format = 98, oldest = 2")
    assert (await (await opening()).info("r")).seq == 0


async def test_an_older_format_is_migrated(opening: Opening, postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older format is migrated by the first writer, once; readers are refused until then; old processes continue."""
    old = await opening()
    fence = await new_run(old)
    monkeypatch.setattr(preparing, "OLDEST_READ", queries.latest_format() + 1)
    monkeypatch.setattr(queries, "MIGRATIONS", [*queries.MIGRATIONS, *(f"CREATE TABLE added_{n} ()" for n in (2, 3))])
    assert type(await refusal(PostgresStore(postgres, read_only=True))) is StoreReadOnly
    opened = await asyncio.gather(*(opening() for _ in range(4)))
    assert len(opened) == 4
    await append(old, batch("r", fence, [step(1)]))
    assert same(await opened[3].steps("r"), [step(1)])


async def test_a_migration_that_fails_at_its_end_changes_nothing(
    opening: Opening, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All migrations take effect, or none: the old format is used as before."""
    await new_run(await opening())
    with monkeypatch.context() as newer:
        newer.setattr(queries, "MIGRATIONS", [*queries.MIGRATIONS, "CREATE TABLE added ()", "CREATE TABLE runs ()"])
        error = await refusal(PostgresStore(postgres))
        assert "runs" in error.message
    execute(postgres, "CREATE TABLE added ()")
    assert (await (await opening()).info("r")).seq == 0


async def test_a_database_without_runs_is_not_read(postgres: str) -> None:
    """Reading a database without runs creates no schema."""
    for _ in range(2):
        assert type(await refusal(PostgresStore(postgres, read_only=True))) is StoreMissing


async def test_reading_changes_nothing(opening: Opening) -> None:
    """A store that only reads has no owner, and the server refuses its writes."""
    await new_run(await opening(), count=3)
    reader = await opening(read_only=True)
    assert (await reader.info("r")).driver is not None
    assert same(await reader.steps("r"), steps(1, 3))
    for write in (reader.claim("r"), reader.post("r", "answer", 1, "k"), reader.tag("r", ["x"]), reader.sweep()):
        with pytest.raises(StoreReadOnly):
            await write


async def test_a_standby(own_server: PostgresServer) -> None:
    """It can be read, also while its primary is driven; writing is refused at the opening."""
    address = own_server.new_address()
    primary = PostgresStore(address)
    await primary.open()
    fence = await new_run(primary, count=2)
    standby = standby_of(own_server)
    try:
        there = address.replace(str(own_server.folder).replace("/", "%2F"), str(standby.folder).replace("/", "%2F"))
        error = await refusal(PostgresStore(there))
        assert (type(error), "primary" in error.repair) == (StoreReadOnly, True)
        reader = PostgresStore(there, read_only=True)
        await reader.open()
        info = await reader.info("r")
        assert (info.seq, info.driver is not None) == (2, True)  # locks are not replicated: its lease counts
        await reader.close()
        await append(primary, batch("r", fence, [step(3)]))
    finally:
        await primary.close()
        standby.remove()


async def test_a_table_that_is_missing(opening: Opening, postgres: str) -> None:
    """The error names a table that is missing."""
    store = await opening()
    await new_run(store)
    execute(postgres, "ALTER TABLE steps RENAME TO gone")
    with pytest.raises(StoreAltered, match="steps"):
        await store.load("r")
    execute(postgres, "ALTER TABLE gone RENAME TO steps")
    assert (await store.load("r")).info.seq == 0


async def test_a_server_that_goes_away_and_comes_back(own_server: PostgresServer) -> None:
    """Writes and reads wait for it, and none is lost or written twice."""
    store = PostgresStore(own_server.new_address(), patience_seconds=30)
    await store.open()
    fence = await new_run(store)
    await append(store, batch("r", fence, [step(1)]))
    own_server.kill()
    pending = [asyncio.ensure_future(append(store, batch("r", fence, [step(seq)]))) for seq in (2, 3)]
    reading = asyncio.ensure_future(store.steps("r"))
    await asyncio.to_thread(own_server.restart)
    await asyncio.gather(*pending)
    assert len(await reading) >= 1
    assert same(await store.steps("r"), steps(1, 3))
    await store.close()
    again = PostgresStore(own_server.address(store.address.schema))
    await again.open()
    assert not (await again.info("r")).held
    await again.close()


async def test_a_server_that_stays_away(own_server: PostgresServer, caplog: pytest.LogCaptureFixture) -> None:
    """After the patience each call fails with the address; closing does not take long, and loses nothing."""
    store = PostgresStore(own_server.new_address(), patience_seconds=0.2)
    await store.open()
    fence = await new_run(store)
    await append(store, batch("r", fence, [step(1)]))
    own_server.kill()
    with pytest.raises(StoreUnreachable, match="cannot be reached"):
        await append(store, batch("r", fence, [step(2)]))
    with pytest.raises(StoreUnreachable):
        await store.info("r")
    await store.close()
    assert "was not deleted" in caplog.text
    own_server.start()
    again = PostgresStore(own_server.address(store.address.schema), lease_seconds=1)
    await again.open()
    assert same(await again.steps("r"), [step(1)])
    await again.close()


async def test_a_value_that_the_server_cannot_store_fails_alone(opening: Opening) -> None:
    """Writes that share its transaction are written."""
    store = await opening()
    fence = await new_run(store)
    others = [store.post("r", "answer", number, f"k{number}") for number in range(3)]
    bad = store.post("r", "answer", 1, "a\0b")
    results = await asyncio.gather(others[0], bad, *others[1:], return_exceptions=True)
    assert isinstance(results[1], GraphEngineError)
    assert [results[0], *results[2:]] == [True, True, True]
    await append(store, Append("r", fence, [step(1)], "running"))
    assert len(await store.inbox(["r"])) == 3


async def test_the_thread_of_the_lease_ends_with_the_event_loop(postgres: str) -> None:
    """A program that never closes its store can exit, and its runs are free at once."""
    store = PostgresStore(postgres)

    def program() -> None:
        async def main() -> None:
            await store.open()
            await new_run(store)

        asyncio.run(main())

    thread = threading.Thread(target=program)
    thread.start()
    await asyncio.to_thread(thread.join)
    other = PostgresStore(postgres)
    await other.open()
    async with asyncio.timeout(30):
        while (await other.info("r")).driver is not None:  # noqa: ASYNC110 - the server sees its session end
            await asyncio.sleep(0.05)
    assert await other.claim("r") == 2
    await other.close()


async def test_a_store_that_closes_after_a_call_was_cancelled_does_not_block_the_event_loop(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread still works on that call, and other tasks can continue until it has ended."""
    store = PostgresStore(postgres)
    await store.open()
    begun, end = threading.Event(), threading.Event()
    ended: list[bool] = []
    readers, close = store._readers, Sessions.close  # noqa: SLF001 - which close last

    def slow(*_: object) -> Any:
        begun.set()
        ended.append(end.wait(5))

    async def closed(sessions: Sessions) -> None:
        if sessions is readers:
            asyncio.get_running_loop().call_later(0.01, end.set)
        await close(sessions)

    monkeypatch.setattr(Sessions, "close", closed)
    reading = asyncio.create_task(store.read(slow))
    assert await asyncio.to_thread(begun.wait, 60)
    reading.cancel()
    await asyncio.wait([reading])
    await store.close()
    assert ended == [True]


async def test_a_lease_that_is_just_connecting_again_leaves_no_owner(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. Its session breaks, and it connects again. 2. The store closes, and deletes the owner. 3. It is connected."""
    store = PostgresStore(postgres)
    await store.open()
    connecting, retired = threading.Event(), threading.Event()
    connect, retire = Connector.connect, store_module._retire  # noqa: SLF001 - the moment when the owner is deleted

    def connected(server: Connector) -> Any:
        found = connect(server)
        if threading.current_thread().name == "graphengine-lease":
            connecting.set()
            assert retired.wait(60)
        return found

    def and_retired(connection: Any, **options: Any) -> None:
        retire(connection, **options)
        retired.set()

    monkeypatch.setattr(Connector, "connect", connected)
    monkeypatch.setattr(store_module, "_retire", and_retired)
    assert store.lease is not None
    session = store.lease._connection  # noqa: SLF001 - what a cut breaks
    assert session is not None
    execute(postgres, f"SELECT pg_terminate_backend({session.info.backend_pid})")
    assert await asyncio.to_thread(connecting.wait, 60)
    await store.close()
    assert execute(postgres, "SELECT * FROM owners") == []
