"""docs/use/heavy.md: its file runs as a program and on the command line, with executors of the project's settings."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "use" / "heavy.md").read_text(encoding="utf-8")
PROGRAM, PLACE, *_ = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
(SETTINGS,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with the page's files."""
    (tmp_path / "embedding.py").write_text(PROGRAM)
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    return tmp_path


def run(folder: Path, *words: str, **variables: str) -> str:
    """Run Python in a folder, and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **variables}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_runs_and_the_command_line_finds_its_executor(folder: Path) -> None:
    """The script prints the vector that its child computed, and so does `graphengine run` with the settings."""
    assert run(folder, "embedding.py").startswith("[0.0, 0.1")
    (folder / "places.py").write_text(PLACE.replace("num_gpus=1", "1").replace("Ray", "Process"))
    assert "0.1" in run(folder, "-m", "graphengine", "run", "embedding.py")
