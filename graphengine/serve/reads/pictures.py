"""Draw pictures of graphs for the page, and map the parts of each picture to nodes and edges.

A picture shows a graph without a run, so it is drawn only once. The page highlights the parts that a run has reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace as copied
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from graphengine.kernel.extension import END, FAIL, START
from graphengine.render.drawing import draw_graph
from graphengine.render.files import RenderError
from graphengine.render.parts import plain_text
from graphengine.render.scopes import path_at, scopes_of
from graphengine.serve.read_documents import Arrow, Box, Picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphengine.kernel.reader import GraphSpec
    from graphengine.records.visit_tree import Place
    from graphengine.render.looks import Theme
    from graphengine.render.parts import Box as Part
    from graphengine.render.parts import Detail
    from graphengine.render.scopes import Scope, Spot

_KEPT: Final = 64
_MOST_BOXES: Final = 12
"""The maximum number of nodes of a picture in which no graph is folded."""


@dataclass(frozen=True, eq=False)
class GraphLayout:
    """A graph with its inner graphs, in which each node and each edge has a number.

    Pictures, traces and statistics refer to nodes and edges by these numbers.
    """

    graph_spec: GraphSpec

    @cached_property
    def scopes(self) -> Mapping[Place, Scope]:
        """The graph and its inner graphs. The key is the place: the path of nodes that leads to an inner graph."""
        return scopes_of(self.graph_spec)

    @cached_property
    def spots(self) -> Mapping[Spot, int]:
        found = [(place, name) for place, scope in self.scopes.items() for name in (START, *scope.nodes, END, FAIL)]
        return {spot: number for number, spot in enumerate(found)}

    @cached_property
    def edges(self) -> Mapping[tuple[Place, int], int]:
        found = [(place, index) for place, scope in self.scopes.items() for index in range(len(scope.edges))]
        return {edge: number for number, edge in enumerate(found)}

    def folded(self, opened: Iterable[str], *, is_tight: bool = False) -> frozenset[str]:
        """Return which inner graphs to draw as one box each, so that the picture of a large graph stays readable.

        Args:
            opened: The paths of nodes that must stay visible. An inner graph is not folded if it is one of these nodes
                or contains one.
            is_tight: Whether inner graphs are folded even if there are few nodes.
        """
        inner = {path_at(place[:-1], place[-1][0]) for place in self.scopes if place}
        if not is_tight and sum(len(scope.nodes) for scope in self.scopes.values()) <= _MOST_BOXES:
            return frozenset()
        return frozenset(
            path
            for path in inner
            if not any(each == path or each.startswith((f"{path}/", f"{path} (")) for each in opened)
        )

    @property
    def shape(self) -> list[object]:
        """The nodes and edges without their conditions. If two graphs have equal shapes, their numbers are the same."""
        edges = [(place, e.source, e.target, e.label) for place, scope in self.scopes.items() for e in scope.edges]
        return [*self.spots, *edges]


@lru_cache(maxsize=_KEPT)
def picture_of(atlas: GraphLayout, detail: Detail, theme: Theme, folded: frozenset[str] = frozenset()) -> Picture:
    """Draw the picture of a graph as SVG, and map the ids of its parts to the numbers of nodes and edges.

    This function blocks, so call it in a thread. If the graph cannot be drawn, the picture contains only words.

    Args:
        atlas: The graph, with the numbers of its nodes and edges.
        detail: The level of detail.
        theme: The colours.
        folded: The paths of inner graphs to draw as one box each.
    """
    from graphengine.render.svg import name_in, svg_of  # noqa: PLC0415 - only pictures need it

    whole = draw_graph(atlas.graph_spec, fold=folded, detail=detail)
    drawing = copied(whole, legend=(), caption=())  # the page shows which graph it is
    spots, edges = atlas.spots, atlas.edges
    nodes = {number: path_at(*spot) for spot, number in spots.items()}
    found = Picture(plain_text(whole), [line.text for line in whole.legend], {}, {}, nodes)
    try:
        svg = svg_of(drawing, theme, is_part=True)
    except RenderError as error:
        return replace(found, trouble=f"{error.message}; {error.repair}")
    prefix = f"{name_in(svg)}-"
    parts: list[Part] = [*drawing.boxes, *drawing.clusters]
    boxes = {
        prefix + each.id: Box(spots.get(each.spot), each.name, each.shape, path_at(*each.spot) in folded)
        for each in parts
        if each.spot
    }
    arrows = {
        prefix + each.id: Arrow([edges[e] for e in each.edges if e in edges], prefix + each.target)
        for each in drawing.arrows
    }
    return replace(found, svg=svg, boxes=boxes, arrows=arrows)


__all__ = ["GraphLayout", "picture_of"]
