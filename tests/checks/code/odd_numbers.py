import math

from pydantic import BaseModel

from graphengine import END, START, Context, Graph
from graphengine.agents import mcp, tool
from graphengine.databases import SQLiteStore
from graphengine.errors import GraphEngineError
from graphengine.graph.options import is_seconds
from graphengine.models import AnthropicModel, OpenAIChatModel, RateLimiter


class State(BaseModel):
    n: int = 0


def one(number):
    graph = Graph("one", State)
    graph.add_node("work", lambda: 1, writes="n", timeout_seconds=number)
    graph.add_path(START, "work", END)
    return graph


def add(a: int) -> int:
    return a + 1


def tried(make):
    refused = {}
    for number in (math.nan, -1.0, -math.inf, math.inf, 1e300):
        try:
            make(number)
        except GraphEngineError as error:
            refused[number] = error
    last = str(refused[-1.0]).splitlines()
    return "\n".join([f"refuses {', '.join(map(str, refused))}", *last])


def naps(what, number):
    async def nap(ctx: Context) -> int:
        await getattr(ctx, what)(number)
        return 1

    return waits(nap)


def asks(number):
    async def question(ctx: Context) -> int:
        return await ctx.ask("How many?", int, timeout_seconds=number)

    return waits(question)


def waits(work):
    graph = Graph("waits", State)
    graph.add_node("wait", work, writes="n")
    graph.add_path(START, "wait", END)
    return graph.run_sync(run_id="r")
