"""Approval of tool calls: what a person is asked and sees, what the answers do, and that nothing is asked twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graphengine import Agent, Context, Graph, Runner, ScriptedModel, tool
from graphengine.agents import Approval, Edit, file_diff, mcp
from graphengine.errors import InputError
from graphengine.models.scripted import calls
from graphengine.runner import RunFailed
from graphengine.runner.call_records import digest_of_call
from graphengine.stores.memory import MemoryStore
from graphengine.testing import FakeClock
from tests.agents.run_kits import Work, one, within

YES, NO = True, False
PAY: Any = ("pay", {"to": "Ada", "amount": 50})


class Bank:
    """A tool that pays, and its calls: the recipient, the amount, the idempotency key."""

    def __init__(self) -> None:
        self.paid: list[tuple[str, int, str]] = []

    def pay(self, ctx: Context, to: str, amount: int, note: str = "") -> str:
        """Pay someone."""
        self.paid.append((to, amount, ctx.idempotency_key))
        return f"paid {amount} to {to}"

    def graph(self, approve: Any, **options: Any) -> Graph[Work]:
        """Return a graph whose agent may pay."""
        return one(Agent("writer", prompt="{task}", tools=[tool(self.pay, approve=approve, **options)]))


def last_result(model: ScriptedModel) -> str:
    """Return the text that the model got for its last call."""
    return model.requests[-1].messages[-1].text


async def test_changed_arguments_have_to_fit_and_have_a_key_of_their_own() -> None:
    """An answer that does not fit the tool's schema is refused when it is given."""

    def even(ctx: Context, amount: int) -> str:
        """Pay an even amount."""
        keys.append(ctx.idempotency_key)
        return f"paid {amount}"

    keys: list[str] = []
    model = ScriptedModel([calls(("even", {"amount": 4})), calls(("even", {"amount": 4})), "done"])
    graph = one(Agent("writer", prompt="{task}", tools=[tool(even, approve=True)]))
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph)
        (wait,) = (await within(run)).waits
        assert wait.schema is not None
        assert wait.schema["anyOf"][2]["properties"]["arguments"]["properties"]["amount"]["default"] == 4
        for answer, problem in (
            ({"arguments": {"amount": "many"}}, "arguments.amount: 'many' is not a whole number"),
            ({"arguments": {"sum": 3}}, "'sum' was unexpected"),
            ("perhaps", "'perhaps' is not yes or no"),
        ):
            with pytest.raises(InputError, match=problem):
                await runner.answer(run.id, answer)
        await runner.answer(run.id, Edit({"amount": 6}))
        await within(runner.resume(run.id, graph))
        await runner.answer(run.id, YES)
        assert (await within(runner.resume(run.id, graph))).state.draft == "done"
    assert last_result(model) == "paid 4"
    assert len(set(keys)) == 2  # services refuse a key that comes again with other arguments


async def test_a_rule_over_the_arguments_decides_whether_a_person_is_asked() -> None:
    """Once a person was asked, or the call was made, the rule decides nothing more."""
    limit, ruled = [100], list[int]()

    def large(amount: int, ctx: Context) -> bool:
        ruled.append(amount)
        assert ctx.node == "work"
        return amount > limit[0]

    bank = Bank()
    graph = bank.graph(approve=large)
    model = ScriptedModel([calls(PAY, ("pay", {"to": "Bob", "amount": 500})), "done"])
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph)
        (wait,) = (await within(run)).waits
        assert "Bob" in wait.question
        assert [call[:2] for call in bank.paid] == [("Ada", 50)]
        for limit[0] in (1, 1000):  # neither is Ada asked about, nor does Bob's question go away
            await runner.stop(run.id)
            (wait,) = (await within(runner.resume(run.id, graph))).waits
            assert "Bob" in wait.question
        await runner.answer(run.id, NO)
        assert (await within(runner.resume(run.id, graph))).state.draft == "done"
    assert [call[:2] for call in bank.paid] == [("Ada", 50)]
    assert sorted(ruled) == [50, 500]


@pytest.mark.parametrize(("default", "made"), [(False, 0), (True, 1)])
async def test_after_its_deadline_a_call_is_refused_or_made(*, default: bool, made: int) -> None:
    """The model learns that no person answered."""
    bank, clock = Bank(), FakeClock()
    model = ScriptedModel([calls(PAY), "done"])
    graph = bank.graph(Approval(timeout_seconds=7200, default=default))
    async with Runner(models={"writer": model}, clock=clock) as runner:
        run = runner.start(graph)
        (wait,) = (await within(run)).waits
        assert wait.due_at == pytest.approx(clock.now() + 7200, abs=60)
        clock.move(7300)
        assert (await within(runner.resume(run.id, graph))).state.draft == "done"
    assert len(bank.paid) == made
    assert ("The reason: no person answered within 2 hours" in last_result(model)) is not default


async def test_what_a_person_sees_is_a_table_or_what_the_tool_shows(tmp_path: Path) -> None:
    """Long arguments become a table, and a file its difference; the key of the question is the same as ever."""
    path = tmp_path / "poem.txt"
    path.write_text("roses\nare red\n", encoding="utf-8")

    def write(path: str, text: str) -> str:
        """Write a file."""
        return f"{path}: {len(text)}"

    def mail(to: str, text: str, tags: list[str] | None = None) -> str:
        """Send a mail."""
        return f"{to} {text} {tags}"

    wanted = (
        ("write", {"path": str(path), "text": "roses\nare blue\n"}),
        ("mail", {"to": "Ada", "text": "Dear\n\nyou"}),
    )
    tools: list[Any] = [tool(write, approve=Approval(show=file_diff)), tool(mail, approve=True)]
    model = ScriptedModel([calls(*wanted), "done"])
    store = MemoryStore()
    graph = one(Agent("writer", prompt="{task}", tools=tools))
    async with Runner(store, models={"writer": model}) as runner:
        run = runner.start(graph)
        second, first = sorted((await within(run)).waits, key=lambda wait: wait.question)
        head = f"May writer call write?\n\n--- {path}\n+++ {path}\n"
        assert first.question == f"{head}@@ -1,2 +1,2 @@\n roses\n-are red\n+are blue"
        assert second.question == "May writer call mail?\n\nto    Ada\ntext  Dear\n\n      you"
        path.unlink()
        await runner.answer(run.id, YES, question=second.name)
        (first,) = (await within(runner.resume(run.id, graph))).waits
        assert "(does not exist)" in first.question  # asked again, it shows the file of now
        await runner.answer(run.id, YES)
        assert (await within(runner.resume(run.id, graph))).state.draft == "done"
    assert file_diff(str(tmp_path), "x").startswith(f"{tmp_path} cannot be read")
    path.write_bytes(b"\xff")
    assert "is not a text" in file_diff(str(path), "x")


async def test_answers_of_earlier_versions_are_read() -> None:
    """Their questions were yes-or-no questions, with keys made from the call on one line."""
    bank, model = Bank(), ScriptedModel([calls(("pay", {"to": "Ada\nBob", "amount": 5})), "done"])
    store = MemoryStore()
    graph = bank.graph(approve=True)
    async with Runner(store, models={"writer": model}) as runner:
        run = runner.start(graph)
        await within(run)
        (waiting,) = [step for step in await runner.history(run.id) if step.kind == "waiting"]
        facts: Any = waiting.data
        (wait,) = facts.waits.values()
        assert wait.question.startswith("May writer call pay?\n\nto      Ada\n        Bob")
        text = json.dumps({"to": "Ada\nBob", "amount": 5})
        assert wait.key.partition("/")[2] == _key_of(f"May writer call pay({text})?")


def _key_of(question: str) -> str:
    """Return the key below which the answer to a question is recorded."""
    return f"ask|{digest_of_call('ask', ([question, None],), {})}|1"


async def test_a_rule_that_takes_what_a_call_does_not_have_fails_the_node() -> None:
    """No call is made whose approval cannot be decided; alone, an agent can make those that need none.

    The compiler finds such a rule, unless it is of an agent that a node's own code calls.
    """
    bank = Bank()
    agent = Agent("writer", prompt="{task}", tools=[tool(bank.pay, approve=lambda amuont: amuont > 3)])

    async def ask(task: str) -> str:
        return await agent.run(task=task)

    async with Runner(models={"writer": ScriptedModel([calls(PAY)])}) as runner:
        with pytest.raises(RunFailed, match="takes 'amuont', which the call does not have"):
            await within(runner.start(one(ask)))
    assert bank.paid == []

    def add(first: int, second: int) -> int:
        """Add two numbers."""
        return first + second

    model = ScriptedModel([calls(("add", {"first": 1, "second": 2})), "3"])
    agent = Agent("writer", prompt="{task}", tools=[tool(add, approve=lambda first: first > 1)], model=model)
    assert await agent.run(task="t") == "3"
    assert mcp("server", approve={"write": Approval(default=True)}).approve == {"write": Approval(default=True)}
