"""`graphengine render` with folded graphs and themes."""

from pathlib import Path

import pytest

from tests.cli.programs import Invoke
from tests.render.stories import document_of

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


def test_the_steps_of_a_run_are_read_in_parts(nested: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of a long run holds only a part of its steps, and is the same."""
    assert nested("render", "r", "-o", "whole.txt").exit_code == 0
    monkeypatch.setattr("graphengine.cli.render._AT_A_TIME", 2)
    assert nested("render", "r", "-o", "parts.txt").exit_code == 0
    assert Path("parts.txt").read_text(encoding="utf-8") == Path("whole.txt").read_text(encoding="utf-8")


def test_a_run_as_html_is_its_story(nested: Invoke) -> None:
    """Two runs need a file of that kind; a graph as .html stays its picture."""
    assert nested("run", "outer", "--run-id", "s").exit_code == 0
    assert nested("render", "r", "-o", "story.html").exit_code == 0
    (run,) = document_of(Path("story.html").read_text(encoding="utf-8"))["runs"]
    assert run["run_id"] == "r"
    assert nested("render", "r", "s", "-o", "two.html").exit_code == 0
    assert document_of(Path("two.html").read_text(encoding="utf-8"))["compared"]["shared"] is None
    assert "two runs can only be compared in a story" in nested("render", "r", "s", "-o", "two.svg").stderr
    assert nested("render", "outer", "-o", "graph.html").exit_code == 0
    assert "<svg" in Path("graph.html").read_text(encoding="utf-8")
