"""Long pictures in columns."""

from graphengine.engine.outline import Outline
from graphengine.render import to_dot, to_text
from graphengine.render.columns import LONG_ROWS, in_columns
from graphengine.render.drawing import drawing_of
from graphengine.render.parts import Drawing
from tests.render.nested import outline_of, tree
from tests.render.samples import chain, done, edge, hostile, node, outline, review_loop, started


def line(length: int) -> Outline:
    """A chain without loops."""
    names = [f"s{i}" for i in range(length)]
    edges = [edge(a, b) for a, b in zip(["START", *names], [*names, "END"], strict=True)]
    return outline([node(name) for name in names], edges)


def posts(drawing: Drawing) -> list[str]:
    """Return the texts of the signposts."""
    return [box.name for box in drawing.boxes if box.shape == "link"]


def test_a_short_graph_has_one_column() -> None:
    """A graph that fits in one column is unchanged."""
    for short in (review_loop(), hostile(), line(LONG_ROWS - 2)):
        assert in_columns(drawing_of(short)) is drawing_of(short) or not posts(in_columns(drawing_of(short)))


def test_a_long_chain_is_broken_with_signposts() -> None:
    """Each break has a signpost at both ends, and every box and edge is still drawn once."""
    drawing = drawing_of(line(200))
    broken = in_columns(drawing)
    ends = posts(broken)
    assert len(ends) >= 8
    assert ends[:2] == ["on to s21", "from s20"]
    assert len(ends) == 2 * (len(broken.arrows) - len(drawing.arrows))
    assert {box.id for box in drawing.boxes} < {box.id for box in broken.boxes}
    assert len({box.id for box in broken.boxes}) == len(broken.boxes)
    assert {arrow.id for arrow in drawing.arrows} < {arrow.id for arrow in broken.arrows}


def test_columns_break_where_few_arrows_cross() -> None:
    """Loops stay in one column where possible."""
    broken = in_columns(drawing_of(chain(200)))
    assert len(posts(broken)) == 2 * 8
    assert len([arrow for arrow in broken.arrows if arrow.back]) == 40


def test_a_long_nested_graph_has_its_own_columns() -> None:
    """Its signposts are in its cluster and name its nodes; outer signposts never cut it."""
    drawing = drawing_of(outline_of(tree(3, 20)))
    broken = in_columns(drawing)
    assert broken.clusters == drawing.clusters
    stands = {box.id: box.cluster for box in broken.boxes}
    assert all(stands[box.id] == box.cluster for box in drawing.boxes)
    inner, outer = (
        [(box.name, box.lines[0].text) for box in broken.boxes if box.shape == "link" and box.cluster == cluster]
        for cluster in ("g0", "")
    )
    assert ("on to inner/step_2_10", "on to step_2_10") in inner
    assert ("on to step_3_10", "on to step_3_10") in outer
    assert not [name for name, _ in outer if "/" in name and not name.startswith("from END")]
    assert not [box for box in broken.boxes if box.shape == "link" and box.cluster == "g1"]


def test_arrows_to_a_graph_still_end_at_its_border() -> None:
    """If an arrow to a graph is broken, its second half leads to the border."""
    names = [f"s{i}" for i in range(80)]
    inner = outline([node("a")], [edge("START", "a"), edge("a", "END")], "inner")
    nodes = [node(name, graphs={"": inner}) if int(name[1:]) % 5 == 0 else node(name) for name in names]
    edges = [edge(a, b) for a, b in zip(["START", *names], [*names, "END"], strict=True)]
    drawing = drawing_of(outline(nodes, edges))
    broken = in_columns(drawing)
    heads = [arrow.head for arrow in drawing.arrows if arrow.head]
    assert [arrow.head for arrow in broken.arrows if arrow.head] == heads
    assert posts(broken)


def test_a_wide_graph_is_not_broken() -> None:
    """If many arrows cross at every row, there is no good place to cut."""
    lanes = [[f"l{lane}_{i}" for i in range(60)] for lane in range(8)]
    edges = [edge("START", lane[0], f"{lane[0]} > 1") for lane in lanes]
    edges += [edge(a, b) for lane in lanes for a, b in zip(lane, [*lane[1:], "END"], strict=True)]
    drawing = drawing_of(outline([node(name) for lane in lanes for name in lane], edges))
    assert in_columns(drawing) is drawing


def test_a_run_continues_in_the_next_column() -> None:
    """A signpost is drawn like its arrow, and the words stay at the first half."""
    steps = [started("s0"), *(done(i + 2, f"s{i}", f"s{i + 1}") for i in range(30))]
    broken = in_columns(drawing_of(line(200), steps))
    ends = posts(broken)
    tones = {box.name: box.tone for box in broken.boxes if box.shape == "link"}
    assert (tones["on to s21"], tones["from s20"], tones[ends[2]]) == ("done", "done", "unused")
    words = {arrow.spoken for arrow in broken.arrows if arrow.spoken.startswith("s20 to s21")}
    assert words == {"s20 to s21: taken once", "s20 to s21: taken once, from another column"}


def test_words_are_not_broken() -> None:
    """Plain text is not broken into columns."""
    assert "on to" not in to_text(chain(200))
    assert "on to" in to_dot(chain(200))


def test_unreachable_nodes_and_loops_are_placed() -> None:
    """An outline need not be sound to be drawn."""
    names = [f"s{i}" for i in range(60)]
    ring = [edge(a, b) for a, b in zip(names, [*names[1:], names[0]], strict=True)]
    broken = in_columns(drawing_of(outline([node(name) for name in names], ring)))
    assert {box.name for box in broken.boxes} >= set(names)
