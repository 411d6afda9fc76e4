"""Callers of one Runner at the same time: each test lets one call happen in the middle of another one."""

import asyncio
import threading
from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.errors import RunnerClosed
from tests.runner.gates import asking


async def test_an_answered_question_is_no_open_one_and_a_resume_counts_it(database: Path | str) -> None:
    """Also if the process died in between; `recover` leaves runs that wait."""
    async with Runner(database) as runner:
        for name in ("answered", "open"):
            await runner.start(asking(), run_id=name).result()
        await runner.answer("answered", 5)
        assert [wait.run_id for wait in await runner.waits()] == ["open"]
        assert await runner.waits("answered") == []
    async with Runner(database) as runner:
        assert await runner.recover(asking()) == []
        assert (await runner.resume("answered", asking()).result()).status == "finished"


async def test_a_runner_is_not_entered_again(database: Path | str) -> None:
    """It is closed for good, so nothing would close its store."""
    before = set(threading.enumerate())
    runner = Runner(database)
    async with runner:
        assert await runner.runs() == []
    with pytest.raises(RunnerClosed):
        await runner.__aenter__()
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("is_open", [False, True])
async def test_what_is_just_being_opened_is_closed_too(database: Path | str, is_open: bool) -> None:  # noqa: FBT001
    """A Runner can close while its first call opens the store, or the connection for reading."""
    before = set(threading.enumerate())
    runner = Runner(database)
    if is_open:
        await runner.store.open()
    reading = asyncio.create_task(runner.runs())
    await asyncio.sleep(0)
    await runner.close()
    await asyncio.gather(reading, return_exceptions=True)
    assert not set(threading.enumerate()) - before
