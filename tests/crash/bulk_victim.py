"""A program that kills itself while it retries failed runs: `bulk_victim.py DATABASE`.

Each time a child process retries all and is killed with SIGKILL at one of its points: before and after each write to
the store, of which each run has three. Another one then continues until nothing is left. Every run must be resumed by
then, none twice unless a kill came between its resume and its release, and workers must find them all. Prints how many
kills there were.
"""

import asyncio
import sys
from contextlib import suppress
from functools import partial

from pydantic import BaseModel

from graphengine import Graph, RunFailed, Runner
from graphengine.databases.sql import SQLStore
from tests.crash.in_turn import dies
from tests.kit.runs import alone

RUNS = 3


class State(BaseModel):
    n: int = 0


def work(n: int) -> int:
    """Fail."""
    raise ValueError(n)


def broken() -> Graph[State]:
    """Return a graph that fails."""
    return alone(State, work, "n", name="broken")


async def fail(database: str, round_number: int) -> None:
    """Record failed runs."""
    async with Runner(database) as runner:
        for number in range(RUNS):
            with suppress(RunFailed):
                await runner.start(broken(), run_id=f"r{round_number}-{number}").result()


async def retry(database: str) -> None:
    """Retry all of them; a server may not have seen yet that the process died which drove one."""
    async with Runner(database) as runner:
        while True:
            done = await runner.admin.bulk("retry", "graph:broken status:failed", graphs=[broken()])
            if not any(why.startswith("driven by") for why in done.refused.values()):
                break
            await asyncio.sleep(0.01)


async def check(database: str, round_number: int) -> None:
    """Check that each run is resumed, and due."""
    async with Runner(database) as runner:
        due = {info.id for info in await runner.store.due(1e12)}
        for number in range(RUNS):
            run_id = f"r{round_number}-{number}"
            kinds = [step.kind for step in await runner.history(run_id)]
            assert (run_id in due, kinds.count("resumed")) == (True, 1), (round_number, kinds)


def main(database: str) -> None:
    """Kill at each point until all is done without a death."""
    kill_at = 1
    while True:
        asyncio.run(fail(database, kill_at))
        died = dies(kill_at, SQLStore, ("claim", "append", "release"), partial(retry, database))
        asyncio.run(retry(database))
        asyncio.run(check(database, kill_at))
        if not died:
            break
        kill_at += 1
    sys.stdout.write(f"{kill_at - 1} kills\n")


if __name__ == "__main__":
    main(sys.argv[1])
