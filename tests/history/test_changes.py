"""Following runs: one loop a store looks for all followers, and misses nothing."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

import pytest
from msgspec.structs import replace
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ask
from graphengine.errors import RunnerClosed, StoreError, UnknownRun
from graphengine.history import changes
from graphengine.history.changes import Polled, poke, polled
from graphengine.kernel.testing.kit import append, batch, new_run, step, waiting_run
from graphengine.runner import NodeBegan, StatusChanged, StepRecorded
from graphengine.runner.run_events import Event
from graphengine.stores.base import InboxMessage, RunInfo
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import SOON, alone

T = TypeVar("T")
NEVER = 3600.0


class State(BaseModel):
    text: str = ""


class Watched(InMemoryStore):
    """A store that counts its calls, and can say that nothing was written, that a driver died, or that it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = Counter[str]()
        self.hides = False
        self.dead: set[str] = set()
        self.fails = 0
        self._called = asyncio.Event()

    def _call(self, name: str) -> None:
        self.calls[name] += 1
        self._called.set()

    async def called(self, name: str, times: int) -> None:
        """Return once something was called so often."""
        while self.calls[name] < times:
            self._called.clear()
            await self._called.wait()

    async def change_token(self) -> str:
        self._call("change_token")
        return "the same" if self.hides else await super().change_token()

    async def info(self, run_id: str) -> RunInfo:
        self._call("info")
        return await super().info(run_id)

    async def infos(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        self._call("infos")
        if self.fails:
            self.fails -= 1
            message = "for once"
            raise StoreError(message)
        found = await super().infos(run_ids)
        return [replace(info, driver=None) if info.id in self.dead else info for info in found]

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:
        self._call("inbox")
        return await super().inbox(run_ids)

    async def moved(self, seqs: Mapping[str, int]) -> Sequence[str]:
        self._call("moved")
        return await super().moved(seqs)


@pytest.fixture
async def store() -> AsyncGenerator[Watched, None]:
    """Yield an open store."""
    made = Watched()
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look a thousand times a second."""
    monkeypatch.setattr(changes, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(changes, "_LEAST_SECONDS", 0.001)


@pytest.fixture
def rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look only when a follower joins or is woken: a test that needs another look hangs."""
    monkeypatch.setattr(changes, "_LOOK_SECONDS", NEVER)
    monkeypatch.setattr(changes, "_DEATH_SECONDS", NEVER)


@asynccontextmanager
async def following(store: Watched, run_id: str = "r") -> AsyncGenerator[Callable[[], Awaitable[Polled]], None]:
    """Follow a run: yield what returns its next change."""
    async with aclosing(polled(store, await store.info(run_id), 0)) as polls:
        yield lambda: asyncio.wait_for(anext(polls), SOON)


def loops() -> list[asyncio.Task[object]]:
    """Return the loops that look."""
    return [
        task for task in asyncio.all_tasks() if task.get_name() == "graphengine followers" and not task.cancelling()
    ]


@pytest.mark.usefixtures("often")
async def test_followers_of_runs_that_rest_read_nothing_while_nobody_writes(store: Watched) -> None:
    """However many they are: only the token is read."""
    names = [f"r{number}" for number in range(30)]
    for name in names:
        await waiting_run(store, name)
    polls = [polled(store, await store.info(name), 0) for name in names]
    for each in polls:
        await anext(each)
    waiting = [asyncio.ensure_future(anext(each)) for each in polls]
    await store.called("change_token", 5)
    store.calls.clear()
    await store.called("change_token", 20)
    assert store.calls.keys() == {"change_token"}
    assert len(loops()) == 1
    await store.post("r7", "answer", {"wait": "w", "id": "i", "value": 1}, "k")
    info, steps, posted = await asyncio.wait_for(waiting[7], SOON)
    assert (info.id, steps, list(posted)) == ("r7", (), ["i"])
    assert store.calls["infos"] < 3
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.usefixtures("often")
async def test_a_driver_that_dies_is_noticed_although_it_writes_nothing(
    store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs at work are read now and then whatever the token."""
    monkeypatch.setattr(changes, "_DEATH_SECONDS", 0.01)
    await new_run(store)
    store.hides = True
    async with following(store) as changed:
        assert (await changed())[0].driver is not None
        store.dead.add("r")
        assert (await changed())[0].driver is None


@pytest.mark.usefixtures("rarely")
async def test_what_was_written_before_the_follower_joined_is_seen_at_once(store: Watched) -> None:
    """The token of that write is known by then: it was read for another follower."""
    fence = await new_run(store)
    await waiting_run(store, "other")
    before = await store.info("r")
    async with following(store, "other") as other:
        await other()
        waiting = asyncio.ensure_future(other())
        await store.called("change_token", 1)
        await append(store, batch("r", fence, [step(1)]))
        async with aclosing(polled(store, before, 0)) as polls:
            found = [(await asyncio.wait_for(anext(polls), SOON))[0].seq for _ in range(2)]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert found == [0, 1]


@pytest.mark.usefixtures("rarely")
async def test_a_turn_that_begins_and_ends_before_the_follower_waits_is_seen_at_once(store: Watched) -> None:
    """1. A follower reads that a run waits. 2. It is answered, driven here and over. 3. The follower waits."""
    graph = alone(State, ask("Which?", str), "text")
    async with Runner(store) as runner:
        await runner.start(graph, run_id="r").result()
        async with following(store) as changed:
            assert (await changed())[0].status == "waiting"
            waiting = asyncio.ensure_future(changed())
            await store.called("change_token", 1)
            poke(store, "r")
            await waiting
            run = await runner.answer("r", "this", graph)
            await run.result()
            while (info := (await changed())[0]).status != "finished":
                pass
            assert info.seq > 1


@pytest.mark.usefixtures("rarely")
async def test_an_answer_given_here_is_shown_before_it_is_taken_up(store: Watched) -> None:
    """What lives in this process wakes those who follow."""
    async with Runner(store) as runner:
        await runner.start(alone(State, ask("Which?", str), "text"), run_id="r").result()
        events = runner.watch("r")
        while not isinstance(await asyncio.wait_for(anext(events), SOON), StatusChanged):
            pass
        waiting = asyncio.ensure_future(anext(events))
        await store.called("change_token", 1)
        await runner.answer("r", "this")
        shown = await asyncio.wait_for(waiting, SOON)
        assert isinstance(shown, StatusChanged)
        assert [wait.answered is not None for wait in shown.waits] == [True]
        await events.aclose()


@pytest.mark.usefixtures("rarely")
async def test_a_run_that_is_driven_here_is_followed_live_from_its_beginning(store: Watched) -> None:
    """A follower of a waiting run sees what the node emits after it."""
    graph = Graph("two", State)
    graph.add_node("asked", ask("Which?", str), writes="text")
    graph.add_node("work", lambda: "done", writes="text", thread=False)
    graph.add_path(START, "asked", "work", END)
    async with Runner(store) as runner:
        await runner.start(graph, run_id="r").result()

        async def watch() -> list[Event]:
            return [event async for event in runner.watch("r", graph)]

        watching = asyncio.create_task(watch())
        await store.called("change_token", 1)
        result = await (await runner.answer("r", "this", graph)).result()
        seen = await asyncio.wait_for(watching, SOON)
    assert [event.path for event in seen if isinstance(event, NodeBegan)] == ["work"]
    assert [event.seq for event in seen if isinstance(event, StepRecorded)] == [*range(1, result.seq + 1)]


@pytest.mark.usefixtures("often")
async def test_a_run_that_is_removed_ends_its_followers(store: Watched) -> None:
    """Also one that was begun again under the same id; the others go on."""
    for name in ("r", "again"):
        await append(store, batch(name, await new_run(store, name), [step(1)], "stopped"))
    await waiting_run(store, "other")
    async with following(store) as removed, following(store, "again") as again, following(store, "other") as other:
        for each in (removed, again, other):
            await each()
        await store.remove([await store.info("r"), await store.info("again")])
        await new_run(store, "again", created_at=200.0, count=2)
        for each in (removed, again):
            with pytest.raises(UnknownRun):
                await each()
        await store.post("other", "answer", {"wait": "w", "id": "i", "value": 1}, "k")
        assert list((await other())[2]) == ["i"]


@pytest.mark.usefixtures("often")
async def test_a_store_that_closes_ends_its_followers() -> None:
    """They raise, as any call of the store does."""
    store = Watched()
    await store.open()
    await waiting_run(store)
    async with following(store) as changed:
        await changed()
        await store.close()
        with pytest.raises(RunnerClosed):
            await changed()
    await asyncio.sleep(0)
    assert not loops()


@pytest.mark.usefixtures("often")
async def test_a_look_that_fails_once_is_made_up_for(store: Watched) -> None:
    """Each follower reads its run itself, and goes on if it can."""
    fence = await new_run(store)
    async with following(store) as changed:
        await changed()
        store.fails = 1
        await append(store, batch("r", fence, [step(1)]))
        while (await changed())[0].seq != 1:
            pass
        assert not store.fails
        await append(store, batch("r", fence, [step(2)]))
        while (await changed())[0].seq != 2:
            pass


async def test_a_look_that_fails_as_an_answer_is_posted_is_made_up_for(
    store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. Another process posts it. 2. The look that finds it fails; its token is known. 3. The inbox is read."""
    monkeypatch.setattr(changes, "_LOOK_SECONDS", 0.001)
    graph = alone(State, ask("Which?", str), "text")
    async with Runner(store) as runner:
        await runner.start(graph, run_id="r").result()
        async with following(store) as changed:
            assert not (await changed())[2]
            waiting = asyncio.ensure_future(changed())
            await store.called("change_token", 1)
            store.fails = 1
            with monkeypatch.context() as elsewhere:
                elsewhere.setattr(changes, "_CHANGES", {})
                await runner.answer("r", "this")
            while not (await waiting)[2]:
                waiting = asyncio.ensure_future(changed())


async def test_a_follower_that_joins_as_the_last_one_leaves_misses_nothing(
    store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. A loop has just looked, and ends. 2. The next one begins. 3. Another process writes: its token is new."""
    monkeypatch.setattr(changes, "_LOOK_SECONDS", 0.2)
    await waiting_run(store, "other")
    await waiting_run(store)
    other = polled(store, await store.info("other"), 0)
    await anext(other)
    first = asyncio.ensure_future(anext(other))
    await store.called("infos", 1)
    async with following(store) as changed:
        await changed()
        first.cancel()
        second = asyncio.ensure_future(changed())
        await store.called("infos", 2)
        fence = await store.claim("r")
        await append(store, batch("r", fence, [step(2)], "finished"))
        assert (await second)[0].status == "finished"
    await asyncio.gather(first, return_exceptions=True)


@pytest.mark.usefixtures("often")
async def test_a_follower_that_is_cancelled_takes_no_other_with_it(store: Watched) -> None:
    """The loop ends with the last one, and begins again with the next."""
    fence = await new_run(store)

    async def follow(seq: int) -> None:
        async with aclosing(polled(store, await store.info("r"), 0)) as polls:
            async for info, _, _ in polls:
                if info.seq == seq:
                    return

    one, two = asyncio.create_task(follow(1)), asyncio.create_task(follow(1))
    await store.called("change_token", 2)
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    await append(store, batch("r", fence, [step(1)]))
    await asyncio.wait_for(two, SOON)
    assert not loops()
    await append(store, batch("r", fence, [step(2)]))
    await asyncio.wait_for(follow(2), SOON)
    poke(store, "r")  # nobody follows


async def test_each_event_loop_has_followers_of_its_own() -> None:
    """Stores of several threads do not wake each other, and one event loop's end does not keep those of the next."""
    gate = threading.Barrier(2)

    async def in_a_loop() -> int:
        store = Watched()
        await store.open()
        fence = await new_run(store)
        async with following(store) as changed:
            await changed()
            gate.wait(SOON)
            await append(store, batch("r", fence, [step(1)]))
            poke(store, "r")
            while not (info := (await changed())[0]).seq:
                pass
        return info.seq

    threads = [asyncio.to_thread(asyncio.run, in_a_loop()) for _ in range(2)]
    assert await asyncio.gather(*threads) == [1, 1]
