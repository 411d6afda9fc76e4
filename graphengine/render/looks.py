"""The colours of boxes and arrows, in the light and the dark theme. Colour-blind people can distinguish them.

Each look is defined for the light theme on a white background. `by_night` returns the colour of the dark theme. The
meaning of a colour is always repeated by a shape or by words.

The hues follow Okabe and Ito, "Color Universal Design" (2008). They are darkened for lines and text, and lightened in
the dark theme. The tests compute that the following holds:

- Text has a contrast of 4.5 to its background, and lines have a contrast of 3.
- The lines of any two kinds of boxes differ by 11 in CIELAB, also for people who see no red, no green or no blue.
- A node where a run is differs in the same way from all other nodes, in its fill or in its line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphengine.render.parts import Arrow, Box, Cluster

Theme: TypeAlias = Literal["auto", "light", "dark"]
"""`auto`: SVG and HTML follow the reader's preference, everything else is light."""

INK = "#1f2328"
SOFT_INK = "#57606a"
PAPER = "#ffffff"
FOUND = "#0072b2"
PALE = "#6e7781"
_PALE_LINE = "#8c959f"
_BLUE = "#0072b2"
_RED = "#9a2a00"


@dataclass(frozen=True, slots=True)
class Look:
    """The colours (as `#rrggbb`) with which one part of a picture is painted, and the width of the part's line.

    Attributes:
        fill: The colour of the area.
        line: The colour of the line.
        text: The colour of the text.
        soft: The colour of the small text.
        line_points: The width of the line, in points.
    """

    fill: str
    line: str
    text: str
    soft: str
    line_points: float


_SHAPES = {
    "start": Look("#3d444d", "#3d444d", PAPER, PAPER, 1.2),
    "end": Look("#e6e8eb", "#3d444d", INK, SOFT_INK, 1.2),
    "fail": Look("#fbe3d6", _RED, INK, SOFT_INK, 1.2),
    "function": Look("#e3f0f9", _BLUE, INK, SOFT_INK, 1.2),
    "agent": Look("#fdf1d7", "#9a6700", INK, SOFT_INK, 1.2),
    "choose": Look("#dff3ec", "#008a5e", INK, SOFT_INK, 1.2),
    "ask": Look("#fbe6f1", "#b5458f", INK, SOFT_INK, 1.2),
    "graph": Look("#e3f0f9", _BLUE, INK, SOFT_INK, 1.2),
    "entry": Look("#3d444d", "#3d444d", PAPER, PAPER, 1.2),
    "exit": Look("#3d444d", "#3d444d", PAPER, PAPER, 1.2),
    "fork": Look("#3d444d", "#3d444d", PAPER, PAPER, 1.2),
    "pass": Look("#f6f8fa", SOFT_INK, INK, SOFT_INK, 1.2),
}

_SHEETS = ("#f6f8fa", "#edf0f3", PAPER)
_CLUSTER_LINES = {
    "plain": (SOFT_INK, 1.2),
    "done": (SOFT_INK, 2.4),
    "here": (INK, 2.4),
    "waiting": ("#7d2259", 2.4),
    "failed": ("#8a2f00", 2.4),
}

_INKS: Final[Mapping[str, tuple[str, str]]] = {
    INK: ("ink", "#f0f3f6"),
    SOFT_INK: ("soft", "#9aa4ae"),
    PAPER: ("paper", "#0d1117"),
    PALE: ("pale", "#8b949e"),
    _PALE_LINE: ("pale-line", "#6e7681"),
    _BLUE: ("function-line", "#4a9fe0"),
    _RED: ("fail-line", "#f0883e"),
    "#3d444d": ("end-line", "#c9d1d9"),
    "#e6e8eb": ("end", "#30363d"),
    "#fbe3d6": ("fail", "#4a2410"),
    "#e3f0f9": ("function", "#0f2d44"),
    "#fdf1d7": ("agent", "#3d2c06"),
    "#9a6700": ("agent-line", "#ffd166"),
    "#dff3ec": ("choose", "#0b3a2d"),
    "#008a5e": ("choose-line", "#4fdcb0"),
    "#fbe6f1": ("ask", "#45193a"),
    "#b5458f": ("ask-line", "#ff9ed8"),
    "#f6f8fa": ("sheet", "#161b22"),
    "#edf0f3": ("inner", "#21262d"),
    "#f5e95c": ("here", "#665c00"),
    "#f0c4dd": ("waiting", "#7a2a5f"),
    "#7d2259": ("waiting-line", "#f3a6d2"),
    "#f7b592": ("failed", "#7a3210"),
    "#8a2f00": ("failed-line", "#ffab7a"),
}
"""The name of each colour of the light theme, and the colour that replaces it in the dark theme."""


_NOTEBOOKS: Final = {
    "light": '[data-jp-theme-light="true"], .vscode-light, [theme="light"]',
    "dark": '[data-jp-theme-light="false"], .vscode-dark, .vscode-high-contrast, [theme="dark"]',
}
"""The CSS selectors by which JupyterLab, VS Code and Colab mark their theme."""


def by_night(colour: str) -> str:
    """Return the colour that replaces this colour in the dark theme."""
    return _INKS[colour][1]


def name_of(colour: str) -> str:
    """Return the name of a colour for use in the CSS classes `fill-NAME` and `stroke-NAME`."""
    return _INKS[colour][0]


def night_rules(used: Iterable[tuple[str, str]], within: str) -> list[str]:
    """Return CSS rules that replace the colours of a picture with dark colours.

    Args:
        used: The used colours, each with the property that has the colour: `fill` or `stroke`.
        within: The CSS selector with which each rule begins, to limit the rules to this picture.
    """
    return [f"{within}.{kind}-{name_of(colour)} {{ {kind}: {by_night(colour)}; }}" for kind, colour in sorted(used)]


def notebook_rules(used: Iterable[tuple[str, str]], within: str) -> list[str]:
    """Return CSS rules with which a picture in a notebook follows the light or dark theme of the notebook.

    If the notebook has no known theme, the picture follows what the reader's browser prefers.
    """
    rules = [f"{within} {{ color-scheme: light dark; }}"]
    rules += [f":is({marks}) {within} {{ color-scheme: {scheme}; }}" for scheme, marks in _NOTEBOOKS.items()]
    return rules + [
        f"{within} .{kind}-{name_of(colour)} {{ {kind}: light-dark({colour}, {by_night(colour)}); }}"
        for kind, colour in sorted(used)
    ]


def look_of_box(box: Box) -> Look:
    """Return how a box looks."""
    look = _SHAPES[box.shape]
    if box.tone == "unused":
        if box.shape in ("entry", "exit", "fork"):
            return Look(PALE, _PALE_LINE, PAPER, PAPER, 1.0)
        return Look(PAPER, _PALE_LINE, PALE, PALE, 1.0)
    if box.tone == "here":
        return Look("#f5e95c", INK, INK, INK, 3.5)
    if box.tone == "waiting":
        return Look("#f0c4dd", "#7d2259", INK, INK, 3.5)
    if box.tone == "failed":
        return Look("#f7b592", "#8a2f00", INK, INK, 3.5)
    return Look(look.fill, look.line, look.text, look.soft, 2.4) if box.tone == "done" else look


def look_of_cluster(cluster: Cluster) -> Look:
    """Return the colours of a frame.

    Nested frames have alternating backgrounds, so that a frame differs from the frame around it.
    """
    fill = _SHEETS[cluster.depth % len(_SHEETS)]
    if cluster.tone == "unused":
        return Look(PAPER, _PALE_LINE, PALE, PALE, 1.0)
    line, points = _CLUSTER_LINES[cluster.tone]
    return Look(fill, line, INK, SOFT_INK, points)


def mermaid_line(part: Arrow | Cluster) -> str:
    """Return a line colour for Mermaid that is visible (contrast of at least 3) on white and on dark pages."""
    return "#d1570f" if getattr(part, "failure", False) or part.tone == "failed" else "#768390"


def look_of_arrow(arrow: Arrow) -> Look:
    """Return how the line of an arrow is drawn: its colours and its width.

    The result also contains a fill colour, which arrows do not use.
    """
    if arrow.tone == "unused":
        return Look(PAPER, _PALE_LINE, PALE, PALE, 1.0)
    line = _RED if arrow.failure else SOFT_INK
    text = _RED if arrow.failure else INK
    return Look(PAPER, line, text, text, 2.6 if arrow.tone == "done" else 1.2)
