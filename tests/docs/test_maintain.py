"""docs/project/maintain: the code of its pages, applied to a copy of the package, does what they say."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.page import FENCE, ROOT, printed

PAGES = sorted((ROOT / "docs" / "project" / "maintain").glob("*.md"))
PLACE = re.compile(r"`((?:graphengine|tests|docs|scripts)/[\w/.]*)`")
MADE = re.compile(r"tests/capped/")
TALK = """
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph

class Talk(BaseModel):
    text: str = ""

graph = Graph("talk", Talk)
graph.add_node("say", Agent("parrot", prompt="Say ho"), writes="text")
graph.add_path(START, "say", END)
"""


def applied(page: Path, folder: Path) -> None:
    """Write the files of a page, and change those that its diffs name; a blank line ends a hunk."""
    for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        first, _, rest = text.partition("\n")
        path = folder / first.removeprefix("# ")
        if language == "python":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rest, encoding="utf-8")
        elif language == "diff":
            for hunk in rest.rstrip().split("\n\n"):
                lines = [(line[0], f"{line[1:]}\n") for line in hunk.splitlines()]
                before, after = ("".join(line for sign, line in lines if sign != other) for other in "+-")
                content = path.read_text(encoding="utf-8")
                assert content.count(f"\n{before}") == 1, hunk
                path.write_text(content.replace(f"\n{before}", f"\n{after}"), encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with what the pages add."""
    folder = tmp_path_factory.mktemp("maintain")
    unneeded = shutil.ignore_patterns("__pycache__", "node_modules", "page")
    shutil.copytree(ROOT / "graphengine", folder / "graphengine", ignore=unneeded)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for page in PAGES:
        applied(page, folder)
    (folder / "talk.py").write_text(TALK, encoding="utf-8")
    return folder


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_page_names_what_exists_and_fits_a_screen(page: Path) -> None:
    """Files besides those of its example; at most 60 lines."""
    text = page.read_text(encoding="utf-8")
    named = set(PLACE.findall(text))
    assert len(named) > 5
    assert [place for place in named if not (ROOT / place).exists() and not MADE.fullmatch(place)] == []
    assert len(text.splitlines()) <= 60


def test_the_wing_warns(copy: Path) -> None:
    """`graphengine check` asks it."""
    lines = printed(copy, "-m", "graphengine", "check", "talk.py", "--model", "rules", "--bounds")
    assert any("WARNING uncapped: nothing limits its cost" in line for line in lines)


def test_the_provider_answers(copy: Path) -> None:
    """By its name, also on the command line."""
    assert "Say ho" in "\n".join(printed(copy, "-m", "graphengine", "run", "talk.py", "--model", "echo:loud"))


def test_the_store_passes_the_suite(copy: Path) -> None:
    """Its tests are collected and pass, without those of two processes."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/databases"]
    done = subprocess.run(words, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_door_is_an_option(copy: Path) -> None:
    """Its routes load, and `serve --help` says what it serves."""
    assert any("--ids" in line for line in printed(copy, "-m", "graphengine", "serve", "--help"))
    printed(copy, "-c", "import graphengine.serve.service.ids_door")
