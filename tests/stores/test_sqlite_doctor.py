"""Doctor: each kind of fault has a code, is repaired without losing a step, and is gone at the second check."""

# these tests are alone on their loop

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graphengine.databases.sqlite import SQLiteStore, doctor
from graphengine.databases.sqlite.doctor.rebuild import rebuild
from graphengine.errors import StoreError, StoreFull, StoreLocked, StoreMissing, StoreTooNew
from tests.conformance.store_kit import new_run
from tests.stores.recorded import Facts, facts_of, finish
from tests.stores.support import change

FORMATS = Path(__file__).with_name("formats")


def faults(path: Path) -> set[str]:
    """Return the codes of the doctor's findings."""
    return {finding.code for finding in doctor.examine(path).faults}


async def test_a_database_of_real_runs_is_sound(made: Path) -> None:
    """Every log folds, every row and every snapshot agrees with the fold, and the check leaves no trace."""
    before = made.read_bytes()
    report = doctor.examine(made)
    assert report.is_sound
    assert (report.runs, report.steps) == (5, 121)
    assert report.snapshots > 10
    assert not report.findings
    assert made.read_bytes() == before
    assert list(made.parent.iterdir()) == [made]


REPAIRABLE = {
    "a status": ("run_differs", "UPDATE runs SET wanted_at = NULL, due_at = 5 WHERE id = 'asks'"),
    "a summary": ("run_differs", "UPDATE runs SET summary = replace(summary, '\"visits\":', '\"visits\":1')"),
    "a parent": ("run_differs", "UPDATE runs SET parent = 1, parent_seq = 3 WHERE id = 'branch'"),
    "a row": ("run_lost", "DELETE FROM runs WHERE id = 'branch'"),
    "a changed snapshot": ("snapshot", "UPDATE snapshots SET body = body || ' '"),
    "another snapshot": ("snapshot", "UPDATE snapshots SET texts = NULL, body = '{}', sum = sum_of(id, '{}')"),
    "a late snapshot": (
        "snapshot",
        "INSERT INTO snapshots (id, body, sum) SELECT id + 1000, body, 0 FROM snapshots LIMIT 1",
    ),
    "a snapshot of no run": (
        "stray",
        "INSERT INTO snapshots (id, body, sum) SELECT id + (77 << 32), body, 0 FROM steps LIMIT 1",
    ),
    "a message": ("message_damaged", "UPDATE inbox SET payload = '1'"),
    "a message of no run": ("stray", "UPDATE inbox SET run = 77"),
    "a tag of no run": ("stray", "INSERT INTO tags VALUES (77, 'keep', 5)"),
    "an earlier graph spec of no run": ("stray", "INSERT INTO earlier_graph_specs VALUES (77, 'f')"),
    "a removed run that exists": ("stray", "INSERT INTO trash SELECT key FROM runs WHERE id = 'done'"),
    "a graph spec": ("graph_spec_damaged", "UPDATE graph_specs SET body = '{}'"),
    "the use of a text": ("text_use", "DELETE FROM text_uses WHERE row = (SELECT max(row) FROM text_uses)"),
    "a use by no row": ("stray", "INSERT INTO text_uses SELECT key, 77 << 32 | 1 FROM texts"),
    "an unused text": ("stray", "INSERT INTO texts SELECT key + 100, digest, body FROM texts"),
    "the mark": ("mark", "PRAGMA application_id = 5"),
    "a trigger": ("schema", "CREATE TRIGGER t AFTER INSERT ON steps BEGIN DELETE FROM steps; END"),
}


@pytest.mark.parametrize("what", REPAIRABLE)
async def test_faults_of_rows_are_repaired(made: Path, truth: Facts, what: str) -> None:
    """It is found under its code, repaired after a copy, and then gone; every step is unchanged."""
    code, statement = REPAIRABLE[what]
    change(made, statement)
    damaged = made.read_bytes()
    assert code in faults(made)
    repaired = doctor.repair(made)
    assert repaired.report.is_sound
    assert repaired.done
    assert not repaired.lost
    assert repaired.copy is not None
    assert repaired.copy.read_bytes() == damaged
    found = await facts_of(made)
    restored = ("list", "due", "info branch", "graph_spec", "inbox")
    assert all(found[name] == truth[name] for name in truth if name not in restored)
    assert doctor.repair(made).copy is None


@pytest.mark.parametrize("object_", ["INDEX runs_by_time", "VIEW run_facts", "TABLE tags", "TABLE inbox"])
async def test_missing_parts_of_the_schema_are_created(made: Path, truth: Facts, object_: str) -> None:
    """A database that lacks a table, a view or an index is restored, with every step."""
    change(made, f"DROP {object_}")
    assert "schema" in faults(made)
    assert doctor.repair(made).report.is_sound
    assert (await facts_of(made))["state done"] == truth["state done"]


async def test_a_lost_list_of_runs_is_restored_from_the_logs(made: Path, truth: Facts) -> None:
    """If all rows of runs are lost, each run is restored except for facts that only its row had."""
    change(made, "DELETE FROM runs")
    assert doctor.repair(made).report.is_sound
    found = await facts_of(made)
    for name in truth:
        if name.split()[0] in ("state", "steps", "middle"):
            assert found[name] == truth[name], name
    assert (await finish(made, "left"))["heard"]


async def test_an_error_message_that_is_not_utf8_does_not_prevent_a_repair(made: Path, truth: Facts) -> None:
    """SQLite's message quotes invalid UTF-8 here; the locks show whether a process is alive."""
    change(
        made,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = CAST(x'435245415445205441424c45206f776e65727320d4ff' AS TEXT) "
        "WHERE name = 'owners'",
    )
    assert doctor.repair(made).report.is_sound
    assert (await facts_of(made))["state done"] == truth["state done"]


async def test_a_gap_in_a_log_is_reported_and_remains(made: Path) -> None:
    """It cannot be repaired: the run is named, and a branch that needs the lost steps."""
    change(made, "DELETE FROM steps WHERE id IN (1 << 32 | 5, 1 << 32 | 6)")
    report = doctor.repair(made).report
    (fault,) = report.faults  # the branch is read from a snapshot after the gap
    assert (fault.code, fault.run_id, fault.seq, fault.repairable) == ("step_damaged", "done", 5, False)
    assert "--at 4" in fault.repair
    change(made, "DELETE FROM snapshots", "DELETE FROM text_uses WHERE row < 0")
    change(made, "DELETE FROM texts WHERE key NOT IN (SELECT text FROM text_uses)")
    found = {(fault.code, fault.run_id) for fault in doctor.examine(made).faults}
    assert found == {("step_damaged", "done"), ("parent_damaged", "branch")}


async def test_doctor_checks_next_to_writers_but_repairs_only_without(made: Path) -> None:
    """Checking is possible next to a process that writes; a repair is refused, and names the process."""
    store = SQLiteStore(made, synchronous="NORMAL")
    await store.open()
    await store.claim("left")
    assert doctor.examine(made).is_sound
    with pytest.raises(StoreLocked) as caught:
        doctor.repair(made)
    assert f"process {os.getpid()}" in caught.value.message
    await store.close()
    assert doctor.repair(made).report.is_sound


async def test_a_truncated_file_is_never_reported_as_complete(made: Path) -> None:
    """Steps on missing pages cannot be listed; their loss is reported."""
    whole = made.read_bytes()
    count = int.from_bytes(whole[28:32], "big")
    made.write_bytes(whole[: (count - 3) * 4096])
    repaired = doctor.repair(made)
    assert repaired.unnamed == "pages of the file were damaged: steps on them may be lost"
    assert not repaired.is_whole
    made.write_bytes(b"\0" * 4096 + whole[4096:])
    with pytest.raises(StoreError) as caught:
        doctor.repair(made)
    assert (
        caught.value.repair == "SQLite can read nothing of it: restore a backup, or try `.recover` of the sqlite3 shell"
    )


async def test_a_damaged_row_of_the_schema_is_a_fault(made: Path) -> None:
    """A damaged row of the schema, also of SQLite's own index, is a fault; a repair saves the file's content."""
    whole = made.read_bytes()
    made.write_bytes(whole.replace(b"indexsqlite_autoindex_inbox_1", b"indezsqlite_autoindex_inbox_1"))
    assert "schema" in faults(made)
    assert doctor.repair(made).report.is_sound


async def test_a_restored_row_keeps_its_tags(made: Path) -> None:
    """Rows that belong to a run with a lost row are not dropped as rows of no run."""
    change(made, "INSERT INTO tags SELECT key, 'keep', created_at FROM runs WHERE id = 'branch'")
    change(made, REPAIRABLE["a row"][1])
    assert doctor.repair(made).report.is_sound
    store = SQLiteStore(made, read_only=True)
    await store.open()
    assert (await store.info("branch")).tags == ("keep",)
    await store.close()


async def test_triggers_are_dropped_before_a_repair(made: Path) -> None:
    """A foreign trigger never runs: the new file has only what is graphengine's; the copy has the rest."""
    change(
        made,
        "CREATE TABLE notes (text)",
        "UPDATE snapshots SET body = body || ' '",
        "CREATE TRIGGER undo AFTER DELETE ON snapshots BEGIN DELETE FROM steps; END",
    )
    assert faults(made) == {"schema"}
    report = doctor.repair(made).report
    assert (report.is_sound, report.steps) == (True, 121)


async def test_a_repair_needs_space(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without space for a copy nothing is touched."""
    change(made, REPAIRABLE["a message"][1])
    before = made.read_bytes()
    usage = SimpleNamespace(total=1, used=1, free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StoreFull) as caught:
        doctor.repair(made)
    assert caught.value.repair
    assert made.read_bytes() == before
    assert list(made.parent.iterdir()) == [made]


async def test_there_is_no_file_to_check(path: Path) -> None:
    """A missing file is not created."""
    with pytest.raises(StoreMissing):
        doctor.examine(path)
    with pytest.raises(StoreMissing):
        doctor.repair(path)
    assert not list(path.parent.iterdir())


async def test_a_circle_of_parents_ends(made: Path) -> None:
    """Rows that make a run its own ancestor are damage, and no read loops forever."""
    change(made, "UPDATE runs SET parent = 3, parent_seq = 12 WHERE id IN ('done', 'branch')")
    assert "run_differs" in faults(made)
    assert doctor.repair(made).report.is_sound


async def test_a_run_that_was_still_held_when_it_waited_is_sound(made: Path) -> None:
    """Its row is `running` until the work in flight has ended; a process can die before."""
    change(made, "UPDATE runs SET status = 'running', wanted_at = 1 WHERE id = 'asks'")
    assert doctor.examine(made).is_sound
    found = await facts_of(made)
    assert found["state asks"]["status"] == "waiting"
    assert (await finish(made, "asks"))["ok"] is True


async def test_leftovers_of_removed_runs_are_no_faults(made: Path) -> None:
    """Messages, steps and snapshots of a run whose removal was interrupted are swept later."""
    change(
        made,
        "INSERT INTO inbox (run, key, kind, payload, posted_at, sum) SELECT key, 'k', 'stop', '1', 5, 0 FROM runs"
        " WHERE id = 'branch'",
        "INSERT INTO trash SELECT key FROM runs WHERE id = 'branch'",
        "DELETE FROM runs WHERE id = 'branch'",
    )
    assert doctor.examine(made).is_sound


async def test_an_existing_run_is_never_swept(made: Path, truth: Facts) -> None:
    """A row that wrongly lists a run as removed does no harm when a store is opened."""
    change(made, REPAIRABLE["a removed run that exists"][1])
    async with closing_store(made) as store:
        await store.sweep()
    assert (await facts_of(made))["steps done"] == truth["steps done"]


@asynccontextmanager
async def closing_store(path: Path, **options: Any) -> AsyncIterator[SQLiteStore]:
    """A store that is closed at the end."""
    store = SQLiteStore(path, synchronous="NORMAL", **options)
    await store.open()
    yield store
    await store.close()


async def test_a_lock_is_not_damage(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repair that meets another program's lock ends with that error; it does not replace a good file."""
    monkeypatch.setattr(doctor, "BUSY_TIMEOUT_SECONDS", 0.05)
    change(made, REPAIRABLE["a message"][1])
    inode = made.stat().st_ino
    with closing(sqlite3.connect(made, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked):
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


async def test_a_newer_format_is_not_written_back(made: Path) -> None:
    """Its rows can be valid and still hold less than the newer version recorded."""
    change(made, "PRAGMA user_version = 99")
    before = made.read_bytes()
    with pytest.raises(StoreTooNew):
        doctor.repair(made)
    assert made.read_bytes() == before
    assert list(made.parent.iterdir()) == [made]


async def test_a_suspended_process_is_alive(made: Path) -> None:
    """It holds its lock although its lease is over, and would continue to write to a replaced file."""
    async with closing_store(made, clock=lambda: 5.0):
        with pytest.raises(StoreLocked):
            doctor.repair(made)
    assert doctor.repair(made).report.is_sound


class DeathError(BaseException):
    """The end of the process, as far as the code under test is concerned."""


async def broken_beside_its_log(made: Path, folder: Path) -> Path:
    """Return a copy of a database that must be saved into a new file, with its newest steps in its log."""
    folder.mkdir()
    async with closing_store(made) as store:
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
            change(made, REPAIRABLE["a message"][1])
        seen.append(what)

    assert {finding.code for finding in doctor.examine(made, progress=progress).faults} == {"message_damaged"}
    assert seen.count("the rest") == 2
