"""The disk space of a database: it grows with its logs, and pruned runs free space."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, Runner, value
from graphengine.databases.sqlite import SQLiteStore, removal
from graphengine.databases.sqlite.files import migrate
from graphengine.errors import LeaseLost, StoreFull, StoreLocked
from graphengine.kernel.testing.growing import ended_run, remove
from graphengine.kernel.testing.kit import append, batch, new_run, refused, same, step, steps
from graphengine.reducers import append as appending
from graphengine.stores.base import Append
from tests.databases.support import OpenStore, locked, opened, rows

PAGE = "p" * 1_000
LARGE = "l" * 300_000


class Diary(BaseModel):
    n: int = 0
    text: str = ""
    entries: Annotated[list[str], appending] = []


def diary(steps: int, entry: str) -> Graph[Diary]:
    """Return a graph that counts to a number, and writes an entry each time if there is one."""

    async def write(n: int) -> dict[str, object]:
        return {"n": n + 1} | ({"entries": entry} if entry else {})

    graph = Graph("diary", Diary, limits=Limits(visits=None))
    graph.add_node("write", write, writes=("n", "entries") if entry else ("n",))
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=value("n") >= steps)
    graph.add_edge("write", "write")
    return graph


def count(path: Path, what: str) -> int:
    """Return the number that a query returns."""
    return int(rows(path, f"SELECT {what}")[0][0])


@pytest.mark.parametrize(
    ("state", "entry", "steps", "is_shot"),
    [
        pytest.param(Diary(), PAGE, 2500, False, id="a state that grows with every step"),
        pytest.param(Diary(text=LARGE), "", 6000, True, id="a large state of which little changes"),
        pytest.param(Diary(text=LARGE), PAGE, 2500, False, id="a large state that grows"),
        pytest.param(Diary(), "", 3000, True, id="a small state"),
    ],
)
async def test_n_steps_cost_bytes_in_proportion_to_their_log(
    path: Path, state: Diary, entry: str, steps: int, *, is_shot: bool
) -> None:
    """Snapshots and SQLite's overhead add at most 70 % to the bytes of the log, however large the state.

    A state that holds everything ever written gets no snapshot: it would be as large as the log.
    """
    async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
        await runner.start(diary(steps, entry), state).result()
    log_bytes = count(path, "sum(length(CAST(body AS BLOB))) FROM steps")
    shot_bytes = count(path, "coalesce(sum(length(CAST(body AS BLOB))), 0) FROM snapshots")
    assert (shot_bytes > 0) is is_shot
    assert shot_bytes <= 0.5 * log_bytes
    assert path.stat().st_size <= 1.7 * log_bytes + 200_000  # the first is for the pages, the last for empty tables


async def test_pruned_runs_make_room_for_new_ones(store: SQLiteStore, path: Path) -> None:
    """If runs are removed as fast as new ones come, the database keeps its size."""
    sizes: list[int] = []
    for number in range(8):
        await ended_run(store, f"r{number}", count=600)
        if number:
            await remove(store, f"r{number - 1}")
            await store.sweep()
        sizes.append(count(path, "page_count FROM pragma_page_count"))
    assert sizes[-1] <= 1.1 * sizes[1]


async def test_a_vacuum_returns_the_space(open_store: OpenStore, path: Path) -> None:
    """The file is as small as its content, while another store has it open and writes.

    Only the write-ahead log may stay as long as it is, if each attempt to empty it meets a commit of the other store.
    """
    store, other = await open_store(), await open_store()
    fence = await new_run(other, "going")
    await ended_run(store, "old", count=4000)
    await remove(store, "old")
    await store.sweep()
    vacuum = asyncio.create_task(store.vacuum())
    seq = 0
    while not vacuum.done():
        if seq == 200:  # a slow vacuum would let the other store fill the file again
            await asyncio.sleep(0.001)
            continue
        seq += 1
        await append(other, batch("going", fence, [step(seq)]))
    before, _ = await vacuum
    _, after = await store.vacuum()
    assert before > 1_000_000
    assert after < 0.4 * before
    await other.close()
    await store.close()
    assert path.stat().st_size < 300_000 + 1000 * seq
    assert count(path, "freelist_count FROM pragma_freelist_count") == 0
    assert same(await (await open_store()).steps("going"), steps(1, seq))


async def restored_database(path: Path) -> None:
    """Make a database as one restored from a dump: with free pages, which cannot be returned in strides."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path)
    async with opened(path) as store:
        await new_run(store, "going", count=500)
        await ended_run(store, "old", count=4000)
        await remove(store, "old")
        await store.sweep()


async def test_a_restored_database_is_rewritten_once(open_store: OpenStore, path: Path) -> None:
    """A vacuum of a file that cannot return pages in strides makes it one that can."""
    await restored_database(path)
    store = await open_store()
    before, after = await store.vacuum()
    assert after < 0.4 * before
    assert same(await store.steps("going"), steps(1, 500))
    assert count(path, "auto_vacuum FROM pragma_auto_vacuum") == 2
    assert count(path, "freelist_count FROM pragma_freelist_count") == 0


@pytest.mark.parametrize("is_restored", [True, False])
async def test_a_vacuum_waits_for_another_program_up_to_its_timeout(
    open_store: OpenStore, path: Path, *, is_restored: bool
) -> None:
    """If another program holds the lock, it raises, and everything is unchanged."""
    if is_restored:
        await restored_database(path)
    store = await open_store(busy_timeout_seconds=0.05)
    if not is_restored:
        await ended_run(store, "old", count=400)
        await remove(store, "old")
        await store.sweep()
        await new_run(store, "going", count=500)
        await ended_run(store, "older", count=400)
        await remove(store, "older")
        await store.sweep()
    with locked(path), refused(StoreLocked) as caught:
        await store.vacuum()
    assert caught[0].repair
    assert same(await store.steps("going"), steps(1, 500))
    before, after = await store.vacuum()
    assert after < before


@contextmanager
def largest_file(max_bytes: int) -> Iterator[None]:
    """Limit the size of all files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_vacuum_without_room_for_the_copy_changes_nothing(open_store: OpenStore, path: Path) -> None:
    """It raises StoreFull; runs can still be read and written."""
    await restored_database(path)
    store = await open_store()
    with largest_file(100_000), refused(StoreFull) as caught:
        await store.vacuum()
    assert caught[0].repair
    assert same(await store.steps("going"), steps(1, 500))
    fence = await store.claim("going")
    await append(store, batch("going", fence, [step(501)], "finished"))
    before, after = await store.vacuum()
    assert after < before


@pytest.mark.parametrize("runs", [1, 40])
async def test_a_stride_reads_no_more_than_it_deletes(
    open_store: OpenStore, path: Path, monkeypatch: pytest.MonkeyPatch, *, runs: int
) -> None:
    """However many removed runs follow one another, their rows are read once."""
    store = await open_store()
    for number in range(runs):
        await ended_run(store, f"r{number}", count=100)
    await remove(store, *(f"r{number}" for number in range(runs)))
    await store.close()
    operations: list[None] = []
    monkeypatch.setattr(removal, "STRIDE_SECONDS", 0)
    with closing(sqlite3.connect(path)) as connection:
        connection.set_progress_handler(lambda: operations.append(None), 10)
        removal.stride(connection)
    assert len(operations) < 1000  # with SQLite 3.40 498, with newer ones 574


async def test_a_store_that_opens_continues_the_sweep(
    open_store: OpenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that an interrupted process left in the trash are freed by the next store opened for writing."""
    store = await open_store()
    await ended_run(store, "old", count=600)
    await remove(store, "old")
    await store.close()
    assert count(path, "count(*) FROM steps") == 600
    monkeypatch.setattr(removal, "STRIDE_SECONDS", 0)
    store = await open_store()
    while count(path, "count(*) FROM trash"):  # noqa: ASYNC110  # what is waited for happens in a file
        await asyncio.sleep(0)
    assert count(path, "count(*) FROM steps") == 0


async def test_a_driver_from_before_a_removal_writes_into_no_other_run(open_store: OpenStore, path: Path) -> None:
    """A key can be reused once no row of its run is left; the former driver gets LeaseLost."""
    store, other = await open_store(), await open_store()
    fence = await new_run(store, "old", count=1)
    with closing(sqlite3.connect(path)) as connection:  # the changes by others to a run whose driver seemed dead
        connection.execute("UPDATE runs SET driver = NULL, status = 'finished'")
        connection.commit()
    await remove(other, "old")
    await other.sweep()
    assert await new_run(store, "new", count=1) == fence
    assert count(path, "key FROM runs WHERE id = 'new'") == 1
    with refused(LeaseLost):
        await append(store, Append("old", fence, [step(2)], "running"))
    assert same(await store.steps("new"), [step(1)])
