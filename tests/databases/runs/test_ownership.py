"""A process that was suspended past its lease begins no node of a run that another process has taken."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import LeaseLost
from graphengine.kernel.fake_clock import FakeClock
from graphengine.kernel.testing.kit import refused
from graphengine.runner.runner import lives_of
from graphengine.stores.base import Append

AWAY_SECONDS = 60.0


class State(BaseModel):
    first: int = 0
    second: int = 0
    other: int = 0


class Suspended(SQLiteStore):
    """A store whose process is suspended right after the step of node `first` is durable.

    Args:
        path: The file.
        clock: The machine's clock.
        taken: Whether another process takes the run meanwhile.
    """

    def __init__(self, path: Path, clock: FakeClock, *, taken: bool) -> None:
        super().__init__(path, synchronous="NORMAL")
        self._clock = clock
        self._taken = taken
        self.empty = 0

    def append(self, batch: Append) -> asyncio.Future[None] | None:
        pending = super().append(batch)
        self.empty += not batch.steps
        if any(step.node == "first" for step in batch.steps):
            assert pending is None
            self._clock.move(AWAY_SECONDS)
            if self._taken:
                with closing(sqlite3.connect(self.path)) as other, other:
                    other.execute("UPDATE runs SET fence = fence + 1, driver = 'another'")
        return pending


def graph(begun: list[str], *, forks: bool) -> Graph[State]:
    """Return a graph START → first → second → END, or with `second` in one arm and `other` in another."""

    def second() -> int:
        begun.append("second")
        return 1

    made = Graph("two", State)
    made.add_node("first", lambda: 1, writes="first")
    made.add_node("second", second, writes="second")
    made.add_edge(START, "first")
    if not forks:
        made.add_path("first", "second", END)
    else:
        made.add_node("other", second, writes="other")
        made.add_node("merge", lambda: None)
        made.add_fork("first", ["second", "other"], join="merge")
        made.add_edge("other", "merge")
        made.add_edge("second", "merge")
        made.add_edge("merge", END)
    return made


@pytest.mark.parametrize("forks", [False, True])
async def test_no_node_begins_if_another_process_has_the_run(tmp_path: Path, *, forks: bool) -> None:
    """The run ends here with the lost lease; its next node is the other process's."""
    begun: list[str] = []
    clock = FakeClock()
    async with Runner(Suspended(tmp_path / "runs.db", clock, taken=True), clock=clock) as runner:
        with refused(LeaseLost):
            await runner.start(graph(begun, forks=forks)).result()
    assert begun == []


@pytest.mark.parametrize("forks", [False, True])
async def test_a_run_that_nobody_took_goes_on(tmp_path: Path, *, forks: bool) -> None:
    """The store is asked once, before the next node."""
    begun: list[str] = []
    clock = FakeClock()
    store = Suspended(tmp_path / "runs.db", clock, taken=False)
    async with Runner(store, clock=clock) as runner:
        result = await runner.start(graph(begun, forks=forks)).result()
    assert (result.status, len(begun), store.empty) == ("finished", 1 + forks, 1)


class Doubted(SQLiteStore):
    """A store that doubts its lease right after the append that ends a run is durable, before its Runner knows that."""

    runner: Runner

    def append(self, batch: Append) -> asyncio.Future[None] | None:
        pending = super().append(batch)
        if batch.status == "finished":
            assert pending is not None
            driving = lives_of(self.runner).shared.driven[batch.run_id].driving
            assert driving is not None
            asks = driving.confirm()
            pending.add_done_callback(lambda _: next(asks.__await__(), None))
        return pending


async def test_a_run_that_has_just_ended_is_not_taken_for_lost(tmp_path: Path) -> None:
    """1. Its last append gives its lease back. 2. The connection was lost for a moment: is it still driven here?"""
    store = Doubted(tmp_path / "runs.db", synchronous="FULL")
    async with Runner(store) as runner:
        store.runner = runner
        assert (await runner.start(graph([], forks=False), run_id="r").result()).status == "finished"
