"""Processes that are killed with several arms in flight: each arm starts again, and nothing else."""

import asyncio
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from graphengine import Runner
from tests.kit import forks

HERE = Path(__file__).resolve().parent
WORKS = 16


def victim(database: Path, log: Path, kill_at: int, *resume: str) -> subprocess.CompletedProcess[str]:
    """Run the victim to its end, or to its death."""
    return forks.run(HERE / "forks_victim.py", str(database), str(log), str(kill_at), *resume)


def recorded(database: Path) -> Counter[str]:
    """Return the attempts that were recorded, named as in the victim's log."""

    async def read() -> Counter[str]:
        async with Runner(database) as runner:
            steps = await runner.history("r")
        return Counter(f"{step.node} {step.visit}" for step in steps if step.kind in ("node", "attempt") and step.began)

    return asyncio.run(read())


def works(log: Path) -> Counter[str]:
    """Return the work of the victim, by all its processes."""
    return Counter(log.read_text(encoding="utf-8").splitlines())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Counter[str]]:
    """The output of the victim if it is not killed, and the work it does."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = victim(folder / "runs.db", folder / "log", 0)
    assert done.returncode == 0, done.stderr
    return done.stdout, works(folder / "log")


@pytest.mark.parametrize("kill_at", range(1, WORKS + 1))
def test_a_kill_within_arms_repeats_only_work_in_flight(
    kill_at: int, tmp_path: Path, undisturbed: tuple[str, Counter[str]]
) -> None:
    """The resumed run ends like the undisturbed one; unrecorded work is done twice, all other work once."""
    expected, once = undisturbed
    assert sum(once.values()) == WORKS
    database, log = tmp_path / "runs.db", tmp_path / "log"
    assert victim(database, log, kill_at).returncode == -9
    in_flight = works(log) - recorded(database)
    assert in_flight
    resumed = victim(database, log, 0, "resume")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == expected
    assert works(log) == once + in_flight
