"""`graphengine render` with charts of runs."""

from pathlib import Path

import pytest

from tests.cli.programs import Invoke, document

BRANCHES = [
    ["run", "counter", "--run-id", "first"],
    ["branch", "first", "--at", "2", "--run-id", "second", "--set", "n=0"],
]


@pytest.fixture
def runs(invoke: Invoke) -> Invoke:
    """A run, and a branch of it."""
    for words in BRANCHES:
        assert invoke(*words).exit_code == 0
    return invoke


CHARTS = [
    (["first", "--timeline"], "Timeline of counter, run first: finished after 3 visits: enough\n"),
    (["first", "--scores"], "n: more 1: 1, more 2: 2, more 3: 3\n"),
    (["first", "--scores", "n"], "n >= 3: enough\n"),
    (["second", "--branches"], "second (this run), branched from first at step 2: finished: enough, steps 3 to 6\n"),
    (["firs", "--timeline"], "Timeline of counter"),
]


@pytest.mark.parametrize(("words", "output_text"), CHARTS)
def test_each_chart_is_drawn_from_the_record(words: list[str], output_text: str, runs: Invoke) -> None:
    """Each chart is drawn as text and as SVG from the record, without the graph's code."""
    Path("flows/counter.py").unlink()
    for name in ("a.txt", "a.svg", "a.html"):
        found = runs("render", *words, "-o", name)
        assert (found.exit_code, found.stdout) == (0, ""), found.stderr
        assert f"drawn: {name}" in found.stderr
    assert output_text in Path("a.txt").read_text(encoding="utf-8")
    assert Path("a.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert Path("a.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_chart_has_the_document_of_every_picture(runs: Invoke) -> None:
    """With --json a chart has the document of every picture, with the file that was written."""
    made = document(runs("render", "first", "--timeline", "-o", "a.svg", "--json").stdout)
    assert made == {"schema": 1, "file": "a.svg"}


REFUSED = [
    (["first", "--timeline", "-o", "a.pdf"], "one of .svg, .html, .png, .txt"),
    (["first", "--scores", "m", "-o", "a.svg"], "known: "),
    (["first", "--scores", "goa", "-o", "a.svg"], "did you mean 'goal'?"),
    (["first", "--scores", "goal", "-o", "a.svg"], "no step of the run wrote a number at goal"),
    (["nowhere", "--timeline", "-o", "a.svg"], "there is no run 'nowhere'"),
    (["counter", "--timeline", "-o", "a.svg"], "'counter' is a graph, but this picture needs a run"),
    (["secand", "--branches", "-o", "a.svg"], "did you mean 'second'?"),
    (["first", "--timeline", "--scores", "-o", "a.svg"], "--timeline and --scores are separate pictures"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_an_impossible_chart_is_reported_with_the_repair(words: list[str], message: str, runs: Invoke) -> None:
    """An impossible chart gives exit code 2, one screen with the repair, and no file."""
    found = runs("render", *words)
    assert found.exit_code == 2
    assert message in " ".join(found.stderr.split())
    assert "Traceback" not in found.stderr
    assert not list(Path().glob("a.*"))
