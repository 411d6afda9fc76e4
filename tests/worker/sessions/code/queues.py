from pydantic import BaseModel

from graphengine import ask
from tests.kit.runs import alone
from tests.kit.workers import let_work


class State(BaseModel):
    n: int = 0
    ok: bool = False


order = []


def more(n: int) -> int:
    order.append(n)
    return n + 1


count = alone(State, more, "n", name="count")
asks = alone(State, ask("Continue?", bool), "ok", name="asks")
