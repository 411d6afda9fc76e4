"""DOT and Mermaid: the same each time, well formed, and safe whatever users write."""

import html
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.engine.graph_spec import GraphSpec
from graphengine.render import to_dot, to_mermaid, to_text
from graphengine.render.dot import dot_text
from graphengine.render.drawing import draw_graph
from graphengine.render.parts import Box, Line
from graphengine.render.svg import svg_of
from graphengine.render.text import one_line
from tests.render.samples import GOLDEN, GRAPHS, WRITERS, edge, graph_spec, hostile, node, own_id, read_xml

TITLES = st.text(st.characters() | st.sampled_from(list('"\\<>&#;%`|$_*-.[](){}:\n1Nn')), max_size=30)
JOINER = "\u2060"
BACKSLASH = chr(92)
ESCAPED = 2 * BACKSLASH
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
    drawing = draw_graph(nested(title))
    parts: list[Box] = [*drawing.boxes, *drawing.clusters]
    words = sorted((" " if part in drawing.clusters else "\n").join(line.text for line in part.lines) for part in parts)
    words = [word or " " for word in words]
    assert sorted(read_mermaid(to_mermaid(nested(title)))[0]) == words
    read = ReadDot(to_dot(nested(title)))
    assert read.around == {part.id: part.cluster for part in parts}
    assert sorted(read.texts.values()) == sorted("".join(line.text for line in part.lines) for part in parts)
    for line in to_text(nested(title)).splitlines():
        assert not line.strip() or line.strip() == one_line(line)


def texts(title: str) -> tuple[list[str], list[str]]:
    """Return the expected texts of boxes and next to arrows."""
    drawing = draw_graph(titled(title))
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
def test_the_dot_source_has_every_part(name: str) -> None:
    """Every box, cluster and arrow is there, with its id and its own label; arrows that close a loop are reversed."""
    drawing = draw_graph(GRAPHS[name]())
    read = ReadDot(to_dot(GRAPHS[name]()))
    parts: list[Box] = [*drawing.boxes, *drawing.clusters]
    assert read.texts == {part.id: "".join(line.text for line in part.lines) for part in parts}
    assert sorted(read.arrows) == sorted((a.source, a.target, a.id) for a in drawing.arrows)


class ReadDot:
    """Reads our DOT: every line must be known, and every label be XML of our own elements, or empty."""

    def __init__(self, text: str) -> None:
        self.texts: dict[str, str] = {}
        self.around: dict[str, str] = {}
        self.arrows: list[tuple[str, str, str]] = []
        stack = [""]
        for line in text.splitlines()[5:-1]:
            found = re.fullmatch(r' +(?:(\w+) -> )?(\w+) \[id="(\w+)"((?: \w+="[^"<>]*")*) label=(?:""|<(.*)>)\]', line)
            if found is None:
                begun = re.fullmatch(r' +subgraph "cluster_(\w+)" \{', line)
                assert begun or not line.strip(" }"), line
                stack = [*stack, begun[1]] if begun else stack[: -line.count("}")]
                continue
            source, target, name, facts, label = found.groups()
            read = read_xml(f"<l>{(label or '').replace(ESCAPED, BACKSLASH)}</l>")
            assert {part.tag for part in read.iter()} <= {"l", "FONT", "B", "BR"}
            if source:
                ends = (target, source) if ' dir="back"' in facts else (source, target)
                self.arrows.append((*ends, name))
            elif not name.endswith("_many"):
                self.texts[name] = "".join(read.itertext())
                around = [each for each in stack if each.removesuffix("_many") != name]
                self.around[name] = around[-1].removesuffix("_many")


@pytest.mark.parametrize("name", GRAPHS)
def test_boxes_are_in_their_clusters(name: str) -> None:
    """In DOT and in Mermaid, each box is in the cluster that the drawing defines, and in no other."""
    drawing = draw_graph(GRAPHS[name]())
    around = {cluster.id: cluster.cluster for cluster in drawing.clusters}
    assert ReadDot(to_dot(GRAPHS[name]())).around == around | {box.id: box.cluster for box in drawing.boxes}
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


@given(TITLES)
def test_texts_stay_texts_in_dot(title: str) -> None:
    """Whatever a text contains, there are two ends, one node and two arrows, and only our markup in the labels."""
    read = ReadDot(to_dot(titled(title)))
    assert read.texts.keys() == {"n0", "n1", "n2"}
    assert len(read.arrows) == 2
    assert read.texts["n1"] == texts(title)[0][1].replace("\n", "")


@given(TITLES)
def test_texts_stay_texts_in_mermaid(title: str) -> None:
    """Whatever a text contains, each line is one of ours and each label reads as the text."""
    assert read_mermaid(to_mermaid(titled(title))) == texts(title)


def test_hostile_texts_are_rendered_unchanged() -> None:
    """In an SVG, each line of each box is there and nothing else."""
    svg = read_xml(svg_of(draw_graph(hostile()), "auto").encode())
    spaces = {"s": "http://www.w3.org/2000/svg"}
    groups = svg.findall(".//s:g[@class='node']", spaces)
    painted = {own_id(group): [text.text for text in group.findall("s:text", spaces)] for group in groups}
    assert painted == {box.id: [line.text for line in box.lines] for box in draw_graph(hostile()).boxes}
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
    drawing = draw_graph(titled("Title"))
    assert drawing.boxes[1].lines == (Line("Title", "strong"), Line("a · function", "small"))
    assert "<B>Title</B>" in to_dot(titled("Title"))
    assert "<b>Title</b><br/>a · function" in to_mermaid(titled("Title"))


def test_a_picture_without_a_caption_has_an_empty_label() -> None:
    """Graphviz refuses a label without content."""
    drawing = replace(draw_graph(titled("a")), caption=(), legend=())
    assert 'labeljust="l" label=""]' in dot_text(drawing)


def test_a_text_that_mermaid_does_not_draw_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Above 500 arrows or 50,000 characters, which no setting in the text can raise; a smaller one is drawn."""

    def line(count: int) -> GraphSpec:
        names = [f"n{number}" for number in range(count)]
        edges = [edge(*pair) for pair in pairwise(["START", *names, "END"])]
        return graph_spec([node(name) for name in names], edges)

    to_mermaid(line(400))
    assert not caplog.records
    to_mermaid(line(520))
    assert "has 521 arrows" in caplog.text
    assert "draws up to 500 and 50,000" in caplog.text
