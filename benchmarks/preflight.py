"""How long a preflight takes: runs that wait in a SQLite file, against four forms of their graph.

    python -m benchmarks.preflight [RUNS]

The runs are begun by a Runner, with texts of a seeded length and a name of their own each.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from graphengine import END, START, Graph, Runner, ask
from graphengine.testing import preflight

RUNS = 100_000
TOGETHER = 200


class Desk(BaseModel):
    """The state with which the runs were recorded."""

    name: str = ""
    text: str = ""
    size: int = 0
    ok: bool = False


class WithField(Desk):
    """The state of a later version, which has a new field with a default."""

    extra: str = ""


class Bounded(Desk):
    """The state of a later version, which limits the length of a field, so that each run's value must be checked."""

    name: str = Field("", max_length=100)
    extra: str = ""


def size_of(text: str) -> int:
    return len(text)


def desk(state: type[BaseModel] = Desk, node: str = "check") -> Graph[Any]:
    """Return a graph that asks a question."""
    graph: Graph[Any] = Graph("desk", state)
    graph.add_node("read", size_of, writes="size", thread=False)
    graph.add_node(node, ask("Is {name} well?", bool), writes="ok")
    graph.add_path(START, "read", node, END)
    return graph


async def begin(database: Path, runs: int) -> None:
    """Record runs that wait for an answer."""
    chance, graph = random.Random(7), desk()  # noqa: S311 - texts of the same lengths each time
    async with Runner(database) as runner:
        for first in range(0, runs, TOGETHER):
            inputs = [{"name": f"n{n}", "text": "w" * chance.randint(10, 2000)} for n in range(first, first + TOGETHER)]
            await asyncio.gather(*(runner.start(graph, each).result() for each in inputs[: runs - first]))


async def measure(runs: int) -> None:
    """Measure a preflight against each form of the graph. Print its seconds, and the most memory so far."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "runs.db"
        await begin(database, runs)
        forms = {
            "unchanged": desk(),
            "a new field": desk(WithField),
            "a renamed node": desk(node="sign"),
            "a bound on a field": desk(Bounded),
        }
        for name, graph in forms.items():
            began = time.perf_counter()
            found = await preflight([graph], database)
            seconds = time.perf_counter() - began
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{name}: {found.runs:,} runs, {found.refused:,} do not fit, {seconds:.1f} s, {memory} MiB")


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS))
