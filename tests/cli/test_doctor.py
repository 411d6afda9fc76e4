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
