"""Prunes in parts, vacuum, and retention by several workers; `sessions` has which runs are kept, and why."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Context, Graph, RunFailed, Runner, iterations
from graphengine.errors import RunExists
from graphengine.records import retention
from graphengine.records.trends import trends
from tests.kit.runs import alone, repeated


class State(BaseModel):
    n: int = 0
    ok: bool = False


def counting(*, fails: bool = False) -> Graph[State]:
    """Return a graph that counts to 3, or fails."""

    async def more(n: int) -> int:
        if fails:
            raise ValueError(n)
        return n + 1

    return repeated(State, more, "n", iterations("more") >= 3, name="counting", node="more")


async def end(runner: Runner, run_id: str, *, fails: bool = False, **options: Any) -> None:
    """End a run, as finished or failed."""
    with suppress(RunFailed):
        await runner.start(counting(fails=fails), run_id=run_id, **options).result()


async def test_a_vacuum_returns_two_sizes(tmp_path: Path) -> None:
    """They are those of the file and its log before and after."""
    path = tmp_path / "runs.db"
    async with Runner(path) as runner:
        for number in range(120):
            await end(runner, f"r{number}")
        await runner.admin.prune(keep_last=1)
        found = await runner.admin.vacuum()
        assert found.after_bytes == path.stat().st_size
        assert found.after_bytes < found.before_bytes
        assert (await runner.history("r119"))[-1].seq == 4


async def test_a_start_under_the_id_of_a_removed_run_begins_anew() -> None:
    """Its effects have the same keys again, by which a service that still knows them does not repeat them."""
    keys: list[str] = []

    async def pays(ctx: Context) -> int:
        keys.append(ctx.idempotency_key)
        return len(keys)

    graph = alone(State, pays, "n", effect="idempotent")
    async with Runner() as runner:
        for times in (1, 2):
            assert (await runner.start(graph, run_id="order-7").result()).state.n == times
            with pytest.raises(RunExists):
                await runner.start(graph, run_id="order-7").result()
            assert (await runner.admin.prune(older_than=0)).runs == ("order-7",)
    assert keys[0] == keys[1]


async def test_long_reads_let_other_runs_move_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trends give way after each group, and a prune that only reports what it would do after each batch."""
    monkeypatch.setattr(retention, "_BATCH", 1)
    turns, ends = 0, False

    async def move() -> None:
        nonlocal turns
        while not ends:
            turns += 1
            await asyncio.sleep(0)

    async with Runner() as runner:  # its store is in memory, and never waits
        for number in range(20):
            await end(runner, f"r{number}", tags=[f"tag {number}"])
        moving = asyncio.create_task(move())
        found = await trends(runner.store, by="tag")
        during_trends, turns = turns, 0
        pruned = await retention.prune(runner.store, retention.rule(0, None, (), None, ["finished"]), 0.0, dry_run=True)
        ends = True
        await moving
    assert len(found.trends) == len(pruned.runs) == 20
    assert during_trends >= 20
    assert turns >= 20
