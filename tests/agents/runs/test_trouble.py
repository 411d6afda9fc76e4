"""Runners under trouble: threads, closing at odd moments, failing resources, errors that do not count as crashes."""

import asyncio

from graphengine import (
    Agent,
    Retry,
    Runner,
)
from tests.kit.runs import outlast
from tests.runner.test_trouble import State, one


async def test_a_stand_in_that_times_out_is_waited_for() -> None:
    """An agent's sync stand-in runs in the runner's pool: no two attempts run in parallel."""
    running: list[int] = [0, 0]
    loop = asyncio.get_running_loop()

    def slow(n: int) -> str:
        running[0] += 1
        running[1] = max(running)
        outlast(loop, 0.05)
        running[0] -= 1
        return str(n)

    agent = Agent("slow", by_rules=slow)
    again = Retry(attempts=3, initial_seconds=0)
    graph = one(agent, writes="text", timeout_seconds=0.01, retry=again, fallback="late")
    assert (await graph.run()).state.text == "late"
    assert running == [0, 1]


async def test_an_agent_in_a_sync_node_needs_no_second_thread() -> None:
    """An agent in a sync node runs with one thread in the pool: it does not wait for itself."""
    shout = Agent("shout", prompt="{word}", by_rules=lambda word: word.upper())

    def work(text: str) -> str:
        return asyncio.run(shout.run(word=text))

    async with Runner(threads=1) as runner:
        assert (await runner.start(one(work, writes="text"), State(text="a")).result()).state.text == "A"
