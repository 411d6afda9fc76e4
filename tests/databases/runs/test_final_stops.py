"""Final stops: a run that is cancelled has ended, and nothing continues it; branches of it can begin."""

import asyncio
from pathlib import Path

from graphengine import Runner
from tests.kit.runs import SOON, alone
from tests.runner.test_final_stops import Order


async def test_a_driven_run_is_cancelled_at_its_next_safe_point(database: Path | str) -> None:
    """Also by another process, and with `now` while a node is in flight; what it had is recorded."""
    begun = asyncio.Event()

    async def hang(n: int) -> int:
        begun.set()
        await asyncio.Event().wait()
        return n

    graph = alone(Order, hang, "n", name="hangs")
    async with Runner(database) as runner, Runner(database) as other:
        run = runner.start(graph, run_id="r")
        await begun.wait()
        await other.stop("r", "too slow", now=True, final=True)
        result = await asyncio.wait_for(run.result(), SOON)
        assert (result.status, result.ending and result.ending.why) == ("cancelled", "too slow")
