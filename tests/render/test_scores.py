"""Scores over iterations: which numbers are drawn, and the errors if there are none."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, iterations, plateau, value
from graphengine.engine.graph_spec import GraphSpec
from graphengine.engine.steps import Step
from graphengine.reducers import append
from graphengine.render.charts import RenderError, scores
from graphengine.render.charts.scores import Threshold, Watched, series_of, watched_of
from graphengine.testing import FakeClock
from tests.kit.facts import altered, made_step
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


async def test_fields_of_conditions_are_drawn() -> None:
    """Thresholds with the labels they lead to, and plateaus; counts and costs are not fields."""
    graph, _ = await paper_run()
    label = "watched for a plateau: no longer improving"
    assert watched_of(graph.compile().graph_spec) == [
        Watched((), "history[-1].score", (Threshold(">=", 7.0, "approved"),), label)
    ]


async def test_each_step_that_writes_the_field_is_a_sample() -> None:
    """The iterations are named by node and visit; the beginning is not an iteration."""
    graph, steps = await paper_run()
    _, (series,) = series_of(steps, watched_of(graph.compile().graph_spec))
    assert [(s.node, s.visit, s.value) for s in series.samples] == [
        ("review", 1, 4),
        ("review", 2, 5.5),
        ("review", 3, 7.5),
    ]
    chart = scores(graph.compile().graph_spec, steps)
    assert "history[-1].score: review 1: 4, review 2: 5.5, review 3: 7.5" in chart.spoken
    assert "visit of review" in chart.svg()
    assert "\N{GREATER-THAN OR EQUAL TO} 7 approved" in chart.svg()


async def test_the_plateau_of_a_function_is_read_from_the_marks() -> None:
    """No code is called: what the run sampled is in its log."""
    graph = drafts()
    graph_spec = graph.compile().graph_spec
    steps = await steps_of(graph, Text())
    found = {
        series.watched.text: [s.value for s in series.samples] for series in series_of(steps, watched_of(graph_spec))[1]
    }
    assert found == {"score": [3, 5, 7], "length": [-3, -5, -7]}
    assert watched_of(graph_spec)[1].plateau == "watched for a plateau of 5: worse"


async def test_a_path_can_lead_into_dicts_and_lists() -> None:
    """Into dicts and lists, as paths of conditions do."""
    graph = drafts()
    chart = scores(graph.compile().graph_spec, await steps_of(graph, Text()), "words.n")
    assert "words.n: write 1: 0, write 2: 30, write 3: 50" in chart.spoken


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


REFUSED = [
    ("scor", "no field 'scor'", "did you mean 'score'"),
    ("score/x", "no node 'score' is a graph", "none of its nodes is one"),
    ("pie/score", "no node 'pie' is a graph", "none of its nodes is one"),
    ("two words", "is not a path", "write a field"),
    ("names", "no step of the run wrote a number at names", "did you mean|known:"),
    ("words.m", "no step of the run wrote a number at words.m", "did you mean 'words.n'"),
]


@pytest.mark.parametrize(("path", "message", "repair"), REFUSED)
async def test_a_path_without_numbers_is_an_error(path: str, message: str, repair: str) -> None:
    """The error has the problem and the paths that exist."""
    graph = drafts()
    steps = await steps_of(graph, Text())
    with pytest.raises(RenderError, match=message) as caught:
        scores(graph.compile().graph_spec, steps, path)
    assert any(words in caught.value.repair for words in repair.split("|"))


def test_a_graph_without_numbers_in_its_conditions_asks_for_a_path() -> None:
    """The error names the option and the fields."""
    plain: GraphSpec = {
        **graph_spec([node("a")], [edge("START", "a"), edge("a", "END", "iterations of a >= 3")]),
        "state": {"n": "int"},
    }
    with pytest.raises(RenderError, match="no condition of the graph compares") as caught:
        scores(plain, [started("a")])
    assert "--scores" in caught.value.repair
    assert "n" in caught.value.repair


async def test_a_number_that_was_never_written_is_not_suggested() -> None:
    """The error suggests other numbers than one that the run only started with."""
    graph = Graph("plain", Text)
    graph.add_path(START, END)
    steps = await steps_of(graph, Text(score=3))
    with pytest.raises(RenderError, match="no step of the run wrote a number at score") as caught:
        scores(graph.compile().graph_spec, steps, "score")
    assert "'score'" not in caught.value.repair


def test_a_run_without_numbers_is_an_error() -> None:
    """One step alone has no score."""
    loop: GraphSpec = {
        **graph_spec([node("a")], [edge("START", "a"), edge("a", "END", "n >= 3")]),
        "state": {"n": "int"},
    }
    with pytest.raises(RenderError, match="no step of the run wrote a number at n") as caught:
        scores(loop, [started("a")])
    assert "its state has none" in caught.value.repair
    with pytest.raises(RenderError, match="do not make a run"):
        scores(loop, [done(2, "a", "END")])


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


def test_paths_that_do_not_fit_are_listed() -> None:
    """Six are drawn, the rest is named."""
    names = [f"n{number}" for number in range(8)]
    edges = [edge("START", "a"), *(edge("a", "END", f"{name} >= 3") for name in names)]
    loop: GraphSpec = {**graph_spec([node("a")], edges), "state": dict.fromkeys(names, "int")}
    step = altered(done(2, "a", "END"), update=[["set", name, 1] for name in names])
    chart = scores(loop, [started("a"), step])
    assert "not drawn: n6, n7; name one to see it" in chart.spoken


async def test_an_arm_is_a_sample_and_its_join_is_not() -> None:
    """An arm's value is written again at the join, which is not an iteration."""
    graph = Graph("arms", Text)
    graph.add_node("rate", lambda: 4, writes="score", thread=False)
    graph.add_node("pay", lambda: 0.5, writes="cost", thread=False)
    graph.add_node("end", lambda score: score + 1, writes="score", thread=False)
    graph.add_fork(START, ["rate", "pay"], join="end")
    graph.add_edge("rate", "end")
    graph.add_edge("pay", "end")
    graph.add_edge("end", END)
    chart = scores(graph.compile().graph_spec, await steps_of(graph, Text()), "score")
    assert "score: rate 1: 4, end 1: 5" in chart.spoken


async def test_numbers_continue_under_the_new_name_of_a_node() -> None:
    """A graph that was changed meanwhile renames the graph inside whose state is drawn."""
    inner = drafts("inner")
    graph = Graph("outer", Text)
    graph.add_node("piece", inner, writes="score")
    graph.add_path(START, "piece", END)
    steps = await steps_of(graph, Text())
    graph_spec_now = graph.compile().graph_spec
    half = next(step.seq for step in steps if step.node == "rate")
    back = {"limits": {}, "fingerprint": "f", "renamed": {"": {"piece": "part"}}}
    resumed = made_step(half + 1, "resumed", steps[half].at, data=back)
    later = [
        altered(
            step,
            seq=step.seq + 1,
            frame=step.frame.replace("piece", "part"),
            node="part" if step.node == "piece" else step.node,
        )
        for step in steps[half:]
    ]
    renamed: GraphSpec = {**graph_spec_now, "nodes": [{**graph_spec_now["nodes"][0], "name": "part"}]}
    renamed["ways"] = [edge("START", "part"), edge("part", "END")]
    chart = scores(renamed, [*steps[:half], resumed, *later], "part/score")
    assert "part/score of part: piece/rate 1: 3, part/rate 2: 5, part/rate 3: 7" in chart.spoken


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
