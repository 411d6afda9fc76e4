"""A node that runs alone, beside time, cancellation and secrets; `run_node.txt` shows what it gives."""

import asyncio
import gc
import secrets
import weakref
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import Context
from graphengine.errors import InvalidUpdate
from graphengine.testing import FakeClock, run_node
from tests.kit.runs import alone


class Login(BaseModel):
    user: str = ""


class Locked(Login):
    token: SecretStr


async def test_a_secret_is_not_shown() -> None:
    """It is hidden in the state and in the return value."""

    async def work(token: SecretStr) -> object:
        assert token.get_secret_value() == "hush-hush"
        return 3

    graph = alone(Locked, work, "user", secret_key=secrets.token_urlsafe(32))
    with pytest.raises(InvalidUpdate) as caught:
        await run_node(graph, "work", {"token": "hush-hush"})
    notes = "\n".join(caught.value.__notes__)
    assert "hush-hush" not in notes
    assert "token=…" in notes


async def test_a_cancelled_test_ends_the_node() -> None:
    """A timeout around it does the same."""

    async def work() -> str:
        await asyncio.sleep(60)
        return ""

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await run_node(alone(Login, work, "user"), "work")


async def test_a_clock_of_the_test_is_used() -> None:
    """With a clock that is advanced by hand, the node waits until the test advances it."""

    async def work(ctx: Context) -> str:
        await ctx.sleep(60)
        return f"{ctx.now():.0f}"

    clock = FakeClock(start=0.0, jumps=False)
    running = asyncio.create_task(run_node(alone(Login, work, "user"), "work", clock=clock))
    while "1 asleep" not in repr(clock):  # noqa: ASYNC110 - no event reports a sleeper
        await asyncio.sleep(0)
    clock.move(61)

    assert (await running).update == {"user": "61"}


async def test_what_a_node_held_whose_update_does_not_fit_is_freed() -> None:
    """The exception of the update has the frames of the step, which has it."""
    held: weakref.WeakSet[asyncio.Event] = weakref.WeakSet()

    async def work() -> Any:
        held.add(made := asyncio.Event())
        return made

    for _ in range(2):
        with suppress(InvalidUpdate):
            await run_node(alone(Login, work, "user"), "work", {})
    gc.collect()
    assert not held
