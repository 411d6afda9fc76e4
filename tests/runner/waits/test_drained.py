"""A node that receives what has come already goes on in the same attempt, and its log is that of one that ran again."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, value
from graphengine.engine.steps import Step, Waiting
from graphengine.errors import WaitTimeout
from graphengine.history.load import Wait, load_snapshot, waits_of
from graphengine.kernel.fake_clock import FakeClock


class State(BaseModel):
    """How many messages there are, and what was received."""

    count: int = 0
    items: list[int] = []
    got: list[int] = []


class Drain:
    """A node that receives messages until it has as many as it should, and counts its attempts."""

    def __init__(self) -> None:
        self.attempts = 0

    async def __call__(self, ctx: Context, count: int) -> list[int]:
        """Receive them."""
        self.attempts += 1
        return [await ctx.receive("in", int) for _ in range(count)]


def draining(function: Any) -> Graph[State]:
    """Return a graph whose one node receives."""
    graph = Graph("draining", State)
    graph.add_node("drain", function, writes="got")
    graph.add_path(START, "drain", END)
    return graph


async def filled(runner: Runner, graph: Graph[State], count: int, messages: int, run_id: str = "r") -> None:
    """Start a run that waits for its first message, and send it some."""
    run = runner.start(graph, State(count=count), run_id=run_id)
    await run.result()
    for number in range(messages):
        await run.send("in", number)


@pytest.mark.parametrize("count", [3, 30])
async def test_a_mailbox_is_drained_in_one_attempt(count: int) -> None:
    """The first wait of a visit ends its attempt. The others, of which the message is there, do not."""
    drain = Drain()
    graph = draining(drain)
    async with Runner() as runner:
        await filled(runner, graph, count, count)
        result = await runner.resume("r", graph).result()
    assert result.state.got == list(range(count))
    assert drain.attempts == 1 + 1


async def test_the_log_is_that_of_a_node_that_runs_again() -> None:
    """A process that dies at any step goes on as before, since each wait and each message has its own steps."""
    logs: list[Sequence[Step]] = []
    for runs_again in (False, True):
        drain = Drain()
        graph = draining(drain)
        async with Runner(run_again=runs_again) as runner:
            await filled(runner, graph, 5, 5)
            await runner.resume("r", graph).result()
            logs.append(await runner.history("r"))
        assert drain.attempts == (6 if runs_again else 2)
    assert [(step.kind, step.attempt, step.update) for step in logs[0]] == [
        (step.kind, step.attempt, step.update) for step in logs[1]
    ]


async def test_it_waits_when_the_mailbox_is_empty() -> None:
    """A run that waits holds nothing: its node ends, and runs again when more has come."""
    drain = Drain()
    graph = draining(drain)
    async with Runner() as runner:
        await filled(runner, graph, 6, 3)
        result = await runner.resume("r", graph).result()
        assert (result.status, drain.attempts) == ("waiting", 2)
        for number in range(3, 6):
            await runner.send("r", "in", number)
        result = await runner.resume("r", graph).result()
    assert result.state.got == list(range(6))
    assert drain.attempts == 3


async def test_recorded_calls_between_messages_are_made_once() -> None:
    """What an attempt records between two messages is not repeated, neither in it nor in the next one."""
    calls: list[int] = []

    async def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    async def drain(ctx: Context, count: int) -> list[int]:
        return [await ctx.call(double, await ctx.receive("in", int)) for _ in range(count)]

    graph = draining(drain)
    async with Runner() as runner:
        await filled(runner, graph, 4, 3)
        assert (await runner.resume("r", graph).result()).status == "waiting"
        await runner.send("r", "in", 3)
        result = await runner.resume("r", graph).result()
    assert result.state.got == [0, 2, 4, 6]
    assert calls == [0, 1, 2, 3]


async def test_a_message_of_another_type_is_refused_and_the_next_is_received() -> None:
    """The refusal is recorded in the attempt that goes on."""
    drain = Drain()
    graph = draining(drain)
    async with Runner() as runner:
        run = runner.start(graph, State(count=3), run_id="r")
        for given in (0, 1, "word", 2):  # before it waits, nobody knows the type
            await run.send("in", given)
        result = await run.result()
    assert result.state.got == [0, 1, 2]
    assert drain.attempts == 2


async def test_a_race_of_two_topics_goes_on_with_the_message_that_has_come() -> None:
    """The other wait stays open, and is withdrawn by the node."""

    async def drain(ctx: Context, count: int) -> list[int]:
        got: list[int] = []
        while len(got) < count:
            waits = [asyncio.create_task(ctx.receive(topic, int)) for topic in ("in", "other")]
            done, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for each in left:
                each.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            got += [each.result() for each in done]
        return got

    graph = draining(drain)
    async with Runner() as runner:
        await filled(runner, graph, 3, 3)
        result = await runner.resume("r", graph).result()
    assert (result.status, result.state.got) == ("finished", [0, 1, 2])


async def test_two_items_that_wait_for_one_message_do_not_both_end() -> None:
    """One of them receives it. The other waits for its time, and no longer than that, while a third one works."""
    clock, working, times = FakeClock(start=100.0, jumps=False), asyncio.Event(), list[float]()

    async def drain(ctx: Context, item: int) -> int:
        if item == 2:
            await working.wait()
            return 0
        first = await ctx.receive(f"first {item}", int)
        try:
            return first + await ctx.receive("in", int, timeout_seconds=60)
        except WaitTimeout:
            times.append(clock.now())
            return -1

    graph = Graph("items", State)
    graph.add_node("drain", drain, each={"item": "items"}, writes="got")
    graph.add_path(START, "drain", END)
    async with Runner(clock=clock) as runner:
        run = runner.start(graph, State(items=[0, 1, 2]), run_id="r")
        await run.send("in", 7)
        await until(runner, lambda waits: len(waits) == len("01"))
        await asyncio.gather(*(run.send(f"first {item}", 7) for item in (0, 1)))
        await until(runner, lambda waits: [wait.due_at for wait in waits] == [160.0])
        assert not times
        clock.move(61)
        working.set()
        result = await run.result()
    assert sorted(result.state.got) == [-1, 0, 14]
    assert times == [161.0]


async def until(runner: Runner, holds: Callable[[Sequence[Wait]], bool]) -> None:
    """Return when the waits of the run are as they should be."""
    while not holds(waits_of(await load_snapshot(runner.store, "r", None))):  # noqa: ASYNC110 - no event reports it
        await asyncio.sleep(0)


async def test_the_names_of_waits_are_those_of_a_node_that_runs_again() -> None:
    """The name of a wait that the node gave up is not given to another one."""

    async def race(ctx: Context, count: int) -> list[int]:
        got: list[int] = []
        while len(got) < count:
            waits = [asyncio.create_task(ctx.receive(topic, int)) for topic in ("other", "in")]
            done, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for each in left:
                each.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            got += [each.result() for each in waits if each in done]
        return got

    logs: list[list[list[str]]] = []
    for runs_again in (False, True):
        graph = draining(race)
        async with Runner(run_again=runs_again) as runner:
            await filled(runner, graph, 4, 4)
            assert (await runner.resume("r", graph).result()).state.got == [0, 1, 2, 3]
            facts = [step.data for step in await runner.history("r")]
            logs.append([[*each.waits] for each in facts if isinstance(each, Waiting)])
    assert logs[0] == logs[1]


class Rounds(BaseModel):
    """How often the fork was visited, and what its arms received."""

    n: int = 0
    x: int = 0
    y: int = 0


async def test_an_arm_that_a_join_dropped_while_it_was_suspended_begins_again() -> None:
    """The fork is visited again at once, and its arms come back under the same ids."""

    async def send(ctx: Context, n: int) -> int:
        for topic in ("go b", "go c", "in"):
            ctx.send(topic, n)
        return n + 1

    def arm(topic: str) -> Callable[[Context], Any]:
        async def receive(ctx: Context) -> int:
            await ctx.receive(topic, int)
            return await ctx.receive("in", int)

        return receive

    graph = Graph("rounds", Rounds)
    graph.add_node("a", send, writes="n")
    graph.add_node("b", arm("go b"), writes="x")
    graph.add_node("c", arm("go c"), writes="y")
    graph.add_node("d", lambda n: None)
    graph.add_edge(START, "a")
    graph.add_fork("a", ["b", "c"], join="d", need=1)
    graph.add_edge("b", "d")
    graph.add_edge("c", "d")
    graph.add_edge("d", "a", when=value("n") < 6)
    graph.add_edge("d", END)
    async with Runner() as runner:
        result = await runner.start(graph).result()
    assert (result.status, result.state.n) == ("finished", 6)


async def test_a_message_that_has_come_is_received_before_the_time_is_over(tmp_path: Path) -> None:
    """Another process sent the second one: it is in the store, and not in this process, when both items look."""
    sent = asyncio.Event()

    async def drain(ctx: Context, item: int) -> int:
        await ctx.receive(f"first {item}", int)
        if item == 0:
            await other.send("r", "in", 8)
            sent.set()
        await sent.wait()
        return await ctx.receive("in", int, timeout_seconds=0, default=-1)

    graph = Graph("items", State)
    graph.add_node("drain", drain, each={"item": "items"}, writes="got")
    graph.add_path(START, "drain", END)
    async with Runner(tmp_path / "r.db") as runner, Runner(tmp_path / "r.db") as other:
        run = runner.start(graph, State(items=[0, 1]), run_id="r")
        await run.result()
        await run.send("in", 7)
        for item in (0, 1):
            await run.send(f"first {item}", item)
        result = await runner.resume("r", graph).result()
    assert sorted(result.state.got) == [7, 8]
