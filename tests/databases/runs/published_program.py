"""A run that publishes how far it is, whenever it is sent a word: `published_program.py DATABASE`."""

import asyncio
import sys
from typing import Final

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner

WORDS: Final = 3


class Progress(BaseModel):
    """How far it is."""

    done: int
    word: str = ""


class State(BaseModel):
    """What it was sent."""

    heard: list[str] = []


async def listen(ctx: Context) -> list[str]:
    """Publish after each word."""
    heard: list[str] = []
    await ctx.publish("progress", Progress(done=0))
    for number in range(1, WORDS + 1):
        heard.append(await ctx.receive("word", str))
        await ctx.publish("progress", Progress(done=number, word=heard[-1]))
    return heard


def graph() -> Graph[State]:
    """Return one node."""
    made = Graph("listens", State)
    made.add_node("listen", listen, writes="heard")
    made.add_path(START, "listen", END)
    return made


async def drive(database: str) -> None:
    """Drive the run until its end, however often it waits."""
    async with Runner(database) as runner:
        run = runner.start(graph(), run_id="r")
        while (await run.result()).status == "waiting":
            run = runner.resume("r", graph())


if __name__ == "__main__":
    asyncio.run(drive(sys.argv[1]))
