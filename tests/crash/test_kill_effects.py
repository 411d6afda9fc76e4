"""Effects that must not be repeated, in a process that is killed at each point in turn: each is done exactly once.

`make test` kills some forty times. `EFFECT_KILLS=2000 pytest -s tests/crash/test_kill_effects.py` kills that often in
each store.
"""

import os
import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.kit import forks

PROGRAM = Path(__file__).with_name("effects_victim.py")
NAMES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
KILLS = int(os.environ.get("EFFECT_KILLS", "24"))
LIVES = 8
"""How often a run is killed before it may end."""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A file, then a schema of PostgreSQL."""
    address: str = str(tmp_path / "runs.db") if request.param == "sqlite" else request.getfixturevalue("postgres")
    return address


def life(place: str, run: str, ledger: Path, *point: str) -> "subprocess.CompletedProcess[str]":
    """Run one process of a run, to its end or its death."""
    loads = ("jsonschema", "graphengine.databases.postgres")
    return forks.run(PROGRAM, place, run, str(ledger), *point, folder=ledger.parent, loads=loads)


def test_each_effect_is_done_once_whenever_the_process_is_killed(place: str, tmp_path: Path) -> None:
    """The ledger has one line of each, and each question was answered from it alone."""
    draw, whole = random.Random(7), tmp_path / "whole"  # noqa: S311 - the same draws each time
    first = life(place, "whole", whole)
    assert first.returncode == 0, first.stderr
    passed = [line.rpartition(":") for line in whole.with_suffix(".points").read_text(encoding="utf-8").splitlines()]
    points = [(name, int(number)) for name, _, number in passed]
    around = [point for point in points if point[0].endswith("effect")]
    kills = 0
    while kills < KILLS:
        ledger = tmp_path / f"after{kills}"
        for _ in range(LIVES):
            name, number = draw.choice(draw.choice([around, points]))
            ended = life(place, ledger.name, ledger, name, str(draw.randint(1, min(number, LIVES))))
            assert ended.returncode in (0, -9), ended.stderr
            kills += ended.returncode == -9
        last = life(place, ledger.name, ledger)
        assert last.stdout.split()[:1] == ["finished"], last.stderr
        lines = ledger.read_text(encoding="utf-8").splitlines()
        assert Counter(line.split()[0] for line in lines) == Counter(NAMES), lines
    print(f"{kills} kills, {len(points)} points")  # noqa: T201 - a figure of a long run
