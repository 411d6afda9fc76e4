"""A worker with one run that kills its process and three harmless ones.

The deadly node waits until the three are in flight in the same process, and kills it; after two deaths it kills at
once. The others wait until there were two deaths. With several workers, of which each may get some of the runs, the
deadly node waits at most a second. It writes down how many runs its worker drives.

Usage: python -m tests.crash.neighbours FOLDER worker|recover|workers DATABASE
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, Runner, Worker

HERE = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
GOOD = ("good1", "good2", "good3")
WAIT_SECONDS = 1.0 if "workers" in sys.argv else 1000.0
WORKERS: list[Worker] = []


class State(BaseModel):
    name: str = ""
    text: str = ""


def deaths() -> int:
    """Return how often the deadly node killed its process."""
    return len(list(HERE.glob("death-*")))


async def bad() -> str:
    """Kill the process, with all its work in flight."""
    until = time.monotonic() + WAIT_SECONDS
    while deaths() < 2 and len(list(HERE.glob(f"good*-{os.getpid()}"))) < len(GOOD) and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    driven = [len(worker.state.driven) for worker in WORKERS]
    (HERE / f"death-{os.getpid()}").write_text(f"{time.time()} {sum(driven)}")
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


async def good(name: str) -> str:
    """Be in flight at the first two deaths."""
    (HERE / f"{name}-{os.getpid()}").touch()
    while deaths() < 2:  # noqa: ASYNC110 - it waits for other processes
        await asyncio.sleep(0.01)
    return "done"


def made(name: str, function: object) -> Graph[State]:
    """Return the graph START → work → END."""
    graph = Graph(name, State)
    graph.add_node("work", function, writes="text")  # type: ignore[arg-type]
    graph.add_path(START, "work", END)
    return graph


GRAPHS = {"bad": made("bad", bad), "good": made("good", good)}


async def work(how: str, database: str) -> None:
    """Drive all due runs, or die."""
    async with Runner(database) as runner:
        if how == "recover":
            for run in await runner.recover(*GRAPHS.values()):
                try:
                    await run.result()
                except RunFailed:
                    continue
            return
        worker = Worker(runner, *GRAPHS.values(), concurrency=4, poll_seconds=0.01)
        WORKERS.append(worker)

        async def watch() -> None:
            while not all(info.status in ("finished", "failed") for info in await runner.store.runs()):  # noqa: ASYNC110 - it waits for other processes
                await asyncio.sleep(0.02)
            worker.stop()

        watching = asyncio.create_task(watch())
        await worker.run()
        await watching


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[2:]))
