from pydantic import BaseModel

from graphengine import END, START, Context, Graph, NotDone, Retry

ledger: list[str] = []


class State(BaseModel):
    paid: int = 0


def pay(idempotency_key: str) -> int:
    ledger.append(idempotency_key)
    raise NotDone("the box is full") if len(ledger) == 1 else OSError("the line broke")


async def act(ctx: Context) -> int:
    return await ctx.call(pay, effect="once")


inner = Graph("inner", State, result="paid")
inner.add_node("pay", act, writes="paid")
inner.add_path(START, "pay", END)

graph = Graph("outer", State)
graph.add_node("buy", inner, writes="paid", retry=Retry(attempts=3, initial_seconds=0, on=(OSError, NotDone)))
graph.add_path(START, "buy", END)
