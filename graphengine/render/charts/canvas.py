"""The canvas of charts, in SVG: shapes and text in inks that have a light and a dark colour.

The light colour is in an attribute, the dark one in a style sheet, so that a program without style sheets draws the
light chart. All text is cleaned and escaped here, and nowhere else. Numbers have one decimal, so that the same input
gives the same bytes everywhere.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
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
"""Each ink's light and dark colour. Hues as in `graphengine.render.looks`, so that a colour has one meaning."""


class Paint(NamedTuple):
    """How a shape is painted; the width of its line is in pixels."""

    fill: Ink = "none"
    line: Ink = "none"
    width: float = 1.0
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn picture.

    Attributes:
        title: What it is, in one line.
        spoken: Its content, one line per part, for screen readers and as plain text.
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
        """Return the picture as a standalone SVG."""
        return f'<?xml version="1.0" encoding="utf-8"?>\n{self.element()}\n'

    def element(self) -> str:
        """Return the picture as an element of a page."""
        across, down = number(self.width), number(self.height)
        size = f'width="{across}" height="{down}" viewBox="0 0 {across} {down}"'
        desc = safe(". ".join(self.spoken))
        name = f"c{sha256(f'{self.title}{desc}{self.body}'.encode('utf-8', 'replace')).hexdigest()[:8]}"
        spoken = f'role="img" aria-labelledby="{name}-title {name}-desc"'
        font = f'font-family="{FONT}" font-size="{number(SIZE)}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} {spoken} {font}>',
                f'<title id="{name}-title">{safe(self.title)}</title>',
                f'<desc id="{name}-desc">{desc}</desc>',
                f"<style>{_by_night()}</style>",
                f'<rect width="100%" height="100%"{_painted(Paint("paper"))}/>',
                self.body,
                "</svg>",
            ]
        )

    def _repr_svg_(self) -> str:
        """Return the picture, for notebooks."""
        return self.element()

    def text(self) -> str:
        """Return the picture's content in words."""
        return "\n".join((self.title, *self.spoken)) + "\n"


@dataclass(slots=True)
class Canvas:
    """The canvas of a chart; `parts` are its elements so far."""

    parts: list[str] = field(default_factory=list)

    def rect(  # noqa: PLR0913 - where, how large, how painted
        self, x: float, y: float, across: float, down: float, paint: Paint, *, radius: float = 0.0
    ) -> None:
        """Add a rectangle."""
        rounded = f' rx="{number(radius)}"' if radius else ""
        self.parts.append(
            f'<rect x="{number(x)}" y="{number(y)}" width="{number(across)}" height="{number(down)}"'
            f"{rounded}{_painted(paint)}/>"
        )

    def line(self, start: tuple[float, float], end: tuple[float, float], paint: Paint) -> None:
        """Add a straight line."""
        (x1, y1), (x2, y2) = start, end
        self.parts.append(
            f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"{_painted(paint)}/>'
        )

    def path(self, points: Sequence[tuple[float, float]], paint: Paint) -> None:
        """Add a line through points."""
        text = "M" + " L".join(f"{number(x)} {number(y)}" for x, y in points)
        self.parts.append(f'<path d="{text}"{_painted(paint)} stroke-linejoin="round"/>')

    def curve(self, start: tuple[float, float], end: tuple[float, float], paint: Paint) -> None:
        """Add a line that leaves its start downwards and reaches its end from the left."""
        (x1, y1), (x2, y2) = start, end
        text = (
            f"M{number(x1)} {number(y1)} C{number(x1)} {number(y2)} {number(x1)} {number(y2)} {number(x2)} {number(y2)}"
        )
        self.parts.append(f'<path d="{text}"{_painted(paint)}/>')

    def dot(self, x: float, y: float, radius: float, paint: Paint) -> None:
        """Add a circle."""
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
        """Add a line of text; y is its baseline. Invisible characters get a visible mark."""
        facts = f' font-size="{number(size)}"' if size != SIZE else ""
        facts += f' text-anchor="{anchor}"' if anchor != "start" else ""
        facts += ' font-weight="bold"' if strong else ""
        self.parts.append(
            f'<text x="{number(x)}" y="{number(y)}"{facts}{_painted(Paint(ink))}>{safe(one_line(text))}</text>'
        )

    def raw(self, element: str) -> None:
        """Add an element that was made elsewhere, of escaped text."""
        self.parts.append(element)

    @contextmanager
    def said(self, words: str) -> Iterator[None]:
        """Title everything drawn inside, for pointers and screen readers."""
        self.parts.append(f"<g><title>{safe(one_line(words))}</title>")
        yield
        self.parts.append("</g>")

    def done(self, title: str, spoken: Sequence[str], across: float, down: float) -> Chart:
        """Return the chart."""
        return Chart(one_line(title), tuple(one_line(line) for line in spoken), across, down, "\n".join(self.parts))


def number(value: float) -> str:
    """Return a number, rounded to a tenth, as briefly as possible."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def safe(text: str) -> str:
    """Return text escaped for XML, including attributes."""
    return escape(one_line(text))


def measure(text: str, size: float = SIZE, *, strong: bool = False) -> float:
    """Return the most pixels that a text takes in any of the measured fonts."""
    return text_width(one_line(text), size, strong=strong)


def fit(text: str, pixels: float, size: float = SIZE, *, strong: bool = False) -> str:
    """Return the text, or as much of its beginning as fits, with `…` after it; "" if not even that fits."""
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
