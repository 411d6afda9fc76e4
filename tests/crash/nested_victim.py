"""A process whose agent asks another agent, four times, through a tool: `nested_victim.py DATABASE EFFECTS [DIE]`.

It notes `outer 3` for the third turn of the outer agent, `consult 3` for the call of its tool, `inner 3.2` for the
second turn of the agent that this call asks, and `look 3` for the call of that agent's tool.
"""

import asyncio

from graphengine import Agent
from graphengine.models import Request, Response
from tests.crash.agents_life import State, live, note, paid, tool_results, turn_of
from tests.kit.runs import alone

CONSULTED = 4


class Outer:
    """A model that consults the other agent four times, one after the other."""

    name = "outer"

    async def answer(self, request: Request) -> Response:
        """Return the next turn, according to the messages so far."""
        turn = turn_of(request)
        note(f"outer {turn}")
        return paid("", ("consult", {"number": turn})) if turn <= CONSULTED else paid(tool_results(request))


class Inner:
    """A model that calls its tool once, and answers."""

    name = "inner"

    async def answer(self, request: Request) -> Response:
        """Return the tool call, or the answer."""
        number = int(request.messages[0].text)
        turn = turn_of(request)
        note(f"inner {number}.{turn}")
        return paid("", ("look", {"number": number})) if turn == 1 else paid(str(number))


async def look(number: int) -> str:
    """Look something up."""
    note(f"look {number}")
    return "seen"


inner = Agent("inner", prompt="{number}", model=Inner(), tools=[look])


async def consult(number: int) -> str:
    """Consult the other agent."""
    note(f"consult {number}")
    return await inner.run(number=number)


graph = alone(State, Agent("outer", prompt="Consult.", model=Outer(), tools=[consult]), "said", name="consulting")


if __name__ == "__main__":
    asyncio.run(live(graph))
