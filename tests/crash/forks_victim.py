"""A program with forks that is killed: `forks_victim.py DATABASE LOG KILL_AT [resume]`.

Nested forks, a loop in an arm, threads and coroutines. Each node writes a line `node visit` to LOG; the process kills
itself with SIGKILL during the KILL_ATth work, with all other work in flight.
"""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, Runner, iterations, plateau
from graphengine.reducers import add, append

DATABASE, LOG, KILL_AT = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
_writing = threading.Lock()


class State(BaseModel):
    """The results of the arms."""

    drafts: Annotated[list[int], append] = []
    facts: dict[str, int] = {}
    total: Annotated[int, add] = 0
    notes: Annotated[list[str], append] = []


def work(ctx: Context) -> None:
    """Write a line, and die if it is time."""
    with _writing:
        with LOG.open("a", encoding="utf-8") as log:
            log.write(f"{ctx.path} {ctx.visit}\n")
        if len(LOG.read_text(encoding="utf-8").splitlines()) == KILL_AT:
            os.kill(os.getpid(), signal.SIGKILL)


async def plan(ctx: Context) -> int:
    """Begin a round."""
    work(ctx)
    return 1


async def write(ctx: Context, drafts: list[int]) -> int:
    """Return a draft that gets better, up to 3; the second visit fails at first."""
    await asyncio.sleep(0.001)
    work(ctx)
    if ctx.visit == 2 and ctx.attempt == 1:
        message = "not at the first try"
        raise ValueError(message)
    return min(len(drafts) + 1, 3)


def web(ctx: Context) -> int:
    """Return a fact, in a thread."""
    work(ctx)
    return ctx.visit


async def books(ctx: Context) -> int:
    """Return another fact."""
    await asyncio.sleep(0.002)
    work(ctx)
    return 10 * ctx.visit


async def size_of(ctx: Context, facts: dict[str, int]) -> int:
    """Join the inner fork."""
    work(ctx)
    return sum(facts.values())


def merge(ctx: Context, drafts: list[int], total: int) -> str:
    """Join the outer fork."""
    work(ctx)
    return f"{drafts} {total}"


graph = Graph("victim", State)
graph.add_node("plan", plan, writes="total")
graph.add_node("write", write, writes="drafts", retry=Retry(attempts=2, initial_seconds=0))
graph.add_node("research", writes=())
graph.add_node("web", web, writes="facts[web]")
graph.add_node("books", books, writes="facts[books]")
graph.add_node("size_of", size_of, writes="total")
graph.add_node("merge", merge, writes="notes")
graph.add_edge(START, "plan")
graph.add_fork("plan", ["write", "research"], join="merge")
graph.add_edge("write", "merge", when=plateau("drafts[-1]"), label="stalled")
graph.add_edge("write", "write")
graph.add_fork("research", ["web", "books"], join="size_of")
graph.add_edge("web", "size_of")
graph.add_edge("books", "size_of")
graph.add_edge("size_of", "merge")
graph.add_edge("merge", END, when=iterations("merge") >= 2, label="two rounds")
graph.add_edge("merge", "plan")


async def main() -> None:
    """Start or resume the run, and print its result."""
    async with Runner(DATABASE) as runner:
        run = runner.resume(graph, "r") if len(sys.argv) > 4 else runner.start(graph, State(), run_id="r")
        result = await run.result()
        label = result.label
        sys.stdout.write(f"{result.state.model_dump_json()} {label} {result.steps}\n")


if __name__ == "__main__":
    asyncio.run(main())
