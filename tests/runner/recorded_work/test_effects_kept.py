"""What is kept of the beginning of an effect: in a renamed node, in a graph that is retried, and if it did nothing."""

from functools import partial
from typing import Annotated, Any, Final

import pytest
from pydantic import BaseModel, Field

from graphengine import END, START, Context, Graph, NotDone, Once, Retry, RunFailed, Runner, Secret
from graphengine.engine.steps import Begun
from graphengine.graph.effect import Effect
from tests.kit.facts import said
from tests.kit.runs import alone

AGAIN: Final = Retry(attempts=2, initial_seconds=0, on=(OSError, NotDone))


class State(BaseModel):
    """A payment."""

    paid: int = 0


class Guarded(State):
    """A payment by token."""

    token: Annotated[str, Secret] = ""


class Bank:
    """Keeps the key of each payment. The first breaks off, or what it raises instead."""

    def __init__(self, *raises: BaseException) -> None:
        self.keys: list[str] = []
        self._raises = list(raises)

    def pay(self, idempotency_key: str) -> int:
        """Pay."""
        self.keys.append(idempotency_key)
        if self._raises:
            raise self._raises.pop(0)
        return 7

    def graph(self, node: str, *, is_call: bool, effect: Effect = "once", retry: Retry | None = None) -> Graph[State]:
        """Return a graph that pays, by a node or by a call in one."""

        async def call(ctx: Context) -> int:
            return await ctx.call(self.pay, effect=effect)

        def whole(ctx: Context) -> int:
            return self.pay(ctx.idempotency_key)

        graph = Graph("paying", State, result="paid")
        if is_call:
            graph.add_node(node, call, writes="paid", retry=retry)
        else:
            graph.add_node(node, whole, writes="paid", effect=effect, retry=retry)
        graph.add_path(START, node, END)
        return graph


both = pytest.mark.parametrize("is_call", [True, False], ids=["call", "node"])


async def test_a_person_is_asked_why_a_result_was_refused() -> None:
    """The node returned, so that its end is known: a cancelled run does not list it either."""

    class Few(BaseModel):
        paid: int = Field(0, le=5)

    graph = Graph("paying", Few)
    graph.add_node("pay", lambda: 7, writes="paid", effect="once", retry=Retry(attempts=2, on=(Exception,)))
    graph.add_path(START, "pay", END)
    async with Runner() as runner:
        (wait,) = (await runner.start(graph, run_id="r").result()).waits
        assert wait.question.startswith("pay began, and its result was refused: paid: Input should be less than")
        await runner.stop("r", final=True)
        assert said((await runner.history("r"))[-1])["unknown"] == []


@both
@pytest.mark.parametrize("breaks", ["in it", "after it"])
async def test_a_graph_in_which_an_effect_began_is_not_tried_again(breaks: str, *, is_call: bool) -> None:
    """Another attempt would begin it again; a resume continues inside."""
    bank, later = Bank(*[OSError("it broke")] * (breaks == "in it")), [OSError("later")] * (breaks == "after it")
    inner = bank.graph("pay", is_call=is_call)

    def last() -> None:
        if later:
            raise later.pop()

    inner.add_node("last", last)
    inner.edges.clear()
    inner.add_path(START, "pay", "last", END)
    outer = Graph("outer", State)
    outer.add_node("inner", inner, writes="paid", retry=AGAIN)
    outer.add_path(START, "inner", END)
    async with Runner() as runner:
        with pytest.raises(RunFailed):
            await runner.start(outer, run_id="r").result()
        result = await runner.resume("r", outer).result()
        if breaks == "in it":
            assert [wait.kind for wait in result.waits] == ["unknown"]
            await runner.answer("r", {"result": 7})
            result = await runner.resume("r", outer).result()
    assert (result.status, result.state.paid, len(bank.keys)) == ("finished", 7, 1)


@pytest.mark.parametrize("afresh", [False, True])
@both
async def test_what_says_that_it_did_nothing_is_tried_again(*, is_call: bool, afresh: bool) -> None:
    """Nobody is asked how it ended."""
    bank, again = Bank(NotDone("no funds")), Retry(attempts=2, initial_seconds=0, on=(NotDone,), afresh=afresh)
    async with Runner() as runner:
        result = await runner.start(bank.graph("pay", is_call=is_call, retry=again)).result()
    assert (result.status, result.state.paid, len(bank.keys)) == ("finished", 7, 2)


@both
async def test_a_graph_in_which_an_effect_did_nothing_is_tried_again(*, is_call: bool) -> None:
    """Its beginning is forgotten around it too."""
    bank, outer = Bank(NotDone("no funds")), Graph("outer", State)
    outer.add_node("inner", bank.graph("pay", is_call=is_call), writes="paid", retry=AGAIN)
    outer.add_path(START, "inner", END)
    async with Runner() as runner:
        assert (await runner.start(outer).result()).state.paid == 7
    assert len(bank.keys) == 2


@pytest.mark.parametrize("then", ["asks", "fails"])
async def test_a_node_that_goes_on_without_the_effect_is_not_asked_about_it(then: str) -> None:
    """It catches NotDone, and waits or fails later: when it runs again, the effect has not begun."""
    bank, troubles = Bank(NotDone("no funds"), NotDone("no funds")), [OSError("later")]

    async def work(ctx: Context) -> int:
        try:
            return await ctx.call(bank.pay, effect="once")
        except NotDone:
            if then == "fails" and troubles:
                raise troubles.pop() from None
            return await ctx.ask("How much by card?", int) if then == "asks" else 3

    graph = alone(State, work, "paid", retry=AGAIN)
    async with Runner() as runner:
        result = await runner.start(graph, run_id="r").result()
        if then == "asks":
            await runner.answer("r", 3)
            result = await runner.resume("r", graph).result()
    assert (result.status, result.state.paid, len(bank.keys)) == ("finished", 3, 2)


def calling(function: Any, *args: object, key: str | None = None, effect: Effect, **more: object) -> Graph[State]:
    """Return a graph with a node that calls a function."""

    async def work(ctx: Context) -> int:
        return int(await ctx.call(function, *args, key=key, effect=effect, **more))

    return alone(State, work, "paid")


KEY: Final = "a-key-for-tests-0123456789-abcdefghijklmnop"
SPOKEN: Final = "open sesame, please"
CYCLE: Final[list[Any]] = [0]
CYCLE.append(CYCLE)


def pay(order: str, amount: int = 5, *_: int, **__: object) -> int:
    """Pay, and break off."""
    raise OSError(f"{order} {amount}")


@pytest.mark.parametrize(
    ("function", "args", "more", "find"),
    [
        (pay, ("A7",), {}, lambda order, amount: amount + len(order)),
        (pay, ("A7", 1, 2), {"memo": "m"}, lambda order, memo: 5 + len(order + memo) - 1),
        (partial(pay, "A7"), (), {}, lambda order: 5 + len(order)),
        (partial(pay, amount=3), ("A7",), {}, lambda order, amount: 2 + amount + len(order)),
    ],
    ids=["a default", "more by name", "a partial", "a partial by name"],
)
async def test_reconcile_gets_all_arguments_by_name(function: Any, args: Any, more: Any, find: Any) -> None:
    """Those that were left out have their defaults; those of a partial and those of `**` have their names."""
    graph = calling(function, *args, effect=Once(reconcile=find), **more)
    async with Runner() as runner:
        with pytest.raises(RunFailed, match="OSError: A7"):
            await runner.start(graph, run_id="r").result()
        assert (await runner.resume("r", graph).result()).state.paid == 7


@pytest.mark.parametrize(
    ("given", "size"),
    [({"abc"}, 1), (iter("abc"), 3), (b"\x89PNG\xff", 5), ("a\ud800", 2), (CYCLE, 2), ("x" * 99_999, 99_999)],
    ids=["set", "iterator", "bytes", "surrogate", "cycle", "long"],
)
async def test_what_is_only_shown_keeps_no_effect_from_acting(given: Any, size: int) -> None:
    """An argument without a form in JSON is shown as its text, a long one by its beginning; an iterator is not read."""
    graph = calling(lambda xs: len([*xs]), given, key="k", effect="once")
    async with Runner() as runner:
        run = runner.start(graph)
        assert (await run.result()).state.paid == size
        (begun,) = [step.data for step in await runner.history(run.id) if isinstance(step.data, Begun)]
    assert isinstance(begun.arguments, dict)
    assert 2 < len(str(begun.arguments["xs"])) <= 4000
    assert given != {"abc"} or begun.arguments["xs"] == ["abc"]


@pytest.mark.parametrize(("key", "paid"), [("pay", 1), (None, 2)])
async def test_a_key_says_that_a_call_with_another_time_is_the_same_effect(key: str | None, paid: int) -> None:
    """After a failure `ctx.now()` is another time, and so without a key the call is another one."""
    times: list[float] = []

    def pay(at: float) -> int:
        times.append(at)
        return 7

    async def work(ctx: Context) -> int:
        found: int = await ctx.call(pay, ctx.now(), effect="once", key=key)
        if ctx.attempt == 1:
            raise OSError("later")
        return found

    async with Runner() as runner:
        assert (await runner.start(alone(State, work, "paid", retry=AGAIN)).result()).state.paid == 7
    assert len(times) == paid


async def test_a_secret_in_the_key_of_a_call_is_refused_before_it_is_made() -> None:
    """Nothing is paid, and no step has it."""
    bank = Bank()

    async def work(ctx: Context, token: str) -> int:
        return await ctx.call(bank.pay, key=token, effect="once")

    graph = alone(Guarded, work, "paid", secret_key=KEY)
    async with Runner() as runner:
        run = runner.start(graph, Guarded(token=SPOKEN))
        with pytest.raises(RunFailed, match=r"not_recordable: the key of .*pay"):
            await run.result()
        assert SPOKEN not in str(await runner.history(run.id))
    assert bank.keys == []
