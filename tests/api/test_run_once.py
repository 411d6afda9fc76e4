"""`runner.run(graph, state, run_id=…)`: one run for an id, whoever calls, how often, and whatever ends in between."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import pytest
from pydantic import BaseModel, Field

from graphengine import END, START, Context, Graph, Limits, RunFailed, Runner, Secret, Worker, ask
from graphengine.errors import DefinitionError, RunExists
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import SOON

RUN: Final = "2026-11-01"


class Report(BaseModel):
    """A report of a day; `made` is anew each time."""

    day: str = "monday"
    factor: int = 1
    made: list[int] = Field(default_factory=list)
    total: int = 0


def report(add: Callable[..., object], **options: Any) -> Graph[Report]:
    """Return a graph of one node."""
    graph = Graph("report", Report, **options)
    graph.add_node("add", add, writes="total")
    graph.add_path(START, "add", END)
    return graph


async def test_a_finished_run_is_returned_and_not_run_again(tmp_path: Path) -> None:
    """Also by another process, and with no state, or with the fields that it was given."""
    calls: list[int] = []

    def add() -> int:
        calls.append(1)
        return len(calls)

    graph = report(add)
    for state in (Report(day="monday"), {"day": "monday"}, None, Report()):
        async with Runner(tmp_path / "r.db") as runner:
            for _ in range(2):
                assert (await runner.run(graph, state, run_id=RUN)).state.total == 1
    assert len(calls) == 1


async def test_another_input_is_an_error_that_shows_the_difference() -> None:
    """The values of both, and the names of the others; another graph too."""
    async with Runner() as runner:
        await runner.run(report(lambda: 1), {"day": "monday", "factor": 2}, run_id=RUN)
        said = """began with day="monday", not with day="sunday", and with other values of 'factor'\n"""
        with pytest.raises(RunExists, match=said):
            await runner.run(report(lambda: 1), Report(day="sunday", factor=3), run_id=RUN)
        other = Graph("other", Report)
        other.add_path(START, END)
        with pytest.raises(RunExists, match="belongs to graph 'report', not to 'other'"):
            await runner.run(other, run_id=RUN)


async def test_a_secret_is_compared_and_not_shown() -> None:
    """The same one is the same run; another one is named, and its value is in no error."""

    class Key(Report):
        key: Annotated[str, Secret()] = "first-secret-value"

    graph = Graph("report", Key, secret_key="k9fQ2mZx81LrTbVn4Wc7Hs0aYpEd6GuJ")  # noqa: S106 - of a test
    graph.add_node("add", lambda: 1, writes="total")
    graph.add_path(START, "add", END)
    async with Runner() as runner:
        for _ in range(2):
            await runner.run(graph, {"key": "first-secret-value"}, run_id=RUN)
        with pytest.raises(RunExists, match="began with another 'key'") as refused:
            await runner.run(graph, {"key": "other-secret-value"}, run_id=RUN)
        assert "secret-value" not in str(refused.value)


async def test_a_default_of_today_is_not_held_against_a_run_of_yesterday(tmp_path: Path) -> None:
    """A deployment that changes a default does not refuse the call that began the run."""
    async with Runner(tmp_path / "r.db") as runner:
        await runner.run(report(lambda: 1), {"day": "monday"}, run_id=RUN)

    class Report2(Report):
        factor: int = 9

    graph = Graph("report", Report2)
    graph.add_node("add", lambda: 1, writes="total")
    graph.add_path(START, "add", END)
    async with Runner(tmp_path / "r.db") as runner:
        assert (await runner.run(graph, {"day": "monday"}, run_id=RUN)).state.factor == 1


async def test_a_failed_run_is_tried_again_if_that_is_asked() -> None:
    """Otherwise the failure is raised again: whether a request is sent again is not whether a day is tried again."""
    calls: list[int] = []

    def add() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("no space left")
        return 6

    async with Runner() as runner:
        for _ in range(2):
            with pytest.raises(RunFailed, match="no space left"):
                await runner.run(report(add), run_id=RUN)
        assert len(calls) == 1
        assert (await runner.run(report(add), run_id=RUN, resume=True)).state.total == 6


async def test_a_stopped_run_too() -> None:
    """With higher limits it reaches its end."""
    graph = report(lambda: 1)
    async with Runner() as runner:
        assert (await runner.run(graph, run_id=RUN, limits=Limits(visits=0))).status == "stopped"
        assert (await runner.run(graph, run_id=RUN)).status == "stopped"
        result = await runner.run(graph, run_id=RUN, resume=True, limits=Limits(visits=5))
        assert result.status == "finished"


async def test_callers_at_the_same_time_get_one_run(tmp_path: Path) -> None:
    """In one process and in several: each waits for the end, whoever has begun it."""
    calls: list[int] = []
    gate, entered = asyncio.Event(), asyncio.Event()

    async def add() -> int:
        calls.append(1)
        entered.set()
        await gate.wait()
        return len(calls)

    async with Runner(tmp_path / "r.db") as one, Runner(tmp_path / "r.db") as two, asyncio.timeout(SOON):
        asked = [asyncio.create_task(each.run(report(add), run_id=RUN)) for each in (one, one, two, two)]
        await entered.wait()
        gate.set()
        assert [(await each).state.total for each in asked] == [1, 1, 1, 1]


async def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    """The process that drove it has ended; what is recorded is not done again."""
    calls: list[str] = []
    graph, gate, entered = Graph("report", Report), asyncio.Event(), asyncio.Event()

    async def total() -> int:
        calls.append("total")
        entered.set()
        await gate.wait()
        return 6

    graph.add_node("first", lambda: calls.append("first"))
    graph.add_node("total", total, writes="total")
    graph.add_path(START, "first", "total", END)
    async with Runner(tmp_path / "r.db") as runner, asyncio.timeout(SOON):
        asked = asyncio.create_task(runner.run(graph, run_id=RUN))
        await entered.wait()
    assert (await asked).status == "running"  # its Runner has closed
    gate.set()
    async with Runner(tmp_path / "r.db") as runner, asyncio.timeout(SOON):
        assert (await runner.run(graph, run_id=RUN)).state.total == 6
    assert calls == ["first", "total", "total"]


async def test_a_run_of_a_worker_is_waited_for(tmp_path: Path) -> None:
    """Queued, it is left to the worker."""

    async def add(ctx: Context) -> int:
        await ctx.sleep(0.01)
        return 6

    graph = report(add)
    async with Runner(tmp_path / "r.db") as runner, asyncio.timeout(SOON):
        await runner.start(graph, run_id=RUN, queue="q").result()
        asked = asyncio.create_task(runner.run(graph, run_id=RUN))
        worker = Worker(runner, graph, queues=["q"], poll_seconds=0.01)
        working = asyncio.create_task(worker.run())
        assert (await asked).state.total == 6
        worker.stop()
        await working


async def test_a_run_that_asks_goes_on_with_its_answer() -> None:
    """The result says what it waits for; the same call continues it."""
    graph = Graph("report", Report)
    graph.add_node("ask", ask("How many?", int), writes="total")
    graph.add_path(START, "ask", END)
    async with Runner() as runner:
        result = await runner.run(graph, run_id=RUN)
        assert [wait.question for wait in result.waits] == ["How many?"]
        assert (await runner.run(graph, run_id=RUN)).status == "waiting"
        await runner.answer(RUN, 6, wait=result.waits[0])
        assert (await runner.run(graph, run_id=RUN)).state.total == 6


async def test_a_run_that_is_removed_in_between_begins_anew() -> None:
    """Another caller was faster, and its run was removed: the loop asks once more."""

    class Racing(InMemoryStore):
        looks = 0

        async def infos(self, run_ids: Any) -> Any:
            found = await super().infos(run_ids)
            self.looks += 1
            return [] if self.looks == 1 else found

    store = Racing()
    async with Runner(store) as runner:
        await runner.start(report(lambda: 1), run_id=RUN).result()
        store.looks = 0
        assert (await runner.run(report(lambda: 1), run_id=RUN)).state.total == 1


@pytest.mark.parametrize("option", [{"chat": "ada"}, {"idempotency_key": "1"}, {"day": "monday"}])
async def test_options_of_agents_are_refused(option: dict[str, str]) -> None:
    """A graph has no turns, and its state is one mapping."""
    async with Runner() as runner:
        given: Any = option
        with pytest.raises(
            DefinitionError, match=f"{next(iter(option))}= is only for runs of an agent, but 'report' is a graph"
        ):
            await runner.run(report(lambda: 1), **given)


async def test_cancelling_the_task_that_awaits_a_run_does_not_end_the_run() -> None:
    """The run belongs to its Runner: only the wait ends, and whoever asks for the run's id gets its result."""
    begun, leave = asyncio.Event(), asyncio.Event()

    async def add() -> int:
        begun.set()
        await leave.wait()
        return 5

    async with Runner() as runner:
        waiting = asyncio.create_task(runner.run(report(add), run_id=RUN))
        await begun.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await runner.info(RUN)).status == "running"
        leave.set()
        assert (await runner.run(report(add), run_id=RUN)).state.total == 5
