import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from graphengine.cli.main import main
from tests.cli.programs import COUNTER, STARTED, Invoke
from tests.cli.scratch import scratch
from tests.models.conftest import aimock, aimock_process, edge, edge_process

__all__ = ["aimock", "aimock_process", "edge", "edge_process"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The present folder, an empty one; what is imported from below it is forgotten in the end."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", ["graphengine"])
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def project(here: Path) -> Path:
    """The present folder: a project whose graphs are in `flows`, with the graph `counter`."""
    (here / "flows").mkdir()
    (here / "pyproject.toml").write_text('[tool.graphengine]\ngraphs = ["flows"]\n')
    (here / "flows" / "counter.py").write_text(COUNTER)
    return here


@pytest.fixture
def tried(here: Path) -> Path:
    """The present folder: the project that the examples of `--help` are made for, with its runs."""
    scratch(here)
    return here


@pytest.fixture
def invoke(project: Path) -> Invoke:
    """Calls the command line in this process."""
    del project

    def call(*words: str) -> Result:
        return CliRunner().invoke(main, list(words))

    return call


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """A test that fails leaves no process behind."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
