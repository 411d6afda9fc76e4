"""A process in which an agent works with a tool for twelve turns: `agent_victim.py DATABASE EFFECTS [DIE]`.

It notes `model 3` for the third turn, and `tool 3` for the tool call that this turn requests.
"""

import asyncio

from graphengine import END, START, Agent, Graph
from graphengine.models import Request, Response
from tests.crash.agents_life import State, live, note, paid, tool_results, turn_of

TURNS = 12


class Counting:
    """A model that requests twelve tool calls and then reports the result."""

    name = "counting"

    async def answer(self, request: Request) -> Response:
        """Return the next turn, according to the messages so far."""
        turn = turn_of(request)
        note(f"model {turn}")
        return paid("", ("count", {"number": turn})) if turn <= TURNS else paid(tool_results(request))


async def count(number: int) -> str:
    """Count."""
    note(f"tool {number}")
    return str(number)


graph = Graph("counting", State)
graph.add_node("count", Agent("counter", prompt="Count.", model=Counting(), tools=[count]), writes="said")
graph.add_path(START, "count", END)


if __name__ == "__main__":
    asyncio.run(live(graph))
