"""An effect inside an effect: in there nothing can wait, so a person says how it ended before the outer one begins."""

from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Context, Graph, NotDone, Once, Result, Runner
from tests.kit.runs import alone, failing


class State(BaseModel):
    """A payment."""

    paid: int = 0


class Shop:
    """Packs and pays; the first payments break off.

    Args:
        is_call: Whether a call is the outer effect, else the node.
        outer: The effect of what packs.
        inner: The effect of the payment.
        breaks: How many payments break off.

    Attributes:
        done: What was done, in order.
    """

    def __init__(self, *, is_call: bool, outer: Any = "once", inner: Any = "once", breaks: int = 1) -> None:
        self.done: list[str] = []
        self.breaks, self.inner = breaks, inner
        self.runner = Runner()

        async def calls(ctx: Context) -> int:
            return await ctx.call(self.pack, ctx, key="pack", effect=outer)

        self.graph: Graph[State] = (
            alone(State, calls, "paid", node="shop")
            if is_call
            else alone(State, self.pack, "paid", node="shop", effect=outer)
        )

    async def pack(self, ctx: Context) -> int:
        """Pack, and pay."""
        self.done.append("pack")
        return await ctx.call(self.pay, effect=self.inner)

    def pay(self) -> int:
        """Pay."""
        self.done.append("pay")
        self.breaks -= 1
        if self.breaks >= 0:
            raise OSError("the line broke")
        return 7

    async def begun(self) -> None:
        """Begin, and break off."""
        await failing(self.runner.start(self.graph, run_id="r").result())

    async def resumed(self, *answers: object) -> Result[State]:
        """Give these answers, one after another, to what is asked."""
        for answer in answers:
            asked = await self.runner.resume("r", self.graph).result()
            assert [wait.kind for wait in asked.waits] == ["unknown"]
            await self.runner.answer("r", answer)
        return await self.runner.resume("r", self.graph).result()

    async def question(self) -> str:
        """Return what is asked."""
        (wait,) = (await self.runner.resume("r", self.graph).result()).waits
        return wait.question


outers = pytest.mark.parametrize("is_call", [True, False], ids=["call", "node"])


@outers
async def test_a_person_is_asked_of_the_effect_inside_before_the_outer_one_begins_again(*, is_call: bool) -> None:
    """Asked only inside, it could never be answered: each resume would begin the outer effect again, and fail."""
    shop = Shop(is_call=is_call)
    await shop.begun()
    assert "pack" in await shop.question() or not is_call
    await shop.runner.answer("r", "rerun")
    assert "pay in shop began, and nobody knows how it ended" in await shop.question()
    assert shop.done == ["pack", "pay"]
    result = await shop.resumed("rerun")
    assert (result.state.paid, shop.done) == (7, ["pack", "pay", "pack", "pay"])


@outers
async def test_an_effect_inside_that_happened_is_not_done_again(*, is_call: bool) -> None:
    """Its result is what the person says; a result of another type is asked for again, once the outer one has begun."""
    shop = Shop(is_call=is_call)
    await shop.begun()
    with pytest.raises(Exception, match="effect_unknown"):
        await shop.resumed("rerun", {"result": "seven"})
    result = await shop.resumed("rerun", {"result": 7})
    assert (result.state.paid, shop.done) == (7, ["pack", "pay", "pack", "pack"])


@outers
async def test_a_person_who_does_not_know_lets_nothing_begin(*, is_call: bool) -> None:
    """The next resume asks again."""
    shop = Shop(is_call=is_call)
    await shop.begun()
    with pytest.raises(Exception, match="effect_unknown"):
        await shop.resumed("rerun", "fail")
    assert shop.done == ["pack", "pay"]
    assert (await shop.resumed("rerun")).state.paid == 7


@outers
async def test_an_outer_effect_that_is_found_not_to_have_happened_asks_as_well(*, is_call: bool) -> None:
    """`reconcile=` answers for the outer one, as a person does."""

    def looks() -> int:
        raise NotDone("no parcel")

    shop = Shop(is_call=is_call, outer=Once(reconcile=looks))
    await shop.begun()
    assert "pay in shop" in await shop.question()
    assert (await shop.resumed("rerun")).state.paid == 7


async def test_what_is_answered_counts_for_one_beginning() -> None:
    """It breaks off once more, and a person is asked once more."""
    shop = Shop(is_call=False, breaks=2)
    await shop.begun()
    await failing(shop.resumed("rerun", "rerun"))
    result = await shop.resumed("rerun", "rerun")
    assert (result.state.paid, shop.done) == (7, ["pack", "pay"] * 3)


async def test_an_effect_that_is_to_fail_takes_an_answer_that_was_given() -> None:
    """With `unknown="fail"` nobody would be asked, but who was asked already gets out."""
    shop = Shop(is_call=False, inner=Once(unknown="fail"))
    await shop.begun()
    assert (await shop.resumed("rerun", {"result": 7})).state.paid == 7
