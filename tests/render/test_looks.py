"""Colours that everybody can read."""

from itertools import product
from typing import get_args

import pytest

from graphengine.render.looks import PAPER, Look, look_of_arrow, look_of_box, look_of_cluster
from graphengine.render.parts import Arrow, Box, Cluster, Shape, Tone


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2 defines it, from 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """The relative luminance of `#rrggbb`, from 0 to 1."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("shape", "tone"), list(product(get_args(Shape), get_args(Tone))))
def test_a_box_can_be_read(shape: Shape, tone: Tone) -> None:
    """Text has a contrast of 4.5 to its box, and the line around it 3 to the paper."""
    look = look_of_box(Box("n0", shape, (), "", tone))
    assert contrast(look.text, look.fill) >= 4.5
    assert contrast(look.soft, look.fill) >= 4.5
    assert contrast(look.line, PAPER) >= 3


@pytest.mark.parametrize(("depth", "tone"), list(product(range(4), get_args(Tone))))
def test_a_cluster_can_be_read(depth: int, tone: Tone) -> None:
    """So can the head of a cluster, and its border, however deep it stands."""
    look = look_of_cluster(Cluster("g0", "graph", (), "", depth=depth, tone=tone))
    assert contrast(look.text, look.fill) >= 4.5
    assert contrast(look.soft, look.fill) >= 4.5
    assert contrast(look.line, look.fill) >= 3


@pytest.mark.parametrize(("failure", "tone"), list(product((False, True), get_args(Tone))))
def test_an_arrow_can_be_read(failure: bool, tone: Tone) -> None:  # noqa: FBT001 - a case, not a switch
    """Its words have a contrast of 4.5 to the paper, and its line 3."""
    look = look_of_arrow(Arrow("w0", "n0", "n1", (), "", failure=failure, tone=tone))
    assert contrast(look.text, PAPER) >= 4.5
    assert contrast(look.line, PAPER) >= 3


def test_what_a_run_did_stands_out_without_colour() -> None:
    """The wider the line, the more was done: never taken, plain, done, and where the run stands."""

    def points(tone: Tone) -> float:
        look: Look = look_of_box(Box("n0", "agent", (), "", tone))
        return look.line_points

    assert points("unused") < points("plain") < points("done") < points("here") == points("failed")
