"""How boxes and arrows look: colours that colour-blind people can distinguish, in the light and the dark theme.

Each look is defined for the light theme, on white; `by_night` has its colour in the dark theme. Shape and words always
repeat what a colour means. Hues after Okabe and Ito, "Color Universal Design" (2008), darkened for lines and text, and
lightened in the dark theme: text has a contrast of 4.5 to its background, lines of 3. The lines of any two kinds differ
by 11 in CIELAB, also for people who see no red, no green or no blue, and so does a node where a run is, in its fill or
its line, from all others; the tests compute that.
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
    """Colours as `#rrggbb`, and the width of the line in points.

    Attributes:
        text: The colour of its text.
        soft: The colour of its small text.
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
"""The name of each colour of the light theme, and the colour that it has in the dark one."""


_NOTEBOOKS: Final = {
    "light": '[data-jp-theme-light="true"], .vscode-light, [theme="light"]',
    "dark": '[data-jp-theme-light="false"], .vscode-dark, .vscode-high-contrast, [theme="dark"]',
}
"""How JupyterLab, VS Code and Colab mark their theme."""


def by_night(colour: str) -> str:
    """Return the dark theme's colour for this one."""
    return _INKS[colour][1]


def name_of(colour: str) -> str:
    """Return the name of a colour; the classes `fill-NAME` and `stroke-NAME` have it."""
    return _INKS[colour][0]


def night_rules(used: Iterable[tuple[str, str]], within: str) -> list[str]:
    """Return the rules of a style sheet that make these colours dark, each with what it colours: `fill` or `stroke`."""
    return [f"{within}.{kind}-{name_of(colour)} {{ {kind}: {by_night(colour)}; }}" for kind, colour in sorted(used)]


def notebook_rules(used: Iterable[tuple[str, str]], within: str) -> list[str]:
    """Return the rules by which a picture has the theme of the notebook that it is in; elsewhere the reader's."""
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
    """Return how a cluster looks: a little darker or lighter than the one around it."""
    fill = _SHEETS[cluster.depth % len(_SHEETS)]
    if cluster.tone == "unused":
        return Look(PAPER, _PALE_LINE, PALE, PALE, 1.0)
    line, points = _CLUSTER_LINES[cluster.tone]
    return Look(fill, line, INK, SOFT_INK, points)


def mermaid_line(part: Arrow | Cluster) -> str:
    """Return the colour of a line that has a contrast of 3 to a white and to a dark page."""
    return "#d1570f" if getattr(part, "failure", False) or part.tone == "failed" else "#768390"


def look_of_arrow(arrow: Arrow) -> Look:
    """Return how an arrow looks; its fill is not used."""
    if arrow.tone == "unused":
        return Look(PAPER, _PALE_LINE, PALE, PALE, 1.0)
    line = _RED if arrow.failure else SOFT_INK
    text = _RED if arrow.failure else INK
    return Look(PAPER, line, text, text, 2.6 if arrow.tone == "done" else 1.2)
