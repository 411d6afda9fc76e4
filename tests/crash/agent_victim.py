"""A process that lets an agent work with a tool for twelve turns: `agent_victim.py DATABASE EFFECTS [DIE]`.

Each call of the model and of the tool is noted in EFFECTS, as `model 3` or `tool 3`, before anything comes of it. Where
that line is DIE the process ends there by SIGKILL. The run is `r`; it is begun, or gone on with.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner
from graphengine.errors import RunExists
from graphengine.models import Request, Response
from graphengine.models.scripted import calls

DATABASE, EFFECTS = Path(sys.argv[1]), Path(sys.argv[2])
DIE = sys.argv[3] if len(sys.argv) > 3 else ""
TURNS = 12


def note(line: str) -> None:
    """Note what is done, for good, and die there if it is the line to die at."""
    with EFFECTS.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())
    if line == DIE:
        os.kill(os.getpid(), signal.SIGKILL)


class Counting:
    """A model that has its tool called twelve times, and then says what it came to."""

    name = "counting"

    async def answer(self, request: Request) -> Response:
        """The next turn, by what was said so far."""
        turn = sum(message.role == "assistant" for message in request.messages) + 1
        note(f"model {turn}")
        if turn <= TURNS:
            made = calls(("count", {"number": turn}))
            return Response("", made.calls, "tools", input_tokens=1, output_tokens=1, cost_usd=0.01)
        told = " ".join(message.text for message in request.messages if message.role == "tool")
        return Response(told, input_tokens=1, output_tokens=1, cost_usd=0.01)


async def count(number: int) -> str:
    """Count."""
    note(f"tool {number}")
    return str(number)


class State(BaseModel):
    """What the agent came to."""

    said: str = ""


graph = Graph("counting", State)
graph.add_node("count", Agent("counter", prompt="Count.", model=Counting(), tools=[count]), writes="said")
graph.add_path(START, "count", END)


async def main() -> None:
    """Begin the run, or go on with it."""
    async with Runner(DATABASE) as runner:
        try:
            result = await runner.start(graph, run_id="r").result()
        except RunExists:
            result = await runner.resume(graph, "r").result()
        sys.stdout.write(f"{result.status} {result.usage.calls} {result.usage.cost_usd:.2f} {result.state.said}\n")


if __name__ == "__main__":
    asyncio.run(main())
