"""Shared code of the programs whose agents are killed: they are called as `PROGRAM DATABASE EFFECTS [DIE]`.

Each call of a model or a tool is noted as a line in EFFECTS before it takes effect. At the line DIE the process kills
itself with SIGKILL. The run is `r`; it is started, or resumed if it exists.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from graphengine import Graph, Runner
from graphengine.errors import RunExists
from graphengine.models import Request, Response
from graphengine.models.scripted import calls


class State(BaseModel):
    """The results of the agent."""

    said: str = ""


def note(line: str) -> None:
    """Note an effect durably, and die there if it is the line to die at."""
    with Path(sys.argv[2]).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())
    if line in sys.argv[3:]:
        os.kill(os.getpid(), signal.SIGKILL)


def turn_of(request: Request) -> int:
    """Return the number of the requested turn, from 1."""
    return sum(message.role == "assistant" for message in request.messages) + 1


def tool_results(request: Request) -> str:
    """Return what the tools have returned so far."""
    return " ".join(message.text for message in request.messages if message.role == "tool")


def paid(text: str, *wanted: tuple[str, Mapping[str, object]]) -> Response:
    """Return an answer, or tool calls, at the price of a cent."""
    made = calls(*wanted).calls
    return Response(text, made, "tools" if made else "end", input_tokens=1, output_tokens=1, cost_usd=0.01)


async def live(graph: Graph[State]) -> None:
    """Start or resume the run, and print its result."""
    async with Runner(Path(sys.argv[1])) as runner:
        try:
            result = await runner.start(graph, run_id="r").result()
        except RunExists:
            result = await runner.resume("r", graph).result()
        sys.stdout.write(f"{result.status} {result.usage.calls} {result.usage.cost_usd:.2f} {result.state.said}\n")
