"""What the source of a function shows of its waits. `tests/agents/values/tool_problems.txt` has those of agents."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, choose
from tests.kit.runs import alone


class State(BaseModel):
    """A word."""

    kind: str = ""
    text: str = ""


child: Graph[State] = alone(State, lambda: "", "text")


async def asks(ctx: Context) -> str:
    """Ask, after a text that begins a line."""
    await ctx.call(
        print,
        """
paid""",
    )
    return await ctx.ask("Well?")


async def sleeps(ctx: Context) -> None:
    """Sleep in a function inside."""

    async def rest() -> None:
        await ctx.sleep(1)

    await rest()


async def only_starts(ctx: Context, future: Any) -> str:
    """Start a run, and wait for something else."""
    run = await ctx.start(child)
    return f"{run.id} {await future.result()}"


def test_a_node_that_is_an_effect_and_waits_is_refused_where_it_is_declared() -> None:
    """Its fallback may wait, and so may a node whose effect can be repeated."""
    graph = Graph("pays", State)
    graph.add_node("pay", asks, writes="text", effect="once")
    graph.add_node("choose", choose("kind", {"a": only_starts, "b": sleeps}), writes="text", effect="once")
    graph.add_node("again", asks, writes="text", effect="idempotent")
    graph.add_node("careful", lambda: "", writes="text", effect="once", fallback=asks)
    graph.add_path(START, "pay", "choose", "again", "careful", END)
    found = [problem for problem in graph.check() if problem.code == "waits_in_effect"]
    assert [(each.where, each.warning, each.message.partition(")")[0]) for each in found] == [
        ("node pay", False, "asks waits (ctx.ask"),
        ("node choose", False, "sleeps waits (ctx.sleep"),
    ]
    assert found[0].file == __file__
    assert "add_node(" in found[0].repair
    assert 'ctx.call(act, effect="once")' in found[0].repair
