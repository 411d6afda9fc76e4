"""The pictures in the docs show the graphs as they are."""

from pathlib import Path

from graphengine.render import render_graph
from graphs.review_loop import graph
from tests.render.samples import PICTURE, read_xml

SVG = {"s": "http://www.w3.org/2000/svg"}


def said(picture: Path) -> list[tuple[str | None, str, list[str | None]]]:
    """Each part of a picture: its kind, what it says, and the words painted. Not where: that depends on fonts."""
    groups = read_xml(picture.read_bytes()).iterfind(".//s:g", SVG)
    return [
        (group.get("class"), group.findtext("s:title", "", SVG), [text.text for text in group.findall("s:text", SVG)])
        for group in groups
    ]


def test_the_picture_of_the_review_loop_is_up_to_date(tmp_path: Path) -> None:
    """The README's picture says what `graphs/review_loop.py` does; `python -m tests.render.samples` makes it anew."""
    render_graph(graph, tmp_path / "now.svg")
    assert said(PICTURE) == said(tmp_path / "now.svg")
    assert len(said(PICTURE)) > 10
