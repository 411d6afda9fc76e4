"""A conversation that began goes on with its record, whatever became of the agent's words, answers and tools since.

Each case begins a conversation that acts, cuts it off, deploys a change, and takes it up in another process. The model
goes on from what it is told, as a real one does, so that what it does again it was not told of.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr, create_model

from graphengine import END, START, Agent, Context, Graph, RunFailed, Runner, RunWaits, Settings, tool
from graphengine.agents import prompts
from graphengine.models import ModelUnavailable, Request, Response, calls
from graphengine.testing import preflight

DONE: list[int] = []
KEY = "0123456789abcdefghijklmnopqrstuvwxyz"


def act(x: int) -> str:
    """Act."""
    DONE.append(x)
    return f"acted {x}"


ACT = tool(act, effect="once")


def tone_of(tone: str) -> str:
    """Return the tone."""
    return tone


@dataclass
class Onward:
    """A model that acts on 1 and 2 together, then on 3, then ends; it does again only what it was not told of.

    Attributes:
        until: After how many results it has no key any more.
        requests: What it got.
    """

    until: int = 99
    answer_with: str = "done"
    name: str = "onward"
    requests: list[Request] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        """Answer."""
        self.requests.append(request)
        told = [message.text for message in request.messages if message.role == "tool"]
        if len(told) >= self.until:
            raise ModelUnavailable("no key")
        if len(told) < 2:
            return calls(("act", {"x": 1}), ("act", {"x": 2}))
        return calls(("act", {"x": 3})) if len(told) < 3 else Response(self.answer_with)


class Desk(BaseModel):
    """What is read, and said."""

    question: str = "go"
    tone: str = "kind"
    said: str = ""
    all_said: list[str] = []
    items: list[str] = ["go"]


def verdict(words: str) -> Any:
    """Return a type of answers whose field is described so."""
    return create_model("Verdict", ok=(str, Field(description=words)))


CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "instructions": {"system": "Be kind. Always."},
    "instructions that read more": {"system": "Be {tone}."},
    "a prompt": {"prompt": "Answer this: {question}"},
    "a prompt that reads more": {"prompt": "Be {tone}: {question}"},
    "a prompt by a function": {"prompt": lambda question: f"Say: {question}"},
    "settings": {"settings": Settings(temperature=0.3)},
    "turns": {"turns": 1},
    "a tool more": {"tools": [ACT, tool(act, name="again", effect="once")]},
    "a tool that reads more": {"tools": [ACT, tool(tone_of, inputs={"tone": "tone"})]},
    "a tool's name": {"tools": [tool(act, name="do", effect="once")]},
    "no tools": {"tools": []},
    "max_calls": {"tools": [tool(act, effect="once", max_calls=1)]},
    "max_tool_calls": {"max_tool_calls": 1},
    "no effect": {"tools": [act]},
    "a guard": {"guards": [lambda text: text]},
}


def by_node(agent: Agent) -> Graph[Desk]:
    """Return a graph in which an agent is a node."""
    return one(agent, "said")


def by_code(agent: Agent) -> Graph[Desk]:
    """Return a graph in which code calls it."""

    async def call(question: str, tone: str) -> str:
        more = {"tone": tone} if "tone" in str(agent.prompt) + str(agent.system) else {}
        return await agent.run(question=question, **more)

    return one(call, "said")


def by_tool(agent: Agent) -> Graph[Desk]:
    """Return a graph in which an agent's tool calls it."""

    async def delegate(question: str) -> str:
        """Let another one do it."""
        return await agent.run(question=question)

    first = Agent("first", model=Delegating(), prompt="{question}", tools=[tool(delegate)])
    return one(first, "said")


def in_graph(agent: Agent) -> Graph[Desk]:
    """Return a graph in which it is in a graph."""
    return one(by_node(agent).but(result="said"), "said", inputs=["question", "tone"])


def in_map(agent: Agent) -> Graph[Desk]:
    """Return a graph in which it works on each item."""
    return one(agent, "all_said", each={"part": "items"}, inputs={"question": "part"})


def one(work: Any, writes: str, **options: Any) -> Graph[Desk]:
    """Return a graph of one node."""
    graph = Graph("desk", Desk)
    graph.add_node("work", work, writes=writes, **options)
    graph.add_path(START, "work", END)
    return graph


@dataclass
class Delegating:
    """A model that delegates once, and then ends."""

    name: str = "delegating"

    async def answer(self, request: Request) -> Response:
        """Answer."""
        told = [message for message in request.messages if message.role == "tool"]
        return Response(told[-1].text) if told else calls(("delegate", {"question": "go"}))


PLACES: dict[str, Callable[[Agent], Graph[Desk]]] = {
    "a node": by_node,
    "code": by_code,
    "a tool": by_tool,
    "a graph inside": in_graph,
    "items": in_map,
}


def agent_of(**options: Any) -> Agent:
    """Return the agent as it is when its conversation begins."""
    return Agent("a", **{"prompt": "{question}", "system": "Be brief.", "tools": [ACT], **options})


def told_in(model: Onward) -> list[str]:
    """Return the results of tools that a model gets first."""
    return [message.text for message in model.requests[0].messages if message.role == "tool"]


@pytest.fixture(autouse=True)
def _none_done() -> None:
    DONE.clear()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("change", CHANGES)
async def test_what_was_done_is_told_and_not_done_again(change: str, place: str, tmp_path: Path) -> None:
    """Wherever the agent is called, and whatever became of it; after the second turn no model answers."""
    if place in ("code", "a tool", "items") and change.endswith("more") and "read" in change:
        pytest.skip("what code passes is its own, and with more it is another conversation: see below")
    before, after = agent_of(), agent_of(**CHANGES[change])
    first, second = Onward(until=3), Onward()
    async with Runner(tmp_path / "r.db", models={"a": first}) as runner:
        with pytest.raises(RunFailed):
            await runner.start(PLACES[place](before), run_id="r").result()
    async with Runner(tmp_path / "r.db", models={"a": second}) as runner:
        await runner.resume("r", PLACES[place](after)).result()
    assert (sorted(DONE), told_in(second)) == ([1, 2, 3], ["acted 1", "acted 2", "acted 3"])
    if change != "nothing":
        assert second.requests[0].system == first.requests[0].system
        assert second.requests[0].messages[0] == first.requests[0].messages[0]


@pytest.mark.parametrize("door", ["a run", "a chat"])
@pytest.mark.parametrize("change", ["instructions", "a prompt", "a tool's name", "no tools", "turns"])
async def test_doors_of_an_agent_alone(door: str, change: str, tmp_path: Path) -> None:
    """A run of an agent, and a turn of a chat with it."""
    key: Any = {"run_id": "r"} if door == "a run" else {"chat": "ada"}
    first, second = Onward(until=3), Onward()
    async with Runner(tmp_path / "r.db", models=first) as runner:
        with pytest.raises((RunFailed, ModelUnavailable)):
            await runner.run(agent_of(), question="go", **key)
    async with Runner(tmp_path / "r.db", models=second) as runner:
        assert await runner.run(agent_of(**CHANGES[change]), **key) == "done"
    assert (sorted(DONE), told_in(second)) == ([1, 2, 3], ["acted 1", "acted 2", "acted 3"])


async def test_the_answer_is_asked_for_by_the_type_of_today(tmp_path: Path) -> None:
    """From the next turn on; the words are those with which the conversation began."""
    first, second = Onward(until=3), Onward(answer_with='{"ok": "yes"}')
    async with Runner(tmp_path / "r.db", models=first) as runner:
        with pytest.raises(RunFailed):
            await runner.run(agent_of(output=verdict("The verdict.")), question="go", run_id="r")
    async with Runner(tmp_path / "r.db", models=second) as runner:
        said: Any = await runner.run(agent_of(output=verdict("The verdict, in a word.")), run_id="r")
    assert (said.ok, sorted(DONE)) == ("yes", [1, 2, 3])
    assert "in a word" in str(second.requests[0].schema)


async def test_another_wording_of_our_own_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release can word the note on tags otherwise, and put tags otherwise."""

    async def call(question: str) -> str:
        return await agent_of().run(question=f"{question} on")

    first, second = Onward(until=3), Onward()
    async with Runner(tmp_path / "r.db", models=first) as runner:
        with pytest.raises(RunFailed):
            await runner.start(one(call, "said"), run_id="r").result()
    monkeypatch.setattr("graphengine.agents.conversation.note_of", lambda tags: "Thank you." if [*tags] else "")
    monkeypatch.setattr(prompts, "_format_tag", lambda path: f"the_{path}")
    async with Runner(tmp_path / "r.db", models=second) as runner:
        await runner.resume("r", one(call, "said")).result()
    assert (sorted(DONE), told_in(second)) == ([1, 2, 3], ["acted 1", "acted 2", "acted 3"])
    assert second.requests[0].messages[0].text == "<question>go on</question>"


async def test_other_inputs_are_another_conversation_and_a_person_is_asked_before_it_acts(tmp_path: Path) -> None:
    """Code that passes something else: nothing acts before a person says so, and a no ends it."""

    def graph(more: str) -> Graph[Desk]:
        async def call(question: str) -> str:
            return await agent_of().run(question=question + more)

        return one(call, "said")

    first, second = Onward(until=3), Onward()
    async with Runner(tmp_path / "r.db", models=first) as runner:
        with pytest.raises(RunFailed):
            await runner.start(graph(""), run_id="r").result()
    async with Runner(tmp_path / "r.db", models=second) as runner:
        result = await runner.resume("r", graph("!")).result()
        assert (result.status, sorted(DONE)) == ("waiting", [1, 2, 3])
        assert [wait.kind for wait in result.waits] == ["unknown", "unknown"]
        assert "an earlier conversation" in result.waits[0].question
        for wait, answer in zip(result.waits, ({"result": "acted 1, I looked"}, "rerun"), strict=True):
            await runner.answer("r", answer, wait=wait)
        result = await runner.resume("r", graph("!")).result()
        assert (result.status, sorted(DONE)) == ("waiting", [1, 2, 2, 3])  # and the third is asked about
        await runner.answer("r", "fail")
        with pytest.raises(RunFailed, match="effect_unknown"):
            await runner.resume("r", graph("!")).result()
    assert sorted(DONE) == [1, 2, 2, 3]


async def test_instructions_of_a_branch_count_at_once() -> None:
    """They are acts of the log: another conversation begins, and nobody is asked."""
    first = Onward(until=3)
    graph = by_node(agent_of())
    async with Runner(models={"a": first}) as runner:
        with pytest.raises(RunFailed):
            await runner.start(graph, run_id="r").result()
        first.until = 99
        result = await runner.branch("r", graph, (await runner.info("r")).seq, instructions={"a": "Be loud."}).result()
    assert (result.state.said, sorted(DONE)) == ("done", [1, 1, 2, 2, 3, 3])
    assert first.requests[-1].system == "Be loud."


async def test_an_approval_that_waits_is_one_approval(tmp_path: Path) -> None:
    """The words change while a person thinks: the yes counts, and it is paid once."""
    paid = tool(act, approve=True, effect="once")
    async with Runner(tmp_path / "r.db", models=Onward()) as runner:
        with pytest.raises(RunWaits):
            await runner.run(agent_of(tools=[paid]), question="go", run_id="r")
    second = Onward(until=3)
    async with Runner(tmp_path / "r.db", models=second) as runner:
        for name in ("a", "a#2"):
            await runner.answer("r", value=True, wait=name)
        with pytest.raises((RunWaits, RunFailed)):
            await runner.run(agent_of(tools=[paid], system="Be kind."), run_id="r")
    assert sorted(DONE) == [1, 2]
    assert told_in(second) == ["acted 1", "acted 2"]


async def test_calls_that_were_not_made_stay_so(tmp_path: Path) -> None:
    """What a model was told of a call counts once it has answered to it, also if there is such a tool now."""

    class Guessing(Onward):
        async def answer(self, request: Request) -> Response:
            self.requests.append(request)
            told = [message.text for message in request.messages if message.role == "tool"]
            if not told:
                return calls(("gone", {"x": 1}), ("act", {"x": 2}))
            if len(told) >= self.until:
                raise ModelUnavailable("no key")
            return calls(("act", {"x": 3})) if len(told) < 3 else Response("done")

    first, second = Guessing(until=3), Guessing()
    async with Runner(tmp_path / "r.db", models=first) as runner:
        with pytest.raises(RunFailed):
            await runner.run(agent_of(), question="go", run_id="r")
    async with Runner(tmp_path / "r.db", models=second) as runner:
        await runner.run(agent_of(tools=[ACT, tool(act, name="gone", effect="once")]), run_id="r")
    assert sorted(DONE) == [2, 3]
    assert told_in(second) == ["There is no tool 'gone'. There are: act.", "acted 2", "acted 3"]


async def test_words_that_held_a_secret_are_those_of_today(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are not recorded, and the log says so; what was done stays done."""

    class Safe(Desk):
        password: SecretStr = SecretStr("open sesame")

    def graph(system: str) -> Graph[Safe]:
        async def call(password: SecretStr) -> str:
            own = agent_of(system=f"{system} {password.get_secret_value()}")
            return await own.run(question="go")

        made = Graph("safe", Safe, secret_key=KEY)
        made.add_node("a", call, writes="said")
        made.add_path(START, "a", END)
        return made

    second = Onward()
    async with Runner(tmp_path / "r.db", models={"a": Onward(until=3)}) as runner:
        with pytest.raises(RunFailed):
            await runner.start(graph("One."), run_id="r").result()
    async with Runner(tmp_path / "r.db", models={"a": second}) as runner:
        await runner.resume("r", graph("Two.")).result()
    assert sorted(DONE) == [1, 2, 3]
    assert second.requests[0].system == "Two. open sesame"
    assert "system of agent a had a secret when its conversation began" in caplog.text
    assert b"open sesame" not in (tmp_path / "r.db").read_bytes()


async def test_a_check_and_the_log_say_that_a_run_rests_on_older_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the deploy, and when the run goes on."""
    agent = agent_of(tools=[tool(act, approve=True)])
    async with Runner(tmp_path / "r.db", models={"a": Onward()}) as runner:
        await runner.start(by_node(agent), run_id="r").result()
    today = by_node(agent.but(system="Be kind.", prompt="Say: {question}"))
    (group,) = (await preflight([today], tmp_path / "r.db")).groups
    assert group.fits
    assert [(each.code, each.place) for each in group.reasons] == [("older_words", "work")]
    assert "today's instructions and prompt count from the next on" in group.reasons[0].text
    with caplog.at_level("INFO", "graphengine.agents"):
        async with Runner(tmp_path / "r.db", models={"a": Onward()}) as runner:
            for name in ("work", "work#2"):
                await runner.answer("r", value=True, wait=name)
            await runner.resume("r", today).result()
    assert "goes on with its recorded words" in caplog.text


async def test_answers_of_persons_and_the_context_are_no_other_conversation(tmp_path: Path) -> None:
    """A node that asks a person calls an agent before: its effects are asked for again, and nobody is asked twice."""

    async def call(question: str, ctx: Context) -> str:
        said = await agent_of().run(question=question)
        return said + await ctx.ask("And?", str)

    graph = one(call, "said")
    async with Runner(tmp_path / "r.db", models=Onward()) as runner:
        await runner.start(graph, run_id="r").result()
        await runner.answer("r", "!")
        assert (await runner.resume("r", graph).result()).state.said == "done!"
    assert sorted(DONE) == [1, 2, 3]
