"""Handles on any run: driven here, by another process, waiting, or over."""

from pathlib import Path
from typing import Any

import pytest

from graphengine import Runner
from graphengine.errors import InputError, UnknownRun
from graphengine.runner import StatusChanged
from tests.runner.gates import Gate, asking, one


async def test_a_run_that_is_removed_while_it_is_watched_is_reported(runner: Runner) -> None:
    """The stream raises UnknownRun instead of waiting for ever."""
    await runner.start(asking(), run_id="r").result()
    events = runner.watch("r")
    async for event in events:
        if isinstance(event, StatusChanged):
            break
    await runner.stop("r")
    await runner.admin.prune(keep_last=0, statuses=["stopped"])
    with pytest.raises(UnknownRun):
        await anext(events)


async def test_runs_are_selected_by_status_graph_and_tag(database: Path | str) -> None:
    """The newest come first; a running run without a process is `interrupted`."""
    gate = Gate()
    async with Runner(database) as runner:
        runner.start(gate.graph(), run_id="cut", tags=["x"])
        await gate.entered.wait()
    gate = Gate()
    async with Runner(database) as runner:
        await runner.start(asking(), run_id="waits", tags=["x", "y"]).result()
        await runner.start(one("adds", lambda n: n + 1), run_id="done", tags=["y"]).result()
        run = runner.start(gate.graph(), run_id="now")
        await gate.entered.wait()

        async def ids(**wanted: Any) -> list[str]:
            return [info.id for info in await runner.runs(**wanted)]

        assert await ids() == ["now", "done", "waits", "cut"]
        assert await ids(limit=2) == ["now", "done"]
        assert await ids(status="running") == ["now"]
        assert await ids(status="interrupted") == ["cut"]
        assert await ids(status="waiting", tag="x") == ["waits"]
        assert await ids(graph="adds") == ["done"]
        assert await ids(tag="y") == ["done", "waits"]
        assert (await runner.info("waits")).tags == ("x", "y")
        with pytest.raises(InputError, match="waiting"):
            await ids(status="wating")
        with pytest.raises(InputError, match="limit"):
            await ids(limit=0)
        gate.leave.set()
        await run.result()
