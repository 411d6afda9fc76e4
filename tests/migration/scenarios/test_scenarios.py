"""Scenarios of changed graphs, as in `tests/scenarios`; `UPDATE_PAGES=1` rewrites the recorded steps."""

from pathlib import Path

import pytest

from tests.kit import golden
from tests.kit.scenario import Scenario

PAGES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_run_does_what_its_page_says(path: Path) -> None:
    """Played event by event, a run takes the steps of its page and has the snapshot at its end."""
    golden.check(path, Scenario.read(path).play(path.name))
