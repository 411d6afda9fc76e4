"""Situations of public reports on engines that no other test has; docs/project/reported.md lists all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from graphengine import Runner
from tests.kit.runs import alone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphengine import Context


class State(BaseModel):
    """A word."""

    word: str = ""


async def caught(ctx: Context) -> str:
    """Catch exceptions."""
    try:
        return await ctx.ask("Well?", str)
    except Exception:  # noqa: BLE001 - as such a node does
        return "caught"


async def caught_all(ctx: Context) -> str:
    """Catch everything."""
    try:
        return await ctx.ask("Well?", str)
    except BaseException:  # noqa: BLE001 - as such a node does
        return "caught"


async def cleaned(ctx: Context) -> str:
    """Await in a finally."""
    try:
        return await ctx.ask("Well?", str)
    finally:
        await asyncio.sleep(0)


async def waited_for(ctx: Context) -> str:
    """Wait with a time."""
    return await asyncio.wait_for(ctx.ask("Well?", str), 60)


async def in_time(ctx: Context) -> str:
    """Wait in a block with a time."""
    async with asyncio.timeout(60):
        return await ctx.ask("Well?", str)


async def shielded(ctx: Context) -> str:
    """Shield the question."""
    return await asyncio.shield(ctx.ask("Well?", str))


async def gathered(ctx: Context) -> str:
    """Take exceptions as results."""
    (found,) = await asyncio.gather(ctx.ask("Well?", str), return_exceptions=True)
    return str(found)


async def grouped(ctx: Context) -> str:
    """Catch groups of exceptions."""
    word = "unasked"
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ctx.ask("Well?", str))
        word = task.result()
    except* Exception:  # noqa: BLE001 - as such a node does
        word = "caught"
    return word


WAYS = [caught, caught_all, cleaned, waited_for, in_time, shielded, gathered, grouped]


@pytest.mark.parametrize("ask", WAYS)
async def test_a_question_is_asked_whatever_is_around_it(ask: Callable[[Context], Awaitable[str]]) -> None:
    """The run waits, and has the answer; the annotations are known to type checkers alone."""
    graph = alone(State, ask, "word")
    async with Runner() as runner:
        assert (await runner.start(graph, run_id="r").result()).status == "waiting"
        assert (await (await runner.answer("r", "yes", graph)).result()).state.word == "yes"
