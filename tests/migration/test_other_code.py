"""What a node finds again, and what a person is asked, when the code of the node changed while its run waited or died.

Each test has two graphs of one name and one spec: one with the code of before, one with today's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Migration, NotDone, Once, RunFailed, Runner, ask
from graphengine.graph.effect import Effect
from graphengine.testing import preflight
from tests.kit.facts import said

Node = Callable[..., Awaitable[Any]]
ACTS: list[str] = []
"""What was done outside."""


class Sale(BaseModel):
    amount: int = 5
    out: str = ""


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    """Begin each test with a world in which nothing has happened."""
    ACTS.clear()


def graph_of(node: Node) -> Graph[Sale]:
    """Return the graph with this function as the code of its one node."""
    made = Graph("sale", Sale)
    made.add_node("sell", node, writes="out")
    made.add_path(START, "sell", END)
    return made


def pay(amount: int, currency: str = "EUR") -> str:
    """Pay, in euros unless it is said otherwise."""
    ACTS.append(f"pay {amount} {currency}")
    return f"paid {amount}"


def pay_and_break(amount: int) -> str:
    """Pay, and lose the connection before the answer comes."""
    ACTS.append(f"pay {amount}")
    raise ConnectionError("the line is down")


def mail(text: str) -> str:
    """Send a mail."""
    ACTS.append(f"mail {text}")
    return "sent"


async def pays_and_asks(amount: int, ctx: Context) -> str:
    """Pay, and wait for a person."""
    paid = await ctx.call(pay, amount, effect="once")
    return f"{paid}, {await ctx.ask('Go on?')}"


async def waiting(runner: Runner, node: Node) -> str:
    """Run a node until it waits or fails, and return the id of the run."""
    handle = runner.start(graph_of(node))
    with suppress(RunFailed):
        await handle.result()
    return handle.id


async def goes_on(runner: Runner, run_id: str, node: Node, answer: object = "yes") -> Any:
    """Answer the question of the node, and return the result under today's code."""
    handle = await runner.answer(run_id, answer, graph_of(node))
    return await handle.result()


async def by_keyword(amount: int, ctx: Context) -> str:
    """Do the same with an argument by keyword."""
    paid = await ctx.call(pay, amount=amount, effect="once")
    return f"{paid}, {await ctx.ask('Go on?')}"


async def with_the_default(amount: int, ctx: Context) -> str:
    """Do the same with the default written out."""
    paid = await ctx.call(pay, amount, "EUR", effect="once")
    return f"{paid}, {await ctx.ask('Go on?')}"


async def with_a_wait(amount: int, ctx: Context) -> str:
    """Do the same after a wait."""
    await ctx.sleep(0)
    paid = await ctx.call(pay, amount, effect="once")
    return f"{paid}, {await ctx.ask('Go on?')}"


async def by_a_key(amount: int, ctx: Context) -> str:
    """Do the same with a key."""
    paid = await ctx.call(pay, amount, effect="once", key="pay")
    return f"{paid}, {await ctx.ask('Go on?')}"


@pytest.mark.parametrize("node", [by_keyword, with_the_default, with_a_wait, by_a_key])
async def test_the_same_call_in_another_form_is_found_again(runner: Runner, node: Node) -> None:
    """A keyword for a position, a written-out default, an inserted wait and a key do not make another call of one."""
    run_id = await waiting(runner, pays_and_asks)
    result = await goes_on(runner, run_id, node)
    while result.status == "waiting":
        result = await runner.resume(run_id, graph_of(node)).result()
    assert (result.state.out, ACTS) == ("paid 5, yes", ["pay 5 EUR"])


async def by_another_name(amount: int, ctx: Context) -> str:
    """Pay by a function of another name."""

    def pay_out(amount: int) -> str:
        return pay(amount)

    return await ctx.call(pay_out, amount, effect="once")


async def of_another_amount(amount: int, ctx: Context) -> str:
    """Pay 5.0 in place of 5."""
    return await ctx.call(pay, float(amount), effect="once")


async def in_another_currency(amount: int, ctx: Context) -> str:
    """Pay in dollars."""
    return await ctx.call(pay, amount, "USD", effect="once")


CHANGES = [by_another_name, of_another_amount, in_another_currency]


@pytest.mark.parametrize("node", CHANGES)
async def test_an_effect_that_may_be_the_recorded_one_begins_only_after_a_question(runner: Runner, node: Node) -> None:
    """Changed code that acts in another form waits for a person, and has acted once until then."""
    run_id = await waiting(runner, pays_and_asks)
    result = await goes_on(runner, run_id, node)
    (wait,) = result.waits
    assert (wait.kind, ACTS) == ("unknown", ["pay 5 EUR"])
    assert '- pay → "paid 5"' in wait.question
    assert "Answer same" in wait.question


@pytest.mark.parametrize("node", CHANGES)
async def test_same_takes_the_recorded_end(runner: Runner, node: Node) -> None:
    """After `same`, the effect of today's code has the recorded result, and nothing is done again."""
    run_id = await waiting(runner, pays_and_asks)
    await goes_on(runner, run_id, node)
    result = await goes_on(runner, run_id, node, "same")
    assert (result.state.out, ACTS) == ("paid 5", ["pay 5 EUR"])


async def test_another_begins_the_effect_besides(runner: Runner) -> None:
    """After `another`, the new effect begins; a later call of a function that the question lists is asked about too."""

    async def pays_twice(amount: int, ctx: Context) -> str:
        first = await ctx.call(pay, amount, "USD", effect="once")
        return f"{first} {await ctx.call(pay, amount, 'GBP', effect='once')}"

    run_id = await waiting(runner, pays_and_asks)
    await goes_on(runner, run_id, pays_twice)
    result = await goes_on(runner, run_id, pays_twice, "another")
    assert ([wait.kind for wait in result.waits], ACTS) == (["unknown"], ["pay 5 EUR", "pay 5 USD"])
    result = await goes_on(runner, run_id, pays_twice, "another")
    assert (result.state.out, ACTS) == ("paid 5 paid 5", ["pay 5 EUR", "pay 5 USD", "pay 5 GBP"])


async def mails_first(amount: int, ctx: Context) -> str:
    """Send mails before the payment, which has another form."""
    await ctx.call(mail, "a", effect="once")
    await ctx.call(mail, "b", effect="once")
    return await ctx.call(pay, float(amount), effect="once")


async def test_an_effect_behind_new_ones_is_not_repeated(runner: Runner) -> None:
    """`another` for a new mail covers the second mail, but not the payment that was done and is asked for later."""
    run_id = await waiting(runner, pays_and_asks)
    await goes_on(runner, run_id, mails_first)
    result = await goes_on(runner, run_id, mails_first, "another")
    assert ([wait.kind for wait in result.waits], ACTS) == (["unknown"], ["pay 5 EUR", "mail a", "mail b"])
    result = await goes_on(runner, run_id, mails_first, "same")
    assert (result.state.out, ACTS) == ("paid 5", ["pay 5 EUR", "mail a", "mail b"])


async def test_of_several_effects_the_one_of_a_recorded_function_is_asked_about(runner: Runner) -> None:
    """Two effects are about to begin at once: the payment is asked about and claimed, and the mail begins unasked."""

    async def at_once(amount: int, ctx: Context) -> str:
        both = (ctx.call(mail, "a", effect="once"), ctx.call(pay, float(amount), effect="once"))
        return " ".join(await asyncio.gather(*both))

    run_id = await waiting(runner, pays_and_asks)
    await goes_on(runner, run_id, at_once)
    result = await goes_on(runner, run_id, at_once, "same")
    assert (result.state.out, ACTS) == ("sent paid 5", ["pay 5 EUR", "mail a"])


RAN: list[str] = []
"""How often the code of a node ran that ends without its effect."""


async def no_payment(amount: int, ctx: Context) -> str:
    """Pay nothing any more."""
    RAN.append("ran")
    return f"nothing for {amount}"


@pytest.mark.parametrize("answer", ["another", "fail"])
async def test_an_effect_that_was_removed_is_asked_about_at_the_end(runner: Runner, answer: str) -> None:
    """A node that ends without an effect which happened asks a person; its code does not run again after the answer."""
    RAN.clear()
    run_id = await waiting(runner, pays_and_asks)
    result = await goes_on(runner, run_id, no_payment)
    (wait,) = result.waits
    assert wait.kind == "unknown"
    assert "The node ends now" in wait.question
    assert "same" not in wait.question
    if answer == "fail":
        with pytest.raises(RunFailed, match="no longer makes calls that it had made before: pay"):
            await goes_on(runner, run_id, no_payment, answer)
    else:
        result = await goes_on(runner, run_id, no_payment, answer)
        assert (result.status, result.state.out) == ("finished", "nothing for 5")
    assert (RAN, ACTS) == (["ran"], ["pay 5 EUR"])


async def test_a_graph_does_not_begin_before_effects_of_its_node_are_settled(runner: Runner) -> None:
    """A node that paid is a graph now, whose node pays: a person is asked before the graph begins."""
    inside = Graph("inside", Sale, result="out")
    inside.add_node("pay", pays_and_asks, writes="out")
    inside.add_path(START, "pay", END)
    made = Graph("sale", Sale)
    made.add_node("sell", inside, inputs={"amount": "amount"}, writes="out")
    made.add_path(START, "sell", END)
    run_id = await waiting(runner, pays_and_dies)
    result = await runner.resume(run_id, made).result()
    (wait,) = result.waits
    assert ("the graph or map" in wait.question, ACTS) == (True, ["pay 5 EUR"])
    with pytest.raises(RunFailed, match="no longer makes calls"):
        await (await runner.answer(run_id, "fail", made)).result()
    assert ACTS == ["pay 5 EUR"]


async def pays_and_dies(amount: int, ctx: Context) -> str:
    """Pay, and fail afterwards."""
    await ctx.call(pay, amount, effect="once")
    raise ConnectionError("afterwards")


async def test_fail_fails_the_node_and_a_resume_asks_again(runner: Runner) -> None:
    """After `fail` the node fails with `effect_unknown`; once the run is resumed, the question is asked again."""
    run_id = await waiting(runner, pays_and_asks)
    await goes_on(runner, run_id, in_another_currency)
    with pytest.raises(RunFailed, match="no longer makes calls"):
        await goes_on(runner, run_id, in_another_currency, "fail")
    result = await runner.resume(run_id, graph_of(in_another_currency)).result()
    assert ([wait.kind for wait in result.waits], ACTS) == (["unknown"], ["pay 5 EUR"])


async def test_same_takes_several_ends_in_their_order(runner: Runner) -> None:
    """One answer counts for all effects of the visit that are left: the calls of today get their ends in order."""

    async def pays_and_mails(amount: int, ctx: Context) -> str:
        paid, told = await ctx.call(pay, amount, effect="once"), await ctx.call(mail, "a", effect="once")
        return f"{paid} {told} {await ctx.ask('Go on?')}"

    async def otherwise(amount: int, ctx: Context) -> str:
        paid = await ctx.call(pay, amount, "USD", effect="once")
        return f"{paid} {await ctx.call(mail, 'A', effect='once')}"

    run_id = await waiting(runner, pays_and_mails)
    await goes_on(runner, run_id, otherwise)
    result = await goes_on(runner, run_id, otherwise, "same")
    assert (result.state.out, ACTS) == ("paid 5 sent", ["pay 5 EUR", "mail a"])


@pytest.mark.parametrize("turned", [False, True])
async def test_what_is_asked_for_at_once_is_found_in_any_order(runner: Runner, *, turned: bool) -> None:
    """A new effect beside recorded ones waits until those were asked for, and then begins without a question."""

    async def mails_at_once(amount: int, ctx: Context) -> str:
        await asyncio.gather(ctx.call(mail, "a", effect="once"), ctx.call(mail, "b", effect="once"))
        return await ctx.ask("Go on?")

    async def and_pays(amount: int, ctx: Context) -> str:
        texts = ["b", "a"] if turned else ["a", "b"]
        paid, *_ = await asyncio.gather(
            ctx.call(pay, amount, effect="once"), *(ctx.call(mail, text, effect="once") for text in texts)
        )
        return paid

    run_id = await waiting(runner, mails_at_once)
    result = await goes_on(runner, run_id, and_pays)
    assert (result.state.out, ACTS) == ("paid 5", ["mail a", "mail b", "pay 5 EUR"])


async def test_a_new_effect_waits_beside_a_wait_without_a_question(runner: Runner) -> None:
    """While the node waits for something else, nobody is asked: what is left may be asked for after that wait."""

    async def waits_and_mails(amount: int, ctx: Context) -> str:
        async def later() -> str:
            await ctx.ask("Mail?")
            return await ctx.call(mail, "a", effect="once")

        paid, _ = await asyncio.gather(ctx.call(pay, 6, effect="once"), later())
        return paid

    async def mails_and_asks(amount: int, ctx: Context) -> str:
        await ctx.call(mail, "a", effect="once")
        return await ctx.ask("Go on?")

    run_id = await waiting(runner, mails_and_asks)
    result = await goes_on(runner, run_id, waits_and_mails)
    assert ([wait.question for wait in result.waits], ACTS) == (["Mail?"], ["mail a"])
    result = await goes_on(runner, run_id, waits_and_mails)
    assert (result.state.out, ACTS) == ("paid 6", ["mail a", "pay 6 EUR"])


async def breaks(amount: int, ctx: Context) -> str:
    """Pay, and fail without knowing whether it was paid."""
    return await ctx.call(pay_and_break, amount, effect="once")


async def acts_otherwise(amount: int, ctx: Context) -> str:
    """Send a mail, and pay nothing."""
    return f"otherwise {await ctx.call(mail, 'a', effect='once')}"


async def test_what_other_code_began_is_settled_before_any_code_runs(runner: Runner) -> None:
    """An effect without an end is asked about first; then what the changed code does asks whether that was it."""
    run_id = await waiting(runner, breaks)
    result = await runner.resume(run_id, graph_of(acts_otherwise)).result()
    (wait,) = result.waits
    assert (wait.kind, ACTS) == ("unknown", ["pay 5"])
    assert "pay_and_break in sell began, and nobody knows how it ended; its code has changed since" in wait.question
    result = await goes_on(runner, run_id, acts_otherwise, "rerun")
    assert (result.state.out, ACTS) == ("otherwise sent", ["pay 5", "mail a"])


async def test_a_settled_end_is_found_by_the_call(runner: Runner) -> None:
    """The answer is kept under the beginning: the same call of changed code has it, and nobody is asked again."""

    async def changed(amount: int, ctx: Context) -> str:
        return f"{await ctx.call(pay_and_break, amount=amount, effect='once')}!"

    run_id = await waiting(runner, breaks)
    await runner.resume(run_id, graph_of(changed)).result()
    result = await goes_on(runner, run_id, changed, {"result": "paid by hand"})
    assert (result.state.out, ACTS) == ("paid by hand!", ["pay 5"])


async def test_one_answer_settles_several_effects(runner: Runner) -> None:
    """Several effects without an end are asked about at once, each by the number of its beginning."""

    async def breaks_twice(amount: int, ctx: Context) -> str:
        both = (ctx.call(pay_and_break, amount, effect="once"), ctx.call(pay_and_break, 7, effect="once"))
        await asyncio.gather(*both, return_exceptions=True)
        raise ConnectionError("both lines are down")

    async def changed(amount: int, ctx: Context) -> str:
        one = await ctx.call(pay_and_break, amount, effect="once")
        return f"{one} {await ctx.call(pay_and_break, 7, effect='once')}"

    run_id = await waiting(runner, breaks_twice)
    result = await runner.resume(run_id, graph_of(changed)).result()
    (wait,) = result.waits
    numbers = [line.partition(":")[0] for line in wait.question.splitlines()[1:3]]
    answer = {number: {"result": f"by hand {number}"} for number in numbers}
    result = await goes_on(runner, run_id, changed, answer)
    assert (result.state.out, ACTS) == (" ".join(f"by hand {number}" for number in numbers), ["pay 5", "pay 7"])


async def test_an_effect_that_says_how_to_find_out_is_left_to_today_s_code(runner: Runner) -> None:
    """With `reconcile=`, nobody is asked before the code runs, since only the code can call the function."""

    def found(amount: int) -> str:
        return f"found {amount}"

    async def breaks_with_a_way(amount: int, ctx: Context) -> str:
        return await ctx.call(pay_and_break, amount, effect=Once(reconcile=found))

    async def changed(amount: int, ctx: Context) -> str:
        return f"{await ctx.call(pay_and_break, amount, effect=Once(reconcile=found))}!"

    run_id = await waiting(runner, breaks_with_a_way)
    result = await runner.resume(run_id, graph_of(changed)).result()
    assert (result.state.out, ACTS) == ("found 5!", ["pay 5"])


async def test_unknown_fail_asks_nobody(runner: Runner) -> None:
    """An effect with `unknown="fail"` that other code began fails the node before its code runs."""

    async def breaks_hard(amount: int, ctx: Context) -> str:
        return await ctx.call(pay_and_break, amount, effect=Once(unknown="fail"))

    run_id = await waiting(runner, breaks_hard)
    with pytest.raises(RunFailed, match="its code has changed"):
        await runner.resume(run_id, graph_of(acts_otherwise)).result()
    assert ACTS == ["pay 5"]


async def test_unchanged_code_of_another_graph_object_is_never_asked(runner: Runner) -> None:
    """The same functions in a new graph are the same code: what it had recorded is found, and the rest begins."""

    async def pays_and_mails(amount: int, ctx: Context) -> str:
        paid = await ctx.call(pay, amount, effect="once")
        await ctx.ask("Go on?")
        return f"{paid} {await ctx.call(mail, 'a', effect='once')}"

    run_id = await waiting(runner, pays_and_mails)
    result = await goes_on(runner, run_id, pays_and_mails)
    assert (result.state.out, ACTS) == ("paid 5 sent", ["pay 5 EUR", "mail a"])


async def test_a_child_run_is_not_started_a_second_time_without_a_question(runner: Runner) -> None:
    """Changed code that starts the child with another input asks first; `same` waits for the child that was started."""

    class Parcel(BaseModel):
        to: str = ""
        done: str = ""

    parcels = Graph("parcels", Parcel)
    parcels.add_node("send", mail, inputs={"text": "to"}, writes="done")
    parcels.add_path(START, "send", END)

    async def starts(amount: int, ctx: Context) -> str:
        child = await ctx.start(parcels, {"to": "ada"})
        return f"{(await child.result()).state.done} {await ctx.ask('Go on?')}"

    async def starts_otherwise(amount: int, ctx: Context) -> str:
        child = await ctx.start(parcels, {"to": "Ada"})
        return (await child.result()).state.done

    run_id = await waiting(runner, starts)
    result = await goes_on(runner, run_id, starts_otherwise)
    assert ([wait.kind for wait in result.waits], ACTS) == (["unknown"], ["mail ada"])
    result = await goes_on(runner, run_id, starts_otherwise, "same")
    assert (result.state.out, ACTS) == ("sent", ["mail ada"])


async def test_another_covers_the_child_runs_of_one_graph(runner: Runner) -> None:
    """`another` for a new child run covers no child run of another graph, which can contain the payment that moved."""

    class Parcel(BaseModel):
        amount: int = 5
        done: str = ""

    parcels, moved = Graph("parcels", Parcel), Graph("moved", Parcel)
    parcels.add_node("send", mail, inputs={"text": "done"}, writes="done")
    parcels.add_path(START, "send", END)
    moved.add_node("pay", pay, inputs={"amount": "amount"}, writes="done")
    moved.add_path(START, "pay", END)

    async def starts(amount: int, ctx: Context) -> str:
        for graph in (parcels, parcels, moved):
            await (await ctx.start(graph, {"done": graph.name})).result()
        return "done"

    run_id = await waiting(runner, pays_and_asks)
    await goes_on(runner, run_id, starts)
    result = await goes_on(runner, run_id, starts, "another")
    assert ([wait.kind for wait in result.waits], ACTS) == (["unknown"], ["pay 5 EUR", "mail parcels", "mail parcels"])


def look_up(amount: int) -> int:
    """Look something up, which may be repeated."""
    return amount * 2


async def test_a_plain_result_that_is_not_used_again_is_a_loss(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    """Recorded calls without an effect are made again under changed code; the log and `losses` say so."""

    async def looks_up(amount: int, ctx: Context) -> str:
        found = await ctx.call(look_up, amount)
        await ctx.sleep(0)
        return f"{found} {await ctx.ask('Go on?')}"

    async def looks_up_more(amount: int, ctx: Context) -> str:
        found = await ctx.call(look_up, amount + 1)
        return f"{found} {await ctx.ask('Go on?')}"

    run_id = await waiting(runner, looks_up)
    result = await runner.resume(run_id, graph_of(looks_up)).result()
    result = await goes_on(runner, run_id, looks_up_more)
    assert (result.state.out, result.losses) == ("12 yes", {"unused_results": 1})
    assert "did not ask again for those of: look_up" in caplog.text


async def breaks_two(amount: int, ctx: Context) -> str:
    """Begin two payments, of which nobody knows how they ended."""
    both = (ctx.call(pay_and_break, amount, effect="once"), ctx.call(pay_and_break, 7, effect="once"))
    await asyncio.gather(*both, return_exceptions=True)
    raise ConnectionError("both lines are down")


async def mails_and_breaks(amount: int, ctx: Context) -> str:
    """Begin another effect, of which nobody knows how it ended either."""
    return await ctx.call(mail_and_break, "a", effect="once")


async def mails_and_breaks_again(amount: int, ctx: Context) -> str:
    """Do the same in other code."""
    return f"{await ctx.call(mail_and_break, 'a', effect='once')}!"


def mail_and_break(text: str) -> str:
    """Send a mail, and lose the connection before the answer comes."""
    ACTS.append(f"mail {text}")
    raise ConnectionError("the line is down")


async def test_a_joint_answer_covers_only_the_effects_that_it_was_asked_about(runner: Runner) -> None:
    """`rerun` for two payments says nothing of a mail that a later version begins: a third version asks about it."""
    run_id = await waiting(runner, breaks_two)
    await runner.resume(run_id, graph_of(mails_and_breaks)).result()
    with pytest.raises(RunFailed):
        await goes_on(runner, run_id, mails_and_breaks, "rerun")
    result = await runner.resume(run_id, graph_of(mails_and_breaks_again)).result()
    assert ([wait.kind for wait in result.waits], ACTS) == (["unknown"], ["pay 5", "pay 7", "mail a"])


async def test_a_joint_fail_is_asked_again_at_the_next_resume(runner: Runner) -> None:
    """After `fail` for several effects the node fails, and the next resume asks the question again."""
    run_id = await waiting(runner, breaks_two)
    await runner.resume(run_id, graph_of(acts_otherwise)).result()
    with pytest.raises(RunFailed):
        await goes_on(runner, run_id, acts_otherwise, "fail")
    result = await runner.resume(run_id, graph_of(acts_otherwise)).result()
    assert ([wait.kind for wait in result.waits], ACTS) == (["unknown"], ["pay 5", "pay 7"])
    result = await goes_on(runner, run_id, acts_otherwise, "rerun")
    assert (result.state.out, ACTS) == ("otherwise sent", ["pay 5", "pay 7", "mail a"])


async def test_an_effect_that_is_taken_begins_again_with_its_own_key(runner: Runner) -> None:
    """After `same`, the function and `reconcile=` get the key under which the earlier code began the effect."""
    keys: list[str] = []
    happened: list[str] = []

    def pays(amount: int, idempotency_key: str) -> str:
        keys.append(idempotency_key)
        if len(keys) == 1:
            raise ConnectionError("nothing happened")
        happened.append(idempotency_key)
        raise ConnectionError("it happened")

    def found(amount: int, idempotency_key: str) -> str:
        if idempotency_key not in happened:
            raise NotDone("not yet")
        return "found"

    once = Once(reconcile=found)

    async def before(amount: int, ctx: Context) -> str:
        return await ctx.call(pays, amount, effect=once)

    async def after(amount: int, ctx: Context) -> str:
        return f"{await ctx.call(pays, amount + 1, effect=once)}!"

    run_id = await waiting(runner, before)
    await runner.resume(run_id, graph_of(after)).result()
    with pytest.raises(RunFailed):
        await goes_on(runner, run_id, after, "same")
    result = await runner.resume(run_id, graph_of(after)).result()
    assert (result.state.out, len(keys), len({*keys})) == ("found!", 2, 1)


@pytest.mark.parametrize("effect", ["read", "idempotent"])
async def test_a_node_that_may_be_repeated_asks_too(runner: Runner, effect: Effect) -> None:
    """A payment that the code of such a node leaves behind is not forgotten."""
    again = Graph("sale", Sale)
    again.add_node("sell", no_payment, writes="out", effect=effect)
    again.add_path(START, "sell", END)
    run_id = await waiting(runner, pays_and_dies)
    result = await runner.resume(run_id, again).result()
    assert ([wait.kind for wait in result.waits], ACTS) == (["unknown"], ["pay 5 EUR"])


async def test_a_branch_takes_the_answer_about_an_effect_whose_argument_has_changed(runner: Runner) -> None:
    """The answer counts in the branch although the type of the argument has gained a field since."""

    def version(*, has_note: bool) -> Graph[Sale]:
        if has_note:

            class Order(BaseModel):
                amount: int
                note: str = ""
        else:

            class Order(BaseModel):  # type: ignore[no-redef]
                amount: int

        async def sells(amount: int, ctx: Context) -> str:
            return await ctx.call(pay_order_and_break, Order(amount=amount), effect="once")

        return graph_of(sells)

    handle = runner.start(version(has_note=False))
    with suppress(RunFailed):
        await handle.result()
    (begun,) = [step.seq for step in await runner.history(handle.id) if step.kind == "begun"]
    branch = runner.branch(handle.id, version(has_note=True), begun)
    assert [wait.kind for wait in (await branch.result()).waits] == ["unknown"]
    result = await (await runner.answer(branch.id, {"result": "by hand"}, version(has_note=True))).result()
    assert (result.state.out, ACTS) == ("by hand", ["pay an order"])


def pay_order_and_break(order: BaseModel) -> str:
    """Pay an order, and lose the connection before the answer comes."""
    ACTS.append("pay an order")
    raise ConnectionError("the line is down")


async def test_a_transaction_asks_before_it_begins(postgres: str) -> None:
    """A transaction of changed code is asked about like another effect; `another` lets it commit."""

    def charge(amount: int, db: psycopg.Connection) -> str:
        db.execute("SELECT 1")
        return f"charged {amount}"

    async def charges(amount: int, ctx: Context) -> str:
        return await ctx.call(charge, amount, effect="transaction")

    async with Runner(postgres) as runner:
        run_id = await waiting(runner, pays_and_asks)
        result = await goes_on(runner, run_id, charges)
        assert ([wait.kind for wait in result.waits], ACTS) == (["unknown"], ["pay 5 EUR"])
        result = await goes_on(runner, run_id, charges, "another")
        assert (result.status, result.state.out) == ("finished", "charged 5")


async def test_a_move_out_of_a_graph_says_that_effects_inside_are_dropped(runner: Runner) -> None:
    """The effect of a node inside that has ended is not kept: the step and `check --store` tell it."""
    inner = Graph("inner", Sale, result="out")
    inner.add_node("pay", pay, inputs={"amount": "amount"}, writes="out", effect="once")
    inner.add_node("ask", ask("Go on?", str), writes="out")
    inner.add_path(START, "pay", "ask", END)

    def outer(name: str, **options: Any) -> Graph[Sale]:
        made = Graph("sale", Sale, **options)
        made.add_node(name, inner, inputs={"amount": "amount"}, writes="out")
        made.add_path(START, name, END)
        return made

    await runner.start(outer("sell"), run_id="r").result()
    moved = outer("deliver", version=2, migrate={1: Migration(moved={"sell": "deliver"})})
    text = "what has ended inside sell is dropped: its effects are done again if deliver does them"
    found = await preflight([moved], runner.store)
    assert [(each.code, each.text) for group in found.groups for each in group.reasons] == [("visits_dropped", text)]
    assert found.fits
    await runner.resume("r", moved).result()
    left = [each for step in await runner.history("r") if step.kind == "resumed" for each in said(step).get("left", ())]
    assert (left, ACTS) == ([text], ["pay 5 EUR", "pay 5 EUR"])


@pytest.mark.parametrize("ends", [False, True])
async def test_a_fallback_does_not_repeat_what_the_earlier_fallback_did(runner: Runner, *, ends: bool) -> None:
    """A deployment changes a call in a fallback that was cut off in the call, or that waits after the call."""
    acts, began = list[str](), asyncio.Event()

    async def pay(amount: int, currency: str = "EUR") -> str:
        acts.append(currency)
        began.set()
        if not ends and len(acts) == 1:
            await asyncio.Event().wait()
        return currency

    def broken() -> str:
        raise ValueError

    async def before(ctx: Context) -> str:
        paid = await ctx.call(pay, 5, effect="once")
        return paid if await ctx.ask("Well?", bool) else ""

    async def after(ctx: Context) -> str:
        paid = await ctx.call(pay, 5, "USD", effect="once")
        return paid if await ctx.ask("Well?", bool) else ""

    def graph(fallback: Any) -> Graph[Sale]:
        made = Graph("sale", Sale)
        made.add_node("sell", broken, writes="out", fallback=fallback)
        made.add_path(START, "sell", END)
        return made

    runner.start(graph(before), run_id="r")
    await began.wait()
    if ends:
        await runner.get("r").result()
        await runner.answer("r", value=True)
    else:
        await runner.stop("r", now=True)
    result = await runner.resume("r", graph(after)).result()
    assert (result.status, [wait.kind for wait in result.waits], acts) == ("waiting", ["unknown"], ["EUR"])


@pytest.mark.parametrize("in_fallback", [True, False])
async def test_a_fallback_is_asked_about_the_child_that_it_started(runner: Runner, *, in_fallback: bool) -> None:
    """A deployment changes which child a fallback starts; the children that its node started are of no concern."""

    class Parcel(BaseModel):
        number: int = 0

    def send(number: int) -> int:
        ACTS.append(f"send {number}")
        return number

    parcels = Graph("parcels", Parcel, result="number")
    parcels.add_node("send", send, writes="number")
    parcels.add_path(START, "send", END)

    async def broken(ctx: Context) -> str:
        if not in_fallback:
            await (await ctx.start(parcels, {"number": 1})).result()
        raise ValueError

    def instead(number: int) -> Callable[[Context], Awaitable[str]]:
        async def starts(ctx: Context) -> str:
            if in_fallback or number == 2:
                await (await ctx.start(parcels, {"number": number})).result()
            return await ctx.ask("Well?")

        return starts

    def graph(number: int) -> Graph[Sale]:
        made = Graph("sale", Sale)
        made.add_node("sell", broken, writes="out", fallback=instead(number))
        made.add_path(START, "sell", END)
        return made

    await runner.start(graph(1), run_id="r").result()
    result = await (await runner.answer("r", "yes", graph(2))).result()
    if in_fallback:
        assert ([wait.kind for wait in result.waits], ACTS) == (["unknown"], ["send 1"])
    else:
        assert (result.state.out, ACTS) == ("yes", ["send 1", "send 2"])
