"""A prune that is killed at any of its points.

`SEED=7 pytest tests/crash/test_kill_prune.py` removes runs of another length, so that it is killed elsewhere.
"""

import os
from pathlib import Path

import pytest

from tests.crash.in_turn import printed

STEPS = 600 + int(os.environ.get("SEED", "0")) % 193
"""Steps of one run; freed in pieces of 64."""


@pytest.mark.parametrize("how", ["at_once", "in_bites"])
def test_a_kill_anywhere_in_a_prune_loses_nothing_that_was_kept(tmp_path: Path, how: str) -> None:
    """Whatever the point of death, kept runs are complete, removed ones are gone, and the next store frees the rest."""
    form = r"(\d+) kills, (\d+) of them with rows left to free, 0 steps lost\n"
    kills, halves = printed(form, "prune_victim.py", str(tmp_path), str(STEPS), how)
    assert (kills >= 20, halves >= 15) == (True, True)
