"""A retry of many runs that is killed at any of its points, and repeated."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_retry_that_was_killed_anywhere_is_repeated(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    """The second call does what is left; each run is resumed once, and due for workers."""
    database = str(tmp_path / "runs.db") if store == "sqlite" else request.getfixturevalue("postgres")
    words = [sys.executable, str(HERE / "bulk_victim.py"), database]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = re.fullmatch(r"(\d+) kills\n", done.stdout)
    assert printed is not None, done.stdout
    assert int(printed[1]) >= 9
