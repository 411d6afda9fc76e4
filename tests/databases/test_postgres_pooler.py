"""Runs behind PgBouncer: a session each works; without one, the opening is refused by its cause, and writes nothing."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from graphengine.databases.postgres import PostgresStore
from graphengine.databases.postgres.doctor import examine
from graphengine.databases.postgres.sessions import Connection
from graphengine.errors import StoreNotSupported
from graphengine.kernel.testing.kit import append, batch, new_run, same, step, steps
from tests.kit.pgbouncer import PgBouncer, why_missing
from tests.kit.postgres import PostgresServer, execute

Pooling = Callable[..., PgBouncer]
TABLES = "SELECT nspname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = 'owners' AND nspname"
DROPS_OPTIONS = "ignore_startup_parameters = options"


@pytest.fixture
def pooling(postgres_server: PostgresServer) -> Iterator[Pooling]:
    """A function that starts a pooler, with its mode and settings, before the server of the tests."""
    if why_missing():
        pytest.skip(why_missing())
    started: list[PgBouncer] = []

    def start(*settings: str, **of_database: str) -> PgBouncer:
        started.append(PgBouncer(postgres_server, *settings, **of_database))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def schema_of(address: str) -> str:
    """Return the schema that an address names."""
    return address.partition("?schema=")[2]


@pytest.mark.parametrize("settings", [(), (DROPS_OPTIONS,)])
async def test_in_session_mode_everything_works(pooling: Pooling, postgres: str, settings: tuple[str, ...]) -> None:
    """As PgBouncer is installed, and where it drops options: the tables are in their schema, and messages announced."""
    schema = schema_of(postgres)
    pooler = pooling("session", *settings)
    store, other = PostgresStore(pooler.address(schema)), PostgresStore(pooler.address(schema))
    await store.open()
    await other.open()
    fence = await new_run(store, count=1)
    await append(store, batch("r", fence, [step(2)]))
    assert same(await other.steps("r"), steps(1, 2))
    async with asyncio.timeout(20):
        heard = asyncio.create_task(store.notifications(0))
        await other.post("r", "answer", True, key="k")  # noqa: FBT003 - a payload
        await heard
    assert execute(postgres, TABLES + f" IN ('public', '{schema}')") == [(schema,)]
    settings_seen = await store._run(_settings)  # noqa: SLF001 - only its sessions know
    assert settings_seen == (f'"{schema}"', "off", "off", "read committed", "10s")
    assert store.lease is not None
    owner = store.lease.id
    await asyncio.to_thread(store.abandon)
    async with asyncio.timeout(20):
        while owner not in other.lease.dead:  # type: ignore[union-attr]  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await other.close()


def _settings(connection: psycopg.Connection) -> tuple[object, ...] | None:
    names = "search_path", "enable_seqscan", "jit", "default_transaction_isolation"
    asked = ", ".join(f"current_setting('{name}')" for name in (*names, "idle_in_transaction_session_timeout"))
    return connection.execute(f"SELECT {asked}".encode()).fetchone()


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("settings", [(DROPS_OPTIONS,), ("server_round_robin = 1", "min_pool_size = 3")])
async def test_other_modes_are_refused_by_name(
    pooling: Pooling, postgres_server: PostgresServer, mode: str, settings: tuple[str, ...]
) -> None:
    """Writing, reading and by the doctor; no table is made, in no schema."""
    schema = schema_of(postgres_server.new_address())
    address = pooling(mode, *settings).address(schema)
    for read_only in (False, True):
        with pytest.raises(StoreNotSupported, match="pooler") as caught:
            await PostgresStore(address, read_only=read_only).open()
        assert "pool_mode = session" in caught.value.repair
    with pytest.raises(StoreNotSupported, match="pooler"):
        examine(address)
    assert execute(postgres_server.address(), TABLES + f" IN ('public', '{schema}')") == []


async def test_the_repair_works(pooling: Pooling, postgres: str) -> None:
    """One database in session mode, behind a pooler that has another mode for all others."""
    pooler = pooling("transaction", of_database="pool_mode=session")
    store = PostgresStore(pooler.address(schema_of(postgres)))
    await store.open()
    await new_run(store)
    await store.close()


async def test_a_pooler_that_changes_its_mode_is_named_as_the_cause(pooling: Pooling, postgres: str) -> None:
    """A statement that finds another session's settings is not taken for a damaged database."""
    store = PostgresStore(pooling("session").address(schema_of(postgres)))
    await store.open()
    await store._run(lambda connection: connection.execute("DISCARD ALL"))  # noqa: SLF001 - as in a session of another
    with pytest.raises(StoreNotSupported, match="pooler"):
        await store.info("r")
    await store.close()


async def test_options_of_the_address_that_a_pooler_refuses(pooling: Pooling, postgres: str) -> None:
    """They are the cause, and not a server that cannot be reached."""
    address = f"{pooling('session').address(schema_of(postgres))}&options=-cwork_mem%3D8MB"
    with pytest.raises(StoreNotSupported, match="unsupported startup parameter"):
        await PostgresStore(address).open()


async def test_a_session_is_asked_once(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directly, the question costs one statement for each connection, and none for a write."""
    asked: list[int] = []
    execute_one = psycopg.Connection.execute

    def counted(connection: Connection, query: Any, *rest: Any, **options: Any) -> Any:
        if b"graphengine.client" in (query if isinstance(query, bytes) else b""):
            asked.append(connection.info.backend_pid)
        return execute_one(connection, query, *rest, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    store = PostgresStore(postgres)
    await store.open()
    fence = await new_run(store)
    for seq in (1, 2, 3):
        await append(store, batch("r", fence, [step(seq)]))
    assert len(asked) == len(set(asked)) == 3  # to read, for the lease, to write
    await store.close()
