"""Errors of runs whose results nobody retrieves: each is logged once, with the traceback of the user's code."""

import asyncio
import gc
import logging
import secrets
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import (
    Graph,
    Run,
    RunFailed,
    Runner,
    ask,
)
from graphengine.errors import GraphEngineError, UnknownRun
from tests.kit.runs import SOON, alone, over


class State(BaseModel):
    n: int = 0
    text: str = ""
    other: str = ""
    xs: list[int] = []


def one(runnable: Any, name: str = "g", *, writes: Any, **options: Any) -> Graph[State]:
    """Return a graph START → a → END."""
    return alone(State, runnable, writes, name=name, node="a", **options)


def reports(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged of runs whose errors nobody got."""
    return [each for each in caplog.records if each.name == "graphengine.runner" and each.levelno == logging.ERROR]


def broken() -> int:
    """Raise, as a user's node does."""
    raise ValueError("no tides today")


async def test_the_error_of_a_run_that_nobody_awaits_is_logged(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure with the user's traceback, and what could not be begun; each once, as soon as it is over."""
    await runner.start(one(lambda n: n + 1, writes="n"), run_id="dup").result()
    runner.start(one(broken, writes="n"), run_id="r")
    runner.start(one(broken, writes="n"), run_id="dup")
    runner.resume("nope", one(broken, writes="n"))
    async with asyncio.timeout(SOON):
        while len(reports(caplog)) < 3:  # noqa: ASYNC110 - nobody may have a handle
            await asyncio.sleep(0)
    logged = {each.__dict__["run"]: each for each in reports(caplog)}
    assert sorted(logged) == ["dup", "nope", "r"]
    assert "ValueError: no tides today" in logged["r"].getMessage()
    assert "repair: " in logged["r"].getMessage()
    text = logging.Formatter().format(logged["r"])
    assert "in broken" in text
    assert "life.py" not in text
    assert "RunExists" in logged["dup"].getMessage()
    assert "UnknownRun" in logged["nope"].getMessage()
    await runner.close()
    assert len(reports(caplog)) == 3


async def test_a_handle_whose_error_was_raised_is_freed(runner: Runner) -> None:
    """A service that is asked for runs that others drive, or that are there, would keep each of them."""
    await runner.start(one(lambda n: n + 1, writes="n"), run_id="dup").result()
    begun: tuple[Callable[[], Run[State, Any]], ...] = (
        lambda: runner.start(one(broken, writes="n")),
        lambda: runner.start(one(broken, writes="n"), run_id="dup"),
        lambda: runner.resume("nope", one(broken, writes="n")),
    )
    kept = []
    for begin in begun:
        run = begin()
        kept.append(weakref.ref(run))
        with pytest.raises(GraphEngineError):
            await run.result()
        del run
    async with asyncio.timeout(SOON):  # a thread of the store can still hold what it raised last
        while any(each() is not None for each in kept):
            gc.collect()
            await asyncio.sleep(0)


async def test_an_error_is_logged_when_its_handle_is_gone(runner: Runner, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever has the handle can still ask."""
    run = runner.start(one(broken, writes="n"), run_id="r")
    await over(run)
    assert reports(caplog) == []
    del run
    (record,) = reports(caplog)
    assert "ValueError: no tides today" in record.getMessage()


async def test_an_error_of_a_graph_with_secrets_is_logged_with_its_recorded_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The exception itself could quote a secret."""

    class Hidden(BaseModel):
        token: SecretStr = SecretStr("hunter2-very-secret")
        n: int = 0

    def leaks(token: SecretStr) -> int:
        raise ValueError(token.get_secret_value())

    graph = alone(Hidden, leaks, "n", name="g", node="a", secret_key=secrets.token_urlsafe(32))
    async with Runner() as runner:
        run = runner.start(graph)
        await over(run)
        del run
    (record,) = reports(caplog)
    text = logging.Formatter().format(record)
    assert "in leaks" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("how", ["result", "late", "events", "watch", "get", "recover"])
async def test_nothing_is_logged_of_an_error_that_somebody_got(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By `result()` before or after the end, also of a handle that was got by the id, or by a watch to the end."""
    graph = one(broken, writes="n")
    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(graph, run_id="r")
        if how == "late":
            await over(run)
        if how == "recover":
            await runner.release("r")
            (run,) = await runner.recover(graph)
            await over(run)
        if how == "get":
            del run
            run = runner.get("r")
        if how in ("events", "watch"):
            stream = run.events() if how == "events" else runner.watch("r")
            del run
            assert [type(each).__name__ async for each in stream][-1] == "RunEnded"
        else:
            with pytest.raises(RunFailed):
                await run.result()
            del run
        with pytest.raises(UnknownRun):
            await runner.resume("nope", graph).result()
        with pytest.raises(UnknownRun):
            _ = [each async for each in runner.resume("nope", graph).events()]
    gc.collect()
    assert reports(caplog) == []


async def test_nothing_is_logged_of_what_another_process_recovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those runs are left out of what `recover` returns."""
    graph = one(ask("Go?", int), writes="n")
    async with Runner(tmp_path / "runs.db") as runner, Runner(tmp_path / "runs.db") as other:
        for number in range(10):
            runner.start(graph, run_id=str(number))
            await runner.release(str(number))
        found = await asyncio.gather(runner.recover(graph), other.recover(graph))
        assert len(found[0]) + len(found[1]) == 10
        for run in (*found[0], *found[1]):
            await run.result()
    gc.collect()
    assert reports(caplog) == []
