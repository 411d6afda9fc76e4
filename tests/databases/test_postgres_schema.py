"""The schema of PostgreSQL is whole once its owner has opened it, and logical replication can carry all of it."""

import asyncio
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from graphengine import Agent, Memory, QueueLimits, Runner, Schedule
from graphengine.budgets import Budget, Budgets
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.postgres.queries import SQL
from graphengine.databases.postgres.reads import lists
from graphengine.databases.run_lists import conditions_of
from graphengine.memory import erase
from graphengine.models import ScriptedModel
from graphengine.serve.notifications import Notifications, Webhook
from tests.agents.run_kits import one, paid
from tests.kit.postgres import PostgresServer, execute

TABLES = "SELECT relname, relkind FROM pg_class WHERE relnamespace = '{schema}'::regnamespace ORDER BY 1"
WITHOUT_KEY = (
    "SELECT relname FROM pg_class AS c WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'r'"
    " AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary)"
)
FILED = "SELECT name FROM pragma_table_list WHERE type IN ('table', 'shadow') AND name NOT GLOB 'sqlite_*schema'"


def schema_of(address: str) -> str:
    """Return the schema that an address names."""
    return address.partition("?schema=")[2]


@pytest.fixture
def published(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a schema for a role that may create nothing; a publication has all that its owner made."""
    address = postgres_server.new_address()
    schema = schema_of(address)
    asyncio.run(opened(address))
    tables = ", ".join(
        f"{schema}.{name}" for name, kind in execute(address, TABLES.format(schema=schema)) if kind == "r"
    )
    rights = f"GRANT USAGE ON SCHEMA {schema} TO {schema}", f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {schema}"
    execute(address, f"CREATE ROLE {schema} LOGIN", *rights, f"CREATE PUBLICATION {schema} FOR TABLE {tables}")
    yield address.replace("tester@", f"{schema}@")
    execute(address, f"DROP PUBLICATION {schema}", f"DROP SCHEMA {schema} CASCADE", f"DROP ROLE {schema}")


async def opened(address: str) -> None:
    """Open a store once."""
    store = PostgresStore(address)
    await store.open()
    await store.close()


async def test_a_role_that_may_create_nothing_does_all_work_on_published_tables(published: str) -> None:
    """Memories, budgets, schedules, queues, news, tags, pruning, erasure: nothing is made, and no change refused."""
    schema = schema_of(published)
    owner = published.replace(f"{schema}@", "tester@")
    before = execute(owner, TABLES.format(schema=schema))
    store = PostgresStore(published)
    extensions = [
        Budgets(Budget(name="day", cost_usd=9, by="user")),
        Notifications(Webhook("w", "http://127.0.0.1:9", "s")),
    ]
    model = ScriptedModel({"writer": [paid("a text") for _ in range(9)]})
    async with Runner(store, models=model, extensions=extensions) as runner, Memory(store) as memory:
        await memory.put("users/ada", "diet", "tea")
        await memory.put("users/ada", "diet", "green tea")
        assert [entry.value for entry in await memory.search("users", "green")] == ["green tea"]
        graph = one(Agent("writer", prompt="{task}"))
        for number in range(4):
            await runner.start(graph, run_id=f"r{number}", user="ada").result()
        await runner.tag("r0", add=["kept"])
        await runner.tag("r0", remove=["kept"])
        await runner.branch("r1", graph, at=1, run_id="b").result()
        await runner.admin.schedule(Schedule("daily", "0 5 * * *", graph.name), graph)
        await runner.admin.unschedule("daily")
        await runner.admin.limit_queue("default", QueueLimits(concurrency=1))
        await runner.admin.limit_queue("default", None)
        await runner.admin.prune(keep_last=3)
        await erase(runner, "ada")
        await runner.admin.vacuum()
        assert list(await memory.list("users")) == []
    assert execute(owner, TABLES.format(schema=schema)) == before


def test_every_table_has_a_primary_key(postgres: str, tmp_path: Path) -> None:
    """By which rows are found, in a copy too; also those that a SQLite file gets when it is used."""
    asyncio.run(opened(postgres))
    assert execute(postgres, WITHOUT_KEY.format(schema=schema_of(postgres))) == []
    asyncio.run(used(tmp_path / "runs.db"))
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        tables = [name for (name,) in connection.execute(FILED)]
        columns = {
            name: connection.execute("SELECT pk FROM pragma_table_info(?)", (name,)).fetchall() for name in tables
        }
    assert {"runs", "run_counts", "memories", "memory_words_idx"} <= columns.keys()
    assert [name for name, keys in columns.items() if not any(pk for (pk,) in keys)] == []


async def used(path: Path) -> None:
    """Use all that makes tables in a SQLite file."""
    async with Runner(path) as runner, Memory(path) as memory:
        await memory.put("n", "k", 1)
        await runner.runs("words")


PAGES: dict[str, dict[str, object]] = {
    **{name: {name: value} for name, value in {"status": "finished", "graph": "g1", "tag": "x", "user": "u1"}.items()},
    "every": {},
    "tenant": {"tenant": "t1", "begun_after": 9.0},
    "words": {"text": "word", "graph": "g1"},
}
RUNS = (
    "INSERT INTO runs (id, graph, fingerprint, status, created_at, parent_seq, fence, token, queue, queue_key, turn,"
    " priority, user_name) SELECT 'r' || n, 'g' || n % 9, 'f', 'finished', n, 0, 1, 0, 'jobs', 't' || n % 9, 0, 0,"
    " 'u' || n % 9 FROM generate_series(1, 20000) AS n"
)
TAGS = "INSERT INTO tags (run, tag, created_at, words) SELECT key, 'x', created_at, '' FROM runs"


async def test_a_page_reads_only_its_own_runs(postgres: str) -> None:
    """Pages of runs and branches are found without reading other runs or the last steps of other runs."""
    await opened(postgres)
    execute(postgres, RUNS, TAGS, "ANALYZE")
    base, _, schema = postgres.partition("?schema=")
    with psycopg.connect(base, autocommit=True, options=f"-csearch_path={schema}") as connection:

        def plan_of(statement: str, values: dict[str, object]) -> str:
            return "\n".join(row[0] for row in connection.execute(f"EXPLAIN {statement}".encode(), values))

        plans = {"branches": plan_of(SQL["branches"].decode(), {"ids": ["r1"]})}
        for name, page in PAGES.items():
            search = lists.search(connection, page)
            place = {"created_at": math.inf, "id": "", "limit": 50, "looked_at": 9, "least": -math.inf}
            statement = lists.statements(search, conditions_of(page) or {}, page)[0]
            plans[name] = plan_of(lists.dialect.convert(statement), {**page, **search.values, **place})
    assert {name: plan for name, plan in plans.items() if "Seq Scan on runs" in plan} == {}
