"""A worker process of a small graph: `life_of_workers.py DATABASE EFFECTS`; it waits for a line on stdin, then works.

The effect of a node is a line `PID WHAT` in the file EFFECTS, and its result is the same line: so the log shows whose
work was recorded.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, Worker
from graphengine.databases.addresses import is_postgres
from graphengine.errors import StoreUnreachable
from graphengine.stores.base import Store

DATABASE: Final = sys.argv[1] if len(sys.argv) > 1 else ""
FILE: Final = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()
CONCURRENCY: Final = 4
POLL_SECONDS: Final = 0.02
NAP_SECONDS: Final = 0.02
WORK_SECONDS: Final = 0.01
EFFECTS: Final = 6
"""How many lines a run writes."""


class State(BaseModel):
    """The results of a run."""

    plan: list[str] = []
    left: str = ""
    right: str = ""
    nap: list[str] = []
    end: str = ""


def effect(what: str) -> str:
    """Cause an external effect, and return which process did it."""
    line = f"{os.getpid()} {what}"
    file = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{line}\n".encode())
    os.close(file)
    return line


async def plan(ctx: Context) -> list[str]:
    """Do two recorded pieces of work."""
    key = ctx.idempotency_key
    return [await ctx.call(effect, f"{key} one"), await ctx.call(effect, f"{key} two")]


def left(ctx: Context) -> str:
    """Work in a thread; do not end directly after the work."""
    line = effect(f"{ctx.idempotency_key} whole")
    time.sleep(WORK_SECONDS)
    return line


async def right(ctx: Context) -> str:
    """Work on the loop; do not end directly after the work."""
    line = effect(f"{ctx.idempotency_key} whole")
    await asyncio.sleep(WORK_SECONDS)
    return line


async def nap(ctx: Context) -> list[str]:
    """Do recorded work, and sleep."""
    line = await ctx.call(effect, f"{ctx.idempotency_key} before")
    await ctx.sleep(NAP_SECONDS)
    return [line]


async def end(ctx: Context) -> str:
    """Do the last work."""
    return effect(f"{ctx.idempotency_key} whole")


def small() -> Graph[State]:
    """Return a graph with recorded work, a fork and a sleep."""
    graph = Graph("small", State)
    for node in (plan, left, right, nap, end):
        graph.add_node(node.__name__, node, writes=node.__name__)
    graph.add_edge(START, "plan")
    graph.add_fork("plan", ["left", "right"], join="nap")
    graph.add_edge("left", "nap")
    graph.add_edge("right", "nap")
    graph.add_path("nap", "end", END)
    return graph


async def store_at(database: str) -> Store | str:
    """Return the store; one on a server is open, although the server can be killed meanwhile."""
    if not is_postgres(database):
        return database
    from graphengine.databases.postgres import PostgresStore  # noqa: PLC0415 - it needs an extra

    store = PostgresStore(database)
    while True:  # the server may be killed right now; whatever starts workers would start this one again
        try:
            await store.open()
        except StoreUnreachable:
            await asyncio.sleep(POLL_SECONDS)
        else:
            return store


async def main() -> None:
    """Work until killed."""
    graph = small()
    graph.compile()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if not await asyncio.to_thread(sys.stdin.readline):
        return
    async with Runner(await store_at(DATABASE)) as runner:
        worker = Worker(runner, graph, concurrency=CONCURRENCY, poll_seconds=POLL_SECONDS)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
