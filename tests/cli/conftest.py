import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from graphengine.cli.main import main
from tests.cli.programs import COUNTER, STARTED, Invoke
from tests.cli.scratch import scratch
from tests.kit.forks import Child
from tests.models.conftest import edge, edge_process, own_hosts

__all__ = ["edge", "edge_process", "own_hosts"]


@contextmanager
def present(folder: Path, root: Path) -> Iterator[None]:
    """Change to a folder; remove modules imported from below the root at the end."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        patch.setattr(sys, "argv", ["graphengine"])
        yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(root)):
            del sys.modules[name]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """Return the current folder, which is empty."""
    folder = tmp_path / "project"
    folder.mkdir()
    with present(folder, tmp_path):
        yield folder


@pytest.fixture
def project(here: Path) -> Path:
    """Return the current folder: a project whose graphs are in `flows`, with the graph `counter`."""
    (here / "flows").mkdir()
    (here / "pyproject.toml").write_text('[tool.graphengine]\ngraphs = ["flows"]\n')
    (here / "flows" / "counter.py").write_text(COUNTER)
    return here


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create the project for the examples of `--help` with its runs, once, to be copied."""
    folder = tmp_path_factory.mktemp("tried")
    with present(folder, folder):
        scratch(folder)
    return folder


@pytest.fixture
def tried(made_once: Path, here: Path) -> Path:
    """Return the current folder: a copy of that project for each test."""
    shutil.copytree(made_once, here, dirs_exist_ok=True)
    return here


@pytest.fixture
def invoke(project: Path) -> Invoke:
    """Return a function that calls the command line in this process."""
    del project

    def call(*words: str) -> Result:
        return CliRunner().invoke(main, list(words))

    return call


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """End the processes that a failed test left."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
        if isinstance(process, Child):
            process.end()
        else:
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
