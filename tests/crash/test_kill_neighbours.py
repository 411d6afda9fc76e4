"""A run that kills its process does not affect the runs in the same process."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from graphengine import Runner
from tests.crash.neighbours import GOOD, GRAPHS, State
from tests.kit.facts import said

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("how", ["worker", "recover"])
async def test_a_run_that_kills_its_process_is_given_up_alone(tmp_path: Path, how: str) -> None:
    """After two deaths together each run is driven alone: the deadly one is given up, and the others finish."""
    async with Runner(tmp_path / "runs.db") as runner:
        for name in ("bad", *GOOD):
            runner.start(GRAPHS[name.rstrip("123")], State(name=name), run_id=name)
            await runner.release(name)  # before anything is in flight
    codes: list[int] = []
    while not codes or codes[-1]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.crash.neighbours", str(tmp_path), how, cwd=ROOT
        )
        codes.append(await asyncio.wait_for(process.wait(), 120))
        assert codes[-1] in (0, -signal.SIGKILL)
    assert codes == [-signal.SIGKILL] * 3 + [0]
    async with Runner(tmp_path / "runs.db") as runner:
        runs = {info.id: info.status for info in await runner.store.runs()}
        assert runs == {"bad": "failed", **dict.fromkeys(GOOD, "finished")}
        last = (await runner.history("bad"))[-1]
        assert said(last)["error"]["kind"] == "crash_loop"
