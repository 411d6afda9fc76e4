"""Every page of this folder is true. `UPDATE_SCENARIOS=1 pytest tests/scenarios` rewrites the recorded steps."""

import difflib
import os
from pathlib import Path

import pytest

from tests.kit.scenario import Scenario

PAGES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_run_does_what_its_page_says(path: Path) -> None:
    """Played event by event, a run takes the steps of its page and has the snapshot at its end."""
    played = Scenario.read(path).play(path.name)
    if os.environ.get("UPDATE_SCENARIOS"):
        path.write_text(played, encoding="utf-8")
    written = path.read_text(encoding="utf-8")
    if played != written:
        diff = difflib.unified_diff(written.splitlines(), played.splitlines(), "the page", "the run", lineterm="", n=6)
        pytest.fail("\n".join([f"{path.name} (UPDATE_SCENARIOS=1 rewrites it):", *diff]), pytrace=False)


def test_there_are_pages() -> None:
    """There are at least ten pages of scenarios."""
    assert len(PAGES) >= 10
