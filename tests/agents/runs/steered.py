"""A run whose agent is sent a message while it calls a tool; the process dies by SIGKILL where it is told to.

Its words: the database, and `arrived` to die when the message is in the inbox, `received` to die when it is received
and the turn that has it is not recorded, or `whole` to go on.
"""

import asyncio
import os
import signal
import sys

from graphengine import Agent, Context, Runner, ScriptedModel
from graphengine.models import Request
from graphengine.models.scripted import calls
from tests.agents.run_kits import one

TEXT = "Write about ants, not bees"
looked: list[str] = []


def die() -> None:
    """End this process as nothing can prevent."""
    os.kill(os.getpid(), signal.SIGKILL)


def look(ctx: Context, what: str) -> str:
    """Look something up."""
    looked.append(ctx.run_id)
    return f"facts on {what}"


WRITER = Agent("writer", prompt="{task}", tools=[look])
GRAPH = one(WRITER)


async def main(place: str, where: str) -> None:
    """Drive the run until it ends or dies."""

    async def second(request: Request) -> object:
        await runner.send("steered", "steer", TEXT, idempotency_key="one")
        if where == "arrived":
            die()
        return calls(("look", {"what": "hives"}))

    async def third(request: Request) -> object:
        if where == "received":
            die()
        return request.messages[-1].text

    model = ScriptedModel([calls(("look", {"what": "bees"})), second, third])
    async with Runner(place, models={"writer": model}) as runner:
        await runner.start(GRAPH, run_id="steered").result()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
