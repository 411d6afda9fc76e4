"""A prune that is killed at any of its points."""

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def test_a_kill_anywhere_in_a_prune_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    """Whatever the point of death, what stays is whole, what went is gone, and whoever opens next frees the rest."""
    words = [sys.executable, str(HERE / "prune_victim.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.fullmatch(r"(\d+) kills, (\d+) of them with rows left to free, 0 steps lost\n", done.stdout)
    assert told is not None, done.stdout
    assert int(told[1]) >= 20
    assert int(told[2]) >= 15
