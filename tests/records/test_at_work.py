"""What a running run is doing is found in what is recorded, in each store."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, Runner, Secret
from graphengine.records.at_work import AtWork, DrivingProcess, at_work_words, load_at_work
from graphengine.records.json_document import run_now_document
from graphengine.records.now import load_now
from graphengine.records.retention import remove
from graphengine.runner.run_events import StepRecorded
from graphengine.stores.base import Store

MARK = "hunter2"
"""What is in the state."""
KEY = "a key of these tests, which is long enough to be one"
LONG_SECONDS = 3600.0


class Words(BaseModel):
    words: list[str] = []
    lengths: list[int] = []
    key: Annotated[str, Secret] = ""
    agreed: bool = False


class Gate:
    """Nodes that begin, and stay at work until they are let go."""

    def __init__(self, count: int = 1) -> None:
        self._missing, self.began, self.open = count, asyncio.Event(), asyncio.Event()

    async def hold(self) -> None:
        """Begin, and return when this is let go."""
        self._missing -= 1
        if self._missing == 0:
            self.began.set()
        await self.open.wait()

    @asynccontextmanager
    async def at_work(self, runner: Runner, graph: Graph[Words], **state: object) -> AsyncIterator[None]:
        """Run a graph, and enter the block when its nodes have begun."""
        run = runner.start(graph, state, run_id="r")
        await self.began.wait()
        yield
        self.open.set()
        await run.result()


def hanging(gate: Gate) -> Graph[Words]:
    """Return a graph whose second node stays at work."""

    async def fetch(key: str) -> None:
        del key
        await gate.hold()

    graph = Graph("hang", Words, secret_key=KEY)
    graph.add_node("plan", lambda: ["a"], writes="words")
    graph.add_node(fetch)
    graph.add_path(START, "plan", "fetch", END)
    return graph


async def find(store: Store) -> AtWork | None:
    """Return what the run is doing."""
    return (await load_at_work(store, await store.infos(["r"]))).get("r")


async def test_the_nodes_the_last_step_and_the_process_are_found(runner: Runner) -> None:
    """A run that has ended is doing nothing."""
    gate, store = Gate(), runner.store
    async with gate.at_work(runner, hanging(gate)):
        found = await find(store)
        assert found is not None
        (node,), last = found.nodes, found.last_step
        assert (node.path, node.node, node.visit, node.attempt, node.due) == ("fetch", "fetch", 1, 1, None)
        assert node.since == last.at == (await store.info("r")).updated_at
        assert (last.seq, last.kind, last.path, last.age_seconds >= 0) == (2, "node", "plan", True)
        assert (found.more, found.process) == (0, DrivingProcess(socket.gethostname(), os.getpid()))
        assert at_work_words(found, last.at + 90).startswith("at fetch for 1 min 30 s; last step 2, 1 min 30 s ago; ")
    assert await find(store) is None


async def test_of_many_items_the_first_are_named_and_the_others_counted(runner: Runner) -> None:
    """A map can have thousands of items at work."""
    gate = Gate(30)

    async def measure(word: str) -> int:
        await gate.hold()
        return len(word)

    graph = Graph("wide", Words, secret_key=KEY)
    graph.add_node(measure, each={"word": "words"}, writes="lengths", concurrency=30)
    graph.add_path(START, "measure", END)
    async with gate.at_work(runner, graph, words=["a"] * 40):
        found = await find(runner.store)
        assert found is not None
        assert [node.path for node in found.nodes] == [f"measure[{number}]" for number in range(20)]
        assert found.more == 10
        assert "and 27 nodes more" in at_work_words(found, 0.0)


async def test_an_attempt_that_an_answer_began_anew_is_as_old_as_the_answer(runner: Runner) -> None:
    """The time for which a node waited is none in which it was at work."""
    gate = Gate()

    async def confirm(ctx: Context) -> bool:
        agreed = await ctx.ask("Go on?", bool)
        await gate.hold()
        return agreed

    graph = Graph("asked", Words, secret_key=KEY)
    graph.add_node(confirm, writes="agreed")
    graph.add_path(START, "confirm", END)
    assert (await runner.start(graph, run_id="r").result()).status == "waiting"
    await runner.answer("r", value=True)
    run = runner.resume("r", graph)
    await gate.began.wait()
    found = await find(runner.store)
    assert found is not None
    steps = await runner.store.steps("r")
    assert found.nodes[0].since == max(step.at for step in steps if step.kind in ("answered", "resumed"))
    gate.open.set()
    await run.result()


async def test_a_node_that_waits_for_its_next_attempt_has_the_time_of_that(runner: Runner) -> None:
    """The process drives the run meanwhile, and the node is not at work."""

    async def fetch() -> None:
        raise OSError

    graph = Graph("flaky", Words, secret_key=KEY)
    graph.add_node(fetch, retry=Retry(attempts=2, initial_seconds=LONG_SECONDS, max_seconds=LONG_SECONDS, jitter=0))
    graph.add_path(START, "fetch", END)
    run = runner.start(graph, run_id="r")
    async for event in run.events():
        if isinstance(event, StepRecorded) and event.step.kind == "attempt":
            break
    found = await find(runner.store)
    assert found is not None
    (node,) = found.nodes
    assert (node.attempt, node.due) == (2, found.last_step.at + LONG_SECONDS)
    assert at_work_words(found, found.last_step.at).startswith("at fetch (attempt 2) in 1 h; last step 2, ")
    await runner.stop("r", now=True)
    await run.result()


async def test_no_value_of_the_state_is_in_it(runner: Runner) -> None:
    """A secret field of the state is as little in it as any other field."""
    gate = Gate()
    async with gate.at_work(runner, hanging(gate), words=[MARK], key=MARK):
        found = await find(runner.store)
        assert found is not None
        assert MARK not in repr(found)
        info, snapshot = await runner.store.info("r"), await load_now(runner.store, "r")
        assert run_now_document(info, snapshot, found).at_work == found


async def test_a_removed_run_is_left_out(runner: Runner) -> None:
    """A run can be erased between the read of a list and the read of what its runs are doing."""
    gate = Gate()
    async with gate.at_work(runner, hanging(gate)):
        infos = await runner.store.infos(["r"])
    await remove(runner.store, {info.id: info for info in await runner.store.infos(["r"])}, {}, dry_run=False)
    assert await load_at_work(runner.store, infos) == {}
