"""Runs in a file under random commands of hypothesis, against the story of their logs, which `story` tells."""

from tests.stateful.budget import search
from tests.stateful.runner_prunes import FileRuns


def test_runs_follow_the_model() -> None:
    """Crashed, resumed, branched, answered or stopped in any order, by two owners, a run does each thing once."""
    search(FileRuns, 8, 30)
