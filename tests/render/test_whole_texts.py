"""Titles of 85 and conditions of 120 characters are whole in files: nothing shows there what was cut."""

import shutil
from collections.abc import Sequence
from io import BytesIO

import pytest
from pydantic import BaseModel
from pypdf import PdfReader

from graphengine import END, START, Graph, value
from graphengine.render.dot import dot_text
from graphengine.render.drawing import draw_graph
from graphengine.render.files import pdf_of
from graphengine.render.layout import layout
from graphengine.render.metrics import line_width
from graphengine.render.parts import Line
from graphengine.render.svg import svg_of

TITLES = (
    "A title of eighty-five characters that nobody would shorten since all of it is needed",
    "Collect representative counterexamples, contradictory observations and unknown states",
)
NUMBERS = (10001, 200002, 300003, 400004, 500005, 600006, 700007)


class State(BaseModel):
    number: int = 0


def titled(title: str) -> Graph[State]:
    """Return a graph with such a title on a node, as a label, and on the graph inside, and a condition of 120."""
    graph = Graph("long", State)
    first, second, third, fourth, fifth = (value("number") != each for each in NUMBERS[:5])
    condition = (value("number") >= 100) & first & second & third & fourth & fifth
    inner = Graph("inner", State, result="number")
    inner.add_node("one", lambda number: number, writes="number", thread=False, title=title)
    inner.add_path(START, "one", END)
    graph.add_node("a", lambda number: number, writes="number", thread=False, title=title)
    graph.add_node("b", inner, writes="number", title=title)
    graph.add_edge(START, "a")
    graph.add_edge("a", "b", when=condition, label=title)
    graph.add_edge("a", END)
    graph.add_edge("b", END)
    return graph


def said(lines: Sequence[Line], weight: str) -> str:
    """Return the words of the lines of one weight."""
    return " ".join(line.text for line in lines if line.weight == weight)


@pytest.mark.skipif(shutil.which("dot") is None, reason="a PDF is painted by Graphviz, which is not installed")
@pytest.mark.parametrize("title", TITLES)
def test_long_texts_are_whole_in_a_pdf(title: str) -> None:
    """As they can be copied out of it: the title of both boxes, of the graph and of the edge, and its condition."""
    pdf = pdf_of(dot_text(draw_graph(titled(title).compile().graph_spec)))
    words = " ".join(" ".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages).split())
    assert words.count(title) == 4
    assert "number >= 100 and " + " and ".join(f"number != {each}" for each in NUMBERS[:5]) in words
    assert "…" not in words


@pytest.mark.parametrize("title", TITLES)
def test_long_texts_are_whole(title: str) -> None:
    """Every word is drawn, and in its box: in an SVG, of which a PNG is made, and in DOT, of which a PDF is made."""
    assert len(title) == 85
    drawing = draw_graph(titled(title).compile().graph_spec)
    boxes = [part for part in (*drawing.boxes, *drawing.clusters) if part.lines and part.lines[0].weight == "strong"]
    long = [part for part in boxes if said(part.lines, "strong") == title]
    arrow = next(each for each in drawing.arrows if each.lines and each.lines[0].weight == "strong")
    condition = said(arrow.lines, "normal")
    assert len(long) == 3
    assert said(arrow.lines, "strong") == f"1. {title}"
    assert len(condition) >= 115
    assert all(f"number != {each}" in condition for each in NUMBERS[:5])
    rects = layout(drawing).rects
    parts = [(part.id, part.lines) for part in long] + [(arrow.id, arrow.lines)]
    for name, lines in parts:
        assert all(line_width(line) <= rects[name].wide for line in lines)
    for text in (svg_of(drawing, "light"), dot_text(drawing)):
        for line in (line for _, lines in parts for line in lines):
            assert line.text.replace(">", "&gt;") in text
        assert "…" not in text
