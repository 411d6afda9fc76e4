"""What the engine owes with a model that is real, slow and stupid: never what it says, which is left to it.

Each run ends within its bounds, as finished or with an honest error; each call is recorded with what was asked and
what it used; and what was recorded is not asked again.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from graphengine import (
    END,
    START,
    Agent,
    Graph,
    Limits,
    Result,
    Run,
    RunFailed,
    Runner,
    Settings,
    TextDelta,
    Window,
    tool,
)
from graphengine.engine.steps import Step
from graphs import review_loop
from tests.real_model.conftest import Server, Servers

whole = pytest.mark.skipif(os.environ.get("REAL_MODEL") != "all", reason="takes minutes: make real-model")

HONEST = {"answer_cut", "answer_invalid", "answer_refused", "too_many_turns", "context_full", "model_unreachable"}
"""How a call of this model may fail."""


class Ticket(BaseModel):
    """What a message is about."""

    category: Literal["billing", "bug", "other"]
    urgency: int = Field(ge=1, le=5)


class State(BaseModel):
    """A question and its answer."""

    question: str = "What is a tide?"
    answer: str = ""
    ticket: Ticket | None = None


def asking(agent: Agent[Any, Any], *, writes: str = "answer") -> Graph[State, Any]:
    """Return a graph of one agent."""
    graph = Graph("real", State, result=writes)
    graph.add_node("ask", agent, writes=writes)
    graph.add_path(START, "ask", END)
    return graph


def short(**more: Any) -> Settings:
    """Return settings of a short answer."""
    return Settings(max_tokens=more.pop("max_tokens", 24), temperature=0, **more)


async def ended(run: Run[Any, Any]) -> Result[Any, Any]:
    """Return the result of a run, also of one that failed in a way that it may."""
    try:
        return await run.result()
    except RunFailed as error:
        kind = error.result.error.kind if error.result.error is not None else ""
        if kind not in HONEST:
            raise
        return error.result


async def calls_of(runner: Runner, run_id: str) -> list[Step]:
    """Return the steps that recorded usage, so that each has the call of a model."""
    return [step for step in await runner.history(run_id) if getattr(step.data, "usage", None)]


async def test_a_stream_is_what_is_recorded(server: Server) -> None:
    """The pieces together are the answer; the usage is the server's."""
    agent = Agent("writer", prompt="{question}", model=server.model(), settings=short(), on_cut="keep")
    async with Runner() as runner:
        pieces = [
            event.text
            async for event in runner.start(asking(agent), run_id="r").events()
            if isinstance(event, TextDelta)
        ]
        result = await runner.get("r", asking(agent)).result()
    assert "".join(pieces).strip() == result.output.strip()
    assert len(pieces) > 1
    assert (result.usage.calls, result.usage.output_tokens) == (1, 24)
    assert result.usage.input_tokens > 0


@pytest.mark.parametrize("native", [True, False])
async def test_a_typed_answer_fits_or_is_an_error(server: Server, *, native: bool) -> None:
    """With the server's grammar, and with the schema in the instructions, in a bounded number of calls."""
    agent = Agent(
        "triage",
        prompt="Classify this message: I was charged twice. {question}",
        output=Ticket,
        model=server.model(native_schema=native),
        settings=short(max_tokens=64),
    )
    async with Runner() as runner:
        result = await ended(runner.start(asking(agent, writes="ticket"), run_id="r"))
        if result.status == "finished":
            assert isinstance(result.output, Ticket)
        else:
            assert result.error is not None
        assert 1 <= result.usage.calls <= 9


async def test_a_cut_is_what_the_agent_says(server: Server) -> None:
    """It fails and names the limit, keeps what came, or goes on for a bounded number of turns."""
    cuts: Sequence[tuple[Literal["fail", "keep", "continue"], int]] = (("fail", 1), ("keep", 1), ("continue", 10))
    for on_cut, most in cuts:
        agent = Agent("writer", prompt="{question}", model=server.model(), settings=short(max_tokens=8), on_cut=on_cut)
        async with Runner() as runner:
            result = await ended(runner.start(asking(agent), run_id="r"))
            assert 1 <= result.usage.calls <= most
            if on_cut == "fail":
                assert result.error is not None
                assert (result.error.kind, "max_tokens=8" in str(result.error)) == ("answer_cut", True)
            elif on_cut == "keep":
                assert result.output


@whole
async def test_tools_that_are_never_called_and_calls_that_are_none(server: Server) -> None:
    """Each result of a tool is of a call that was made; turns are bounded."""
    made: list[str] = []

    def depth(place: str) -> float:
        """Return how deep the water is at a place, in metres."""
        made.append(place)
        return 3.5

    agent = Agent(
        "diver",
        prompt="How deep is it at {question}?",
        tools=[tool(depth)],
        model=server.model(),
        settings=short(max_tokens=48),
        on_cut="keep",
    )
    async with Runner() as runner:
        result = await ended(runner.start(asking(agent), {"question": "Kiel"}, run_id="r"))
        assert result.status in ("finished", "failed")
        assert len(made) <= result.usage.calls <= 22


@whole
async def test_a_window_that_is_full_is_said(servers: Servers) -> None:
    """By the server before the answer, or by the sum of what was sent and came; never as max_tokens."""
    narrow = servers(1024)  # 512 for each slot
    agent = Agent("writer", prompt="{question}", model=narrow.model(), settings=Settings(max_tokens=4096))
    for words in (300, 420, 2000):
        async with Runner() as runner:
            question = "Write a long story. " + "tide " * words
            result = await ended(runner.start(asking(agent), {"question": question}, run_id="r"))
            if result.status == "finished":
                continue
            assert result.error is not None
            assert "raise max_tokens" not in str(result.error)
            assert any(word in str(result.error) for word in ("window", "context", "exceed")), str(result.error)


@whole
async def test_a_server_that_dies_in_mid_answer(servers: Servers, tmp_path: Path) -> None:
    """The run fails as unavailable, or waits to try again; once the server is back it is resumed and finishes."""
    dying = servers()
    agent = Agent("writer", prompt="{question}", model=dying.model(), settings=short(max_tokens=400), on_cut="keep")
    graph = asking(agent)
    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(graph, run_id="r")
        async for event in run.events():
            if isinstance(event, TextDelta) and dying.process.poll() is None:
                dying.kill()
        failed = await ended(run)
        assert failed.error is not None
        assert failed.error.kind == "model_unreachable"
        dying.start()
        result = await runner.resume("r", graph).result()
        assert (result.status, bool(result.output)) == ("finished", True)


@whole
async def test_forty_runs_over_two_slots(server: Server, tmp_path: Path) -> None:
    """All end, each with its call; none is lost, and none asked twice."""
    agent = Agent("writer", prompt="{question}", model=server.model(), settings=short(max_tokens=8), on_cut="keep")
    graph = asking(agent)
    async with Runner(tmp_path / "runs.db") as runner:
        runs = [runner.start(graph, {"question": f"Name the number {number}."}) for number in range(40)]
        results = await asyncio.gather(*(run.result() for run in runs))
        assert {result.status for result in results} == {"finished"}
        assert {result.usage.calls for result in results} == {1}


@whole
async def test_a_chat_of_ten_turns_within_a_window(server: Server, tmp_path: Path) -> None:
    """Each turn is answered or fails by itself; the conversation stays within the window."""
    agent = Agent(
        "talker",
        prompt="{question}",
        model=server.model(),
        settings=short(max_tokens=16),
        on_cut="keep",
        window=Window(300, keep=2),
    )
    async with Runner(tmp_path / "runs.db") as runner:
        for number in range(10):
            await runner.run(agent, f"Tell me about the number {number}.", chat="c")
        steps = [step for info in await runner.runs() for step in await calls_of(runner, info.id)]
        assert len(steps) >= 10


@whole
async def test_the_bundled_loop(server: Server, tmp_path: Path) -> None:
    """It ends within its limits, finished or with an honest error; what was recorded is not asked again."""
    graph = review_loop.graph.but(limits=Limits(visits=12, seconds=600))
    models = server.model()
    async with Runner(tmp_path / "runs.db", models=models) as runner:
        given = {"task": "Summarise what tides are.", "sources": []}
        result = await ended(runner.start(graph, given, run_id="r"))
        before = result.usage.calls
        if result.status in ("failed", "stopped"):
            again = await ended(runner.resume("r", graph, limits=Limits(visits=14, seconds=900)))
            assert again.usage.calls >= before
        else:
            assert result.status == "finished"
