"""A database whose files are moved, deleted or replaced while open: acknowledged steps are kept."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from graphengine.databases.sqlite import SQLiteStore, files
from graphengine.errors import StoreMoved
from graphengine.kernel.testing.kit import append, batch, new_run, refused, seqs, step
from tests.databases.support import OpenStore, OtherProcess, queued


def log_of(path: Path) -> Path:
    """Return the log of a database."""
    return path.with_name(path.name + "-wal")


def delete(path: Path) -> None:
    """Delete the file."""
    path.unlink()


def delete_log(path: Path) -> None:
    """Delete its log."""
    log_of(path).unlink()


def move(path: Path) -> None:
    """Move the file."""
    path.rename(path.with_name("elsewhere.db"))


def replace(path: Path) -> None:
    """Replace it with another database."""
    shutil.copy(path, path.with_name("new.db"))
    path.with_name("new.db").replace(path)


MOVES = [delete, delete_log, move, replace]


@pytest.mark.parametrize("happens", MOVES)
async def test_no_step_is_acknowledged_that_cannot_be_found(
    store: SQLiteStore, happens: Callable[[Path], None]
) -> None:
    """Each caller that waits for the commit gets the error with the repair, and so do later ones."""
    fences = {run_id: await new_run(store, run_id) for run_id in ("a", "b")}
    happens(store.path)
    pending = [store.append(batch(run_id, fence, [step(1)])) for run_id, fence in fences.items()]
    errors = []
    for each in pending:
        with refused(StoreMoved) as caught:
            await queued(each)
        errors.append(caught[0])
    assert errors[0] is not errors[1]
    assert errors[0].code == "store_moved"
    assert "never open the file of a live database yourself in a process that has it open" in errors[0].repair
    with refused(StoreMoved):
        await store.post("a", "message", 1, "k")


def tick(folder: Path) -> None:
    """Return when the clock of the file system has moved on."""
    probe = folder / "probe"
    probe.touch()
    first = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == first:
        probe.touch()


@pytest.mark.skipif(os.name != "posix", reason="only there a folder tells when its names changed")
@pytest.mark.parametrize(("fraction", "seconds"), [(1, 0.05), (0, 2.5)])
async def test_a_folder_that_has_just_changed_is_not_trusted(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch, fraction: int, seconds: float
) -> None:
    """Two changes can have one time: within 10 ms, or within 2 s if the file system's clock counts whole seconds."""
    changed = int(time.time()) * 10**9 + fraction
    monkeypatch.setattr(files, "_state_of_folder", lambda _: (1, 1, changed))
    place = files.OpenFiles(store.path)
    for later, is_trusted in ((seconds, False), (seconds + 1, True)):
        monkeypatch.setattr(time, "time_ns", lambda later=later: changed + int(later * 10**9))
        place.check()
        assert (place._checked is not None) == is_trusted  # noqa: SLF001 - what spares looks at the files


@pytest.mark.skipif(os.name != "posix", reason="only there a folder tells when its names changed")
@pytest.mark.parametrize("happens", MOVES)
async def test_it_is_noticed_in_a_folder_that_was_still(
    store: SQLiteStore, happens: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If nothing changed in the folder for some seconds, commits look at the folder alone, which changes with it."""
    fence = await new_run(store)
    tick(store.path.parent)
    compared: list[str] = []
    stat, now = files._identity_of_file, time.time_ns() + 10**10  # noqa: SLF001 - what costs time

    def noted(path: str) -> tuple[int, int]:
        compared.append(path)
        return stat(path)

    monkeypatch.setattr(files, "_identity_of_file", noted)
    monkeypatch.setattr(time, "time_ns", lambda: now)
    for seq in (1, 2, 3):
        await append(store, batch("r", fence, [step(seq)]))
    assert len(compared) == 2
    happens(store.path)
    with refused(StoreMoved):
        await append(store, batch("r", fence, [step(4)]))


async def test_a_file_that_is_read_by_its_own_process_costs_no_step(
    store: SQLiteStore, open_store: OpenStore, start_process: Callable[[], OtherProcess]
) -> None:
    """Closing the file drops the locks of this process, so the next one to close deletes the log. That is detected.

    SQLite 3.51 and newer notices that the locks are gone and keeps the log: nothing is lost, and the store continues.
    """
    fence = await new_run(store)
    await append(store, batch("r", fence, [step(1)]))
    store.path.read_bytes()  # a backup, an upload, a checksum
    other = start_process()
    other.send("close")
    other.kill()
    kept = log_of(store.path).exists()
    assert kept == (sqlite3.sqlite_version_info >= (3, 51)), "otherwise this test shows nothing"
    acknowledged = [1]
    if kept:
        await append(store, batch("r", fence, [step(2)]))
        acknowledged.append(2)
    else:
        with refused(StoreMoved):
            await append(store, batch("r", fence, [step(2)]))
    await store.close()
    again = await open_store()
    assert seqs(await again.steps("r")) == acknowledged
    await append(again, batch("r", await again.claim("r"), [step(len(acknowledged) + 1)]))


async def test_a_lease_is_not_renewed_in_another_database(store: SQLiteStore, caplog: pytest.LogCaptureFixture) -> None:
    """The path can lead to another file by then, whose users would consider this owner one of theirs."""
    replace(store.path)
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("DELETE FROM owners")
        connection.commit()
        assert store.lease is not None
        store.lease.renew()
        assert connection.execute("SELECT count(*) FROM owners").fetchone() == (0,)
    assert "could not be renewed" in caplog.text
