"""`graphengine check --store`: the runs of a database against the graphs of the project, as a gate before a deploy."""

from pathlib import Path

import pytest

from tests.cli.programs import WAITING, Invoke


@pytest.fixture
def waiting(project: Path, invoke: Invoke) -> Path:
    """Return the file of a graph, one of whose runs waits for an answer and a message."""
    file = project / "flows" / "waiting.py"
    file.write_text(WAITING)
    assert invoke("run", "waiting", "--run-id", "w1").exit_code == 3
    return file


def test_a_run_on_a_server_is_checked_too(waiting: Path, invoke: Invoke, postgres: str) -> None:
    """The address is an option as everywhere."""
    assert invoke("run", "waiting", "--run-id", "w2", "--store", postgres).exit_code == 3
    assert invoke("check", "--store", postgres).exit_code == 0
    waiting.write_text(WAITING.replace("class Desk(BaseModel):", "class Desk(BaseModel):\n    pages: int"))
    assert invoke("check", "--store", postgres).exit_code == 3
