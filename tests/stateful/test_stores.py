"""Both stores under random commands, against one model."""

import pytest
from hypothesis.stateful import RuleBasedStateMachine

from tests.stateful.budget import search
from tests.stateful.store_prunes import FileMachine, MemoryMachine


@pytest.mark.parametrize(("machine", "examples"), [(MemoryMachine, 40), (FileMachine, 12)])
def test_a_store_does_what_its_model_does(machine: type[RuleBasedStateMachine], examples: int) -> None:
    """For any order of commands, deaths and clock changes, a store and the small model agree."""
    search(machine, examples)
