"""The crossing: random programs that cross features, and the small ones that once failed."""

import os
import sys
from pathlib import Path

import pytest

from tests.crossing.drive import Play
from tests.crossing.hunt import Hunt
from tests.crossing.matrix import empty, table
from tests.crossing.program import read
from tests.crossing.reverts import REVERTS, ROOT, Revert

CROSSINGS = int(os.environ.get("CROSSINGS", "120"))
MOST = 400
"""How many programs may be needed at most until every pair was crossed."""
SEED = int(os.environ.get("SEED", "1"))
PAGES = sorted((Path(__file__).parent / "pages").glob("*.txt"))


def test_every_pair_of_features_is_crossed_and_every_promise_is_kept() -> None:
    """Whatever is crossed, nothing acts beyond its promise, nothing accepted is lost, and every run comes to an end."""
    hunt = Hunt(SEED)
    while hunt.played < CROSSINGS or (empty(hunt.counts) and hunt.played < MOST):
        hunt.play(hunt.played)
    sys.stdout.write(f"{table(hunt.counts)}\n{hunt.played} programs crossed\n")
    assert not empty(hunt.counts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_program_that_failed_once_passes(page: Path) -> None:
    """Each page says what was wrong, and has the smallest program that showed it."""
    _, _, program = page.read_text(encoding="utf-8").partition("\n\n")
    Play(read(program)).run()


@pytest.mark.parametrize("revert", REVERTS.values(), ids=lambda revert: revert.page)
def test_what_undoes_a_repair_is_there(revert: Revert) -> None:
    """Code that moved leaves no revert behind that undoes nothing, and each has the page of its fault."""
    assert revert.page in [page.stem for page in PAGES]
    for name, has, _ in revert.edits:
        assert (ROOT / "graphengine" / name).read_text(encoding="utf-8").count(has) == 1
