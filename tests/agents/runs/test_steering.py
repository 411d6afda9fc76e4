"""Messages to a running agent: its next turn has them, once, also after a kill and from another process."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from graphengine import Agent, Context, Retry, Runner, ScriptedModel, tool
from graphengine.errors import UnknownRun
from graphengine.models import Request
from graphengine.models.scripted import calls
from tests.agents.run_kits import forked, one, within
from tests.agents.runs import steered
from tests.agents.runs.steered import GRAPH, TEXT
from tests.kit import forks
from tests.kit.facts import said

LOOK: Any = calls(("look", {"what": "bees"}))


def told(request: Request) -> list[str]:
    """Return what the user said in a request after the question, in order."""
    return [message.text for message in request.messages if message.role == "user"][1:]


async def test_the_next_turn_of_an_agent_has_what_another_process_sent(database: Path | str) -> None:
    """It is a message of the user after the tool's result; `unread` has it until then; no turn has it again."""
    words = '{\n  "words": 5\n}'

    async def first(request: Request) -> object:
        sent = other.get("one")
        assert await sent.unread("steer") == []
        await sent.send("steer", TEXT)
        await sent.send("steer", {"words": 5})
        await sent.send("other", 1)
        runner._shared.driven["one"].deliver(await runner.store.inbox(["one"]))  # noqa: SLF001 - the next poll
        assert await sent.unread("steer") == [TEXT, {"words": 5}]
        return LOOK

    async def last(request: Request) -> object:
        assert await other.get("one").unread("steer") == []
        assert await other.get("one").unread("other") == [1]
        return "ants"

    model = ScriptedModel([first, LOOK, last])
    async with Runner(database) as other, Runner(database, models={"writer": model}) as runner:
        result = await within(runner.start(GRAPH, run_id="one"))
        history = await runner.get("one").history()
        with pytest.raises(UnknownRun):
            await other.get("none").unread("steer")
    assert result.state.draft == "ants"
    assert [told(request) for request in model.requests] == [[], [TEXT, words], [TEXT, words]]
    assert model.requests[1].messages[-1].text == words
    records = [said(step)["value"] for step in history if said(step).get("name") == "turn"]
    assert [record.get("steered") for record in records] == [None, [TEXT, words], None]
    assert not any("feedback" in record for record in records)


@pytest.mark.parametrize("where", ["arrived", "received"])
async def test_a_message_outlives_the_process_that_is_killed(database: Path | str, where: str) -> None:
    """A resume has it at the first turn that is not recorded, and another one has it where the first had it."""
    variables = {"PYTHONPATH": str(forks.ROOT)}
    died = forks.run(Path(steered.__file__), str(database), where, variables=variables)
    assert died.returncode == -signal.SIGKILL, died.stderr
    answers: list[Any] = [LOOK, "ants"] if where == "arrived" else ["ants"]
    async with Runner(database, models={"writer": (model := ScriptedModel(answers))}) as runner:
        await runner.get("steered").send("steer", TEXT, idempotency_key="one")  # it is known
        result = await within(runner.resume("steered", GRAPH))
        history = await runner.get("steered").history()
    assert result.state.draft == "ants"
    assert told(model.requests[-1]) == [TEXT]
    turns = [said(step)["value"].get("steered") for step in history if said(step).get("name") == "turn"]
    assert turns == ([None, [TEXT], None] if where == "arrived" else [None, None, [TEXT]])


async def test_a_turn_that_is_recorded_gets_no_later_message(database: Path | str) -> None:
    """A run that waits for leave to call a tool has the message in the next turn: its first is read from its record."""

    def pay() -> str:
        """Pay."""
        return "paid"

    graph = one(Agent("writer", prompt="{task}", tools=[tool(pay, approve=True)]))
    model = ScriptedModel([calls(("pay", {})), lambda request: " and ".join(told(request))])
    async with Runner(database, models={"writer": model}) as runner:
        run = runner.start(graph)
        assert (await within(run)).status == "waiting"
        await run.send("steer", TEXT)
        await run.answer("yes")
        assert (await within(runner.resume(run.id, graph))).state.draft == TEXT
    assert len(model.requests) == 2


async def test_one_of_two_agents_gets_a_message(database: Path | str) -> None:
    """Both wait for it at once; the one that does not get it goes on."""
    both = asyncio.Barrier(2)

    async def first(request: Request) -> object:
        if request.agent == "a":
            await runner.get("both").send("steer", TEXT)
        await both.wait()
        return LOOK

    def look(what: str) -> str:
        """Look."""
        return what

    answers = {name: [first, lambda request: " ".join(told(request)) or "nothing"] for name in ("a", "b")}
    agents = {name: Agent(name, prompt="{task}", tools=[look]) for name in answers}
    graph = forked(draft=agents["a"], other=agents["b"])
    async with Runner(database, models=ScriptedModel(answers)) as runner:
        result = await within(runner.start(graph, run_id="both"))
    assert sorted([result.state.draft, result.state.other]) == [TEXT, "nothing"]


async def test_a_message_is_kept_when_the_attempt_fails(database: Path | str) -> None:
    """The next attempt of the node, whose conversation begins again, has it."""

    async def first(request: Request) -> object:
        await runner.get("fails").send("steer", TEXT)
        return LOOK

    model = ScriptedModel([first, RuntimeError("broken"), lambda request: " ".join(told(request))])
    graph = one(steered.WRITER, retry=Retry(attempts=2, initial_seconds=0))
    async with Runner(database, models={"writer": model}) as runner:
        result = await within(runner.start(graph, run_id="fails"))
    assert result.state.draft == TEXT


async def test_an_agent_inside_a_recorded_call_gets_none(database: Path | str) -> None:
    """Such a call cannot end its attempt; the message is kept for the next agent."""

    async def write(task: str, ctx: Context) -> str:
        return await ctx.call(inner)

    async def inner() -> str:
        return await steered.WRITER.run({"task": "x"})

    async def first(request: Request) -> object:
        await runner.get("inside").send("steer", TEXT)
        return LOOK

    model = ScriptedModel([first, lambda request: f"{len(told(request))} told"])
    async with Runner(database, models={"writer": model}) as runner:
        result = await within(runner.start(one(write), run_id="inside"))
        assert await runner.get("inside").unread("steer") == [TEXT]
    assert result.state.draft == "0 told"
