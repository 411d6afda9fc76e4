"""Processes that are killed: recorded work is kept, the other work is repeated, and nothing else."""

import subprocess
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from scripts import kill_review_loop
from tests.kit import forks

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def victim(database: Path, log: Path, kill_at: int, *resume: str) -> subprocess.CompletedProcess[str]:
    """Run the victim to its end, or to its death."""
    return forks.run(HERE / "victim.py", str(database), str(log), str(kill_at), *resume)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """The output of the victim if it is not killed, and the work it does."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = victim(folder / "runs.db", folder / "log", 0)
    assert done.returncode == 0, done.stderr
    return done.stdout, (folder / "log").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("kill_at", range(1, 10))
def test_a_kill_during_work_repeats_only_that_work(
    kill_at: int, tmp_path: Path, undisturbed: tuple[str, list[str]]
) -> None:
    """The resumed run ends like the undisturbed one; the work in flight is done twice and all other work once."""
    expected, work = undisturbed
    assert len(work) == 9
    database, log = tmp_path / "runs.db", tmp_path / "log"
    dead = victim(database, log, kill_at)
    assert dead.returncode == -9
    resumed = victim(database, log, 0, "resume")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == expected
    done = Counter(log.read_text(encoding="utf-8").splitlines())
    again = done - Counter(work)
    missing = Counter(work) - done
    # The victim raises at the first attempt of "write 1": killed there, the second one is the resumed attempt itself.
    if work[kill_at - 1] == "write 1":
        assert sum(again.values()) + sum(missing.values()) <= 1
    else:
        assert again == Counter([work[kill_at - 1]])
        assert not missing


def test_the_main_job_survives_kills_at_random_moments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run the script for users, with quick agents and few kills; its processes are forks.

    A run that is to be killed is slower than the undisturbed one: it lasts until then, even if that one was held up.
    """

    def begin(*words: str) -> forks.Started:
        seconds = "0.2" if "undisturbed" in words else "0.8"
        return forks.start("graphengine", *words, folder=ROOT, variables={"SLOW_SECONDS": seconds}, loads=forks.BRIEFS)

    call = partial(forks.run, "graphengine", folder=ROOT, variables={"SLOW_SECONDS": "0.2"}, loads=forks.BRIEFS)
    monkeypatch.setattr(kill_review_loop, "begin", begin)
    monkeypatch.setattr(kill_review_loop, "call", call)
    assert kill_review_loop.main(["--kills", "1", "--seed", "11"]) == 0
    assert "0 outcomes differ" in capsys.readouterr().out
