"""Each pattern has a page, and the picture on it shows the graph that its example makes.

`UPDATE_PICTURES=1 pytest tests/patterns/test_pictures.py` draws them anew; look at what changed.
"""

import os
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from graphengine import Graph, patterns
from tests.render.samples import read_xml

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "patterns"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PATTERNS = sorted(name for name in patterns.__all__ if name.islower())
SVG = {"s": "http://www.w3.org/2000/svg"}


def example(pattern: str) -> object:
    """What a page calls `graph` where its example is over."""
    names: dict[str, object] = {"__name__": pattern}
    for block in BLOCK.findall((PAGES / f"{pattern}.md").read_text(encoding="utf-8")):
        exec(compile(block, pattern, "exec"), names)  # noqa: S102 - our own pages
    return names["graph"]


def said(picture: bytes) -> list[tuple[str | None, str, list[str | None]]]:
    """Each part of a picture: its kind, what it says, and the words painted. Not where: that depends on fonts."""
    groups: list[ET.Element] = list(read_xml(picture).iterfind(".//s:g", SVG))
    return [
        (group.get("class"), group.findtext("s:title", "", SVG), [text.text for text in group.findall("s:text", SVG)])
        for group in groups
    ]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_picture_of_a_page_shows_its_example(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be drawn now."""
    monkeypatch.chdir(tmp_path)
    graph = example(pattern)
    assert isinstance(graph, Graph)
    graph.render(tmp_path / "now.svg")
    drawn, kept = tmp_path / "now.svg", PAGES / "pictures" / f"{pattern}.svg"
    if os.environ.get("UPDATE_PICTURES"):
        kept.write_bytes(drawn.read_bytes())
    assert said(kept.read_bytes()) == said(drawn.read_bytes())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_page_tells_when_and_at_what_cost(pattern: str) -> None:
    """It shows its picture, and the list of patterns leads to it."""
    page = (PAGES / f"{pattern}.md").read_text(encoding="utf-8")
    assert f"](pictures/{pattern}.svg)" in page
    assert [part for part in ("## When to use it", "## When not", "## What it costs") if part not in page] == []
    assert f"({pattern}.md)" in (PAGES / "README.md").read_text(encoding="utf-8")
