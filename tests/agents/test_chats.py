"""Conversations with one agent: `runner.run(agent, chat=…)`."""

from __future__ import annotations

import asyncio
import datetime
from typing import TYPE_CHECKING

import pytest

from graphengine import Agent, Message, RunFailed, Runner, RunWaits, ScriptedModel, SyncRunner, Window, tool
from graphengine.agents import TextDelta
from graphengine.errors import DefinitionError, InputError
from graphengine.models import calls
from graphengine.models.errors import ModelUnavailable
from graphengine.stores.memory import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

ASSISTANT = Agent("assistant")
DATED = Agent("dated", prompt="On {day}: {what}", output=int)


async def test_turns_of_other_processes_continue_one_run(tmp_path: Path) -> None:
    """The second Runner's turn knows what was said in the first; both are one run, which waits for the next."""
    model = ScriptedModel(["Hello, Ada.", "You said hello."])
    async with Runner(tmp_path / "c.db", models=model) as runner:
        assert await runner.run(ASSISTANT, chat="ada", question="Hello, I am Ada") == "Hello, Ada."
    async with Runner(tmp_path / "c.db", models=model) as runner:
        assert await runner.run(ASSISTANT, chat="ada", question="What did I say?") == "You said hello."
        (run,) = await runner.runs()
    assert (run.id, run.status) == ("assistant-ada", "waiting")
    assert [message.text for message in model.requests[1].messages][1] == "Hello, Ada."
    assert len(model.requests[1].messages) == 3


async def test_a_turn_that_is_sent_again_is_not_answered_again() -> None:
    """With the same key a client gets the same answer, also after further turns."""
    async with Runner(models=ScriptedModel(["one", "two"])) as runner:
        first = await runner.run(ASSISTANT, chat="a", question="1", idempotency_key="k")
        again = await runner.run(ASSISTANT, chat="a", question="1", idempotency_key="k")
        second = await runner.run(ASSISTANT, chat="a", question="2")
        late = await runner.run(ASSISTANT, chat="a", question="1", idempotency_key="k")
        newest = await runner.run(ASSISTANT, chat="a")
    assert (first, again, second, late, newest) == ("one", "one", "two", "one", "two")


async def test_turns_at_the_same_time_get_their_own_answers() -> None:
    """Turns of one conversation are answered one after the other, those of others beside them."""
    echo = Agent("echo", prompt="{word}", by_rules=lambda word: word.upper())
    words = [f"{chat}{turn}" for chat in "abc" for turn in range(5)]
    async with Runner() as runner:
        found = await asyncio.gather(*(runner.run(echo, chat=word[0], word=word) for word in words))
        assert found == [word.upper() for word in words]
        assert len(await runner.runs()) == 3


async def test_a_turn_shows_only_its_own_text() -> None:
    """A stream has the events of the turn, and at last its answer in its type."""
    async with Runner(models=ScriptedModel(["5", "6"])) as runner:
        day = datetime.date(2026, 1, 1)
        assert await runner.run(DATED, chat="x", day=day, what="hi") == 5
        shown = [event async for event in runner.stream(DATED, chat="x", day=day, what="ho")]
    assert shown[-1] == 6
    assert [event.text for event in shown if isinstance(event, TextDelta)] == ["6"]


async def test_a_turn_that_was_cut_off_is_streamed_again(tmp_path: Path) -> None:
    """A client that repeats its key sees the text of the answer, not only the answer."""
    runs = tmp_path / "runs.db"
    async with Runner(runs, models=ScriptedModel(["one", ModelUnavailable("down")])) as runner:
        await runner.run(ASSISTANT, chat="a", question="1", idempotency_key="1")
        with pytest.raises(RunFailed):
            await runner.run(ASSISTANT, chat="a", question="2", idempotency_key="2")
    async with Runner(runs, models=ScriptedModel(["two words"])) as runner:
        turn = runner.stream(ASSISTANT, chat="a", question="2", idempotency_key="2")
        *shown, answer = [event async for event in turn]
    assert answer == "".join(event.text for event in shown if isinstance(event, TextDelta)) == "two words"


async def test_a_question_to_a_person_interrupts_a_turn() -> None:
    """The turn waits; after the answer the conversation is run without inputs."""
    paid: list[str] = []

    def pay(name: str) -> str:
        paid.append(name)
        return f"paid {name}"

    careful = Agent("careful", tools=[tool(pay, approve=True)])
    model = ScriptedModel([calls(("pay", {"name": "Ada"})), "It is paid.", "You are welcome."])
    async with Runner(models=model) as runner:
        with pytest.raises(RunWaits) as asked:
            await runner.run(careful, chat="ada", question="Pay Ada.")
        await runner.answer(asked.value.run_id, "yes", by="grace")
        assert await runner.run(careful, chat="ada") == "It is paid."
        assert await runner.run(careful, chat="ada", question="Thanks") == "You are welcome."
    assert paid == ["Ada"]


async def test_a_turn_that_failed_is_answered_before_the_next_one() -> None:
    """A model that is down fails the turn, not the conversation: the message is not lost."""
    model = ScriptedModel(["one", ModelUnavailable("down"), "two", "three"])
    async with Runner(MemoryStore(), models=model) as runner:
        assert await runner.run(ASSISTANT, chat="a", question="1") == "one"
        with pytest.raises(RunFailed):
            await runner.run(ASSISTANT, chat="a", question="2")
        assert await runner.run(ASSISTANT, chat="a", question="3") == "three"
    said = [message.text for message in model.requests[-1].messages]
    assert [text for text in said if text in {"one", "two"}] == ["one", "two"]


async def test_a_long_conversation_is_summarised() -> None:
    """With a window the state keeps the summary and what it does not replace."""
    short = Agent("short", window=Window(200, keep=2))
    async with Runner(models=ScriptedModel(["Yes."] * 40)) as runner:
        for turn in range(20):
            await runner.run(short, chat="a", question=f"{turn} " + "word " * 30)
        messages = (await runner.state_at("short-a"))["messages"]
    assert len(messages) < 20


async def test_an_empty_message_ends_a_conversation() -> None:
    """It is over then: a further turn is refused."""
    async with Runner(models=ScriptedModel(["one"])) as runner:
        await runner.run(ASSISTANT, chat="a", question="1")
        await runner.send("assistant-a", "turn", None)
        found = await runner.run(ASSISTANT, chat="a")
        assert (found, (await runner.info("assistant-a")).status) == ("one", "finished")
        with pytest.raises(InputError, match="is over"):
            await runner.run(ASSISTANT, chat="a", question="2")


async def test_wrong_inputs_are_refused_before_anything_is_sent() -> None:
    """Names and types of a turn's inputs are checked at the call."""
    async with Runner() as runner:
        with pytest.raises(InputError, match=r"unknown field 'wat'.*day: Field required"):
            await runner.run(DATED, chat="x", what="hi", wat=3)
        with pytest.raises(InputError, match="there is no conversation 'y'"):
            await runner.run(DATED, chat="y")
        with pytest.raises(DefinitionError, match="exclude each other"):
            await runner.run(DATED, chat="y", run_id="r", day=1, what="hi")
        with pytest.raises(DefinitionError, match="idempotency_key"):
            await runner.run(DATED, idempotency_key="r", day=1, what="hi")
        with pytest.raises(DefinitionError, match="reads turn"):
            await runner.run(Agent("t", prompt="{turn}"), chat="y", turn=1)
        with pytest.raises(DefinitionError, match=r"conversation in memories\[t\], a part"):
            await runner.run(Agent("t", memory="memories[t]"), chat="y", question="1")
        assert await runner.runs() == []


def test_a_script_has_conversations(tmp_path: Path) -> None:
    """SyncRunner has the same options."""
    with SyncRunner(tmp_path / "c.db", models=ScriptedModel(["one", "two"])) as runner:
        assert runner.run(ASSISTANT, chat="a", question="1") == "one"
        *_, found = runner.stream(ASSISTANT, chat="a", question="2")
        assert found == "two"


async def test_an_agent_with_a_memory_of_its_own_name_keeps_it() -> None:
    """The field that the agent names has the conversation."""
    recalls = Agent("recalls", memory="talk")
    async with Runner(models=ScriptedModel(["one"])) as runner:
        await runner.run(recalls, chat="a", question="1")
        talk = (await runner.state_at("recalls-a"))["talk"]
    assert [Message.model_validate(each).text for each in talk][-1] == "one"
