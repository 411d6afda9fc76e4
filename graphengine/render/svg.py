"""Graphviz's SVG made fit for people who listen to it, and the same bytes each time.

Graphviz titles its elements with ids. Here each gets what it says in words, the picture gets a title and a
description, and comments with versions go. Graphviz places the lines of a box by the widths they have in its own
font; here they are centred on the box, since a browser may use another. The words of arrows are set off from lines
behind them. Where the reader prefers the dark, a style puts the colours of the night in place of those of the day; a
viewer that knows no styles shows the day.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from graphengine.render.errors import RenderError
from graphengine.render.looks import PAPER, by_night
from graphengine.render.roomy import widen

if TYPE_CHECKING:
    from graphengine.render.parts import Arrow, Box, Cluster, Drawing

_SVG = "http://www.w3.org/2000/svg"
_ABSCISSA = re.compile(r"(-?[\d.]+),-?[\d.]+")


def accessible_svg(svg: bytes, drawing: Drawing, *, is_adaptive: bool = True, is_part: bool = False) -> bytes:
    """Put a drawing's words into the SVG that Graphviz made of it.

    Args:
        svg: What Graphviz made.
        drawing: What it was made of.
        is_adaptive: Whether it becomes dark where its reader prefers that.
        is_part: Whether it becomes part of a page, so that it needs no XML declaration.

    Raises:
        RenderError: What was painted is no SVG.
    """
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    try:
        root = ET.fromstring(svg)  # noqa: S314 - Graphviz wrote it a moment ago
    except ET.ParseError as error:
        raise RenderError(f"Graphviz painted no SVG: {error}", repair="mend the installation of Graphviz") from error
    parts: list[Box | Cluster | Arrow] = [*drawing.clusters, *drawing.boxes, *drawing.arrows]
    spoken = {part.id: part.spoken for part in parts}
    ground = root.find(f"{{{_SVG}}}g/{{{_SVG}}}polygon")
    paper = ground.get("fill", PAPER) if ground is not None else PAPER
    widen(root, drawing)
    for group in root.iter(f"{{{_SVG}}}g"):
        title = group.find(f"{{{_SVG}}}title")
        words = spoken.get(group.get("id", ""))
        if title is not None and words is not None:
            title.text = words
        elif title is not None:
            group.remove(title)
        if group.get("class") == "node":
            _centre(group)
        elif group.get("class") == "edge":
            _set_off(group, paper)
    root.set("class", "graphengine")
    root.set("role", "img")
    root.set("style", f"--width: {root.get('width', '100%')}")
    root.set("aria-labelledby", "drawing-title drawing-desc")
    for index, (name, words) in enumerate((("title", drawing.title), ("desc", drawing.spoken))):
        element = ET.Element(f"{{{_SVG}}}{name}", {"id": f"drawing-{name}"})
        element.text = words
        element.tail = "\n"
        root.insert(index, element)
    if is_adaptive:
        style = ET.Element(f"{{{_SVG}}}style")
        style.text, style.tail = _night(root), "\n"
        root.insert(2, style)
    made: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=not is_part)
    return made + b"\n"


def _set_off(arrow: ET.Element, paper: str) -> None:
    """Interrupt whatever line runs behind the words of an arrow: now and then Graphviz puts them on a border."""
    for text in arrow.findall(f"{{{_SVG}}}text"):
        for name, value in (("paint-order", "stroke"), ("stroke", paper), ("stroke-width", "3")):
            text.set(name, value)


def _night(root: ET.Element) -> str:
    """The style that makes a picture dark: a rule for each colour in it."""
    used = {(name, element.get(name, "")) for element in root.iter() for name in ("fill", "stroke")}
    known = sorted((name, colour) for name, colour in used if colour.startswith("#"))
    rules = [f'  .graphengine [{name}="{colour}"] {{ {name}: {by_night(colour)}; }}' for name, colour in known]
    return "\n".join(["", "@media (prefers-color-scheme: dark) {", *rules, "}", ""])


def _centre(box: ET.Element) -> None:
    texts = box.findall(f"{{{_SVG}}}text")
    xs = [float(x) for shape in box for x in _ABSCISSA.findall(shape.get("points") or shape.get("d") or "")]
    xs += [float(shape.get("cx", 0)) for shape in box.findall(f"{{{_SVG}}}ellipse")]
    for text in texts if xs else ():
        text.set("x", f"{(min(xs) + max(xs)) / 2:.2f}")
        text.set("text-anchor", "middle")
