"""The pages of the patterns run, and their pictures are those of their graphs.

`UPDATE_PICTURES=1 pytest tests/docs/test_patterns.py` redraws the pictures; inspect the changes.
"""

import os
import re
from pathlib import Path

import pytest

import graphengine.patterns
import graphs
from graphengine import Graph
from graphengine.cli.new import RECIPES, names
from graphengine.render.parts import Detail

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "use" / "patterns"
WIDE = frozenset(("debate", "role_based"))
"""Patterns whose full picture would be too wide for a page; they are drawn in brief."""
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def text_of(page: str) -> str:
    """The text of a page."""
    return (FOLDER / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_and_its_picture_is_that_of_its_graph(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All blocks run in order, with the pattern as a module of `graphs`; the picture is that of their graph."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(graphs, "__path__", [*graphs.__path__, str(FOLDER.parents[2] / RECIPES)])
    shown: dict[str, object] = {"__name__": "page"}
    for block in BLOCK.findall(text_of(page)):
        exec(compile(block, page, "exec"), shown)  # noqa: S102 - our own pages
    graph = shown["graph"]
    assert isinstance(graph, Graph)
    assert graph.name == page
    picture = FOLDER / "pictures" / f"{page}.svg"
    detail: Detail = "brief" if page in WIDE else "full"
    if os.environ.get("UPDATE_PICTURES"):
        graph.render(picture, detail=detail)
    graph.render(tmp_path / "now.svg", detail=detail)
    assert picture.read_bytes() == (tmp_path / "now.svg").read_bytes()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_every_section(page: str) -> None:
    """A page says what the pattern is for and when not to use it, and has a picture."""
    text = text_of(page)
    assert text.startswith("# ")
    assert f"](pictures/{page}.svg)" in text
    assert "\n## When not\n" in text


def test_every_pattern_has_a_page_and_every_page_is_listed() -> None:
    """Every pattern has a page, and every page a line in the list, in alphabetical order, which says how to get it."""
    how = {name: "imported" for name in dir(graphengine.patterns) if name.islower()}
    how |= {name: f"copied: `--from {name}`" for name in names(RECIPES)}
    assert sorted(how) == PAGES
    rows = re.findall(r"^\| \[`(\w+)`\]\(\1\.md\) \| (.+?) \| .+ \| .+ \|$", text_of("README"), re.MULTILINE)
    assert rows == sorted(how.items())
