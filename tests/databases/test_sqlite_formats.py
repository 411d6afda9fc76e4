"""Formats of the SQLite file: a newer version migrates a database once, as a whole or not at all."""

import asyncio
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from graphengine.databases.sqlite import SQLiteStore, doctor, files
from graphengine.databases.sqlite.queries import latest_format
from graphengine.errors import StoreError, StoreReadOnly
from graphengine.kernel.testing.kit import append, batch, new_run, refused, seqs, step
from tests.databases import made_up
from tests.databases.made_up import SECOND, THIRD
from tests.databases.support import ROOT, OpenStore, opened, seqs_in

PRESENT = latest_format()
FAILING = SECOND + "CREATE INDEX runs_by_time ON runs (id);"


async def old_database(path: Path) -> None:
    """Record a run of three steps in the present format."""
    async with opened(path) as store:
        await store.release("r", await new_run(store, count=3))


def contents(path: Path) -> list[str]:
    """Return the format of a database, and everything in it."""
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return [str(version), *connection.iterdump()]


@pytest.mark.parametrize("scripts", [[], [SECOND], [SECOND, THIRD]])
async def test_an_old_database_becomes_what_a_new_one_is(path: Path, tmp_path: Path, scripts: list[str]) -> None:
    """Once opened it defines exactly what a new one does, and what it holds was brought along."""
    await old_database(path)
    new = tmp_path / "new.db"
    with made_up.formats(*scripts):
        for each in (path, new):
            async with opened(each):
                pass
        found = [{line for line in contents(each) if not line.startswith("INSERT")} for each in (path, new)]
        assert found[0] == found[1]
        assert contents(path)[0] == str(PRESENT + len(scripts))
    if scripts:
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT id, note FROM runs").fetchall() == [("r", "a run of g")]


async def test_one_of_several_stores_migrates_a_database(path: Path) -> None:
    """Opened by several at the same time it is migrated once, and its run continues."""
    await old_database(path)
    with made_up.formats(SECOND, THIRD):
        stores = [SQLiteStore(path, synchronous="NORMAL") for _ in range(8)]
        await asyncio.gather(*(store.open() for store in stores))
        for store in stores:
            assert seqs(await store.steps("r")) == [1, 2, 3]
        fence = await stores[0].claim("r")
        await append(stores[0], batch("r", fence, [step(4)]))
        await asyncio.gather(*(store.close() for store in stores))
        assert contents(path)[0] == str(latest_format()) == str(PRESENT + 2)


async def test_a_migration_that_fails_at_its_end_changes_nothing(path: Path) -> None:
    """If the last statement fails, the database defines and holds the same as before."""
    await old_database(path)
    before = contents(path)
    with made_up.formats(SECOND, FAILING):
        with refused(StoreError) as caught:
            await SQLiteStore(path).open()
        assert "duplicate column" in caught[0].message
    assert contents(path) == before


@pytest.mark.parametrize("count", range(5))
async def test_a_process_that_dies_in_a_migration_leaves_the_old_format(path: Path, count: int) -> None:
    """Whichever statement it dies before, the database is as it was; the next process migrates it."""
    await old_database(path)
    before = contents(path)
    died = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.databases.made_up", path, str(count), cwd=ROOT
    )
    assert await died.wait() == -signal.SIGKILL
    assert contents(path) == before
    with made_up.formats(SECOND, THIRD):
        assert await seqs_in(path) == [1, 2, 3]
        assert contents(path)[0] == str(PRESENT + 2)


async def test_a_format_that_this_version_cannot_read_is_migrated_first(
    open_store: OpenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only store raises an error and changes nothing; after it was opened for writing, it is read."""
    await old_database(path)
    before = path.read_bytes()
    monkeypatch.setattr(files, "OLDEST_READ", PRESENT + 1)
    with made_up.formats(SECOND):
        with refused(StoreReadOnly) as caught:
            await SQLiteStore(path, read_only=True).open()
        assert f"format {PRESENT}, which must be updated to format {PRESENT + 1}" in caught[0].message
        assert "write access" in caught[0].repair
        assert path.read_bytes() == before
        await (await open_store()).close()
        assert (await (await open_store(read_only=True)).info("r")).seq == 3


async def test_a_format_that_this_version_can_read_is_read_unchanged(open_store: OpenStore, path: Path) -> None:
    """A store that only reads does not migrate it."""
    await old_database(path)
    before = path.read_bytes()
    with made_up.formats(SECOND):
        reader = await open_store(read_only=True)
        assert seqs((await reader.load("r")).steps) == [1, 2, 3]
    assert path.read_bytes() == before


async def test_the_doctor_reads_the_present_format(path: Path) -> None:
    """A check and a repair of an older one are refused with the reason, and change nothing."""
    await old_database(path)
    before = path.read_bytes()
    with made_up.formats(SECOND, THIRD):
        for work in (doctor.examine, doctor.repair):
            with pytest.raises(StoreReadOnly) as caught:
                work(path)
            assert "write access" in caught.value.repair
    assert path.read_bytes() == before
