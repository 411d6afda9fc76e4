from pydantic import BaseModel

from graphengine import END, START, Context, Graph, NotDone, Once, Retry
from tests.kit.scenario import work

ledger: list[str] = []


class State(BaseModel):
    paid: int = 0
    sent: int = 0
    looked: int = 0
    told: int = 0


def pay(paid: int) -> int:
    ledger.append("pay")
    if len(ledger) == 1:
        raise OSError("the line broke")
    return len(ledger)


async def send(ctx: Context) -> int:
    return await ctx.call(post, "hello", effect="once")


def post(text: str, idempotency_key: str) -> int:
    ledger.append(text)
    if len(ledger) < 5:
        raise NotDone("the box is full")
    return len(ledger)


def find(idempotency_key: str) -> int:
    return 42


graph = Graph("careful", State)
graph.add_node("pay", pay, writes="paid", effect="once", retry=Retry(attempts=2, initial_seconds=0))
graph.add_node("send", send, writes="sent", retry=Retry(attempts=2, initial_seconds=0))
graph.add_node("look", pay, writes="looked", effect=Once(reconcile=find))
graph.add_node("tell", work, writes="told", fallback=send)
graph.add_path(START, "pay", "send", "look", "tell", END)
