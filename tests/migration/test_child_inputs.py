"""A child run whose input has a type that a deployment changes: the child is found again, and started once."""

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Migration, Runner
from graphengine.errors import StoreError
from tests.kit.dying import Dying

DONE: list[str] = []


def deployment(*, has_note: bool, name: str = "sell", **options: Any) -> SimpleNamespace:
    """Return the graphs of one deployment: the later one has a field more in the model inside the child's input."""
    if has_note:

        class Order(BaseModel):
            id: int = 1
            note: str = ""
    else:

        class Order(BaseModel):  # type: ignore[no-redef]
            id: int = 1

    class Parcel(BaseModel):
        order: Order = Order()
        others: list[Order] = []
        by_name: dict[str, Order] = {}
        sent: str = ""

    class Shop(BaseModel):
        out: str = ""

    def send(order: Order) -> str:
        DONE.append(f"send {order.id}")
        return "sent"

    parcels = Graph("parcels", Parcel)
    parcels.add_node("send", send, writes="sent")
    parcels.add_path(START, "send", END)

    async def starts(ctx: Context) -> str:
        given = {"order": Order(id=7), "others": [Order(id=8)], "by_name": {"a": Order(id=9)}}
        child = await ctx.start(parcels, given)
        sent = (await child.result()).state.sent
        return f"{sent} {await ctx.ask('Go on?')}"

    shop = Graph("shop", Shop, **options)
    shop.add_node(name, starts, writes="out")
    shop.add_path(START, name, END)
    return SimpleNamespace(shop=shop, order=Order)


async def test_a_child_is_found_after_its_input_has_gained_a_field(runner: Runner) -> None:
    """The node runs again under the new types, takes the child that it had started, and asks nobody."""
    DONE.clear()
    await runner.start(deployment(has_note=False).shop, run_id="x").result()
    result = await (await runner.answer("x", "yes", deployment(has_note=True).shop)).result()
    assert (result.status, result.state.out, DONE) == ("finished", "sent yes", ["send 7"])


async def test_a_child_that_had_ended_is_waited_for_no_more_after_a_move(runner: Runner) -> None:
    """A moved node takes the child that the dropped visit had started, and reads its end, which was told already."""
    DONE.clear()
    before = deployment(has_note=False).shop
    await runner.start(before, run_id="x").result()
    after = deployment(
        has_note=False, name="deliver", version=2, migrate={1: Migration(moved={"sell": "deliver"})}
    ).shop
    result = await runner.resume("x", after).result()
    assert ([wait.kind for wait in result.waits], DONE) == (["ask"], ["send 7"])
    result = await (await runner.answer("x", "yes", after)).result()
    assert (result.status, result.state.out, DONE) == ("finished", "sent yes", ["send 7"])


@pytest.mark.parametrize("died", [True, False])
async def test_a_child_whose_start_was_not_recorded_is_found(*, died: bool) -> None:
    """The process dies, or releases the run, before the start of the child is recorded; no second child is started."""
    found = set[tuple[int, str]]()
    for left in range(8):
        DONE.clear()
        store = Dying()
        store.left = left
        async with Runner(store) as runner:
            with suppress(StoreError):
                await runner.start(deployment(has_note=False).shop, run_id="x").result()
        store.left, store.died = 10**9, died
        async with Runner(store) as runner:
            await runner.resume("x", deployment(has_note=True).shop).result()
            result = await (await runner.answer("x", "yes", deployment(has_note=True).shop)).result()
            found.add((len(await runner.runs()), result.state.out))
    assert found == {(2, "sent yes")}
