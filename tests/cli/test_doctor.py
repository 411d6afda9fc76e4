import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.programs import Invoke, document

DATABASE = Path("checkpoints/runs.db")


def change(statement: str) -> None:
    """Change the database directly."""
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        connection.execute(statement)


@pytest.fixture
def ran(invoke: Invoke) -> Invoke:
    """With a run in the database."""
    assert invoke("run", "counter", "--run-id", "r").exit_code == 0
    return invoke


def test_a_sound_database_is_reported_as_sound(ran: Invoke) -> None:
    """Exit code 0, and a line with what was checked; no other file is left next to the database."""
    found = ran("doctor")
    assert found.exit_code == 0
    assert found.stdout.startswith("sound: checkpoints/runs.db, 1 run, 4 steps")
    again = ran("doctor", "--repair")
    assert "nothing was changed" in again.stdout
    assert list(DATABASE.parent.iterdir()) == [DATABASE.absolute()] or len(list(DATABASE.parent.iterdir())) == 1


def test_a_fault_is_reported_with_its_repair(ran: Invoke) -> None:
    """Exit code 1, and the command that repairs it, which shows where the copy is."""
    change("UPDATE runs SET status = 'failed'")
    found = ran("doctor")
    assert found.exit_code == 1
    assert "fault run_differs: run r: its row has status 'failed' instead of 'finished'" in found.stdout
    assert "repair: graphengine doctor --repair" in found.stdout
    repaired = ran("doctor", "--repair")
    assert repaired.exit_code == 0
    assert "checkpoints/runs.db.before-repair-" in repaired.stdout
    assert "repaired run_differs (1)" in repaired.stdout
    assert ran("doctor").exit_code == 0


def test_an_unrepairable_fault_remains(ran: Invoke) -> None:
    """A lost step stays lost: the run is named, and the command that branches before the gap works."""
    change("DELETE FROM steps WHERE seq = 3")
    assert ran("doctor", "--repair").exit_code == 1
    message = document(ran("doctor", "--json").stdout)
    (finding,) = message["findings"]
    assert (finding["code"], finding["run_id"], finding["seq"]) == ("step_damaged", "r", 3)
    assert "`graphengine branch r --at 2`" in finding["repair"]
    assert ran("branch", "r", "--at", "2").exit_code == 0
    assert ran("show", "r").exit_code == 5


def test_a_repair_is_reported_as_json(ran: Invoke) -> None:
    """What was done, what was lost and where the copy is."""
    change("UPDATE runs SET graph = 'other'")
    message = document(ran("doctor", "--repair", "--json").stdout)
    assert message["sound"] is True
    assert message["lost"] == []
    assert len(message["done"]) == 1
    assert Path(message["copy"]).exists()


def test_a_file_that_is_not_a_database_is_refused(ran: Invoke) -> None:
    """Exit code 5 for a missing or different file, also with --repair; nothing is changed."""
    Path("notes.txt").write_text("some notes\n" * 200)
    for words in (("--store", "none.db"), ("--store", "notes.txt"), ("--store", "notes.txt", "--repair")):
        found = ran("doctor", *words)
        assert found.exit_code == 5
        assert "repair:" in found.stderr
    assert Path("notes.txt").read_text() == "some notes\n" * 200


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
