"""One answer for all runs that wait with the same question."""

import pytest
from pydantic import BaseModel

from graphengine import Context, Graph, Runner
from graphengine.errors import InputError
from tests.kit.runs import alone, failing

ACTS: list[str] = []
"""What was done outside."""


class Sale(BaseModel):
    amount: int = 5
    out: str = ""


def pay(amount: int) -> str:
    """Pay."""
    ACTS.append(f"pay {amount}")
    return f"paid {amount}"


def pay_and_break(amount: int) -> str:
    """Pay, and lose the connection before the answer comes."""
    ACTS.append(f"pay {amount}")
    raise ConnectionError("the line is down")


async def pays(amount: int, ctx: Context) -> str:
    """Pay, and wait for a person."""
    paid = await ctx.call(pay, amount, effect="once")
    return f"{paid}, {await ctx.ask('Go on?')}"


async def pays_more(amount: int, ctx: Context) -> str:
    """Pay another amount."""
    return await ctx.call(pay, amount + 1, effect="once")


async def breaks(amount: int, ctx: Context) -> str:
    """Pay, and do not know whether that happened."""
    return await ctx.call(pay_and_break, amount, effect="once")


def sale(node: object, name: str = "sale") -> Graph[Sale]:
    """Return the graph with this code."""
    return alone(Sale, node, "out", name=name)


async def test_changed_code_asks_all_runs_the_same_and_one_answer_ends_it(runner: Runner) -> None:
    """The runs of another graph, and the questions of other names, are left alone."""
    ACTS.clear()
    for number in range(3):
        await runner.start(sale(pays), {"amount": number}, run_id=f"r{number}").result()
    await runner.start(sale(pays, "other"), run_id="other").result()
    done = await runner.admin.bulk("answer", "graph:sale", value="yes", wait="work", by="ann")
    assert sorted(done.runs) == ["r0", "r1", "r2"]
    for number in range(3):
        assert (await runner.resume(f"r{number}", sale(pays_more)).result()).status == "waiting"
    assert [wait.kind for wait in await runner.waits("r0")] == ["unknown"]
    for dry_run in (True, False):
        done = await runner.admin.bulk("answer", "graph:sale", value="same", by="ann", dry_run=dry_run)
        assert (sorted(done.runs), done.refused) == (["r0", "r1", "r2"], {})
    assert not (await runner.admin.bulk("answer", "graph:sale", value="same")).runs
    for number in range(3):
        result = await runner.resume(f"r{number}", sale(pays_more)).result()
        assert (result.status, result.state.out) == ("finished", f"paid {number}")
    assert ACTS == ["pay 0", "pay 1", "pay 2", "pay 5"]
    assert [wait.question for wait in await runner.waits("other")] == ["Go on?"]


async def test_how_effects_ended_is_answered_for_all(runner: Runner) -> None:
    """A value that a question does not take is refused run by run."""
    ACTS.clear()
    for number in range(2):
        await failing(runner.start(sale(breaks), run_id=f"r{number}").result())
        assert (await runner.resume(f"r{number}", sale(breaks)).result()).status == "waiting"
    refused = await runner.admin.bulk("answer", "graph:sale", value="same")
    assert (refused.runs, sorted(refused.refused)) == ([], ["r0", "r1"])
    await runner.admin.bulk("answer", "graph:sale", value='{"result": "paid by hand"}', by="ann")
    results = [await runner.resume(f"r{number}", sale(breaks)).result() for number in range(2)]
    assert [result.state.out for result in results] == ["paid by hand"] * 2
    with pytest.raises(InputError, match="needs a value"):
        await runner.admin.bulk("answer", "graph:sale")
