"""What a picture of a graph says, whatever the format."""

from typing import Any

import pytest

from graphengine.engine.graph_spec import EdgeSpec
from graphengine.render.drawing import drawing_of
from graphengine.render.files import RenderError
from graphengine.render.parts import Arrow, Box, Drawing
from tests.render.samples import chain, edge, graph_spec, node


def words(element: Box | Arrow) -> list[str]:
    """The lines of a box or an arrow."""
    return [line.text for line in element.lines]


def labels_of(drawing: Drawing) -> list[str]:
    """Return the words next to each arrow, in declared order."""
    return [" / ".join(words(arrow)) for arrow in drawing.arrows]


def test_failure_edges_are_numbered_separately() -> None:
    """Several edges after failure are numbered among themselves."""
    edges = [
        edge("START", "a"),
        edge("a", "END", "failed with KeyError", failure=True),
        edge("a", "END"),
        edge("a", "FAIL", "failed with Exception", failure=True),
    ]
    drawing = drawing_of(graph_spec([node("a")], edges))
    assert labels_of(drawing)[1:] == ["1. failed with KeyError", "", "2. any failure"]
    assert [arrow.failure for arrow in drawing.arrows] == [False, True, False, True]


def test_a_switch_among_other_edges_has_one_number() -> None:
    """All arrows of a switch share its number, and the next edge has the next number."""
    switch: EdgeSpec = {"from": "a", "on": "x", "cases": {"1": "END", "2": "FAIL"}, "otherwise": None}
    drawing = drawing_of(
        graph_spec([node("a")], [edge("START", "a"), edge("a", "a", "x < 1"), switch, edge("a", "END")])
    )
    assert labels_of(drawing)[1:] == ["1. x < 1", "2. x is 1 / 3. otherwise", "2. x is 2"]


def test_an_otherwise_with_the_target_of_a_case_is_shown() -> None:
    """An arrow for both a case and the otherwise shows both."""
    switch: EdgeSpec = {"from": "a", "on": "x", "cases": {"1": "END", "2": "FAIL"}, "otherwise": "END"}
    assert labels_of(drawing_of(graph_spec([node("a")], [edge("START", "a"), switch])))[1:] == [
        "x is 1, or otherwise",
        "x is 2",
    ]


def test_many_nodes_that_lead_to_end_have_separate_ends() -> None:
    """Up to four nodes share END; with more, each has its own, so that no arrow crosses the picture."""
    few = [edge("START", "a"), *(edge(name, "END") for name in "abcd")]
    shared = drawing_of(graph_spec([node(name) for name in "abcd"], few))
    assert [box.shape for box in shared.boxes].count("end") == 1
    many = drawing_of(graph_spec([node(name) for name in "abcde"], [*few, edge("e", "END"), edge("e", "END", "x")]))
    assert [box.shape for box in many.boxes].count("end") == 5
    assert len({arrow.target for arrow in many.arrows if arrow.target != many.arrows[0].target}) == 5


def test_arrows_that_close_a_loop_are_recognised() -> None:
    """An edge back to an ancestor, or to the node itself, closes a loop; one to a node merely seen before does not."""
    edges = [edge("START", "a"), edge("a", "b"), edge("a", "c"), edge("b", "c"), edge("c", "a"), edge("b", "b")]
    drawing = drawing_of(graph_spec([node(name) for name in "abc"], edges))
    assert [arrow.back for arrow in drawing.arrows] == [False, False, False, False, True, True]


def test_a_graph_of_any_depth_is_drawn() -> None:
    """A chain longer than Python's stack is drawn."""
    assert len(drawing_of(chain(1500)).boxes) > 1500


def test_a_node_that_only_edges_name_is_drawn() -> None:
    """A graph spec from a newer version loses nothing."""
    assert words(drawing_of(graph_spec([], [edge("START", "ghost")])).boxes[1]) == ["ghost", "unknown node"]


@pytest.mark.parametrize("broken", [{}, {"nodes": 3}, {"nodes": [{}]}, {"nodes": [], "ways": [{"from": "a"}]}])
def test_an_invalid_outline_is_refused(broken: Any) -> None:
    """A mapping that describes no graph raises one of the package's errors."""
    with pytest.raises(RenderError, match="is not the spec of a graph"):
        drawing_of(broken)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, ["n", "function"]),
        ({"kind": "agent", "title": "Ask"}, ["Ask", "n · agent"]),
        ({"title": "  \n"}, ["n", "function"]),
        ({"writes": ["a"]}, ["n", "function", "writes a"]),
        ({"writes": ["a", "b"]}, ["n", "function", "may write every field"]),
        ({"writes": ["c", "d", "e", "f", "g"]}, ["n", "function", "writes c, d, e and 2 more"]),
        ({"attempts": 3}, ["n", "function", "3 attempts"]),
        ({"attempts": 1}, ["n", "function"]),
        ({"fallback": True}, ["n", "function", "a fallback if it fails"]),
        ({"attempts": 3, "fallback": True}, ["n", "function", "3 attempts, then a fallback"]),
        ({"kind": "choose", "choices": ["x", "y"]}, ["n", "choose", "one of x, y"]),
        ({"kind": "choose", "choices": ["x"], "on": "kind"}, ["n", "choose", "one of x by kind"]),
        ({"kind": "ask", "question": "Really {x}?"}, ["n", "question", "asks: Really {x}?"]),
        ({"kind": "ask", "timeout_seconds": 7200.0}, ["n", "question", "waits 2 hours at most"]),
        ({"each": {"item": "items"}}, ["n", "function", "for each item of items"]),
        ({"each": {"a": "as", "b": "bs"}}, ["n", "function", "for each a of as and b of bs"]),
        ({"effect": "once"}, ["n", "function", "is never repeated without", "knowing"]),
    ],
)
def test_a_box_describes_its_node(facts: dict[str, Any], said: list[str]) -> None:
    """A box has the title, the kind, what it writes and its failure handling; the name if the title differs."""
    box = drawing_of(graph_spec([node("n", **facts)], [])).boxes[0]
    assert words(box) == said
