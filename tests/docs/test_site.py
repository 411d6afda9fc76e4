"""The documentation site builds without a warning, every internal link leads somewhere, and models find all pages."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from scripts import site_pages
from tests.kit.machine import IS_BARE

ROOT = Path(__file__).resolve().parents[2]
GROUP = not IS_BARE and importlib.util.find_spec("material") and importlib.util.find_spec("mkdocstrings")
needs_the_group = pytest.mark.skipif(not GROUP, reason="the group docs is not installed: make docs")


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


def test_a_bar_in_code_has_no_backslash_on_the_site() -> None:
    """GitHub needs the backslash in tables, and Python-Markdown would show it."""
    page = "| `a \\| b` | c \\| d |\n`e \\| f`\n"
    assert site_pages.for_site(page) == "| `a | b` | c \\| d |\n`e \\| f`\n"


def test_models_find_every_page() -> None:
    """`llms.txt` links to each page, also of the reference, and `llms-full.txt` has the texts."""
    index, full = site_pages.index_for_models(), site_pages.text_for_models()
    for page in site_pages.linked(ROOT / "docs" / "README.md"):
        if page.suffix != ".md":
            continue  # the film
        name = page.relative_to(ROOT).with_suffix("").as_posix().removesuffix("/README")
        assert f"]({name}/)" in index
        assert page.read_text(encoding="utf-8") in full
    assert ".md)" not in index
    assert all(f"](api/{Path(site_pages.file_of(page)).stem}/)" in index for page in site_pages.pages())


def site(folder: Path) -> Path:
    """Return the site of this checkout: the one that `make docs` built if nothing has changed since, else a new one."""
    ready = ROOT / "build" / "site-ready"
    if ready.exists() and all(source.stat().st_mtime <= ready.stat().st_mtime for source in sources()):
        return ROOT / "build" / "site"
    site_pages.write(folder / "pages")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder / "site")]
    env = {**os.environ, "SITE_PAGES": str(folder / "pages"), "PYTHONPATH": str(ROOT)}
    built = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


def sources() -> Iterator[Path]:
    """Yield what the site is made from; a folder is newer than the files that were removed from it."""
    yield from (ROOT / name for name in (*site_pages.TOP, "constraints.txt", "mkdocs.yml", "pyproject.toml", "docs"))
    yield from (ROOT / "docs").rglob("*")
    for folder in ("graphengine", "scripts"):
        yield from (ROOT / folder).rglob("*.py")


@needs_the_group
def test_the_site_is_whole(tmp_path: Path) -> None:
    """It builds, every internal link leads to a file and an anchor, and the API reference has every public name.

    The links of the navigation are included; the 404 page has absolute links and is not part of this.
    """
    built = site(tmp_path)
    pages = {path: Page(path) for path in built.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 60
    lost = [
        f"{path.relative_to(built)}: {link}" for path in pages for link in pages[path].links if dead(path, link, pages)
    ]
    missing = [
        line
        for page in site_pages.pages()
        for line in unnamed(page, built / "api" / Path(site_pages.file_of(page)).stem)
    ]
    assert (lost, missing) == ([], [])


def unnamed(page: str, folder: Path) -> Iterator[str]:
    """Yield the public names of a page of the reference that have no anchor there, and doctests outside blocks."""
    path = folder / "index.html"
    anchors = Page(path).anchors
    yield from (name for name in site_pages.names_on(page) if name not in anchors)
    if page == "SyncRunner" and "graphengine.SyncRunner.start" not in anchors:
        yield "the methods of SyncRunner"
    if ">>>" in re.sub(r"(?s)<pre>.*?</pre>", "", path.read_text(encoding="utf-8")):
        yield f"{page}: a doctest outside a block"


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


def test_a_page_of_the_reference_has_a_directive_for_each_name() -> None:
    """A page of one name has no other heading."""
    assert site_pages.reference("Graph") == '::: graphengine.Graph\n    options: {"heading_level": 1}\n'
    assert "# Conditions\n\n::: graphengine.value\n" in site_pages.reference("Conditions")
    assert '.UnknownRun\n    options: {"heading_level": 2, "members": false}\n' in site_pages.reference("All errors")


def test_the_pages_keep_their_paths(tmp_path: Path) -> None:
    """The pages keep their paths, so that their links hold unchanged, also those to files outside docs/."""
    site_pages.write(tmp_path)
    for name in ("README.md", "docs/use/guide.md", "docs/pictures/review_loop.svg", "tests/scenarios/README.md"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
