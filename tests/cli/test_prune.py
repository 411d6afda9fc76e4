"""Tags and `graphengine prune`."""

from pathlib import Path

import pytest

from tests.cli.programs import Invoke, document


@pytest.fixture
def recorded(invoke: Invoke) -> None:
    """Three finished runs, a branch of the first one with the tag `keep`, and a stopped run."""
    for run_id in ("r1", "r2", "r3"):
        invoke("run", "counter", "--run-id", run_id, "--tag", "nightly", "--tag", f"of {run_id}")
    invoke("branch", "r1", "--at", "2", "--run-id", "b", "--tag", "keep")
    invoke("run", "counter", "--run-id", "s", "--limit", "visits=1")


@pytest.mark.usefixtures("recorded")
def test_tags_are_shown_and_searched(invoke: Invoke) -> None:
    """`runs --tag` lists the runs of a tag; `show` and --json show a run's tags."""
    listed = document(invoke("runs", "--tag", "nightly", "--json").stdout)["runs"]
    assert [(run["run_id"], run["tags"]) for run in listed] == [
        (run_id, ["nightly", f"of {run_id}"]) for run_id in ("r3", "r2", "r1")
    ]
    assert "nightly, of r1" in invoke("runs").stdout
    assert "tags: nightly, of r1\n" in invoke("show", "r1").stdout
    assert "tags" not in invoke("show", "s").stdout
    assert document(invoke("show", "b", "--json").stdout)["tags"] == ["keep"]
    assert invoke("runs", "--tag", "no", "--status", "failed").stderr == (
        "no runs with status failed and with tag no in checkpoints/runs.db\n"
        "  no run has the tag 'no'; known: keep, nightly, of r1, of r2, of r3\n"
    )
    refused = invoke("run", "counter", "--tag", "\x1b[2J")
    assert (refused.exit_code, "'\\x1b[2J' cannot be a tag" in refused.stderr) == (2, True)


@pytest.mark.usefixtures("recorded")
def test_a_dry_run_shows_what_would_be_removed(invoke: Invoke) -> None:
    """Runs, steps and bytes, and why others are kept; nothing changes."""
    words = ("prune", "--older-than", "0s", "--keep-tag", "keep", "--dry-run")
    found = invoke(*words)
    assert found.exit_code == 0
    lines = found.stdout.splitlines()
    assert lines[:4] == ["r2", "r3", "1 run kept: tag 'keep'", "1 run kept: needed by a branch"]
    in_bytes = document(invoke(*words, "--json").stdout)["pruned"]["db_bytes"]
    assert 1500 < in_bytes < 2500  # a time has more or fewer digits
    assert lines[4] == f"2 runs with 8 steps (about {in_bytes / 1000:.1f} kB) would be removed"
    assert len(document(invoke("runs", "--json").stdout)["runs"]) == 5


@pytest.mark.usefixtures("recorded")
def test_a_prune_removes_runs(invoke: Invoke) -> None:
    """The removed runs are listed in one document under --json."""
    found = document(
        invoke("prune", "--keep-last", "2", "--status", "stopped", "--status", "finished", "--yes", "--json").stdout
    )
    message = found["pruned"]
    assert (found["schema"], found["vacuumed"], message["dry_run"]) == (1, None, False)
    assert (message["runs"], message["steps"]) == (["r2", "r3"], 8)
    assert message["db_bytes"] > 1000
    assert {kept["run_id"]: kept["reason"] for kept in message["kept"]} == {
        "s": "among the newest 2 of counter",
        "b": "among the newest 2 of counter",
        "r1": "needed by branch b",
    }
    left = document(invoke("runs", "--json").stdout)["runs"]
    assert [run["run_id"] for run in left] == ["s", "b", "r1"]
    assert invoke("show", "r2").exit_code == 2


@pytest.mark.usefixtures("recorded")
def test_disk_space_is_freed(invoke: Invoke) -> None:
    """--vacuum after a prune, or alone, shows the sizes before and after."""
    found = document(invoke("prune", "--keep-last", "0", "--vacuum", "--yes", "--json").stdout)
    assert len(found["pruned"]["runs"]) == 4
    assert found["vacuumed"]["after_bytes"] <= found["vacuumed"]["before_bytes"]
    alone = invoke("prune", "--vacuum")
    assert alone.stdout.startswith("the database shrank from ")
    assert document(invoke("prune", "--vacuum", "--json").stdout)["pruned"] is None
    assert document(invoke("prune", "--vacuum", "--dry-run", "--json").stdout)["vacuumed"] is None


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(("answer", "left"), [("y\n", 2), ("n\n", 5)])
def test_the_user_is_asked(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, answer: str, left: int) -> None:
    """At a terminal, runs are removed only after a yes, or with --yes."""
    asked: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return answer == "y\n"

    monkeypatch.setattr("graphengine.cli.prune.is_person", lambda: True)
    monkeypatch.setattr("click.confirm", confirm)
    invoke("prune", "--older-than", "0s", "--keep-tag", "keep", "--status", "stopped", "--status", "finished")
    assert [question.partition(" (")[0] for question in asked] == ["3 runs with 11 steps"]
    assert len(document(invoke("runs", "--json").stdout)["runs"]) == left
    invoke("prune", "--keep-last", "0", "--yes")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "say which runs to keep: --keep-last 100, or --older-than 30d, or both"),
        (("--keep-tag", "x"), "say which runs to keep"),
        (("--vacuum", "--graph", "g"), "say which runs to keep"),
        (("--older-than", "30"), "give a number and s, m, h, d or w, e.g. 30d"),
        (("--older-than", "-1d"), "give a number and s, m, h, d or w, e.g. 30d"),
        (("--keep-last", "1"), "cannot ask for confirmation here: check with --dry-run, then pass --yes"),
        (("--keep-last", "1", "--json"), "cannot ask for confirmation here"),
        (("--keep-last", "-1"), "-1 is not in the range"),
        (("--keep-last", "1", "--status", "running"), "'running' is not one of"),
    ],
)
@pytest.mark.usefixtures("recorded")
def test_an_invalid_prune_is_refused(invoke: Invoke, words: tuple[str, ...], message: str) -> None:
    """The error names the missing options; nothing is removed."""
    found = invoke("prune", *words)
    assert found.exit_code == 2
    assert message in found.stderr + found.stdout
    assert len(document(invoke("runs", "--json").stdout)["runs"]) == 5


def test_without_a_database_none_is_created(project: Path, invoke: Invoke) -> None:
    """Without a database prune creates none."""
    found = invoke("prune", "--keep-last", "1", "--yes")
    assert (found.exit_code, "there is no database of runs" in found.stderr) == (5, True)
    assert not (project / "checkpoints").exists()


def test_ages_have_units() -> None:
    """Ages are given in seconds, minutes, hours, days and weeks."""
    from graphengine.cli.options import Age  # noqa: PLC0415 - as the command line loads it

    ages = {"90s": 90, "1.5m": 90, "2h": 7200, "30d": 2_592_000, "2w": 1_209_600}
    assert {text: Age().convert(text, None, None) for text in ages} == ages


@pytest.mark.usefixtures("recorded")
def test_what_workers_would_remove_is_shown_and_removed(project: Path, invoke: Invoke) -> None:
    """The retention of the project, or that of a graph in its place, says which runs those are."""
    nothing = invoke("prune", "--retention", "--dry-run")
    assert (nothing.exit_code, "says how long to keep" in nothing.stderr) == (2, True)
    settings = project / "pyproject.toml"
    settings.write_text(
        settings.read_text() + "\n[tool.graphengine.retention]\nkeep_days = 0\nkeep_failed_days = inf\n"
    )
    assert invoke("prune", "--retention", "--dry-run").stdout.splitlines()[:4] == [
        "r2",
        "r3",
        "1 run kept: tag 'keep'",
        "1 run kept: needed by a branch",
    ]
    mixed = invoke("prune", "--retention", "--keep-last", "3")
    assert (mixed.exit_code, "leave the other options out" in mixed.stderr) == (2, True)
    assert document(invoke("prune", "--retention", "--yes", "--json").stdout)["pruned"]["runs"] == ["r2", "r3"]
    assert [run["run_id"] for run in document(invoke("runs", "--json").stdout)["runs"]] == ["s", "b", "r1"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("keep_day = 3", "keep_days"),
        ("keep_days = -3", "give days, 0 or more"),
        ("keep_tags = 'keep'", "give a list"),
    ],
)
def test_a_retention_that_cannot_be_read_is_refused(project: Path, invoke: Invoke, line: str, message: str) -> None:
    """A misspelt setting would keep runs for another time than was meant."""
    settings = project / "pyproject.toml"
    settings.write_text(f"{settings.read_text()}\n[tool.graphengine.retention]\n{line}\n")
    refused = invoke("prune", "--retention", "--dry-run")
    assert (refused.exit_code, message in refused.stderr, "pyproject.toml" in refused.stderr) == (2, True, True)
    settings.write_text('[tool.graphengine]\ngraphs = ["flows"]\nretention = 30\n')
    refused = invoke("prune", "--retention", "--dry-run")
    assert (refused.exit_code, "[tool.graphengine.retention]" in refused.stderr) == (2, True)
