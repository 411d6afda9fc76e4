"""A write-ahead log damaged before finished commits: reported before anything overwrites them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from graphengine.databases.sqlite import SQLiteStore, doctor
from graphengine.errors import StoreCorrupt
from graphengine.kernel.testing.kit import append, batch, new_run, step
from tests.databases.support import seqs_in

FRAME = 24 + 4096


@pytest.fixture
async def left(tmp_path: Path) -> Path:
    """A database as a killed process leaves it: the steps of its run are in the log, one per commit."""
    made = SQLiteStore(tmp_path / "live.db")
    await made.open()
    fence = await new_run(made)
    for seq in range(1, 21):
        await append(made, batch("r", fence, [step(seq)]))
    path = tmp_path / "left.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{made.path}{suffix}", f"{path}{suffix}")
    await made.close()
    return path


def damage(path: Path, at: int) -> None:
    """Change a byte of the log."""
    log = path.with_name(path.name + "-wal")
    content = bytearray(log.read_bytes())
    content[at] ^= 0xFF
    log.write_bytes(content)


@pytest.mark.parametrize("at", [0, 10, 20, 32 + 2 * FRAME + 100, 32 + 2 * FRAME + 18, 32 + 5 * FRAME + 9])
@pytest.mark.parametrize("read_only", [False, True])
async def test_commits_after_damage_are_not_overwritten(left: Path, at: int, *, read_only: bool) -> None:
    """Opening the database is refused and changes neither file; the repair names the command that keeps a copy."""
    damage(left, at)
    before = {path.name: path.read_bytes() for path in left.parent.glob("left.db*")}
    with pytest.raises(StoreCorrupt) as caught:
        await SQLiteStore(left, read_only=read_only).open()
    assert "SQLite reads none of the" in caught.value.message
    assert "doctor --repair" in caught.value.repair
    assert {name: left.with_name(name).read_bytes() for name in before} == before


@pytest.mark.parametrize("at", [10, 32 + 2 * FRAME + 100, 32 + 9 * FRAME + 2000])
async def test_a_repair_keeps_the_rows_of_the_log(left: Path, at: int) -> None:
    """Rows are proved by their checksums: a repair loses at most those on the damaged page, and reports it."""
    damage(left, at)
    with pytest.raises(StoreCorrupt, match="SQLite reads none of the"):
        doctor.examine(left)
    repaired = doctor.repair(left)
    assert repaired.unnamed == "the write-ahead log was damaged: steps in it may be lost"
    assert await seqs_in(left) == list(range(1, 21))


@pytest.mark.parametrize("cut", [1, 3000, FRAME - 1, FRAME, 2 * FRAME + 7])
async def test_a_log_that_ends_early_is_not_damage(left: Path, cut: int) -> None:
    """A power cut or a kill leaves such a log: the run continues from its last complete commit."""
    log = left.with_name(left.name + "-wal")
    log.write_bytes(log.read_bytes()[:-cut])
    found = await seqs_in(left)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= 15


async def test_a_half_written_frame_of_a_killed_process_is_not_damage(left: Path) -> None:
    """The last frame's header can be present and its page not, and older frames can follow it."""
    log = left.with_name(left.name + "-wal")
    content = log.read_bytes()
    log.write_bytes(content[: -FRAME + 500] + b"\0" * (FRAME - 500) + content[32 : 32 + 24] + b"\1" * 4096)
    assert await seqs_in(left) == list(range(1, 20))


def committed(path: Path, statements: Iterable[str]) -> bytes:
    """Return the log of a database after one more transaction; the database itself is unchanged."""
    copy = path.with_name("copy.db")
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")
        log = copy.with_name("copy.db-wal").read_bytes()
    for file in copy.parent.glob("copy.db*"):
        file.unlink()
    return log


STEP = "INSERT INTO steps (id, at, body, sum) SELECT (key << 32) + 21, 9.0, '{}', 0 FROM runs WHERE id = 'r'"
LARGE = ["CREATE TABLE large (x)", "INSERT INTO large VALUES (zeroblob(80000))", STEP]
SMALL = ["UPDATE owners SET expires_at = expires_at + 1"]


@pytest.fixture
def overwritten(left: Path) -> Path:
    """Return a log with the remains of an unfinished commit, whose beginning a shorter commit overwrote."""
    log = left.with_name("left.db-wal")
    dead, alive = committed(left, LARGE), committed(left, SMALL)
    before = log.stat().st_size
    assert dead[:before] == alive[:before] == log.read_bytes()
    assert len(dead) > len(alive) + 5 * FRAME > before + 5 * FRAME
    log.write_bytes(alive + dead[len(alive) :])
    return left


async def test_remains_of_an_unfinished_commit_are_not_damage(overwritten: Path) -> None:
    """One process was killed in the sync of a commit, another one committed after that: nothing is missing."""
    assert {each.code for each in doctor.examine(overwritten).faults}.isdisjoint({"log_damaged", "page"})
    assert await seqs_in(overwritten) == list(range(1, 21))


async def test_a_repair_takes_nothing_from_a_commit_that_was_not_finished(overwritten: Path) -> None:
    """If pages of the file are damaged too, only rows of finished commits are saved, and the log is not reported."""
    content = bytearray(overwritten.read_bytes())
    content[:] = b"\xff" * len(content)
    overwritten.write_bytes(content)
    repaired = doctor.repair(overwritten)
    assert "log" not in repaired.unnamed
    with closing(sqlite3.connect(overwritten)) as connection:
        found = connection.execute("SELECT id & 4294967295 FROM steps ORDER BY id").fetchall()
    assert [seq for (seq,) in found] == list(range(1, 21))


async def test_remains_after_damage_do_not_hide_it(overwritten: Path) -> None:
    """Finished commits after a damaged byte are refused as usual; the remains after them are not counted."""
    damage(overwritten, 32 + 2 * FRAME + 100)
    with pytest.raises(StoreCorrupt, match="SQLite reads none of the"):
        await SQLiteStore(overwritten).open()
    assert doctor.repair(overwritten).unnamed == "the write-ahead log was damaged: steps in it may be lost"
    assert await seqs_in(overwritten) == list(range(1, 21))
