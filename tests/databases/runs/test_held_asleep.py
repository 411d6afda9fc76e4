"""Waiting runs that other processes continue, and the cost of many waits."""

import asyncio
import gc
import tracemalloc
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from graphengine import Context, Graph, Runner
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner.driving import Driving
from tests.kit.runs import alone


async def rest(ctx: Context) -> str:
    """Sleep, then return."""
    await ctx.sleep(60)
    return "rested"


async def asleep(runner: Runner, graph: Graph[Any], count: int) -> None:
    """Let so many runs more fall asleep, each with a state of 100 KB, and keep no handle on them."""
    wanted = len(runner._shared._seen) + count  # noqa: SLF001 - no event reports it
    for number in range(count):
        runner.start(graph, {"texts": [f"{number:05}" * 20_000]})
    while len(runner._shared._seen) < wanted:  # noqa: ASYNC110, SLF001 - as above
        await asyncio.sleep(0.001)
    for _ in range(10):
        await asyncio.sleep(0)  # the last one frees what drove it
    gc.collect()


async def test_a_sleeping_run_holds_no_state(tmp_path: Path) -> None:
    """It holds neither its state nor what opened and drove it: 3 KB, mostly coroutines and their asyncio task."""

    class Big(BaseModel):
        texts: list[str] = []
        word: str = ""

    graph = alone(Big, rest, "word", name="big", node="rest")
    async with Runner(tmp_path / "runs.db", clock=FakeClock(start=0.0, jumps=False)) as runner:
        await asleep(runner, graph, 5)  # objects that are created once do not count
        tracemalloc.start()
        try:
            await asleep(runner, graph, 50)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        driven = [each for each in gc.get_objects() if isinstance(each, Driving) and each.plan is graph.compile()]
        assert len(driven) <= 1, "the store's last append may refer to what drove that run"
        assert held / 50 < 5000
