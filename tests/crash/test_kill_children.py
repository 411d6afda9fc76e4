"""A run that starts children, in a process that is killed at each point in turn: each child is one run, and is heard.

`make test` kills some dozen times; `CRASH_POINTS=all` at every point that a run without a kill passes.
"""

import os
import random
import subprocess
from pathlib import Path

from tests.kit import forks

PROGRAM = Path(__file__).with_name("children_victim.py")
LOADS = ("graphengine.databases.postgres",)
WHOLE = "finished 14 [3, 4] 4 ['finished', 'finished', 'finished', 'finished', 'finished', 'finished'] []"
KILLS = 6


def life(database: str, run: str, folder: Path, *point: str) -> "subprocess.CompletedProcess[str]":
    """Run one process of a run, to its end or its death."""
    return forks.run(PROGRAM, database, run, *point, folder=folder, loads=LOADS)


def test_a_killed_run_has_each_child_once_and_hears_of_each_end(database: str, tmp_path: Path) -> None:
    """The second process finishes it, whatever was lost: there are six children, of which each is told once."""
    whole = life(database, "whole", tmp_path)
    assert whole.stdout == WHOLE, whole.stderr
    passed = [line.rpartition(":") for line in (tmp_path / "whole.points").read_text(encoding="utf-8").splitlines()]
    points = [(name, number) for name, _, number in passed]
    if os.environ.get("CRASH_POINTS") != "all":
        points = random.Random(3).sample(points, KILLS)  # noqa: S311 - the same draws each time
    for at, (name, number) in enumerate(points):
        died = life(database, f"run{at}", tmp_path, name, number)
        assert died.returncode in (0, -9), died.stderr
        last = life(database, f"run{at}", tmp_path)
        assert last.stdout == WHOLE, f"{name} {number}: {last.stdout}{last.stderr}"
