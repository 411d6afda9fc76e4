"""A SQLite store whose event loop is gone."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite import worker as workers
from graphengine.databases.sqlite.worker import Worker
from graphengine.kernel.testing.kit import append, batch, new_run, steps
from graphengine.stores.base import Store


def threads() -> set[threading.Thread]:
    """Return the threads that work for stores."""
    return {each for each in threading.enumerate() if "graphengine" in each.name}


def test_it_is_released_without_its_loop(tmp_path: Path) -> None:
    """Durable steps are kept, the run can be claimed at once, and no thread is left."""
    store = SQLiteStore(tmp_path / "runs.db")

    async def begin() -> None:
        await store.open()
        fence = await new_run(store)
        await append(store, batch("r", fence, steps(1, 3)))
        await store.vacuum()  # moves the log

    async def claim_again(other: Store) -> int:
        await other.open()
        try:
            await other.claim("r")
            return (await other.info("r")).seq
        finally:
            await other.close()

    before = threads()
    asyncio.run(begin())
    assert threads() - before
    checkpoints = store._checkpoints  # noqa: SLF001
    store.abandon()
    assert checkpoints is not None
    assert checkpoints._mover is None  # noqa: SLF001  # its connection is closed: Python 3.13 warns of those that are not
    store.abandon()  # nothing happens the second time
    assert asyncio.run(claim_again(SQLiteStore(tmp_path / "runs.db"))) == 3
    assert asyncio.run(claim_again(store)) == 3
    assert threads() <= before  # one of an earlier test can end meanwhile


def test_a_cancelled_caller_does_not_wait_for_the_thread(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What it queued is done nevertheless, and nothing is printed if the event loop is closed by then."""
    begun, may_end = threading.Event(), threading.Event()
    done: list[int] = []

    def slow(raw: sqlite3.Connection) -> None:
        begun.set()
        may_end.wait(10)
        done.append(raw.total_changes)

    async def cancel() -> Worker:
        worker = await Worker.connect((tmp_path / "x.db").as_uri(), busy_timeout_seconds=1)
        working = asyncio.create_task(worker.run(slow))
        assert await asyncio.to_thread(begun.wait, 10)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert not done
        return worker

    worker = asyncio.run(cancel())
    may_end.set()
    worker.abandon()
    assert done == [0]
    assert not caplog.records


async def test_a_call_that_fails_stops_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A thread that ended would let every later caller wait for ever."""

    def fail(_: object) -> None:
        raise SystemExit

    worker = await Worker.connect((tmp_path / "x.db").as_uri(), busy_timeout_seconds=1)
    told = asyncio.Event()
    worker.post(fail, lambda: loop.call_soon_threadsafe(told.set))
    loop = asyncio.get_running_loop()
    await told.wait()
    assert [record.message for record in caplog.records] == ["a call on the thread of a SQLite connection failed"]
    with pytest.raises(SystemExit):
        await worker.run(fail)
    assert await worker.run(lambda raw: raw.total_changes) == 0
    await worker.close()


async def test_a_closed_connection_has_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed connection has no thread, even if that needs a moment after it reported its last work."""
    serve = workers._serve_calls  # noqa: SLF001 - the thread

    def serve_and_linger(calls: Any) -> None:
        serve(calls)
        threading.Event().wait(0.05)

    monkeypatch.setattr(workers, "_serve_calls", serve_and_linger)
    before = threads()
    worker = await Worker.connect(f"file:{tmp_path / 'runs.db'}", busy_timeout_seconds=1)
    await worker.close()
    assert threads() <= before


async def test_a_dropped_connection_is_closed(tmp_path: Path) -> None:
    """Its thread ends, and a warning says that nobody closed it."""
    before = threads()
    worker = await Worker.connect(f"file:{tmp_path / 'runs.db'}", busy_timeout_seconds=1)
    (thread,) = threads() - before
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        del worker
        await asyncio.to_thread(thread.join, 10)  # it may be what lets go of it last
    assert not thread.is_alive()
    assert [str(each.message) for each in found] == ["a connection to SQLite was dropped without being closed"]


def test_a_process_that_only_reads_may_end_without_closing(tmp_path: Path) -> None:
    """A thread that waits for more to read does not keep it from exiting."""
    path = tmp_path / "runs.db"
    program = f"""
import asyncio
from graphengine.databases.sqlite import SQLiteStore

async def opened(**options):
    store = SQLiteStore({str(path)!r}, **options)
    await store.open()
    return store

async def main():
    await (await opened()).close()
    return await opened(read_only=True)

store = asyncio.run(main())
print("the end")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the end\n", "")
