"""The testing kit is typed: mypy --strict and pyright's strict mode both read this file."""

from collections.abc import Mapping, Sequence
from typing import Any, assert_type

import pytest
from pydantic import BaseModel

from graphengine import END, START, Ending, Graph, GraphEngineError, ScriptedModel, Usage, Wait, value
from graphengine.testing import (
    NO_ANSWER,
    Done,
    EdgeCoverage,
    EdgeTaken,
    Ended,
    FakeClock,
    Items,
    Visit,
    Visits,
    Walked,
    run_node,
    walk,
)


class Review(BaseModel):
    score: int = 0


class Article(BaseModel):
    task: str
    review: Review | None = None


async def judge(task: str) -> Review:
    """Judge by length."""
    return Review(score=len(task))


def graph() -> Graph[Article]:
    """Return a graph with one node and two edges."""
    made = Graph("article", Article)
    made.add_node("review", judge, writes="review")
    made.add_edge(START, "review")
    made.add_edge("review", END, when=value("review.score") >= 3)
    made.add_edge("review", "review")
    return made


async def test_types_of_a_node_run_alone() -> None:
    """Its state is the graph's; its writes can have any type."""
    done = await run_node(graph(), "review", {"task": "bread"}, models=ScriptedModel([]), clock=FakeClock())

    assert_type(done, Done[Article])
    assert_type(done.state, Article)
    assert_type(done.update, Mapping[str, Any])
    assert_type(done.usage, Usage)
    assert_type(done.waits, Sequence[Wait])
    assert_type(done.edge, EdgeTaken | None)
    assert_type(done.prompts, Sequence[str])
    assert done.update["review"].score == 5
    again = await run_node(graph(), "review", Article(task="b"), answers={"review": NO_ANSWER})
    assert again.result == Review(score=1)


async def test_types_of_a_walk() -> None:
    """Stubs of every kind are typed where they are written and where they are stored."""
    nodes: dict[str, Visits] = {"review": [{"review": {"score": 1}}, lambda: {"review": Review(score=3)}]}
    walked = await walk(graph(), nodes, Article(task="bread"))

    assert_type(walked, Walked[Article])
    assert_type(walked.state, Article)
    assert_type(walked.ending, Ending | None)
    assert_type(walked.visits, Sequence[Visit])
    assert_type(walked.why, Sequence[str])
    walked.assert_path("review review END")
    written = await walk(graph(), {"review": {"review": Review(score=4)}}, task="t")
    failed = await walk(graph(), {"review": [ValueError("no")]}, task="t")
    mixed = {"review": [{"review": {"score": 1}}, ValueError("no")], "other": {"n": 1}}
    with pytest.raises(GraphEngineError, match="other"):
        await walk(graph(), mixed, task="t")  # mypy infers dict[str, Collection[object]]
    kinds: list[Visits] = [None, ValueError, Items([None, {"review": None}]), Ended("done", {"review": None})]
    assert (written.status, failed.status, len(kinds)) == ("finished", "failed", 4)


async def test_types_of_edge_coverage() -> None:
    """A share, and the share of each graph."""
    with EdgeCoverage(graph(), "other") as coverage:
        assert_type(coverage, EdgeCoverage)
    assert_type(coverage.percent, float)
    assert_type(coverage.graphs, Mapping[str, float])
    assert_type(coverage.report(), str)
