"""Messages: to a run, between nodes, kept until they are received."""

import asyncio
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from graphengine import Context, Graph, RunFailed, Runner
from graphengine.errors import InputError, UnknownRun
from graphengine.reducers import append
from graphengine.runner.run_events import StepRecorded
from graphengine.testing import FakeClock
from tests.kit.facts import said
from tests.kit.runs import SOON, arms, row
from tests.kit.waiting import resume_run


class News(BaseModel):
    title: str
    score: int = Field(ge=0)


class State(BaseModel):
    text: str = ""
    n: int = 0
    log: Annotated[list[str], append] = []
    items: list[str] = ["a", "b"]
    news: News | None = None


def path(*nodes: tuple[str, Any, Any]) -> Graph[State]:
    """Return a graph of nodes in a row: name, runnable, writes."""
    return row(State, *nodes)


async def hear(ctx: Context) -> str:
    """Receive the next message of a topic."""
    return str(await ctx.receive("topic", str))


async def hear_three(ctx: Context) -> str:
    """Receive three messages of a topic."""
    return " ".join([await ctx.receive("topic", str) for _ in range(3)])


# -- from outside


async def test_a_run_waits_for_a_message(runner: Runner) -> None:
    """The wait has the topic and takes no answer; the message ends it."""
    graph = path(("hear", hear, "text"))
    result = await runner.start(graph).result()
    (wait,) = result.waits
    assert (result.status, wait.kind, wait.topic, wait.answerable) == ("waiting", "receive", "topic", False)
    with pytest.raises(InputError, match="asks nothing"):
        await runner.answer(result.run_id, "x")
    await runner.send(result.run_id, "other", "no")
    assert (await resume_run(runner, graph, result.run_id)).status == "waiting"
    await runner.send(result.run_id, "topic", "yes")
    assert (await resume_run(runner, graph, result.run_id)).state.text == "yes"


async def test_a_key_sends_a_message_once(runner: Runner) -> None:
    """A caller that tries twice sends once, before and after the run has received it."""
    graph = path(("hear", hear_three, "text"))
    run_id = (await runner.start(graph).result()).run_id
    await runner.send(run_id, "topic", "one", idempotency_key="k")
    await runner.send(run_id, "topic", "one", idempotency_key="k")
    assert (await resume_run(runner, graph, run_id)).status == "waiting"
    await runner.send(run_id, "topic", "one", idempotency_key="k")
    await runner.send(run_id, "topic", "one")
    await runner.send(run_id, "topic", "one", idempotency_key="l")
    assert (await resume_run(runner, graph, run_id)).state.text == "one one one"
    assert [step.kind for step in await runner.history(run_id)].count("message") == 3


async def test_messages_have_types(runner: Runner) -> None:
    """A model is sent as JSON and received as a model; one that does not fit is refused, and the next is received."""

    async def read(ctx: Context) -> News:
        return await ctx.receive("news", News)

    graph = path(("read", read, "news"))
    run_id = (await runner.start(graph).result()).run_id
    await runner.send(run_id, "news", {"title": "bad", "score": -1})
    assert (await resume_run(runner, graph, run_id)).status == "waiting"
    refused = [step for step in await runner.history(run_id) if step.kind == "refused"]
    assert ["greater than or equal to 0" in said(step)["message"] for step in refused] == [True]
    await runner.send(run_id, "news", News(title="good", score=1))
    assert (await resume_run(runner, graph, run_id)).state.news == News(title="good", score=1)


async def test_a_message_that_json_cannot_carry_is_refused(runner: Runner) -> None:
    """The call that sends it raises."""
    run_id = (await runner.start(path(("hear", hear, "text"))).result()).run_id
    with pytest.raises(InputError, match="JSON cannot carry the message"):
        await runner.send(run_id, "topic", object())
    with pytest.raises(UnknownRun):
        await runner.send("unknown", "topic", 1)


async def test_a_message_wakes_a_run_that_only_sleeps(timed: Runner, clock: FakeClock) -> None:
    """It is recorded and kept; the sleeper sleeps until its time."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep(3600)
        return str(await ctx.receive("topic", str))

    clock_by_hand = FakeClock(start=0.0, jumps=False)
    async with Runner(clock=clock_by_hand) as runner:
        run = runner.start(path(("rest", rest, "text")))
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind == "waiting":
                break
        await runner.send(run.id, "topic", "x")
        for _ in range(50):
            await asyncio.sleep(0)
        assert [step.kind for step in await runner.history(run.id)] == ["started", "waiting", "resumed", "message"]
        clock_by_hand.move(3600)
        async with asyncio.timeout(SOON):
            assert (await run.result()).state.text == "x"


# -- between nodes


async def test_a_node_sends_to_another_arm(runner: Runner) -> None:
    """The messages arrive in order, with the sender's step, and the receiver continues by itself."""

    async def speak(ctx: Context) -> int:
        for word in ("one", "two", "three"):
            ctx.send("topic", word)
        return 3

    run = runner.start(arms(State, ("hear", hear_three, "text"), ("speak", speak, "n")))
    async with asyncio.timeout(SOON):
        result = await run.result()
    assert (result.status, result.state.text, result.state.n) == ("finished", "one two three", 3)
    step = next(step for step in await runner.history(run.id) if step.node == "speak" and step.kind == "node")
    assert said(step)["sent"] == [["topic", "one"], ["topic", "two"], ["topic", "three"]]


async def test_a_node_cannot_send_what_json_cannot_carry(runner: Runner) -> None:
    """A node that sends what JSON cannot carry fails at the call."""

    async def speak(ctx: Context) -> int:
        ctx.send("topic", object())
        return 1

    with pytest.raises(RunFailed, match="not_recordable: JSON cannot carry the message"):
        await runner.start(path(("speak", speak, "n"))).result()


async def test_a_message_is_received_by_one(runner: Runner) -> None:
    """If two nodes wait for one topic, two messages are needed."""
    graph = arms(State, ("a", hear, "log"), ("b", hear, "log"))
    run_id = (await runner.start(graph).result()).run_id
    await runner.send(run_id, "topic", "x")
    result = await resume_run(runner, graph, run_id)
    assert (result.status, len(result.waits)) == ("waiting", 1)
    await runner.send(run_id, "topic", "y")
    result = await resume_run(runner, graph, run_id)
    assert sorted(result.state.log) == ["x", "y"]
