"""The pictures in the docs match their graphs."""

from pathlib import Path

import pytest

from tests.render.samples import PICTURES, draw_docs, read_xml

SVG = {"s": "http://www.w3.org/2000/svg"}


def said(picture: Path) -> list[tuple[str | None, str, list[str | None]]]:
    """Return each part's kind, title and painted words. Positions depend on Graphviz."""
    groups = read_xml(picture.read_bytes()).iterfind(".//s:g", SVG)
    return [
        (group.get("class"), group.findtext("s:title", "", SVG), [text.text for text in group.findall("s:text", SVG)])
        for group in groups
    ]


@pytest.fixture
async def drawn(tmp_path: Path) -> Path:
    """A folder with freshly drawn pictures."""
    await draw_docs(tmp_path)
    return tmp_path


async def test_the_pictures_of_the_docs_are_up_to_date(drawn: Path) -> None:
    """Each matches its graph, or the run on it; `python -m tests.render.samples` regenerates them."""
    names = sorted(path.name for path in drawn.iterdir())
    assert names == sorted(path.name for path in PICTURES.glob("*.svg"))
    for name in names:
        assert said(PICTURES / name) == said(drawn / name), name
        assert len(said(PICTURES / name)) > 10
