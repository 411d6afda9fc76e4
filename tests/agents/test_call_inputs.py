"""What a call gives an agent is checked in the same way, however the agent is called."""

import asyncio
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typing_extensions import TypedDict

from graphengine import Agent, Limits, Message, RunFailed, Runner, ScriptedModel, Settings, mcp
from graphengine.errors import InputError
from graphengine.models import calls
from tests.agents.run_kits import one, within


class Asked(TypedDict):
    """What an agent with `inputs=` reads."""

    question: str


def radar(city: str, deps: Mapping[str, str]) -> str:
    """Look at the radar."""
    return f"{city}: {deps['sky']}"


AGENTS: Mapping[str, Agent[str, Any]] = {
    "bare": Agent("assistant", system="Be brief."),
    "prompted": Agent("assistant", prompt="Answer: {question}"),
    "declared": Agent("assistant", inputs=Asked),
    "with a tool": Agent("assistant", tools=[radar]),
    "remembering": Agent("assistant", messages="talk"),
}
OPTIONS: Mapping[str, Any] = {
    "model": "x",
    "message_history": [],
    "usage_limits": 5,
    "result_type": int,
    "output_type": int,
    "tools": [],
    "context": "secret",
    "session": "s",
    "max_turns": 3,
    "model_settings": {},
    "temperature": 0.2,
    "instructions": "Be kind.",
    "run_id": "r",
    "answer": "yes",
    "anything": 1,
}


async def _doors(agent: Agent[Any, Any], **more: Any) -> dict[str, str]:
    """Return what each way to call an agent with a text and these names says; no model is asked."""
    model = ScriptedModel([])
    agent = agent.but(model=model)
    found: dict[str, str] = {}

    async def said(door: str, call: Callable[[], Any]) -> None:
        with pytest.raises(InputError) as raised:
            await call()
        found[door] = str(raised.value)

    async def streamed(stream: Callable[[], Any]) -> None:
        async for _ in stream():
            pass

    recorded = {name: value for name, value in more.items() if name != "run_id"}  # an option there
    async with Runner() as runner:
        await said("run", lambda: agent.run("hi", **more))
        await said("run_sync", lambda: asyncio.to_thread(lambda: agent.run_sync("hi", **more)))
        await said("answer", lambda: agent.answer("hi", **more))
        await said("stream", lambda: streamed(lambda: agent.stream("hi", **more)))
        if recorded:
            await said("runner.run", lambda: runner.run(agent, "hi", **recorded))
            await said("runner.stream", lambda: streamed(lambda: runner.stream(agent, "hi", **recorded)))
            await said("chat", lambda: runner.run(agent, "hi", chat="c", **recorded))
        assert await runner.runs() == []
    assert model.requests == []
    return found


@pytest.mark.parametrize("kind", AGENTS)
@settings(max_examples=8)
@given(names=st.sets(st.sampled_from([each for each in OPTIONS if each != "run_id"]), min_size=1))
@example(names={"answer"})
def test_each_way_to_call_an_agent_refuses_the_same(kind: str, names: set[str]) -> None:
    """Beside a text, names that the agent does not read are refused by all doors in the same words, all at once."""
    found = asyncio.run(_doors(AGENTS[kind], **{name: OPTIONS[name] for name in names}))
    assert len(found) == 7
    if kind != "declared" or names - {"answer", "anything"}:  # what the type of the inputs says has its own words
        assert len({*found.values()}) == 1, found
    for text in found.values():
        assert all(repr(name) in text for name in names)


@pytest.mark.parametrize("name", [each for each in OPTIONS if each not in ("answer", "anything")])
async def test_the_form_that_an_error_names_runs_as_it_stands(name: str) -> None:
    """For each option of other libraries, the error shows code that does the same here."""
    assistant = Agent("assistant", model=ScriptedModel(["yes"] * 3))
    with pytest.raises(InputError) as raised:
        await assistant.run("hi", **{name: OPTIONS[name]})
    (forms,) = re.findall(rf"for {name}=, write (.*); the agent's inputs are question", raised.value.repair)
    async with Runner() as runner:
        names = {"assistant": assistant, "runner": runner, name: OPTIONS[name]}
        names |= {"Runner": Runner, "Limits": Limits, "Message": Message, "Settings": Settings}
        for form in forms.split(" or "):
            made = eval(form.removeprefix("await "), names)  # noqa: S307 - the text of our own error
            if form.startswith("await "):
                assert await made == "yes"
            else:
                assert isinstance(made, (Agent, Runner))


async def test_names_and_types_are_refused_in_one_error() -> None:
    """An agent with `inputs=` says which options it has not, and what does not fit the type."""
    with pytest.raises(InputError) as raised:
        await AGENTS["declared"].run({"qestion": "hi"}, model=OPTIONS["model"])
    assert "no input 'model'" in str(raised.value)
    assert "unknown field 'qestion': did you mean 'question'?" in str(raised.value)


@pytest.mark.parametrize("kind", ["with a tool", "declared"])
async def test_beside_a_text_a_parameter_of_a_tool_is_for_the_tool(kind: str) -> None:
    """The model sees neither the value nor the parameter."""
    model = ScriptedModel([calls(("radar", {"city": "Bern"})), "Rain."])
    agent = AGENTS[kind].but(model=model, tools=[radar])
    assert await agent.run("Rain?", deps={"sky": "grey"}) == "Rain."
    assert [message.text for message in model.requests[-1].messages] == ["Rain?", "", "Bern: grey"]
    assert '"deps"' not in json.dumps(model.requests[0].tools[0].schema)


async def test_in_a_run_a_parameter_of_a_tool_is_a_resource() -> None:
    """A node cannot give it to the agent that it calls; the error says who can. The resource itself does no harm."""
    agent = AGENTS["with a tool"].but(model=ScriptedModel(["Rain."]))

    async def give_another(deps: object) -> str:
        return await agent.run("Rain?", deps={"sky": "blue"})

    async def give_the_same(deps: object) -> str:
        return await agent.run("Rain?", deps=deps)

    factories = {"deps": lambda: {"sky": "grey"}}
    async with Runner(resources={"deps": {"sky": "grey"}}) as runner:
        with pytest.raises(InputError, match=r"for deps=, write Runner\(resources=\{'deps': deps\}\)"):
            await runner.run(agent, "Rain?", deps={"sky": "blue"})
        with pytest.raises(RunFailed, match="no input 'deps'"):
            await within(runner.start(one(give_another, resources=factories)))
        assert (await within(runner.start(one(give_the_same, resources=factories)))).state.draft == "Rain."


@pytest.mark.parametrize("more", [{"answer": "yes"}, {"answer": "yes", "task": "t"}])
@pytest.mark.parametrize("kind", ["bare", "prompted", "with a tool", "remembering", "with a server"])
async def test_the_answer_is_no_input(kind: str, more: dict[str, Any], tmp_path: Path) -> None:
    """Also without a text in first place, in a mapping, in a node, and if the tools of a server are not known yet."""
    model = ScriptedModel([])
    server = mcp([sys.executable, str(tmp_path / "never-started.py")])
    agents = {**AGENTS, "with a server": Agent("assistant", tools=[server])}
    agent = agents[kind].but(model=model)

    async def node() -> str:
        return await agent.run(**more)

    ways: list[Callable[[], Any]] = [
        lambda: agent.run(**more),
        lambda: agent.run(more),
        lambda: asyncio.to_thread(lambda: agent.run_sync(**more)),
        lambda: agent.answer(**more),
        lambda: agent.stream(**more).__anext__(),
        lambda: agent.run("hi", answer="yes"),
    ]
    for way in ways:
        with pytest.raises(InputError, match="no input 'answer'") as raised:
            await way()
        assert "leave answer= out, because 'answer' is the answer that the agent returns" in raised.value.repair
    async with Runner() as runner:
        with pytest.raises(InputError, match="no input 'answer'"):
            await runner.run(agent, **more)
        with pytest.raises(RunFailed, match="no input 'answer'"):
            await within(runner.start(one(node)))
    assert model.requests == []


async def test_an_input_may_have_the_name_of_the_answer_where_it_is_declared() -> None:
    """A prompt that shows an answer reads it, as the prompt of a judge does; so does a tool that takes one."""
    judge = Agent("judge", prompt="Is this right? {answer}", model=ScriptedModel(["yes"]))
    assert await judge.run(answer="4") == "yes"

    def note(text: str, answer: str) -> str:
        return text + answer

    noting = Agent("noting", tools=[note], model=ScriptedModel([calls(("note", {"text": "a"})), "done"]))
    assert await noting.run("go", answer="4") == "done"


async def test_an_agent_without_a_prompt_shows_what_has_names() -> None:
    """Where everything has a name, each name stands before its value; the question may have any name."""
    model = ScriptedModel(["Golf."])
    assert await Agent("valuer", model=model).run(model="Golf", year=2010) == "Golf."
    assert model.requests[0].messages[0].text == "model: Golf\n\nyear: 2010"
