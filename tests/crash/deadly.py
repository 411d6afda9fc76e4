"""A process that drives a run and is killed in its node: `deadly.py DATABASE start|recover`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from pydantic import BaseModel

from graphengine import Graph, Runner
from tests.kit.runs import alone


class State(BaseModel):
    text: str = ""


def graph_of(name: str, work: Callable[[], Awaitable[str]]) -> Graph[State]:
    """Return the graph START → work → END."""
    return alone(State, work, "text", name=name)


async def wait_for_death() -> str:
    """Report that the node is in flight, and never end."""
    sys.stdout.write("in flight\n")
    sys.stdout.flush()
    never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    return await never


async def main(database: str, how: str) -> None:
    """Start the run, or recover it, and stay."""
    async with Runner(database) as runner:
        graph = graph_of("bad", wait_for_death)
        runs = [runner.start(graph, run_id="bad")] if how == "start" else await runner.recover(graph)
        await asyncio.gather(*(run.result() for run in runs))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
