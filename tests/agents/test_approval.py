"""What a person sees of a call to approve; `pages/approvals.txt` and `sessions/approval.txt` show what answers do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from graphengine import Agent, Graph, Runner, ScriptedModel, tool
from graphengine.agents import Approval, file_diff, mcp
from graphengine.agents.runs import RunWaits
from graphengine.models.scripted import calls
from graphengine.runner.call_records import digest_of_call
from graphengine.stores.memory import InMemoryStore
from graphengine.worker import Worker
from tests.agents.run_kits import one, within


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
    store = InMemoryStore()
    graph = one(Agent("writer", prompt="{task}", tools=tools))
    async with Runner(store, models={"writer": model}) as runner:
        run = runner.start(graph)
        second, first = sorted((await within(run)).waits, key=lambda wait: wait.question)
        head = f"May writer call write?\n\n--- {path}\n+++ {path}\n"
        assert first.question == f"{head}@@ -1,2 +1,2 @@\n roses\n-are red\n+are blue"
        assert second.question == "May writer call mail?\n\nto    Ada\ntext  Dear\n\n      you"
        path.unlink()
        await runner.answer(run.id, "yes", wait=second)
        (first,) = (await within(runner.resume(run.id, graph))).waits
        assert "(does not exist)" in first.question  # asked again, it shows the file of now
        await runner.answer(run.id, "yes")
        assert (await within(runner.resume(run.id, graph))).state.draft == "done"
    assert mcp("server", approve={"write": Approval(default=True)}).approve == {"write": Approval(default=True)}
    assert file_diff(str(tmp_path), "x").startswith(f"{tmp_path} cannot be read")
    path.write_bytes(b"\xff")
    assert "is not a text" in file_diff(str(path), "x")


async def test_answers_of_earlier_versions_are_read() -> None:
    """Their questions were yes-or-no questions, with keys made from the call on one line."""

    def pay(to: str, amount: int) -> str:
        """Pay someone."""
        return f"paid {amount} to {to}"

    model = ScriptedModel([calls(("pay", {"to": "Ada\nBob", "amount": 5})), "done"])
    store = InMemoryStore()
    graph = one(Agent("writer", prompt="{task}", tools=[tool(pay, approve=True)]))
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


async def test_a_message_refuses_all_that_is_asked_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a worker takes the first refusal before the second is given, and asks for that again meanwhile."""
    shown, again, may_ask = 0, asyncio.Event(), asyncio.Event()

    async def show(name: str) -> str:
        nonlocal shown
        shown += 1
        if shown > 2:  # the two questions were shown before
            again.set()
            await may_ask.wait()
        return name

    def pay(name: str) -> str:
        return f"paid {name}"

    agent = Agent("payer", tools=[tool(pay, approve=Approval(show=show, refused_by_message=True))])
    answers = [calls(("pay", {"name": "Ada"}), ("pay", {"name": "Bob"})), "I paid nobody.", "You are welcome."]
    models, database = {"payer": ScriptedModel(answers)}, tmp_path / "runs.db"
    async with asyncio.timeout(20), Runner(database, models=models) as here, Runner(database, models=models) as there:
        with pytest.raises(RunWaits):
            await here.run(agent, chat="a", question="Pay them.")
        worker, post = Worker(there, Graph.chat(agent), poll_seconds=0.01), here.answer
        working = asyncio.create_task(worker.run())

        async def answer(run_id: str, value: Any, **options: Any) -> None:
            is_second = again.is_set()
            try:
                await post(run_id, value, **options)
                await again.wait()
            finally:
                if is_second:
                    may_ask.set()

        monkeypatch.setattr(here, "answer", answer)
        try:
            assert await here.run(agent, chat="a", question="Thanks.") == "You are welcome."
        finally:
            worker.stop()
            await working


async def test_a_recorded_yes_for_a_tool_that_is_gone_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """The model is told that there is no such tool, and the log says that the answer has no effect."""

    def pay(to: str) -> str:
        """Pay someone."""
        raise AssertionError(to)

    model = ScriptedModel([calls(("pay", {"to": "Ada"})), "done"])
    store = InMemoryStore()
    graph, without = (one(Agent("writer", prompt="{task}", tools=tools)) for tools in ([tool(pay, approve=True)], []))
    async with Runner(store, models={"writer": model}) as runner:
        run = runner.start(graph)
        await within(run)
        await runner.answer(run.id, "yes")
        result = await within(runner.resume(run.id, without))
        assert result.state.draft == "done"
    assert "a recorded answer about a call of it has no effect" in caplog.text
