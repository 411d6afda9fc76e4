"""What happens to the server happens to no run: it is killed, its standby is promoted, its disk is full."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from pydantic import BaseModel

from graphengine import Context, Graph, Runner, Worker, iterations
from graphengine.databases.postgres import PostgresStore
from graphengine.errors import GraphEngineError
from graphengine.runner.run import Run
from tests.crash import life_of_workers
from tests.crash.deaths import done
from tests.crash.life_of_workers import EFFECTS, small
from tests.crash.test_workers_life import check, reach
from tests.kit.postgres import PostgresServer, execute
from tests.kit.postgres_recipes import address_of, promote, standby_of, wait_for_standby
from tests.kit.runs import repeated

RUNS: Final = 24
PATIENCE_SECONDS: Final = 60.0
SMALL_MB: Final = 4
VISITS: Final = 6
TEXT_CHARACTERS: Final = 60_000


@pytest.fixture
def effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the effects of nodes."""
    monkeypatch.setattr(life_of_workers, "FILE", tmp_path / "effects")
    return tmp_path / "effects"


@pytest.fixture
def primary(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A server that keeps what was committed when it is killed."""
    server = PostgresServer(postgres_server.template, is_safe=True)
    yield server
    server.remove()


@pytest.fixture
def standby(primary: PostgresServer) -> Iterator[PostgresServer]:
    """A synchronous standby of it."""
    server = standby_of(primary)
    wait_for_standby(primary)
    yield server
    server.remove()


async def test_a_synchronous_standby_that_is_promoted_has_every_step(
    primary: PostgresServer, standby: PostgresServer, effects: Path
) -> None:
    """The primary is killed under running and queued runs; the process uses the other host, and does nothing twice."""
    graph = small()
    store = PostgresStore(address_of(primary, standby), lease_seconds=2, patience_seconds=PATIENCE_SECONDS)
    async with Runner(store) as runner, asyncio.timeout(PATIENCE_SECONDS):
        await wait_for_replication(primary)
        names = [f"r{number}" for number in range(RUNS)]
        runs = [runner.start(graph, run_id=name) for name in names[::2]]
        for name in names[1::2]:
            await runner.start(graph, run_id=name, queue="q").result()
        worker = Worker(runner, graph, poll_seconds=0.05)
        working = asyncio.create_task(worker.run())
        await reach(effects, RUNS * EFFECTS // 3)
        primary.kill()
        await asyncio.to_thread(promote, standby)
        await asyncio.gather(*(run.result() for run in runs))
        while not all(info.status == "finished" for info in await store.infos(names)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        worker.stop()
        await working
        assert len(done(effects)) > RUNS * EFFECTS // 3
        logs = [await runner.history(name) for name in names]
    assert check(done(effects), logs, set(), RUNS * EFFECTS) == 0


async def wait_for_replication(primary: PostgresServer) -> None:
    """Wait until commits wait for the standby."""
    while execute(primary.address(), "SELECT sync_state FROM pg_stat_replication") != [("quorum",)]:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


class Pages(BaseModel):
    """Long texts."""

    pages: str = ""


async def page(ctx: Context) -> str:
    """Write a long text that cannot be compressed."""
    life_of_workers.effect(f"{ctx.idempotency_key} whole")
    return "".join(map(chr, ctx.random.choices(range(0x4E00, 0x9FFF), k=TEXT_CHARACTERS // 3)))


def writer() -> Graph[Pages]:
    """Return a graph of one node, visited repeatedly."""
    return repeated(Pages, page, "pages", iterations("page") >= VISITS, name="writer", node="page")


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """The address of a schema that does not exist yet."""
    return postgres_server.new_address()


@pytest.fixture
def full(postgres_server: PostgresServer, postgres: str) -> Iterator[Path]:
    """A schema whose tables are on a small disk of their own."""
    disk = postgres_server.folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m", "tmpfs", disk], check=False).returncode:
        pytest.skip("only root can mount a small disk")
    postgres_server.own(disk)
    base = postgres_server.address()
    execute(base, f"CREATE TABLESPACE small LOCATION '{disk}'", "ALTER ROLE tester SET default_tablespace = small")
    yield disk
    execute(base, "ALTER ROLE tester RESET default_tablespace", f"DROP SCHEMA {postgres.partition('=')[2]} CASCADE")
    execute(base, "DROP TABLESPACE small")
    subprocess.run(["umount", "--lazy", disk], check=True)  # a session that is just ending can have a file of it open


async def test_a_full_disk_stops_runs_that_can_be_resumed(full: Path, postgres: str, effects: Path) -> None:
    """Each run gets the error; once there is room, the same Runner resumes them, and no recorded visit is repeated."""
    graph = writer()

    async def outcome(run: Run[Pages]) -> str:
        try:
            return (await run.result()).status
        except GraphEngineError as error:
            return error.code if "free" in error.repair else error.repair

    async with Runner(postgres) as runner, asyncio.timeout(PATIENCE_SECONDS):
        runs = [runner.start(graph, run_id=f"r{number}") for number in range(RUNS)]
        outcomes = await asyncio.gather(*map(outcome, runs))
        assert set(outcomes) <= {"finished", "store_full"}
        assert outcomes.count("store_full") > 1
        kept = {run.id: [step.seq for step in await runner.history(run.id)] for run in runs if await known(runner, run)}
        await asyncio.to_thread(subprocess.check_call, ["mount", "-o", "remount,size=256m", full])
        for run, was in zip(runs, outcomes, strict=True):
            if was == "store_full":
                again = runner.resume(run.id, graph) if run.id in kept else runner.start(graph, run_id=run.id)
                assert await outcome(again) == "finished"
        logs = {run.id: await runner.history(run.id) for run in runs}
    for name, log in logs.items():
        assert [step.seq for step in log] == list(range(1, len(log) + 1))
        visits = sum(step.kind == "node" for step in log)
        begun = sum(what.startswith(f"{name}/") for _, what in done(effects))
        assert visits == VISITS
        assert begun - visits <= 1, "only the visit whose step was refused can be repeated"


async def known(runner: Runner, run: Run[Pages]) -> bool:
    """Return whether a run is recorded."""
    return bool(await runner.store.infos([run.id]))
