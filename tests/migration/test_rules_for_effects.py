"""Rules that answer in advance whether an effect was done by the earlier code, over each store."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec import to_builtins
from pydantic import BaseModel

from graphengine import Context, Graph, Runner
from graphengine.cli.main import main
from graphengine.runner.rules_for_effects import EffectAnswer
from tests.kit.runs import alone

ACTS: list[str] = []
"""What was done outside."""


class Sale(BaseModel):
    amount: int = 5
    out: str = ""


def pay(amount: int) -> str:
    """Pay."""
    ACTS.append(f"pay {amount}")
    return f"paid {amount}"


async def pays(amount: int, ctx: Context) -> str:
    """Pay, and wait for a person."""
    paid = await ctx.call(pay, amount, effect="once")
    return f"{paid}, {await ctx.ask('Go on?')}"


async def pays_more(amount: int, ctx: Context) -> str:
    """Pay another amount."""
    return await ctx.call(pay, amount + 1, effect="once")


async def pays_no_more(amount: int) -> str:
    """Pay nothing."""
    return f"done {amount}"


async def pays_elsewhere(amount: int, ctx: Context) -> str:
    """Pay another amount, by code that no rule is for."""
    return await ctx.call(pay, amount + 2, effect="once")


def sale(node: Any) -> Graph[Sale]:
    """Return the graph with this code."""
    return alone(Sale, node, "out", name="sale")


async def waiting(runner: Runner) -> str:
    """Return the id of a run that has paid, and waits."""
    ACTS.clear()
    run = runner.start(sale(pays), run_id="r")
    await run.result()
    return run.id


@pytest.mark.parametrize(
    ("answer", "out", "acts"), [("same", "paid 5", ["pay 5"]), ("another", "paid 6", ["pay 5", "pay 6"])]
)
async def test_a_rule_answers_in_the_place_of_a_person(
    runner: Runner, answer: EffectAnswer, out: str, acts: list[str]
) -> None:
    """The next resume under this code asks nobody, and the answer is recorded as that of the rule."""
    run_id = await waiting(runner)
    earlier: list[EffectAnswer] = ["fail", answer, "fail"]
    for each in (*earlier, answer):
        await runner.answer_ahead(run_id, each, sale(pays_more), by="ann")
    await runner.answer(run_id, "yes")
    result = await runner.resume(run_id, sale(pays_more)).result()
    assert (result.status, result.state.out, ACTS) == ("finished", out, acts)
    assert "the rule of ann" in str([to_builtins(step) for step in await runner.store.steps(run_id)])


async def test_a_rule_is_for_one_version_of_the_code(runner: Runner) -> None:
    """Under other code a person is asked."""
    run_id = await waiting(runner)
    await runner.answer_ahead(run_id, "same", sale(pays_more))
    await runner.answer(run_id, "yes")
    assert (await runner.resume(run_id, sale(pays_elsewhere)).result()).status == "waiting"
    assert [wait.kind for wait in await runner.waits(run_id)] == ["unknown"]


async def test_a_rule_is_for_one_function(runner: Runner) -> None:
    """A rule for another function does not count, and one that is sent while a person is asked ends that question."""
    run_id = await waiting(runner)
    graph = sale(pays_more)
    await runner.answer_ahead(run_id, "same", graph, function="mail")
    await runner.answer(run_id, "yes")
    assert (await runner.resume(run_id, graph).result()).status == "waiting"
    await runner.answer_ahead(run_id, "same", graph, function="pay")
    result = await runner.resume(run_id, graph).result()
    assert (result.status, result.state.out, ACTS) == ("finished", "paid 5", ["pay 5"])


async def test_a_rule_answers_only_what_the_question_takes(runner: Runner) -> None:
    """At the end of a node nothing can have the recorded result, so that `same` is no answer there."""
    run_id = await waiting(runner)
    graph = sale(pays_no_more)
    await runner.answer_ahead(run_id, "same", graph)
    await runner.answer(run_id, "yes")
    assert (await runner.resume(run_id, graph).result()).status == "waiting"
    await runner.answer_ahead(run_id, "another", graph)
    assert (await runner.resume(run_id, graph).result()).state.out == "done 5"


FLOW = """
from pydantic import BaseModel
from graphengine import END, START, Context, Graph

class Sale(BaseModel):
    amount: int = 5
    out: str = ""

def pay(amount: int) -> str:
    with open("acts.txt", "a") as file:
        file.write(f"pay {amount};")
    return f"paid {amount}"

async def sell(amount: int, ctx: Context) -> str:
    CODE

graph = Graph("sale", Sale)
graph.add_node("sell", sell, writes="out")
graph.add_path(START, "sell", END)
"""
BEFORE = "return f\"{await ctx.call(pay, amount, effect='once')}, {await ctx.ask('Go on?')}\""
AFTER = "return await ctx.call(pay, amount + 1, effect='once')"


def test_an_operator_accepts_at_deployment_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command records the rule for all runs whose code changed; `show` names the rule as the author."""
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> tuple[int, str]:
        found = CliRunner().invoke(main, [*words, "--store", "r.db"])
        return found.exit_code, found.output

    file = tmp_path / "flow.py"
    file.write_text(FLOW.replace("CODE", BEFORE))
    for run_id in ("a", "b"):
        assert typed("run", "flow.py", "--run-id", run_id)[0] == 3
    assert "0 runs whose code changed" in typed("check", "flow.py", "--accept", "same")[1]
    file.write_text(FLOW.replace("CODE", AFTER))
    assert "0 runs" in typed("check", "flow.py", "--accept", "same", "--graph", "other")[1]
    code, said = typed("check", "flow.py", "--accept", "same", "--function", "pay", "--by", "ann")
    assert (code, "a rule is recorded for 2 runs whose code changed: same" in said) == (0, True), said
    for run_id in ("a", "b"):
        assert typed("answer", run_id, "yes", "--graph", "flow.py")[0] == 0
        assert "the rule of ann" in typed("show", run_id)[1]
    assert (tmp_path / "acts.txt").read_text() == "pay 5;pay 5;"
    assert CliRunner().invoke(main, ["check", "flow.py", "--accept", "same"]).exit_code == 2
    assert typed("check", "flow.py", "--by", "ann")[0] == 2
