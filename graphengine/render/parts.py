"""The parts of a picture: boxes, arrows, and clusters around the boxes of nested graphs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Shape: TypeAlias = Literal[
    "start", "end", "fail", "function", "agent", "choose", "ask", "graph", "pass", "entry", "exit", "fork"
]
Tone: TypeAlias = Literal["plain", "done", "here", "waiting", "failed", "unused"]
Detail: TypeAlias = Literal["brief", "full"]
"""How much a picture shows.

`brief` shows only names, labels and the places where a run is. `full` also shows kinds, conditions, written fields,
times and costs.
"""
Weight: TypeAlias = Literal["strong", "normal", "small"]
_Place: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text in a picture, and how it is written.

    `is_pale` is True for the text of an edge that the run never took.
    """

    text: str
    weight: Weight = "normal"
    is_pale: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a picture: a node, or START, END or FAIL.

    Attributes:
        id: The id of the box in the file, made of letters and digits.
        shape: The kind of the box. `graph` is a nested graph whose nodes are not shown. `entry` and `exit` are the
            START and END of a nested graph, drawn as dots without words. `fork` is drawn as a bar without words.
        lines: The text in the box.
        spoken: All text of the box in one sentence, for screen readers.
        tone: The state of a run at the box; `plain` if no run is drawn.
        cluster: The id of the cluster that contains the box; "" if no cluster contains it.
        many: Whether the node runs once for each item of a list.
        name: The name by which other parts refer to the box.
        spot: The graph and the name of the node; None if the box is not a node.
    """

    id: str
    shape: Shape
    lines: tuple[Line, ...]
    spoken: str
    tone: Tone = "plain"
    cluster: str = ""
    many: bool = False
    name: str = ""
    spot: tuple[_Place, str] | None = None


@dataclass(frozen=True, slots=True)
class Cluster(Box):
    """A frame in a picture, which contains the boxes of a nested graph.

    The frame stands for the node that runs this graph or chooses among graphs.

    The text of the frame is at its top.

    Attributes:
        depth: The number of frames around this frame; 0 for an outermost frame.
    """

    depth: int = 0


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow from one box to another.

    An arrow shows all edges between the two boxes that are tried after a success, or all that are tried after a
    failure.

    Attributes:
        id: The id of the arrow in the file.
        source: The id of the box where the arrow begins.
        target: The id of the box where the arrow ends.
        lines: The text next to the arrow.
        spoken: All text of the arrow in one sentence, for screen readers.
        failure: Whether the edges are tried after a failure.
        back: Whether the arrow closes a loop.
        tone: `done` if the run took one of the edges, `unused` if it took none, `plain` if no run is drawn.
        tail: The cluster at whose border the arrow begins, because any node in the cluster may have failed; "" if the
            arrow begins at a box.
        head: The cluster at whose border the arrow ends; "" if the arrow ends at a box.
        words: The text of each edge in one line: its number, its label, its condition, and how often it was taken.
        number: The highest number of the edges in the order in which the edges of the node are tried; 0 if the node has
            no choice.
        edges: The edges, each by its graph and its index among the edges of that graph.
    """

    id: str
    source: str
    target: str
    lines: tuple[Line, ...]
    spoken: str
    failure: bool = False
    back: bool = False
    tone: Tone = "plain"
    tail: str = ""
    head: str = ""
    words: tuple[str, ...] = ()
    number: int = 0
    edges: tuple[tuple[_Place, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture of a graph, in a form that can be written as SVG, Mermaid, DOT or text.

    Attributes:
        title: The graph's name, in one line.
        caption: The text above the picture.
        spoken: The picture in words, for screen readers.
        boxes: The boxes.
        arrows: The arrows.
        clusters: The frames around nested graphs. Each comes after the frame that contains it.
        legend: The meaning of the signs in the picture.
    """

    title: str
    caption: tuple[Line, ...]
    spoken: str
    boxes: tuple[Box, ...] = field(default=())
    arrows: tuple[Arrow, ...] = field(default=())
    clusters: tuple[Cluster, ...] = field(default=())
    legend: tuple[Line, ...] = field(default=())

    def inside(self, cluster: str = "") -> list[Box]:
        """Return the boxes and frames that are directly inside a frame, in the order in which their nodes are declared.

        Args:
            cluster: The id of the frame; "" for the whole picture.
        """
        parents = {inner.id: inner.cluster for inner in self.clusters}
        first: dict[str, int] = {}
        for index, box in enumerate(self.boxes):
            around = box.cluster
            while around and around not in first:
                first[around] = index
                around = parents[around]
        found: list[tuple[int, Box]] = [(i, box) for i, box in enumerate(self.boxes) if box.cluster == cluster]
        found += [(first.get(inner.id, -1), inner) for inner in self.clusters if inner.cluster == cluster]
        return [part for _, part in sorted(found, key=lambda pair: pair[0])]


def plain_text(drawing: Drawing) -> str:
    """Describe a picture in words, with one line of text for each box and arrow.

    The parts of a frame are indented. The line for an edge begins with `->`, and the line for an edge that is tried
    after a failure with `-x`.
    """
    lines = [line.text for line in drawing.caption]
    lines += ["", *_describe_cluster(drawing, "", "")]
    return "\n".join(lines) + "\n"


def _describe_cluster(drawing: Drawing, cluster: str, indent: str) -> Iterator[str]:
    """Yield the lines of text that describe what is inside a frame of a picture.

    After each box or inner frame, the arrows that begin at it are described.
    """
    for part in drawing.inside(cluster):
        yield f"{indent}{part.spoken}"
        leaving = [arrow for arrow in drawing.arrows if (arrow.tail or arrow.source) == part.id]
        yield from (f"{indent}  {text}" for arrow in leaving for text in _describe_arrow(drawing, arrow))
        if isinstance(part, Cluster):
            yield from _describe_cluster(drawing, part.id, f"{indent}    ")


def _describe_arrow(drawing: Drawing, arrow: Arrow) -> Iterator[str]:
    """Yield the lines of text that describe an arrow.

    An arrow can stand for several edges, and each edge has a line.
    """
    parts: list[Box] = [*drawing.boxes, *drawing.clusters]
    name = next(part.name for part in parts if part.id == (arrow.head or arrow.target))
    sign = "-x" if arrow.failure else "->"
    for words in arrow.words or ("",):
        yield f"{sign} {name}" + (f": {words}" if words else "")
