"""`graphengine render` with folded graphs and themes."""

from pathlib import Path

import pytest

from tests.cli.programs import Invoke

NESTED = """
from pydantic import BaseModel
from graphengine import END, START, Graph

class State(BaseModel):
    n: int = 0

inner = Graph("inner", State, result="n")
inner.add_node("add", lambda n: n + 1, writes="n", thread=False)
inner.add_path(START, "add", END)
graph = Graph("outer", State)
graph.add_node("first", inner, writes="n")
graph.add_node("second", inner, writes="n")
graph.add_path(START, "first", "second", END)
"""


@pytest.fixture
def nested(project: Path, invoke: Invoke) -> Invoke:
    """A graph with two graphs in it, and a run of it."""
    (project / "flows" / "outer.py").write_text(NESTED, encoding="utf-8")
    assert invoke("run", "outer", "--run-id", "r").exit_code == 0
    return invoke


@pytest.mark.parametrize("reference", ["outer", "r"])
@pytest.mark.parametrize(
    ("options", "clusters"),
    [([], 2), (["--fold", "0"], 0), (["--fold", "first"], 1), (["--fold", "first", "--fold", "second"], 0)],
)
def test_graphs_inside_are_folded(reference: str, options: list[str], clusters: int, nested: Invoke) -> None:
    """Inner graphs are folded by depth or by path, in the picture of a graph and in that of a run."""
    assert nested("render", reference, *options, "-o", "a.mmd").exit_code == 0
    assert Path("a.mmd").read_text(encoding="utf-8").count("subgraph ") == clusters


def test_the_steps_of_a_run_are_read_in_parts(nested: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of a long run holds only a part of its steps, and is the same."""
    assert nested("render", "r", "-o", "whole.txt").exit_code == 0
    monkeypatch.setattr("graphengine.cli.render._AT_A_TIME", 2)
    assert nested("render", "r", "-o", "parts.txt").exit_code == 0
    assert Path("parts.txt").read_text(encoding="utf-8") == Path("whole.txt").read_text(encoding="utf-8")


def test_a_theme_colours_the_picture(nested: Invoke) -> None:
    """`dark` is a dark picture; an unknown theme is a usage error."""
    assert nested("render", "outer", "--theme", "dark", "-o", "a.dot").exit_code == 0
    assert 'bgcolor="#0d1117"' in Path("a.dot").read_text(encoding="utf-8")
    assert nested("render", "outer", "--theme", "sepia", "-o", "a.dot").exit_code == 2


@pytest.mark.parametrize("option", [["--fold", "0"], ["--theme", "dark"], ["--detail", "brief"]])
def test_charts_have_neither(option: list[str], nested: Invoke) -> None:
    """Charts refuse the options, and nothing is drawn."""
    found = nested("render", "r", "--timeline", *option, "-o", "a.txt")
    assert found.exit_code == 2
    assert "--fold, --theme and --detail are for the picture of a graph" in found.stderr
    assert not Path("a.txt").exists()
