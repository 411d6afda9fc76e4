import gzip
import json
import math
import os
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import pytest

import graphengine.serve.inspector
from graphengine.render import story
from graphengine.render.charts.canvas import INKS
from scripts import page_types
from tests.render.test_looks import EYES, seen

INSPECTOR = Path(graphengine.serve.inspector.__file__).parent
STATIC = INSPECTOR / "static"
PAGE = INSPECTOR / "page"
BUILT = [STATIC / name for name in ("app.css", "app.js", "index.html")]
STORY = [story.STATIC / name for name in ("story.css", "story.js")]
SOURCES = [*(PAGE / "src").iterdir(), PAGE / "index.html"]
STYLE = "".join((PAGE / "src" / name).read_text(encoding="utf-8") for name in ("shared.css", "app.css"))
LOCKED = json.loads((PAGE / "package-lock.json").read_text(encoding="utf-8"))["packages"]


@pytest.mark.skipif(
    not (PAGE / "node_modules" / "vite").is_dir() or shutil.which("npm") is None,
    reason="the page's tools are not installed, so that it cannot be built again: make servers",
)
def test_the_built_page_is_that_of_its_sources(tmp_path: Path) -> None:
    """Building the sources gives the same files, and its types fit: neither users nor `make run` need npm."""
    subprocess.run(
        ["npm", "run", "build", "--silent"],
        cwd=PAGE,
        env=os.environ | {"PAGE_OUT": str(tmp_path / "page"), "STORY_OUT": str(tmp_path / "story")},
        check=True,
        capture_output=True,
    )
    for built, folder in ((tmp_path / "page", STATIC), (tmp_path / "story", story.STATIC)):
        assert sorted(file.name for file in built.iterdir()) == sorted(file.name for file in folder.iterdir())
        for file in folder.iterdir():
            assert file.read_bytes() == (built / file.name).read_bytes(), f"{file.name}: make page"


def test_the_types_are_those_of_the_server() -> None:
    """The page's types are written from the structs that the server answers with."""
    assert page_types.FILE.read_text(encoding="utf-8") == page_types.types(), "python -m scripts.page_types"


def test_the_licences_of_what_is_built_in_are_there() -> None:
    """Each package that is part of the page has its licence, with its version."""
    licences = (STATIC / "LICENSES.txt").read_text(encoding="utf-8")
    assert licences in (story.STATIC / "story.js").read_text(encoding="utf-8"), "which is in each file that is sent"
    for name in LOCKED[""]["dependencies"]:
        assert f"{name} {LOCKED[f'node_modules/{name}']['version']}\n" in licences


def test_the_page_is_small() -> None:
    """All code and styles take at most 88 KB compressed, as they are sent; what each story brings takes 110 KB."""
    assert sum(len(gzip.compress(file.read_bytes())) for file in BUILT) <= 88_000
    assert sum(file.stat().st_size for file in STORY) <= 110_000


def test_lines_are_short() -> None:
    """Lines of the page's sources have at most 120 characters, as those of Python."""
    long = [
        f"{file.name}:{number}"
        for file in SOURCES
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 120
    ]
    assert long == []


def test_user_text_is_never_html() -> None:
    """No file of ours uses a way to make elements, styles or code from text, except to parse the server's own SVG."""
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|eval\(|new Function|srcdoc"
    found = [(file.name, way) for file in SOURCES for way in re.findall(ways, file.read_text(encoding="utf-8"))]
    assert found == []
    parsers = [file.name for file in SOURCES if "DOMParser" in file.read_text(encoding="utf-8")]
    assert parsers == ["parts.tsx"]


def test_the_page_loads_nothing_from_elsewhere() -> None:
    """The page works without a network: no address of another server is in it, no script or style is inline."""
    for file in SOURCES:
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, file.name
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\son\w+=|<script(?![^>]*\bsrc=)", page)


def test_charts_are_dark_on_a_dark_page() -> None:
    """The page's policy forbids styles in an SVG, so the style sheet has the colours of charts."""
    for name, (day, night) in INKS.items():
        for kind, paint in (("f", "fill"), ("s", "stroke")):
            assert f".{kind}-{name} {{\n  {paint}: light-dark({day}, {night});\n}}" in STYLE


def test_outcomes_are_distinguishable_for_all_eyes() -> None:
    """In the bars over the list only colours distinguish outcomes: each differs for every kind of colour vision."""
    fills = re.findall(r"\.fill-\w+ \{\s+fill: var\(--(\w+)\)", STYLE)
    assert len(fills) == 5
    for theme in (1, 2):
        colours = {each[1]: each[theme + 1] for each in re.finditer(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", STYLE)}
        for eyes in EYES:
            shown = [seen(colours[fill], eyes) for fill in fills]
            assert min(math.dist(one, other) for one, other in combinations(shown, 2)) >= 11
