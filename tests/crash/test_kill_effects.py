"""Effects that must not be repeated, in a process that is cut off at each point in turn: each is done exactly once.

It is killed, or its disk is full for a while, or it is suspended until another process has taken its run. `make test`
kills some forty times. `EFFECT_KILLS=2000 pytest -s tests/crash/test_kill_effects.py` kills that often in each store.
"""

import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.test_leases import suspend
from tests.kit import forks

PROGRAM = Path(__file__).with_name("effects_victim.py")
LOADS = ("jsonschema", "graphengine.databases.postgres")
NAMES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
KILLS = int(os.environ.get("EFFECT_KILLS", "24"))
LIVES = 8
"""How often a run is killed before it may end."""
AT_ONCE = 10
"""How many processes are suspended at the same time."""


@pytest.fixture
def frozen() -> Iterator[dict[int, forks.Started]]:
    """Processes that the test suspends, and that end with it."""
    processes: dict[int, forks.Started] = {}
    yield processes
    for process in processes.values():
        process.kill()
        process.end()


def life(database: str, run: str, ledger: Path, *point: str) -> "subprocess.CompletedProcess[str]":
    """Run one process of a run, to its end or its death."""
    return forks.run(PROGRAM, database, run, str(ledger), *point, folder=ledger.parent, loads=LOADS)


def check(ledger: Path) -> None:
    """Check that each effect happened once."""
    lines = ledger.read_text(encoding="utf-8").splitlines()
    assert Counter(line.split()[0] for line in lines) == Counter(NAMES), lines


def points_of(database: str, whole: Path) -> list[tuple[str, int]]:
    """Return the points that a run passes which is not cut off."""
    first = life(database, "whole", whole)
    assert first.returncode == 0, first.stderr
    passed = [line.rpartition(":") for line in whole.with_suffix(".points").read_text(encoding="utf-8").splitlines()]
    return [(name, int(number)) for name, _, number in passed]


def test_each_effect_is_done_once_whenever_the_process_is_killed(database: str, tmp_path: Path) -> None:
    """The ledger has one line of each, and each question was answered from it alone."""
    draw, points = random.Random(7), points_of(database, tmp_path / "whole")  # noqa: S311 - the same draws each time
    around = [point for point in points if point[0].endswith("effect")]
    kills = 0
    while kills < KILLS:
        ledger = tmp_path / f"after{kills}"
        for _ in range(LIVES):
            name, number = draw.choice(draw.choice([around, points]))
            ended = life(database, ledger.name, ledger, name, str(draw.randint(1, min(number, LIVES))))
            assert ended.returncode in (0, -9), ended.stderr
            kills += ended.returncode == -9
        last = life(database, ledger.name, ledger)
        assert "finished" in last.stdout.split(), last.stderr
        check(ledger)
    print(f"{kills} kills, {len(points)} points")  # noqa: T201 - a figure of a long run


@pytest.mark.parametrize("point", ["before append", "before effect", "after effect"])
def test_each_effect_is_done_once_whenever_the_disk_is_full(point: str, tmp_path: Path) -> None:
    """What cannot record its beginning does not act; what cannot record its end is unknown, and is not repeated."""
    database = str(tmp_path / "runs.db")
    numbers = [number for name, number in points_of(database, tmp_path / "whole") if name == point]
    full = 0
    for number in numbers:
        ledger = tmp_path / f"full{number}"
        ended = life(database, ledger.name, ledger, point, str(number), "full")
        assert "finished" in ended.stdout.split(), ended.stderr
        full += "full" in ended.stdout.split()
        check(ledger)
    assert full == len(numbers)


@pytest.mark.parametrize("point", ["begun", "after effect", "before append"])
def test_each_effect_is_done_once_although_suspended_processes_wake(
    point: str, database: str, frozen: dict[int, forks.Started], tmp_path: Path
) -> None:
    """Another one takes the run meanwhile, and finishes it; the first neither acts nor records when it goes on.

    Not "before effect": the docs say that who is suspended between the last check and the first byte can still act.
    """
    numbers = [number for name, number in points_of(database, tmp_path / "whole") if name == point]
    ledgers = {number: tmp_path / f"frozen{number}" for number in numbers[:: 1 + len(numbers) // AT_ONCE]}
    for number, ledger in ledgers.items():
        words = (database, ledger.name, str(ledger), point, str(number), "freeze")
        frozen[number] = forks.start(PROGRAM, *words, folder=tmp_path, loads=LOADS)
    for process in frozen.values():
        assert process.stdout.readline() == "frozen\n", process.communicate()[1]
        suspend(process, database)
    for number, process in frozen.items():
        second = life(database, ledgers[number].name, ledgers[number])
        assert "finished" in second.stdout.split(), second.stderr
        process.stdin.write("go on\n")
        process.stdin.flush()
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate()
        assert out.split()[0] in ("error", "finished"), err
        check(ledgers[number])
