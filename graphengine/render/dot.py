r"""A drawing as DOT, the language of Graphviz.

Labels are HTML-like, so that a line can be bold or small. In these Graphviz still replaces `\N`, `\G` and the like,
so backslashes are doubled; characters special in HTML become entities. Every node has a label of its own, because
pygraphviz drops the implied ones.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from graphengine.render.looks import INK, PAPER, SOFT_INK, look_of_arrow, look_of_box

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphengine.render.drawing import Arrow, Box, Drawing, Line
    from graphengine.render.looks import Look

_FONT = "Helvetica,Arial,sans-serif"
_SIZES = {"strong": 12, "normal": 11, "small": 10}
_SHAPES = {
    "start": 'shape="box" style="filled,rounded"',
    "end": 'shape="box" style="filled,rounded" peripheries="2"',
    "fail": 'shape="octagon" style="filled"',
    "function": 'shape="box" style="filled"',
    "agent": 'shape="box" style="filled,rounded"',
    "choose": 'shape="hexagon" style="filled" margin="0.02,0.04"',
    "pass": 'shape="ellipse" style="filled" margin="0.04,0.04"',
}


def dot_text(drawing: Drawing) -> str:
    """The drawing in DOT."""
    around = _around(drawing.arrows)
    lines = [
        "digraph {",
        f'  graph [id="drawing" rankdir="TB" bgcolor="{PAPER}" pad="0.2" nodesep="0.35" ranksep="0.4"',
        f'    fontname="{_FONT}" labelloc="t" labeljust="l" label=<{_caption(drawing.caption)}>]',
        f'  node [fontname="{_FONT}" margin="0.16,0.09" width="0.5" height="0.4"]',
        f'  edge [fontname="{_FONT}" arrowsize="0.8"]',
        *(_box(box) for box in drawing.boxes),
        *(_arrow(arrow, around=arrow.id in around) for arrow in drawing.arrows),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _box(box: Box) -> str:
    look = look_of_box(box)
    colours = f'fillcolor="{look.fill}" color="{look.line}" penwidth="{look.line_points:g}"'
    label = _rows(box.lines, look.text, look.soft)
    return f'  {box.id} [id="{box.id}" {_SHAPES[box.shape]} {colours}\n    label=<{label}>]'


def _around(arrows: Sequence[Arrow]) -> set[str]:
    """The arrows to be led around the right of an opposite one, on which they would lie otherwise.

    Where several arrows lead back to one box, Graphviz does better alone.
    """
    pairs = {(arrow.source, arrow.target) for arrow in arrows if arrow.source != arrow.target}
    backs = Counter(arrow.target for arrow in arrows if arrow.back)
    return {a.id for a in arrows if a.back and backs[a.target] == 1 and (a.target, a.source) in pairs}


def _arrow(arrow: Arrow, *, around: bool) -> str:
    look = look_of_arrow(arrow)
    style = "dashed" if arrow.failure else "solid"
    facts = f'id="{arrow.id}" style="{style}" color="{look.line}" penwidth="{look.line_points:g}"'
    if around:
        facts += ' tailport="ne" headport="se"'
    if arrow.lines:
        facts += f"\n    label=<{_beside(arrow.lines, look)}>"
    return f"  {arrow.source} -> {arrow.target} [{facts}]"


def _rows(lines: Iterable[Line], colour: str, soft: str) -> str:
    return "<BR/>".join(_row(line, soft if line.weight == "small" else colour) for line in lines)


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
