"""Nodes that block the event loop are named, while they do and afterwards."""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.runner import life
from graphengine.runner import loop_watchdog as watch
from graphengine.runner.threads import _outcome_of

BLOCKED_SECONDS = 0.1
HELD_SECONDS = 0.4
PATIENCE_SECONDS = 20.0
LOGGED = threading.Event()
"""Set when something is logged."""


class State(BaseModel):
    text: str = ""


class Listener(logging.Handler):
    """Notices warnings, in any thread."""

    def emit(self, record: logging.LogRecord) -> None:
        """Notify the code that waits for one."""
        LOGGED.set()


@pytest.fixture(autouse=True)
def listener() -> Iterator[None]:
    """Notice this test's warnings."""
    LOGGED.clear()
    listener = Listener()
    watch.log.addHandler(listener)
    yield
    watch.log.removeHandler(listener)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a watchdog of this test's own that checks often."""
    monkeypatch.setattr(watch, "BLOCKED_SECONDS", BLOCKED_SECONDS)
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(watch, "_IDLE_LOOKS", 25)
    monkeypatch.setattr(life, "WATCH", watch.LoopWatch())


def hold() -> str:
    """Block the loop until a warning is logged, and at least for a while."""
    began = time.monotonic()
    while time.monotonic() < began + (HELD_SECONDS if LOGGED.is_set() else PATIENCE_SECONDS):
        sum(range(100))
    return "held"


async def holding() -> str:
    """Block the loop in a coroutine."""
    return hold()


async def in_task() -> str:
    """Block the loop in a task."""

    async def inner() -> str:
        return hold()

    return (await asyncio.gather(inner()))[0]


async def waiting() -> str:
    """Wait without blocking the loop."""
    await asyncio.sleep(HELD_SECONDS)
    return "waited"


def resting() -> str:
    """Block a thread, which is allowed."""
    time.sleep(HELD_SECONDS)
    return "rested"


def graph(function: Callable[..., object], *, thread: bool | None = None) -> Graph[State]:
    """Return a graph of one node."""
    made = Graph("watched", State)
    if thread is None:
        made.add_node("work", function, writes="text")
    else:
        made.add_node("work", function, writes="text", thread=thread)
    made.add_path(START, "work", END)
    return made


async def warnings_of(made: Graph[State], caplog: pytest.LogCaptureFixture, store: Path | None = None) -> list[str]:
    """Return what is logged while a graph runs."""
    async with Runner(store) as runner:
        await runner.start(made, run_id="r").result()
        await asyncio.sleep(0.05)  # the loop moves again, which is logged now
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("kept", [False, True], ids=["memory", "sqlite"])
@pytest.mark.parametrize(
    ("made", "place"),
    [(graph(holding), "holding"), (graph(hold, thread=False), "hold"), (graph(in_task), "inner")],
    ids=["async", "sync", "task"],
)
async def test_a_node_that_blocks_the_loop_is_named(
    made: Graph[State], place: str, caplog: pytest.LogCaptureFixture, tmp_path: Path, *, kept: bool
) -> None:
    """The warnings have the node, the run, the function with its line, the repair, and then the duration."""
    held, over = await warnings_of(made, caplog, tmp_path / "runs.db" if kept else None)
    found = re.fullmatch(
        r"node work \(run r\) has held the event loop for (?P<seconds>\d\.\d) s, so that nothing else runs: "
        r"(?P<place>\S+) \((?P<file>.+):\d+\)\n  repair: make it a plain function .*",
        held,
    )
    assert found, held
    assert (found["place"], found["file"]) == (place, __file__)
    duration = re.fullmatch(r"node work \(run r\) held the event loop for (\d\.\d) s; it moves again", over)
    assert duration, over
    assert float(duration[1]) >= BLOCKED_SECONDS


@pytest.mark.parametrize("made", [graph(waiting), graph(resting)], ids=["waits", "in a thread"])
async def test_a_node_that_does_not_block_is_not_named(made: Graph[State], caplog: pytest.LogCaptureFixture) -> None:
    """A node that does not block is not named, however long it takes."""
    assert await warnings_of(made, caplog) == []


async def test_a_place_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    """A node that blocks the loop at each visit does not fill the log."""
    assert len(await warnings_of(graph(holding), caplog)) == 2
    assert len(await warnings_of(graph(holding), caplog)) == 2


async def test_code_outside_the_nodes_that_blocks_the_loop_is_named_by_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The program's own code blocks the loop while a run is driven."""
    begun, leave = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        begun.set()
        await leave.wait()
        return "left"

    async with Runner() as runner:
        run = runner.start(graph(work), run_id="r")
        await begun.wait()
        hold()
        leave.set()
        await run.result()
    text = caplog.records[0].getMessage()
    assert not text.startswith("node ")
    assert f"{__file__}:" in text


async def test_a_suspended_process_does_not_count_as_a_busy_one(caplog: pytest.LogCaptureFixture) -> None:
    """The time for which the whole process was suspended does not count."""
    for asleep_seconds, duration in ((1000.0, 0), (0.0, 1)):
        watched = watch.Loop(asyncio.get_running_loop(), {})
        watched.look(0.0, set())
        time.sleep(2 * BLOCKED_SECONDS)  # noqa: ASYNC251 - nothing else is to move
        watched.look(asleep_seconds, set())
        assert len(caplog.records) == duration


async def test_the_watchdog_ends_when_nothing_is_driven() -> None:
    """Its thread exists while runs are driven and a little longer, and starts again for the next run."""
    for _ in range(2):
        before, during = set(threading.enumerate()), set[threading.Thread]()

        async def work(during: set[threading.Thread] = during) -> str:
            during.update(threading.enumerate())
            return "seen"

        await graph(work).run()
        (own,) = [each for each in during - before if each.name == "graphengine-watch"]
        await asyncio.to_thread(own.join, PATIENCE_SECONDS)
        assert not own.is_alive()


class Looked:
    """A loop whose callbacks run when the test decides."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        """Keep the callback."""
        self.callbacks.append(callback)


def test_a_loop_that_answers_during_a_check_is_asked_again() -> None:
    """The checking thread does not undo what the loop's own thread recorded meanwhile."""
    loop = Looked()
    watched = watch.Loop(loop, {})  # type: ignore[arg-type]

    class Answering(float):
        def __radd__(self, other: float) -> float:  # as soon as the time of the question was read
            loop.callbacks.pop()()
            return other + float(self)

    watched.look(0.0, set())
    watched.look(Answering(0.0), set())
    watched.look(0.0, set())
    assert len(loop.callbacks) == 1


def slow(text: str) -> bool:
    """Hold for long: a slow condition."""
    return hold() == text


async def test_a_condition_that_blocks_the_loop_is_named_itself(caplog: pytest.LogCaptureFixture) -> None:
    """The engine's code that calls it is not named, and no thread is proposed, since conditions have none."""
    made = Graph("watched", State)
    made.add_node("work", lambda: "held", writes="text")
    made.add_edge(START, "work")
    made.add_edge("work", END, when=slow)
    held, _ = await warnings_of(made, caplog)
    assert f": slow ({__file__}:" in held
    assert "repair: do slow work in a node" in held


def test_the_engines_own_work_is_not_reported() -> None:
    """Work of a library that it calls is not either: no user could repair it."""
    over = threading.Event()
    thread = threading.Thread(target=_outcome_of, args=(over.wait,))
    thread.start()
    try:
        for _ in range(100):
            assert watch.holder_of(thread.ident or 0) is None
    finally:
        over.set()
        thread.join()
