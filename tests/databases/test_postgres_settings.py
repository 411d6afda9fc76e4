"""What operators set for roles and databases changes nothing that graphengine reads or writes, or is named."""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import END, START, Graph, Memory, Runner, Schedule, Worker, ask
from graphengine.databases.postgres import PostgresStore, doctor
from graphengine.databases.postgres.doctor import examine
from graphengine.errors import StoreError, StoreLocked, StoreNotSupported, StoreReadOnly, StoreUnreachable
from graphengine.worker.worker import Took
from tests.kit.postgres import PostgresServer, execute

SET = {
    "client_encoding": ("LATIN1", "SQL_ASCII", "WIN1252"),
    "extra_float_digits": ("-15", "0", "3"),
    "datestyle": ("German, DMY", "SQL, DMY", "Postgres, MDY"),
    "intervalstyle": ("sql_standard", "iso_8601", "postgres_verbose"),
    "timezone": ("America/St_Johns", "Asia/Kolkata"),
    "bytea_output": ("escape",),
    "array_nulls": ("off",),
    "standard_conforming_strings": ("off",),
    "escape_string_warning": ("on",),
    "backslash_quote": ("off", "on"),
    "transform_null_equals": ("on",),
    "quote_all_identifiers": ("on",),
    "default_transaction_isolation": ("serializable", '"repeatable read"'),
    "default_transaction_deferrable": ("on",),
    "search_path": ("public", "pg_temp, public"),
    "enable_indexscan": ("off",),
    "enable_bitmapscan": ("off",),
    "enable_nestloop": ("off",),
    "enable_hashjoin": ("off",),
    "plan_cache_mode": ("force_custom_plan", "force_generic_plan"),
    "jit": ("on",),
    "jit_above_cost": ("0",),
    "gin_fuzzy_search_limit": ("1",),
    "work_mem": ("'64kB'",),
    "client_min_messages": ("debug5", "error"),
    "synchronous_commit": ("off", "local"),
    "row_security": ("off",),
    "check_function_bodies": ("off",),
    "lc_monetary": ("'C'",),
    "lc_messages": ("'C'",),
    '"plpgsql.extra_errors"': ("'all'",),
    '"plpgsql.extra_warnings"': ("'all'",),
    "default_statistics_target": ("1",),
    "from_collapse_limit": ("1",),
    "geqo_threshold": ("2",),
    "idle_in_transaction_session_timeout": ("'1min'",),
    "statement_timeout": ("'30s'",),
    "lock_timeout": ("'20s'",),
    "idle_session_timeout": ("'30s'",),
    "tcp_keepalives_idle": ("60",),
}
"""Settings that operators use, each with values that are not the server's own."""
ENVIRONMENT = {"PGCLIENTENCODING": "LATIN1", "PGTZ": "Asia/Tokyo", "PGDATESTYLE": "German", "PGOPTIONS": "-c jit=on"}
LIMITED = "ALTER ROLE {role} SET {name} = {value}"
WORDS = "naïve \\ ' \" 日本 \N{GRINNING FACE} $1 %s {a}"


class State(BaseModel):
    """Values that text and back can change."""

    text: str = WORDS
    number: float = 0.1 + 0.2
    tiny: float = 5e-324
    at: datetime = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    span: timedelta = timedelta(days=3, microseconds=1)
    ok: bool = False


def work(text: str, number: float) -> dict[str, object]:
    """Change them."""
    return {"text": text * 2, "number": number * 3}


def simple() -> Graph[State]:
    """A node."""
    made = Graph("simple", State)
    made.add_node("work", work, writes=("text", "number"))
    made.add_path(START, "work", END)
    return made


def graph() -> Graph[State]:
    """A node, then a question."""
    made = Graph("settings", State)
    made.add_node("work", work, writes=("text", "number"))
    made.add_node("asks", ask("Is it right?", bool), writes="ok")
    made.add_path(START, "work", "asks", END)
    return made


async def vectors(texts: Sequence[str]) -> list[list[float]]:
    """Return a vector for each text."""
    return [[0.1 + 0.2, 1 / 3, len(text) / 7] for text in texts]


async def used(address: str) -> list[object]:
    """Use most features; return all that was read."""
    seen: list[object] = []
    async with Runner(address) as runner, Memory(address, embed=vectors) as memory:
        await memory.put("users/ada", "diet", WORDS)
        for number in range(20):
            await memory.put("users/many", f"{number}", "green tea")
        seen += [entry.score for entry in await memory.search("users/ada", "words", by="meaning")]
        seen += [(await memory.get("users/ada", "diet")).value, len(await memory.search("users", "green", limit=50))]  # type: ignore[union-attr]
        await runner.start(graph(), run_id="r", tags=["a"], user="ada", wait_out=False).result()
        await runner.answer("r", True)  # noqa: FBT003 - the answer
        done = (await runner.resume("r", graph()).result()).state
        await runner.start(simple(), run_id="s").result()
        seen += [repr(done), repr((await runner.branch("s", simple(), at=1, run_id="b").result()).state)]
        await runner.start(simple(), run_id="q", queue="mail", tenant="acme").result()

        def left(event: object) -> None:
            if not isinstance(event, Took):
                worker.stop()

        worker = Worker(runner, simple(), queues=["mail"], poll_seconds=0.01, on_event=left)
        await asyncio.wait_for(worker.run(), 20)
        seen += [[info.status for info in await runner.runs(tag="a")], (await runner.info("q")).status]
        seen += [len(await runner.runs("naïve")), [step.kind for step in await runner.history("r")]]
        daily = await runner.admin.schedule(Schedule("daily", "0 5 * * *", "settings"), graph(), {"text": WORDS})
        seen += [(await runner.admin.schedules())[0] == daily]
        await runner.stop("q", "enough", final=True)
        seen += [(await runner.admin.prune(keep_last=1)).runs]
    seen += [[each.code for each in examine(address).faults]]
    return seen


@pytest.fixture(scope="module")
def role(postgres_server: PostgresServer) -> Iterator[str]:
    """A role that owns its schemas."""
    base = postgres_server.address()
    execute(base, "CREATE ROLE dba_set LOGIN", "GRANT CREATE ON DATABASE postgres TO dba_set")
    yield "dba_set"
    execute(base, "DROP OWNED BY dba_set CASCADE", "DROP ROLE dba_set")


def as_role(server: PostgresServer, role: str, *statements: str) -> str:
    """Return an address of a new schema for a role, after statements."""
    execute(server.address(), *statements)
    return server.new_address().replace("tester@", f"{role}@")


@pytest.fixture(scope="module")
def plain(postgres_server: PostgresServer, role: str) -> list[object]:
    """What is read where nothing is set."""
    return asyncio.run(used(as_role(postgres_server, role)))


CHOSEN = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in SET.items()})


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=CHOSEN, environment=st.booleans())
def test_no_setting_changes_what_is_read(
    postgres_server: PostgresServer, role: str, plain: list[object], chosen: dict[str, str], *, environment: bool
) -> None:
    """A role's settings, and those of the environment, make no difference."""
    assert compared(postgres_server, role, chosen, ENVIRONMENT if environment else {}) == plain


def test_all_settings_together_change_nothing(postgres_server: PostgresServer, role: str, plain: list[object]) -> None:
    """The first value of each, and the environment's."""
    assert compared(postgres_server, role, {name: values[0] for name, values in SET.items()}, ENVIRONMENT) == plain


def compared(server: PostgresServer, role: str, chosen: dict[str, str], environment: dict[str, str]) -> list[object]:
    """Return what is read as a role with these settings; those that this server has not are left out."""
    known = {str(name) for (name,) in execute(server.address(), "SELECT name FROM pg_settings")}
    here = {name: value for name, value in chosen.items() if name.startswith('"') or name.lower() in known}
    made = [LIMITED.format(role=role, name=name.replace('"', ""), value=value) for name, value in here.items()]
    address = as_role(server, role, f"ALTER ROLE {role} RESET ALL", *made)
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        return asyncio.run(used(address))
    finally:
        for name in environment:
            os.environ.pop(name)
        os.environ.update(before)
        execute(server.address(), f"ALTER ROLE {role} RESET ALL")


async def test_sessions_that_became_read_only_are_replaced(postgres: str) -> None:
    """After a switch-over old sessions lead to the demoted server: writes are repeated in new ones, by all sessions."""
    async with Runner(PostgresStore(postgres)) as runner:
        store = runner.store
        assert isinstance(store, PostgresStore)
        await runner.start(simple(), run_id="before").result()
        store._commits._direct.leave()  # noqa: SLF001 - the loop watches the session for writing
        await store._writer.run(_demote)  # noqa: SLF001 - the sessions that are there
        await asyncio.gather(*(store._readers.run(_demote) for _ in range(4)))  # noqa: SLF001 - the same
        await runner.start(simple(), run_id="after").result()
        await runner.tag("after", add=["a"])
        assert [(await runner.info(name)).status for name in ("before", "after")] == ["finished"] * 2
        assert await store._readers.run(_demoted) == "off"  # noqa: SLF001 - the same


def _demote(connection: psycopg.Connection) -> None:
    connection.execute("SET default_transaction_read_only = on")


def _demoted(connection: psycopg.Connection) -> object:
    return (connection.execute("SHOW default_transaction_read_only").fetchone() or [None])[0]


async def test_a_database_that_stays_read_only_is_named(postgres_server: PostgresServer, role: str) -> None:
    """After the time for a switch-over, by its own error."""
    address = as_role(postgres_server, role)
    async with Runner(PostgresStore(address, patience_seconds=0.1)) as runner:
        store = runner.store
        assert isinstance(store, PostgresStore)
        await runner.start(simple(), run_id="before").result()
        execute(postgres_server.address(), f"ALTER ROLE {role} SET default_transaction_read_only = on")
        store._commits._direct.leave()  # noqa: SLF001 - the loop watches the session for writing
        await store._writer.run(_demote)  # noqa: SLF001 - the sessions that are there
        try:
            with pytest.raises(StoreReadOnly):
                await runner.start(simple(), run_id="after").result()
        finally:
            execute(postgres_server.address(), f"ALTER ROLE {role} RESET ALL")


@pytest.mark.parametrize(
    ("limit", "kind", "words"),
    [
        ("CONNECTION LIMIT 0", StoreUnreachable, "accepts no more sessions"),
        ("CONNECTION LIMIT 1", StoreNotSupported, "only one session, but it needs at least two"),
    ],
)
async def test_a_limit_of_sessions_is_named(
    postgres_server: PostgresServer, role: str, limit: str, kind: type[StoreError], words: str
) -> None:
    """A server that is full, and one that has a single session."""
    address = as_role(postgres_server, role, f"ALTER ROLE {role} {limit}")
    try:
        with pytest.raises(kind, match=words) as caught:
            await PostgresStore(address, patience_seconds=0).open()
    finally:
        execute(postgres_server.address(), f"ALTER ROLE {role} CONNECTION LIMIT -1")
    assert "max_connections" in caught.value.repair


async def test_a_statement_that_took_too_long_is_named(postgres_server: PostgresServer, role: str) -> None:
    """By the setting, and not as a lock of somebody else."""
    address = as_role(postgres_server, role)
    async with Runner(address) as runner:
        store = runner.store
        assert isinstance(store, PostgresStore)
        with pytest.raises(StoreLocked, match="longer than statement_timeout") as caught:
            await store._run(_slow)  # noqa: SLF001 - a statement of ours is quick
    assert "ALTER ROLE" in caught.value.repair


def _slow(connection: psycopg.Connection) -> None:
    connection.execute("SET statement_timeout = 1")
    connection.execute("SELECT pg_sleep(10)")


@pytest.mark.parametrize("schema", ["user", "order", "table", "select"])
async def test_a_word_of_sql_can_be_a_schema(postgres_server: PostgresServer, schema: str) -> None:
    """Runs are kept, read, pruned and checked there."""
    address = postgres_server.address(schema)
    async with Runner(address) as runner:
        await runner.start(simple(), run_id="r").result()
        await runner.admin.prune(keep_last=0)
        await runner.admin.vacuum()
    assert not await asyncio.to_thread(lambda: examine(address).faults)


async def test_a_clock_that_differs_from_the_servers_is_a_note(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Due times are off by that; the runs are sound."""
    store = PostgresStore(postgres)
    await store.open()
    await store.close()
    assert not [each for each in examine(postgres).findings if each.code == "clock"]
    monkeypatch.setattr(doctor, "time", SimpleNamespace(time=lambda: time.time() + 600))
    report = examine(postgres)
    (found,) = [each for each in report.findings if each.code == "clock"]
    assert (report.is_sound, found.what[:45]) == (True, "this host's clock is 600 s ahead of the serve")
