"""The script for users that kills the review loop at random moments."""

from functools import partial
from pathlib import Path

import pytest

from scripts import kill_review_loop
from tests.kit import forks

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def test_the_main_job_survives_kills_at_random_moments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run the script for users, with quick agents and few kills; its processes are forks.

    A run that is to be killed is slower than the undisturbed one: it lasts until then, even if that one was held up.
    """

    def begin(*words: str) -> forks.Started:
        seconds = "0.2" if "undisturbed" in words else "0.8"
        return forks.start(
            "graphengine", *words, folder=ROOT, variables={"SLOW_SECONDS": seconds}, loads=forks.WORKFLOWS
        )

    call = partial(forks.run, "graphengine", folder=ROOT, variables={"SLOW_SECONDS": "0.2"}, loads=forks.WORKFLOWS)
    monkeypatch.setattr(kill_review_loop, "begin", begin)
    monkeypatch.setattr(kill_review_loop, "call", call)
    assert kill_review_loop.main(["--kills", "1", "--seed", "11"]) == 0
    assert "0 outcomes differ" in capsys.readouterr().out
