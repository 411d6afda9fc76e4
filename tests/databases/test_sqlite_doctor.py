"""Doctor beside other processes, deaths, full disks and lost pages; `doctor.txt` shows what it finds in rows."""

# these tests are alone on their loop

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from graphengine.databases.sqlite import SQLiteStore, doctor, readers
from graphengine.databases.sqlite.doctor.rebuild import rebuild
from graphengine.databases.sqlite.wal_recovery import log_of
from graphengine.databases.sqlite.words import index
from graphengine.errors import StoreFull, StoreLocked
from graphengine.kernel.testing.kit import new_run
from tests.databases.support import change, locked, opened


def faults(path: Path) -> set[str]:
    """Return the codes of the doctor's findings."""
    return {finding.code for finding in doctor.examine(path).faults}


MESSAGE = "UPDATE inbox SET payload = '1'"
"""The smallest damage."""


async def test_doctor_checks_next_to_writers_but_repairs_only_without(made: Path) -> None:
    """Checking is possible next to a process that writes; a repair is refused, and names the process."""
    async with opened(made) as store:
        await store.claim("left")
        assert doctor.examine(made).is_sound
        with pytest.raises(StoreLocked) as caught:
            doctor.repair(made)
        assert f"process {os.getpid()}" in caught.value.message
    assert doctor.repair(made).report.is_sound


async def test_a_copy_with_a_log_on_a_read_only_volume_is_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SQLite cannot make the log's index beside the file, it is kept in memory, and nothing is written."""
    copy = made.parent / "copy" / "runs.db"
    copy.parent.mkdir()
    async with opened(made) as store:
        await store.tag("left", ["newest"])
        assert log_of(made).stat().st_size
        for source, target in ((made, copy), (log_of(made), log_of(copy))):
            subprocess.run(["cp", source, target], check=True)  # noqa: ASYNC221 - a copy here would drop locks
    before = {file.name: file.read_bytes() for file in copy.parent.iterdir()}
    monkeypatch.setattr(os, "access", lambda *_: False)  # those that are root may write anywhere
    monkeypatch.setattr(doctor, "move_idle_log", lambda _: None)
    monkeypatch.setattr(readers, "move_idle_log", lambda _: None)
    assert doctor.examine(copy).is_sound
    async with opened(copy, read_only=True) as reading:
        assert "newest" in (await reading.info("left")).tags
    assert {file.name: file.read_bytes() for file in copy.parent.iterdir()} == before


async def test_wrong_counts_of_runs_are_counted_again(made: Path) -> None:
    """A number that is wrong, one too many and one that is missing are found, and a repair counts the runs."""
    async with opened(made) as store:
        expected = sorted(await store.counts())
        await store.write(index)
        assert sorted(await store.counts()) == expected
    change(made, "UPDATE run_counts SET runs = 7", "INSERT INTO run_counts VALUES ('none', 'failed', 3)")
    change(made, "DELETE FROM run_counts WHERE status = 'finished'")
    assert faults(made) == {"counts"}
    assert doctor.repair(made).report.is_sound
    async with opened(made) as store:
        assert sorted(await store.counts()) == expected


async def test_a_repair_needs_space(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without space for a copy nothing is touched."""
    change(made, MESSAGE)
    before = made.read_bytes()
    usage = SimpleNamespace(total=1, used=1, free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StoreFull) as caught:
        doctor.repair(made)
    assert caught.value.repair
    assert made.read_bytes() == before
    assert list(made.parent.iterdir()) == [made]


async def test_a_lock_is_not_damage(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repair that meets another program's lock ends with that error; it does not replace a good file."""
    monkeypatch.setattr(doctor, "BUSY_TIMEOUT_SECONDS", 0.05)
    change(made, MESSAGE)
    inode = made.stat().st_ino
    with locked(made), pytest.raises(StoreLocked):
        doctor.repair(made)
    assert made.stat().st_ino == inode
    assert faults(made) == {"message_damaged"}


async def test_a_file_that_is_wholly_locked_is_not_saved(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the file cannot even be read, no new file is written, and the error does not suggest it."""
    monkeypatch.setattr("graphengine.databases.sqlite.doctor.BUSY_TIMEOUT_SECONDS", 0.05)
    inode = made.stat().st_ino
    with closing(sqlite3.connect(made, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("UPDATE runs SET fence = fence + 1")
        for check in (doctor.examine, doctor.repair):
            with pytest.raises(StoreLocked) as caught:
                check(made)
            assert "new file" not in caught.value.repair
    assert made.stat().st_ino == inode


async def test_a_suspended_process_is_alive(made: Path) -> None:
    """It holds its lock although its lease is over, and would continue to write to a replaced file."""
    async with opened(made, clock=lambda: 5.0):
        with pytest.raises(StoreLocked):
            doctor.repair(made)
    assert doctor.repair(made).report.is_sound


class DeathError(BaseException):
    """The end of the process, as far as the code under test is concerned."""


async def broken_beside_its_log(made: Path, folder: Path) -> Path:
    """Return a copy of a database that must be saved into a new file, with its newest steps in its log."""
    folder.mkdir()
    async with opened(made) as store:
        await record_one(store, "newest")
        change(made, "DROP TABLE tags")
        for each in (made, made.with_name(made.name + "-wal")):
            shutil.copy(each, folder / each.name)
    return folder / made.name


async def record_one(store: SQLiteStore, run_id: str) -> None:
    """Record a run of one step."""
    await store.release(run_id, await new_run(store, run_id))


async def test_a_death_in_the_middle_of_the_swap_loses_nothing(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next repair saves the content of the log, though the log is gone and the new file not in its place."""
    broken = await broken_beside_its_log(made, tmp_path / "broken")

    def die(*_: object) -> None:
        raise DeathError

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", die)
        with pytest.raises(DeathError):
            doctor.repair(broken)
    assert not broken.with_name(broken.name + "-wal").exists()
    repaired = doctor.repair(broken)
    assert (repaired.report.runs, repaired.report.steps) == (6, 121)
    assert not [each for each in broken.parent.iterdir() if each.name.endswith(".new")]


async def test_no_other_process_writes_during_a_repair(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that is read is locked until the new one replaces it."""
    change(made, "DROP TABLE tags")

    def slow(source: sqlite3.Connection, target: Path) -> object:
        with (
            closing(sqlite3.connect(made, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("UPDATE runs SET graph = 'newer'")
        return rebuild(source, target)

    monkeypatch.setattr(doctor, "rebuild", slow)
    assert doctor.repair(made).report.is_sound


async def test_a_file_that_changes_is_checked_again(made: Path) -> None:
    """A database at rest is read as immutable; if another process writes, the check starts again."""
    seen: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        del done, total
        if what == "the rest" and what not in seen:
            change(made, MESSAGE)
        seen.append(what)

    assert {finding.code for finding in doctor.examine(made, progress=progress).faults} == {"message_damaged"}
    assert seen.count("the rest") == 2
