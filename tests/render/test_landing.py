"""Arrows from one place to several nested graphs: each reaches its cluster from above, not at a corner."""

import re
from xml.etree import ElementTree as ET

import pytest

from graphengine.engine.graph_spec import EdgeSpec, GraphSpec
from graphengine.render.drawing import drawing_of
from graphengine.render.images import image_of, svg_of
from tests.render.nested import company, graph_spec_of
from tests.render.samples import edge, graph_spec, node, own_id, read_xml

SVG = "{http://www.w3.org/2000/svg}"
POINT = re.compile(r"(-?[\d.]+),(-?[\d.]+)")
CORNER = 12
"""Points."""


def fork_of_graphs(count: int) -> GraphSpec:
    """Return a fork with a graph in each of its arms."""
    inner = graph_spec([node("a"), node("b")], [edge("START", "a"), edge("a", "b", "x > 1"), edge("b", "END")], "inner")
    names = [f"arm{index}" for index in range(count)]
    fork: EdgeSpec = {"from": "START", "arms": [{"to": name} for name in names], "join": "join"}
    arms = [node(name, "graph", graphs={"": inner}) for name in names]
    return graph_spec([*arms, node("join")], [fork, *(edge(name, "join") for name in names), edge("join", "END")])


def points(element: ET.Element | None) -> list[tuple[float, float]]:
    """Return the points of a polygon or a path."""
    assert element is not None
    return [(float(x), float(y)) for x, y in POINT.findall(element.get("points") or element.get("d") or "")]


def test_arrows_reach_nested_graphs_from_above() -> None:
    """The tip of each arrow touches the upper border, well away from the corners."""
    drawing = drawing_of(fork_of_graphs(5))
    groups = {own_id(group): group for group in read_xml(svg_of(drawing, "auto")).iter(f"{SVG}g")}
    arrows = [arrow for arrow in drawing.arrows if arrow.head]
    assert len(arrows) == 5
    for arrow in arrows:
        frame = points(groups[arrow.head].find(f"{SVG}polygon"))
        left, right = min(x for x, _ in frame), max(x for x, _ in frame)
        tip = max(points(groups[f"{arrow.id}_end"].find(f"{SVG}polygon")), key=lambda point: point[1])
        assert left + CORNER < tip[0] < right - CORNER
        assert tip[1] == pytest.approx(min(y for _, y in frame), abs=3)


def test_the_halves_of_an_arrow_meet() -> None:
    """If an arrow turns, a segment of its colour fills the gap between its halves."""
    drawing = drawing_of(graph_spec_of(company()))
    groups = {own_id(group): group for group in read_xml(svg_of(drawing, "auto")).iter(f"{SVG}g")}
    turns = [name for name in groups if name and name.endswith("_turn")]
    assert turns
    for turn in turns:
        name = turn.removesuffix("_turn")
        bridge, begun = groups[turn].find(f"{SVG}polygon"), groups[name].find(f"{SVG}path")
        ended = groups[f"{name}_end"].find(f"{SVG}path")
        assert bridge is not None
        assert begun is not None
        assert bridge.get("fill") == begun.get("stroke")
        above, below = min(y for _, y in points(bridge)), max(y for _, y in points(bridge))
        assert above < points(begun)[-1][1] < points(ended)[0][1] < below


def test_graphviz_reports_no_problem(capfd: pytest.CaptureFixture[str]) -> None:
    """Graphviz prints no warning about the segments between halves."""
    assert image_of(drawing_of(fork_of_graphs(2)), "png", "auto").startswith(b"\x89PNG")
    assert capfd.readouterr().err == ""
