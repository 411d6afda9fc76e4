"""The crossing: random programs that cross features, and the small ones that once failed."""

import os
import sys
from pathlib import Path

import pytest

from tests.crossing.drive import Play
from tests.crossing.hunt import Hunt
from tests.crossing.known import is_known
from tests.crossing.matrix import empty, table
from tests.crossing.program import read

CROSSINGS = int(os.environ.get("CROSSINGS", "0"))
SEED = int(os.environ.get("SEED", "1"))
PAGES = sorted((Path(__file__).parent / "pages").glob("*.txt"))


@pytest.mark.skipif(not CROSSINGS, reason="searches only if CROSSINGS says how many programs")
def test_every_pair_of_features_is_crossed_and_every_promise_is_kept() -> None:
    """Whatever is crossed, nothing acts beyond its promise, nothing accepted is lost, and every run comes to an end."""
    hunt = Hunt(SEED)
    for number in range(CROSSINGS):
        hunt.play(number)
    sys.stdout.write(f"{table(hunt.counts)}\n{hunt.played} programs crossed; known: {dict(hunt.known)}\n")
    assert not empty(hunt.counts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_program_that_failed_once_passes(page: Path) -> None:
    """Each page says what was wrong, and has the smallest program that showed it."""
    _, _, program = page.read_text(encoding="utf-8").partition("\n\n")
    try:
        Play(read(program)).run()
    except Exception as error:
        if fault := is_known(error):
            pytest.xfail(fault)
        raise
