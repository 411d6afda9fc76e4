"""A process that drives runs under a budget, and notes each call of its model in a file.

`python -m tests.budgets.spending STORE CALLS ID…`; `DIES=N` ends the process in its N-th call, `DIES=-N` in the one
after its answer is spent and before it is recorded.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from graphengine import Agent, Graph, Runner
from graphengine.budgets import Budget, Budgets
from graphengine.budgets.ledger import Ledger
from graphengine.models import Request, Response
from tests.agents.run_kits import Work, one

COST_USD = 0.25


class Noting:
    """A model that notes its calls."""

    name = "noting"

    def __init__(self, calls: Path, dies: int = 0) -> None:
        self.calls, self.dies, self.made = calls, dies, 0

    async def answer(self, request: Request) -> Response:
        """Note the call, and answer after some turns of the event loop."""
        self.made += 1
        with self.calls.open("a", encoding="utf-8") as file:
            file.write(f"{request.agent}\n")
        if self.made == self.dies:
            os._exit(9)
        for _ in range(50):
            await asyncio.sleep(0)
        return Response("ok", input_tokens=8, output_tokens=2, cost_usd=COST_USD)

    async def price_of(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return what a call costs."""
        return COST_USD


def budgets(most: float, **options: object) -> Budgets:
    """Return a budget of all runs."""
    return Budgets(Budget(name="day", cost_usd=most, **options))  # type: ignore[arg-type]


def writing() -> Graph[Work]:
    """Return a graph of one call."""
    return one(Agent("writer", prompt="{task}"))


def dying(number: int) -> None:
    """End the process once the n-th answer is spent."""
    settle, made = Ledger.settle, [0]

    async def settled(self: Ledger, *args: object, **more: object) -> None:
        await settle(self, *args, **more)  # type: ignore[arg-type]
        made[0] += 1
        if made[0] == number:
            os._exit(9)

    Ledger.settle = settled  # type: ignore[method-assign]


async def main(store: str, calls: Path, *ids: str) -> None:
    """Start these runs, or resume those that exist, and wait until each has ended or waits."""
    dies = int(os.environ.get("DIES", "0"))
    if dies < 0:
        dying(-dies)
    model, over = Noting(calls, dies), os.environ.get("OVER", "wait")
    async with Runner(store, models=model, extensions=[budgets(float(os.environ["MOST"]), over=over)]) as runner:
        known = {info.id for info in await runner.runs(limit=100)}
        runs = [
            runner.resume(each, writing()) if each in known else runner.start(writing(), run_id=each) for each in ids
        ]
        await asyncio.gather(*(run.result() for run in runs))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
