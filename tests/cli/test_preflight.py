"""`graphengine check --store`: the runs of a database against the graphs of the project, as a gate before a deploy."""

from pathlib import Path

import pytest

from tests.cli.programs import WAITING, Invoke, document


@pytest.fixture
def waiting(project: Path, invoke: Invoke) -> Path:
    """Return the file of a graph, one of whose runs waits for an answer and a message."""
    file = project / "flows" / "waiting.py"
    file.write_text(WAITING)
    assert invoke("run", "waiting", "--run-id", "w1").exit_code == 3
    return file


def test_runs_of_todays_graphs_fit(waiting: Path, invoke: Invoke) -> None:
    """Exit code 0, and a line that says so."""
    assert waiting.exists()
    found = invoke("check", "--store", "checkpoints/runs.db")
    assert (found.exit_code, found.stdout.splitlines()[-1]) == (0, "1 run that has not ended: all fit")


def test_without_a_store_no_run_is_looked_at(waiting: Path, invoke: Invoke) -> None:
    """The command is what it was, also in JSON."""
    waiting.write_text(WAITING.replace('"style", ask', '"look", ask').replace('"style", "merge"', '"look", "merge"'))
    waiting.write_text(waiting.read_text().replace('["style", "listen"]', '["look", "listen"]'))
    assert invoke("check").exit_code == 0
    assert "runs" not in document(invoke("check", "--json").stdout)
    assert invoke("check", "--store", "checkpoints/runs.db").exit_code == 3


def test_a_run_that_does_not_fit_is_a_code_of_its_own(waiting: Path, invoke: Invoke) -> None:
    """In JSON: where it is, why it does not fit, what changed, and the draft."""
    waiting.write_text(WAITING.replace("class Desk(BaseModel):", "class Desk(BaseModel):\n    pages: int"))
    found = invoke("check", "--store", "checkpoints/runs.db", "--json")
    assert found.exit_code == 3
    runs = document(found.stdout)["runs"]
    assert (runs["runs"], runs["refused"]) == (1, 1)
    (group,) = runs["groups"]
    assert (group["verdict"], group["runs"], group["statuses"]) == ("refused", 1, {"waiting": 1})
    assert (group["places"], group["examples"]) == (["style", "listen"], ["w1"])
    (reason,) = group["reasons"]
    assert (reason["code"], reason["text"]) == ("does_not_fit", "field 'pages' is new and has no default")
    assert "field pages is new: int" in group["changes"]
    (draft,) = runs["drafts"]["waiting"]
    assert "old['pages'] = ...  # new: int" in draft


def test_an_error_of_a_graph_comes_first(waiting: Path, invoke: Invoke) -> None:
    """Exit code 2; its runs have no graph that can be used."""
    waiting.write_text(WAITING.replace('"merge", "publish", END', '"merge", "nowhere", END'))
    found = invoke("check", "--store", "checkpoints/runs.db", "--json")
    assert found.exit_code == 2
    assert [each["verdict"] for each in document(found.stdout)["runs"]["groups"]] == ["no_graph"]


def test_only_the_runs_of_the_named_graphs_are_checked(waiting: Path, invoke: Invoke) -> None:
    """Without a name, a run whose graph has left the project does not fit."""
    waiting.unlink()
    assert invoke("check", "counter", "--store", "checkpoints/runs.db").exit_code == 0
    found = invoke("check", "--store", "checkpoints/runs.db")
    assert (found.exit_code, "graph_not_found: no graph 'waiting' can be used" in found.stdout) == (3, True)


def test_since_selects_by_the_last_step(waiting: Path, invoke: Invoke) -> None:
    """It needs a database, and an age."""
    assert waiting.exists()
    assert "1 run that" in invoke("check", "--store", "checkpoints/runs.db", "--since", "1h").stdout
    alone = invoke("check", "--since", "1h")
    assert (alone.exit_code, "add --store PATH" in alone.stderr) == (2, True)


def test_a_database_that_does_not_exist_is_not_created(project: Path, invoke: Invoke) -> None:
    """Exit code 5, as for every command that reads one."""
    assert invoke("check", "--store", "none.db").exit_code == 5
    assert not (project / "none.db").exists()


def test_a_run_on_a_server_is_checked_too(waiting: Path, invoke: Invoke, postgres: str) -> None:
    """The address is an option as everywhere."""
    assert invoke("run", "waiting", "--run-id", "w2", "--store", postgres).exit_code == 3
    assert invoke("check", "--store", postgres).exit_code == 0
    waiting.write_text(WAITING.replace("class Desk(BaseModel):", "class Desk(BaseModel):\n    pages: int"))
    assert invoke("check", "--store", postgres).exit_code == 3
