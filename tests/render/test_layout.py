"""Where the parts of a picture go: labels on their arrows, nothing over anything else, loops that can be followed."""

import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain as joined
from itertools import combinations, pairwise
from statistics import median

import pytest

from graphengine.engine.graph_spec import EdgeSpec, GraphSpec
from graphengine.records.export import read_file
from graphengine.render import RenderError
from graphengine.render.drawing import draw_graph
from graphengine.render.layout import Layout, Point, Rect, layout
from graphengine.render.parts import Drawing
from graphengine.render.svg import svg_of
from tests.kit.gallery import GALLERY, NAMES
from tests.render.nested import graph_spec_of, tree
from tests.render.samples import GRAPHS, chain, edge, graph_spec, node, read_xml, review_loop

ROUND = {"entry", "exit", "pass"}
NEAR = 3.0
"""Points; a label has a margin of two."""


def fork_of_graphs(count: int) -> GraphSpec:
    """Return a fork with a graph in each of its arms."""
    inner = graph_spec([node("a"), node("b")], [edge("START", "a"), edge("a", "b", "x > 1"), edge("b", "END")], "inner")
    names = [f"arm{index}" for index in range(count)]
    fork: EdgeSpec = {"from": "START", "arms": [{"to": name} for name in names], "join": "join"}
    arms = [node(name, "graph", graphs={"": inner}) for name in names]
    return graph_spec([*arms, node("join")], [fork, *(edge(name, "join") for name in names), edge("join", "END")])


def loops() -> GraphSpec:
    """Return a graph with loops of one node, with words and without, next to a nested graph, and around it."""
    inner = graph_spec([node("a"), node("b")], [edge("START", "a"), edge("a", "b"), edge("b", "END")], "inner")
    nodes = [node("one"), node("two"), node("in", "graph", graphs={"": inner})]
    edges = [edge("START", "one"), edge("one", "one", "x < 3", "again"), edge("one", "two"), edge("two", "two")]
    edges += [edge("one", "in", "x > 9"), edge("in", "one", "x < 2", "back"), edge("in", "END"), edge("two", "END")]
    return graph_spec(nodes, [*edges, edge("in", "one", "failed with Exception", failure=True)])


DRAWINGS = {
    **{name: draw_graph(make()) for name, make in GRAPHS.items()},
    **{f"{name} in brief": draw_graph(make(), detail="brief") for name, make in GRAPHS.items()},
    "chain": draw_graph(chain(30)),
    "long chain": draw_graph(chain(90)),
    "fork of graphs": draw_graph(fork_of_graphs(5)),
    "loops": draw_graph(loops()),
    "tree": draw_graph(graph_spec_of(tree(3, 4))),
}
for _name in NAMES:
    _run = read_file(GALLERY / f"{_name}.json")
    for _detail in ("brief", "full"):
        _spec = _run.graph_specs[_run.info.fingerprint]
        DRAWINGS[f"{_name}, {_detail}"] = draw_graph(_spec, _run.steps, detail=_detail)


@pytest.fixture(params=DRAWINGS)
def drawn(request: pytest.FixtureRequest) -> tuple[Drawing, Layout]:
    """Each drawing with its layout."""
    drawing = DRAWINGS[request.param]
    return drawing, layout(drawing)


def distance(point: Point, rect: Rect) -> float:
    """Return how far a point is from a rectangle's border, at most its distance along one axis."""
    x, y = point
    outside = max(rect.x - x, x - rect.x - rect.wide, rect.y - y, y - rect.y - rect.high)
    return abs(outside)


def overlap(one: Rect, other: Rect) -> bool:
    """Return whether two rectangles have more than a border in common."""
    across = min(one.x + one.wide, other.x + other.wide) - max(one.x, other.x)
    down = min(one.y + one.high, other.y + other.high) - max(one.y, other.y)
    return across > 0.1 and down > 0.1


def passes_through(line: list[Point], rect: Rect) -> bool:
    """Return whether a line of vertical and horizontal pieces crosses the inside of a rectangle."""
    inner = rect.within(1.0)
    for (ax, ay), (bx, by) in pairwise(line):
        piece = Rect(min(ax, bx), min(ay, by), abs(ax - bx) + 0.2, abs(ay - by) + 0.2)
        if overlap(piece, inner):
            return True
    return False


def test_a_label_is_on_its_arrow(drawn: tuple[Drawing, Layout]) -> None:
    """The line of an arrow ends at its label and begins there again."""
    drawing, found = drawn
    for arrow in drawing.arrows:
        assert (arrow.id in found.rects) == bool(arrow.lines) == (len(found.routes[arrow.id]) == 2)
        if arrow.lines:
            before, after = found.routes[arrow.id]
            assert distance(before[-1], found.rects[arrow.id]) < NEAR
            assert distance(after[0], found.rects[arrow.id]) < NEAR


def test_boxes_and_labels_do_not_overlap(drawn: tuple[Drawing, Layout]) -> None:
    """No two of them have a point in common."""
    drawing, found = drawn
    names = [box.id for box in drawing.boxes] + [arrow.id for arrow in drawing.arrows if arrow.lines]
    assert not [pair for pair in combinations(names, 2) if overlap(*(found.rects[name] for name in pair))]


def test_no_line_crosses_a_label_or_a_box(drawn: tuple[Drawing, Layout]) -> None:
    """A line passes beside boxes and words that it does not lead to."""
    drawing, found = drawn
    names = [box.id for box in drawing.boxes if box.shape not in ROUND]
    names += [arrow.id for arrow in drawing.arrows if arrow.lines]
    crossed = [
        (arrow.spoken, name)
        for arrow in drawing.arrows
        for line in found.routes[arrow.id]
        for name in names
        if passes_through(list(line), found.rects[name])
    ]
    assert crossed == []


def test_no_line_covers_another(drawn: tuple[Drawing, Layout]) -> None:
    """Two lines cross at most; they share no stretch, except next to a dot in which both begin or end."""
    drawing, found = drawn
    routes = [(arrow.id, line) for arrow in drawing.arrows for line in found.routes[arrow.id]]
    pieces = [(name, *piece) for name, line in routes for piece in pairwise(line)]
    for (name, a, b), (other, c, d) in combinations(pieces, 2):
        for way in (0, 1):
            is_along = max(abs(a[way] - b[way]), abs(c[way] - d[way]), abs(a[way] - c[way])) < 1.0
            if name != other and is_along:
                begin = max(min(a[1 - way], b[1 - way]), min(c[1 - way], d[1 - way]))
                end = min(max(a[1 - way], b[1 - way]), max(c[1 - way], d[1 - way]))
                assert end - begin < 10, (name, other)


def test_an_arrow_connects_its_ends(drawn: tuple[Drawing, Layout]) -> None:
    """It begins at the border of its source and ends at that of its target, or of the clusters that stand for them."""
    drawing, found = drawn
    shapes = {box.id: box.shape for box in drawing.boxes}
    many = {cluster.id: 5.0 for cluster in drawing.clusters if cluster.many}
    for arrow in drawing.arrows:
        first, last = found.routes[arrow.id][0][0], found.routes[arrow.id][-1][-1]
        for point, end in ((first, arrow.tail or arrow.source), (last, arrow.head or arrow.target)):
            round_ = {"entry": 8.0, "exit": 8.0, "pass": 20.0}.get(shapes.get(end, ""), 0.1)
            assert distance(point, found.rects[end]) <= many.get(end, round_), arrow.spoken


def test_clusters_contain_their_parts(drawn: tuple[Drawing, Layout]) -> None:
    """Their boxes, clusters and labels are inside, below the heading, and nothing else is."""
    drawing, found = drawn
    parents = {part.id: part.cluster for part in (*drawing.boxes, *drawing.clusters)}

    def around(name: str) -> Iterator[str]:
        while name := parents[name]:
            yield name

    for cluster in drawing.clusters:
        frame = found.rects[cluster.id]
        for name in parents:
            rect = found.rects[name]
            if cluster.id in around(name):
                assert frame.x < rect.x
                assert frame.y < rect.y
                assert rect.x + rect.wide < frame.x + frame.wide
                assert rect.y + rect.high < frame.y + frame.high
            elif name != cluster.id and name not in around(cluster.id):
                assert not overlap(rect, frame), (cluster.spoken, name)


def test_everything_is_in_the_picture(drawn: tuple[Drawing, Layout]) -> None:
    """The bounds contain all boxes, clusters, labels and lines."""
    _, found = drawn
    for x, y in joined.from_iterable(line for lines in found.routes.values() for line in lines):
        assert found.bounds.x <= x <= found.bounds.x + found.bounds.wide
        assert found.bounds.y <= y <= found.bounds.y + found.bounds.high
    assert not [rect for rect in found.rects.values() if rect.x < found.bounds.x or rect.y < found.bounds.y]


def test_a_graph_is_read_downwards(drawn: tuple[Drawing, Layout]) -> None:
    """Only arrows that close a loop lead upwards, and from each column one to the next."""
    drawing, found = drawn
    for arrow in drawing.arrows:
        if arrow.source != arrow.target and not arrow.tail and not arrow.head:
            source, target = found.rects[arrow.source], found.rects[arrow.target]
            is_next = target.x > source.x + source.wide and target.y == min(
                each.y for each in found.rects.values() if each.x + each.wide > target.x
            )
            assert (target.y < source.y and not is_next) == arrow.back, arrow.spoken


def fan(arms: int, *, is_nested: bool = False, name: str = "region") -> GraphSpec:
    """Return a fork with so many alike arms, a loop around it, and perhaps a graph around that."""
    names = [f"{name} {number:02d}" for number in range(arms)]
    fork: EdgeSpec = {"from": "plan", "arms": [{"to": name} for name in names], "join": "merge"}
    edges = [edge("START", "plan"), fork, *(edge(name, "merge") for name in names)]
    edges += [edge("merge", "END"), edge("merge", "plan", "score < 3")]
    made = graph_spec([node("plan"), *map(node, names), node("merge")], edges, "fan")
    if not is_nested:
        return made
    around = [edge("START", "all"), edge("all", "END"), edge("all", "all", "failed with Exception", failure=True)]
    return graph_spec([node("all", "graph", graphs={"": made})], around)


@pytest.mark.parametrize("is_wide", [False, True], ids=["down", "across"])
@pytest.mark.parametrize("is_nested", [False, True], ids=["flat", "nested"])
@pytest.mark.parametrize("arms", [12, 30, 47])
def test_alike_arms_stand_in_rows(arms: int, is_nested: bool, is_wide: bool) -> None:  # noqa: FBT001 - parameters
    """In their order, row by row; lines to them and from them cross no box and each other nowhere, only join."""
    drawing = draw_graph(fan(arms, is_nested=is_nested))
    found = layout(drawing, is_wide=is_wide)
    boxes = [box for box in drawing.boxes if "region" in box.name]
    rects = [found.rects[box.id] for box in boxes]
    places = [(each.x, each.y) if is_wide else (each.y, each.x) for each in rects]
    assert len(boxes) == arms
    assert places == sorted(places)
    assert max(Counter(place[0] for place in places).values()) < arms
    for check in (
        test_a_label_is_on_its_arrow,
        test_boxes_and_labels_do_not_overlap,
        test_no_line_crosses_a_label_or_a_box,
        test_an_arrow_connects_its_ends,
        test_clusters_contain_their_parts,
        test_everything_is_in_the_picture,
    ):
        check((drawing, found))
    inside = {box.id for box in boxes}
    into = [found.routes[each.id][0] for each in drawing.arrows if each.target in inside]
    out = [found.routes[each.id][0] for each in drawing.arrows if each.source in inside]
    assert len(into) == len(out) == arms
    assert not [(a, b) for one in into for other in out for a in pairwise(one) for b in pairwise(other) if cross(a, b)]


def cross(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    """Return whether two vertical or horizontal pieces cross in their insides."""
    (ax, ay), (bx, by) = one
    (cx, cy), (dx, _) = other
    if (ax == bx) == (cx == dx):
        return False
    if ax != bx:
        return cross(other, one)
    return min(cx, dx) < ax < max(cx, dx) and min(ay, by) < cy < max(ay, by)


def test_thirty_arms_are_readable_at_once() -> None:
    """In the pane that the page gives a graph in a window of 1,440 by 900: text of 11 points has 9 pixels and more."""
    for name in ("region", "look_into_region"):
        spec = fan(30, name=name)
        spec["ways"] = [way for way in spec.get("ways", ()) if way.get("to") != "plan"]
        bounds = layout(draw_graph(spec, detail="brief")).bounds
        assert bounds.wide * 9 / 11 < 480
        assert bounds.high * 9 / 11 < 690


@pytest.mark.parametrize(("count", "columns"), [(39, 1), (40, 2), (90, 4)])
def test_a_long_row_is_broken_into_columns(count: int, columns: int) -> None:
    """From 40 boxes on, one below another; an arrow leads from the foot of a column to the head of the next."""
    nodes = [node(f"s{index}") for index in range(count)]
    names = ["START", *(f"s{index}" for index in range(count)), "END"]
    found = layout(draw_graph(graph_spec(nodes, [edge(*each) for each in pairwise(names)]), detail="brief"))
    middles = {round(rect.middle[0]) for rect in found.rects.values()}
    assert len(middles) == columns
    assert found.bounds.wide < 980
    assert columns == 1 or found.bounds.high < 1500


def test_arrows_reach_nested_graphs_from_above() -> None:
    """The tip of each arrow is on the upper border, away from the corners."""
    drawing = DRAWINGS["fork of graphs"]
    found = layout(drawing)
    heads = [arrow for arrow in drawing.arrows if arrow.head]
    assert len(heads) == 5
    for arrow in heads:
        frame, (before, tip) = found.rects[arrow.head], found.routes[arrow.id][-1][-2:]
        assert frame.x + 12 < tip[0] < frame.x + frame.wide - 12
        assert before[0] == tip[0]
        assert before[1] < tip[1] - 9 == frame.y - 9


def test_a_graph_of_any_size_is_laid_out() -> None:
    """Nothing is laid out as nothing; START alone has a place."""
    assert layout(Drawing("", (), "")).rects == {}
    assert layout(draw_graph(graph_spec([], [edge("START", "END")]))).rects.keys() == {"n0", "n1"}


def test_a_picture_can_be_wide() -> None:
    """It is read from left to right."""
    found = layout(draw_graph(review_loop()), is_wide=True)
    assert found.bounds.wide > 2 * found.bounds.high


def test_a_missing_layouter_is_an_error_with_the_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where graphlay cannot be loaded, the error names it and the formats that need nothing."""
    monkeypatch.setitem(sys.modules, "graphlay", None)
    with pytest.raises(RenderError, match=r"graphlay.*(?s:.)*\.dot, \.mmd or \.txt"):
        layout(draw_graph(review_loop()))


def any_graph(chance: random.Random, depth: int = 0) -> GraphSpec:
    """Return a random graph with graphs in it, forks, loops and failures."""
    names = [f"x{index}" for index in range(chance.randint(1, 7))]
    nodes, edges = [], [edge("START", chance.choice(names)), edge(chance.choice(names), "END")]
    for name in names:
        is_graph = depth < 2 and chance.random() < 0.2
        nodes.append(node(name, graphs={"": any_graph(chance, depth + 1)}) if is_graph else node(name))
        if len(names) > 2 and chance.random() < 0.15:
            arms: EdgeSpec = {"from": name, "arms": [{"to": arm} for arm in chance.sample(names, 2)], "join": names[0]}
            edges.append(arms)
        for _ in range(chance.randint(0, 3)):
            words = chance.choice(["", "x > 1 and y < 3, or some longer words"])
            to = chance.choice([*names, "END", "FAIL"])
            edges.append(edge(name, to, words, failure=chance.random() < 0.2))
    return graph_spec(nodes, edges)


@pytest.mark.parametrize("seed", range(40))
def test_any_graph_is_painted(seed: int) -> None:
    """Each arrow of a random graph has a line from end to end, and the picture is well-formed."""
    drawing = draw_graph(any_graph(random.Random(seed)))  # noqa: S311 - chance of a test
    found = layout(drawing)
    test_a_label_is_on_its_arrow((drawing, found))
    test_an_arrow_connects_its_ends((drawing, found))
    test_clusters_contain_their_parts((drawing, found))
    assert all(len(line) > 1 for lines in found.routes.values() for line in lines)
    groups = read_xml(svg_of(drawing, "auto").encode()).iter("{http://www.w3.org/2000/svg}g")
    assert len(list(groups)) == len(drawing.boxes) + len(drawing.clusters) + len(drawing.arrows)


def forks_in_a_row(rows: int, arms: int, *, is_loop: bool, lengths: int) -> GraphSpec:
    """Return forks that begin where the one before is joined; the names of arms have up to so many letters more."""
    nodes, edges, at = [node("plan")], [edge("START", "plan")], "plan"
    for row in range(rows):
        names = [f"{row}{arm}{'x' * ((arm * 7 + row * 5) % lengths)}" for arm in range(arms)]
        nodes += [*(node(name) for name in names), node(f"join{row}")]
        fork: EdgeSpec = {"from": at, "arms": [{"to": name} for name in names], "join": f"join{row}"}
        edges += [fork, *(edge(name, f"join{row}") for name in names)]
        at = f"join{row}"
    again = [edge(at, "plan", "n > 3", "again")] if is_loop else []
    return graph_spec(nodes, [*edges, *again, edge(at, "END")], "forks")


@pytest.mark.parametrize("arms", [2, 3, 4, 5])
@pytest.mark.parametrize("rows", [1, 2, 4, 6])
@pytest.mark.parametrize(("is_loop", "lengths"), [(True, 1), (False, 1), (True, 13)])
def test_joins_of_forks_in_a_row_stand_in_one_column(rows: int, arms: int, *, is_loop: bool, lengths: int) -> None:
    """However many forks there are, how long the names of the arms are, and whether a loop passes them."""
    drawing = draw_graph(forks_in_a_row(rows, arms, is_loop=is_loop, lengths=lengths))
    found = layout(drawing)
    names = [box.id for box in drawing.boxes if box.lines and box.lines[0].text.startswith(("plan", "join"))]
    middles = [found.rects[name].middle[0] for name in names]
    assert len(middles) == rows + 1
    assert max(middles) - min(middles) <= 6.0
    assert not [pair for pair in combinations(found.rects, 2) if overlap(*(found.rects[name] for name in pair))]


DOT: Mapping[str, tuple[int, int]] = {
    "blackboard brief": (580, 555),
    "blackboard full": (971, 736),
    "content_pipeline brief": (287, 671),
    "content_pipeline full": (529, 876),
    "content_queue brief": (756, 677),
    "content_queue full": (1640, 871),
    "event_bus brief": (650, 703),
    "event_bus full": (972, 871),
    "handoff brief": (172, 363),
    "handoff full": (247, 432),
    "line brief": (64, 383),
    "line full": (95, 476),
    "orchestrator brief": (639, 763),
    "orchestrator full": (1027, 1028),
    "parallel_research brief": (307, 390),
    "parallel_research full": (301, 448),
    "review_loop brief": (273, 422),
    "review_loop full": (367, 565),
    "writers_room brief": (788, 332),
    "writers_room full": (942, 402),
}
"""How wide and how high Graphviz 12 makes the bundled graphs from our `.dot` files; some of its labels cover boxes."""


def test_bundled_graphs_are_about_as_small_as_those_of_graphviz() -> None:
    """By their area, in the median."""
    ratios = []
    for name, (wide, high) in DOT.items():
        run, detail = name.split()
        recorded = read_file(GALLERY / f"{run}.json")
        drawing = draw_graph(
            recorded.graph_specs[recorded.info.fingerprint], detail="full" if detail == "full" else "brief"
        )
        bounds = layout(drawing).bounds
        ratios.append(bounds.wide * bounds.high / (wide * high))
    assert len(ratios) == 2 * len(NAMES)
    assert median(ratios) < 1.2
