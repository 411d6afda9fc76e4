r"""A drawing as DOT, the language of Graphviz.

Labels are HTML-like, so that a line can be bold or small. In these Graphviz still replaces `\N`, `\G` and the like,
so backslashes are doubled; characters special in HTML become entities. Every node has a label of its own, because
pygraphviz drops the implied ones.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from graphengine.render.looks import INK, PAPER, SOFT_INK, look_of_arrow, look_of_box, look_of_cluster
from graphengine.render.parts import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphengine.render.looks import Look
    from graphengine.render.parts import Arrow, Box, Drawing, Line

_FONT = "Helvetica,Arial,sans-serif"
_SIZES = {"strong": 12, "normal": 11, "small": 10}
_SHAPES = {
    "start": 'shape="box" style="filled,rounded"',
    "end": 'shape="box" style="filled,rounded" peripheries="2"',
    "fail": 'shape="octagon" style="filled"',
    "function": 'shape="box" style="filled"',
    "agent": 'shape="box" style="filled,rounded"',
    "choose": 'shape="hexagon" style="filled" margin="0.02,0.04"',
    "ask": 'shape="note" style="filled"',
    "graph": 'shape="box" style="filled"',
    "pass": 'shape="ellipse" style="filled" margin="0.04,0.04"',
    "entry": 'shape="circle" style="filled" fixedsize="true" width="0.14" height="0.14"',
    "exit": 'shape="doublecircle" style="filled" fixedsize="true" width="0.12" height="0.12"',
}


def dot_text(drawing: Drawing) -> str:
    """The drawing in DOT."""
    around, reversed_ = _around(drawing.arrows), _reversed(drawing)
    borders = {cluster.id: f"cluster_{cluster.id}{'_many' * cluster.many}" for cluster in drawing.clusters}
    compound = ' compound="true"' if drawing.clusters else ""
    lines = [
        "digraph {",
        f'  graph [id="drawing" rankdir="TB" bgcolor="{PAPER}" pad="0.2" nodesep="0.35" ranksep="0.4"',
        f'    fontname="{_FONT}" labelloc="t" labeljust="l"{compound} label=<{_caption(drawing.caption)}>]',
        f'  node [fontname="{_FONT}" margin="0.16,0.09" width="0.5" height="0.4"]',
        f'  edge [fontname="{_FONT}" arrowsize="0.8"]',
        *_parts(drawing, "", "  "),
        *(_arrow(a, borders, around=a.id in around, reversed_=a.id in reversed_) for a in drawing.arrows),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _parts(drawing: Drawing, cluster: str, indent: str) -> Iterator[str]:
    """What stands in a cluster."""
    for part in drawing.inside(cluster):
        if isinstance(part, Cluster):
            yield from _cluster(drawing, part, indent)
        else:
            yield _box(part, indent)


def _cluster(drawing: Drawing, cluster: Cluster, indent: str) -> Iterator[str]:
    """A cluster; one that is done for many items has a second frame around it."""
    look = look_of_cluster(cluster)
    colours = f'fillcolor="{look.fill}" color="{look.line}" penwidth="{look.line_points:g}"'
    if cluster.many:
        yield f'{indent}subgraph "cluster_{cluster.id}_many" {{'
        yield f'{indent}  graph [id="{cluster.id}_many" style="filled" margin="5" {colours} label=""]'
    yield f'{indent}subgraph "cluster_{cluster.id}" {{'
    yield f'{indent}  graph [id="{cluster.id}" style="filled" margin="12" {colours}'
    yield f"{indent}    label=<{_head(cluster.lines, look)}>]"
    yield from _parts(drawing, cluster.id, f"{indent}  ")
    yield f"{indent}}}"
    if cluster.many:
        yield f"{indent}}}"


def _box(box: Box, indent: str) -> str:
    look = look_of_box(box)
    colours = f'fillcolor="{look.fill}" color="{look.line}" penwidth="{look.line_points:g}"'
    many = ' peripheries="3"' if box.many else ""
    label = f"<{_rows(box.lines, look)}>" if box.lines else '""'
    return f'{indent}{box.id} [id="{box.id}" {_SHAPES[box.shape]}{many} {colours}\n{indent}  label={label}]'


def _around(arrows: Sequence[Arrow]) -> set[str]:
    """The arrows to be led around the right of an opposite one, on which they would lie otherwise.

    Where several arrows lead back to one box, Graphviz does better alone.
    """
    pairs = {(arrow.source, arrow.target) for arrow in arrows if arrow.source != arrow.target}
    backs = Counter(arrow.target for arrow in arrows if arrow.back)
    return {a.id for a in arrows if a.back and backs[a.target] == 1 and (a.target, a.source) in pairs}


def _arrow(arrow: Arrow, borders: Mapping[str, str], *, around: bool, reversed_: bool) -> str:
    look = look_of_arrow(arrow)
    style = "dashed" if arrow.failure else "solid"
    facts = f'id="{arrow.id}" style="{style}" color="{look.line}" penwidth="{look.line_points:g}"'
    if around:
        facts += ' tailport="se" headport="ne"' if reversed_ else ' tailport="ne" headport="se"'
    if arrow.tail:
        facts += f' {"lhead" if reversed_ else "ltail"}="{borders[arrow.tail]}"'
    if arrow.head:
        facts += f' {"ltail" if reversed_ else "lhead"}="{borders[arrow.head]}"'
    if arrow.lines:
        facts += f"\n    label=<{_beside(arrow.lines, look)}>"
    if reversed_:
        return f'  {arrow.target} -> {arrow.source} [dir="back" {facts}]'
    return f"  {arrow.source} -> {arrow.target} [{facts}]"


def _reversed(drawing: Drawing) -> set[str]:
    """The arrows back that are written the other way round: else a graph with clusters would stand on its head.

    Graphviz puts what an arrow leads to below what it comes from, and sees loops through clusters too late.
    """
    return {a.id for a in drawing.arrows if a.back and a.source != a.target} if drawing.clusters else set()


def _rows(lines: Iterable[Line], look: Look) -> str:
    return "<BR/>".join(_row(line, look.soft if line.weight == "small" else look.text) for line in lines)


def _head(lines: Iterable[Line], look: Look) -> str:
    """The same, each line at the left."""
    return "".join(f'{_rows([line], look)}<BR ALIGN="LEFT"/>' for line in lines)


def _caption(lines: Iterable[Line]) -> str:
    colours = {"small": SOFT_INK}
    rows = (f'<TR><TD ALIGN="LEFT">{_row(line, colours.get(line.weight, INK))}</TD></TR>' for line in lines)
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(rows)}</TABLE>'


def _beside(lines: Iterable[Line], look: Look) -> str:
    """A label with some air around it, so that it does not touch its arrow."""
    rows = "".join(f'{_row(line, look.text)}<BR ALIGN="LEFT"/>' for line in lines)
    return f'<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="4"><TR><TD ALIGN="LEFT">{rows}</TD></TR></TABLE>'


def _row(line: Line, colour: str) -> str:
    text = escape(line.text).replace("\\", "\\\\")
    text = f"<B>{text}</B>" if line.weight == "strong" else text
    return f'<FONT POINT-SIZE="{_SIZES[line.weight]}" COLOR="{colour}">{text}</FONT>'
