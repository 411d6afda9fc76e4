"""Graphs inside a graph drawn as one box."""

from typing import Any

import pytest

from graphengine.render import RenderError
from graphengine.render.drawing import drawing_of
from graphengine.render.parts import Box, Drawing
from tests.render.nested import asking_run, company, graph_spec_of, newsroom, tree


def box(drawing: Drawing, name: str) -> Box:
    """The box that others call by this name."""
    return next(box for box in drawing.boxes if box.name == name)


def words(drawing: Drawing, name: str) -> list[str]:
    """The notes of a box, a line each."""
    return [line.text for line in box(drawing, name).lines]


def test_a_folded_graph_is_one_box_with_a_summary() -> None:
    """Its kind, how many nodes, which, and its ends; the arrows lead to the box, and no cluster is left."""
    drawing = drawing_of(graph_spec_of(newsroom()), fold=0)
    assert not drawing.clusters
    assert box(drawing, "articles").shape == "graph"
    assert box(drawing, "articles").many
    assert words(drawing, "articles") == [
        "articles",
        "graph article",
        "4 nodes inside: search,",
        "read, write and 1 more",
        "ends: approved, out of",
        "iterations",
        "for each item of topics",
        "writes articles",
    ]
    assert not [arrow for arrow in drawing.arrows if arrow.head or arrow.tail]


def test_a_depth_folds_the_graphs_at_that_depth() -> None:
    """Depth 1 leaves the first nested graph open, folds those in it, and counts all their nodes."""
    graph_spec = graph_spec_of(tree(4, 2))
    assert [cluster.depth for cluster in drawing_of(graph_spec, fold=1).clusters] == [0]
    assert [cluster.depth for cluster in drawing_of(graph_spec, fold=2).clusters] == [0, 1]
    assert words(drawing_of(graph_spec, fold=1), "inner/inner")[2:5] == [
        "3 nodes inside, 5 with those",
        "in them: step_2_0, step_2_1,",
        "inner",
    ]


def test_a_path_folds_one_graph() -> None:
    """Others stay open; a node that chooses between graphs is one box, too."""
    deep = drawing_of(graph_spec_of(tree(3, 2)), fold=["inner/inner"])
    assert [cluster.name for cluster in deep.clusters] == ["inner"]
    several = drawing_of(graph_spec_of(company()), fold="team")
    assert not several.clusters
    assert words(several, "team")[:5] == [
        "team",
        "choose",
        "5 nodes inside: find, argue,",
        "one and 2 more",
        "ends: done",
    ]


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ("artcles", r"no graph at 'artcles'.*did you mean 'articles'"),
        (["plan"], r"no graph at 'plan'.*graphs inside are: articles"),
        (-1, r"fold=-1 is not a depth"),
    ],
)
def test_an_invalid_fold_is_refused(fold: Any, message: str) -> None:
    """The error names the nearest path, or lists all."""
    with pytest.raises(RenderError, match=rf"(?s){message}"):
        drawing_of(graph_spec_of(newsroom()), fold=fold)


def test_folding_a_graph_without_nested_graphs_is_refused() -> None:
    """The error says that there is nothing to fold."""
    inner = graph_spec_of(tree(1, 2))
    assert drawing_of(inner, fold=0) == drawing_of(inner)
    with pytest.raises(RenderError, match="this graph has no graphs inside"):
        drawing_of(inner, fold="x")


async def test_a_run_in_a_folded_graph_is_shown_at_its_box() -> None:
    """A node that waits inside marks the box, which also has its visits and time."""
    graph, steps = await asking_run()
    drawing = drawing_of(graph.compile().graph_spec, steps, fold=0)
    assert box(drawing, "articles").tone == "waiting"
    assert words(drawing, "articles")[-3:] == ["1 of 3 done", "write: 2 wait, one of them:", "What of tides?"]
