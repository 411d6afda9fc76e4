r"""Write a drawing as DOT, the language of Graphviz. Graphviz then lays out the drawing in its own way.

- Labels are HTML-like, so that a line can be bold or small. Graphviz replaces `\N`, `\G` and similar sequences even in
  such labels, so backslashes are doubled. Special characters of HTML become entities.
- Every box has an explicit label, because pygraphviz drops implied labels.
- An arrow that closes a loop is written in reverse. Graphviz puts the target of an arrow below its source, and would
  otherwise draw graphs in clusters upside down.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from graphengine.render.looks import INK, PALE, PAPER, SOFT_INK, by_night, look_of_arrow, look_of_box, look_of_cluster
from graphengine.render.metrics import SIZES
from graphengine.render.parts import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphengine.render.looks import Look
    from graphengine.render.parts import Arrow, Drawing, Line

_FONT = 'fontname="Helvetica,Arial,sans-serif"'
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


def dot_text(drawing: Drawing, *, dark: bool = False) -> str:
    """Write a picture as DOT text for Graphviz.

    Args:
        drawing: The picture.
        dark: Whether to use the dark theme's colours.
    """
    return "\n".join(_DotWriter(drawing, dark=dark).lines()) + "\n"


class _DotWriter:
    """Writes one drawing."""

    def __init__(self, drawing: Drawing, *, dark: bool) -> None:
        self.drawing = drawing
        self.dark = dark
        self.borders = {each.id: f"cluster_{each.id}{'_many' * each.many}" for each in drawing.clusters}

    def lines(self) -> Iterator[str]:
        """Yield all lines."""
        above = self._label([*self.drawing.caption, *self.drawing.legend], INK, SOFT_INK, "LEFT")
        yield "digraph {"
        yield f'  graph [id="drawing" rankdir="TB" bgcolor="{self._shade(PAPER)}" pad="0.2" compound="true"'
        yield f'    {_FONT} labelloc="t" labeljust="l" label={above}]'
        yield f'  node [{_FONT} margin="0.14,0.07" width="0.5" height="0.4"]'
        yield f'  edge [{_FONT} arrowsize="0.8"]'
        yield from self._parts("", "  ")
        for arrow in sorted(self.drawing.arrows, key=lambda arrow: (arrow.back, arrow.failure)):
            yield f"  {self._arrow(arrow)}"
        yield "}"

    def _shade(self, colour: str) -> str:
        return by_night(colour) if self.dark else colour

    def _colours(self, look: Look) -> str:
        fill, line = self._shade(look.fill), self._shade(look.line)
        return f'fillcolor="{fill}" color="{line}" penwidth="{look.line_points:g}"'

    def _label(self, lines: Sequence[Line], ink: str, soft: str, align: str = "CENTER") -> str:
        found = ""
        for line in lines:
            text = escape(line.text).replace("\\", "\\\\")
            text = f"<B>{text}</B>" if line.weight == "strong" else text
            colour = self._shade(PALE if line.is_pale else soft if line.weight == "small" else ink)
            found += f'<FONT POINT-SIZE="{SIZES[line.weight]}" COLOR="{colour}">{text}</FONT><BR ALIGN="{align}"/>'
        return f"<{found}>" if found else '""'

    def _parts(self, cluster: str, indent: str) -> Iterator[str]:
        """Yield the DOT text for everything inside a frame: boxes, and further frames with their contents.

        A map's frame gets a second frame around it.
        """
        for part in self.drawing.inside(cluster):
            if not isinstance(part, Cluster):
                look, many = look_of_box(part), ' peripheries="3"' * part.many
                facts = f'id="{part.id}" {_SHAPES[part.shape]}{many} {self._colours(look)}'
                yield f"{indent}{part.id} [{facts} label={self._label(part.lines, look.text, look.soft)}]"
                continue
            look = look_of_cluster(part)
            style = f'style="filled" {self._colours(look)}'
            if part.many:
                yield f'{indent}subgraph "cluster_{part.id}_many" {{'
                yield f'{indent}  graph [id="{part.id}_many" margin="5" {style} label=""]'
            yield f'{indent}subgraph "cluster_{part.id}" {{'
            label = self._label(part.lines, look.text, look.soft, "LEFT")
            yield f'{indent}  graph [id="{part.id}" margin="12" {style} label={label}]'
            yield from self._parts(part.id, f"{indent}  ")
            yield f"{indent}}}" * (1 + part.many)

    def _arrow(self, arrow: Arrow) -> str:
        look, is_reversed = look_of_arrow(arrow), arrow.back and arrow.source != arrow.target
        ends, (tail, head) = (arrow.source, arrow.target), ("ltail", "lhead")
        if is_reversed:
            ends, (tail, head) = ends[::-1], (head, tail)
        style = f'style="{"dashed" if arrow.failure else "solid"}" color="{self._shade(look.line)}"'
        facts = f'id="{arrow.id}" {style} penwidth="{look.line_points:g}"'
        facts += ' dir="back"' * is_reversed
        facts += f' {tail}="{self.borders[arrow.tail]}"' if arrow.tail else ""
        facts += f' {head}="{self.borders[arrow.head]}"' if arrow.head else ""
        return f"{ends[0]} -> {ends[1]} [{facts} label={self._label(arrow.lines, look.text, look.text)}]"
