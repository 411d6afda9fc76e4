"""A picture as a page of its own: one file that works offline, light and dark, without a script.

The picture is part of the page and fits the window; other sizes are selected by radio buttons that only CSS reads,
panning is the browser's scrolling, and a list of the nodes leads to each, which is then framed. Below is the picture in
words. The page's policy forbids scripts and external resources.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from graphengine.render.looks import FOUND, INK, PAPER, SOFT_INK, by_night
from graphengine.render.parts import plain_text

if TYPE_CHECKING:
    from graphengine.render.looks import Theme
    from graphengine.render.parts import Drawing

_NAME: Final = re.compile(rb'<svg [^>]*\bid="(\w+)"')
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_SIZES: Final = (
    ("fit", "fit the window", ""),
    ("half", "50 %", "0.5"),
    ("full", "100 %", "1"),
    ("twice", "200 %", "2"),
    ("most", "400 %", "4"),
)
_STYLE: Final = """\
:root { --paper: %(paper)s; --ink: %(ink)s; --soft: %(soft)s; --found: %(found)s; }
%(night)sbody { margin: 1rem; background: var(--paper); color: var(--ink); font: 14px Helvetica, Arial, sans-serif; }
fieldset { display: inline; border: 0; margin: 0; padding: 0; color: var(--soft); }
.picture { overflow: auto; max-height: 85vh; margin: .5rem 0; border: 1px solid var(--soft); }
.picture svg { display: block; margin: auto; }
.picture svg g:target > :is(polygon, path, ellipse) { stroke: var(--found); stroke-width: 6; }
nav { columns: 14rem; max-height: 30vh; overflow: auto; }
nav a { display: block; color: inherit; }
pre { white-space: pre-wrap; }
"""


def page_of(svg: bytes, drawing: Drawing, theme: Theme) -> bytes:
    """Return the page.

    Args:
        svg: The picture, without an XML declaration.
        drawing: The drawing that it shows.
        theme: Whether the page is dark, light, or follows the reader's preference.
    """
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(drawing.title)}</title>",
        f"<style>\n{_style(theme)}</style>",
        "</head>",
        "<body>",
        "<fieldset>",
        "<legend>Size of the picture</legend>",
        *(_size(name, shown) for name, shown, _ in _SIZES),
        "</fieldset>",
        *_finder(svg, drawing),
        f'<div class="picture" role="region" aria-label="{escape(drawing.title)}" tabindex="0">',
        svg.decode().strip(),
        "</div>",
        "<details>",
        "<summary>The same in words</summary>",
        f"<pre>{escape(plain_text(drawing))}</pre>",
        "</details>",
        "</body>",
        "</html>",
    ]
    return ("\n".join(parts) + "\n").encode()


def _finder(svg: bytes, drawing: Drawing) -> list[str]:
    """Return the list of the nodes, each with a link to its place in the picture."""
    found = _NAME.search(svg)
    name = found[1].decode() if found is not None else ""
    parts = [*((box.name, box.id) for box in drawing.boxes if box.lines), *((c.name, c.id) for c in drawing.clusters)]
    links = [f'<a href="#{name}-{id_}">{escape(part)}</a>' for part, id_ in sorted(parts)]
    return ["<details>", "<summary>Find a node</summary>", "<nav>", *links, "</nav>", "</details>"]


def _size(name: str, shown: str) -> str:
    checked = " checked" if name == "fit" else ""
    return f'<label><input type="radio" name="size" id="size-{name}"{checked}> {shown}</label>'


def _style(theme: Theme) -> str:
    colours = {"paper": PAPER, "ink": INK, "soft": SOFT_INK, "found": FOUND}
    dark = {name: by_night(colour) for name, colour in colours.items()}
    night = ""
    if theme == "auto":
        values = " ".join(f"--{name}: {colour};" for name, colour in dark.items())
        night = (
            f":root {{ color-scheme: light dark; }}\n@media (prefers-color-scheme: dark) {{ :root {{ {values} }} }}\n"
        )
    sizes = [
        f"body:has(#size-{name}:checked) .picture svg {{ {_width(factor)} height: auto; }}\n"
        for name, _, factor in _SIZES
    ]
    return _STYLE % {**(dark if theme == "dark" else colours), "night": night} + "".join(sizes)


def _width(factor: str) -> str:
    return f"width: calc(var(--width) * {factor});" if factor else "max-width: 100%; max-height: 84vh;"
