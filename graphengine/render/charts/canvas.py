"""The canvas on which charts are drawn as SVG. Shapes and text have *inks*, each with a light and a dark colour.

The light colour is an attribute of the shape, and the dark colour is in a style sheet. A program that ignores style
sheets therefore draws the light chart. Only this module cleans and escapes text. Numbers have one decimal, so that the
same input leads to the same bytes everywhere. A shape that belongs to a step has the step's number as `data-seq`, and
the inspector makes the shape clickable.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from graphengine.render.files import png_of, write_picture
from graphengine.render.looks import INK, PAPER, SOFT_INK
from graphengine.render.metrics import FONT, number, text_width
from graphengine.render.page import page_of
from graphengine.render.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike

CHART_ENDINGS: Final = (".svg", ".html", ".png", ".txt")
SIZE: Final = 12.0
SMALL: Final = 11.0
MARGIN: Final = 16.0

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
"""The light and the dark colour of each ink.

The hues come from `graphengine.render.looks`, so that each colour has the same meaning in charts and in pictures of
graphs.
"""
BY_NIGHT: Final = "@media (prefers-color-scheme:dark){{{}}}".format(
    "".join(f".f-{name}{{fill:{night}}}.s-{name}{{stroke:{night}}}" for name, (_, night) in INKS.items())
)
"""The style sheet that makes a chart dark."""


class Paint(NamedTuple):
    """How a shape of a chart is painted: the colours of its area and its line, and the width of the line in pixels."""

    fill: Ink = "none"
    line: Ink = "none"
    width: float = 1.0
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart that was drawn, as SVG and in words.

    Attributes:
        title: The title of the chart, in one line.
        spoken: The content in words, one line for each part, for screen readers and as plain text.
        width: The width in pixels.
        height: The height in pixels.
        body: The SVG elements.
    """

    title: str
    spoken: tuple[str, ...]
    width: float
    height: float
    body: str

    def svg(self) -> str:
        """Return the chart as a complete SVG file."""
        return f'<?xml version="1.0" encoding="utf-8"?>\n{self.element()}\n'

    def element(self, style: str = f"<style>{BY_NIGHT}</style>") -> str:
        """Return the chart as an SVG element that can be inserted into an HTML page.

        Args:
            style: The element that contains the dark colours; "" for a page whose own style sheet contains `BY_NIGHT`.
        """
        across, down = number(self.width), number(self.height)
        desc = safe(". ".join(self.spoken))
        name = f"c{sha256(f'{self.title}{desc}{self.body}'.encode('utf-8', 'replace')).hexdigest()[:8]}"
        size = f'width="{across}" height="{down}" viewBox="0 0 {across} {down}"'
        spoken = f'role="img" aria-labelledby="{name}-title {name}-desc"'
        font = f'font-family="{FONT}" font-size="{number(SIZE)}"'
        return f"""\
<svg xmlns="http://www.w3.org/2000/svg" {size} {spoken} {font}>
<title id="{name}-title">{safe(self.title)}</title>
<desc id="{name}-desc">{desc}</desc>{style}
<rect width="100%" height="100%"{_format_paint(Paint("paper"))}/>
{self.body}
</svg>"""

    def _repr_svg_(self) -> str:
        """Return the picture, for notebooks."""
        return self.element()

    def page(self) -> str:
        """Return the chart as an HTML page that loads no external resources and runs no script."""
        return page_of(self.element(), self.title, self.text())

    def text(self) -> str:
        """Return the chart's content in words."""
        return "\n".join((self.title, *self.spoken)) + "\n"

    def png(self) -> bytes:
        """Return the chart as PNG, with two dots per pixel, so that text stays sharp.

        Raises:
            RenderError: resvg-py is not installed, or resvg-py failed.
        """
        return png_of(self.svg(), 2.0)


def write_chart(path: str | PathLike[str], draw: Callable[[], Chart]) -> None:
    """Draw a chart into a file.

    If the chart cannot be drawn, no file is written. SVG, HTML and text need no other program or library.

    Args:
        path: The file. Its ending, one of `CHART_ENDINGS`, selects the format.
        draw: A function that draws the chart, such as `lambda: timeline(steps)`. It is called after the ending has been
            checked.

    Raises:
        RenderError: The ending is unknown, PNG cannot be painted here, the file cannot be written, or `draw` raised
            this error. Other exceptions of `draw` are reported as a run that cannot be read.
    """

    def made(ending: str) -> bytes:
        chart = draw()
        if ending == ".png":
            return chart.png()
        return {".svg": chart.svg, ".txt": chart.text, ".html": chart.page}[ending]().encode("utf-8", "replace")

    write_picture(path, CHART_ENDINGS, made)


@dataclass(slots=True)
class Canvas:
    """Collects the parts of a chart while the chart is drawn: as SVG, and at the same time in words.

    Attributes:
        parts: The SVG elements so far.
        spoken: The content in words so far, one line for each part.
    """

    parts: list[str] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)

    def shape(self, kind: str, paint: Paint, **facts: str | float) -> None:
        """Add an SVG element with these attributes."""
        texts = ((name, fact if isinstance(fact, str) else number(fact)) for name, fact in facts.items())
        pairs = "".join(f' {name}="{text}"' for name, text in texts)
        self.parts.append(f"<{kind}{pairs}{_format_paint(paint)}/>")

    def rect(  # noqa: PLR0913 - where, how large, how painted
        self, x: float, y: float, across: float, down: float, paint: Paint, *, radius: float = 0.0
    ) -> None:
        """Add a rectangle."""
        self.shape("rect", paint, x=x, y=y, width=across, height=down, **({"rx": radius} if radius else {}))

    def line(self, start: tuple[float, float], end: tuple[float, float], paint: Paint) -> None:
        """Add a straight line."""
        (x1, y1), (x2, y2) = start, end
        self.shape("line", paint, x1=x1, y1=y1, x2=x2, y2=y2)

    def path(self, points: Sequence[tuple[float, float]], paint: Paint) -> None:
        """Add a line through points."""
        self.shape("path", paint, d="M" + " L".join(f"{number(x)} {number(y)}" for x, y in points))

    def dot(self, x: float, y: float, radius: float, paint: Paint) -> None:
        """Add a circle."""
        self.shape("circle", paint, cx=x, cy=y, r=radius)

    def cross(self, x: float, y: float, half: float, paint: Paint) -> None:
        """Add a cross, which marks a failure for readers who cannot see its colour."""
        for slope in (-half, half):
            self.line((x - half, y - slope), (x + half, y + slope), paint)

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
        """Add a line of text to the chart. The baseline of the text is at the height y.

        Invisible characters are replaced by visible marks.
        """
        facts = f' font-size="{number(size)}"' if size != SIZE else ""
        facts += f' text-anchor="{anchor}"' if anchor != "start" else ""
        facts += ' font-weight="bold"' if strong else ""
        self.parts.append(
            f'<text x="{number(x)}" y="{number(y)}"{facts}{_format_paint(Paint(ink))}>{safe(one_line(text))}</text>'
        )

    def soft(self, x: float, y: float, text: str, anchor: Anchor = "start") -> None:
        """Add a line of small, pale text to the chart."""
        self.text(x, y, text, ink="soft", size=SMALL, anchor=anchor)

    def heading(self, across: float, title: str, *lines: str) -> None:
        """Add the title of a chart, and up to two lines of text below the title.

        The lines are also part of the description for screen readers.
        """
        room = across - 2 * MARGIN
        self.text(MARGIN, 28, fit(title, room, 15, strong=True), size=15, strong=True)
        for line, y, size in zip(lines, (47, 64), (SIZE, SMALL), strict=False):
            self.text(MARGIN, y, fit(line, room, size), ink="soft" if size == SMALL else "ink", size=size)
        self.spoken += lines

    def stripes(self, top: float, across: float, row: float, rows: int) -> None:
        """Shade every other row."""
        for index in range(0, rows, 2):
            self.rect(MARGIN - 6, top + index * row, across - 2 * MARGIN + 12, row, Paint("stripe"), radius=3)

    def axis(self, marks: Sequence[tuple[float, str]], top: float, bottom: float) -> None:
        """Add vertical lines at places of the horizontal axis, each with a text above it.

        A line is left out if its text would overlap the previous text.

        Args:
            marks: The horizontal place of each line in pixels, and its text.
            top: The top of the lines.
            bottom: The bottom of the lines.
        """
        free = 0.0
        for x, text in marks:
            half = measure(text, SMALL) / 2
            if x - half >= free:
                self.line((x, top), (x, bottom), Paint("none", "grid"))
                self.soft(x, top - 4, text, "middle")
                free = x + half + 8

    @contextmanager
    def title_group(self, words: str, seq: int = 0) -> Iterator[None]:
        """Give a title to all shapes that are drawn in the `with` block.

        A reader sees the title when the mouse pointer is over one of the shapes, and screen readers read the title.

        Args:
            words: The title.
            seq: The number of the step to which the shapes belong; 0 for none.
        """
        step = f' data-seq="{seq}"' if seq else ""
        self.parts.append(f"<g{step}><title>{safe(one_line(words))}</title>")
        yield
        self.parts.append("</g>")

    def done(self, title: str, across: float, down: float) -> Chart:
        """Return the chart."""
        spoken = tuple(one_line(line) for line in self.spoken)
        return Chart(one_line(title), spoken, across, down, "\n".join(self.parts))


def safe(text: str) -> str:
    """Return text escaped for XML, including attributes."""
    return escape(one_line(text))


def measure(text: str, size: float = SIZE, *, strong: bool = False) -> float:
    """Return the width of a text in the widest of the measured fonts, in pixels."""
    return text_width(one_line(text), size, strong=strong)


def fit(text: str, pixels: float, size: float = SIZE, *, strong: bool = False) -> str:
    """Shorten a text with `…` so that it fits into a space in a chart; "" if not even one character fits.

    Args:
        text: The text.
        pixels: The width of the space.
        size: The font size.
        strong: Whether the text is bold.
    """
    text = one_line(text)
    if measure(text, size, strong=strong) <= pixels:
        return text
    room = pixels - measure("…", size, strong=strong)
    taken = next((n for n in range(len(text), 0, -1) if measure(text[:n], size, strong=strong) <= room), 0)
    return text[:taken].rstrip() + "…" if taken else ""


def _format_paint(paint: Paint) -> str:
    if paint.fill == paint.line == "none":
        return ""
    classes = [f"{kind}-{ink}" for kind, ink in (("f", paint.fill), ("s", paint.line)) if ink != "none"]
    facts = f' fill="{"none" if paint.fill == "none" else INKS[paint.fill][0]}"'
    if paint.line != "none":
        facts += f' stroke="{INKS[paint.line][0]}"'
        facts += f' stroke-width="{number(paint.width)}"' if paint.width != 1.0 else ""
        facts += f' stroke-dasharray="{paint.dash}"' if paint.dash else ""
    return f' class="{" ".join(classes)}"{facts}'
