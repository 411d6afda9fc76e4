"""Durations of steps on the command line."""

from pathlib import Path

from tests.cli.programs import ASKING, Invoke

NESTED = """
from pydantic import BaseModel
from graphengine import END, START, Graph, value

class Piece(BaseModel):
    rounds: int = 0

inner = Graph("inner", Piece, result="rounds")
inner.add_node("write", lambda rounds: rounds + 1, writes="rounds", thread=False)
inner.add_edge(START, "write")
inner.add_edge("write", END, when=value("rounds") >= 3, label="good")
inner.add_edge("write", "write")

class News(BaseModel):
    total: int = 0

graph = Graph("news", News)
graph.add_node("review", inner, writes="total")
graph.add_path(START, "review", END)
"""


def test_a_nested_graph_that_is_resumed_is_not_shown_as_started(project: Path, invoke: Invoke) -> None:
    """Its end is shown without a start just before it, and without an unmeasured duration."""
    (project / "flows" / "news.py").write_text(NESTED)
    first = invoke("run", "news", "--run-id", "n", "--limit", "visits=2")
    assert "started  review (visit 1)" in first.stderr.splitlines()
    lines = invoke("resume", "n", "--limit", "visits=9").stderr.splitlines()
    assert "done     review (visit 1, ended [good]) -> END" in lines
    assert [line for line in lines if line.startswith("started")] == ["started  review/write (visit 3)"]
    whole = invoke("run", "news").stderr.splitlines()
    assert [line for line in whole if line.startswith("started  review (")] == ["started  review (visit 1)"]
    assert any(line.startswith("done     review (visit 1, ended [good]) in ") for line in whole)


def test_an_answer_shows_how_long_the_question_was_open(project: Path, invoke: Invoke) -> None:
    """`took` is left empty, and the single step shows when the question was asked."""
    (project / "asking.py").write_text(ASKING.replace("TYPE", "bool"))
    invoke("run", "asking.py", "--run-id", "a")
    live = invoke("answer", "a", "yes", "--graph", "asking.py").stderr
    assert "done     question (visit 1): answered after " in live
    (row,) = [line for line in invoke("show", "a").stdout.splitlines() if "END" in line]
    assert row.split()[1:] == ["question", "1", "END"]
    seq = row.split()[0]
    step = invoke("show", "a", "--step", seq).stdout
    assert ", asked " in step
    assert "took" not in step
