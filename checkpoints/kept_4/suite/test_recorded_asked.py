"""Recorded runs of asked: today's graph decides them the same way.

`graphengine suite` wrote this file and the runs beside it. No node is run, and no model is called.
"""

from pathlib import Path

import pytest
from graphengine.testing import replay

from tests.kit.unfinished import ASKED

RUNS = sorted(Path(__file__).parent.glob("*.json"))


@pytest.mark.parametrize("run", RUNS, ids=[run.stem for run in RUNS])
def test_the_graph_decides_as_recorded(run: Path) -> None:
    """Every edge, update and ending is as it was."""
    replay(ASKED, run)
