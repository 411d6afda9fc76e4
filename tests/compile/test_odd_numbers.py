"""Invalid numbers and infinite durations: refused where they are given, or read as no limit."""

import math
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import (
    Context,
    Runner,
)
from graphengine.history.load import load_snapshot
from graphengine.runner.run_events import StepRecorded
from tests.kit.runs import alone


class State(BaseModel):
    n: int = 0


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
