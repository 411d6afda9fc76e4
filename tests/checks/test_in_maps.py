"""Items of a map that wait: they give their slots up, take turns, and are bounded by `max_open`, over restarts too."""

import pytest

from graphengine.errors import CompileError
from tests.kit.runs import alone
from tests.runner.waits.test_in_maps import State, asks, mapped


async def test_a_bound_that_is_no_number_of_items_is_refused() -> None:
    """It is a whole number above 0, of a node with `each`."""
    with pytest.raises(CompileError, match="max_open=0 is not a whole number of items"):
        mapped(asks, max_open=0).compile()
    with pytest.raises(CompileError, match="max_open=3 is given without each="):
        alone(State, lambda: 1, "found", max_open=3).compile()
