"""Graphs inside graphs at compile time. What is refused is in the pages of this folder."""

import pytest

from graphengine import (
    END,
    START,
    CompileError,
    Graph,
)
from tests.compile.test_nested import State, inner, words


def test_a_graph_with_problems_inside_does_not_compile() -> None:
    """The error's text contains all of them."""
    below = inner(result="drft")
    below.add_node("lost", words, writes="task")
    graph = Graph("g", State)
    graph.add_node("b", below, writes="task")
    graph.add_path(START, "b", END)
    with pytest.raises(CompileError) as caught:
        graph.compile()
    assert {problem.where for problem in caught.value.problems} == {"node b: node lost", "node b: result="}
    assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
