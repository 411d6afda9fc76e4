"""Invalid numbers and infinite durations: refused where they are given, or read as no limit."""

import math
from datetime import timedelta

import pytest

from graphengine import (
    Runner,
)
from graphengine.errors import InputError

NONE = [math.nan, -1.0, -math.inf]


@pytest.mark.parametrize("number", [*NONE, math.inf])
async def test_the_age_of_runs_that_go_is_finite(number: float) -> None:
    """With an infinite age, nothing is pruned."""
    async with Runner() as runner:
        with pytest.raises(InputError, match="older_than"):
            await runner.admin.prune(older_than=number)
        assert (await runner.admin.prune(older_than=timedelta(0))).runs == ()
