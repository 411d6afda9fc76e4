"""A sheet that charts are drawn on, in SVG: shapes and text in inks that have a colour by day and one by night.

A colour stands in an attribute as it is by day, and in a style sheet as it is by night, so that a program that knows no
style sheets draws the chart by day. All text is cleaned and escaped here, and nowhere else. Numbers have one decimal,
so that one input gives the same bytes everywhere.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from graphengine.render.looks import INK, PAPER, SOFT_INK
from graphengine.render.metrics import text_width
from graphengine.render.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FONT: Final = "Helvetica,Arial,'Liberation Sans','DejaVu Sans','Noto Sans',sans-serif"
SIZE: Final = 12.0
SMALL: Final = 11.0

Ink: TypeAlias = Literal[
    "ink",
    "soft",
    "paper",
    "stripe",
    "grid",
    "work",
    "work-line",
    "bad",
    "bad-line",
    "fell",
    "fell-line",
    "wait",
    "wait-line",
    "other",
    "other-line",
    "none",
]
Anchor: TypeAlias = Literal["start", "middle", "end"]

INKS: Final[dict[Ink, tuple[str, str]]] = {
    "ink": (INK, "#e6edf3"),
    "soft": (SOFT_INK, "#a5b1bd"),
    "paper": (PAPER, "#0d1117"),
    "stripe": ("#f3f5f7", "#161b22"),
    "grid": ("#d5dae0", "#30363d"),
    "work": ("#a9d3ee", "#0f5487"),
    "work-line": ("#0072b2", "#63b3e4"),
    "bad": ("#f7b592", "#7a310b"),
    "bad-line": ("#8a2f00", "#f2a27a"),
    "fell": ("#b5e4d4", "#0a4f3c"),
    "fell-line": ("#00785a", "#4cc4a0"),
    "wait": ("#fbe6f1", "#41203a"),
    "wait-line": ("#a83b7c", "#e58fc2"),
    "other": ("#fdf1d7", "#4d3800"),
    "other-line": ("#9a6700", "#e0b040"),
}
"""Each ink by day and by night. Hues as in `graphengine.render.looks`, so that a colour means one thing everywhere."""


class Paint(NamedTuple):
    """How a shape is painted; the width of its line is in pixels."""

    fill: Ink = "none"
    line: Ink = "none"
    width: float = 1.0
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture that was drawn.

    Attributes:
        title: What it is, in one line.
        spoken: What it says, a line for each thing: for people who listen to it, and as plain text.
        width: Pixels.
        height: Pixels.
        body: Its elements, in SVG.
    """

    title: str
    spoken: tuple[str, ...]
    width: float
    height: float
    body: str

    def svg(self) -> str:
        """The picture as an SVG that stands alone."""
        return f'<?xml version="1.0" encoding="utf-8"?>\n{self.element()}\n'

    def element(self) -> str:
        """The picture as an element of a page."""
        across, down = number(self.width), number(self.height)
        size = f'width="{across}" height="{down}" viewBox="0 0 {across} {down}"'
        spoken = 'role="img" aria-labelledby="chart-title chart-desc"'
        font = f'font-family="{FONT}" font-size="{number(SIZE)}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} {spoken} {font}>',
                f'<title id="chart-title">{safe(self.title)}</title>',
                f'<desc id="chart-desc">{safe(". ".join(self.spoken))}</desc>',
                f"<style>{_by_night()}</style>",
                f'<rect width="100%" height="100%"{_painted(Paint("paper"))}/>',
                self.body,
                "</svg>",
            ]
        )

    def _repr_svg_(self) -> str:
        """The picture, for notebooks."""
        return self.element()

    def text(self) -> str:
        """What the picture says, in words."""
        return "\n".join((self.title, *self.spoken)) + "\n"


@dataclass(slots=True)
class Canvas:
    """Where a chart is drawn; `parts` are its elements so far."""

    parts: list[str] = field(default_factory=list)

    def rect(  # noqa: PLR0913 - where, how large, how painted
        self, x: float, y: float, across: float, down: float, paint: Paint, *, radius: float = 0.0
    ) -> None:
        """A rectangle."""
        rounded = f' rx="{number(radius)}"' if radius else ""
        self.parts.append(
            f'<rect x="{number(x)}" y="{number(y)}" width="{number(across)}" height="{number(down)}"'
            f"{rounded}{_painted(paint)}/>"
        )

    def line(self, start: tuple[float, float], end: tuple[float, float], paint: Paint) -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = start, end
        self.parts.append(
            f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"{_painted(paint)}/>'
        )

    def path(self, points: Sequence[tuple[float, float]], paint: Paint) -> None:
        """A line through points."""
        text = "M" + " L".join(f"{number(x)} {number(y)}" for x, y in points)
        self.parts.append(f'<path d="{text}"{_painted(paint)} stroke-linejoin="round"/>')

    def curve(self, start: tuple[float, float], end: tuple[float, float], paint: Paint) -> None:
        """A line that leaves its start downwards and comes to its end from the left."""
        (x1, y1), (x2, y2) = start, end
        text = (
            f"M{number(x1)} {number(y1)} C{number(x1)} {number(y2)} {number(x1)} {number(y2)} {number(x2)} {number(y2)}"
        )
        self.parts.append(f'<path d="{text}"{_painted(paint)}/>')

    def dot(self, x: float, y: float, radius: float, paint: Paint) -> None:
        """A circle."""
        self.parts.append(f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}"{_painted(paint)}/>')

    def text(  # noqa: PLR0913 - where, what, how
        self,
        x: float,
        y: float,
        text: str,
        *,
        ink: Ink = "ink",
        size: float = SIZE,
        anchor: Anchor = "start",
        strong: bool = False,
    ) -> None:
        """A line of text; y is its base line. What cannot be seen in it gets a mark that can."""
        facts = f' font-size="{number(size)}"' if size != SIZE else ""
        facts += f' text-anchor="{anchor}"' if anchor != "start" else ""
        facts += ' font-weight="bold"' if strong else ""
        self.parts.append(
            f'<text x="{number(x)}" y="{number(y)}"{facts}{_painted(Paint(ink))}>{safe(one_line(text))}</text>'
        )

    def raw(self, element: str) -> None:
        """An element that was made elsewhere, of text that was escaped."""
        self.parts.append(element)

    @contextmanager
    def said(self, words: str) -> Iterator[None]:
        """What is drawn inside says this to those who point at it, or listen."""
        self.parts.append(f"<g><title>{safe(one_line(words))}</title>")
        yield
        self.parts.append("</g>")

    def done(self, title: str, spoken: Sequence[str], across: float, down: float) -> Chart:
        """The chart."""
        return Chart(one_line(title), tuple(one_line(line) for line in spoken), across, down, "\n".join(self.parts))


def number(value: float) -> str:
    """A number as short as it is exact to a tenth."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def safe(text: str) -> str:
    """Text as it may stand in XML, in an attribute too."""
    return escape(one_line(text))


def measure(text: str, size: float = SIZE, *, strong: bool = False) -> float:
    """How many pixels a text takes at most, in whichever font its reader has."""
    return text_width(one_line(text), size, strong=strong)


def fit(text: str, pixels: float, size: float = SIZE, *, strong: bool = False) -> str:
    """The text, or as much of its beginning as fits, with `…` behind it; "" where not even that fits."""
    text = one_line(text)
    if measure(text, size, strong=strong) <= pixels:
        return text
    room = pixels - measure("…", size, strong=strong)
    taken = 0
    for taken in range(len(text), -1, -1):
        if measure(text[:taken], size, strong=strong) <= room:
            break
    return text[:taken].rstrip() + "…" if taken else ""


def _painted(paint: Paint) -> str:
    classes = []
    facts = ""
    if paint.fill != "none":
        classes.append(f"f-{paint.fill}")
        facts += f' fill="{INKS[paint.fill][0]}"'
    elif paint.line != "none":
        facts += ' fill="none"'
    if paint.line != "none":
        classes.append(f"s-{paint.line}")
        facts += f' stroke="{INKS[paint.line][0]}"'
        facts += f' stroke-width="{number(paint.width)}"' if paint.width != 1.0 else ""
        facts += f' stroke-dasharray="{paint.dash}"' if paint.dash else ""
    return f' class="{" ".join(classes)}"{facts}' if classes else facts


def _by_night() -> str:
    rules = "".join(f".f-{name}{{fill:{night}}}.s-{name}{{stroke:{night}}}" for name, (_, night) in INKS.items())
    return f"@media (prefers-color-scheme:dark){{{rules}}}"
