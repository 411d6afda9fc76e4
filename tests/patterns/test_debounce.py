"""Debouncing: many starts with one key within a window become one run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import Graph, Runner, Worker, debounced
from graphengine.errors import DefinitionError, InputError
from graphengine.kernel.fake_clock import FakeClock
from tests.kit.runs import SOON, alone


class Page(BaseModel):
    url: str
    words: int = 0


def indexing() -> Graph[Page]:
    """Return the graph to start."""
    return alone(Page, lambda url: url.count(" "), "words", name="index", node="read")


INDEX = indexing()
LATER = debounced(INDEX, seconds=60)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test moves: one that jumps would end a window while a test waits for its start."""
    return FakeClock(start=1000.0, jumps=False)


async def ask_for(runner: Runner, key: str, url: str) -> None:
    """Ask for a run."""
    await runner.start_or_send(LATER, key, "start", {"url": url})


@asynccontextmanager
async def shown_if_late(runner: Runner) -> AsyncIterator[None]:
    """Fail after a minute with what there is."""
    try:
        async with asyncio.timeout(SOON):
            yield
    except TimeoutError:
        infos = await runner.store.runs()
        history = {info.id: [step.kind for step in await runner.history(info.id)] for info in infos}
        pytest.fail(f"{infos}\n{await runner.store.inbox([info.id for info in infos])}\n{history}")


async def begun(runner: Runner, count: int) -> list[str]:
    """Return what the runs of the graph were started with, once there are so many."""
    async with shown_if_late(runner):
        while len(found := await runner.runs(graph="index", status="finished")) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return sorted([(await runner.state_at(info.id))["url"] for info in found])


async def woken(runner: Runner, *keys: str) -> None:
    """Let the runs of keys go on that are due, as a worker does."""
    for key in keys:
        await runner.drive(key, LATER)


async def settled(runner: Runner, *keys: str) -> None:
    """Return once the runs of keys have received what was sent, and wait for the end of their windows."""
    async with shown_if_late(runner):
        while True:
            inbox, infos = await runner.store.inbox(keys), await runner.store.infos(keys)  # taken first, then waiting
            if not inbox and all(info.status == "waiting" and info.due_at is not None for info in infos):
                return
            await asyncio.sleep(0.01)


async def test_the_last_of_many_starts_begins_once(database: Path | str) -> None:
    """Two processes start at once, each key has its own run, and the window begins again with each start."""
    clock = FakeClock(start=1000.0, jumps=False)
    async with Runner(database, clock=clock) as one, Runner(database, clock=clock) as other:
        await asyncio.gather(*(ask_for(each, "a", f"a{n}") for n, each in enumerate((one, other, one, other))))
        await ask_for(other, "b", "b")
        await settled(one, "a", "b")
        clock.move(59)
        await ask_for(other, "a", "last")
        await settled(one, "a")
        clock.move(2)
        await woken(one, "a", "b")
        assert await begun(one, 1) == ["b"]
        clock.move(60)
        await woken(other, "a", "b")
        assert await begun(one, 2) == ["b", "last"]
        await ask_for(one, "a", "again")
        await settled(one, "a")
        clock.move(61)
        await woken(one, "a", "b")
        assert await begun(one, 3) == ["again", "b", "last"]


async def test_a_start_survives_the_processes(database: Path | str) -> None:
    """They end before the window is over; a worker begins the run. None ends the run of a key."""
    clock = FakeClock(start=1000.0, jumps=False)
    async with Runner(database, clock=clock) as first:
        await ask_for(first, "a", "a")
        await settled(first, "a")
    clock.move(100)
    async with Runner(database, clock=clock) as second:
        worker = Worker(second, LATER, INDEX, poll_seconds=0.01)
        working = asyncio.create_task(worker.run())
        assert await begun(second, 1) == ["a"]
        run = await second.start_or_send(LATER, "a", "start", None)
        assert (await run.result()).label == "no more"
        worker.stop()
        await working


async def test_a_start_that_is_wrong_is_refused_alone(timed: Runner, clock: FakeClock) -> None:
    """What does not fit the state is refused when it is sent, and what came before it stays."""
    await ask_for(timed, "a", "a")
    await settled(timed, "a")
    with pytest.raises(InputError, match="not a message on 'start'"):
        await timed.start_or_send(LATER, "a", "start", {"link": "b"})
    await settled(timed, "a")
    clock.move(61)
    await woken(timed, "a")
    assert await begun(timed, 1) == ["a"]


@pytest.mark.parametrize("seconds", [0, -1, "60", None])
def test_a_window_that_is_none_is_refused(seconds: object) -> None:
    """It is refused where it is written."""
    with pytest.raises(DefinitionError, match="debounced"):
        debounced(INDEX, seconds=seconds)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_start_waits_at_most_for_its_longest_time(database: Path | str) -> None:
    """Starts that come all the time are followed by a run after `max_seconds`; the next window begins anew."""
    later = debounced(INDEX, seconds=60, max_seconds=150)
    clock = FakeClock(start=1000.0, jumps=False)

    async def run_due(runner: Runner, count: int) -> list[str]:
        await runner.drive("a", later)
        return await begun(runner, count)

    async with Runner(database, clock=clock) as runner:
        for number in range(4):  # at 0, 50, 100 and 149 seconds
            await runner.start_or_send(later, "a", "start", {"url": f"u{number}"})
            await settled(runner, "a")
            clock.move(49 if number == 2 else 50 if number < 3 else 0)
        (info,) = await runner.store.infos(["a"])
        assert info.due_at == 1150.0
        clock.move(1)
        assert await run_due(runner, 1) == ["u3"]
        await runner.start_or_send(later, "a", "start", {"url": "v"})
        await settled(runner, "a")
        (info,) = await runner.store.infos(["a"])
        assert info.due_at == 1210.0
        clock.move(61)
        assert await run_due(runner, 2) == ["u3", "v"]


def test_no_start_waits_at_most_for_less_than_the_window() -> None:
    """The error names both times."""
    with pytest.raises(DefinitionError, match=r"max_seconds=5 is less than seconds=60"):
        debounced(INDEX, seconds=60, max_seconds=5)
