"""`graphengine bulk`: what is done to all runs that a search finds."""

from pathlib import Path

import click
import pytest

from tests.cli.programs import Invoke, document


@pytest.fixture
def recorded(project: Path, invoke: Invoke) -> None:
    """Two runs that stopped at a limit, and one that finished."""
    del project
    for run_id in ("a", "b"):
        invoke("run", "counter", "--run-id", run_id, "--limit", "visits=1")
    invoke("run", "counter", "--run-id", "done")


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(("answer", "left"), [("y\n", 1), ("n\n", 3)])
def test_the_user_is_asked(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, answer: str, left: int) -> None:
    """At a terminal, after the first of the runs were shown; without one, `--yes` is required."""
    refused = invoke("bulk", "prune", "status:stopped")
    assert (refused.exit_code, "pass --yes" in refused.stderr) == (2, True)
    asked: list[str] = []

    def confirm(text: str, **_: object) -> bool:
        asked.append(text)
        return answer == "y\n"

    monkeypatch.setattr("graphengine.cli.bulk.is_person", lambda: True)
    monkeypatch.setattr(click, "confirm", confirm)
    assert invoke("bulk", "prune", "status:stopped").exit_code == 0
    assert asked == ["prune 2 of these runs?"]
    assert len(document(invoke("runs", "--json").stdout)["runs"]) == left


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("command", [("runs",), ("bulk", "prune", "--yes")])
def test_a_field_that_no_run_has_is_named(invoke: Invoke, command: tuple[str, ...]) -> None:
    """A list and an action say so."""
    done = invoke(*command, "input.contry=CH")
    assert "no run has the field input.contry: declare it with Graph(search=['input.contry'])" in done.stderr
