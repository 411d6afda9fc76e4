"""Scores over iterations: lines, points and scales. What they say is in `drawings/scores.txt`."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, iterations, plateau, value
from graphengine.engine.graph_spec import GraphSpec
from graphengine.engine.steps import Step
from graphengine.reducers import append
from graphengine.render.charts import scores
from graphengine.testing import FakeClock
from tests.kit.facts import altered
from tests.render.samples import done, edge, graph_spec, node, started
from tests.render.timed import BEGAN, history_of, paper_run


class Text(BaseModel):
    """A text with numbers."""

    names: list[str] = ["a", "b"]
    score: int = 0
    cost: float = 0.0
    words: dict[str, int] = {}
    marks: Annotated[list[int], append] = []
    done: list[int] = []


def drafts(name: str = "drafts") -> Graph[Text]:
    """A loop that scores 3, 5, 7, …, until 7 is reached or a function's value has not grown."""

    def length(score: int) -> int:
        return -score

    graph = Graph(name, Text, result="score")
    graph.add_node("write", lambda score: score * 10, writes={"words": lambda result: {"n": result}})
    graph.add_node("rate", lambda score: (score or 1) + 2, writes="score")
    graph.add_path(START, "write", "rate")
    graph.add_edge("rate", END, when=(value("score") >= 7) & (iterations("rate") >= 2), label="good")
    graph.add_edge("rate", END, when=plateau(length, patience=5), label="worse")
    graph.add_edge("rate", "write")
    return graph


async def steps_of(graph: Graph[Any], state: BaseModel) -> list[Step]:
    """Return the steps of a run with a fake clock."""
    return await history_of(graph, state, FakeClock(BEGAN))


async def test_the_axis_and_the_threshold_have_their_words() -> None:
    """The axis names the node that is visited, a threshold the label that it leads to."""
    graph, steps = await paper_run()
    svg = scores(graph.compile().graph_spec, steps).svg()
    assert "visit of review" in svg
    assert "\N{GREATER-THAN OR EQUAL TO} 7 approved" in svg


async def test_each_visit_of_a_nested_graph_has_its_own_line() -> None:
    """A map of graphs has one line per item, named by it; the path is found in the graph that has the field."""
    inner = drafts("inner")
    graph = Graph("outer", Text)
    graph.add_node("pieces", inner, each={"name": "names"}, inputs={}, writes="done")
    graph.add_path(START, "pieces", END)
    steps = await steps_of(graph, Text())
    for path in ("", "pieces/score"):
        chart = scores(graph.compile().graph_spec, steps, path)
        lines = [words for words in chart.spoken if words.startswith("pieces/score of ")]
        named = sorted(words.split(":")[0] for words in lines)  # items that run in parallel end in any order
        assert named == ["pieces/score of pieces[0]", "pieces/score of pieces[1]"]


def numbered(values: list[float]) -> list[Step]:
    """Return a run that wrote these numbers."""
    steps = [started("a")]
    for visit, number in enumerate(values, 1):
        steps.append(altered(done(visit + 1, "a", "a", visit), update=[["set", "n", number]]))
    return steps


@pytest.mark.parametrize("values", [[5.0], [0.0, 0.0], [1e-9, 2e-9], [-1e12, 1e12], [float(n % 7) for n in range(500)]])
def test_any_numbers_have_a_scale(values: list[float]) -> None:
    """One sample, equal ones, tiny, huge and many; every sample is there."""
    loop: GraphSpec = {
        **graph_spec([node("a")], [edge("START", "a"), edge("a", "END", "n >= 3")]),
        "state": {"n": "int"},
    }
    svg = scores(loop, numbered(values)).svg()
    assert svg.count("<circle") == (len(values) if len(values) <= 240 else 167)
    assert "nan" not in svg
    assert "inf" not in svg


async def test_the_points_of_a_long_run_are_medians_of_neighbours() -> None:
    """A picture of a thousand numbers has at most 240 points, each with the range of its numbers and their steps."""
    graph = Graph("long", Text, limits=Limits(visits=1_000))
    graph.add_node("rate", lambda score: score + 1, writes="score", thread=False)
    graph.add_edge(START, "rate")
    graph.add_edge("rate", END, when=value("score") >= 1_000)
    graph.add_edge("rate", "rate")
    steps = await steps_of(graph, Text())
    chart = scores(graph.compile().graph_spec, steps)
    assert chart.text().count("median") == 200
    assert "rate 6 to rate 10: 6 to 10, median 8" in chart.text()
    assert chart.element().count("<circle") == 200
