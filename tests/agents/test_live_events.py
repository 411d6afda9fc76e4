"""What late watchers see, and secrets in live events; `sessions/live.txt` shows all other events and hooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import Agent, Graph, RunEnded, Runner, ScriptedModel, StepRecorded
from graphengine.agents.live_events import (
    MOST_KEPT,
    OfTurn,
    PartialAnswer,
    TextDelta,
    ThinkingDelta,
)
from graphengine.models import Request, Response
from tests.agents.run_kits import one
from tests.kit.runs import alone


async def shown(events: Any) -> list[Any]:
    """Return the agents' events of a run."""
    async with asyncio.timeout(60):
        return [event async for event in events if isinstance(event, OfTurn)]


class Halting:
    """A model that streams thinking and some pieces of its answer, and the others when it may."""

    name = "halting"

    def __init__(self, *pieces: str, then: Sequence[str] = (), answer: str = "done") -> None:
        self.pieces, self.then, self.text = pieces, then, answer
        self.begun, self.may = asyncio.Event(), asyncio.Event()

    async def answer(self, request: Request) -> Response:
        """Stream an answer."""
        request.emit_thinking("hm")
        for piece in self.pieces:
            request.emit_text(piece)
        self.begun.set()
        await self.may.wait()
        for piece in self.then:
            request.emit_text(piece)
        return Response(self.text, cost_usd=0.0)


async def watched(graph: Graph[Any], model: Halting) -> tuple[list[Any], list[Any]]:
    """Return what a watcher from the beginning and one from the middle of an answer see of a run."""
    async with Runner(models=model) as runner:
        run = runner.start(graph)
        early = run.events()
        await model.begun.wait()
        late = run.events()
        model.may.set()
        return await shown(early), await shown(late)


async def test_a_late_watcher_gets_what_was_shown_so_far() -> None:
    """A late watcher gets the text so far in one piece, with the partial value, then what follows."""

    class Title(BaseModel):
        title: str
        text: str = ""

    for length in (1, MOST_KEPT):
        half = '{"text": "' + "x" * length + '", "title": "The tide comes'
        model = Halting(half, then=[' in"}'], answer=half + ' in"}')
        _, found = await watched(one(Agent("poet", prompt="{task}", output=Title), writes={"draft": "title"}), model)
        assert [each.text for each in found if isinstance(each, ThinkingDelta)] == ["hm"]
        first, last = (each for each in found if isinstance(each, TextDelta))
        assert (first.text, first.skipped, last.text) == (half[-MOST_KEPT:], max(0, len(half) - MOST_KEPT), ' in"}')
        values = [each.value for each in found if isinstance(each, PartialAnswer)]
        assert values[0]["title"] == "The tide comes"


async def test_who_wants_only_what_is_recorded_is_no_watcher() -> None:
    """The model is told that nobody watches, also by a turn of a chat whose answer is awaited; the steps come all."""
    told: list[bool] = []

    async def answer(request: Request) -> str:
        assert request.watch is not None
        told.append(request.watch.is_watched())
        return "Hello."

    models, agent = ScriptedModel([answer] * 4), Agent("poet", messages="messages")
    async with Runner(models=models) as runner:
        for live in (False, True):
            run = runner.start(one(agent, writes={"draft": "."}), {"task": "Say hello"})
            events = [event async for event in run.events(live=live)]
            steps = [event.seq for event in events if isinstance(event, StepRecorded)]
            assert steps == [step.seq for step in await run.history()]
            assert isinstance(events[-1], RunEnded)
            assert any(isinstance(event, OfTurn) for event in events) is live
        assert await runner.run(agent, chat="ada", question="Hello?") == "Hello."
        assert [part async for part in runner.stream(agent, chat="ada", question="And you?")][-1] == "Hello."
    assert told == [False, True, False, True]


class Secretive(BaseModel):
    """A state with a secret."""

    token: SecretStr = SecretStr("sesame-open-up")
    draft: str = ""


class Told(BaseModel):
    """An answer."""

    text: str


def secretive(agent: Agent[Any], writes: Any) -> Graph[Secretive]:
    """Return a graph of an agent, with a secret."""
    pytest.importorskip("cryptography")
    return alone(Secretive, agent, writes, secret_key="0-0123456789-abcdefghijklmnopqrstuvwxyz")  # noqa: S106 - of this test


async def test_a_secret_in_several_pieces_is_hidden() -> None:
    """A secret in pieces is hidden, also from a late watcher; a text that only begins like one comes with the next."""
    pieces = ('{"text": "', "it is s", "esame-", "open", "-u", "p, or ses", "amite: s", "esam", 'e"}', "\ns")
    model = Halting(*pieces[:4], then=pieces[4:], answer='{"text": "done"}')
    for found in await watched(secretive(Agent("writer", prompt="go", output=Told), {"draft": "text"}), model):
        text = "".join(event.text for event in found if isinstance(event, TextDelta))
        assert text == '{"text": "it is **********, or sesamite: sesame"}\ns'
        partial = [json.dumps(event.value) for event in found if isinstance(event, PartialAnswer)]
        assert partial
        assert not [each for each in partial if "sesame-" in each]


@pytest.mark.parametrize("left", [4, 9, 13])
async def test_a_late_watcher_is_not_shown_the_end_of_a_secret(left: int) -> None:
    """The text that it gets begins in the middle of a secret, where an earlier part is skipped."""
    model = Halting("sesame-open-up" + "." * (MOST_KEPT - left))
    _, found = await watched(secretive(Agent("writer", prompt="go"), "draft"), model)
    (first,) = [event for event in found if isinstance(event, TextDelta)]
    assert first.skipped == 14 - left
    assert first.text == "**********" + "." * (MOST_KEPT - left)
