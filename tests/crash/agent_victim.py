"""A process that lets an agent work with a tool for twelve turns: `agent_victim.py DATABASE EFFECTS [DIE]`.

It notes `model 3` for the third turn, and `tool 3` for the call of the tool that this turn asks for.
"""

import asyncio

from graphengine import END, START, Agent, Graph
from graphengine.models import Request, Response
from tests.crash.agents_life import State, live, note, paid, told_by_tools, turn_of

TURNS = 12


class Counting:
    """A model that has its tool called twelve times, and then says what it came to."""

    name = "counting"

    async def answer(self, request: Request) -> Response:
        """The next turn, by what was said so far."""
        turn = turn_of(request)
        note(f"model {turn}")
        return paid("", ("count", {"number": turn})) if turn <= TURNS else paid(told_by_tools(request))


async def count(number: int) -> str:
    """Count."""
    note(f"tool {number}")
    return str(number)


graph = Graph("counting", State)
graph.add_node("count", Agent("counter", prompt="Count.", model=Counting(), tools=[count]), writes="said")
graph.add_path(START, "count", END)


if __name__ == "__main__":
    asyncio.run(live(graph))
