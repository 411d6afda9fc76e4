"""The differences between two graph specs, in words."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, FAIL, START, Agent, Graph, ask, value
from graphengine.records.graph_spec_diff import differences
from graphengine.reducers import append


class State(BaseModel):
    kind: str = ""
    log: Annotated[list[str], append] = []


def graph_spec(*, other: bool = False) -> Any:
    """Return the spec of a graph with an agent, a question, a switch and a fork, or of a changed one."""
    graph: Graph[Any] = Graph("g", State)
    graph.add_node("write", Agent("writer", prompt="Of {kind}", system="Be kind." if other else ""), writes="log")
    graph.add_node("pick", ask("Which?", str), writes={"kind": "."})
    graph.add_node("a", lambda kind: kind, writes="log", title="A" if other else "")
    graph.add_node("b", lambda kind: kind, writes="log")
    graph.add_node("merge")
    graph.add_path(START, "write", "pick")
    cases = {"one": "merge", "two": "write"}
    graph.add_switch("pick", "kind", {**cases, "three": "merge"} if other else cases, otherwise=END)
    arms = ["a", ("b", value("kind") == "x")] if other else ["a", "b"]
    graph.add_fork("merge", arms, join=END, need=1 if other else None)  # type: ignore[arg-type]
    for arm in ("a", "b"):
        graph.add_edge(arm, END)
    if other:
        graph.add_edge("write", FAIL, when=value("kind") == "never")
        graph.edges.insert(1, graph.edges.pop())
    return dict(graph.compile().graph_spec)


def test_each_kind_of_change_has_its_line() -> None:
    """Old and new values are given, by node and by edge."""
    assert differences(graph_spec(), graph_spec(other=True)) == [
        "node write: system none → Be kind.",
        "node a: title none → A",
        "edge pick → switch on kind: cases one: merge, two: write → one: merge, two: write, three: merge",
        "edge merge → fork joined at END: arms a, b → a, b when kind == 'x'",
        "edge merge → fork joined at END: need none → 1",
        "edge new: write → FAIL, when kind == 'never'",
    ]


def test_equal_outlines_have_no_differences() -> None:
    """A graph without a recorded graph spec has none either."""
    assert differences(graph_spec(), graph_spec()) == []
    assert differences({}, graph_spec()) == []


@pytest.mark.parametrize("length", [10, 1000])
def test_long_texts_are_cut_around_their_difference(length: int) -> None:
    """Both sides are cut so that the difference is shown."""
    old, new = graph_spec(), graph_spec()
    new["nodes"][0]["details"][""]["prompt"] = "x" * length + "!"
    old["nodes"][0]["details"][""]["prompt"] = "x" * length + "?"
    (line,) = differences(old, new)
    assert "!" in line
    assert "?" in line
    assert len(line) < 220
