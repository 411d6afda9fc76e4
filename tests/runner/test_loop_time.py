"""Code that holds the event loop is reported while it holds the event loop."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, Runner, choose
from graphengine.engine.failures import failure_record
from graphengine.engine.steps import FailureRecord
from graphengine.runner import held_loops
from tests.kit.runs import alone

FOREVER = 60.0
"""Longer than a report can take on the slowest machine."""


class State(BaseModel):
    text: str = ""
    other: str = ""


class Reports(logging.Handler):
    """The reports, and whether there is one yet."""

    def __init__(self) -> None:
        super().__init__()
        self.first = threading.Event()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a report, which another thread makes."""
        self.messages.append(record.getMessage())
        self.first.set()


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reports]:
    """Let the turns of the watching thread be short; provide what it reports."""
    monkeypatch.setattr(held_loops, "TURN_SECONDS", 0.01)
    made = Reports()
    held_loops.log.addHandler(made)
    yield made
    held_loops.log.removeHandler(made)


def nodes(reports: Reports) -> dict[str, Callable[..., object]]:
    """Return nodes that hold the event loop until that is reported."""

    def hold() -> str:
        assert reports.first.wait(FOREVER)
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

    async def hold_in_a_task() -> str:
        async def child() -> None:
            hold()

        await asyncio.gather(child())
        return "held"

    return {each.__name__: each for each in (hold, hold_after_a_wait, hold_and_raise, wait, hold_in_a_task)}


async def reports_of(graph: Graph[State], reports: Reports) -> list[str]:
    """Return what is reported while a graph runs."""
    async with Runner() as runner:
        with suppress(RunFailed):
            await runner.start(graph, run_id="r").result()
    return [message for message in reports.messages if " has held the event loop" in message]


@pytest.mark.parametrize("forked", [False, True], ids=["alone", "in a fork"])
@pytest.mark.parametrize("name", ["hold", "hold_after_a_wait", "hold_and_raise"])
async def test_a_node_that_holds_the_event_loop_is_named_while_it_does(
    name: str, reports: Reports, *, forked: bool
) -> None:
    """The report has the node, the run, the repair and the line that is executed. The node waits for the report."""
    graph = Graph("watched", State)
    graph.add_node("work", nodes(reports)[name], writes="text", thread=False)
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
    first, *_ = await reports_of(graph, reports)
    head, repair, *stack = first.splitlines()
    assert head.startswith("node work (run r) has held the event loop of process ")
    assert repair.startswith("  repair: make it a plain function")
    assert any("reports.first.wait(FOREVER)" in line for line in stack)
    assert not any("graphengine/runner" in line for line in stack)


@pytest.mark.parametrize("chosen", [False, True])
async def test_a_function_in_a_thread_is_not_blamed(
    reports: Reports, monkeypatch: pytest.MonkeyPatch, *, chosen: bool
) -> None:
    """What holds the loop is not its code, which runs in a thread: the repair is about its values."""
    hold = nodes(reports)["hold"]

    def described(*given: Any) -> FailureRecord:
        hold()
        return failure_record(*given)

    def fail() -> str:
        raise ValueError

    monkeypatch.setattr("graphengine.runner.attempt.failure_record", described)
    work = choose("text", {"": fail}) if chosen else fail
    first, *_ = await reports_of(alone(State, work, "text", name="watched"), reports)
    assert "its code has a thread, so its values took long" in first
    assert "make it a plain function" not in first


@pytest.mark.parametrize("name", ["wait", "hold_in_a_task"])
async def test_code_beside_the_nodes_is_reported_and_no_node_is_blamed_for_it(name: str, reports: Reports) -> None:
    """A task of a node is named as the node from Python 3.12 on; a callback is nobody's."""
    first, *_ = await reports_of(alone(State, nodes(reports)[name], "text", name="watched"), reports)
    is_known = name == "hold_in_a_task" and sys.version_info >= (3, 12)
    assert first.startswith("node work (run r) has" if is_known else "a task beside the nodes of run r has held")


class Turns(held_loops.LoopWatch):
    """A watch whose turns the test takes."""

    def begin(self) -> None:
        """Start no thread."""

    @property
    def waits_for_no_answer(self) -> bool:
        """Whether the event loop owes no sign of life."""
        return self._has_answered


async def test_a_loop_is_reported_again_once_it_was_held_four_times_as_long(reports: Reports) -> None:
    """A hang of a day has some ten reports; a pause that is shorter than four turns has none; the end has one."""
    watch = Turns({"r"})
    for _ in range(1 + 3):
        watch.look()
    await asyncio.sleep(0)  # it answers
    assert reports.messages == []
    for _ in range(1 + 70):
        watch.look()
    assert len(reports.messages) == 3  # after 4, 16 and 64 turns
    await asyncio.sleep(0)
    assert "is free again, after " in reports.messages[-1]
    for _ in range(1 + 4):
        watch.look()
    assert len(reports.messages) == 5


async def test_a_loop_on_which_no_run_is_driven_is_not_asked() -> None:
    """It is not woken. When it is closed, there is nothing to watch any more."""
    driven = {"r"}
    watch = Turns(driven)
    watch.look()
    await asyncio.sleep(0)  # it answers
    driven.clear()
    watch.look()
    assert watch.waits_for_no_answer
    assert not watch.is_over


@pytest.mark.parametrize("name", [None, "runs.db"])
async def test_a_runner_is_watched_from_its_first_run_until_it_is_closed(name: str | None, tmp_path: Path) -> None:
    """So a program that opens a Runner for each run keeps nothing of those that are closed."""
    watched = held_loops._watched  # noqa: SLF001 - of all Runners of the process
    before = watched.copy()
    async with Runner(name and tmp_path / name) as runner:
        assert watched == before
        await runner.start(alone(State, lambda: "", "text")).result()
        assert len(watched - before) == 1
    assert watched <= before
