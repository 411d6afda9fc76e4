from pydantic import BaseModel

from graphengine import ask
from tests.kit.runs import alone
from tests.kit.workers import let_work


class State(BaseModel):
    n: int = 0
    ok: bool = False


broken = [True]


async def work(n: int) -> int:
    if broken:
        raise ValueError(n)
    return n + 1


mail, other = alone(State, work, "n", name="mail"), alone(State, work, "n", name="other")
asks, more = alone(State, ask("Go on?", bool), "ok", name="asks"), alone(State, ask("More?", bool), "ok", name="more")
