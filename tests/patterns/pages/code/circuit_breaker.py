from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, iterations
from graphengine.models.errors import BadRequest
from graphengine.patterns import Circuit, Guarded, circuit_breaker
from graphengine.reducers import append
from tests.patterns.scripted import named


class Offer(Guarded):
    task: str = ""
    price: str = ""


CALL, INSTEAD = named("call"), named("instead")
INNER = circuit_breaker(Offer, CALL, INSTEAD, answer="price", failures=2)
WRAPPED = Graph("wrapped", Offer, result="price")
WRAPPED.add_node("inner", INNER, writes={"price": lambda result: f"{result.price} after {result.circuit.failures}"})
WRAPPED.add_path(START, "inner", END)


class Shop(BaseModel):
    task: str = "tea"
    gaps: list[float] = []
    circuit: Circuit = Circuit()
    prices: Annotated[list[str], append] = []


async def wait(gaps: list[float], ctx: Context) -> None:
    if ctx.visit <= len(gaps):
        await ctx.sleep(gaps[ctx.visit - 1])


def shop(calls, failures=2):
    breaker = circuit_breaker(Offer, CALL, INSTEAD, answer="price", failures=failures, pause_seconds=60)
    graph = Graph("shop", Shop, result="prices")
    graph.add_node("wait", wait, writes=())
    graph.add_node("ask", breaker, writes={"prices": "price", "circuit": "circuit"})
    graph.add_path(START, "wait", "ask")
    graph.add_edge("ask", END, when=iterations("ask") >= calls)
    graph.add_edge("ask", "wait")
    return graph


AWAY = BadRequest("away")
OLD = lambda request: "old"
