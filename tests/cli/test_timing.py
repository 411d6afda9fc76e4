"""How long steps took, as the command line tells it."""

from pathlib import Path

from graphengine.history.timing import Stopwatch
from tests.cli.programs import ASKING, Invoke
from tests.kit.facts import made_step

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


def test_time_in_a_stop_is_not_counted() -> None:
    """A graph that was entered at 10, stopped at 12, resumed at 100 and ended at 103 took five seconds."""
    watch = Stopwatch()
    steps = [
        made_step(1, "started", 9.0),
        made_step(2, "entered", 10.0, "", "review", 1, 1),
        made_step(3, "stopped", 12.0),
        made_step(4, "resumed", 100.0),
        made_step(5, "node", 102.0, "review/", "write", 1, 1, 101.0),
        made_step(6, "node", 103.0, "", "review", 1, 1),
    ]
    for step in steps:
        watch.see(step)
    assert [watch.took(step) for step in steps[4:]] == [1.0, 5.0]
    assert watch.took(steps[0]) is None


def test_time_that_a_whole_run_waits_is_not_counted() -> None:
    """A map whose items were under way while the run slept took only what it was driven."""
    watch = Stopwatch()
    watch.see(made_step(1, "started", 1.0))
    watch.see(made_step(2, "waiting", 2.0, "m[0]", "m", 1, 1, 1.5))
    watch.see(made_step(3, "answered", 50.0, "m[0]", "m", 1, 1), was_idle=True)
    mapped = made_step(4, "node", 51.0, "", "m", 1, 1, 1.0)
    watch.see(mapped)
    assert watch.took(mapped) == 2.0


def test_a_visit_that_an_answer_ended_took_nothing() -> None:
    """Neither did one that nobody answered; what began before the first step seen is not known."""
    watch = Stopwatch()
    watch.see(made_step(1, "resumed", 20.0))
    by_answer = made_step(2, "node", 30.0, "", "approve", 1, 1, 21.0, data={"by": "answer", "answer": {"value": True}})
    too_late = made_step(3, "failed", 30.0, "", "approve", 1, 1, 21.0, data={"error": {"kind": "wait_timeout"}})
    before = made_step(4, "node", 30.0, "", "m", 1, 1, 3.0)
    assert [watch.took(step) for step in (by_answer, too_late, before)] == [None, None, None]


def test_a_graph_that_is_resumed_inside_is_not_told_to_start(project: Path, invoke: Invoke) -> None:
    """Its end is shown without a start just before it, and without a time that nobody measured."""
    (project / "flows" / "news.py").write_text(NESTED)
    first = invoke("run", "news", "--run-id", "n", "--limit", "steps=2")
    assert "started  review (visit 1)" in first.stderr.splitlines()
    lines = invoke("resume", "n", "--limit", "steps=9").stderr.splitlines()
    assert "done     review (visit 1, ended [good]) -> END" in lines
    assert [line for line in lines if line.startswith("started")] == ["started  review/write (visit 3)"]
    whole = invoke("run", "news").stderr.splitlines()
    assert [line for line in whole if line.startswith("started  review (")] == ["started  review (visit 1)"]
    assert any(line.startswith("done     review (visit 1, ended [good]) in ") for line in whole)


def test_an_answer_tells_how_long_the_question_was_open(project: Path, invoke: Invoke) -> None:
    """`took` is left empty, and the one step has when it was asked."""
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


def test_a_way_without_a_condition_needs_no_explanation(project: Path, invoke: Invoke) -> None:
    """Neither the last line of a run nor its picture says "otherwise" and nothing else."""
    (project / "flows" / "news.py").write_text(NESTED)
    lines = invoke("run", "news", "--run-id", "n").stderr.splitlines()
    assert "finished" in lines
    invoke("render", "n", "-o", "n.txt")
    assert "finished after 4 visits; " in (project / "n.txt").read_text()
