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
"""`brief`: only names and labels, and where a run is; `full`: also kinds, conditions, what nodes write and used."""
Weight: TypeAlias = Literal["strong", "normal", "small"]
_Place: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text in a picture; `is_pale` if it concerns an edge that the run never took."""

    text: str
    weight: Weight = "normal"
    is_pale: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A node, or START, END or FAIL.

    Attributes:
        id: Its name in the file, made of letters and digits.
        shape: What it is; `graph` is one whose nodes are not shown, `entry` and `exit` are the START and END of a
            nested graph, dots without words, `fork` is a bar without words.
        lines: The text in it.
        spoken: All its text in one sentence, for screen readers.
        tone: What a run did here; `plain` if no run is drawn.
        cluster: The id of the cluster it is in, "" for none.
        many: Whether it runs once for each item of a list.
        name: The name by which other parts refer to it.
        spot: The graph and the node that it is; None if it is not a node.
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
    """A node that is a graph, or chooses among graphs, with its parts in it; its lines are at its head.

    Attributes:
        depth: How many clusters it is in.
    """

    depth: int = 0


@dataclass(frozen=True, slots=True)
class Arrow:
    """The edges from one box to another that are tried after a success, or those tried after a failure.

    Attributes:
        lines: The text next to it.
        failure: Whether it is taken after a failure.
        back: Whether it closes a loop.
        tone: `done` if the run took it, `unused` if it never did, `plain` if no run is drawn.
        tail: The cluster at whose border it begins, since it can leave from any of its nodes; "" for none.
        head: The cluster whose border it ends at; "" for none.
        words: The text of each edge in one line: its place in the order, label, condition, how often it was taken.
        number: The last place of its edges in the order in which their node's edges are tried; 0 if there is no choice.
        edges: The edges, each by its graph and its place in the order of that graph's edges.
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
    """A whole picture.

    Attributes:
        title: The graph's name, in one line.
        caption: The text above the picture.
        spoken: The picture in words.
        clusters: Each after the one it is in.
        legend: The meaning of the signs that are in it.
    """

    title: str
    caption: tuple[Line, ...]
    spoken: str
    boxes: tuple[Box, ...] = field(default=())
    arrows: tuple[Arrow, ...] = field(default=())
    clusters: tuple[Cluster, ...] = field(default=())
    legend: tuple[Line, ...] = field(default=())

    def inside(self, cluster: str = "") -> list[Box]:
        """Return the parts of a cluster, or those in none for "", in declared order."""
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
    """Return the drawing in words, one line per part; clusters are indented, failure edges begin with -x."""
    lines = [line.text for line in drawing.caption]
    lines += ["", *_describe_cluster(drawing, "", "")]
    return "\n".join(lines) + "\n"


def _describe_cluster(drawing: Drawing, cluster: str, indent: str) -> Iterator[str]:
    """Yield the parts of a cluster, each with the arrows that leave it."""
    for part in drawing.inside(cluster):
        yield f"{indent}{part.spoken}"
        leaving = [arrow for arrow in drawing.arrows if (arrow.tail or arrow.source) == part.id]
        yield from (f"{indent}  {text}" for arrow in leaving for text in _describe_arrow(drawing, arrow))
        if isinstance(part, Cluster):
            yield from _describe_cluster(drawing, part.id, f"{indent}    ")


def _describe_arrow(drawing: Drawing, arrow: Arrow) -> Iterator[str]:
    """Yield a line for each edge of an arrow."""
    parts: list[Box] = [*drawing.boxes, *drawing.clusters]
    name = next(part.name for part in parts if part.id == (arrow.head or arrow.target))
    sign = "-x" if arrow.failure else "->"
    for words in arrow.words or ("",):
        yield f"{sign} {name}" + (f": {words}" if words else "")
