"""Invalid numbers and infinite durations: refused where they are given, or read as no limit."""

import math
from collections.abc import Callable
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
    Worker,
    ask,
)
from graphengine.agents import mcp, tool
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import CompileError, DefinitionError, InputError
from graphengine.graph.options import is_seconds
from graphengine.history.load import load_snapshot
from graphengine.models import AnthropicModel, OpenAIChatModel, RateLimiter
from graphengine.patterns import circuit_breaker
from graphengine.patterns.circuits import Guarded
from graphengine.runner.run_events import StepRecorded
from tests.kit.runs import alone

NONE = [math.nan, -1.0, -math.inf]
ODD = [*NONE, math.inf, 1e300]


class State(BaseModel):
    n: int = 0


def one(number: float) -> Graph[State]:
    """Return a graph whose node has a time limit."""
    return alone(State, lambda: 1, "n", timeout_seconds=number)


def add(a: int) -> int:
    """Add one."""
    return a + 1


@pytest.mark.parametrize("number", ODD)
@pytest.mark.parametrize(
    "made",
    [
        lambda number: Retry(initial_seconds=number),
        lambda number: Retry(multiplier=number) if number < 1e300 else Retry(multiplier=math.inf),
        lambda number: Retry(jitter=number),
        lambda number: mcp("http://127.0.0.1:1/", timeout_seconds=number),
        lambda number: AnthropicModel("claude-x", timeout_seconds=number),
        lambda number: OpenAIChatModel("gpt-x", timeout_seconds=number),
        lambda number: RateLimiter(pause_seconds=number),
        lambda number: circuit_breaker(Guarded, add, add, answer="circuit", pause_seconds=number),
        lambda number: SQLiteStore("runs.db", lease_seconds=number),
        lambda number: SQLiteStore("runs.db", busy_timeout_seconds=number),
        lambda number: Worker(Runner(), poll_seconds=number),
    ],
    ids=["wait", "multiplier", "jitter", "mcp", "anthropic", "openai", "limiter", "circuit", "lease", "busy", "poll"],
)
def test_lengths_of_time_are_finite(made: Callable[[float], object], number: float) -> None:
    """A duration that must end is refused if it is infinite, with the value and the repair."""
    with pytest.raises(DefinitionError) as caught:
        made(number)
    assert caught.value.repair


@pytest.mark.parametrize("number", [*NONE, 1e300])
@pytest.mark.parametrize(
    "made",
    [
        lambda number: one(number).compile(),
        lambda number: ask("Sure?", bool, timeout_seconds=number),
        lambda number: tool(add, timeout_seconds=number),
    ],
    ids=["node", "ask", "tool"],
)
def test_limits_of_time_are_numbers(made: Callable[[float], object], number: float) -> None:
    """A limit that is not a duration is refused, with the value and the repair."""
    with pytest.raises((DefinitionError, CompileError), match="timeout_seconds"):
        made(number)


@pytest.mark.parametrize("number", NONE)
@pytest.mark.parametrize("name", ["visits", "tokens", "cost_usd", "seconds"])
def test_limits_of_runs_are_numbers(name: str, number: float) -> None:
    """A limit that is not a number, or below 0, is refused."""
    with pytest.raises(DefinitionError, match=name):
        Limits(**{name: number})  # type: ignore[arg-type]


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
