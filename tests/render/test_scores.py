"""Scores over iterations: lines, points and scales. What they say is in `drawings/scores.txt`."""

from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, value
from graphengine.engine.graph_spec import GraphSpec
from graphengine.engine.steps import Step
from graphengine.render.charts import scores
from graphengine.testing import FakeClock
from tests.kit.facts import altered
from tests.render.samples import done, edge, graph_spec, node, started
from tests.render.timed import BEGAN, history_of, paper_run


class Text(BaseModel):
    score: int = 0


async def steps_of(graph: Graph[Any], state: BaseModel) -> list[Step]:
    """Return the steps of a run with a fake clock."""
    return await history_of(graph, state, FakeClock(BEGAN))


async def test_the_axis_and_the_threshold_have_their_words() -> None:
    """The axis names the node that is visited, a threshold the label that it leads to."""
    graph, steps = await paper_run()
    svg = scores(graph.compile().graph_spec, steps).svg()
    assert "visit of review" in svg
    assert "\N{GREATER-THAN OR EQUAL TO} 7 approved" in svg


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
        **graph_spec([node("a")], [edge("START", "a"), edge("a", "END", value("n") >= 3)]),
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
