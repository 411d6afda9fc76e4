"""What the source of a function shows of its waits. `tests/agents/values/tool_problems.txt` has those of agents."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from graphengine import Agent, Context, tool
from graphengine.checks.waits import wait_in
from tests.checks.test_effects_that_wait import State, asks, child, only_starts, sleeps
from tests.kit.runs import alone


async def receives(ctx: Context) -> str:
    """Receive in a loop."""
    while True:
        if text := await ctx.receive("post", str):
            return text


async def sleeps_until(ctx: Context) -> None:
    """Sleep until a time."""
    await ctx.sleep_until(9.0)


async def waits_for_a_child(ctx: Context) -> object:
    """Wait for the end of a run."""
    return await (await ctx.start(child)).result()


async def waits_for_a_named_child(ctx: Context) -> object:
    """Wait for the end of a run that has a name."""
    run = await ctx.start(child)
    return await run.result()


async def calls_what_asks(ctx: Context) -> str:
    """Hand over to a function with a context of its own, and use names of other objects."""

    async def inner(ctx: Any) -> str:
        return str(await ctx.ask("Well?"))

    inner.sleep = inner.ask = 1  # type: ignore[attr-defined]
    return f"ask {await ctx.call(len, str(inner))}"


class Asks:
    """What is called."""

    async def __call__(self, ctx: Context) -> str:
        """Ask."""
        return await ctx.ask("Well?")

    async def method(self, ctx: Context) -> str:
        """Ask."""
        return await ctx.ask("Well?")


@functools.wraps(asks)
async def wrapped(*given: Any) -> str:
    """Call another one."""
    return await asks(*given)


unread: dict[str, Any] = {}
exec("async def made(ctx):\n    await ctx.ask('Well?')", unread)  # noqa: S102 - there is no source of it


WAITS: dict[str, tuple[Callable[..., object], str]] = {
    "asks": (asks, "ctx.ask"),
    "receives": (receives, "ctx.receive"),
    "sleeps": (sleeps, "ctx.sleep"),
    "sleeps until": (sleeps_until, "ctx.sleep_until"),
    "a child": (waits_for_a_child, "child.result"),
    "a named child": (waits_for_a_named_child, "child.result"),
    "an object": (Asks(), "ctx.ask"),
    "a method": (Asks().method, "ctx.ask"),
    "a partial": (functools.partial(asks), "ctx.ask"),
    "wrapped": (wrapped, "ctx.ask"),
    "only starts": (only_starts, ""),
    "calls what asks": (calls_what_asks, ""),
    "a lambda": (lambda ctx: ctx.ask("Well?"), ""),
    "no source": (unread["made"], ""),
    "built in": (len, ""),
    "a class": (State, ""),
}


@pytest.mark.parametrize("name", WAITS)
def test_the_source_shows_waits(name: str) -> None:
    """What calls of the function's own context wait for; nothing where that is not certain."""
    function, shown = WAITS[name]
    assert wait_in(function) == shown


def test_a_tool_that_must_not_be_repeated_and_waits_is_refused() -> None:
    """It is asked for leave before it is called; a tool that may be repeated can wait."""
    made = [tool(asks, effect=effect, name=effect, description="Pay.") for effect in ("once", "idempotent")]
    graph = alone(State, Agent("clerk", prompt="{kind}", tools=made), "text")
    found = [problem for problem in graph.check() if problem.code == "waits_in_effect"]
    assert [each.message for each in found] == [
        "the tool 'once' has effect=\"once\", but waits (ctx.ask), and each wait begins the call again"
    ]
    assert found[0].repair == "ask before the call: tool(once, approve=True)"
