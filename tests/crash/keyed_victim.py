"""A run whose idempotent effect is killed in mid-act: `DATABASE LEDGER WAY VERSION`; WAY is `call` or `tool`.

The effect writes its idempotency key into LEDGER, on disk. Version 1 kills its own process there. Version 2 is the
program after a deployment: the model `Order`, which is an argument of the call and an input of the agent, has a field
more.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pydantic import create_model

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel, tool
from graphengine.errors import RunExists
from graphengine.models import calls

DATABASE, LEDGER, WAY, VERSION = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
GAINED: Any = {"note": (str, "")} if VERSION > 1 else {}
Order: Any = create_model("Order", id=(int, 7), **GAINED)
State: Any = create_model("State", order=(Order, Order()), paid=(str, ""))


def pay(idempotency_key: str) -> str:
    """Pay, and die in version 1."""
    with LEDGER.open("a", encoding="utf-8") as file:
        file.write(f"{idempotency_key}\n")
        file.flush()
        os.fsync(file.fileno())
    if VERSION == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "paid"


async def charge(order: object, idempotency_key: str) -> str:
    """Pay an order."""
    return pay(idempotency_key)


async def work(ctx: Context, order: object) -> str:
    """Pay in a call."""
    return await ctx.call(charge, order, effect="idempotent")


@tool(effect="idempotent")
async def settle(amount: int, idempotency_key: str) -> str:
    """Pay in a tool."""
    return pay(idempotency_key)


def answer(request: Any) -> Any:
    """Return the turns of the model."""
    return "paid" if any(message.role == "tool" for message in request.messages) else calls(("settle", {"amount": 5}))


async def main() -> None:
    """Start the run, or go on with it."""
    graph: Graph[Any] = Graph("paying", State, result="paid")
    clerk = Agent("clerk", model=ScriptedModel(answer), prompt="{order}", tools=[settle])
    graph.add_node("pay", work if WAY == "call" else clerk, writes="paid")
    graph.add_path(START, "pay", END)
    async with Runner(DATABASE) as runner:
        try:
            result = await runner.start(graph, run_id=WAY).result()
        except RunExists:
            result = await runner.resume(WAY, graph).result()
        print(result.output)  # noqa: T201 - read by the test


if __name__ == "__main__":
    asyncio.run(main())
