"""The database file: how it is created, recognised, migrated, only read, and closed."""

# these tests are alone on their loop

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import re
import resource
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.databases.run_lists import conditions_of
from graphengine.databases.sqlite import SQLiteStore, doctor, files, readers
from graphengine.databases.sqlite import worker as sqlite_worker
from graphengine.databases.sqlite.files import check_format, file_state
from graphengine.databases.sqlite.queries import SQL
from graphengine.databases.sqlite.readers import Reader
from graphengine.databases.sqlite.reads import lists
from graphengine.databases.sqlite.wal_recovery import log_of
from graphengine.databases.sqlite.worker import Worker
from graphengine.errors import (
    StoreError,
    StoreReadOnly,
)
from graphengine.kernel.testing.kit import append, batch, new_run, refused, seqs, step
from tests.databases.support import OpenStore, OtherProcess, content_of, lock_down, opened


async def finished_run(path: Path, count: int = 3) -> None:
    """Return a closed database with one run."""
    async with opened(path) as store:
        await new_run(store, count=count)


# -- files with a second name


async def test_a_file_with_a_second_name_is_refused(tmp_path: Path) -> None:
    """Its log would be beside one of the names, and missing to whoever opens the other; a reader may look at it."""
    path, other = tmp_path / "runs.db", tmp_path / "copies" / "runs.db"
    await finished_run(path)
    other.parent.mkdir()
    os.link(path, other)
    for name in (path, other):
        with pytest.raises(StoreError, match="has a second name"):
            await SQLiteStore(name).open()
        async with opened(name, read_only=True) as store:
            assert len(await store.runs()) == 1
    other.unlink()
    async with opened(path) as store:
        assert len(await store.runs()) == 1


async def test_a_file_that_is_mounted_alone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of a mounted file is outside the mount; a mounted folder is what its repair asks for."""
    folder = tmp_path / "runs of\ttwo"
    path = folder / "runs.db"
    await finished_run(path)
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(files, "_MOUNTS", mounts)
    escaped = str(folder).replace(" ", "\\040").replace("\t", "\\011")
    for point in (escaped, str(tmp_path), f"{escaped}/runs.db-wal"):
        mounts.write_text(f"36 35 98:0 /mnt1 {point} rw,noatime master:1 - ext3 /dev/root rw\nodd\n")
        async with opened(path) as store:
            assert len(await store.runs()) == 1
    mounts.write_text(f"36 35 98:0 /mnt1 {escaped}/runs.db rw,noatime master:1 - ext3 /dev/root rw\n")
    link = tmp_path / "link.db"
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(StoreError, match=r"only the file .* is mounted"):
            await SQLiteStore(name).open()


# -- new files


async def test_missing_folders_are_made(tmp_path: Path, open_store: OpenStore) -> None:
    """Missing parent folders of the path are created."""
    path = tmp_path / "a" / "b" / "runs of % and #?.db"
    await new_run(await open_store(path))
    assert path.exists()


async def test_several_stores_can_open_a_new_file_at_once(path: Path) -> None:
    """Stores that find no file at the same time all open the same database."""
    stores = [SQLiteStore(path, synchronous="NORMAL") for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(new_run(store, f"r{n}") for n, store in enumerate(stores)))
    assert len(await stores[0].runs()) == len(stores)
    await asyncio.gather(*(store.close() for store in stores))
    assert list(path.parent.iterdir()) == [path]


async def test_closing_leaves_no_log_to_others(open_store: OpenStore, path: Path) -> None:
    """The writes of a closed store are in the database itself, even while another store has it open."""
    store = await open_store()
    await open_store()
    await new_run(store, count=100)
    log = path.with_name(path.name + "-wal")
    assert log.stat().st_size > 0
    await store.close()
    alone = path.with_name("alone.db")
    alone.write_bytes(content_of(path))
    with closing(sqlite3.connect(alone)) as connection:
        assert connection.execute("SELECT count(*) FROM steps").fetchone() == (100,)


async def test_a_reader_that_closes_last_leaves_one_file(open_store: OpenStore, path: Path) -> None:
    """What was written during its read is in the file, which is alone: a copy of it has all runs."""
    store, reader = await open_store(), await open_store(read_only=True)
    await new_run(store, "first")
    reads, may_end = threading.Event(), threading.Event()

    def read(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT count(*) FROM runs").fetchone()
        reads.set()
        may_end.wait(10)

    assert reader._reader is not None  # noqa: SLF001 - a read that takes its time
    reading = asyncio.create_task(reader._reader.run(read))  # noqa: SLF001
    assert await asyncio.to_thread(reads.wait, 10)
    await new_run(store, "second")
    await store.close()
    may_end.set()
    await reading
    await reader.close()
    assert list(path.parent.iterdir()) == [path]
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (2,)


async def test_a_reader_beside_a_writer_leaves_the_log_to_it(store: SQLiteStore, open_store: OpenStore) -> None:
    """The log of an open database stays, and the writer continues."""
    fence = await new_run(store)
    await (await open_store(read_only=True)).close()
    await append(store, batch("r", fence, [step(1)]))
    assert log_of(store.path).exists()


def test_a_check_that_ends_last_leaves_one_file(made: Path, start_process: Callable[[], OtherProcess]) -> None:
    """The doctor reads while the writer closes, and its connection is the last."""
    other = start_process()

    def progress(what: str, _done: int, _total: int) -> None:
        if what == "the rest":
            assert other.send("close") == "ok"

    assert doctor.examine(made, progress=progress).is_sound
    assert list(made.parent.iterdir()) == [made]


async def test_a_log_that_vanishes_before_it_is_opened_is_not_missed(
    as_nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer closes between a reader's look for the log and its opening, in a folder that cannot be written."""
    path = as_nobody / "runs.db"
    await finished_run(path)
    lock_down(as_nobody)
    states = [file_state(path)._replace(has_log=True)]
    monkeypatch.setattr(readers, "file_state", lambda path: states.pop() if states else file_state(path))
    async with opened(path, read_only=True) as store:
        assert (await store.info("r")).seq == 3


# -- other databases


async def test_the_kind_of_a_file_is_read_in_one_statement(path: Path) -> None:
    """Mark, version and tables are consistent, so an unfinished database is never taken for another application's."""
    statements: list[str] = []
    with closing(sqlite3.connect(path)) as connection:
        connection.set_trace_callback(statements.append)
        assert check_format(connection, path) == 0
    assert len([each for each in statements if not each.startswith("--")]) == 1


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_path_that_cannot_be_accessed_is_refused(as_nobody: Path, *, read_only: bool) -> None:
    """A file in a folder that this user cannot enter is refused with the repair."""
    path = as_nobody / "runs.db"
    await finished_run(path)
    lock_down(as_nobody, 0)
    with refused(StoreReadOnly) as caught:
        await SQLiteStore(path, read_only=read_only).open()
    assert caught[0].repair


# -- read-only


async def test_a_reader_follows_a_writer(path: Path, open_store: OpenStore) -> None:
    """A reader opened earlier sees later writes, while the writer lives and after."""
    await finished_run(path)
    reader = await open_store(read_only=True)
    assert (await reader.info("r")).seq == 3
    writer = await open_store()
    fence = await writer.claim("r")
    for seq in range(4, 30):
        await append(writer, batch("r", fence, [step(seq)]))
        assert (await reader.info("r")).seq == seq
    await writer.close()
    assert seqs((await reader.load("r")).steps) == list(range(1, 30))
    writer = await open_store()
    await writer.claim("r")
    await writer.close()
    assert (await reader.info("r")).fingerprint == "f1"


async def test_a_read_is_done_again_if_the_file_changed_under_it(path: Path) -> None:
    """A read of a file at rest is repeated if a writer changed it meanwhile."""
    await finished_run(path)
    os.utime(path, (1, 1))
    reader = Reader(path, busy_timeout_seconds=1, at_rest=True)
    found: list[int] = []

    def read(connection: sqlite3.Connection) -> None:
        found.extend(connection.execute("SELECT count(*) FROM steps").fetchone())
        if len(found) == 1:
            with closing(sqlite3.connect(path)) as writer, writer:
                writer.execute("DELETE FROM steps WHERE seq = 3")

    await reader.run(read)
    await reader.close()
    assert found == [3, 2]


async def test_reading_in_a_folder_that_cannot_be_written(as_nobody: Path) -> None:
    """A database in a read-only folder can be read, and opening it for writing is refused with the repair."""
    path = as_nobody / "runs.db"
    await finished_run(path)
    lock_down(as_nobody)
    async with opened(path, read_only=True) as reader:
        assert [info.id for info in await reader.runs()] == ["r"]
    with refused(StoreReadOnly) as caught:
        await SQLiteStore(path).open()
    assert caught[0].repair
    assert list(as_nobody.iterdir()) == [path]
    with refused(StoreReadOnly):
        await SQLiteStore(as_nobody / "other.db").open()
    with refused(StoreReadOnly):
        await SQLiteStore(as_nobody / "sub" / "other.db").open()


async def test_reading_next_to_a_live_writer_in_a_read_only_folder(as_nobody: Path) -> None:
    """A read-only store sees what a live writer has recorded so far."""
    path = as_nobody / "runs.db"
    async with opened(path) as writer:
        await new_run(writer, count=3)
        lock_down(as_nobody)
        async with opened(path, read_only=True) as reader:
            assert (await reader.info("r")).seq == 3
        os.seteuid(os.getuid())
        as_nobody.chmod(0o755)


# -- cost that does not depend on how much is stored


SCANNING = {
    "inbox",
    "lineage",
    "has_spare_specs",
    "drop_graph_specs",
    "drop_codes",
    "queue_counts",
}
SCANNING |= {"queues_with_work", "tenants_of_queue", "priorities_of_timed"}
"""Statements that scan their parameters or, once per prune, all runs; those that count scan an index, and the last
three have a row for each queue, key or priority, which they find by an index."""
SORTING = {"driven_of", "driven_by", "counts", "stop_over"}
"""Statements that sort the runs that are driven, or the marks above one, or group a few rows."""
FILTERS = {"starter": "r", "user": "u", "tag": "x", "tenant": "t", "status": "failed", "graph": "g", "begun_after": 1.0}
"""The filters of a page of runs. The first filters usually select the fewest runs."""


def plan_of(connection: sqlite3.Connection, statement: str) -> list[str]:
    """Return the lines of a statement's plan."""
    names = re.findall(r":(\w+)", statement)
    values = dict.fromkeys(names) if names else [None] * statement.count("?")
    return [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statement, values)]


def statement_of(connection: sqlite3.Connection, page: Mapping[str, object]) -> str:
    """Return the statement for a page of runs."""
    found = lists.statements(lists.search(connection, page), conditions_of(page) or {}, page)
    return lists.dialect.convert(found[-1])


async def test_no_query_reads_a_whole_table(store: SQLiteStore, path: Path) -> None:
    """Every statement finds its rows by an index and sorts none of them."""
    del store
    with closing(sqlite3.connect(path)) as connection:
        plans = {name: plan_of(connection, statement) for name, statement in SQL.items() if name not in SCANNING}
    # the last is the result of that statement itself, a row for each driver
    allowed = (
        "SCAN run_facts",
        "SCAN r USING INDEX runs_by_",
        "SCAN CONSTANT ROW",
        "SCAN drivers",
        "SCAN json_each",
        "SCAN above VIRTUAL TABLE",  # a row for each run whose children are asked for
        "SCAN line",  # the runs above one
        "SCAN gone VIRTUAL TABLE",  # a row for each removed run whose space is freed
        "SCAN seen VIRTUAL TABLE",  # a row for each sleeping run that is asked about
        "SCAN (subquery-",  # a page of runs
        "SCAN page",
        "SCAN trash",
        "SCAN owners",  # a row for each process, for each queue with limits, and for each schedule
        "SCAN queues",
        "SCAN run_counts",  # a row for each graph and status
        "SCAN schedules",
    )
    scanning = {
        name: plan
        for name, plan in plans.items()
        if any("SCAN" in line and not line.startswith(allowed) for line in plan)
    }
    assert scanning == {}
    ties = ("RIGHT PART OF", "LAST TERM OF")  # runs created at the same time, by id; SQLite changed its words for it
    ordered = ([], *([f"USE TEMP B-TREE FOR {part} ORDER BY"] for part in ties))
    sorts = {name: [line for line in plan if "TEMP B-TREE" in line] for name, plan in plans.items()}
    assert {name: plans[name] for name, lines in sorts.items() if name not in SORTING and lines not in ordered} == {}


async def test_a_page_of_runs_is_found_in_order_by_the_index_of_one_filter(store: SQLiteStore, path: Path) -> None:
    """The filter that usually selects the fewest runs decides. Only runs with a tag and the same time are sorted."""
    del store
    indexes = {"tenant": "runs_by_key", "tag": "tags_by_tag", "begun_after": "runs_by_time", "": "runs_by_time"}
    names = [(), *((name,) for name in FILTERS), *itertools.combinations(FILTERS, 2)]
    unfit: dict[Sequence[str], list[str]] = {}
    with closing(sqlite3.connect(path)) as connection:
        for each in names:
            statement = statement_of(connection, {name: FILTERS[name] for name in each})
            plan = plan_of(connection, statement[statement.index("(") + 1 : statement.rindex(") AS page")])
            first = each[0] if each else ""
            found = re.match(r"SEARCH [ft] USING (?:COVERING )?INDEX (\w+) \(.*created_at<", plan[0])
            sorts = [line for line in plan if "TEMP B-TREE" in line]
            fits = found is not None and found[1] == indexes.get(first, f"runs_by_{first}")
            if not fits or (sorts and (first != "tag" or "FOR ORDER BY" in sorts[0])):
                unfit[each] = plan
    assert unfit == {}


async def test_the_running_runs_are_found_by_the_indexes_of_their_drivers(store: SQLiteStore, path: Path) -> None:
    """Runs without a driver are read in order. Runs with a driver are few, and are sorted."""
    del store
    with closing(sqlite3.connect(path)) as connection:
        plan = plan_of(connection, statement_of(connection, {"status": "running", "graph": "g"}))
    found = [line.split(" (")[0] for line in plan if " f USING" in line]
    assert found == ["SEARCH f USING COVERING INDEX runs_undriven", "SEARCH f USING INDEX runs_by_driver"]


async def test_an_opening_that_is_cancelled_leaves_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection that the thread opens nevertheless is closed, and its thread ends."""
    connect, opened = sqlite_worker.connect, list[sqlite3.Connection]()

    def noted(uri: str, *, busy_timeout_seconds: float) -> sqlite3.Connection:
        opened.append(connect(uri, busy_timeout_seconds=busy_timeout_seconds))
        return opened[-1]

    monkeypatch.setattr(sqlite_worker, "connect", noted)
    before = set(threading.enumerate())
    for _ in range(20):
        opening = asyncio.create_task(Worker.connect((tmp_path / "runs.db").as_uri(), busy_timeout_seconds=1))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)  # the last one reports the close to the loop, and ends after that
    assert set(threading.enumerate()) <= before
    assert len(opened) == 20
    for each in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            each.execute("SELECT 1")


def test_a_file_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    """A program that ends its event loop at once, like a command, gets no message from a late thread."""
    before = set(threading.enumerate())

    async def open_nothing() -> None:
        with pytest.raises(sqlite3.OperationalError):
            await Worker.connect((tmp_path / "none.db").as_uri() + "?mode=ro", busy_timeout_seconds=1)
        assert set(threading.enumerate()) <= before

    asyncio.run(open_nothing())


async def test_no_descriptor_left_is_said(tmp_path: Path) -> None:
    """A process without a file descriptor is told so: its files and their permissions are right."""
    path = tmp_path / "runs.db"
    await finished_run(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    async with Runner(path) as runner:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
            with suppress(OSError):
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            with pytest.raises(StoreError, match="no file descriptor left") as caught:
                await runner.store.change_token()  # by the connection of the reading thread, which is opened now
        finally:
            for each in held:
                os.close(each)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [info.id for info in await runner.runs()] == ["r"]
    assert "ulimit -n" in str(caught.value)


async def test_a_new_file_with_almost_the_name_of_another_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`R.db` in place of `r.db` is an empty database, in which no run is found."""
    for name in ("r.db", "other.db"):
        async with opened(tmp_path / name):
            pass
    assert not caplog.records
    if (tmp_path / "R.db").exists():
        pytest.skip("here it is the same file")
    async with opened(tmp_path / "R.db"):
        pass
    (record,) = caplog.records
    assert "R.db is new, and r.db is beside it" in record.getMessage()
