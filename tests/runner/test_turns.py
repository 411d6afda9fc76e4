"""What a run costs its event loop."""

import asyncio

import pytest

from graphengine import Runner
from tests.runner.gates import one


async def plus_one(n: int) -> int:
    """Do not suspend."""
    return n + 1


async def test_a_run_whose_nodes_do_not_suspend_takes_two_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run moves in the first turn of the event loop, and its caller continues in the next one."""
    monkeypatch.setattr("graphengine.runner.driving._TURN_SECONDS", float("inf"))  # else a busy machine adds turns
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(count)

    loop = asyncio.get_running_loop()
    async with Runner() as runner:
        run = runner.start(one("turns", plus_one))
        loop.call_soon(count)
        await run.result()
        assert turns == 1
