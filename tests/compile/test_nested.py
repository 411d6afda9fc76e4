"""Graphs inside graphs at compile time. What is refused is in the pages of this folder."""

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Graph,
    Runner,
    value,
)
from graphengine.compile import compiler as validation


class State(BaseModel):
    task: str = ""
    n: int = 0
    kind: Literal["a", "b"] = "a"


class Inner(BaseModel):
    task: str = ""
    draft: str = ""
    need: int = 0


def words() -> str:
    """Give a text."""
    return ""


def inner(**options: Any) -> Graph[Inner]:
    """Return a sound graph that ends with one of two labels."""
    graph = Graph("inner", Inner, **{"result": "draft", **options})
    graph.add_node("write", words, writes="draft")
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=value("need") > 1, label="approved")
    graph.add_edge("write", END, label="given up")
    return graph


def nested(levels: int) -> Graph[State]:
    """Return so many graphs, one inside the other."""
    graph = Graph("g", State, result="n")
    graph.add_node("a", nested(levels - 1) if levels > 1 else lambda n: n + 1, writes="n")
    graph.add_path(START, "a", END)
    return graph


async def test_a_run_of_the_deepest_nest_is_read_again(tmp_path: Path) -> None:
    """Graphs are nested up to a limit: a run of the deepest nest is recorded and read again."""
    most = validation.MOST_NESTED
    result = await nested(most).run(store=tmp_path / "runs.db")
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.resume(result.run_id, nested(most)).result()).state.n == 1


def test_one_graph_may_be_several_nodes() -> None:
    """Next to each other, and nested in another graph."""
    shared = inner()
    middle = Graph("middle", Inner, result="draft")
    middle.add_node("shared", shared, writes="draft")
    middle.add_path(START, "shared", END)
    graph = Graph("g", State)
    graph.add_node("one", shared, writes="task")
    graph.add_node("two", shared, writes="task")
    graph.add_node("three", middle, writes="task")
    graph.add_path(START, "one", "two", "three", END)
    assert list(graph.check()) == []
    assert sorted(graph.compile().paths()) == ["one", "one/write", "three", "three/shared", "three/shared/write", "two",
                                               "two/write"]  # fmt: skip
    assert [plan.graph for plan in graph.compile().nest] == ["g", "inner", "middle"]


def test_a_graph_used_at_many_places_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each level uses the one below twice: a dozen levels are a dozen graphs to compile, not thousands."""
    compiled: list[str] = []
    plan = validation._Compiler.plan  # noqa: SLF001 - nothing public counts the compilations

    def counted(compiler: Any) -> Any:
        compiled.append(compiler.graph.name)
        return plan(compiler)

    monkeypatch.setattr(validation._Compiler, "plan", counted)  # noqa: SLF001
    below = inner()
    for level in range(12):
        graph = Graph(f"level{level}", Inner, result="draft")
        graph.add_node("left", below, writes="draft")
        graph.add_node("right", below, writes="draft")
        graph.add_path(START, "left", "right", END)
        below = graph
    below.compile()
    assert sorted(compiled) == sorted(["inner", *(f"level{level}" for level in range(12))])
