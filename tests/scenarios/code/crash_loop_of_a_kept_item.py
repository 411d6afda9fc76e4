from pydantic import BaseModel

from graphengine import END, START, Context, Graph


class Order(BaseModel):
    order: int = 0
    paid: int = 0


class State(BaseModel):
    orders: list[int] = [7]
    all: list[int] = []


def pay() -> int:
    raise OSError("the line broke")


async def act(ctx: Context) -> int:
    return await ctx.call(pay, effect="once")


def by_hand() -> int:
    return 5


inner = Graph("inner", Order, result="paid")
inner.add_node("pay", act, writes="paid")
inner.add_path(START, "pay", END)

graph = Graph("outer", State)
graph.add_node("buy", inner, each={"order": "orders"}, writes="all", fallback=by_hand)
graph.add_path(START, "buy", END)
