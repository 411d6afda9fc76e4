"""The pictures of the docs can be read where they are shown: in a column of 830 px, as GitHub shows a README."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.render.samples import read_xml

ROOT = Path(__file__).resolve().parents[2]
PICTURES = sorted((ROOT / "docs").rglob("*.svg"))
COLUMN = 830.0
LEAST = 9.0
SVG = "{http://www.w3.org/2000/svg}"


def pixels(length: str) -> float:
    """A length of an SVG in CSS pixels."""
    return float(length.removesuffix("pt")) * (96 / 72 if length.endswith("pt") else 1)


def sizes(element: ET.Element, size: float, scale: float) -> list[float]:
    """The sizes of all text in an element, in CSS pixels of its natural size."""
    size = float(element.get("font-size", size))
    if element.tag == f"{SVG}svg":
        scale *= pixels(element.get("width", "0")) / float(element.get("viewBox", "0 0 1 1").split()[2])
    own = [size * scale] if element.tag == f"{SVG}text" else []
    return own + [found for child in element for found in sizes(child, size, scale)]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.relative_to(ROOT / "docs").as_posix())
def test_no_text_is_too_small(picture: Path) -> None:
    """The smallest text of a picture has 9 px, scaled down to the column if it is wider. A logo has no text."""
    root = read_xml(picture.read_bytes())
    shrunk = min(1.0, COLUMN / pixels(root.get("width", "0")))
    assert min(sizes(root, 16.0, 1.0), default=LEAST) * shrunk >= LEAST


def test_the_picture_at_the_top_of_the_readme_is_low() -> None:
    """It takes at most 320 px of the first screen."""
    root = read_xml((ROOT / "docs" / "pictures" / "review_loop.svg").read_bytes())
    assert pixels(root.get("height", "0")) <= 320
    assert pixels(root.get("width", "0")) <= COLUMN


@pytest.mark.parametrize("name", ["inspector", "inspector_dark"])
def test_the_film_of_the_inspector_is_short_and_small(name: str) -> None:
    """In both themes it is an animation of 6 to 10 seconds, a little wider than the column, and at most 400 kB."""
    film = (ROOT / "docs" / "pictures" / f"{name}.webp").read_bytes()
    frames = [found.end() for found in re.finditer(rb"ANMF.{4}", film, re.DOTALL)]
    milliseconds = [int.from_bytes(film[at + 12 : at + 15], "little") for at in frames]
    assert (film[:4], film[8:16]) == (b"RIFF", b"WEBPVP8X")
    assert COLUMN <= int.from_bytes(film[24:27], "little") + 1 <= 1.1 * COLUMN
    assert len(frames) > 10
    assert 6_000 <= sum(milliseconds) <= 10_000
    assert len(film) <= 400_000


@pytest.mark.parametrize("name", ["today", "why_not", "graph"])
def test_pictures_that_stand_side_by_side_are_equally_large(name: str) -> None:
    """In both themes they have one size, and each is small enough for a README."""
    for file in (f"{name}.png", f"{name}_dark.png"):
        picture = (ROOT / "docs" / "pictures" / file).read_bytes()
        assert [int.from_bytes(picture[at : at + 4], "big") for at in (16, 20)] == [960, 660]
        assert len(picture) <= 120_000
