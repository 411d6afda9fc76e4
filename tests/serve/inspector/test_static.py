import gzip
import hashlib
import math
import re
from itertools import combinations
from pathlib import Path

import graphengine.serve.inspector
from graphengine.render.charts.canvas import BY_NIGHT
from tests.render.test_looks import EYES, seen

STATIC = Path(graphengine.serve.inspector.__file__).parent / "static"
FILES = [file for file in STATIC.rglob("*") if file.suffix in {".js", ".css", ".html"}]
OWN = [file for file in FILES if "vendor" not in file.parts]


def test_the_vendored_module_is_the_published_one() -> None:
    """The hash in its licence file is that of the file, and of the file in the npm package."""
    digest = hashlib.sha256((STATIC / "vendor" / "preact-htm.js").read_bytes()).hexdigest()
    assert digest == "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7"
    licences = (STATIC / "vendor" / "LICENSES.txt").read_text(encoding="utf-8")
    assert digest in licences
    assert "Apache License" in licences
    assert "MIT License" in licences


def test_the_page_is_small() -> None:
    """All of the page's files take at most 60 KB compressed."""
    assert sum(len(gzip.compress(file.read_bytes())) for file in FILES) <= 60_000


def test_user_text_is_never_html() -> None:
    """No file of ours uses a way to make elements, styles or code from text, except to parse the server's own SVG."""
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|eval\(|new Function|srcdoc"
    found = [(file.name, way) for file in OWN for way in re.findall(ways, file.read_text(encoding="utf-8"))]
    assert found == []
    parsers = [file.name for file in OWN if "DOMParser" in file.read_text(encoding="utf-8")]
    assert parsers == ["parts.js"]


def test_the_page_loads_nothing_from_elsewhere() -> None:
    """The page works without a network: no address of another server is in it, no script or style is inline."""
    for file in OWN:
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, file.name
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\son\w+=|<script(?![^>]*\bsrc=)", page)


def test_charts_are_dark_on_a_dark_page() -> None:
    """The page's policy forbids styles in an SVG, so the style sheet has the dark colours of charts."""
    style = (STATIC / "app.css").read_text(encoding="utf-8")
    assert BY_NIGHT in style


def test_outcomes_are_distinguishable_for_all_eyes() -> None:
    """In the bars over the list only colours distinguish outcomes: each differs for every kind of colour vision."""
    text = (STATIC / "app.css").read_text(encoding="utf-8")
    fills = re.findall(r"\.fill-\w+ \{ fill: var\(--(\w+)\)", text)
    assert len(fills) == 5
    for rules in re.findall(r":root \{(.*?)\}", text, re.DOTALL):
        colours = dict(re.findall(r"--([\w-]+): (#\w+)", rules))
        for eyes in EYES:
            shown = [seen(colours[fill], eyes) for fill in fills]
            assert min(math.dist(one, other) for one, other in combinations(shown, 2)) >= 11
