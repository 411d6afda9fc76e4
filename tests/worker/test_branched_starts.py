"""Branches that begin before their parent started a child run under an id of its choice, over each store."""

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner


class Order(BaseModel):
    amount: int = 0
    key: str = ""
    shipped: int = 0


def orders(keys: list[str]) -> Graph[Order]:
    """Return a graph that starts a child run under a chosen id; `keys` are the idempotency keys of its effects."""

    async def ship(ctx: Context, amount: int) -> int:
        keys.append(ctx.idempotency_key)
        return amount * 10

    async def begin(ctx: Context, amount: int) -> int:
        child = await ctx.start(shipping, {"amount": amount}, run_id="order-7-shipping")
        return (await child.result()).state.shipped

    shipping, order = Graph("shipping", Order), Graph("order", Order)
    shipping.add_node("ship", ship, writes="shipped")
    shipping.add_path(START, "ship", END)
    order.add_node("check", lambda: "checked", writes="key")
    order.add_node("begin", begin, writes="shipped")
    order.add_path(START, "check", "begin", END)
    return order


async def test_a_branch_has_a_child_of_its_own_although_the_id_was_chosen(runner: Runner) -> None:
    """It has a derived id, and effects with keys of their own; a branch of the branch has another one."""
    keys: list[str] = []
    graph = orders(keys)
    assert (await runner.start(graph, Order(amount=1), run_id="order-7").result()).state.shipped == 10
    one = await runner.branch("order-7", graph, at=("check", 1), update={"amount": 5}, run_id="b").result()
    two = await runner.branch("b", graph, at=("check", 1), update={"amount": 7}, run_id="c").result()
    assert (one.state.shipped, two.state.shipped) == (50, 70)
    assert len({*keys}) == 3
    assert [len(await runner.store.runs(starter=run_id)) for run_id in ("order-7", "b", "c")] == [1, 1, 1]
