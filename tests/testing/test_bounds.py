"""The most that a run can take, and what recorded runs took."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Limits, Retry, Runner, iterations, value
from graphengine.errors import InputError
from graphengine.models import Settings
from graphengine.testing import bounds, forecast

PRICED = "anthropic:claude-haiku-5-5"


class Draft(BaseModel):
    """A text with its score."""

    text: str = ""
    score: int = 0
    items: list[str] = []


def loop(**options: object) -> Graph[Draft]:
    """Return a loop of writing and judging, of three rounds at most."""
    graph = Graph("loop", Draft, **options)  # type: ignore[arg-type]
    writer = Agent("writer", prompt="Write", settings=Settings(max_tokens=100), output_retries=1)
    graph.add_node("write", writer, writes="text", retry=Retry(attempts=2))
    graph.add_node("judge", lambda score: score + 1, writes="score")
    graph.add_path(START, "write", "judge")
    graph.add_edge("judge", END, when=value("score") >= 7, label="good")
    graph.add_edge("judge", END, when=iterations("judge") >= 3, label="enough")
    graph.add_edge("judge", "write")
    return graph


async def test_counted_rounds_bound_visits_calls_and_tokens() -> None:
    """Three rounds of two attempts with two answers each are twelve calls of 100 tokens."""
    found = await bounds(loop())
    assert {node.path: (node.visits, node.calls) for node in found.nodes} == {"write": (3, 12), "judge": (3, 0)}
    assert (found.visits, found.calls, found.output_tokens, found.cost_usd) == (6, 12, 1200, None)
    assert found.never == []


async def test_prices_are_those_of_the_models_of_the_run() -> None:
    """A model for the agent, by its name or path, gives a cost; rules cost nothing, and an unknown price stays so."""
    costs = [
        (await bounds(loop(), models)).cost_usd for models in ({"writer": PRICED}, {"write": "rules"}, "rules", None)
    ]
    assert costs[0] is not None
    assert costs[0] > 0
    assert costs[1:] == [0, 0, None]
    with pytest.raises(InputError, match="unknown agent 'wirter'"):
        await bounds(loop(), {"wirter": PRICED})


async def test_what_nothing_bounds_is_named() -> None:
    """A loop that a score alone ends has the limit of the run, or no bound at all."""
    graph = Graph("open", Draft, limits=Limits(visits=40))
    graph.add_node("judge", lambda score: score + 1, writes="score")
    graph.add_edge(START, "judge")
    graph.add_edge("judge", END, when=value("score") >= 7)
    graph.add_edge("judge", "judge")
    (node,) = (await bounds(graph)).nodes
    assert (node.visits, node.by) == (40, "the limit of 40 visits")
    found = await bounds(graph.but(limits=Limits(visits=None)))
    assert [found.visits, *((each.path, each.visits, each.by) for each in found.nodes)] == [
        None,
        ("judge", None, "nothing: a loop leads back to it"),
    ]


async def test_an_edge_that_no_run_takes_is_listed_with_the_reason() -> None:
    """What scores 7 or more has left before."""
    graph = Graph("dead", Draft)
    graph.add_node("judge", lambda score: score, writes="score")
    graph.add_node("praise", lambda text: text, writes="text")
    graph.add_edge(START, "judge")
    graph.add_edge("judge", END, when=value("score") >= 7)
    graph.add_edge("judge", "praise", when=value("score") >= 9)
    graph.add_edge("judge", END)
    graph.add_edge("praise", END)
    found = await bounds(graph)
    assert [(edge.source, edge.target, edge.why) for edge in found.never] == [
        ("judge", "praise", "'score >= 9' never leads there"),
        ("praise", "END", "no run comes to praise"),
    ]


async def test_a_graph_inside_and_the_items_of_a_list_multiply() -> None:
    """Inside a node that is entered twice every node counts twice; of a list's items nothing is known."""
    inner = Graph("inner", Draft)
    inner.add_node("one", lambda text: text, writes="text")
    inner.add_path(START, "one", END)
    graph = Graph("outer", Draft)
    graph.add_node("sub", inner, writes={"text": "text"})
    graph.add_node("each", lambda item: item, each={"item": "items"}, writes="items")
    graph.add_path(START, "sub", "each")
    graph.add_edge("each", "sub", when=iterations("each") < 2)
    graph.add_edge("each", END)
    found = {node.path: node for node in (await bounds(graph)).nodes}
    assert (found["sub"].visits, found["sub/one"].visits, found["each"].visits) == (2, 2, 2)
    assert (await bounds(graph)).visits == sum(node.visits or 0 for node in found.values()) == 6
    assert found["each"].by == "its conditions; once for each item of items"


async def test_a_forecast_rests_on_five_runs_or_more(tmp_path: Path) -> None:
    """With fewer it says how many there are; with enough it has quantiles and shares."""
    graph = Graph("short", Draft)
    graph.add_node("judge", lambda score: score, writes="score")
    graph.add_edge(START, "judge")
    graph.add_edge("judge", END, when=value("score") >= 7, label="good")
    graph.add_edge("judge", END)
    store = tmp_path / "runs.db"
    async with Runner(store) as runner:
        for score in range(4, 8):
            await runner.start(graph, {"score": score}).result()
        with pytest.raises(InputError, match="4 runs of short have ended, and a forecast needs 5"):
            await forecast(graph, store)
        await runner.start(graph, {"score": 9}).result()
        await runner.start(graph, {"score": 9}, tags=["whatif:other"]).result()
    found = await forecast(graph, store)
    assert (found.runs, found.visits, found.unknown_costs) == (5, 5, 0)
    assert found.endings["finished: good"] == pytest.approx(0.4)
    assert found.cost_usd == {"p50": 0, "p90": 0, "p99": 0}
