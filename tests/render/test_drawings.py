"""What pictures of graphs and runs say. `UPDATE_PAGES=1 pytest tests/render/test_drawings.py` rewrites the pages."""

from pathlib import Path

import pytest

from graphengine.render import render_graph_spec
from graphengine.render.drawing import draw_graph
from tests.kit.expression_page import check_page
from tests.render.nested import graph_spec_of, tree
from tests.render.samples import LOOP, chain, read_xml, review_loop

PAGES = sorted(Path(__file__).parent.glob("drawings/*.txt"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_picture_says_what_its_page_says(path: Path) -> None:
    """Each part of a picture has the words, the arrows and the tone that its page has."""
    check_page(path)


def test_in_brief_text_is_large_and_says_the_same_aloud() -> None:
    """A picture in brief is shown smaller; screen readers get all of it."""
    run = draw_graph(review_loop(), LOOP, detail="brief")
    lines = [line for box in run.boxes for line in box.lines] + [*run.caption, *run.legend]
    assert {line.weight for line in lines} == {"strong", "normal"}
    assert run.spoken == draw_graph(review_loop(), LOOP).spoken


def test_a_graph_of_any_depth_is_drawn() -> None:
    """A chain longer than Python's stack is drawn."""
    assert len(draw_graph(chain(1500)).boxes) > 1500


def test_three_levels_of_sixty_nodes_are_drawn_completely(tmp_path: Path) -> None:
    """Each node is drawn once, each cluster is in its parent, and all are painted."""
    drawing = draw_graph(graph_spec_of(tree(3, 20)))
    named = [box.name for box in drawing.boxes if "step_" in box.name]
    assert len(named) == len(set(named)) == 60
    assert [c.depth for c in drawing.clusters] == [0, 1]
    render_graph_spec(graph_spec_of(tree(3, 20)), tmp_path / "deep.svg")
    root = read_xml((tmp_path / "deep.svg").read_bytes())
    groups = root.findall(".//{http://www.w3.org/2000/svg}g")
    titles = [g.findtext("{http://www.w3.org/2000/svg}title", "") for g in groups if g.get("class") == "node"]
    assert set(titles) >= {box.spoken for box in drawing.boxes}
    assert len([g for g in groups if g.get("class") == "cluster"]) == 2
