"""Both stores under random commands, against one model."""

import pytest
from hypothesis.stateful import RuleBasedStateMachine

from tests.stateful.budget import search
from tests.stateful.store_prunes import FileMachine, MemoryMachine


@pytest.mark.parametrize(("machine", "examples"), [(MemoryMachine, 80), (FileMachine, 50)])
def test_a_store_does_what_its_model_does(machine: type[RuleBasedStateMachine], examples: int) -> None:
    """Whatever the order of commands, deaths and turns of the clock, a store and a model a page long agree."""
    search(machine, examples)
