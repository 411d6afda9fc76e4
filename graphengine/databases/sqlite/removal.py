"""Removal of runs: first from the list of runs, in one short transaction, and then from the disk, in many.

`remove` checks each run inside its transaction, where no other process can claim or branch the run. Then it moves the
run's key to the table `trash`, and deletes the rows in `runs` and `tags`. The steps and snapshots can be large. They
are deleted later in strides: transactions of some hundredths of a second, so that others can write in between.

Any process can continue with the trash, so a crash between two strides loses nothing. New runs get keys above those in
the trash (`add_run`), so that a stride never deletes rows of an existing run.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from graphengine.databases.checksums import sum_of
from graphengine.databases.sqlite import texts, words
from graphengine.databases.sqlite.checkpoints import keep_log_short
from graphengine.databases.sqlite.files import PAGE_BYTES
from graphengine.databases.sqlite.queries import SQL, latest_format
from graphengine.databases.sqlite.reads import KEY_BITS, find
from graphengine.databases.sqlite.texts import Texts
from graphengine.databases.sqlite.wal_recovery import bytes_of_log
from graphengine.kernel.reader import encode_step
from graphengine.kernel.store import PAGE_LIMIT, EndedRun, reason_to_stay, strip_removed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from graphengine.databases.sqlite.checkpoints import Checkpoints
    from graphengine.databases.sqlite.owners import Lease, Onlooker
    from graphengine.databases.sqlite.worker import Worker
    from graphengine.kernel.reader import Step
    from graphengine.kernel.store import RunInfo, Status

STRIDE_SECONDS: Final = 0.01
"""How long one stride (a short transaction that deletes rows) works before it is committed."""

_RUNS_AT_ONCE: Final = 100
_STEPS_AT_ONCE: Final = 256
_WITH_TEXTS_AT_ONCE: Final = 64
_STATUS: Final = EndedRun.__struct_fields__.index("status")
_SNAPSHOTS_AT_ONCE: Final = 4
_PAGES_AT_ONCE: Final = 32

RETURNED_BYTES: Final = 4 << 20
"""About how many bytes a stride of `return_pages` writes. The number of changed rows does not show that."""
SHORTEST_LOG_BYTES: Final = 32 + 24 + PAGE_BYTES
"""The header of a log and one frame, which consists of a header and a page."""
_ATTEMPTS_TO_EMPTY_LOG: Final = 10
_READ_SECONDS: Final = 0.05
"""The pause between two attempts."""
_INCREMENTAL: Final = 2
_KEYS: Final = (1 << KEY_BITS) - 1
_MOST_REST_SECONDS: Final = 0.2


def ended(  # noqa: PLR0913 - the words of `Store.ended`
    connection: sqlite3.Connection,
    onlooker: Onlooker,
    status: Status,
    *,
    graph: str | None = None,
    after: EndedRun | None = None,
    limit: int = PAGE_LIMIT,
) -> list[EndedRun]:
    """Return a page of ended runs for a prune; see `Store.ended`."""
    created_at, run_id = (math.inf, "") if after is None else (after.created_at, after.id)
    values = {"status": status, "graph": graph, "created_at": created_at, "id": run_id, "limit": max(limit, 0)}
    found: list[EndedRun] = []
    for *facts, branched, tags, driver, starter_nonce, nonce in connection.execute(SQL["ended"], values):
        alive = None if driver is None else find(connection, facts[0], onlooker).info.driver
        facts.insert(_STATUS, status)
        facts.extend((branched != 0, _tags(tags), alive, starter_nonce, nonce))
        found.append(EndedRun(*facts))
    return found


def _tags(joined: str | None) -> tuple[str, ...]:
    return tuple(sorted(joined.split("\n"))) if joined else ()


def remove(connection: sqlite3.Connection, runs: Sequence[RunInfo | EndedRun], lease: Lease) -> dict[str, str]:
    """Remove runs from the store by moving them to the trash, from where they are deleted later.

    Runs that have changed or that other runs need are kept.

    Return the ids of the runs that are kept, with the reasons.
    """
    ids = to_json([run.id for run in runs]).decode()
    found = {row[0]: row for row in connection.execute(SQL["to_remove"], (ids,))}
    kept: dict[str, str] = {}
    going: dict[int, None] = {}
    for number, expected in enumerate(runs):
        row = found.get(number)
        if row is None or row[1] in going:
            kept[expected.id] = "already removed"
            continue
        _, key, status, seq, tags, driver, branched, nonce = row
        owner = None if driver is None else lease.other(connection, driver)
        branches = connection.execute(SQL["branches_of"], (key,)) if branched else ()
        branch = next((run_id for child, run_id in branches if child not in going), None)
        reason = reason_to_stay((nonce, status, seq, _tags(tags)), expected, owner, branch)
        if reason:
            kept[expected.id] = reason
        else:
            going[key] = None
    words.drop(connection, list(going))
    for statement in (
        "trash_runs",
        "drop_tags",
        "drop_fields",
        "drop_earlier_graph_specs",
        "drop_earlier_codes",
        "drop_runs",
    ):
        connection.execute(SQL[statement], (to_json(list(going)).decode(),))
    return kept


def trim(connection: sqlite3.Connection, run_id: str, keep: int, limit: int) -> int:
    """Replace the content of a run's old steps by placeholders; see `Store.trim`.

    The statements run inside the caller's transaction.
    """
    run = find(connection, run_id)
    first = (run.key << KEY_BITS) + run.info.parent_seq + 1
    ends = {"low": first, "high": (run.key << KEY_BITS) + run.info.seq - keep}
    row = connection.execute(SQL["trim_at"], ends).fetchone()
    if row is None:
        return 0
    shot, body, recorded, listed, at, is_begun, replaced = row
    going = connection.execute(SQL["trimmable"], {"low": first, "high": shot, "limit": limit}).fetchall()
    if going and not is_begun:
        snapshot = Texts(connection).whole(shot, body, recorded, listed)
        _replace(connection, shot, strip_removed(shot & _KEYS, at, snapshot), replaced)
        gone = connection.execute(SQL["drop_snapshots"], {"low": first, "high": shot}).fetchall()
        texts.release(connection, [(-row_id, listed) for row_id, listed in gone if listed is not None])
    for row_id, at, listed in going:
        _replace(connection, row_id, strip_removed(row_id & _KEYS, at), listed)
    return len(going)


def _replace(connection: sqlite3.Connection, row: int, step: Step, listed: str | None) -> None:
    """Replace the content of one step in its row of the database.

    `listed` is the list of the step's long texts before the change, from its row. These texts are then released.
    """
    texts.release(connection, [] if listed is None else [(row, listed)])
    body = encode_step(step)
    short, now_listed = texts.store(connection, row, body, repeats=True)
    connection.execute(SQL["replace_step"], (short, sum_of(row, body), now_listed, row))


def stride(connection: sqlite3.Connection) -> None:
    """Delete rows of removed runs, but only for a short time, so that other processes need not wait long.

    The statements run inside the caller's transaction. Repeat the call until all rows are deleted.
    """
    began = time.perf_counter()
    while keys := [key for (key,) in connection.execute(SQL["some_trash"], (_RUNS_AT_ONCE,))]:
        _delete_some_rows(connection, to_json(keys).decode())
        if time.perf_counter() - began >= STRIDE_SECONDS:
            return


def _delete_some_rows(connection: sqlite3.Connection, keys: str) -> None:
    """Delete a few rows of removed runs. Once all rows of these runs are deleted, also delete the runs from the trash.

    `keys` is a JSON array of the keys of the runs.
    """
    for table, rows, sign in (("steps", _STEPS_AT_ONCE, 1), ("snapshots", _SNAPSHOTS_AT_ONCE, -1)):
        most = min(rows, _WITH_TEXTS_AT_ONCE)
        going = connection.execute(SQL[f"texts_of_{table}"], {"keys": keys, "rows": most}).fetchall()
        if going:
            texts.release(connection, [(sign * row, listed) for row, listed in going])
            connection.execute(SQL[f"drop_rows_of_{table}"], (to_json([row for row, _ in going]).decode(),))
        if len(going) >= most or _delete_rows(connection, f"sweep_{table}", keys, rows) >= rows:
            return
    if _delete_rows(connection, "sweep_inbox", keys, _STEPS_AT_ONCE) < _STEPS_AT_ONCE:
        connection.execute(SQL["swept"], (keys,))


def _delete_rows(connection: sqlite3.Connection, statement: str, keys: str, rows: int) -> int:
    return connection.execute(SQL[statement], {"keys": keys, "rows": rows}).rowcount


def has_spare_specs(connection: sqlite3.Connection) -> bool:
    """Return whether the database contains a graph spec or code that no run needs. This reads all runs."""
    return any(connection.execute(SQL["has_spare_specs"]).fetchone())


def drop_spare_specs(connection: sqlite3.Connection) -> None:
    connection.execute(SQL["drop_graph_specs"])
    connection.execute(SQL["drop_codes"])


async def in_strides(has_more: Callable[[], Awaitable[bool]], work: Callable[[], Awaitable[None]]) -> None:
    """Do long work on the database in short pieces: call `work` again and again until `has_more` returns False.

    After each call, pause for as long as the call took, so that other processes can write.
    """
    while await has_more():
        began = time.perf_counter()
        await work()
        await asyncio.sleep(min(time.perf_counter() - began, _MOST_REST_SECONDS))


def can_return_pages(connection: sqlite3.Connection) -> bool:
    """Return whether the free pages of a database can be returned to the disk little by little, while others work.

    This is impossible for a database that was restored from a dump.
    """
    return bool(connection.execute("PRAGMA auto_vacuum").fetchone()[0] == _INCREMENTAL)


def has_free_pages(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA freelist_count").fetchone()[0])


def return_pages(connection: sqlite3.Connection) -> None:
    """Shorten the database file a little: move pages from its end to free places, but only for a short time.

    The statements run inside the caller's transaction, and its commit shortens the file.
    """
    began = time.perf_counter()
    while has_free_pages(connection) and time.perf_counter() - began < STRIDE_SECONDS:
        connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()  # one row per page


def rewrite(connection: sqlite3.Connection) -> None:
    """Rewrite the whole file without free pages. Afterwards free pages can be returned in strides."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("VACUUM")


def _shorten_log(connection: sqlite3.Connection) -> None:
    """Shorten the file of the write-ahead log by committing one page.

    If the whole log was moved into the database and no reader needs it, this commit restarts the log, and SQLite then
    shortens the file. `wal_checkpoint(TRUNCATE)` is no alternative: if it does not get the write lock, it moves the log
    without the lock.
    """
    connection.execute("PRAGMA journal_size_limit = 0").fetchone()
    try:
        connection.execute(f"PRAGMA user_version = {latest_format()}")  # unchanged, but it writes one page
    finally:
        keep_log_short(connection)


async def empty_log(writer: Worker, path: Path, checkpoints: Checkpoints) -> None:
    """Move the write-ahead log into the database file and shorten the log file.

    Other processes may read and write meanwhile.

    Both steps are repeated a few times, with pauses in which a read can end, because the first attempt can fail:

    1. The log is moved.
    2. Before the log file is shortened, another process commits or begins to read the log.
    3. Then the log file keeps its length, and gets one page longer.
    """

    def tried(connection: sqlite3.Connection) -> None:
        checkpoints.make(connection)
        _shorten_log(connection)

    for _ in range(_ATTEMPTS_TO_EMPTY_LOG):
        await writer.run(tried)
        if bytes_of_log(path) <= SHORTEST_LOG_BYTES:
            return
        await asyncio.sleep(_READ_SECONDS)


def bytes_of(path: Path) -> int:
    """Return the bytes of the file and of its write-ahead log, without the one page that a log always contains."""
    return path.stat().st_size + max(0, bytes_of_log(path) - SHORTEST_LOG_BYTES)
