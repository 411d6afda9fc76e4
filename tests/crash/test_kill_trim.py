"""The removal of old steps of a run, killed at many of its points."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_kill_anywhere_in_a_removal_of_steps_loses_nothing_else(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    """Whatever the point of death, the run is the same and sound, and the next process removes the rest."""
    database = str(tmp_path / "runs.db") if store == "sqlite" else request.getfixturevalue("postgres")
    words = [sys.executable, str(HERE / "trim_victim.py"), database]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = re.fullmatch(r"(\d+) kills, (\d+) of them half-way\n", done.stdout)
    assert printed is not None, done.stdout
    assert int(printed[1]) >= 8
    assert int(printed[2]) >= 3
