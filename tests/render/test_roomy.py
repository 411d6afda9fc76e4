"""Frames hold what is in them."""

from itertools import combinations
from typing import Any

import pytest

from graphengine.history.export import read_file
from graphengine.render.columns import in_columns
from graphengine.render.dot import arrows_by_cluster
from graphengine.render.drawing import drawing_of
from graphengine.render.painted import image_of, svg_of
from graphengine.render.parts import Drawing
from tests.kit.gallery import GALLERY
from tests.render.nested import company, newsroom, outline_of, tree
from tests.render.samples import edge, hostile, node, outline, own_id, read_xml
from tests.render.test_landing import SVG, points

Sides = dict[str, tuple[float, float, float, float]]


def event_bus() -> Drawing:
    """A run in one of whose graphs Graphviz writes words across the border."""
    run = read_file(GALLERY / "event_bus.json")
    return drawing_of(run.outlines[run.info.fingerprint], run.steps)


def drawings() -> list[Any]:
    """Drawings with graphs next to each other and nested."""
    made = {
        "event_bus": event_bus(),
        "tree": drawing_of(outline_of(tree(3, 3))),
        "company": drawing_of(outline_of(company())),
        "newsroom": drawing_of(outline_of(newsroom())),
        "hostile": in_columns(drawing_of(hostile())),
    }
    return [pytest.param(drawing, id=name) for name, drawing in made.items()]


def frames(svg: bytes, drawing: Drawing) -> Sides:
    """Left, right, top and bottom of each frame."""
    found: Sides = {}
    names = {each.id for each in drawing.clusters} | {f"{each.id}_many" for each in drawing.clusters if each.many}
    for group in read_xml(svg).iter(f"{SVG}g"):
        if own_id(group) in names:
            xs, ys = zip(*points(group.find(f"{SVG}polygon")), strict=True)
            found[own_id(group)] = min(xs), max(xs), min(ys), max(ys)
    return found


@pytest.mark.parametrize("drawing", drawings())
def test_frames_are_nested_and_never_overlap(drawing: Drawing) -> None:
    """Each is within its parent and next to its neighbours, and none is narrower than Graphviz made it."""
    sides = frames(svg_of(drawing, "auto"), drawing)
    before = frames(image_of(drawing, "svg", "auto"), drawing)
    assert all(sides[name][0] <= before[name][0] + 0.01 for name in before)
    assert all(sides[name][1] >= before[name][1] - 0.01 for name in before)
    outer = {each.id: sides.get(f"{each.id}_many", sides[each.id]) for each in drawing.clusters}
    for each in drawing.clusters:
        assert outer[each.id][0] <= sides[each.id][0]
        assert sides[each.id][1] <= outer[each.id][1]
        if each.parent:
            assert sides[each.parent][0] < outer[each.id][0]
            assert outer[each.id][1] < sides[each.parent][1]
    for one, other in combinations(drawing.clusters, 2):
        if one.parent == other.parent:
            (left, right, top, bottom), (l2, r2, t2, b2) = outer[one.id], outer[other.id]
            assert right < l2 or r2 < left or bottom < t2 or b2 < top


def test_no_later_line_strikes_through_words() -> None:
    """The label of a loop is drawn after the arrow that leads back across it."""
    edges = [
        edge("START", "work"),
        edge("work", "END", "n >= 5", label="enough"),
        edge("work", "boost", "score >= 7", label="high enough"),
        edge("work", "work", label="again"),
        edge("boost", "work"),
    ]
    drawing = drawing_of(outline([node("work"), node("boost")], edges), detail="brief")
    groups = read_xml(svg_of(drawing, "auto")).iter(f"{SVG}g")
    spoken = {arrow.id: arrow.spoken.partition(":")[0] for arrow in drawing.arrows}
    order = [spoken[own_id(group)] for group in groups if group.get("class") == "edge"]
    assert order.index("boost to work") < order.index("work to work")


def test_labels_of_arrows_stay_in_their_frame() -> None:
    """Where Graphviz writes them across the border, the frame grows."""
    drawing = event_bus()
    svg = svg_of(drawing, "auto")
    sides = frames(svg, drawing)
    begins = {
        own_id(group): [float(text.get("x", "0")) for text in group.findall(f"{SVG}text")]
        for group in read_xml(svg).iter(f"{SVG}g")
        if group.get("class") == "edge"
    }
    longest = {arrow.id: max((len(line.text) for line in arrow.lines), default=0) * 5 for arrow in drawing.arrows}
    inner = {cluster: arrows for cluster, arrows in arrows_by_cluster(drawing).items() if cluster}
    assert len(inner) == 4
    for cluster, arrows in inner.items():
        for arrow in arrows:
            for x in begins[arrow.id]:
                assert sides[cluster][0] < x
                assert x + longest[arrow.id] < sides[cluster][1]
