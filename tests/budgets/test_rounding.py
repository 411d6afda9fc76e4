"""A limit of a run and a budget of the same amount allow the same calls: sums of dollars are not exact in floats."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import END, START, Agent, Budget, Budgets, Graph, Limits, RunFailed, Runner, iterations
from graphengine.models import Request, Response


class Priced:
    """A model whose calls have a price."""

    name = "priced"

    def __init__(self, cost: float) -> None:
        self.cost, self.calls = cost, 0

    async def answer(self, request: Request) -> Response:
        """Answer, and count the call."""
        del request
        self.calls += 1
        return Response("ok", input_tokens=1, output_tokens=1, cost_usd=self.cost)

    async def close(self) -> None:
        """Hold nothing."""


class State(BaseModel):
    """What was said last."""

    text: str = ""


def loop() -> Graph[State]:
    """Return a graph of one agent that goes on and on."""
    graph = Graph("loop", State)
    graph.add_node("a", Agent("a", prompt="x"), writes="text")
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=iterations("a") >= 40)
    graph.add_edge("a", "a")
    return graph


async def calls(cost: float, limits: Limits | None, budget: Budget | None) -> int:
    """Return how many calls a run made."""
    model = Priced(cost)
    async with Runner(models=model, extensions=[Budgets(budget)] if budget is not None else []) as runner:
        try:
            await runner.start(loop(), limits=limits).result()
        except RunFailed:
            assert budget is not None
    return model.calls


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 99), st.integers(1, 30), st.sampled_from([10, 100, 1000, 10_000]))
@pytest.mark.asyncio
async def test_a_limit_and_a_budget_allow_the_same_calls(price: int, count: int, unit: int) -> None:
    """As many as it pays for, of any price in tenths, cents and smaller parts."""
    cost, limit = float(Decimal(price) / unit), float(Decimal(price * count) / unit)
    assert await calls(cost, Limits(cost_usd=limit), None) == count
    assert await calls(cost, None, Budget(name="day", cost_usd=limit, over="fail")) == count
