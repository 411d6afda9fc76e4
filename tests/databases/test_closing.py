"""The closing of stores and Runners ends, whatever is cancelled meanwhile: nothing of it keeps the process alive."""

from __future__ import annotations

import asyncio
import threading
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import RunnerClosed
from graphengine.kernel.testing.kit import new_run
from graphengine.stores.base import Store


@types.coroutine
def watched(working: Coroutine[Any, None, None], suspends: Callable[[], None]) -> Generator[Any, None, None]:
    """Await a coroutine, and call `suspends` each time that it is about to be suspended."""
    advance = partial(working.send, None)
    while True:
        try:
            awaited = advance()
        except StopIteration:
            return
        suspends()
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001 - thrown into the coroutine
            advance = partial(working.throw, error)
        else:
            advance = partial(working.send, None)


class Closable(Protocol):
    """A store or a Runner."""

    async def close(self) -> None:
        """Close it, by `_close`."""

    async def _close(self) -> None: ...


def interrupted_closing(begin: Callable[[], Awaitable[Closable]], at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Press Ctrl-C where the closing of what `begin` opens is suspended for the `at`-th time.

    As in `asyncio.run`: the main task is cancelled, then every other one, and the loop is closed once they have ended.
    Return whether it was suspended that often.
    """
    suspensions = 0

    async def main() -> None:
        opened = await begin()
        close = opened._close  # noqa: SLF001 - what the calls of `close` share
        main_task = asyncio.current_task()
        assert main_task is not None

        def suspends() -> None:
            nonlocal suspensions
            suspensions += 1
            if suspensions == at:
                asyncio.get_running_loop().call_soon(main_task.cancel)

        async def closing() -> None:
            await watched(close(), suspends)

        monkeypatch.setattr(opened, "_close", closing)
        await opened.close()

    with suppress(asyncio.CancelledError):
        asyncio.run(main())
    return suspensions >= at


def threads() -> set[threading.Thread]:
    """Return the threads that can keep the process from exiting."""
    return {each for each in threading.enumerate() if not each.daemon}


def check(
    begin: Callable[[str], Awaitable[Closable]], make: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupt the closing everywhere: it ends, and leaves no thread, owner or driver of the run that was begun."""
    before = threads()
    at = 1
    while interrupted_closing(partial(begin, f"r{at}"), at, monkeypatch):
        for thread in threads() - before:
            thread.join(20)
        assert not threads() - before, f"interrupted in place {at}"
        asyncio.run(check_free(make(), f"r{at}"))
        at += 1
    assert at > 1


async def check_free(store: Store, run_id: str) -> None:
    """Check that no other owner is left, and that the run can be driven."""
    await store.open()
    try:
        assert len(await store.owners()) == 1
        await store.claim(run_id)
    finally:
        await store.close()


async def used(make: Callable[[], SQLiteStore | PostgresStore], run_id: str) -> SQLiteStore | PostgresStore:
    """Return an open store that drives a run, and has read."""
    store = make()
    await store.open()
    await new_run(store, run_id)
    await store.runs()
    return store


def test_a_sqlite_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is cancelled, only the file remains."""
    make = partial(SQLiteStore, tmp_path / "runs.db")
    check(partial(used, make), make, monkeypatch)
    assert [each.name for each in tmp_path.iterdir()] == ["runs.db"]


def test_a_postgres_store(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is cancelled, no owner is left in the database."""
    make = partial(PostgresStore, postgres)
    check(partial(used, make), make, monkeypatch)


class Note(BaseModel):
    """The state of a run."""

    text: str = ""


def test_a_runner_whose_node_is_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is cancelled, the run is released, and only the file remains."""

    async def begin(run_id: str) -> Runner:
        begun = asyncio.Event()

        async def work() -> str:
            begun.set()
            await asyncio.Event().wait()
            return ""

        graph = Graph("endless", Note)
        graph.add_node("work", work, writes="text")
        graph.add_path(START, "work", END)
        runner = Runner(tmp_path / "runs.db", grace_seconds=0)
        runner.start(graph, run_id=run_id)
        await begun.wait()
        return runner

    check(begin, partial(SQLiteStore, tmp_path / "runs.db"), monkeypatch)
    assert [each.name for each in tmp_path.iterdir()] == ["runs.db"]


async def test_another_event_loop_than_that_of_a_store_is_refused(tmp_path: Path) -> None:
    """What it asks would never be answered. It closes nothing either; once the store is closed, any loop opens it."""
    store = SQLiteStore(tmp_path / "runs.db")

    async def elsewhere() -> Sequence[str]:
        async with Runner(store) as runner:
            return [run.id for run in await runner.runs()]

    async with Runner(store) as runner:
        await runner.runs()
        with pytest.raises(RunnerClosed, match="the store is open in another event loop"):
            await asyncio.to_thread(asyncio.run, elsewhere())
        assert not await runner.runs()
    assert not await asyncio.to_thread(asyncio.run, elsewhere())
    for _ in range(2):  # one that was left open, by a loop that is over, is opened and closed in another one
        assert not await asyncio.to_thread(asyncio.run, left(store))
    await store.close()
    await store.close()


async def left(store: SQLiteStore) -> Sequence[str]:
    """Open a store, and leave it open."""
    await store.open()
    return await store.ids("")
