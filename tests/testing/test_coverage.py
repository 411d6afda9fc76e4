"""Coverage of edges in other contexts and threads; `coverage.txt` shows its reports."""

import asyncio
import threading

from pydantic import BaseModel

from graphengine import Graph, value
from graphengine.testing import EdgeCoverage, run_node
from tests.kit.runs import SOON, repeated


class Talk(BaseModel):
    n: int = 0


async def speak(n: int) -> int:
    """Count."""
    return n + 1


def loop() -> Graph[Talk]:
    """Return a graph that counts to three."""
    return repeated(Talk, speak, "n", value("n") >= 3)


def test_runs_count_in_any_context_and_thread() -> None:
    """An event loop that was made before, and a thread of the test's own, see no context variable of the test's."""
    with asyncio.Runner() as loop_before:
        loop_before.get_loop()
        with EdgeCoverage() as coverage:
            loop_before.run(loop().run({"n": 7}))
            assert "work -> work (otherwise): never taken" in coverage.report()
            thread = threading.Thread(target=lambda: asyncio.run(loop().run()))
            thread.start()
            thread.join()
    assert coverage.percent == 100.0


async def test_a_node_alone_in_another_thread_does_not_stop_recording() -> None:
    """A node run alone is not counted; a run in parallel with it is."""
    alone, done = threading.Event(), threading.Event()

    def looked(n: int) -> bool:
        if n == 8:  # the node alone
            alone.set()
            done.wait(SOON)
        return True

    graph = repeated(Talk, speak, "n", looked)

    def aside() -> None:
        asyncio.run(run_node(graph, "work", {"n": 7}))

    with EdgeCoverage(graph) as coverage:
        thread = threading.Thread(target=aside)
        thread.start()
        assert alone.wait(SOON)
        assert coverage.percent == 0
        await graph.run()
        done.set()
        thread.join()
    assert coverage.report().splitlines()[0] == "tests/testing/test_coverage.py: one: 2 of 3 seen"
