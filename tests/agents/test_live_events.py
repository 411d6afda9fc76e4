"""Live events of agents, and hooks around their calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import END, START, Agent, Graph, Retry, Runner, ScriptedModel
from graphengine.agents import Hooks, guard
from graphengine.agents.errors import GuardFailed
from graphengine.agents.live_events import (
    MOST_KEPT,
    AnswerReset,
    OfTurn,
    PartialAnswer,
    TextDelta,
    ThinkingDelta,
    ToolCalled,
    ToolReturned,
)
from graphengine.agents.records import ToolOutcome
from graphengine.models import Request, Response, Router
from graphengine.models.base import ToolCall
from graphengine.models.errors import AnswerTorn
from graphengine.models.scripted import calls
from graphengine.records import event_document
from graphengine.testing import FakeClock
from tests.agents.run_kits import add, failing, one, paid, within
from tests.kit.facts import said


class Poem(BaseModel):
    """An answer."""

    title: str
    lines: list[str]


POEM = '{"title": "Tide", "lines": ["the sea comes in", "the sea goes out"]}'


async def shown(events: Any) -> list[Any]:
    """Return the agents' events of a run."""
    async with asyncio.timeout(60):
        return [event async for event in events if isinstance(event, OfTurn)]


async def test_a_watcher_gets_typed_events_of_each_turn() -> None:
    """Text, partial values, tool calls and results, each with its call, turn and attempt; and as JSON documents."""
    model = ScriptedModel([calls(("add", {"first": 2, "second": 3}), text="let me add"), '{"title": "no"}', POEM])
    agent = Agent("poet", prompt="{task}", output=Poem, tools=[add])
    async with Runner(models={"poet": model}) as runner:
        run = runner.start(one(agent, writes={"draft": "title"}))
        found = await shown(run.events())
        info = await runner.info(run.id)
    assert {(event.path, event.agent, event.attempt, event.call) for event in found} == {
        (found[0].path, "poet", 1, found[0].call)
    }
    assert found[0].call.startswith("agent poet")
    (called,) = (each for each in found if isinstance(each, ToolCalled))
    (returned,) = (each for each in found if isinstance(each, ToolReturned))
    assert (called.turn, called.tool, json.loads(called.arguments)) == (1, "add", {"first": 2, "second": 3})
    assert (returned.turn, returned.id, returned.text, returned.is_error) == (1, called.id, "5", False)
    (reset,) = (each for each in found if isinstance(each, AnswerReset))
    assert (reset.turn, "lines" in reset.why) == (2, True)
    partial = [each.value for each in found if isinstance(each, PartialAnswer) and each.turn == 3]
    assert partial[0] in ({}, {"title": ""}, {"title": "Tide"})
    assert partial[-1] == json.loads(POEM)
    assert "".join(each.text for each in found if isinstance(each, TextDelta) and each.turn == 3) == POEM
    lines = [event_document(event, info) for event in found]
    assert {line["event"] for line in lines} == {"text", "partial", "tool_called", "tool_returned", "reset"}
    assert all(line["call"] == called.call and line["turn"] for line in lines)


class Slow:
    """A model that streams the first half of its answer, and the other half when it may."""

    name = "slow"

    def __init__(self, half: str) -> None:
        self.half, self.may, self.begun = half, asyncio.Event(), asyncio.Event()

    async def answer(self, request: Request) -> Response:
        """Stream an answer."""
        request.emit_thinking("hm")
        request.emit_text(self.half)
        self.begun.set()
        await self.may.wait()
        request.emit_text(' in"}')
        return Response(self.half + ' in"}', cost_usd=0.0)


async def test_a_late_watcher_gets_what_was_shown_so_far() -> None:
    """A late watcher gets the text so far in one piece, with the partial value, then what follows."""

    class Title(BaseModel):
        title: str
        text: str = ""

    for length in (1, MOST_KEPT):
        half = '{"text": "' + "x" * length + '", "title": "The tide comes'
        model = Slow(half)
        async with Runner(models={"poet": model}) as runner:
            run = runner.start(one(Agent("poet", prompt="{task}", output=Title), writes={"draft": "title"}))
            await model.begun.wait()
            late = run.events()
            model.may.set()
            found = await shown(late)
            assert (await within(run)).state.draft == "The tide comes in"
        assert [each.text for each in found if isinstance(each, ThinkingDelta)] == ["hm"]
        first, last = (each for each in found if isinstance(each, TextDelta))
        assert (first.text, first.skipped, last.text) == (half[-MOST_KEPT:], max(0, len(half) - MOST_KEPT), ' in"}')
        values = [each.value for each in found if isinstance(each, PartialAnswer)]
        assert values[0]["title"] == "The tide comes"


class Secretive(BaseModel):
    """A state with a secret."""

    token: SecretStr = SecretStr("sesame-open-up")
    draft: str = ""


class Told(BaseModel):
    """An answer."""

    text: str


async def test_a_secret_in_several_pieces_is_hidden() -> None:
    """A secret in pieces is hidden, also from a late watcher; a text that only begins like one comes with the next."""
    pytest.importorskip("cryptography")

    class Piecemeal:
        name = "piecemeal"
        pieces = ('{"text": "', "it is s", "esame-", "open", "-u", "p, or ses", "amite: s", "esam", 'e"}', "\ns")

        def __init__(self) -> None:
            self.middle, self.may = asyncio.Event(), asyncio.Event()

        async def answer(self, request: Request) -> Response:
            for number, piece in enumerate(self.pieces):
                request.emit_text(piece)
                if number == 3:
                    self.middle.set()
                    await self.may.wait()
            return Response('{"text": "done"}', cost_usd=0.0)

    graph = Graph("g", Secretive, secret_key="0-0123456789-abcdefghijklmnopqrstuvwxyz")  # noqa: S106 - of this test
    agent = Agent("writer", prompt="go", output=Told, model=(model := Piecemeal()))
    graph.add_node("work", agent, writes={"draft": "text"})
    graph.add_path(START, "work", END)
    async with Runner() as runner:
        run = runner.start(graph)
        watched = run.events()
        await model.middle.wait()
        late = run.events()
        model.may.set()
        for events in (watched, late):
            found = await shown(events)
            pieces = [event.text for event in found if isinstance(event, TextDelta)]
            assert "".join(pieces) == '{"text": "it is **********, or sesamite: sesame"}\ns'
            partial = [json.dumps(event.value) for event in found if isinstance(event, PartialAnswer)]
            assert partial
            assert not [text for text in partial if "sesame-" in text]


@pytest.mark.parametrize("left", [4, 9, 13])
async def test_a_late_watcher_is_not_shown_the_end_of_a_secret(left: int) -> None:
    """The text that it gets begins in the middle of a secret, where an earlier part is skipped."""
    pytest.importorskip("cryptography")

    class Long:
        name = "long"

        def __init__(self) -> None:
            self.middle, self.may = asyncio.Event(), asyncio.Event()

        async def answer(self, request: Request) -> Response:
            request.emit_text("sesame-open-up" + "." * (MOST_KEPT - left))
            self.middle.set()
            await self.may.wait()
            return Response("done", cost_usd=0.0)

    graph = Graph("g", Secretive, secret_key="0-0123456789-abcdefghijklmnopqrstuvwxyz")  # noqa: S106 - of this test
    graph.add_node("work", Agent("writer", prompt="go", model=(model := Long())), writes="draft")
    graph.add_path(START, "work", END)
    async with Runner() as runner:
        run = runner.start(graph)
        await model.middle.wait()
        late = run.events()
        model.may.set()
        (first,) = [event for event in await shown(late) if isinstance(event, TextDelta)]
    assert first.skipped == 14 - left
    assert first.text == "**********" + "." * (MOST_KEPT - left)


async def test_a_failed_call_resets_what_it_has_shown() -> None:
    """A failed call resets its text before a router's next model, and before the node's next attempt."""

    class Torn:
        name = "torn"

        async def answer(self, request: Request) -> Response:
            request.emit_text("half an ")
            raise AnswerTorn("the connection was lost")

    clock = FakeClock()
    for model in (Router([Torn(), ScriptedModel(["whole"])]), Once(Torn())):
        async with Runner(models={"poet": model}, clock=clock) as runner:
            run = runner.start(one(Agent("poet", prompt="{task}"), retry=Retry(attempts=2, initial_seconds=0.001)))
            found = await shown(run.events())
            assert (await within(run)).state.draft == "whole"
        kinds = [type(each) for each in found]
        assert kinds == [TextDelta, AnswerReset, TextDelta], kinds
        assert "connection was lost" in found[1].why
        assert found[2].attempt == (1 if isinstance(model, Router) else 2)


class Once:
    """A model that fails once."""

    name = "once"

    def __init__(self, bad: Any) -> None:
        self.bad: Any = bad

    async def answer(self, request: Request) -> Response:
        """Fail, then answer."""
        bad, self.bad = self.bad, ScriptedModel(["whole"])
        answer: Response = await bad.answer(request)
        return answer


class Masks(Hooks):
    """Hooks that change all that passes."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def around_model(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        """Show upper case, ask twice in the first turn, and change the answer."""

        def loud(text: str) -> None:
            self.seen.append(text)
            request.emit_text(text.upper())

        if len(request.messages) == 1:
            await call(request)
        response = await call(replace(request, on_text=loud))
        return replace(response, content=f"{response.content}!")

    async def around_tool(self, call: ToolCall, make: Callable[[ToolCall], Awaitable[ToolOutcome]]) -> ToolOutcome:
        """Change the arguments and the result."""
        outcome = await make(call.model_copy(update={"arguments": '{"first": 20, "second": 30}'}))
        return replace(outcome, text=f"about {outcome.text}")


async def test_hooks_wrap_each_call_that_is_made() -> None:
    """They see live text, change requests and results; what they return is recorded, and every call is counted."""
    hooks = Masks()
    wanted = paid("", ("add", {"first": 2, "second": 3}))
    model = ScriptedModel([wanted, wanted, paid("done")])
    agent = Agent("poet", prompt="{task}", tools=[add], hooks=[hooks])
    async with Runner(models={"poet": model}) as runner:
        run = runner.start(one(agent))
        found = await shown(run.events())
        result = await within(run)
        records = [said(step) for step in await runner.history(run.id)]
    assert result.state.draft == "done!"
    assert (result.usage.calls, result.usage.cost_usd) == (3, 3.0)
    assert "".join(each.text for each in found if isinstance(each, TextDelta)) == "DONE"
    assert "".join(hooks.seen) == "done"
    assert [each.text for each in found if isinstance(each, ToolReturned)] == ["about 50"]
    assert [each["value"]["text"] for each in records if each.get("name") in ("tool add", "turn")] == [
        "!", "about 50", "done!"
    ]  # fmt: skip


async def test_a_hook_that_calls_again_takes_back_what_was_shown() -> None:
    """A watcher has the text of the call that counts, not the text of both."""

    class Again(Hooks):
        async def around_model(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
            await call(request)
            return await call(request)

    async with Runner(models={"poet": ScriptedModel(["first", "second"])}) as runner:
        run = runner.start(one(Agent("poet", prompt="{task}", hooks=[Again()])))
        found = await shown(run.events())
        assert (await within(run)).state.draft == "second"
    assert [type(each) for each in found] == [TextDelta, AnswerReset, TextDelta]


async def test_a_hook_that_refuses_leaves_nothing_unpaid_or_shown() -> None:
    """The call is counted, and what was shown of it is taken back."""

    class Refuses(Hooks):
        async def around_model(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
            await call(request)
            raise GuardFailed("not this", where="here")

    async with Runner(models={"poet": ScriptedModel([paid("bad words")])}) as runner:
        run = runner.start(one(Agent("poet", prompt="{task}", hooks=[Refuses()])))
        found = await shown(run.events())
        result = await failing(run)
    assert result.usage.cost_usd == 1.0
    assert isinstance(found[-1], AnswerReset)


def discreet(text: str) -> str:
    """Refuse a secret."""
    if "secret" in text:
        raise ValueError("a secret")
    return text


@pytest.mark.parametrize(
    ("one_guard", "text", "is_error"),
    [
        (guard(lambda text: text[:3], on="tool"), "sec", False),
        (guard(discreet, on="tool"), "The result of tell is withheld: a secret", True),
    ],
)
async def test_a_guard_can_check_the_results_of_tools(one_guard: Any, text: str, is_error: bool) -> None:  # noqa: FBT001
    """A guard can cut the results of tools, or replace them by the reason, before the model gets them."""

    def tell() -> str:
        return "secret words"

    model = ScriptedModel([calls(("tell", {})), "done"])
    answer = await Agent("poet", model=model, prompt="go", tools=[tell], guards=[one_guard]).answer()
    assert [(each.text, each.is_error) for each in answer.messages if each.role == "tool"] == [(text, is_error)]
    fails = Agent(
        "poet", model=ScriptedModel([calls(("tell", {}))]), prompt="go", tools=[tell],
        guards=[guard(discreet, on="tool", then="fail")],
    )  # fmt: skip
    with pytest.raises(GuardFailed, match="rejected the result"):
        await fails.run()
