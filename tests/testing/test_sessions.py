"""What pytest prints of tests with our plugins, as sessions at a shell. `UPDATE_PAGES=1` rewrites the pages.

The pages are those of tests/cli/pages. Of what pytest prints they have the result, the error of each failed test and
the sections below it, without tracebacks and times.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from graphengine.models.sdk import FORBID
from tests.cli.page import TOOLS, play
from tests.conformance.model_scenes import Says
from tests.kit import forks, golden
from tests.models.edge_server import EdgeServer
from tests.testing.plain import QUIET

SHOWS_MORE: Final = ("CI", "BUILD_NUMBER")
"""The variables of build servers with which pytest prints a whole error in its summary too."""
HERE: Final = Path(__file__).parent
PAGES: Final = sorted(HERE.glob("sessions/*.txt"))
TRACEBACK: Final = re.compile(r"^_+ (.*) _+\n(?:(?!=+ |_{4,} |-+ ).*\n)*", re.MULTILINE)
ERROR: Final = re.compile(r"^E  .*\n(?: {6,}.*\n)*", re.MULTILINE)
VARYING: Final = {
    r"^[=_-]+ (graphengine: .*?|.*) [=_-]+$": r"== \1",
    r"^(== FAILURES|== ERRORS|== short test summary info|(FAILED|ERROR) .*|[.FEs]+ +\[.*)\n": "",
    r"run \w{8}-\w{11}\b": "run ID",
    r" in \d+\.\d+s$": "",
    r"\.{100,}": "..……..",
}
"""What is not on a page, or otherwise."""


def ran(words: list[str], given: str) -> str:
    """Run pytest, and return what a page has of its output."""
    done = forks.run("pytest", *QUIET, "--log-level=CRITICAL", "-q", "-W", "error", *words)
    said = TRACEBACK.sub(lambda found: f"== {found[1]}\n{''.join(ERROR.findall(found[0]))}", done.stdout + done.stderr)
    for old, new in VARYING.items():
        said = re.sub(old, new, said, flags=re.MULTILINE)
    return said + (f"exit {done.returncode}\n" if done.returncode else "")


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function that plays a page in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in (FORBID, *SHOWS_MORE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(TOOLS, "pytest", ran)
    return lambda path: golden.check(path, play(path.read_text(encoding="utf-8"), tmp_path))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pytest_prints_what_its_page_shows(path: Path, check: Callable[[Path], None]) -> None:
    """Each page has its truths as comments."""
    check(path)


def test_models_are_recorded_as_their_page_shows(
    check: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server of the environment variable EDGE is asked once."""
    server = EdgeServer()
    server.start()
    server.play(Says("a draft, signed sk-test-0123456789abcdef"))
    monkeypatch.setenv("EDGE", server.url)
    check(HERE / "sessions" / "recorded" / "recordings.txt")
    assert len(server.received()) == 1
    server.stop()


@pytest.mark.parametrize("name", ["plugin", "coverage_plugin"])
def test_loading_a_plugin_loads_nothing_of_the_engine(name: str) -> None:
    """Every pytest process imports one small module, and of graphengine only packages."""
    program = (
        f"import pytest, sys; before = set(sys.modules); import graphengine.testing.{name}\n"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith(('importlib', 'typing'))))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    ours = [each for each in loaded if each.startswith("graphengine")]
    assert ours == ["graphengine", "graphengine.doors", "graphengine.testing", f"graphengine.testing.{name}"]
    assert len(loaded) < 12, loaded
