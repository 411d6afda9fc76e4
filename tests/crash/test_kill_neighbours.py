"""A run that kills its process does not affect the runs in the same process."""

import asyncio
import signal
from pathlib import Path

import pytest

from graphengine import Runner
from tests.crash.neighbours import GOOD, GRAPHS, State
from tests.kit import forks
from tests.kit.facts import said


async def life(*words: str) -> int:
    """Return how a process of `neighbours.py` ended."""
    process = forks.start("tests.crash.neighbours", *words, loads=["graphengine.databases.postgres"])
    try:
        async with asyncio.timeout(120):
            while (code := process.poll()) is None:  # noqa: ASYNC110 - it waits for a process
                await asyncio.sleep(0.01)
            return code
    finally:
        process.kill()
        process.end()


@pytest.mark.parametrize("how", ["worker", "recover"])
async def test_a_run_that_kills_its_process_is_given_up_alone(tmp_path: Path, how: str) -> None:
    """After two deaths together each run is driven alone: the deadly one is given up, and the others finish."""
    async with Runner(tmp_path / "runs.db") as runner:
        for name in ("bad", *GOOD):
            runner.start(GRAPHS[name.rstrip("123")], State(name=name), run_id=name)
            await runner.release(name)  # before anything is in flight
    codes: list[int] = []
    while not codes or codes[-1]:
        codes.append(await life(str(tmp_path), how, str(tmp_path / "runs.db")))
        assert codes[-1] in (0, -signal.SIGKILL)
    assert codes == [-signal.SIGKILL] * 3 + [0]
    await check(str(tmp_path / "runs.db"))


async def test_three_workers_let_it_die_alone(tmp_path: Path, database: str) -> None:
    """Whichever workers take it, its third death is in a process that drives no other run."""
    async with Runner(database) as runner:
        for name in ("bad", *GOOD):
            await runner.start(GRAPHS[name.rstrip("123")], State(name=name), run_id=name, queue="q").result()

    async def worker() -> list[int]:
        codes: list[int] = []
        while not codes or codes[-1]:
            codes.append(await life(str(tmp_path), "workers", database))
        return codes

    async with asyncio.timeout(120):
        codes = await asyncio.gather(*(worker() for _ in range(3)))
    assert sorted(code for each in codes for code in each) == [-signal.SIGKILL] * 3 + [0] * 3
    deaths = sorted(each.read_text().split() for each in tmp_path.glob("death-*"))
    assert deaths[-1][1] == "1", "the worker drove other runs at the third death"
    await check(database)


async def check(database: str) -> None:
    """Check that the deadly run was given up, and that the others finished."""
    async with Runner(database) as runner:
        runs = {info.id: info.status for info in await runner.store.runs()}
        assert runs == {"bad": "failed", **dict.fromkeys(GOOD, "finished")}
        last = (await runner.history("bad"))[-1]
        assert said(last)["error"]["kind"] == "crash_loop"
