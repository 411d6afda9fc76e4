"""The pictures in the docs show the graphs as they are."""

from pathlib import Path

import pytest

from tests.render.samples import PICTURES, draw_docs, read_xml

SVG = {"s": "http://www.w3.org/2000/svg"}


def said(picture: Path) -> list[tuple[str | None, str, list[str | None]]]:
    """Each part of a picture: its kind, what it says, and the words painted. Not where: Graphviz decides."""
    groups = read_xml(picture.read_bytes()).iterfind(".//s:g", SVG)
    return [
        (group.get("class"), group.findtext("s:title", "", SVG), [text.text for text in group.findall("s:text", SVG)])
        for group in groups
    ]


@pytest.fixture
async def drawn(tmp_path: Path) -> Path:
    """A folder with the pictures as they would be drawn now."""
    await draw_docs(tmp_path)
    return tmp_path


async def test_the_pictures_of_the_docs_are_up_to_date(drawn: Path) -> None:
    """Each says what its graph, or the run on it, does; `python -m tests.render.samples` makes them anew."""
    names = sorted(path.name for path in drawn.iterdir())
    assert names == sorted(path.name for path in PICTURES.glob("*.svg"))
    for name in names:
        assert said(PICTURES / name) == said(drawn / name), name
        assert len(said(PICTURES / name)) > 10
