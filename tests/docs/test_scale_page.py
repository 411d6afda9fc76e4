"""docs/explain/scale.md: its tables are the arithmetic of benchmarks/scale.py, and its program runs over databases.

One of three PostgreSQL servers is killed, and one of three SQLite files taken away. KEDA's query counts what it should.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from benchmarks import scale
from benchmarks.ours import Counter, counting
from benchmarks.preflight import desk
from graphengine import END, START, Graph, Runner, Worker
from graphengine.databases.postgres import PostgresStore
from graphengine.errors import StoreError, StoreUnreachable
from graphengine.worker.worker import Refused, RunOutcome, WorkerEvent
from tests.docs.page import ROOT, blocks, names_of
from tests.kit.postgres import PostgresServer

PAGE = ROOT / "docs" / "explain" / "scale.md"
PROGRAM, STORES = blocks(PAGE, "python")
(QUERY,) = blocks(PAGE, "sql")
(KEDA,) = blocks(PAGE, "yaml")
NAMES = ("one", "two", "three")
IDS = [f"r{number}" for number in range(24)]
SECONDS = LINES = 60


async def until(is_so: Callable[[], Any]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(SECONDS):
        while not await is_so():  # noqa: ASYNC110 - other databases tell nobody
            await asyncio.sleep(0.01)


def test_its_tables_are_the_arithmetic() -> None:
    """After a new measurement: `python -m benchmarks.scale`, and put its tables there."""
    text = PAGE.read_text(encoding="utf-8")
    for table in scale.tables().split("\n\n"):
        assert table in text


def test_the_program_is_short() -> None:
    """It is no more than a page."""
    assert len([line for line in PROGRAM.splitlines() if line]) <= LINES


def test_where_a_run_is() -> None:
    """Each name gets its share, whatever their order, and what follows an @ is in the same place."""
    make = names_of(PROGRAM)["Databases"]
    there, back = make(dict.fromkeys(NAMES, "unused.db")), make(dict.fromkeys(reversed(NAMES), "unused.db"))

    def place(databases: Any, run_id: str) -> str:
        return next(name for name in NAMES if databases.runners[name] is databases.of(run_id))

    places = [place(there, f"run {number}") for number in range(3000)]
    assert places == [place(back, f"run {number}") for number in range(3000)]
    assert min(places.count(name) for name in NAMES) > 900
    assert place(there, "daily") == place(there, "daily@20261121T060000Z")


@pytest.fixture
def lone_server(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """Provide a server that the test may kill."""
    server = PostgresServer(postgres_server.template, is_safe=True)
    yield server
    server.remove()


async def test_three_databases_of_which_one_goes_down(
    postgres_server: PostgresServer, lone_server: PostgresServer
) -> None:
    """Start, answer and list over three; the others go on without one, and it continues when it is back."""
    servers = dict(zip(NAMES, (postgres_server, postgres_server, lone_server), strict=True))
    stores = {name: PostgresStore(server.new_address(), patience_seconds=0.5) for name, server in servers.items()}
    databases, graph = names_of(PROGRAM)["Databases"](stores), desk()
    lost = databases.runners["three"]
    working = asyncio.create_task(databases.work(graph, again_seconds=0.05))

    async def statuses() -> dict[str, str]:
        runs, missing = await databases.newest()
        assert not missing
        return {info.id: info.status for info in runs if "@" not in info.id}

    for run_id in IDS:
        await databases.of(run_id).start(graph, {"name": run_id}, run_id=run_id, queue="jobs").result()
    assert {databases.of(run_id) for run_id in IDS} == set(databases.runners.values())
    await until(lambda: _all(statuses, "waiting"))
    found, _ = await databases.newest(f"status:waiting {IDS[3]}", limit=5)
    assert [info.id for info in found] == [IDS[3]]
    assert await databases.newest("before:2020-01-01") == ([], {})

    lone_server.kill()
    there = [run_id for run_id in IDS if databases.of(run_id) is lost]
    with pytest.raises(StoreUnreachable):
        await lost.answer(there[0], value=True)
    runs, missing = await databases.newest()
    assert {info.id for info in runs} == {*IDS} - {*there}
    assert list(missing) == ["three"]
    assert isinstance(missing["three"], StoreUnreachable)
    rest = [run_id for run_id in IDS if run_id not in there]
    for run_id in rest:
        await databases.of(run_id).answer(run_id, value=True)

    async def have_ended() -> bool:
        return all([(await databases.of(run_id).info(run_id)).status == "finished" for run_id in rest])

    await until(have_ended)

    lone_server.start()
    for run_id in there:
        await lost.answer(run_id, value=True)
    await until(lambda: _all(statuses, "finished"))
    working.cancel()
    await asyncio.wait([working])
    await _branch_and_prune(databases, there[0])
    await databases.close()


async def _branch_and_prune(databases: Any, parent: str) -> None:
    """A branch is beside its parent, which a prune of all databases then keeps."""
    graph, store = desk(), databases.of(parent)
    child = f"{parent}@again"
    await databases.of(child).branch(parent, graph, 1, run_id=child).result()
    assert (await store.info(child)).parent == parent
    pruned, missing = await databases.each(lambda runner: runner.admin.prune(older_than=0), None)
    assert not missing
    kept = {info.id for info in (await databases.newest())[0]}
    assert kept == {child, parent}  # the branch waits, and needs the steps of its parent
    assert sum(len(each.runs) for each in pruned.values()) == len(IDS) - 1


async def _all(statuses: Callable[[], Any], status: str) -> bool:
    found = await statuses()
    return len(found) == len(IDS) and set(found.values()) == {status}


async def test_a_worker_that_begins_while_a_database_is_down(lone_server: PostgresServer, tmp_path: Path) -> None:
    """It drives the runs of the others, and those of that one when it is back."""
    stores = {
        "file": str(tmp_path / "runs.db"),
        "server": PostgresStore(lone_server.new_address(), patience_seconds=0.5),
    }
    databases, graph = names_of(PROGRAM)["Databases"](stores), counting(1)
    file, server = databases.runners.values()
    await server.start(graph, Counter(), run_id="a", queue="jobs").result()
    await databases.close()
    lone_server.stop()

    databases = names_of(PROGRAM)["Databases"](stores)
    file, server = databases.runners.values()
    working = asyncio.create_task(databases.work(graph, again_seconds=0.05))
    await file.start(graph, Counter(), run_id="b", queue="jobs").result()
    assert (await file.get("b", graph).result()).status == "finished"
    lone_server.start()

    async def has_ended() -> bool:
        found, missing = await databases.newest("status:finished")
        return not missing and {info.id for info in found} == {"a", "b"}

    await until(has_ended)
    working.cancel()
    await asyncio.wait([working])
    await databases.close()


async def test_what_was_driven_when_a_database_went(lone_server: PostgresServer) -> None:
    """Its worker takes it again when the database is back, as any other worker would; not only after a minute."""
    entered, go_on = asyncio.Event(), asyncio.Event()
    events: list[WorkerEvent] = []

    async def increase(count: int) -> int:
        entered.set()
        await go_on.wait()
        return count + 1

    graph = Graph("slow", Counter)
    graph.add_node("increase", increase, writes="count")
    graph.add_path(START, "increase", END)
    async with Runner(PostgresStore(lone_server.new_address(), patience_seconds=0.2, lease_seconds=3)) as runner:
        worker = Worker(runner, graph, poll_seconds=0.05, on_event=events.append)
        working = asyncio.create_task(worker.run())
        await runner.start(graph, Counter(), run_id="r", queue="jobs").result()
        await entered.wait()
        lone_server.kill()
        go_on.set()

        async def is_refused() -> bool:
            return any(isinstance(each, Refused) and each.info is not None for each in events)

        async def has_ended() -> bool:
            return any(isinstance(each, RunOutcome) for each in events)

        await until(is_refused)
        lone_server.start()
        async with asyncio.timeout(SECONDS / 2):
            await until(has_ended)
        assert (await runner.info("r")).status == "finished"
        worker.stop()
        await working


async def test_three_files_of_which_one_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over SQLite, as the page writes it: a disk that is not mounted."""
    monkeypatch.chdir(tmp_path)
    code, graph = PROGRAM + STORES.replace('{name}.db"', '{name}/runs.db"'), counting(1)
    databases = names_of(code)["databases"]
    for run_id in IDS:
        await databases.of(run_id).start(graph, Counter(), run_id=run_id, queue="jobs").result()
    await databases.close()
    (tmp_path / "two").rename(tmp_path / "away")
    (tmp_path / "two").write_text("no folder")

    databases = names_of(code)["databases"]
    there = {run_id for run_id in IDS if databases.of(run_id) is databases.runners["two"]}
    runs, missing = await databases.newest()
    assert {info.id for info in runs} == {*IDS} - there
    assert list(missing) == ["two"]
    assert isinstance(missing["two"], StoreError)
    (tmp_path / "two").unlink()
    (tmp_path / "away").rename(tmp_path / "two")
    working = asyncio.create_task(databases.work(graph))

    async def have_ended() -> bool:
        found, missing = await databases.newest("status:finished")
        return not missing and {info.id for info in found} == {*IDS}

    await until(have_ended)
    working.cancel()
    await asyncio.wait([working])
    await databases.close()


async def test_kedas_query(postgres_server: PostgresServer) -> None:
    """It counts queued, driven, answered and due runs of its queue, by indexes, with the right to read one table."""
    address = postgres_server.new_address()
    schema = address.partition("?schema=")[2]
    manifest = yaml.safe_load(KEDA)
    (trigger,) = manifest["spec"]["triggers"]
    assert (manifest["apiVersion"], manifest["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    assert trigger["type"] == "postgresql"
    assert {"connectionFromEnv", "query", "targetQueryValue"} == set(trigger["metadata"])
    query = trigger["metadata"]["query"]
    assert query.split() == QUERY.rstrip().rstrip(";").split()
    query = query.replace("graphengine.", f"{schema}.")
    graph, quick = desk(), counting(1)
    async with Runner(address) as runner:
        with psycopg.connect(postgres_server.address(), autocommit=True) as connection:

            def counted() -> int:
                (number,) = connection.execute(query.encode()).fetchone() or (None,)
                assert isinstance(number, int)
                return number

            connection.execute(f"CREATE ROLE keda_{schema}; GRANT USAGE ON SCHEMA {schema} TO keda_{schema}".encode())
            connection.execute(f"GRANT SELECT ON {schema}.runs TO keda_{schema}; SET ROLE keda_{schema}".encode())
            assert counted() == 0
            for number in range(3):
                await runner.start(graph, {"name": "n"}, run_id=f"r{number}", queue="jobs").result()
            await runner.start(quick, Counter(), queue="other").result()
            assert counted() == 3
            worker = Worker(runner, graph, queues=["jobs"])
            working = asyncio.create_task(worker.run())

            async def is_idle() -> bool:
                return counted() == 0

            await until(is_idle)  # they wait
            worker.stop()
            await working
            await runner.answer("r1", value=True)
            assert counted() == 1
            connection.execute("RESET ROLE")
            _fill(connection, schema)
            assert counted() == 2
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}".encode()))
    assert "Seq Scan" not in plan, plan


def _fill(connection: psycopg.Connection[Any], schema: str) -> None:
    """Add 20,000 finished runs, one that is due, and one that is not."""
    fill = (
        "INSERT INTO {0}.runs (id, graph, fingerprint, status, created_at, parent_seq, fence, token, queue,"
        " queue_key, turn, priority) SELECT 'f' || n, 'g', 'f', 'finished', n, 0, 1, 0, 'jobs', '', 0, 0"
        " FROM generate_series(1, 20000) AS n"
    )
    due = "UPDATE {0}.runs SET due_at = {1}, status = 'waiting' WHERE id = '{2}'"
    for statement in (fill.format(schema), due.format(schema, 1, "f7"), due.format(schema, 4e9, "f8")):
        connection.execute(statement.encode())
    connection.execute(f"ANALYZE {schema}.runs".encode())


async def test_a_process_has_at_most_six_connections(postgres_server: PostgresServer) -> None:
    """As the arithmetic says."""
    address = postgres_server.new_address()
    graph = counting(2)
    async with Runner(address) as runner:
        with psycopg.connect(postgres_server.address(), autocommit=True) as connection:
            before = {row[0] for row in connection.execute("SELECT pid FROM pg_stat_activity")}
            for _ in range(3):
                await asyncio.gather(*(runner.start(graph, Counter()).result() for _ in range(50)))
                await asyncio.gather(*(runner.runs() for _ in range(50)))
            after = {row[0] for row in connection.execute("SELECT pid FROM pg_stat_activity")}
    assert len(after - before) <= scale.CONNECTIONS
