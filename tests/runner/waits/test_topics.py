"""A message is kept until its topic is received; one on a topic that nothing waits for is warned about, and told."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner


class State(BaseModel):
    """A state."""

    n: int = 0


def graph_of(function: Callable[..., Any]) -> Graph[State]:
    """Return a graph of one node."""
    graph = Graph("graph", State, result="n")
    graph.add_node("node", function, writes="n")
    graph.add_path(START, "node", END)
    return graph


async def hear(ctx: Context) -> int:
    """Receive on two topics."""
    return await ctx.receive("go", int) + await ctx.receive("more", int)


@pytest.mark.parametrize("has_source", [True, False])
async def test_a_message_on_a_topic_that_nothing_receives_is_kept(
    *, has_source: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning names the topics for which the run waits; it does not depend on the source of the nodes."""
    function: Callable[..., Any] = hear
    if not has_source:
        namespace: dict[str, Any] = {"Context": Context}
        exec("async def hear(ctx: Context) -> int:\n    return await ctx.receive('go', int)\n", namespace)  # noqa: S102
        function = namespace["hear"]
    graph = graph_of(function)
    async with Runner() as runner:
        run = runner.start(graph, run_id="run")
        assert (await run.result()).status == "waiting"
        with caplog.at_level(logging.WARNING):
            await run.send("og", 1)
        assert "'og'" in caplog.text
        assert "'go'" in caplog.text
        for topic in ("go", "more"):
            await run.send(topic, 1)
        result = await runner.resume("run", graph).result()
        assert (result.status, result.unread["og"]) == ("finished", [1])


async def test_messages_that_come_before_a_node_waits_are_received(caplog: pytest.LogCaptureFixture) -> None:
    """No warning is given, because nobody can know on which topics the nodes will receive."""
    async with Runner() as runner:
        run = runner.start(graph_of(hear))
        await run.send("more", 2)
        await run.send("go", 1)
        result = await run.result()
        assert (result.state.n, result.unread, caplog.text) == (3, {}, "")
