"""Colours that everybody can read."""

import math
import re
from itertools import combinations, product
from typing import get_args

import pytest

from graphengine.render import to_mermaid
from graphengine.render.charts.canvas import INKS, Ink
from graphengine.render.looks import PAPER, Look, by_night, look_of_arrow, look_of_box, look_of_cluster
from graphengine.render.parts import Arrow, Box, Cluster, Shape, Tone
from tests.render.nested import graph_spec_of, newsroom
from tests.render.samples import LOOP, review_loop

KINDS: tuple[Shape, ...] = ("function", "agent", "choose", "ask", "fail", "pass")
EYES = {
    "all colours": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
    "no green": ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
"""What is left of linear red, green and blue: Vienot, Brettel and Mollon (1999), for blue Machado and others (2009)."""


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it, from 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`, from 0 to 1."""
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def linear(colour: str) -> list[float]:
    """Return the linear red, green and blue of `#rrggbb`, each from 0 to 1."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]


def seen(colour: str, eyes: str) -> tuple[float, float, float]:
    """Return a colour as these eyes see it, in CIELAB, where a distance of 2 is barely visible."""
    given = linear(colour)
    red, green, blue = (sum(a * b for a, b in zip(row, given, strict=True)) for row in EYES[eyes])
    x = 0.4339 * red + 0.3762 * green + 0.1899 * blue
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = 0.0177 * red + 0.1095 * green + 0.8729 * blue
    fx, fy, fz = (max(t, 0) ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize(("eyes", "night"), list(product(EYES, (False, True))))
def test_kinds_are_distinguishable_for_all_eyes(eyes: str, night: bool) -> None:  # noqa: FBT001 - a case, not a switch
    """The lines of any two kinds of nodes differ clearly, whatever colours a reader sees, by day and by night."""
    lines = [look_of_box(Box("n0", kind, (), "")).line for kind in KINDS]
    colours = [seen(by_night(line) if night else line, eyes) for line in lines]
    assert min(math.dist(one, other) for one, other in combinations(colours, 2)) >= 11


def apart(one: tuple[str, str], other: tuple[str, str], eyes: str) -> float:
    """The lines of any two kinds of nodes differ clearly, in light and dark themes, for every kind of colour vision."""
    return max(math.dist(seen(mine, eyes), seen(theirs, eyes)) for mine, theirs in zip(one, other, strict=True))


@pytest.mark.parametrize(("eyes", "night"), list(product(EYES, (False, True))))
def test_states_of_a_run_are_distinguishable_for_all_eyes(eyes: str, night: bool) -> None:  # noqa: FBT001 - a case
    """At work, waiting, failed, never reached and done, of whatever kind: each differs from all others."""
    shade = by_night if night else str

    def colours(kind: Shape, tone: Tone) -> tuple[str, str]:
        look = look_of_box(Box("n0", kind, (), "", tone))
        return shade(look.fill), shade(look.line)

    tones: list[Tone] = ["here", "waiting", "failed", "unused"]
    stands = [colours("function", tone) for tone in tones]
    ended = [colours(kind, "done") for kind in KINDS]
    assert min(apart(one, other, eyes) for one, other in combinations(stands, 2)) >= 11
    assert min(apart(one, other, eyes) for one, other in product(stands, ended)) >= 11


@pytest.mark.parametrize(("eyes", "night"), list(product(EYES, (False, True))))
def test_bars_of_a_chart_are_distinguishable_for_all_eyes(eyes: str, night: bool) -> None:  # noqa: FBT001 - a case
    """Work, a failed attempt, a fallback, a wait and the rest differ in their fill or their line."""
    bars: list[tuple[Ink, Ink]] = [
        ("work", "work-line"),
        ("bad", "bad-line"),
        ("fell", "fell-line"),
        ("wait", "wait-line"),
        ("other", "other-line"),
    ]
    colours = [(INKS[fill][night], INKS[line][night]) for fill, line in bars]
    assert min(apart(one, other, eyes) for one, other in combinations(colours, 2)) >= 11


@pytest.mark.parametrize(("shape", "tone"), list(product(get_args(Shape), get_args(Tone))))
def test_a_box_is_readable(shape: Shape, tone: Tone) -> None:
    """Running, waiting, failed, never reached and done nodes differ from each other, whatever their kind."""
    look = look_of_box(Box("n0", shape, (), "", tone))
    for shade in (str, by_night):
        assert contrast(shade(look.text), shade(look.fill)) >= 4.5
        assert contrast(shade(look.soft), shade(look.fill)) >= 4.5
        assert contrast(shade(look.line), shade(PAPER)) >= 3


@pytest.mark.parametrize(("depth", "tone"), list(product(range(4), get_args(Tone))))
def test_a_cluster_is_readable(depth: int, tone: Tone) -> None:
    """The head and the border of a cluster are readable at any depth."""
    look = look_of_cluster(Cluster("g0", "graph", (), "", depth=depth, tone=tone))
    for shade in (str, by_night):
        assert contrast(shade(look.text), shade(look.fill)) >= 4.5
        assert contrast(shade(look.soft), shade(look.fill)) >= 4.5
        assert contrast(shade(look.line), shade(look.fill)) >= 3


@pytest.mark.parametrize(("failure", "tone"), list(product((False, True), get_args(Tone))))
def test_an_arrow_is_readable(failure: bool, tone: Tone) -> None:  # noqa: FBT001 - a case, not a switch
    """Its words have a contrast of 4.5 to the paper, and its line 3."""
    look = look_of_arrow(Arrow("w0", "n0", "n1", (), "", failure=failure, tone=tone))
    for shade in (str, by_night):
        assert contrast(shade(look.text), shade(PAPER)) >= 4.5
        assert contrast(shade(look.line), shade(PAPER)) >= 3


def test_a_runs_path_is_visible_without_colour() -> None:
    """Lines are wider the more was done: never taken, plain, done, and the current place."""

    def points(tone: Tone) -> float:
        look: Look = look_of_box(Box("n0", "agent", (), "", tone))
        return look.line_points

    assert points("unused") < points("plain") < points("done") < points("here") == points("failed")


@pytest.mark.parametrize("page", ["#ffffff", "#0d1117"])
def test_a_flowchart_in_mermaid_is_seen_by_day_and_by_night(page: str) -> None:
    """It has one set of colours: every line, or the fill in it, has a contrast of 3 to a white and to a dark page."""
    text = to_mermaid(graph_spec_of(newsroom())) + to_mermaid(review_loop(), LOOP)
    lines = re.findall(r"(?:fill:(#\w+|none),)?stroke:(#\w+)", text)
    assert len(lines) > 10
    for fill, line in lines:
        assert max(contrast(colour, page) for colour in (line, fill) if colour.startswith("#")) >= 3
    for fill, ink in re.findall(r"fill:(#\w+),stroke:#\w+,color:(#\w+)", text):
        assert contrast(fill, ink) >= 4.5
