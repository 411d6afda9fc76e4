"""`graphengine budgets` shows what is left; budgets of a project hold for its commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.json import decode

from graphengine.cli.main import main

PROJECT = """
[tool.graphengine]
graphs = ["."]

[[tool.graphengine.budgets]]
name = "a graph's month"
by = "graph"
window = "month"
calls = 1
over = "fail"

[[tool.graphengine.budgets]]
name = "day"
cost_usd = 2.5
tokens = 1000
"""
DESK = """
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, ScriptedModel


class Letter(BaseModel):
    text: str = ""


graph = Graph("desk", Letter)
graph.add_node("write", Agent("clerk", prompt="Write.", model=ScriptedModel(["Dear."])), writes="text")
graph.add_path(START, "write", END)
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the settings of a project of one graph."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk.py").write_text(DESK)
    settings = tmp_path / "pyproject.toml"
    settings.write_text(PROJECT)
    return settings


def typed(line: str, code: int = 0) -> str:
    """Type a command, and return what it printed."""
    found = CliRunner().invoke(main, line.split())
    assert found.exit_code == code, found.output
    return found.output


def test_a_run_is_counted_and_the_next_one_fails(desk: Path) -> None:
    """The table names what is spent of each budget; the second run ends with the error and its repair."""
    typed("run desk")
    assert "budget_spent: the budget \"a graph's month\" of graph 'desk' is spent: 1 of 1 calls" in typed("run desk", 1)
    lines = typed("budgets").splitlines()
    assert [line.split("  ")[0] for line in lines] == ["budget", "a graph's month", "day", "day"]
    assert "1 of 1 calls" in lines[1]
    assert "$0 of $2.5000" in lines[2]
    budgets = decode(typed("budgets --json"))["budgets"]
    (account,) = budgets[0]["accounts"]
    assert (account["key"], account["spent"], account["calls_in_flight"]) == ("desk", {"calls": 1}, 0)
    assert budgets[1]["budget"]["cost_usd"] == 2.5


def test_nothing_spent_and_no_budgets_are_said(desk: Path) -> None:
    """Before the first call each limit has a line; without settings the command says where they go."""
    typed("run desk --queue later")
    assert "0 of 1 calls" in typed("budgets")
    desk.write_text('[tool.graphengine]\ngraphs = ["."]\n')
    assert "[[tool.graphengine.budgets]]" in typed("budgets")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("[tool.graphengine]\nbudgets = 5\n", "budgets is 5, not a list of tables"),
        ("[[tool.graphengine.budgets]]\nname = 'b'\ncost = 5\n", "a budget has cost = …, which is not read"),
        ("[[tool.graphengine.budgets]]\nname = 'b'\n", "a budget without a limit"),
        ("[[tool.graphengine.budgets]]\ncalls = 5\n", "the name of a budget"),
        ("[[tool.graphengine.budgets]]\nname = 'b'\ncalls = '5'\n", "Budget(calls='5')"),
    ],
)
def test_settings_that_cannot_be_are_explained(desk: Path, settings: str, words: str) -> None:
    """One error, with the place and the repair."""
    desk.write_text(settings)
    assert words in " ".join(typed("run desk.py", 2).split())
