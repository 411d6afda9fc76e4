"""A node that holds the event loop is named."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, Runner, choose
from graphengine.engine.failures import failure_record
from graphengine.engine.steps import FailureRecord
from graphengine.runner import attempt
from tests.kit.runs import alone

HELD_SECONDS = 2.5


class State(BaseModel):
    text: str = ""
    other: str = ""


class Watch:
    """The time that the step of a node reads."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Let the test set the time."""
    made = Watch()
    monkeypatch.setattr(attempt, "monotonic", made.monotonic)
    return made


def nodes(watch: Watch) -> dict[str, Callable[..., object]]:
    """Return nodes during which time passes."""

    def hold() -> str:
        watch.now += HELD_SECONDS
        return "held"

    async def hold_after_a_wait() -> str:
        await asyncio.sleep(0)
        return hold()

    async def hold_and_raise() -> str:
        hold()
        raise ValueError

    async def wait() -> str:
        asyncio.get_running_loop().call_soon(hold)  # while the node waits
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "waited"

    return {each.__name__: each for each in (hold, hold_after_a_wait, hold_and_raise, wait)}


async def warnings_of(graph: Graph[State], caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what is logged while a graph runs."""
    async with Runner() as runner:
        with suppress(RunFailed):
            await runner.start(graph, run_id="r").result()
    return [record.getMessage() for record in caplog.records if record.name == attempt.log.name]


@pytest.mark.parametrize("forked", [False, True], ids=["alone", "in a fork"])
@pytest.mark.parametrize("name", ["hold", "hold_after_a_wait", "hold_and_raise"])
async def test_a_node_that_holds_the_event_loop_is_named(
    name: str, watch: Watch, caplog: pytest.LogCaptureFixture, *, forked: bool
) -> None:
    """One warning has the node, the run, the seconds and the repair."""
    graph = Graph("watched", State)
    graph.add_node("work", nodes(watch)[name], writes="text", thread=False)
    if forked:
        graph.add_node("other", lambda: "x", writes="other")
        graph.add_node("start", dict, thread=False)
        graph.add_node("join", dict, thread=False)
        graph.add_fork("start", ["work", "other"], join="join")
        graph.add_edge(START, "start")
        for each in ("work", "other"):
            graph.add_edge(each, "join")
        graph.add_edge("join", END)
    else:
        graph.add_path(START, "work", END)
    (warning,) = await warnings_of(graph, caplog)
    assert warning.startswith("node work (run r) held the event loop for 2.5 s, so that nothing else ran\n  repair: ")


@pytest.mark.parametrize("chosen", [False, True])
async def test_a_function_in_a_thread_is_not_blamed(
    watch: Watch, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, *, chosen: bool
) -> None:
    """What holds the loop is not its code, which runs in a thread: the repair is about its values."""
    hold = nodes(watch)["hold"]

    def described(*given: Any) -> FailureRecord:
        hold()
        return failure_record(*given)

    def fail() -> str:
        raise ValueError

    monkeypatch.setattr("graphengine.runner.attempt.failure_record", described)
    work = choose("text", {"": fail}) if chosen else fail
    (warning,) = await warnings_of(alone(State, work, "text", name="watched"), caplog)
    assert "its code has a thread, so its values took long" in warning
    assert "make it a plain function" not in warning


async def test_a_node_that_waits_is_not_named(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    """While it waits, other code may hold the loop."""
    graph = alone(State, nodes(watch)["wait"], "text", name="watched")
    assert await warnings_of(graph, caplog) == []
    assert watch.now == HELD_SECONDS
