from pydantic import BaseModel

from graphengine import END, START, Context, Graph


class State(BaseModel):
    paid: int = 0


def pay() -> int:
    raise OSError("the line broke")


async def act(ctx: Context) -> int:
    return await ctx.call(pay, effect="once")


def by_hand() -> int:
    return 5


inner = Graph("inner", State, result="paid")
inner.add_node("pay", act, writes="paid")
inner.add_path(START, "pay", END)

graph = Graph("outer", State)
graph.add_node("buy", inner, writes="paid", fallback=by_hand)
graph.add_path(START, "buy", END)
