"""Answers that a function makes: `output=result_of(function)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from graphengine import Agent, Context, Graph, RunFailed, Runner, ScriptedModel
from graphengine.agents import result_of
from graphengine.agents.errors import BadAnswer

if TYPE_CHECKING:
    from pathlib import Path


class Refund(BaseModel):
    """What the function makes."""

    customer: str
    cents: int


MADE: list[Refund] = []
CALLED: list[int] = []


def refund(customer: str, euros: int = 1) -> Refund:
    """Refund a customer.

    Args:
        customer: Their name.
        euros: How much.
    """
    CALLED.append(euros)
    if euros > 10:
        raise ValueError("at most 10 euros")
    MADE.append(Refund(customer=customer, cents=100 * euros))
    return MADE[-1]


@pytest.fixture(autouse=True)
def _none_made() -> None:
    MADE.clear()
    CALLED.clear()


def cashier(*answers: Any, **more: Any) -> Agent[Refund]:
    """Return an agent whose answers the function makes."""
    return Agent("cashier", prompt="{task}", output=result_of(refund), model=ScriptedModel([*answers]), **more)


async def test_the_model_answers_with_its_arguments() -> None:
    """Its schema is that of the function; defaults apply; the answer is what it returns, alone and in a run."""
    agent = cashier({"customer": "Ada", "euros": 3}, {"customer": "Bo"})
    assert await agent.run(task="Refund") == Refund(customer="Ada", cents=300)
    async with Runner() as runner:
        result = await runner.start(Graph.of(agent), {"task": "Refund"}).result()
    assert result.output == result.state.answer == Refund(customer="Bo", cents=100)
    (schema, name), *_ = [(each.schema, each.output) for each in agent.model.requests]  # type: ignore[union-attr]
    assert name == "refund"
    assert schema["properties"]["customer"] == {"type": "string", "description": "Their name."}
    assert schema["required"] == ["customer"]


async def test_what_it_refuses_goes_back_to_the_model() -> None:
    """Its ValueError, arguments that do not fit or are missing, and what `check=` finds in its result."""

    def odd(answer: Refund) -> None:
        if answer.cents % 200 == 0:
            raise ValueError("not an odd number of euros")

    wrong: list[Any] = [{"customer": "Ada", "euros": 11}, {"euros": 1}, {"customer": "Ada", "euros": 2}]
    agent = cashier(*wrong, {"customer": "Ada", "euros": 3}, check=odd, output_retries=3)
    assert (await agent.run(task="Refund")).cents == 300
    told = [each.messages[-1].text for each in agent.model.requests[1:]]  # type: ignore[union-attr]
    assert "at most 10 euros" in told[0]
    assert "does not fit refund:\n- customer: Missing required" in told[1]
    assert "not an odd number of euros" in told[2]
    with pytest.raises(BadAnswer, match="at most 10 euros"):
        await cashier(*[{"customer": "Ada", "euros": 11}] * 3).run(task="Refund")


async def test_its_call_is_recorded(tmp_path: Path) -> None:
    """A run that fails after it, and is resumed, does not make it again: not what succeeded, nor what was refused."""
    seen: list[int] = []

    def once(answer: Refund) -> None:
        seen.append(answer.cents)
        if len(seen) == 1:
            raise OSError("cut off")

    agent = cashier({"customer": "Ada", "euros": 11}, {"customer": "Ada", "euros": 2}, check=once)
    async with Runner(tmp_path / "runs.db") as runner:
        with pytest.raises(RunFailed):
            await runner.run(agent, task="Refund", run_id="r")
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.run(agent, run_id="r")).cents == 200
    assert (CALLED, seen) == ([11, 2], [200, 200])


async def test_it_gets_resources_and_the_context() -> None:
    """As tools do; the model is not asked for them. Alone they are given by name."""

    async def pay(euros: int, db: list[int], ctx: Context | None = None) -> int:
        db.append(euros)
        return len(db) + (ctx is not None)

    agent = Agent("payer", prompt="Pay.", output=result_of(pay), model=ScriptedModel([{"euros": 5}, {"euros": 6}]))
    paid: list[int] = []
    async with Runner(resources={"db": paid}) as runner:
        assert await runner.run(agent) == 2
    assert await agent.run(db=paid) == 2
    assert paid == [5, 6]
    assert agent.model.requests[0].schema["properties"] == {"euros": {"type": "integer"}}  # type: ignore[union-attr]


async def test_rules_and_placeholders_answer_in_its_place() -> None:
    """They call nothing."""
    rules = cashier().but(model=None, by_rules=lambda task: Refund(customer=task, cents=1))
    assert await rules.run(task="Ada") == Refund(customer="Ada", cents=1)
    async with Runner(models="placeholder") as runner:
        assert isinstance(await runner.run(cashier(), task="Ada"), Refund)
    assert not MADE


async def test_a_copy_and_a_conversation_keep_it() -> None:
    """`but` replaces it only by another `output=`."""
    agent = cashier({"customer": "Ada"}, {"customer": "Bo"}).but(name="till")
    async with Runner() as runner:
        assert (await runner.run(agent, task="Refund", chat="x")).customer == "Ada"
        assert (await runner.run(agent, task="Refund", chat="x")).customer == "Bo"
    assert await agent.but(output=str, model=ScriptedModel(["No."])).run(task="Refund") == "No."
