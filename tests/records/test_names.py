"""Texts that a store cannot carry: one error for all of them, the same over every store, and nothing is written."""

import random
import string
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Context, Graph, Runner
from graphengine.errors import DefinitionError, GraphEngineError, InputError, UnknownRun
from graphengine.state.json_values import LONGEST_NAME
from tests.kit.runs import alone

LETTERS = string.ascii_letters + string.digits


class State(BaseModel):
    text: str = ""


def path_of(function: Callable[..., object], name: str = "named") -> Graph[State]:
    """Return a graph of one node."""
    return alone(State, function, "text", name=name, node="node")


async def asks(ctx: Context) -> str:
    """Wait for an answer."""
    return await ctx.ask("what?")


def in_node(call: Callable[[Context, str], Awaitable[Any] | None]) -> Callable[[Runner, str], Awaitable[object]]:
    """Return what runs a graph whose node makes a call."""

    async def started(runner: Runner, text: str) -> object:
        async def node(ctx: Context) -> str:
            made = call(ctx, text)
            if made is not None:
                await made
            return "done"

        return await runner.start(path_of(node)).result()

    return started


def sent(runner: Runner, run_id: str = "new", topic: str = "t", key: str | None = None) -> Awaitable[object]:
    """Start a run, or send it a message, with one argument of the test."""
    return runner.start_or_send(path_of(asks), run_id, topic, 1, idempotency_key=key)


async def named(runner: Runner, text: str) -> object:
    """Run a graph of this name."""
    return await runner.start(path_of(asks, text)).result()


REFUSED: dict[str, Callable[[Runner, str], Awaitable[object]]] = {
    "start(run_id)": lambda runner, text: runner.start(path_of(asks), run_id=text).result(),
    "start(tags)": lambda runner, text: runner.start(path_of(asks), tags=[text]).result(),
    "start(queue)": lambda runner, text: runner.start(path_of(asks), queue=text).result(),
    "start(tenant)": lambda runner, text: runner.start(path_of(asks), queue="q", tenant=text).result(),
    "branch(run_id)": lambda runner, text: runner.branch("r", path_of(asks), 1, run_id=text).result(),
    "send(topic)": lambda runner, text: runner.send("r", text, 1),
    "send(idempotency_key)": lambda runner, text: runner.send("r", "topic", 1, idempotency_key=text),
    "start_or_send(run_id)": lambda runner, text: sent(runner, run_id=text),
    "start_or_send(topic)": lambda runner, text: sent(runner, topic=text),
    "start_or_send(idempotency_key)": lambda runner, text: sent(runner, key=text),
    "answer(question)": lambda runner, text: runner.answer("r", "yes", wait=text),
    "tag(add)": lambda runner, text: runner.tag("r", add=[text]),
    "tag(remove)": lambda runner, text: runner.tag("r", remove=[text]),
    "limit_queue": lambda runner, text: runner.admin.limit_queue(text, None),
    "unschedule": lambda runner, text: runner.admin.unschedule(text),
    "Graph(name)": named,
    "ctx.send(topic)": in_node(lambda ctx, text: ctx.send(text, 1)),
    "ctx.receive(topic)": in_node(lambda ctx, text: ctx.receive(text)),
    "ctx.ask(name)": in_node(lambda ctx, text: ctx.ask("what?", name=text)),
    "ctx.call(key)": in_node(lambda ctx, text: ctx.call(str, key=text)),
}
UNKNOWN: dict[str, Callable[[Runner, str], Awaitable[object]]] = {
    "info": lambda runner, text: runner.info(text),
    "history": lambda runner, text: runner.history(text),
    "resume": lambda runner, text: runner.resume(text, path_of(asks)).result(),
    "start(after)": lambda runner, text: runner.start(path_of(asks), after=text).result(),
    "branch(parent)": lambda runner, text: runner.branch(text, path_of(asks), 1).result(),
    "runs(before)": lambda runner, text: runner.runs(before=text),
    "stop": lambda runner, text: runner.stop(text),
    "send(run_id)": lambda runner, text: runner.send(text, "topic", 1),
}
EMPTY: dict[str, Callable[[Runner, str], Awaitable[Any]]] = {
    "runs(tag)": lambda runner, text: runner.runs(tag=text),
    "runs(graph)": lambda runner, text: runner.runs(graph=text),
    "due(graphs)": lambda runner, text: runner.store.due(0.0, graphs=[text]),
    "ids": lambda runner, text: runner.store.ids(text),
    "counts(tag)": lambda runner, text: runner.store.counts(tag=text),
}


@pytest.mark.parametrize("text", ["a\0b", "a\ud800", "é" * 501], ids=["NUL", "surrogate", "long"])
async def test_a_text_that_no_store_can_carry_is_refused_as_input(runner: Runner, text: str) -> None:
    """As the name of what is written it is `invalid_input`, and as that of what is read there is nothing."""
    await runner.start(path_of(asks), run_id="r").result()
    for what, call in REFUSED.items():
        if len(text) > 100 and what == "ctx.call(key)":
            continue  # nothing is found by it, and it can be as long as a prompt
        with pytest.raises(GraphEngineError) as caught:
            await call(runner, text)
        kinds = [type(caught.value), type(caught.value.__cause__)]
        assert InputError in kinds or DefinitionError in kinds, (what, caught.value)
    for what, call in UNKNOWN.items():
        with pytest.raises((UnknownRun, InputError)) as found:
            await call(runner, text)
        assert "no run" in str(found.value) or "cannot be a run's id" in str(found.value), what
    assert {what: list(await call(runner, text)) for what, call in EMPTY.items()} == {what: [] for what in EMPTY}
    await runner.stop("r", text)
    (step,) = [step for step in await runner.history("r") if step.kind == "stopped"]
    assert step.data.ending.why in {"a\0b", "a\ufffd", text}  # type: ignore[union-attr]


async def test_names_as_long_as_a_name_can_be_are_carried(runner: Runner) -> None:
    """1,000 bytes each, also together in one index, and as varied as no database can compress."""
    draw = random.Random(7)  # noqa: S311 - the same each time
    tag, graph, topic, key, tenant, queue, place = ("".join(draw.choices(LETTERS, k=LONGEST_NAME)) for _ in range(7))

    async def work(ctx: Context) -> str:
        await ctx.call(str, key=place * 9)
        return await ctx.receive(topic, str)

    run_id = "r" * 200
    named = path_of(work, graph)
    await runner.start(named, run_id=run_id, tags=[tag[:100]]).result()
    await runner.start(named, queue=queue[:100], tenant=tenant[:100]).begun()
    for _ in range(2):
        await runner.send(run_id, topic, "sent", idempotency_key=key)
    assert (await runner.resume(run_id, named).result()).state.text == "sent"
    assert [each.id for each in await runner.runs(tag=tag[:100], graph=graph)] == [run_id]
    assert len(await runner.runs(graph=graph)) == 2
