"""Invalid numbers and infinite durations: refused where they are given, or read as no limit."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Context,
    Graph,
    Limits,
    Retry,
    RunFailed,
    Runner,
    ask,
)
from graphengine.agents import tool
from graphengine.errors import InputError
from graphengine.graph.options import is_seconds
from graphengine.history.load import load_snapshot
from graphengine.runner.run_events import StepRecorded
from tests.kit.runs import alone

NONE = [math.nan, -1.0, -math.inf]


class State(BaseModel):
    n: int = 0


def one(number: float) -> Graph[State]:
    """Return a graph whose node has a time limit."""
    return alone(State, lambda: 1, "n", timeout_seconds=number)


def add(a: int) -> int:
    """Add one."""
    return a + 1


def test_an_infinite_limit_is_none() -> None:
    """It is recorded as no limit."""
    for_ever: Any = math.inf
    assert Limits(visits=for_ever, tokens=for_ever, cost_usd=for_ever, seconds=for_ever).given() == {}
    assert tool(add, timeout_seconds=math.inf).timeout_seconds is None
    assert ask("Sure?", bool, timeout_seconds=math.inf, default=False).timeout_seconds is None
    assert one(math.inf).compile().nodes["work"].timeout_seconds is None
    assert is_seconds(Retry(max_seconds=math.inf).max_seconds)


@pytest.mark.parametrize("number", [*NONE, math.inf])
async def test_the_age_of_runs_that_go_is_finite(number: float) -> None:
    """With an infinite age, nothing is pruned."""
    async with Runner() as runner:
        with pytest.raises(InputError, match="older_than"):
            await runner.prune(older_than=number)
        assert (await runner.prune(older_than=timedelta(0))).runs == ()


@pytest.mark.parametrize("number", [math.nan, -math.inf, 1e300, "1"])
@pytest.mark.parametrize("what", ["sleep", "sleep_until"])
async def test_a_sleep_is_a_number_of_seconds(what: str, number: Any) -> None:
    """Anything else fails the node before it waits, and never spins."""

    async def naps(ctx: Context) -> int:
        await getattr(ctx, what)(number)
        return 1

    with pytest.raises(RunFailed, match=r"ctx\.sleep"):
        await alone(State, naps, "n").run()


@pytest.mark.parametrize("what", ["ask", "receive", "sleep", "sleep_until"])
async def test_a_wait_without_an_end_has_no_date(tmp_path: Path, what: str) -> None:
    """An infinite time is recorded as None."""

    async def waits(ctx: Context) -> int:
        if what.startswith("sleep"):
            await getattr(ctx, what)(math.inf)
        else:
            await getattr(ctx, what)("news", int, timeout_seconds=math.inf, default=1)
        return 1

    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(alone(State, waits, "n"))
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind == "waiting":
                break
        info = await runner.store.info(run.id)
        assert (info.status, info.due_at) == ("waiting", None)
        [wait] = (await load_snapshot(runner.store, run.id, None)).root.waits.values()
        assert wait.due is None
        await runner.stop(run.id)


@pytest.mark.parametrize("number", NONE)
async def test_a_wait_of_a_nodes_code_has_a_sensible_end(number: float) -> None:
    """A wait with a senseless end fails the node with the given value and the repair."""

    async def asks(ctx: Context) -> int:
        return await ctx.ask("How many?", int, timeout_seconds=number)

    graph = Graph("asks", State)
    graph.add_node("asks", asks, writes="n")
    graph.add_path(START, "asks", END)
    with pytest.raises(RunFailed, match="timeout_seconds"):
        await graph.run()
