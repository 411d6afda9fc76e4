"""What a run lost on its way to its end: counted in its result, its summary and its lists."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel
from typing_extensions import override

from graphengine import END, START, Agent, Context, Graph, Retry, Runner, ScriptedModel
from graphengine.cli.terminal import Channel
from graphengine.engine.stored import copy_of
from graphengine.errors import Transient
from graphengine.history.load import load_snapshot
from graphengine.models import Request, Response, calls
from graphengine.models.limiter import PLAIN_WAITS, limiter_for
from graphengine.records.words import loss_words
from graphengine.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


class Papers(BaseModel):
    items: list[int] = [1, 2, 3, 4]
    done: list[int] = []
    heard: list[str] = []
    said: str = ""
    spare: str = ""


def read(item: int) -> int:
    """Refuse the second paper."""
    if item == 2:
        message = "unreadable"
        raise ValueError(message)
    return item


def flaky(ctx: Context) -> str:
    """Fail at every attempt."""
    if ctx.attempt < 3:
        message = "busy"
        raise Transient(message)
    raise ValueError


def look(word: str) -> str:
    """Look a word up."""
    raise KeyError(word)


def long_enough(answer: str) -> None:
    """Refuse a short answer."""
    if len(answer) < 9:
        message = "too short"
        raise ValueError(message)


def lossy() -> Graph[Papers]:
    """Return a graph that loses something of each kind."""
    model = ScriptedModel([calls(("look", {"word": "x"})), "short", "long enough"])
    clerk = Agent("clerk", prompt="Say it", model=model, tools=[look], check=long_enough)
    graph = Graph("lossy", Papers)
    graph.add_node("each", read, each={"item": "items"}, writes="done", on_item_error="keep")
    graph.add_node("flaky", flaky, writes="spare", retry=Retry(3, initial_seconds=0.0), fallback="spare")
    graph.add_node("say", clerk, writes="said")
    graph.add_path(START, "each", "flaky", "say", END)
    return graph


LOST = {"failed_items": 1, "fallbacks": 1, "retries": 2, "rejected_answers": 1, "failed_tools": 1}
WORDS = "1 item failed, 1 fallback, 2 retries, 1 answer rejected, 1 tool call failed"


async def recorded(path: Path) -> None:
    """Record a run, and check what its result, its row and its snapshot say."""
    async with Runner(path, clock=FakeClock()) as runner:
        result = await runner.start(lossy(), run_id="r").result()
        assert (result.status, result.losses) == ("finished", LOST)
        (info,) = await runner.runs()
        assert info.summary is not None
        assert info.summary.losses == LOST
        snapshot = await load_snapshot(runner.store, "r", None)
        assert copy_of(snapshot).losses == snapshot.losses == {"failed_items": 1, "fallbacks": 1, "retries": 2}


def test_losses_are_counted_and_listed(
    tmp_path: Path, invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result, the list and a stored snapshot have all of them; `show` and `runs` say them, on a terminal too."""
    path = tmp_path / "r.db"
    asyncio.run(recorded(path))
    assert f"losses on the way: {WORDS}" in invoke("show", "r", "--store", str(path)).output
    assert "asked again: Your answer cannot be used: too short" in invoke("show", "r", "--store", str(path)).output
    assert invoke("runs", "--store", str(path)).output.splitlines()[1].endswith(f"  {WORDS}")
    monkeypatch.setattr(Channel, "columns", 90)
    assert invoke("runs", "--store", str(path)).output.splitlines()[-1] == f"    {WORDS}"


async def test_a_run_without_losses_says_none() -> None:
    """Nothing is said where nothing was lost."""
    graph = Graph("plain", Papers)
    graph.add_node("say", lambda: "x", writes="said")
    graph.add_path(START, "say", END)
    async with Runner() as runner:
        assert (await runner.start(graph).result()).losses == {}
    assert loss_words({}) == ""


class Held(ScriptedModel):
    """A model that has one call in flight at a time, as its own limiter allows; each takes 2 s."""

    limiter = limiter_for(("tests", "held"), 1)

    @override
    async def answer(self, request: Request) -> Response:
        clock = (request.waits or PLAIN_WAITS).clock
        await clock.sleep_until(clock.now() + 2)
        return Response("read", input_tokens=1)


def test_a_call_says_how_long_its_models_limiter_held_it_back(tmp_path: Path, invoke: Callable[..., Result]) -> None:
    """Each call that waited for others has it in its record, and `show` says what lets more go at once."""
    path, reader = tmp_path / "r.db", Agent("reader", prompt="Read {item}", model=Held([]))
    graph = Graph("held", Papers)
    graph.add_node("each", reader, each={"item": "items"}, writes="heard")
    graph.add_path(START, "each", END)

    async def record() -> None:
        async with Runner(path, clock=FakeClock()) as runner:
            result = await runner.start(graph, {"items": [1, 2, 3]}, run_id="held").result()
            assert (result.usage.calls, result.losses) == (3, {})

    asyncio.run(record())
    shown = invoke("show", "held", "--store", str(path)).output
    assert [f"waited {held}.0 s for other calls of its model" in shown for held in (2, 4)] == [True, True]
    assert shown.count("set RateLimiter(calls_at_once=…) to make more at once") == 2
