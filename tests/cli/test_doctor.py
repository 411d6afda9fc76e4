import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.programs import Invoke

DATABASE = Path("checkpoints/runs.db")


@pytest.fixture
def ran(invoke: Invoke) -> Invoke:
    """With a run in the database."""
    assert invoke("run", "counter", "--run-id", "r").exit_code == 0
    return invoke


def test_a_database_of_which_nothing_can_be_read_is_refused(ran: Invoke) -> None:
    """Without its first page SQLite opens no file: exit code 5, and the file stays as it is."""
    content = b"\x00" * 4096 + DATABASE.read_bytes()[4096:]
    DATABASE.write_bytes(content)
    for words in ((), ("--repair",)):
        refused = ran("doctor", *words)
        assert refused.exit_code == 5
        assert "restore a backup" in refused.stderr
    assert DATABASE.read_bytes() == content
    assert list(DATABASE.parent.iterdir()) == [DATABASE]


@pytest.mark.parametrize(("version", "notes"), [((3, 51, 2), 1), ((3, 51, 3), 0)])
def test_an_sqlite_with_the_reset_bug_is_a_note(
    ran: Invoke, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], notes: int
) -> None:
    """It says what is exposed, and the database is sound all the same."""
    monkeypatch.setattr("sqlite3.sqlite_version_info", version)
    said = ran("doctor")
    assert (said.exit_code, said.stdout.count("note sqlite_version: "), "sound: " in said.stdout) == (0, notes, True)


def test_a_relative_path_with_a_log_is_checked(ran: Invoke) -> None:
    """A person types it so while a worker has the database open."""
    with closing(sqlite3.connect(DATABASE)) as worker:
        with worker:
            worker.execute("UPDATE runs SET key = key")
        assert DATABASE.with_name("runs.db-wal").stat().st_size
        for given in (DATABASE, Path("..") / Path.cwd().name / DATABASE):
            found = ran("doctor", "--store", str(given))
            assert (found.exit_code, "sound: " in found.stdout) == (0, True), found.stderr


def test_a_dump_that_was_loaded_is_saved_whole(ran: Invoke) -> None:
    """It lost only the mark: other commands say so, the check counts its runs, and a repair keeps them."""
    loaded = DATABASE.with_name("loaded.db")
    with closing(sqlite3.connect(DATABASE)) as source, closing(sqlite3.connect(loaded)) as target:
        target.executescript("\n".join(source.iterdump()))
    loaded.chmod(0o600)
    refused = ran("runs", "--store", str(loaded))
    assert (refused.exit_code, "graphengine doctor --repair" in refused.stderr) == (5, True)
    assert "1 fault in checkpoints/loaded.db, 1 run, 4 steps" in ran("doctor", "--store", str(loaded)).stdout
    assert ran("doctor", "--repair", "--store", str(loaded)).exit_code == 0
    assert ran("show", "r", "--store", str(loaded)).exit_code == 0


def test_a_schedule_whose_input_no_longer_fits_is_a_note(ran: Invoke) -> None:
    """It says why the schedule starts nothing, and what repairs it; the database is sound all the same."""
    assert (
        ran("schedule", "add", "daily", "--cron", "0 7 * * *", "--graph", "counter", "--input", "goal=7").exit_code == 0
    )
    assert "schedule_misfit" not in ran("doctor").stdout
    flow = Path("flows/counter.py")
    flow.write_text(flow.read_text().replace("goal: int = 3", "most: int = 3"))
    said = ran("doctor")
    assert (said.exit_code, "sound: " in said.stdout) == (0, True)
    why = "the schedule 'daily' cannot start a run: the input has the field 'goal'"
    assert f"note schedule_misfit: {why}" in said.stdout
