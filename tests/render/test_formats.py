"""DOT and Mermaid: the same each time, well formed, and safe whatever users write."""

import html
import re
from dataclasses import replace

import pygraphviz
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.engine.graph_spec import GraphSpec
from graphengine.render import to_dot, to_mermaid, to_text
from graphengine.render.dot import dot_text
from graphengine.render.drawing import drawing_of
from graphengine.render.images import paint
from graphengine.render.parts import Box, Line
from graphengine.render.text import one_line
from tests.render.samples import GOLDEN, GRAPHS, WRITERS, edge, graph_spec, hostile, node, own_id, read_xml

TITLES = st.text(st.characters() | st.sampled_from(list('"\\<>&#;%`|$_*-.[](){}:\n1Nn')), max_size=30)
JOINER = "\u2060"
LABEL = r'"(?P<label>[^"]*)"'
BOX = re.compile(rf" +(n\d+)([(\[{{\\]+){LABEL}([)\]}}/]+)")
SUBGRAPH = re.compile(rf" +subgraph (g\d+)\[{LABEL}\]")
ARROW = re.compile(rf"  ([ng]\d+) (-->|-\.->|==>)(?:\|{LABEL}\|)? ([ng]\d+)")
REST = re.compile(
    r'%%\{init: \{"flowchart": \{"wrappingWidth": 2000\}\}\}%%'
    r"|flowchart TD|  accTitle: [\w .,-]*|  accDescr: \d+ boxes and \d+ arrows|  class ([ng]\d+,?)+ look\d+| +end"
    r"|  classDef look\d+ fill:(#\w{6}|none),stroke:#\w{6},(color:#\w{6},)?stroke-width:[\d.]+px"
    r"|  linkStyle [\d,]+ stroke:#\w{6},stroke-width:[\d.]+px"
)
BRACKETS = {
    *(("([", "])"), ("{{", "}}"), ("[", "]"), ("(", ")"), ("((", "))")),
    *(("[\\", "/]"), ("[[", "]]"), ("(((", ")))")),
}


def read_mermaid(text: str) -> tuple[list[str], list[str]]:
    """Return the labels of boxes, clusters and arrows of a Mermaid flowchart; every line must be known."""
    boxes: list[str] = []
    arrows: list[str] = []
    for line in text.splitlines():
        if found := BOX.fullmatch(line):
            assert (found[2], found[4]) in BRACKETS
            boxes.append(shown(found["label"]))
        elif found := SUBGRAPH.fullmatch(line):
            boxes.append(shown(found["label"]))
        elif found := ARROW.fullmatch(line):
            arrows.append(shown(found["label"] or ""))
        else:
            assert REST.fullmatch(line), line
    return boxes, arrows


def shown(label: str) -> str:
    """Return the text that Mermaid shows for a label, with entities decoded once and without joiners."""
    lines = re.sub(r"</?b>", "", label).split("<br/>")
    assert not [line for line in lines if set('<>"`|\\') & set(line)]
    assert all(re.fullmatch(r"(\w+|\d+)", name) for line in lines for name in re.findall(r"#([^;]*);", line))
    entities = [re.sub(r"#(\d+);", r"&#\1;", re.sub(r"#([a-z]+);", r"&\1;", line)) for line in lines]
    return "\n".join(html.unescape(line).replace(JOINER, "") for line in entities)


def titled(title: str) -> GraphSpec:
    """Return a graph in which every text is this one."""
    return graph_spec([node("a", title=title)], [edge("START", "a"), edge("a", "END", title, title)], title)


def nested(title: str) -> GraphSpec:
    """Return a graph with a map, a choice among graphs, and a question, in which every text is this one."""
    inner = graph_spec([node("a", title=title)], [edge("START", "a", title), edge("a", "END", title, title)], title)
    several = node("b", "choose", title=title, choices=[title, "x"], on=title, graphs={title: inner})
    nodes = [
        node("a", "graph", title=title, each={title: title}, graphs={"": inner}),
        several,
        node("c", "ask", title=title, question=title),
    ]
    return graph_spec(nodes, [edge("START", "a"), edge("a", "b", title), edge("b", "c"), edge("c", "END")], title)


@given(TITLES)
def test_texts_of_clusters_stay_texts_in_every_format(title: str) -> None:
    """A nested graph has the same texts in DOT, Mermaid and plain text, whatever they contain."""
    drawing = drawing_of(nested(title))
    parts: list[Box] = [*drawing.boxes, *drawing.clusters]
    words = sorted((" " if part in drawing.clusters else "\n").join(line.text for line in part.lines) for part in parts)
    words = [word or " " for word in words]
    assert sorted(read_mermaid(to_mermaid(nested(title)))[0]) == words
    read = pygraphviz.AGraph(string=to_dot(nested(title)))
    assert sorted(boxes_of(read)) == sorted(box.id for box in drawing.boxes)
    assert len(names_of(read)) == len(drawing.clusters) + 1
    for line in to_text(nested(title)).splitlines():
        assert not line.strip() or line.strip() == one_line(line)


def texts(title: str) -> tuple[list[str], list[str]]:
    """Return the expected texts of boxes and next to arrows."""
    drawing = drawing_of(titled(title))
    boxes = ["\n".join(line.text for line in box.lines) for box in drawing.boxes]
    return boxes, ["\n".join(line.text for line in arrow.lines) for arrow in drawing.arrows]


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("ending", WRITERS)
def test_pictures_are_unchanged_byte_for_byte(name: str, ending: str) -> None:
    """A picture's text changes only on purpose: `python -m tests.render.samples` writes it again."""
    write = WRITERS[ending]
    golden = (GOLDEN / f"{name}.{ending}").read_bytes()
    assert write(GRAPHS[name]()).encode() == golden
    assert write(GRAPHS[name]()).encode() == golden


@pytest.mark.parametrize("name", GRAPHS)
def test_graphviz_reads_the_dot_source(name: str) -> None:
    """Every box and arrow is there, with its id and its own label."""
    drawing = drawing_of(GRAPHS[name]())
    read = pygraphviz.AGraph(string=to_dot(GRAPHS[name]()))
    assert sorted(boxes_of(read)) == sorted(box.id for box in drawing.boxes)
    labels = {box.id: read.get_node(box.id).attr["label"] or "" for box in drawing.boxes}
    assert all(labels[box.id].startswith("<") == bool(box.lines) for box in drawing.boxes)
    clusters = [name.removeprefix("cluster_") for name in names_of(read) if not name.endswith("_many")]
    assert sorted(clusters) == sorted(cluster.id for cluster in drawing.clusters)
    arrows = [(arrow.source, arrow.target, arrow.id) for arrow in drawing.arrows]
    assert sorted(arrows_of(read)) == sorted(arrows)


def boxes_of(read: pygraphviz.AGraph) -> list[str]:
    """Return all boxes, without the points where an arrow turns."""
    return [str(name) for name in read.nodes() if not name.endswith("_turn")]


def arrows_of(read: pygraphviz.AGraph) -> list[tuple[str, str, str]]:
    """Return all arrows with their ids; arrows that turn count as one, in either direction."""
    seen = [edge for edge in read.edges() if edge.attr["style"] != "invis"]
    ends = {edge[0]: edge[1] for edge in seen if edge[0].endswith("_turn")}
    begun = [edge for edge in seen if edge[0] not in ends]
    forth = [(edge[0], ends.get(edge[1], edge[1]), edge.attr["id"]) for edge in begun if edge.attr["dir"] != "back"]
    return forth + [(edge[1], edge[0], edge.attr["id"]) for edge in begun if edge.attr["dir"] == "back"]


def names_of(read: pygraphviz.AGraph) -> list[str]:
    """Return the names of all clusters, including nested ones."""
    return [name for inner in read.subgraphs() for name in (str(inner.name), *names_of(inner))]


@pytest.mark.parametrize("name", GRAPHS)
def test_boxes_are_in_their_clusters(name: str) -> None:
    """In DOT and in Mermaid, each box is in the cluster that the drawing defines, and in no other."""
    drawing = drawing_of(GRAPHS[name]())
    read = pygraphviz.AGraph(string=to_dot(GRAPHS[name]()))
    around = {cluster.id: cluster.cluster for cluster in drawing.clusters}
    for cluster in around:
        inner = {box.id for box in drawing.boxes if cluster in chain_of(box.cluster, around)}
        assert set(boxes_of(subgraph(read, f"cluster_{cluster}"))) == inner
    stack: list[str] = []
    placed: dict[str, str] = {}
    for line in to_mermaid(GRAPHS[name]()).splitlines():
        if found := SUBGRAPH.fullmatch(line):
            assert around[found[1]] == (stack[-1] if stack else "")
            stack.append(found[1])
        elif line.strip() == "end":
            stack.pop()
        elif found := BOX.fullmatch(line):
            placed[found[1]] = stack[-1] if stack else ""
    assert placed == {box.id: box.cluster for box in drawing.boxes}


def chain_of(cluster: str, around: dict[str, str]) -> list[str]:
    """Return a cluster and those that enclose it."""
    return [cluster, *chain_of(around[cluster], around)] if cluster else []


def subgraph(read: pygraphviz.AGraph, name: str) -> pygraphviz.AGraph:
    """Return the cluster with this name, at any depth."""
    left = list(read.subgraphs())
    while left[0].name != name:
        left += left.pop(0).subgraphs()
    return left[0]


@given(TITLES)
def test_texts_stay_texts_in_dot(title: str) -> None:
    """Whatever a text contains, Graphviz reads two ends, one node and two arrows, and only our markup in the labels."""
    read = pygraphviz.AGraph(string=to_dot(titled(title)))
    assert sorted(read.nodes()) == ["n0", "n1", "n2"]
    assert len(read.edges()) == 2
    label = read_xml(f"<l>{read.get_node('n1').attr['label']}</l>")
    assert {part.tag for part in label.iter()} <= {"l", "TABLE", "TR", "TD", "FONT", "B"}
    plain = "\n".join(part.text or "" for font in label.iter("FONT") for part in font.iter() if part.text)
    assert plain.replace("\\\\", "\\") == texts(title)[0][1]


@given(TITLES)
def test_texts_stay_texts_in_mermaid(title: str) -> None:
    """Whatever a text contains, each line is one of ours and each label reads as the text."""
    assert read_mermaid(to_mermaid(titled(title))) == texts(title)


def test_hostile_texts_are_rendered_unchanged() -> None:
    """Through Graphviz and into SVG, each line of each box is there and nothing else."""
    svg = read_xml(paint(to_dot(hostile()), "svg"))
    spaces = {"s": "http://www.w3.org/2000/svg"}
    groups = svg.findall(".//s:g[@class='node']", spaces)
    painted = {own_id(group): [text.text for text in group.findall("s:text", spaces)] for group in groups}
    assert not any(texts for name, texts in painted.items() if name.endswith("_turn"))
    painted = {name: texts for name, texts in painted.items() if not name.endswith("_turn")}
    assert painted == {box.id: [line.text for line in box.lines] for box in drawing_of(hostile()).boxes}
    assert not svg.findall(".//s:script", spaces)


@pytest.mark.parametrize("text", ["$$x$$", "fa:fa-ban", "back\\new"])
def test_markup_of_mermaid_after_entities_is_broken_up(text: str) -> None:
    """Mathematics, icons and line breaks are only text, whichever order a version reads in."""
    made = entities_read(to_mermaid(titled(text)))
    assert text not in made
    assert text in made.replace(JOINER, "")


@pytest.mark.parametrize("text", ["1. one", "2) two", "- three", "# four", "===", "> five"])
def test_no_line_starts_like_a_list_or_a_heading(text: str) -> None:
    """Some versions read Markdown in every label, so its signs never begin a line."""
    labels = re.findall(r'"([^"]*)"', to_mermaid(titled(text)).partition("\n")[2])
    lines = [entities_read(re.sub("</?b>", "", line)) for label in labels for line in label.split("<br/>")]
    assert f"{JOINER}{text}" in lines
    assert not [line for line in lines if line.startswith(text)]


def entities_read(text: str) -> str:
    """Return the text with Mermaid's entities decoded."""
    return html.unescape(re.sub(r"#(\w+);", r"&#\1;", re.sub(r"#([a-z]+);", r"&\1;", text)))


def test_lines_of_a_label_differ_in_weight() -> None:
    """A title is bold in both formats, and the text below it is not."""
    drawing = drawing_of(titled("Title"))
    assert drawing.boxes[1].lines == (Line("Title", "strong"), Line("a · function", "small"))
    assert "<B>Title</B>" in to_dot(titled("Title"))
    assert "<b>Title</b><br/>a · function" in to_mermaid(titled("Title"))


def test_the_back_edge_of_a_loop_of_two_is_on_the_right() -> None:
    """An edge back is kept apart from the edge forward; several edges back to one node are placed by Graphviz."""
    there_and_back = [edge("START", "a"), edge("a", "b"), edge("b", "a", "again"), edge("b", "END")]
    assert to_dot(graph_spec([node("a"), node("b")], there_and_back)).count('tailport="se" headport="ne"') == 1
    several = [edge("START", "a"), edge("a", "b"), edge("b", "a", "again"), edge("b", "c"), edge("c", "a")]
    dot = to_dot(graph_spec([node(name) for name in "abc"], several))
    assert dot.count('[dir="back"') == dot.count('tailport="ne"') == 2  # at the corner, where no arrow begins
    assert "headport" not in dot


def test_a_picture_without_a_caption_has_an_empty_label() -> None:
    """Older Graphviz refuses a table without rows."""
    drawing = replace(drawing_of(titled("a")), caption=(), legend=())
    assert "<TABLE" not in dot_text(drawing).partition("n0 [")[0]
    assert b"<svg" in paint(dot_text(drawing), "svg")
