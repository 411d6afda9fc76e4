"""A prune that is killed at any of its points.

`SEED=7 pytest tests/crash/test_kill_prune.py` removes runs of another length, so that it is killed elsewhere.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
STEPS = 600 + int(os.environ.get("SEED", "0")) % 193
"""Steps of one run; freed in pieces of 64."""


@pytest.mark.parametrize("how", ["at_once", "in_bites"])
def test_a_kill_anywhere_in_a_prune_loses_nothing_that_was_kept(tmp_path: Path, how: str) -> None:
    """Whatever the point of death, kept runs are complete, removed ones are gone, and the next store frees the rest."""
    words = [sys.executable, str(HERE / "prune_victim.py"), str(tmp_path), str(STEPS), how]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = re.fullmatch(r"(\d+) kills, (\d+) of them with rows left to free, 0 steps lost\n", done.stdout)
    assert printed is not None, done.stdout
    sys.stdout.write(done.stdout)
    assert int(printed[1]) >= 20
    assert int(printed[2]) >= 15
