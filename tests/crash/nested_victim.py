"""A process whose agent asks another agent, four times, through a tool: `nested_victim.py DATABASE EFFECTS [DIE]`.

Each call of a model and of a tool is noted in EFFECTS before anything comes of it: `outer 3` is the third turn of the
outer agent, `consult 3` the call of its tool, `inner 3.2` the second turn of the agent that this call asks, `look 3`
the call of that one's tool. Where the line is DIE the process ends there by SIGKILL. The run is `r`; it is begun, or
gone on with.
"""

import asyncio
import sys
from pathlib import Path

from graphengine import END, START, Agent, Graph, Runner
from graphengine.errors import RunExists
from graphengine.models import Request, Response
from graphengine.models.scripted import calls
from tests.crash.agent_victim import State, note

CONSULTED = 4


def paid(text: str, *wanted: tuple[str, dict[str, object]]) -> Response:
    """An answer, or calls of tools, for a cent."""
    made = calls(*wanted).calls
    return Response(text, made, "tools" if made else "end", input_tokens=1, output_tokens=1, cost_usd=0.01)


class Outer:
    """Has the other agent consulted four times, one after the other."""

    name = "outer"

    async def answer(self, request: Request) -> Response:
        """The next turn, by what was said so far."""
        turn = sum(message.role == "assistant" for message in request.messages) + 1
        note(f"outer {turn}")
        if turn <= CONSULTED:
            return paid("", ("consult", {"number": turn}))
        return paid(" ".join(message.text for message in request.messages if message.role == "tool"))


class Inner:
    """Looks something up, and answers."""

    name = "inner"

    async def answer(self, request: Request) -> Response:
        """The look, or the answer."""
        number = int(request.messages[0].text)
        turn = sum(message.role == "assistant" for message in request.messages) + 1
        note(f"inner {number}.{turn}")
        return paid("", ("look", {"number": number})) if turn == 1 else paid(str(number))


async def look(number: int) -> str:
    """Look something up."""
    note(f"look {number}")
    return "seen"


inner = Agent("inner", prompt="{number}", model=Inner(), tools=[look])


async def consult(number: int) -> str:
    """Consult somebody."""
    note(f"consult {number}")
    return await inner.run(number=number)


graph = Graph("consulting", State)
graph.add_node("work", Agent("outer", prompt="Consult.", model=Outer(), tools=[consult]), writes="said")
graph.add_path(START, "work", END)


async def main() -> None:
    """Begin the run, or go on with it."""
    async with Runner(Path(sys.argv[1])) as runner:
        try:
            result = await runner.start(graph, run_id="r").result()
        except RunExists:
            result = await runner.resume(graph, "r").result()
        sys.stdout.write(f"{result.status} {result.usage.calls} {result.usage.cost_usd:.2f} {result.state.said}\n")


if __name__ == "__main__":
    asyncio.run(main())
