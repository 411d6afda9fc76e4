import math
from datetime import timedelta

from pydantic import BaseModel

from graphengine import END, START, Graph, Retention, Worker, ask, iterations
from graphengine.worker.retention import Remover
from tests.kit.runs import alone, repeated


class State(BaseModel):
    n: int = 0
    ok: bool = False


async def more(n: int) -> int:
    return n + 1


async def breaks(n: int) -> int:
    raise ValueError(n)


def counting(name="count", work=more):
    return repeated(State, work, "n", iterations("more") >= 3, name=name, node="more")


count, other, broken = counting(), counting("other"), counting("count", breaks)
asks = alone(State, ask("Continue?", bool), "ok", name="asks")
kept = Graph("count", State, retention=Retention(None, math.inf))
kept.add_path(START, END)


async def pass_over(runner, clock, remover):
    """Make one pass of a worker over the runs."""
    await runner.store.set_role(remover.role)
    return [each async for each in remover.once(clock.now())]


def remover_of(runner, **rules):
    return Remover(runner.store, {"count": Retention(**rules)})
