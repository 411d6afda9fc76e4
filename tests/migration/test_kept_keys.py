"""The key of an idempotent call is recorded before the call begins, so that a deployment does not change it."""

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pydantic import BaseModel, create_model

from graphengine import END, START, Context, Graph, Retry, Runner
from graphengine.runner.run import Run
from tests.kit.facts import said


class Bank:
    """Keeps the key and the order of each payment. A payment of an order in `holds` never returns."""

    def __init__(self, *holds: int) -> None:
        self.asked: list[tuple[int, str]] = []
        self.holds = {*holds}
        self.begun = asyncio.Event()

    async def pay(self, order: Any, idempotency_key: str) -> int:
        """Pay an order, which is a number or has one."""
        number: int = getattr(order, "id", order)
        self.asked.append((number, idempotency_key))
        if number in self.holds:
            self.begun.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)  # calls in parallel are in flight together
        return number

    @property
    def keys(self) -> list[str]:
        """The keys, each once, in the order of their first use."""
        return [*dict.fromkeys(key for _, key in self.asked)]


def order(*, new: bool) -> Any:
    """Return the model of an order, which gains a field with a default in the new version."""
    gained: Any = {"note": (str, "")} if new else {}
    return create_model("Order", id=(int, 7), total=(int, 5), **gained)


def paying(work: Any, *, new: bool = False, **options: Any) -> Graph[BaseModel]:
    """Return a graph whose node pays; its state has one field more in the new version."""
    kind = order(new=new)
    state: Any = create_model("State", order=(kind, kind()), paid=(Any, None))
    graph: Graph[BaseModel] = Graph("paying", state, result="paid")
    graph.add_node("pay", work, writes="paid", **options)
    graph.add_path(START, "pay", END)
    return graph


def once_each(bank: Bank, **options: Any) -> Any:
    """Return a node that pays its order in a call."""
    options = {"effect": "idempotent", **options}

    async def work(ctx: Context, order: Any) -> Any:
        return await ctx.call(bank.pay, order, **options)

    return work


async def cut_off(runner: Runner, bank: Bank, run: Run[Any, Any]) -> None:
    """End the attempt of a run while it pays."""
    await bank.begun.wait()
    await runner.release(run.id, now=True)
    bank.begun.clear()
    bank.holds.clear()


async def beginnings(runner: Runner, run_id: str) -> list[dict[str, Any]]:
    """Return what a run recorded of calls that began."""
    return [said(step) for step in await runner.history(run_id) if step.kind == "begun"]


async def test_a_call_keeps_its_key_over_a_deployment(runner: Runner) -> None:
    """The argument's model gains a field while the call is in flight: the receiver sees the first key again."""
    bank = Bank(7)
    await cut_off(runner, bank, runner.start(paying(once_each(bank)), run_id="r"))
    result = await runner.resume("r", paying(once_each(bank), new=True)).result()
    assert (result.output, len(bank.asked), len(bank.keys)) == (7, 2, 1)


async def test_a_call_that_took_over_a_key_keeps_it_when_it_is_cut_off_again(runner: Runner) -> None:
    """It also keeps it in a retry that begins afresh, and after a second deployment that undoes the first."""
    bank = Bank(7)
    tried: list[int] = []

    async def work(ctx: Context, order: Any) -> Any:
        paid = await ctx.call(bank.pay, order, effect="idempotent")
        tried.append(paid)
        if len(tried) == 1:
            raise OSError("the line broke")
        return paid

    retry = Retry(attempts=2, initial_seconds=0, afresh=True, on=(OSError,))
    await cut_off(runner, bank, runner.start(paying(work, retry=retry), run_id="r"))
    for new in (True, True, False):
        bank.holds.add(7)
        await cut_off(runner, bank, runner.resume("r", paying(work, new=new, retry=retry)))
    await runner.resume("r", paying(work, new=True, retry=retry)).result()
    assert (len(bank.asked), len(bank.keys)) == (6, 1)


@pytest.mark.parametrize("options", [{"effect": None}, {"effect": "once"}, {"key": "payment"}])
async def test_the_recorded_key_holds_whatever_is_said_of_the_call_now(runner: Runner, options: dict[str, Any]) -> None:
    """A deployment also takes `effect=` away, changes it, or adds `key=`: what was recorded at the beginning counts."""
    bank = Bank(7)
    await cut_off(runner, bank, runner.start(paying(once_each(bank)), run_id="r"))
    result = await runner.resume("r", paying(once_each(bank, **options), new=True)).result()
    assert (result.output, len(bank.asked), len(bank.keys)) == (7, 2, 1)


@pytest.mark.parametrize("new", [True, False], ids=["changed", "unchanged"])
@pytest.mark.parametrize("backwards", [True, False])
async def test_calls_in_parallel_keep_their_own_keys(runner: Runner, *, new: bool, backwards: bool) -> None:
    """One began and the other did not: neither gets the key of the other, in whatever order they ask."""
    bank = Bank(1)
    orders = [1, 2]

    async def work(ctx: Context, order: Any) -> Any:
        made = [order.model_copy(update={"id": number}) for number in orders]
        return await asyncio.gather(*(ctx.call(bank.pay, each, effect="idempotent") for each in made))

    gate = asyncio.Event()

    async def first(ctx: Context, order: Any) -> Any:
        paid = ctx.call(bank.pay, order.model_copy(update={"id": 1}), effect="idempotent")
        await asyncio.gather(paid, gate.wait())

    await cut_off(runner, bank, runner.start(paying(first), run_id="r"))
    if backwards:
        orders.reverse()
    result = await runner.resume("r", paying(work, new=new)).result()
    keys = dict(bank.asked)
    assert result.output == orders
    assert (bank.asked[0][1], len(bank.asked), len({*keys.values()})) == (keys[1], 3, 2)


async def test_two_equal_calls_keep_two_keys(runner: Runner) -> None:
    """Both were in flight; each key is used again, by one of the two."""
    bank = Bank(7)

    async def work(ctx: Context, order: Any) -> Any:
        return await asyncio.gather(*(ctx.call(bank.pay, order, effect="idempotent") for _ in range(2)))

    run = runner.start(paying(work), run_id="r")
    while len(bank.asked) < 2:
        await bank.begun.wait()
        await asyncio.sleep(0)
    await cut_off(runner, bank, run)
    await runner.resume("r", paying(work, new=True)).result()
    first, again = bank.keys, [key for _, key in bank.asked[2:]]
    assert (len(bank.asked), len(first), {*first}) == (4, 2, {*again})


async def test_a_branch_has_keys_of_its_own(runner: Runner) -> None:
    """A key that the parent recorded is not used in a branch, whose keys begin with its own id."""
    bank = Bank(7)
    await cut_off(runner, bank, runner.start(paying(once_each(bank)), run_id="r"))
    seq = (await runner.store.info("r")).seq
    for branch, new in (("same", False), ("changed", True)):
        bank.holds.add(7)
        graph = paying(once_each(bank), new=new)
        await cut_off(runner, bank, runner.branch("r", graph, seq, run_id=branch))
        await runner.resume(branch, graph).result()
    (first, place), (same, again), (changed, _) = (key.split("/", 1) for key in bank.keys)
    assert (first, same, changed, place) == ("r", "same", "changed", again)


async def plain(order: Any) -> int:
    """Pay without a key."""
    return int(order.id)


async def read(order: Any, idempotency_key: str) -> int:
    """Pay nothing."""
    return int(order.id)


async def node(order: Any, ctx: Context) -> int:
    """Pay as a node."""
    return len(ctx.idempotency_key)


async def test_a_key_is_recorded_only_where_a_receiver_gets_one_that_can_change(runner: Runner) -> None:
    """`key=`, a node, a function without the parameter and other effects record no beginning, and cost no commit."""
    bank = Bank()

    async def work(ctx: Context, order: Any) -> None:
        await ctx.call(bank.pay, order, effect="idempotent", key="payment")
        await ctx.call(plain, order, effect="idempotent")
        await ctx.call(read, order, idempotency_key="mine", effect="idempotent")
        await ctx.call(read, order, effect="read")
        await ctx.call(plain, order)

    await runner.start(paying(work), run_id="r").result()
    await runner.start(paying(node, effect="idempotent"), run_id="n").result()
    assert await beginnings(runner, "r") == await beginnings(runner, "n") == []


async def test_a_beginning_is_no_unknown_end(runner: Runner) -> None:
    """Nobody is asked, a retry repeats it with its key, and a cancelled run does not list it."""
    bank = Bank()
    failed: list[int] = []

    async def pay(order: Any, idempotency_key: str) -> int:
        bank.asked.append((order.id, idempotency_key))
        if not failed:
            failed.append(1)
            raise OSError("the line broke")
        return await Bank.pay(bank, order, idempotency_key)

    async def work(ctx: Context, order: Any) -> Any:
        return await ctx.call(pay, order, effect="idempotent")

    retry = Retry(attempts=2, initial_seconds=0, on=(OSError,))
    bank.holds.add(7)
    await cut_off(runner, bank, runner.start(paying(work, retry=retry), run_id="r"))
    assert (len(bank.keys), len(await beginnings(runner, "r"))) == (1, 1)
    await runner.stop("r", final=True)
    assert said((await runner.history("r"))[-1])["unknown"] == []


@dataclass
class Coupon:
    """A part of a payment."""

    code: str = ""


class Card(BaseModel):
    """A payment."""

    amount: int = 5
    coupon: Coupon = Coupon()


class NotedCard(BaseModel):
    """The same under another name, with a gained field."""

    amount: int = 5
    coupon: Coupon = Coupon()
    notes: list[str] = []


class KindOfCard(BaseModel):
    """The same with a discriminator."""

    amount: int = 5
    coupon: Coupon = Coupon()
    kind: Literal["card"] = "card"


@pytest.mark.parametrize(
    ("was", "now", "is_same"),
    [
        (Card(), NotedCard(), True),
        ([Card()], [NotedCard()], True),
        ([Card()], (NotedCard(),), False),
        ({"a": Card()}, {"a": NotedCard()}, True),
        (Card(), NotedCard(notes=["x"]), False),
        (Card(), NotedCard(amount=6), False),
        (Card(), NotedCard(coupon=Coupon("x")), False),
        (Card(), KindOfCard(), False),
        (NotedCard(), Card(), False),
        ({"id": 1}, {"id": 1, "note": ""}, False),
        ([1, 2], [1], False),
    ],
    ids=str,
)
async def test_only_the_same_payment_takes_over_a_key(runner: Runner, was: Any, now: Any, *, is_same: bool) -> None:
    """A gained field must have its default; everything else must be as it was; a discriminator tells calls apart."""
    bank = Bank()

    async def pay(order: Any, idempotency_key: str) -> int:
        bank.asked.append((0, idempotency_key))
        bank.begun.set()
        if len(bank.asked) == 1:
            await asyncio.Event().wait()
        return 0

    def paid(order: Any) -> Any:
        async def work(ctx: Context) -> Any:
            return await ctx.call(pay, order, effect="idempotent")

        parts = [order, *(order.values() if isinstance(order, dict) else order)]
        work.__annotations__["card"] = next((type(each) for each in parts if isinstance(each, BaseModel)), int)
        return work

    await cut_off(runner, bank, runner.start(paying(paid(was)), run_id="r"))
    await runner.resume("r", paying(paid(now), new=True)).result()
    assert (len(bank.asked), len(bank.keys)) == (2, 1 if is_same else 2)


async def test_code_of_an_unchanged_graph_takes_over_no_key(runner: Runner) -> None:
    """Its calls can come in any order, so a call that began and was not asked for yet is not left behind."""
    bank = Bank(7)
    forms: list[dict[str, str]] = [{}]

    async def pay(order: Any, note: str = "", *, idempotency_key: str) -> Any:
        return await bank.pay(order, idempotency_key)

    async def work(ctx: Context, order: Any) -> Any:
        for form in forms:
            await ctx.call(pay, 7, **form, effect="idempotent")

    await cut_off(runner, bank, runner.start(paying(work), run_id="r"))
    forms[:] = [{"note": "x"}, {}]
    await runner.resume("r", paying(work)).result()
    first, own, again = (key for _, key in bank.asked)
    assert first == again != own


@pytest.mark.parametrize("forms", [[{"key": "new"}, {}], [{}, {"key": "new"}]], ids=["new first", "old first"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_two_calls_never_get_one_key(runner: Runner, forms: list[dict[str, Any]], *, at_once: bool) -> None:
    """The changed code makes the call in its old form and in a new one: one has the first key, the other its own."""
    bank = Bank(7)
    asked: list[dict[str, Any]] = [{}]

    async def work(ctx: Context, order: Any) -> Any:
        made = [ctx.call(bank.pay, 7, effect="idempotent", **form) for form in asked]
        return await asyncio.gather(*made) if at_once else [await each for each in made]

    await cut_off(runner, bank, runner.start(paying(work), run_id="r"))
    asked[:] = forms
    await runner.resume("r", paying(work, new=True)).result()
    first, taken, own = (key for _, key in bank.asked)
    assert first == taken != own
