"""The documentation site builds without a warning, and every internal link in it leads somewhere."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from scripts import site_pages

ROOT = Path(__file__).resolve().parents[2]
EXTRA = importlib.util.find_spec("material") and importlib.util.find_spec("mkdocstrings")
needs_the_extra = pytest.mark.skipif(not EXTRA, reason="the extra docs is not installed: make docs")


class Page(HTMLParser):
    """The links and the anchors of an HTML page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what the tag refers to, and its id."""
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.append(value)
            elif value and name in ("id", "name"):
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from the pages of this checkout."""
    folder = tmp_path_factory.mktemp("site")
    site_pages.write(folder / "pages")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder / "site")]
    env = {**os.environ, "SITE_PAGES": str(folder / "pages"), "PYTHONPATH": str(ROOT)}
    built = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


@needs_the_extra
def test_every_internal_link_leads_to_a_file_and_an_anchor(site: Path) -> None:
    """Links of the navigation included; the 404 page has absolute links and is not part of this."""
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 60
    lost = [
        f"{path.relative_to(site)}: {link}" for path in pages for link in pages[path].links if dead(path, link, pages)
    ]
    assert lost == []


def dead(page: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Whether an internal link leads nowhere."""
    address, anchor = urldefrag(link)
    if re.match(r"[a-z]+:|//", link):
        return False
    target = (page.parent / unquote(address)).resolve() if address else page
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return True
    return bool(anchor) and target in pages and unquote(anchor) not in pages[target].anchors


@needs_the_extra
@pytest.mark.parametrize("module", site_pages.API)
def test_every_public_name_is_in_the_api_reference(site: Path, module: str) -> None:
    """With an anchor of its own, and its docstring's first line."""
    page = site / "api" / module / "index.html"
    text = re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))
    for name in site_pages.public_names(module):
        assert name.rpartition(".")[2] in text
        assert any(anchor.endswith(f".{name}") for anchor in Page(page).anchors), name
    assert ">>>" not in re.sub(r"(?s)<pre>.*?</pre>", "", page.read_text(encoding="utf-8")), "a doctest outside a block"


def test_a_reference_is_a_directive_for_each_public_name() -> None:
    """The page that mkdocstrings reads, and the names of a module without `__all__`."""
    assert "\n::: graphengine.Graph\n" in site_pages.reference("graphengine")
    assert "\n::: graphengine.stores.base.Store\n" in site_pages.reference("graphengine.stores")
    for module in site_pages.API:
        for name in site_pages.public_names(module):
            inner, _, last = f"{module}.{name}".rpartition(".")
            assert hasattr(importlib.import_module(inner), last), f"{module}.{name}"


def test_the_pages_keep_their_paths(tmp_path: Path) -> None:
    """So their links hold unchanged, also those to files outside docs/."""
    site_pages.write(tmp_path)
    for name in ("README.md", "docs/use/guide.md", "docs/pictures/review_loop.svg", "tests/scenarios/README.md"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
