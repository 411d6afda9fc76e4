"""A drawing laid out and painted by Graphviz: the `dot` program if it is installed, else pygraphviz, which contains it.

pygraphviz runs in a process of its own, so that output, delays and crashes of the C library do not affect the user's
program, and threads need no lock.

Graphviz titles the elements of an SVG with ids. Here each gets its text in words, the picture gets a title and a
description, and comments with versions are removed, so that the bytes are the same each time. Graphviz places the lines
of a label by their sizes in a font that it found; here they are placed on the background of the label, whose size
depends on no font, and the lines of a box are centred, since a browser can use another font. The words of arrows get an
graph spec that interrupts lines below them. Ids begin with a digest of the picture, so that a page can have several. A
style replaces the light colours by the dark ones if the reader prefers a dark theme; a viewer without styles shows the
light ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
from hashlib import sha256
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING, Literal, TypeAlias
from xml.etree import ElementTree as ET

from graphengine.errors import install_command
from graphengine.render.dot import dot_text
from graphengine.render.files import RenderError
from graphengine.render.looks import PAPER, night_rules
from graphengine.render.metrics import baseline, line_height

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphengine.render.looks import Theme
    from graphengine.render.parts import Arrow, Box, Drawing, Line

ImageFormat: TypeAlias = Literal["svg", "png", "pdf"]

PNG_DPI = 144
"""Two dots per point, so that text stays sharp on high-resolution screens."""

_SVG = "http://www.w3.org/2000/svg"
_POINT = re.compile(r"(-?[\d.]+),(-?[\d.]+)")
_TEXT_WORKS = "a .dot or .mmd file needs neither"
_PYGRAPHVIZ = """\
import sys, pygraphviz
source = sys.stdin.buffer.read().decode("utf-8")
sys.stdout.buffer.write(pygraphviz.AGraph(string=source).draw(format=sys.argv[1], prog="dot"))
"""


def svg_of(drawing: Drawing, theme: Theme, *, is_part: bool = False) -> bytes:
    """Return the drawing as SVG.

    Args:
        drawing: The drawing.
        theme: Whether it is dark, light, or follows the reader's preference.
        is_part: Whether it becomes part of a page, so that it needs no XML declaration.

    Raises:
        RenderError: No painter is installed, or it failed.
    """
    return accessible_svg(image_of(drawing, "svg", theme), drawing, is_adaptive=theme == "auto", is_part=is_part)


def image_of(drawing: Drawing, image_format: ImageFormat, theme: Theme) -> bytes:
    """Return the drawing as painted; `auto` is light.

    Raises:
        RenderError: No painter is installed, or it failed.
    """
    return paint(dot_text(drawing, dark=theme == "dark"), image_format)


def paint(dot: str, image_format: ImageFormat) -> bytes:
    """Lay out a graph in DOT and paint it.

    Raises:
        RenderError: No painter is installed, or it failed.
    """
    if image_format == "png":
        dot = dot.replace("graph [", f'graph [dpi="{PNG_DPI}" ', 1)
    return _painter()(dot, image_format)


def _painter() -> Callable[[str, ImageFormat], bytes]:
    if which("dot") is not None:
        return _by_dot
    if find_spec("pygraphviz") is not None:
        return _by_pygraphviz
    raise RenderError(
        "no painter is installed: neither a `dot` program on PATH nor pygraphviz",
        repair=f"{install_command('render')}, or install Graphviz; {_TEXT_WORKS}",
    )


def _by_dot(dot: str, image_format: ImageFormat) -> bytes:
    import graphviz  # noqa: PLC0415 - loaded on first use

    try:
        painted: bytes = graphviz.pipe("dot", image_format, dot.encode(), quiet=True)
    except graphviz.ExecutableNotFound as error:
        raise _failed("dot", str(error)) from error
    except subprocess.CalledProcessError as error:
        raise _failed("dot", _last_line(error.stderr) or f"it ended with {error.returncode}") from error
    return painted


def _by_pygraphviz(dot: str, image_format: ImageFormat) -> bytes:
    # -P: do not import files of the working directory
    command = [sys.executable, "-P", "-c", _PYGRAPHVIZ, image_format]
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, check=False)  # noqa: S603 - our own
    except OSError as error:
        raise _failed("pygraphviz", str(error)) from error
    if done.returncode or not done.stdout:
        raise _failed("pygraphviz", _last_line(done.stderr) or f"it ended with {done.returncode}")
    return done.stdout


def _last_line(stderr: bytes | None) -> str:
    lines = (stderr or b"").decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _failed(painter: str, why: str) -> RenderError:
    return RenderError(
        f"{painter} could not paint this: {why}",
        repair=f"fix the installation of {painter}, or use the other of dot and pygraphviz; {_TEXT_WORKS}",
    )


def accessible_svg(svg: bytes, drawing: Drawing, *, is_adaptive: bool = True, is_part: bool = False) -> bytes:
    """Put a drawing's words into the SVG that Graphviz made of it.

    Args:
        svg: Graphviz's SVG.
        drawing: The drawing that it shows.
        is_adaptive: Whether it becomes dark if its reader prefers that.
        is_part: Whether it becomes part of a page, so that it needs no XML declaration.

    Raises:
        RenderError: Graphviz's output is not SVG.
    """
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    try:
        root = ET.fromstring(svg)  # noqa: S314 - Graphviz wrote it a moment ago
    except ET.ParseError as error:
        raise RenderError(
            f"the output of Graphviz is not SVG: {error}", repair="fix the installation of Graphviz"
        ) from error
    parts: list[Box | Arrow] = [*drawing.clusters, *drawing.boxes, *drawing.arrows]
    spoken = {part.id: part.spoken for part in parts}
    ground = root.find(f"{{{_SVG}}}g/{{{_SVG}}}polygon")
    paper = ground.get("fill", PAPER) if ground is not None else PAPER
    lines = {"drawing": (*drawing.caption, *drawing.legend)} | {part.id: part.lines for part in parts}
    groups = list(root.iter(f"{{{_SVG}}}g"))
    for group in groups:
        _place(group, lines.get(group.get("id", ""), ()))
    for group in groups:
        title = group.find(f"{{{_SVG}}}title")
        words = spoken.get(group.get("id", ""))
        if title is not None and words is not None:
            title.text = words
        elif title is not None:
            group.remove(title)
        if group.get("class") == "edge":
            _set_off(group, paper)
    root.set("id", "root")
    root.set("role", "img")
    root.set("aria-labelledby", "drawing-title drawing-desc")
    for index, (name, words) in enumerate((("title", drawing.title), ("desc", drawing.spoken))):
        element = ET.Element(f"{{{_SVG}}}{name}", {"id": f"drawing-{name}"})
        element.text = words
        element.tail = "\n"
        root.insert(index, element)
    name = f"g{sha256(ET.tostring(root)).hexdigest()[:8]}"
    _rename(root, name)
    if is_adaptive:
        style = ET.Element(f"{{{_SVG}}}style")
        style.text, style.tail = _night(root, name), "\n"
        root.insert(2, style)
    made: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=not is_part)
    return made + b"\n"


def _set_off(arrow: ET.Element, paper: str) -> None:
    """Interrupt the lines below an arrow's words: sometimes Graphviz puts them on a border."""
    for text in arrow.findall(f"{{{_SVG}}}text"):
        for name, value in (("paint-order", "stroke"), ("stroke", paper), ("stroke-width", "3")):
            text.set(name, value)


def _rename(root: ET.Element, name: str) -> None:
    """Prefix all ids with a name, since several pictures can be in one page; the root's becomes the name itself."""
    for element in root.iter():
        for key, value in element.attrib.items():
            if key in ("id", "aria-labelledby"):
                element.set(key, " ".join(f"{name}-{each}" for each in value.split()))
            elif key.endswith("href") and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
    root.set("id", name)


def _night(root: ET.Element, name: str) -> str:
    """Return the style that makes a picture dark: a rule for each colour in it."""
    used = {element.get(kind, "") for element in root.iter() for kind in ("fill", "stroke")}
    rules = night_rules((colour for colour in used if colour.startswith("#")), f"  #{name} ")
    return "\n".join(["", "@media (prefers-color-scheme: dark) {", *rules, "}", ""])


def _place(group: ET.Element, lines: Sequence[Line]) -> None:
    """Put the lines of a label on its background, the shape before them, which is then removed."""
    texts = group.findall(f"{{{_SVG}}}text")
    if not texts:
        return
    ground = group[list(group).index(texts[0]) - 1]
    places = [(float(x), float(y)) for x, y in _POINT.findall(ground.get("points", ""))]
    if not places or len(texts) != len(lines):
        raise RenderError("the labels in Graphviz's output differ from its input", repair="use Graphviz 2.43 or newer")
    left, right, top = min(x for x, _ in places), max(x for x, _ in places), min(y for _, y in places)
    group.remove(ground)
    is_centred = group.get("class") == "node"
    for text, line in zip(texts, lines, strict=True):
        text.set("x", f"{(left + right) / 2 if is_centred else left:.2f}")
        text.set("y", f"{top + baseline(line):.2f}")
        text.set("text-anchor", "middle" if is_centred else "start")
        top += line_height(line)
