"""`python -m benchmarks.heavy`: what a node costs in place, in a pool of threads or processes, and on Ray.

Runs in memory, one after the other, of 100 nodes each that add 1 to a number, with a text of 100 bytes or 1 MB as a
second argument; the sides take turns. Ray is measured if it is installed: it starts a cluster on this machine.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from benchmarks.measure import MICRO, alternate, amount
from graphengine import END, START, Graph, Limits, Runner, value
from graphengine.executors import ProcessExecutor, RayExecutor

if TYPE_CHECKING:
    from benchmarks.measure import Side

_NODES: Final = 100


class Job(BaseModel):
    """A number that the node increases, and a text of any size that is sent to the executor with it."""

    n: int = 0
    text: str = ""


def add(n: int, text: str) -> int:
    return n + bool(text)


def counting(on: str | None) -> Graph[Job]:
    """Return a graph that runs one node 100 times, on the named executor or in place."""
    graph = Graph("counting", Job, limits=Limits(visits=None))
    if on is None:
        graph.add_node("add", add, writes="n")
    else:
        graph.add_node("add", add, writes="n", on=on)
    graph.add_edge(START, "add")
    graph.add_edge("add", END, when=value("n") >= _NODES)
    graph.add_edge("add", "add")
    return graph


async def measured(executors: dict[str, Executor], size_bytes: int, rounds: int) -> None:
    """Measure the graph on each executor, and print a line for each."""
    async with Runner(executors=executors) as runner:

        def side(graph: Graph[Job]) -> Side:
            async def once() -> float:
                began = time.perf_counter()
                await runner.start(graph, Job(text="x" * size_bytes)).result()
                return (time.perf_counter() - began) / _NODES * MICRO

            return once

        sides = {"the Runner's threads": side(counting(None))}
        sides |= {name: side(counting(name)) for name in executors}
        found = await alternate(sides, "µs", rounds)
        for name, figure in found.items():
            print(f"{size_bytes:>9,} bytes  {name:<22} {amount(figure.median):>8} µs a node  ({figure.spread})")


def main() -> None:
    """Measure all executors whose packages are installed."""
    rounds = 2 if "--quick" in sys.argv else 9
    executors: dict[str, Executor] = {
        "ThreadPoolExecutor": ThreadPoolExecutor(2),
        "ProcessExecutor": ProcessExecutor(2),
        "ProcessPoolExecutor": ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver")),
    }
    if find_spec("ray") is not None:
        executors["RayExecutor"] = RayExecutor()
    for size_bytes in (100, 1_000_000):
        asyncio.run(measured(executors, size_bytes, rounds))
    for executor in executors.values():
        executor.shutdown()


if __name__ == "__main__":
    main()
