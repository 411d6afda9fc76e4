"""Tags and `graphengine prune`."""

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


def test_ages_have_units() -> None:
    """Ages are given in seconds, minutes, hours, days and weeks."""
    from graphengine.cli.options import Age  # noqa: PLC0415 - as the command line loads it

    ages = {"90s": 90, "1.5m": 90, "2h": 7200, "30d": 2_592_000, "2w": 1_209_600}
    assert {text: Age().convert(text, None, None) for text in ages} == ages
