"""Write a picture as an HTML page: one file that works offline, in a light and a dark theme, without scripts.

The picture is part of the page and at most as wide as the window. A list of links leads to the nodes, and the chosen
node is framed. Below the picture, the page describes the picture in words. The page's policy forbids scripts and
external resources.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from graphengine.render.looks import FOUND, INK, PAPER, SOFT_INK, by_night
from graphengine.render.svg import name_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphengine.render.looks import Theme

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""The content security policy of written pages. A page may only use its own styles and load no other resources."""
_COLOURS: Final = {"paper": PAPER, "ink": INK, "soft": SOFT_INK, "found": FOUND}
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{colours}
body {{ margin: 1rem; background: var(--paper); color: var(--ink); font: 14px Helvetica, Arial, sans-serif; }}
svg {{ display: block; margin: .5rem auto; max-width: 100%; height: auto; }}
svg g:target > :is(rect, path, ellipse) {{ stroke: var(--found); stroke-width: 6; }}
nav {{ columns: 14rem; max-height: 30vh; overflow: auto; }}
nav a {{ display: block; color: inherit; }}
pre {{ white-space: pre-wrap; }}
</style>
</head>
<body>
{finder}{svg}
<details>
<summary>The same in words</summary>
<pre>{words}</pre>
</details>
</body>
</html>
"""


def page_of(svg: str, title: str, words: str, theme: Theme = "auto", nodes: Iterable[tuple[str, str]] = ()) -> str:
    """Return an HTML page that shows a picture.

    Args:
        svg: The picture, without an XML declaration.
        title: The title of the picture.
        words: The description of the picture in words.
        theme: Whether the page is dark, is light, or follows the reader's preference.
        nodes: The names of the nodes, each with the node's id in the picture.
    """
    night = {name: by_night(colour) for name, colour in _COLOURS.items()}
    colours = _rule(night if theme == "dark" else _COLOURS)
    if theme == "auto":
        colours += f"\n@media (prefers-color-scheme: dark) {{ {_rule(night)} }}"
    links = "\n".join(f'<a href="#{name_in(svg)}-{node}">{escape(name)}</a>' for name, node in sorted(nodes))
    finder = f"<details>\n<summary>Find a node</summary>\n<nav>\n{links}\n</nav>\n</details>\n" if links else ""
    return _PAGE.format(
        policy=POLICY, title=escape(title), colours=colours, finder=finder, svg=svg.strip(), words=escape(words)
    )


def _rule(colours: dict[str, str]) -> str:
    return f":root {{ {' '.join(f'--{name}: {colour};' for name, colour in colours.items())} }}"
