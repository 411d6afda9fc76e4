"""A run that fails at START is like any other: recorded, released by its driver, resumed with a repaired graph."""

import pytest

from graphengine import RunFailed, Runner
from tests.engine.test_stuck_at_start import graph


async def test_a_branch_under_a_repaired_graph_finds_an_edge() -> None:
    """START is in every graph, so the branch needs no other position."""
    async with Runner() as runner:
        run = runner.start(graph(repaired=False))
        with pytest.raises(RunFailed):
            await run.result()
        result = await runner.branch(run.id, graph(repaired=True), at=1).result()
        assert result.label == "nothing to do"
