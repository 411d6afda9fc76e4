"""A node with many children: it runs again for many ends at once, and no end is lost; on three stores."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from graphengine import Context, Graph, Runner
from graphengine.runner import shared
from graphengine.stores.base import InboxMessage
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import alone
from tests.worker.test_child_runs import Word, Words

NEVER_SECONDS = 1e4
gates: dict[str, asyncio.Event] = {}
runs_of_node: list[Sequence[str]] = []


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time wakes a node, only the end of the last child that moves."""
    gates.clear()
    runs_of_node.clear()
    monkeypatch.setattr(shared, "_AN_END_SECONDS", NEVER_SECONDS)


async def gated(word: str) -> int:
    """Return a length once the gate of a word is open."""
    await gates.setdefault(word, asyncio.Event()).wait()
    return len(word)


child = alone(Word, gated, "length", name="gated", node="gated")


async def counted(ctx: Context, words: list[str]) -> list[int]:
    """Return the lengths, each from a child, and note that it ran."""
    runs_of_node.append(words)
    runs = [await ctx.start(child, {"word": word}) for word in words]
    return [result.state.length for result in await asyncio.gather(*(run.result() for run in runs))]


def parents(function: object) -> Graph[Words]:
    """Return a graph with this one node."""
    return alone(Words, function, "lengths", name="counts", node="node")


async def until(holds: Callable[[], bool]) -> None:
    """Return once something holds."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what happens in a run sets no event
            await asyncio.sleep(0.001)


async def ended(runner: Runner, count: int) -> None:
    """Return once so many children have ended."""
    async with asyncio.timeout(20):
        while len(await runner.store.runs(graph="gated", status="finished")) < count:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)


async def test_a_node_runs_again_once_for_the_ends_of_all_its_children(database: Path | str) -> None:
    """Its run gets a step of each message, and one step for all waits that end with them."""
    words = [f"word{number}" for number in range(30)]
    async with Runner(database) as runner:
        run = runner.start(parents(counted), {"words": words}, run_id="p")
        await until(lambda: len(gates) == len(words))  # a child that was started and is not open yet does not move
        for gate in gates.values():
            gate.set()
        assert (await run.result()).state.lengths == [len(word) for word in words]
        kinds = [step.kind for step in await runner.store.steps("p")]
    assert len(runs_of_node) == 2
    assert (kinds.count("waiting"), kinds.count("message"), kinds.count("answered")) == (1, 30, 1)


async def test_an_end_waits_for_those_of_others_that_move_here(database: Path | str) -> None:
    """Two of three children have ended: the node does not run again before the third has, and then once."""
    async with Runner(database) as runner:
        run = runner.start(parents(counted), {"words": ["a", "bb", "ccc"]})
        await until(lambda: len(gates) == 3)
        for count, word in enumerate(("bb", "a"), 1):
            gates[word].set()
            await ended(runner, count)
        assert len(runs_of_node) == 1
        gates["ccc"].set()
        assert (await run.result()).state.lengths == [1, 2, 3]
    assert len(runs_of_node) == 2


async def test_an_end_wakes_a_node_after_a_time_although_others_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a node does with the first end may be what the others wait for."""
    monkeypatch.setattr(shared, "_AN_END_SECONDS", 0.0)

    async def first_opens_second(ctx: Context, words: list[str]) -> list[int]:
        one, two = [await ctx.start(child, {"word": word}) for word in words]
        waits = [asyncio.ensure_future(run.result()) for run in (one, two)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        gates["second"].set()
        return [result.state.length for result in await asyncio.gather(*waits)]

    async with Runner() as runner:
        run = runner.start(parents(first_opens_second), {"words": ["first", "second"]})
        await until(lambda: len(gates) == 2)
        gates["first"].set()
        assert (await run.result()).state.lengths == [5, 6]


class EndsLate(InMemoryStore):
    """Lets a child of run `p` end between each read of its inbox and the return of that, while it falls asleep."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__()
        self.left = list(words)

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:
        """Return what was there before the child ended."""
        found = await super().inbox(run_ids)
        if run_ids == ["p"] and self.left and (await self.info("p")).status == "waiting":
            gates.setdefault(self.left.pop(0), asyncio.Event()).set()
            more = len(found)
            while len(await super().inbox(["p"])) == more:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
            for _ in range(20):  # until the life of the child is over too
                await asyncio.sleep(0)
        return found


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_an_end_that_comes_while_the_inbox_is_read_is_not_lost(count: int) -> None:
    """A child ends after the inbox was read, and before the run sleeps."""
    words = ["a", "bb", "ccc"][:count]
    store = EndsLate(words)
    async with Runner(store) as runner:
        run = runner.start(parents(counted), {"words": words}, run_id="p")
        await until(lambda: len(store.left) < count)
        left, store.left = store.left, []
        for word in left:
            gates.setdefault(word, asyncio.Event()).set()
        async with asyncio.timeout(20):
            assert (await run.result()).state.lengths == [len(word) for word in words]
