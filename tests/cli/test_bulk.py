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
def test_a_dry_run_shows_which_runs(invoke: Invoke) -> None:
    """Only those that the action is for, the newest first; nothing changes."""
    found = invoke("bulk", "resume", "graph:counter", "since:1h", "--dry-run")
    assert (found.exit_code, found.stdout, found.stderr) == (0, "b\na\n", "resume: to do for 2 runs\n")
    shown = document(invoke("bulk", "prune", "since:1h", "--dry-run", "--json").stdout)
    assert (shown["dry_run"], shown["runs"], shown["refused"]) == (True, ["a", "b", "done"], [])
    assert len(document(invoke("runs", "--json").stdout)["runs"]) == 3


@pytest.mark.usefixtures("recorded")
def test_runs_are_changed(invoke: Invoke) -> None:
    """Resumed runs are left to workers; a second call finds nothing to do."""
    done = invoke("bulk", "resume", "graph:counter", "--yes")
    assert (done.exit_code, done.stderr) == (0, "resume: done for 2 runs\n")
    statuses = {run["run_id"]: run["status"] for run in document(invoke("runs", "--json").stdout)["runs"]}
    assert statuses == {"a": "interrupted", "b": "interrupted", "done": "finished"}
    assert invoke("bulk", "resume", "graph:counter", "--yes").stderr == "resume: done for 0 runs\n"
    assert invoke("bulk", "tag", "status:finished", "--tag", "good", "--yes").stdout == "done\n"
    assert document(invoke("show", "done", "--json").stdout)["tags"] == ["good"]


@pytest.mark.usefixtures("recorded")
def test_what_cannot_be_changed_is_named(project: Path, invoke: Invoke) -> None:
    """The exit code says so, too."""
    (project / "flows" / "counter.py").rename(project / "flows" / "other.py")
    text = (project / "flows" / "other.py").read_text()
    (project / "flows" / "other.py").write_text(text.replace('"counter"', '"other"'))
    refused = invoke("bulk", "resume", "since:1h", "--yes")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "a: its graph counter is not given" in refused.stderr


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("stop",), "Missing argument"),
        (("halt", "since:1h"), "halt"),
        (("stop", "status:fail", "--yes"), "status cannot be"),
        (("tag", "since:1h", "--yes"), "give a tag"),
    ],
)
@pytest.mark.usefixtures("recorded")
def test_an_order_that_cannot_be_meant_is_refused(invoke: Invoke, words: tuple[str, ...], message: str) -> None:
    """Nothing is changed."""
    refused = invoke("bulk", *words)
    assert (refused.exit_code, message in refused.stderr) == (2, True)
