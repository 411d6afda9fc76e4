"""A process that drives a run `driven` until it is killed: a step every 20 ms, and a line on stdout once it began."""

import asyncio
import sys

from graphengine import Runner
from tests.serve.inspector.graphs import State, counter


async def main() -> None:
    """Drive it."""
    graph = counter(100_000, seconds=0.02)
    async with Runner(sys.argv[1]) as runner:
        run = runner.start(graph, State(), run_id="driven")
        await run.begun()
        print("begun", flush=True)  # noqa: T201 - for the test
        await run.result()


asyncio.run(main())
