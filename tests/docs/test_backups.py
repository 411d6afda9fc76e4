"""The backups that the pages recommend, made while a worker drives runs, are sound, and all their runs continue."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from graphengine import Context, Runner, Worker
from graphengine.databases.postgres import doctor as postgres_doctor
from graphengine.databases.sqlite import doctor as sqlite_doctor
from tests.crash import life_of_workers
from tests.crash.life_of_workers import small
from tests.crash.test_workers_life import reach
from tests.kit.postgres import PostgresServer, execute
from tests.kit.postgres_recipes import BACKUP, DATA, archived, base_backup, dump_and_restore, restoring

RUNS = 20
PATIENCE_SECONDS = 60.0


@pytest.fixture(autouse=True)
def effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the effects of nodes."""
    monkeypatch.setattr(life_of_workers, "FILE", tmp_path / "effects")
    return tmp_path / "effects"


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Let the run `r0` end only once this is set, so that the backup contains a run that is not over."""
    event, end = asyncio.Event(), life_of_workers.end

    async def late(ctx: Context) -> str:
        if ctx.run_id == "r0":
            await event.wait()
        return await end(ctx)

    late.__name__ = end.__name__
    monkeypatch.setattr(life_of_workers, "end", late)
    return event


async def drive(database: str) -> None:
    """Let a worker drive all runs to their end."""
    graph = small()
    async with Runner(database) as runner, asyncio.timeout(PATIENCE_SECONDS):
        worker = Worker(runner, graph, poll_seconds=0.05)
        working = asyncio.create_task(worker.run())
        while {each.status for each in await runner.store.counts()} != {"finished"}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        worker.stop()
        await working


async def copy_driven(database: str, effects: Path, copied: asyncio.Event, copy: Callable[[], object]) -> None:
    """Make a copy of a database while a worker drives its runs, and let them end."""
    driving = asyncio.create_task(drive(database))
    try:
        await reach(effects, RUNS)
        await asyncio.to_thread(copy)
    finally:
        copied.set()
        await driving


async def check(database: str, backup: str) -> None:
    """Check a backup that was made while the runs of a database were driven."""
    async with Runner(backup) as runner:
        counts = await runner.store.counts()
        assert sum(each.runs for each in counts) == RUNS
        assert {each.status for each in counts} != {"finished"}, "no run was under way"
        logs = {info.id: await runner.history(info.id) for info in await runner.runs()}
    await drive(backup)
    async with Runner(backup) as runner, Runner(database) as original:
        for name, log in logs.items():
            assert (await runner.history(name))[: len(log)] == log
            assert (await original.history(name))[: len(log)] == log
            assert (await runner.info(name)).status == "finished"


async def test_a_dump_of_postgres(
    postgres_server: PostgresServer, postgres: str, effects: Path, copied: asyncio.Event
) -> None:
    """`pg_dump` and `pg_restore` copy all runs into another database."""
    base, _, schema = postgres.partition("?schema=")
    there, file = postgres_server.address(schema, database=f"db_{schema}"), postgres_server.folder / f"{schema}.dump"
    async with Runner(postgres) as runner:
        for number in range(RUNS):
            await runner.start(small(), run_id=f"r{number}", queue="q").result()
        copy = partial(dump_and_restore, schema, file, base, postgres_server)
        await copy_driven(postgres, effects, copied, copy)
    assert postgres_doctor.examine(there).is_sound
    await check(postgres, there)
    execute(base, f"DROP DATABASE db_{schema}")


async def test_a_base_backup_and_an_archive(
    postgres_server: PostgresServer, effects: Path, request: pytest.FixtureRequest
) -> None:
    """A base backup and an archive restore a moment after the backup: later records are not there."""
    primary = PostgresServer(postgres_server.template, is_safe=True)
    request.addfinalizer(primary.remove)
    archive, backup = primary.folder / "archive", primary.folder / "backup"
    archive.mkdir()
    primary.own(archive)
    primary.restart(*archived(archive))
    async with Runner(primary.address()) as runner:
        for number in range(RUNS):
            await runner.start(small(), run_id=f"r{number}", queue="q").result()
        words = [backup if word == BACKUP else word for word in base_backup("Backups", primary)]
        await asyncio.gather(drive(primary.address()), asyncio.to_thread(lambda: primary.run(*words)))
        await runner.start(small(), run_id="archived", queue="q").result()
        logs = {info.id: await runner.history(info.id) for info in await runner.runs()}
        ((until,),) = execute(primary.address(), "SELECT clock_timestamp()::text")
        await runner.start(small(), run_id="later", queue="q").result()
    primary.stop()  # it has archived the rest by then
    (backup / "recovery.signal").touch()
    copying: list[str | Path] = ["/bin/cp", "-a", backup, DATA]
    restored = PostgresServer(primary.template, *restoring(archive, str(until)), copied=(copying, DATA))
    request.addfinalizer(restored.remove)
    assert postgres_doctor.examine(restored.address()).is_sound
    async with Runner(restored.address()) as runner:
        assert {info.id for info in await runner.runs()} == set(logs)
        for name, log in logs.items():
            assert await runner.history(name) == log


@pytest.mark.parametrize("program", ["graphengine", "sqlite3"])
async def test_an_online_backup_of_sqlite(tmp_path: Path, effects: Path, copied: asyncio.Event, program: str) -> None:
    """`graphengine backup`, and `VACUUM INTO` of the sqlite3 program, copy all runs."""
    database, backup = tmp_path / "runs.db", tmp_path / "backup.db"
    if program == "sqlite3" and shutil.which("sqlite3") is None:
        pytest.skip("the program sqlite3 is not installed")

    def copy() -> None:
        if program == "sqlite3":
            backup.touch(0o600)  # as with the umask of the page
            subprocess.run(["sqlite3", str(database), f"VACUUM INTO '{backup}'"], check=True)
        else:
            words = "-m", "graphengine", "backup", str(backup), "--store", str(database)
            subprocess.run([sys.executable, *words], check=True, cwd=tmp_path)

    async with Runner(database) as runner:
        for number in range(RUNS):
            await runner.start(small(), run_id=f"r{number}", queue="q").result()
        await copy_driven(str(database), effects, copied, copy)
    assert sqlite_doctor.examine(backup).is_sound
    await check(str(database), str(backup))
