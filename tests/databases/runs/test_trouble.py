"""Runners under trouble: threads, closing at odd moments, failing resources, errors that do not count as crashes."""

import threading
from pathlib import Path

import pytest

from graphengine import (
    Runner,
)
from graphengine.errors import RunnerClosed
from tests.runner.test_trouble import one


async def test_a_runner_that_closes_at_once_releases_everything(tmp_path: Path) -> None:
    """A run that was not recorded yet gets an error, and no thread or file of the store remains."""
    before = set(threading.enumerate())
    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(one(lambda n: n + 1, writes="n"))
    with pytest.raises(RunnerClosed):
        await run.result()
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not left
    assert [path.name for path in tmp_path.iterdir()] == ["runs.db"]
