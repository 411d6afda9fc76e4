"""A worker of queued runs, for tests that kill it: `python -m tests.crash.queue_worker DATABASE FILE`.

Each node appends a line to the file when it begins and when it ends, so that a test sees what was done how often, and
how much at the same time.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.reducers import append
from graphengine.worker.worker import Worker

NODES = 3


class State(BaseModel):
    name: str = ""
    seen: Annotated[list[int], append] = []


def flow(file: Path | None = None) -> Graph[State]:
    """Return a graph of three nodes."""
    graph = Graph("queued_flow", State)

    def node(number: int) -> object:
        async def work(name: str) -> int:
            for moment in ("begins", "ends"):
                if file is not None:
                    with file.open("a") as notes:
                        notes.write(f"{moment} {name} {number} {os.getpid()} {time.monotonic()}\n")
                await asyncio.sleep(0.01)
            return number

        return work

    for number in range(NODES):
        graph.add_node(f"n{number}", node(number), writes="seen")  # type: ignore[arg-type]  # a function
    graph.add_path(START, *(f"n{number}" for number in range(NODES)), END)
    return graph


async def main(database: str, file: str) -> None:
    """Work until killed."""
    graph = flow(Path(file))
    async with Runner(database) as runner:
        print("ready", flush=True)  # noqa: T201 - the test waits for it
        await Worker(runner, graph, concurrency=5, poll_seconds=0.05).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
