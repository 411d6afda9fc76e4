"""A drawing as a Mermaid flowchart.

All text is in double quotes, where Mermaid still interprets entities, HTML, Markdown, icons, line breaks and
mathematics. So every character except letters, digits and some harmless punctuation is written as an entity (`#35;` is
`#`). Some versions decode these before they look for the rest, so an invisible word joiner breaks what they would still
find: `$$`, `fa:fa-…`, a backslash before `n`, and the bullets and numbers of lists.

A page can be light or dark, and a flowchart has one set of colours. So boxes bring their own background, clusters have
none, and lines have colours between the two.

The head of a cluster has room for one line of any length. Arrows to a cluster lead to its first box, since Mermaid lays
out arrows between boxes better.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from graphengine.render.looks import PALE, look_of_arrow, look_of_box, look_of_cluster, mermaid_line
from graphengine.render.parts import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphengine.render.parts import Arrow, Box, Drawing, Line

log = logging.getLogger("graphengine.render")

MOST_ARROWS, MOST_CHARACTERS = 500, 50_000
"""What Mermaid draws unless the page that has it says otherwise; GitHub does not. No setting in the text can raise it.

Source: `maxEdges` and `maxTextSize` in https://mermaid.js.org/config/schema-docs/config.html
"""
_TOO_LARGE: Final = (
    "this Mermaid text has %s arrows and %s characters; Mermaid, and so GitHub, draws up to %s and %s\n"
    '  repair: draw nested graphs as one box each (fold=0, --fold 0), only names and labels (detail="brief", '
    "--detail brief), or another format, such as .svg"
)
_OPEN_CLOSE = {
    "start": ("([", "])"),
    "end": ("([", "])"),
    "fail": ("{{", "}}"),
    "function": ("[", "]"),
    "agent": ("(", ")"),
    "choose": ("{{", "}}"),
    "ask": ("[\\", "/]"),
    "graph": ("[", "]"),
    "pass": ("((", "))"),
    "entry": ("((", "))"),
    "exit": ("(((", ")))"),
    "fork": ("[", "]"),
}
_MANY = ("[[", "]]")
_NAMED = {'"': "quot", "&": "amp", "<": "lt", ">": "gt"}
_LAST_WESTERN = 0x2FF
"""Beyond are other scripts, symbols and emoji, which have no meaning in Mermaid."""
_HARMLESS = frozenset(" .,-='/?·…\N{MULTIPLICATION SIGN}")
_SETTINGS = '%%{init: {"flowchart": {"wrappingWidth": 2000}}}%%'
"""Lines are broken here already."""
_DARK = ("start", "entry", "exit", "fork")
"""Shapes whose fill would be dark on a dark page."""
_JOINER = "\u2060"
_SYNTAX = re.compile(r"\$(?=\$)|fa[a-z]?:(?=fa-)|\\(?=n)")
_BULLET = re.compile(r"\d+[.)]|[^\w\s]")


def mermaid_text(drawing: Drawing) -> str:
    """Write a picture as a Mermaid flowchart, and log a warning if it is larger than Mermaid can draw."""
    lines = [
        _SETTINGS,
        "flowchart TD",
        f"  accTitle: {_keep_plain_characters(drawing.title)}",
        f"  accDescr: {len(drawing.boxes)} boxes and {len(drawing.arrows)} arrows",
        *_write_cluster_parts(drawing, "", "  "),
        *(_write_arrow(arrow) for arrow in drawing.arrows),
        *_styles(drawing),
    ]
    text = "\n".join(lines) + "\n"
    if len(drawing.arrows) > MOST_ARROWS or len(text) > MOST_CHARACTERS:
        found = len(drawing.arrows), len(text), MOST_ARROWS, MOST_CHARACTERS
        log.warning(_TOO_LARGE, *(f"{number:,}" for number in found))
    return text


def _write_cluster_parts(drawing: Drawing, cluster: str, indent: str) -> Iterator[str]:
    """Yield the Mermaid text for everything inside a frame: boxes, and further frames with their contents."""
    for part in drawing.inside(cluster):
        if isinstance(part, Cluster):
            yield f'{indent}subgraph {part.id}["{_write_label(part.lines, " ")}"]'
            yield from _write_cluster_parts(drawing, part.id, f"{indent}  ")
            yield f"{indent}end"
        else:
            yield f"{indent}{_box(part)}"


def _box(box: Box) -> str:
    before, after = _MANY if box.many else _OPEN_CLOSE[box.shape]
    return f'{box.id}{before}"{_write_label(box.lines) or " "}"{after}'


def _write_arrow(arrow: Arrow) -> str:
    line = "-.->" if arrow.failure else "==>" if arrow.tone == "done" else "-->"
    label = f'|"{_write_label(arrow.lines)}"|' if arrow.lines else ""
    return f"  {arrow.tail or arrow.source} {line}{label} {arrow.target}"


def _styles(drawing: Drawing) -> list[str]:
    """Return the lines of a Mermaid text that set the colours and widths.

    Boxes and frames that look alike share one class, and arrows that look alike share one line.
    """
    classes: dict[str, list[str]] = {}
    for box in drawing.boxes:
        look = look_of_box(box)
        fill, line = (PALE, PALE) if box.shape in _DARK else (look.fill, look.line)
        style = f"fill:{fill},stroke:{line},color:{look.text},stroke-width:{look.line_points:g}px"
        classes.setdefault(style, []).append(box.id)
    for cluster in drawing.clusters:
        points = look_of_cluster(cluster).line_points
        classes.setdefault(f"fill:none,stroke:{mermaid_line(cluster)},stroke-width:{points:g}px", []).append(cluster.id)
    arrows: dict[str, list[str]] = {}
    for index, arrow in enumerate(drawing.arrows):
        style = f"stroke:{mermaid_line(arrow)},stroke-width:{look_of_arrow(arrow).line_points:g}px"
        arrows.setdefault(style, []).append(str(index))
    lines: list[str] = []
    for index, (style, ids) in enumerate(classes.items()):
        lines += [f"  classDef look{index} {style}", f"  class {','.join(ids)} look{index}"]
    return lines + [f"  linkStyle {','.join(indices)} {style}" for style, indices in arrows.items()]


def _write_label(lines: Iterable[Line], between: str = "<br/>") -> str:
    return between.join(
        f"<b>{_escape_line(line.text)}</b>" if line.weight == "strong" and not line.is_pale else _escape_line(line.text)
        for line in lines
    )


def _escape_line(text: str) -> str:
    broken = _SYNTAX.sub(lambda found: found[0] + _JOINER, text)
    safe = "".join(f"#{_NAMED.get(c, ord(c))};" if _special(broken, i) else c for i, c in enumerate(broken))
    return _JOINER + safe if _BULLET.match(text) else safe


def _special(text: str, index: int) -> bool:
    """Return whether the character at this index of a text must be escaped in Mermaid.

    An underscore inside a word need not be escaped.
    """
    character = text[index]
    if character == "_":
        return index == 0 or not (text[index - 1].isalnum() and text[index + 1 : index + 2].isalnum())
    return not (character.isalnum() or character in _HARMLESS or ord(character) > _LAST_WESTERN)


def _keep_plain_characters(text: str) -> str:
    return " ".join("".join(c if c.isalnum() or c in "_.,-" else " " for c in text).split())
