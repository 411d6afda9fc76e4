r"""A drawing as DOT, the language of Graphviz.

Labels are HTML-like, so that a line can be bold or small. A label is a table whose cells have fixed sizes, computed in
`graphengine.render.metrics`: Graphviz would measure text in the fonts it finds, and lay out the same graph differently
on each machine. The background of each table is transparent; in an SVG it marks where the lines belong. In labels
Graphviz still replaces `\N`, `\G` and the like, so backslashes are doubled; characters special in HTML become entities.
Every node has an explicit label, because pygraphviz drops the implied ones.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from graphengine.render.looks import INK, PALE, PAPER, SOFT_INK, by_night, look_of_arrow, look_of_box, look_of_cluster
from graphengine.render.metrics import SIZES, line_height, line_width
from graphengine.render.parts import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.render.looks import Look
    from graphengine.render.parts import Arrow, Box, Detail, Drawing, Line

_FONT = "Helvetica,Arial,sans-serif"
_SHAPES = {
    "start": 'shape="box" style="filled,rounded"',
    "end": 'shape="box" style="filled,rounded" peripheries="2"',
    "fail": 'shape="octagon" style="filled"',
    "function": 'shape="box" style="filled"',
    "agent": 'shape="box" style="filled,rounded"',
    "choose": 'shape="hexagon" style="filled" margin="0.02,0.04"',
    "ask": 'shape="note" style="filled"',
    "graph": 'shape="folder" style="filled" margin="0.16,0.13"',
    "pass": 'shape="ellipse" style="filled" margin="0.04,0.04"',
    "entry": 'shape="circle" style="filled" fixedsize="true" width="0.14" height="0.14"',
    "exit": 'shape="doublecircle" style="filled" fixedsize="true" width="0.12" height="0.12"',
    "fork": 'shape="box" style="filled" fixedsize="true" width="0.9" height="0.07"',
}
_TABLE: Final = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="{padding}"{facts}>{rows}</TABLE>'
_CELL: Final = '<TR><TD FIXEDSIZE="TRUE" WIDTH="{wide}" HEIGHT="{high}" ALIGN="{align}">{row}</TD></TR>'
_BRIDGE: Final = ' FIXEDSIZE="TRUE" WIDTH="{wide}" HEIGHT="5" BGCOLOR="{colour}"'
"""Covers the gap of some points that Graphviz leaves between the halves of an arrow that turns."""
_ROOM: Final = _TABLE.format(padding=0, facts=' FIXEDSIZE="TRUE" WIDTH="10" HEIGHT="10"', rows="<TR><TD></TD></TR>")
"""The label of an arrow without words next to another one, which keeps it apart."""
_ROW_OF: Final = 12
"""The most arrows out of one box to one row; with more, every other one leads a row lower."""
_MOST_ROWS: Final = 4
_APART: Final[Mapping[Detail, str]] = {"brief": "0.25", "full": "0.35"}
"""Inches between two boxes next to each other."""
_SPINE: Final = 12
"""The weight of an arrow from a node to the one that is declared next."""


def dot_text(drawing: Drawing, *, dark: bool = False) -> str:
    """Return the drawing in DOT.

    Args:
        drawing: The drawing.
        dark: Whether to use the dark theme's colours.
    """
    return _Writer(drawing, dark=dark).text()


class _Writer:
    """Writes one drawing."""

    def __init__(self, drawing: Drawing, *, dark: bool) -> None:
        self.drawing = drawing
        self.dark = dark
        self.around, self.reversed = _around(drawing.arrows), _reversed(drawing)
        self.landing = _landing(drawing) - self.around
        self.lengths = _lengths(drawing, self.landing)
        self.borders = {each.id: f"cluster_{each.id}{'_many' * each.many}" for each in drawing.clusters}
        self.arrows = _arrows_by_cluster(drawing)
        self.ordered = _ordered(drawing)
        top = [arrow for arrow in self.arrows.get("", ()) if not arrow.head]
        self.cornered = {arrow.id for arrow in top if arrow.target in self.ordered}
        pairs = Counter((arrow.source, arrow.target) for arrow in drawing.arrows)
        self.doubled = {arrow.id for arrow in drawing.arrows if pairs[arrow.source, arrow.target] > 1}

    def text(self) -> str:
        """Return the whole text."""
        drawing = self.drawing
        compound = ' compound="true"' if drawing.clusters else ""
        above = [*drawing.caption, *drawing.legend]
        caption = f"<{_table(above, self._shade(INK), self._shade(SOFT_INK))}>" if above else '""'
        lines = [
            "digraph {",
            f'  graph [id="drawing" rankdir="TB" bgcolor="{self._shade(PAPER)}" pad="0.2"',
            f'    nodesep="{_APART[drawing.detail]}" ranksep="0.4"',
            f'    fontname="{_FONT}" labelloc="t" labeljust="l"{compound} label={caption}]',
            f'  node [fontname="{_FONT}" margin="0.14,0.07" width="0.5" height="0.4"]',
            f'  edge [fontname="{_FONT}" arrowsize="0.8"]',
            *self._parts("", "  "),
        ]
        return "\n".join([*lines, "}"]) + "\n"

    def _shade(self, colour: str) -> str:
        return by_night(colour) if self.dark else colour

    def _colours(self, look: Look) -> str:
        fill, line = self._shade(look.fill), self._shade(look.line)
        return f'fillcolor="{fill}" color="{line}" penwidth="{look.line_points:g}"'

    def _parts(self, cluster: str, indent: str) -> Iterator[str]:
        """Yield the parts of a cluster and its inner arrows, whose words Graphviz then keeps inside it."""
        for part in self.drawing.inside(cluster):
            if isinstance(part, Cluster):
                yield from self._cluster(part, indent)
            else:
                yield self._box(part, indent)
        for arrow in sorted(self.arrows.get(cluster, ()), key=lambda arrow: (arrow.back, arrow.failure)):
            yield from (f"{indent}{line}" for line in self._arrow(arrow))
        for box, below in _below(self.drawing, cluster):
            yield f'{indent}{box} -> {below} [style="invis" weight="0"]'

    def _cluster(self, cluster: Cluster, indent: str) -> Iterator[str]:
        """Yield a cluster; one that runs for many items has a second frame around it."""
        look = look_of_cluster(cluster)
        colours = self._colours(look)
        if cluster.many:
            yield f'{indent}subgraph "cluster_{cluster.id}_many" {{'
            yield f'{indent}  graph [id="{cluster.id}_many" style="filled" margin="5" {colours} label=""]'
        yield f'{indent}subgraph "cluster_{cluster.id}" {{'
        yield f'{indent}  graph [id="{cluster.id}" style="filled" margin="12" {colours}'
        head = _table(cluster.lines, self._shade(look.text), self._shade(look.soft))
        yield f"{indent}    label=<{head}>]"
        yield from self._parts(cluster.id, f"{indent}  ")
        yield f"{indent}}}"
        if cluster.many:
            yield f"{indent}}}"

    def _box(self, box: Box, indent: str) -> str:
        look = look_of_box(box)
        many = ' peripheries="3"' if box.many else ""
        rows = _table(box.lines, self._shade(look.text), self._shade(look.soft), align="CENTER")
        label = f"<{rows}>" if box.lines else '""'
        ordered = ' ordering="out"' if box.id in self.ordered else ""
        facts = f'id="{box.id}" {_SHAPES[box.shape]}{many} {self._colours(look)}{ordered}'
        return f"{indent}{box.id} [{facts}\n{indent}  label={label}]"

    def _arrow(self, arrow: Arrow) -> Iterator[str]:
        look = look_of_arrow(arrow)
        style = "dashed" if arrow.failure else "solid"
        line, text = self._shade(look.line), self._shade(look.text)
        painted = f'style="{style}" color="{line}" penwidth="{look.line_points:g}"'
        tailport, headport, is_reversed = _ports(arrow, self.around, self.reversed, self.cornered)
        facts = f'id="{arrow.id}" {painted}'
        facts += "".join(f' {name}="{value}"' for name, value in self.lengths.get(arrow.id, {}).items())
        facts += f' tailport="{tailport}"' if tailport else ""
        facts += f' headport="{headport}"' if headport else ""
        if arrow.tail:
            facts += f' {"lhead" if is_reversed else "ltail"}="{self.borders[arrow.tail]}"'
        head = f' {"ltail" if is_reversed else "lhead"}="{self.borders[arrow.head]}"' if arrow.head else ""
        padded = _padded(arrow.lines, text, self._shade(PALE)) if arrow.lines else _ROOM
        label = f"\n    label=<{padded}>" if arrow.lines or arrow.id in self.doubled else ""
        if arrow.id in self.landing:
            turn = f"{arrow.id}_turn"
            facts_of_bridge = _BRIDGE.format(wide=round(look.line_points), colour=line)
            bridge = _TABLE.format(padding=0, facts=facts_of_bridge, rows="<TR><TD></TD></TR>")
            yield f'{turn} [id="{turn}" shape="none" fixedsize="true" width="0.01" height="0.01" label=<{bridge}>]'
            yield f'{arrow.source} -> {turn} [{facts} headport="n" headclip="false" arrowhead="none"{label}]'
            ends = 'tailport="s" tailclip="false" weight="20"'
            yield f'{turn} -> {arrow.target} [id="{arrow.id}_end" {painted} {ends}{head}]'
        elif is_reversed:
            yield f'{arrow.target} -> {arrow.source} [dir="back" {facts}{head}{label}]'
        else:
            yield f"{arrow.source} -> {arrow.target} [{facts}{head}{label}]"


def _landing(drawing: Drawing) -> set[str]:
    """Return the arrows that turn downwards before they reach a cluster, if several arrows leave their box.

    Graphviz aims an arrow at a box inside the cluster and cuts it off at the border, so that one from far aside would
    end at the cluster's corner. After a turn right above that box it falls straight to the border.
    """
    leaving = Counter(arrow.source for arrow in drawing.arrows if not arrow.back)
    return {a.id for a in drawing.arrows if a.head and not a.tail and not a.back and leaving[a.source] > 1}


def _arrows_by_cluster(drawing: Drawing) -> dict[str, list[Arrow]]:
    """Group the arrows by the innermost cluster that contains both their ends, "" for none."""
    parents = {cluster.id: cluster.cluster for cluster in drawing.clusters}
    around = {box.id: _up(box.cluster, parents) for box in drawing.boxes}
    found: dict[str, list[Arrow]] = {}
    for arrow in drawing.arrows:
        there = around[arrow.target]
        found.setdefault(next(each for each in around[arrow.source] if each in there), []).append(arrow)
    return found


def _up(cluster: str, parents: Mapping[str, str]) -> list[str]:
    """Return a cluster, the clusters around it, and "" for the whole picture."""
    found = [cluster]
    while found[-1]:
        found.append(parents[found[-1]])
    return found


def _around(arrows: Sequence[Arrow]) -> set[str]:
    """Return the arrows to lead around the right of an opposite one, which they would overlap otherwise.

    If several arrows lead back to one box, Graphviz places them better by itself.
    """
    pairs = {(arrow.source, arrow.target) for arrow in arrows if arrow.source != arrow.target}
    backs = Counter(arrow.target for arrow in arrows if arrow.back)
    return {a.id for a in arrows if a.back and backs[a.target] == 1 and (a.target, a.source) in pairs}


def _reversed(drawing: Drawing) -> set[str]:
    """Return the backward arrows, to write in reverse: Graphviz puts an arrow's target below its source.

    Otherwise it would choose the backward arrows itself, and draw graphs in clusters upside down.
    """
    return {a.id for a in drawing.arrows if a.back and a.source != a.target}


def _ordered(drawing: Drawing) -> set[str]:
    """Return the boxes whose arrows stand from left to right in the order in which they are tried.

    Graphviz writes the words of two arrows between the same boxes over each other if it has to keep an order.
    """
    pairs = Counter(frozenset((arrow.source, arrow.target)) for arrow in drawing.arrows if arrow.lines)
    doubled = {name for pair, count in pairs.items() if count > 1 for name in pair}
    return {box.id for box in drawing.boxes} - doubled


def _below(drawing: Drawing, cluster: str) -> list[tuple[str, str]]:
    """Return the last boxes of a nested graph, each with the exit dot to put below it.

    Otherwise what follows the graph would be drawn next to it, level with the box that leads there.
    """
    boxes = [box for box in drawing.boxes if cluster and box.cluster == cluster]
    ends = [box for box in boxes if box.shape == "exit"]
    continuing = {arrow.source for arrow in drawing.arrows if not arrow.back} if ends else set()
    return [(box.id, end.id) for end in ends for box in boxes if box is not end and box.id not in continuing]


def _ports(arrow: Arrow, around: set[str], reversed_: set[str], cornered: set[str]) -> tuple[str, str, bool]:
    """Return where an arrow leaves and ends, "" for anywhere, and whether it is written in reverse."""
    is_reversed = arrow.id in reversed_
    if arrow.id not in around:
        # at the corner above, so that it does not end where arrows begin; in a frame, that needs too much room
        return "ne" if is_reversed and arrow.id in cornered else "", "", is_reversed
    return ("se", "ne", True) if is_reversed else ("ne", "se", False)


def _lengths(drawing: Drawing, landing: set[str]) -> dict[str, dict[str, int]]:
    """Return weights that keep arrows straight or short, and least lengths that spread many arrows of one box."""
    shapes = {box.id: box.shape for box in drawing.boxes}
    facts = {name: {"weight": 2} for name in landing}
    facts |= {arrow.id: {"weight": 8} for arrow in drawing.arrows if shapes[arrow.source] == "entry"}
    following = {pair for units in _units(drawing) for pair in pairwise(units)}
    for arrow in drawing.arrows:
        if not arrow.failure and (arrow.source, arrow.target) in following:
            facts[arrow.id] = {"weight": _SPINE}
    out: dict[str, list[Arrow]] = {}
    for arrow in drawing.arrows:
        if not arrow.back:
            out.setdefault(arrow.source, []).append(arrow)
    for arrows in out.values():
        rows = min(-(-len(arrows) // _ROW_OF), _MOST_ROWS)
        for place, arrow in enumerate(arrows if rows > 1 else ()):
            facts.setdefault(arrow.id, {})["minlen"] = 1 + place % rows
    return facts


def _units(drawing: Drawing) -> Iterator[list[str]]:
    """Yield the boxes of each cluster, in declared order."""
    for cluster in ("", *(each.id for each in drawing.clusters)):
        yield [box.id for box in drawing.boxes if box.cluster == cluster]


def _table(lines: Sequence[Line], ink: str, soft: str, align: str = "LEFT", pale: str = PALE) -> str:
    """Return lines as a table, each in a cell of its own height and of the width of the longest."""
    wide = max(map(line_width, lines), default=0)
    rows = (
        _CELL.format(
            wide=wide,
            high=line_height(line),
            align=align,
            row=_row(line, pale if line.is_pale else soft if line.weight == "small" else ink),
        )
        for line in lines
    )
    return _TABLE.format(padding=0, facts=' BGCOLOR="transparent"', rows="".join(rows))


def _padded(lines: Sequence[Line], ink: str, pale: str) -> str:
    """Return a label with padding, so that it does not touch its arrow."""
    return _TABLE.format(padding=4, facts="", rows=f"<TR><TD>{_table(lines, ink, ink, pale=pale)}</TD></TR>")


def _row(line: Line, colour: str) -> str:
    text = escape(line.text).replace("\\", "\\\\")
    text = f"<B>{text}</B>" if line.weight == "strong" else text
    return f'<FONT POINT-SIZE="{SIZES[line.weight]}" COLOR="{colour}">{text}</FONT>'
