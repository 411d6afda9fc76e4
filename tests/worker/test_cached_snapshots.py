"""A run with many open questions is loaded once: then an answer and a resume read only the steps since."""

import asyncio
from pathlib import Path
from unittest.mock import patch

import pytest

from graphengine import Runner, Worker
from graphengine.errors import InputError
from graphengine.stores.base import RunInfo
from tests.databases.runs.test_cached_snapshots import LOAD, STATE
from tests.runner.test_cached_snapshots import COUNT, labelling


def waits(info: RunInfo) -> int:
    """Return for how much a run waits."""
    return COUNT if info.summary is None else info.summary.waits or COUNT


async def test_answers_load_nothing(tmp_path: Path) -> None:
    """Neither `answer` nor `resume` nor a worker loads the run again; double answers are refused without the inbox."""
    graph = labelling()
    async with Runner(tmp_path / "runs.db") as runner:
        first = await runner.start(graph, STATE, run_id="r").result()
        with patch(LOAD, side_effect=AssertionError):
            await runner.answer("r", "moon", wait="label[7]")
            with pytest.raises(InputError, match="answered already"):
                await runner.answer("r", "sun", wait="label[7]")
            await runner.resume("r", graph).result()
            await runner.answer("r", "sun", wait="label[8]")
            worker = Worker(runner, graph)
            working = asyncio.create_task(worker.run())
            while waits(await runner.info("r")) > COUNT - 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            worker.stop()
            await working
        assert len(await runner.waits("r")) == COUNT - 2
        for wait in await runner.waits("r"):
            await runner.answer("r", wait.name, wait=wait)
        last = await runner.resume("r", graph).result()
    assert (last.status, last.state.labels[6:10]) == ("finished", ["label[6]", "moon", "sun", "label[9]"])
    assert (first.status, len(first.waits), bytes(first.recorded["labels"])) == ("waiting", COUNT, b"[]")
