"""Callers of one Runner at the same time: each test lets one call happen in the middle of another one."""

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest

from graphengine import SyncRunner
from graphengine.errors import RunnerClosed
from tests.runner.gates import asking


def test_a_thread_that_waits_for_a_closed_sync_runner_gets_its_error() -> None:
    """The thread gets RunnerClosed, not CancelledError."""
    runner = SyncRunner()
    runner.start(asking(), run_id="r").result()
    begun, errors = threading.Event(), list[BaseException]()

    def watch() -> None:
        try:
            for _ in runner.watch("r"):
                begun.set()
        except BaseException as error:  # noqa: BLE001 - whatever it is
            errors.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    assert begun.wait(60)
    runner.close()
    thread.join(60)
    assert [type(error) for error in errors] == [RunnerClosed]


def test_a_call_that_a_close_overtakes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """1. A thread is about to hand its call to the loop. 2. Another one closes it. 3. The call is made, or refused."""
    runner: Any = SyncRunner()
    submit = asyncio.run_coroutine_threadsafe

    def late(*args: Any) -> Any:
        monkeypatch.undo()
        closing = threading.Thread(target=runner._portal.stop)  # noqa: SLF001 - the end of `close`
        closing.start()
        closing.join(0.2)
        return submit(*args)

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", late)
    with suppress(RunnerClosed):
        runner.runs()
