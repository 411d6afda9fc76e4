"""What a guard refused is not in the conversation that later calls of the agent read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import Agent, Runner, ScriptedModel, Settings
from graphengine.agents import Window, guard
from graphengine.agents.window import effective, without_messages
from graphengine.engine.step_json import encode_step
from graphengine.models import Response, calls
from graphengine.models.errors import ModelOverloaded
from tests.agents.test_window import conversations


class Reply(BaseModel):
    """A structured answer."""

    text: str


def discreet(text: str) -> str:
    """Refuse the code word."""
    if "sesame" in text:
        message = "do not tell the word, as in: open sesame"
        raise ValueError(message)
    return text


def helpful(answer: str) -> None:
    """Refuse an answer that says nothing."""
    if "cannot" in answer:
        message = "say more"
        raise ValueError(message)


def look(place: str) -> str:
    """Look at a place."""
    return f"nothing at {place}"


def long(text: str) -> Response:
    """Return an answer that is cut off."""
    return Response(text, stop="cut", output_tokens=8)


GUARDED: dict[str, tuple[dict[str, Any], list[Any], list[str]]] = {
    "a text": ({}, ["It is sesame.", "I cannot tell."], ["user", "assistant"]),
    "twice": ({}, ["It is sesame.", "Open sesame!", "I cannot tell."], ["user", "assistant"]),
    "a structured answer": (
        {"output": Reply},
        ['{"text": "It is sesame."}', '{"text": "I cannot tell."}'],
        ["user", "assistant"],
    ),
    "beside calls of tools": (
        {"tools": [look]},
        [calls(("look", {"place": "door"})), "It is sesame.", calls(("look", {"place": "cave"})), "I cannot tell."],
        ["user", "assistant", "tool", "assistant", "tool", "assistant"],
    ),
    "an answer in parts": (
        {"on_cut": "continue", "settings": Settings(max_tokens=8)},
        [long("The word is se"), "same and no other.", long("I can"), "not tell."],
        ["user", "assistant", "user", "assistant"],
    ),
    "with the best effort": (
        {"best_effort": lambda answers: answers[0], "check": helpful},
        ["I cannot tell.", "It is sesame.", "Open sesame!"],
        ["user", "assistant", "user", "assistant"],
    ),
}
"""The options of an agent, what its model says in a turn, and the roles of the messages that stay."""


@pytest.mark.parametrize(("options", "said", "roles"), GUARDED.values(), ids=GUARDED)
async def test_a_later_turn_does_not_read_what_a_guard_refused(
    options: dict[str, Any], said: list[Any], roles: list[str]
) -> None:
    """Neither the answer nor the reason is sent again; the log of the run keeps both."""
    last = '{"text": "Bye."}' if "output" in options else "Bye."
    model = ScriptedModel([*said, last])
    agent = Agent("doorman", guards=[discreet], model=model, **options)
    async with Runner() as runner:
        await runner.run(agent, "What is the word?", chat="c")
        await runner.run(agent, "Bye then.", chat="c")
        (info,) = await runner.runs()
        log = b"".join(encode_step(step) for step in await runner.history(info.id))
    sent = model.requests[-1].messages
    assert [each.role for each in sent] == [*roles, "user"]
    assert "same" not in "".join(each.text for each in sent)
    assert "tell." in sent[-2].text
    assert b"same" in log


async def test_what_a_guard_refused_stays_until_the_turn_has_ended() -> None:
    """The model reads its own answer beside the reason, so that it can correct it."""
    model = ScriptedModel(["It is sesame.", "I cannot tell."])
    agent = Agent("doorman", guards=[guard(discreet)], model=model)
    assert await agent.run("What is the word?") == "I cannot tell."
    assert [each.role for each in model.requests[-1].messages] == ["user", "assistant", "user"]


async def test_a_summary_of_the_turn_still_replaces_what_it_did() -> None:
    """The model gets the summary and all messages after it, although refused messages before it are gone."""
    words = " ".join(f"word{n}" for n in range(60))
    script = [f"It is sesame. {words}", calls(("look", {"place": words})), "They talked.", "I cannot tell.", "Bye."]
    model = ScriptedModel(script)
    agent = Agent("doorman", guards=[discreet], model=model, tools=[look], window=Window(300, keep=2))
    async with Runner() as runner:
        await runner.run(agent, "What is the word?", chat="c")
        await runner.run(agent, "Bye then.", chat="c")
    sent = model.requests[-1].messages
    assert [each.role for each in sent] == ["summary", "assistant", "tool", "assistant", "user"]


CALLED: dict[str, tuple[list[Any], list[str], list[str]]] = {
    "one call": (
        [calls(("look", {"place": "sesame street"})), calls(("look", {"place": "cave"})), "I cannot tell."],
        ["user", "assistant", "tool", "assistant"],
        ["cave"],
    ),
    "no other call": (
        [calls(("look", {"place": "sesame street"})), "I cannot tell."],
        ["user", "assistant"],
        [],
    ),
    "beside another call": (
        [
            calls(("look", {"place": "door"}), ("look", {"place": "sesame"}), ("look", {"place": "cave"})),
            "I cannot tell.",
        ],
        ["user", "assistant", "tool", "tool", "assistant"],
        ["door", "cave"],
    ),
    "each call of an answer": (
        [calls(("look", {"place": "sesame"}), ("look", {"place": "sesame seed"})), "I cannot tell."],
        ["user", "assistant"],
        [],
    ),
    "with an answer that is refused": (
        [calls(("look", {"place": "sesame"})), "It is sesame.", calls(("look", {"place": "door"})), "I cannot tell."],
        ["user", "assistant", "tool", "assistant"],
        ["door"],
    ),
}
"""What a model says in a turn, the roles of the messages that stay, and the places of the calls that stay."""


@pytest.mark.parametrize(("said", "roles", "places"), CALLED.values(), ids=CALLED)
@pytest.mark.parametrize("fails", [False, True])
async def test_a_later_turn_does_not_read_the_arguments_that_a_guard_refused(
    said: list[Any],
    roles: list[str],
    places: list[str],
    fails: bool,  # noqa: FBT001 - a case
    tmp_path: Path,
) -> None:
    """Neither the call nor the reason, also if the node failed in the turn and was repeated."""
    last: list[Any] = [ModelOverloaded("busy", retry_after_seconds=0.01), said[-1]] if fails else [said[-1]]
    model = ScriptedModel([*said[:-1], *last, "Bye."])
    guards = [guard(discreet, on="arguments"), guard(discreet)]
    agent = Agent("doorman", guards=guards, model=model, tools=[look])
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.run(agent, "What is the word?", chat="c")
        await runner.run(agent, "Bye then.", chat="c")
        log = b"".join([encode_step(step) for run in await runner.runs() for step in await runner.history(run.id)])
    sent = model.requests[-1].messages
    assert [each.role for each in sent] == [*roles, "user"]
    assert "same" not in "".join(each.text for each in sent)
    made = [call for each in sent for call in each.calls]
    assert [json.loads(call.arguments)["place"] for call in made] == places
    assert [call.id for call in made] == [each.call_id for each in sent if each.role == "tool"]
    assert b"same" in log


@given(conversations(), st.integers(0, 25), st.sets(st.integers(0, 25)))
def test_only_those_messages_are_gone(messages: list[Any], first: int, gone: set[int]) -> None:
    """What a model gets without them is what it got before, apart from them and from counts of tokens."""
    before, own = messages[:first], messages[first:]
    places = [place for place in gone if place < len(own) and own[place].role != "summary"]
    left_out = [own[place] for place in places]
    kept = [*before, *without_messages(before, own, places)]
    expected = [each for each in effective(messages) if not any(each.text == one.text for one in left_out)]
    assert [each.text for each in effective(kept)] == [each.text for each in expected]
