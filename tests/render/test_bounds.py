"""Bounds on loops, shown at the node that counts."""

import pytest

from graphengine.engine.graph_spec import EdgeSpec
from graphengine.render.edges import bounds_of, edges_of
from tests.render.samples import edge, graph_spec, node

BEGIN = edge("START", "a")


def bounds(*edges: EdgeSpec) -> dict[str, str]:
    """Return the proven bounds of these nodes."""
    return bounds_of(edges_of(graph_spec([node(name) for name in "abc"], [BEGIN, *edges])))


@pytest.mark.parametrize(
    ("condition", "bound"),
    [
        ("iterations of b >= 3", "3 visits at most"),
        ("iterations of b > 3", "4 visits at most"),
        ("iterations of b >= 1", "1 visit at most"),
        ("x > 1 or iterations of b >= 3", "3 visits at most"),
        ("iterations of b since c >= 3", "3 visits since c at most"),
    ],
)
def test_an_edge_out_after_a_number_of_visits_is_a_bound(condition: str, bound: str) -> None:
    """The edge is then taken whatever else holds, and the loop ends."""
    assert bounds(edge("a", "b"), edge("b", "END", condition), edge("b", "a")) == {"b": bound}


def test_the_lowest_bound_is_shown() -> None:
    """Of two bounds, the one met first is shown."""
    edges = [edge("b", "END", "iterations of b >= 9"), edge("b", "END", "iterations of b >= 4"), edge("b", "a")]
    assert bounds(edge("a", "b"), *edges) == {"b": "4 visits at most"}


@pytest.mark.parametrize(
    "edges",
    [
        [edge("b", "END", "iterations of b >= 3 and x > 1"), edge("b", "a")],
        [edge("b", "END", "not (iterations of b >= 3 or x > 1)"), edge("b", "a")],
        [edge("b", "END", "x == 'y or iterations of b >= 3 or z'"), edge("b", "a")],
        [edge("b", "END", "iterations of a >= 3"), edge("b", "a")],
        [edge("b", "END", "iterations of b since b >= 3"), edge("b", "a")],
        [edge("b", "END", "iterations of b < 3"), edge("b", "a")],
        [edge("b", "a", "x > 1"), edge("b", "END", "iterations of b >= 3"), edge("b", "a")],
        [edge("b", "a", "iterations of b >= 3"), edge("b", "END")],
        [edge("b", "END", "iterations of b >= 3"), edge("b", "a", "failed with E", failure=True), edge("b", "a")],
        [edge("b", "END", "iterations of b >= 3"), edge("b", "END")],
    ],
)
def test_a_bound_that_is_not_certain_is_not_shown(edges: list[EdgeSpec]) -> None:
    """Two combined conditions, another node's count, an earlier edge that loops, no loop at all."""
    assert bounds(edge("a", "b"), *edges) == {}
