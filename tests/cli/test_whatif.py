"""`whatif` and `suite` on the command line: what they find, show, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.programs import Invoke, document

DESK = """
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph, ScriptedModel, ask, value
from graphengine.models import Response
class Desk(BaseModel):
    task: str = ""
    draft: str = ""
    ok: bool | None = None
def written(request):
    return Response(request.system + " " + request.messages[0].text, cost_usd=0.25)
dear = ScriptedModel(lambda request: Response("dear", cost_usd=2.0))
dear.name = "dear"
MODELS = {"dear": {"writer": dear}}
def short(draft: str) -> bool:
    return draft.startswith("Short")
SCORERS = [short]
graph = Graph("desk", Desk, result="draft")
writer = Agent("writer", system="Short.", prompt="On {task}", model=ScriptedModel(written))
graph.add_node("draft", writer, writes="draft")
graph.add_node("ok", ask("Post it?", bool), writes="ok")
graph.add_edge(START, "draft")
graph.add_edge("draft", "ok", when=value("task") == "asked")
graph.add_edge("draft", END, label="at once")
graph.add_edge("ok", END, label="asked")
"""


@pytest.fixture
def desk(invoke: Invoke, tmp_path: Path) -> str:
    """Return a file with a graph of which six runs are recorded, one of them answered by a person."""
    file = tmp_path / "desk.py"
    file.write_text(DESK)
    for task in ("a", "b", "c", "d", "e"):
        assert invoke("run", str(file), "--run-id", task, "--input", f"task={task}").exit_code == 0
    assert invoke("run", str(file), "--run-id", "asked", "--input", "task=asked").exit_code == 3
    assert invoke("answer", "asked", "yes", "--graph", str(file)).exit_code == 0
    return str(file)


def test_whatif_compares_other_instructions(invoke: Invoke, desk: str) -> None:
    """The runs are found by words; endings, differences and the changed text are shown; nothing is asked."""
    words = (
        "whatif",
        "--runs",
        "graph:desk since:1d",
        "--graph",
        desk,
        "--instructions",
        "writer=Long.",
        "--name",
        "l",
    )
    found = invoke(*words, "--scorers", desk)
    assert found.exit_code == 0, found.stderr
    assert "6 runs of desk, branched where the change matters" in found.stdout
    assert "instructions of writer: replaced (6 of 6 runs)" in found.stdout
    assert "5  finished [at once] → finished [at once]" in found.stdout
    assert "cost_usd: +0.0000 on average over 6 pairs (95 %: +0.0000 to +0.0000)" in found.stdout
    assert "short: -1.00 on average over 6 pairs (95 %: -1.00 to -1.00); more in 0, less in 6" in found.stdout
    assert "[-Short.-] {+Long.+}" in found.stdout
    again = document(invoke(*words, "--json").stdout)
    assert [each["branch"] for each in again["runs"]] == [f"l.{each['run_id']}" for each in again["runs"]]
    assert again["spent_usd"] == 1.5
    listed = json.loads(invoke("runs", "tag:whatif:l", "--json").stdout)["runs"]
    assert len(listed) == 6


def test_whatif_compares_another_model(invoke: Invoke, desk: str) -> None:
    """A name that is a set of the graph's file; branches of comparisons are not compared again."""
    first = invoke("whatif", "--runs", "graph:desk", "--graph", desk, "--model", "dear", "--name", "m", "--json")
    found = document(first.stdout)
    assert found["differences"]["cost_usd"]["mean"] == 1.75
    assert found["change"] == ["node draft: answered by scripted → dear (6 of 6 runs)"]
    same = document(invoke("whatif", "--runs", "graph:desk", "--graph", desk, "--name", "s", "--json").stdout)
    assert (same["runs"], len(same["untouched"])) == ([], 6)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["whatif"], "name runs, or find them"),
        (["whatif", "--runs", "graph:none"], "no run has the graph 'none'"),
        (["whatif", "a", "--instructions", "nobody=x"], "unknown agent 'nobody'"),
        (["whatif", "a", "--at", "3"], "name a node and its visit"),
        (["whatif", "a", "--budget", "0"], "give a number above 0"),
        (["suite", "-o", "recorded"], "name runs, or find them"),
    ],
)
def test_wrong_usage_is_refused(invoke: Invoke, desk: str, words: list[str], part: str) -> None:
    """Before anything is branched or written."""
    found = invoke(*words, "--graph", desk)
    assert (found.exit_code, part in found.stderr) == (2, True), found.stderr


def test_what_cannot_be_compared_is_said_without_figures(invoke: Invoke, desk: str) -> None:
    """A run that still goes, or has no such visit; a change that no log shows, with how to name its place."""
    assert invoke("run", desk, "--run-id", "waits", "--input", "task=asked").exit_code == 3
    words = ("--graph", desk, "--instructions", "writer=Long.")
    for chosen, why in ((("waits",), "it has not ended: waiting"), (("a", "--at", "ok:1"), "it has no visit 1 of ok")):
        found = invoke("whatif", *chosen, *words)
        assert (found.exit_code, found.stdout) == (1, f"not compared: 1 run: {why}\n")
    found = invoke("whatif", "a", "b", "waits", "--graph", desk)
    assert (found.exit_code, "by their logs, the change makes no difference in 2 runs: a, b" in found.stdout) == (
        0,
        True,
    )
    assert "name the place with --at NODE:VISIT" in found.stdout
    assert "seconds" not in found.stdout
    assert invoke("whatif", "a", *words, "--name", "l").exit_code == 0
    found = invoke("whatif", "--runs", "graph:desk", "--limit", "2", *words, "--json")
    assert [each["run_id"] for each in document(found.stdout)["runs"]] == ["asked"]  # and `waits`, not `l.a`
    found = invoke("whatif", "l.a", *words)
    assert (found.exit_code, "they are branches that `whatif` made" in found.stderr) == (2, True)


def test_suite_writes_and_updates(invoke: Invoke, desk: str, tmp_path: Path) -> None:
    """Two runs take all; without --update another suite is only shown."""
    folder = tmp_path / "recorded"
    words = ("suite", "--runs", "graph:desk", "--graph", desk, "-o", str(folder))
    found = invoke(*words)
    assert found.exit_code == 0, found.stderr
    assert "2 runs of 6 take all that occurred; written to" in found.stdout
    assert len(list(folder.glob("*.json"))) == 2
    assert "from desk import graph" in (folder / "test_recorded_desk.py").read_text()
    assert "the folder is up to date" in invoke(*words).stdout
    Path(desk).write_text(DESK.replace('"asked", )', ")").replace('== "asked"', '== "never"'))
    changed = invoke(*words)
    assert changed.exit_code == 1
    assert "asked.json: decided otherwise today" in changed.stdout
    assert "the folder has another suite; --update replaces it" in changed.stdout
    updated = document(invoke(*words, "--update", "--json").stdout)
    assert (updated["written"], [each["run_id"] for each in updated["runs"]]) == (True, ["a"])
    assert len(list(folder.glob("*.json"))) == 1
