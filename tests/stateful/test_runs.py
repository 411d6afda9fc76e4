"""Runs over both stores under random commands, compared with the story of their logs."""

import pytest
from hypothesis.stateful import RuleBasedStateMachine

from tests.stateful.budget import search
from tests.stateful.runner_prunes import FileRuns, MemoryRuns


@pytest.mark.parametrize(("machine", "examples"), [(MemoryRuns, 10), (FileRuns, 8)])
def test_runs_follow_the_model(machine: type[RuleBasedStateMachine], examples: int) -> None:
    """Crashed, resumed, branched, answered or stopped in any order, by two owners, a run does each thing once."""
    search(machine, examples, 30)
