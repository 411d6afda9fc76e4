"""How runs go: out of sight in one short transaction, and off the disk in many.

`remove` looks at each run once more inside its transaction, where nobody can claim or branch it, and moves its key to
the table `trash`: its rows in `runs` and `tags` are gone at once. What is large, its steps and snapshots, goes in
strides, each of them a transaction of some hundredths of a second, so that others write in between. Whoever
finds something in the trash may go on with it: a crash between two strides costs nothing. New runs get keys above
those in the trash (`add_run`), so that a stride never meets the rows of a run that is there.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from graphengine.stores.sqlite.files import PAGE_BYTES, VERSION, log_of
from graphengine.stores.sqlite.queries import SQL
from graphengine.stores.sqlite.reads import KEY_BITS, from_row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from graphengine.stores.base import RunInfo
    from graphengine.stores.sqlite.owners import Lease, Onlooker
    from graphengine.stores.sqlite.reads import Found

STRIDE_SECONDS: Final = 0.01
"""How long the work of one stride may take before it is committed."""

_STEPS_AT_ONCE: Final = 64
_SNAPSHOTS_AT_ONCE: Final = 4
_PAGES_AT_ONCE: Final = 32

GIVEN_BACK_BYTES: Final = 4 << 20
"""What such a stride may write, about: it is not told by the rows it changes."""
SHORTEST_LOG_BYTES: Final = 32 + 24 + PAGE_BYTES
"""The header of a log, that of a frame, and its page."""
_INCREMENTAL: Final = 2
_KEYS: Final = (1 << KEY_BITS) - 1
_MOST_REST_SECONDS: Final = 0.2


def branches(connection: sqlite3.Connection, run_ids: Sequence[str], onlooker: Onlooker) -> list[RunInfo]:
    """The runs that were branched from one of these."""
    rows = connection.execute(SQL["branches"], (to_json(list(run_ids)).decode(),))
    return [from_row(connection, row, onlooker).info for row in rows]


def weigh(connection: sqlite3.Connection, run_ids: Sequence[str]) -> dict[str, int]:
    """The bytes of what each of these runs itself holds."""
    found = ((run_id, connection.execute(SQL["weight"], (run_id,)).fetchone()) for run_id in run_ids)
    return {run_id: row[0] for run_id, row in found if row is not None}


def remove(connection: sqlite3.Connection, runs: Sequence[RunInfo], lease: Lease) -> dict[str, str]:
    """Move runs to the trash, each if it is as told and nobody needs it; those that stay, with the reason."""
    kept: dict[str, str] = {}
    for told in runs:
        row = connection.execute(SQL["run_facts"], (told.id,)).fetchone()
        if row is None:
            kept[told.id] = "removed by somebody else"
            continue
        found = from_row(connection, row, None)
        reason = _reason_to_stay(connection, found, told, lease)
        if reason:
            kept[told.id] = reason
            continue
        for statement in ("trash_run", "drop_tags", "drop_earlier_outlines", "drop_run"):
            connection.execute(SQL[statement], (found.key,))
    return kept


def _reason_to_stay(connection: sqlite3.Connection, found: Found, told: RunInfo, lease: Lease) -> str:
    """Why a run must not go; "" if it may."""
    now = found.info
    owner = lease.other(connection, found.driver) if found.driver is not None else None
    if owner is not None:
        return f"driven by {owner}"
    if now.status in {"running", "waiting"}:
        return f"it is {now.status}"
    if (now.status, now.seq, now.tags) != (told.status, told.seq, told.tags):
        return "changed meanwhile"
    branch = connection.execute(SQL["a_branch"], (found.key,)).fetchone()
    return "" if branch is None else f"needed by branch {branch[0]}"


def has_trash(connection: sqlite3.Connection) -> bool:
    """Whether removed runs still take room."""
    return bool(connection.execute(SQL["has_trash"]).fetchone()[0])


def stride(connection: sqlite3.Connection) -> None:
    """Free some of what removed runs take, inside the caller's transaction."""
    began = time.perf_counter()
    while (row := connection.execute(SQL["some_trash"]).fetchone()) is not None:
        _free_some(connection, row[0])
        if time.perf_counter() - began >= STRIDE_SECONDS:
            return


def _free_some(connection: sqlite3.Connection, key: int) -> None:
    """Free a few rows of one run, and its key once none is left."""
    low = key << KEY_BITS
    high = low + _KEYS + 1
    for statement, rows in (("sweep_steps", _STEPS_AT_ONCE), ("sweep_snapshots", _SNAPSHOTS_AT_ONCE)):
        gone = connection.execute(SQL[statement], {"low": low, "high": high, "rows": rows})
        if gone.rowcount >= rows:
            return
    gone = connection.execute(SQL["sweep_inbox"], {"key": key, "rows": _STEPS_AT_ONCE})
    if gone.rowcount < _STEPS_AT_ONCE:
        connection.execute(SQL["swept"], (key,))


def spare_outlines(connection: sqlite3.Connection) -> list[str]:
    """The fingerprints of outlines that no run needs; it looks at every run."""
    return [row[0] for row in connection.execute(SQL["spare_outlines"])]


def drop_outlines(connection: sqlite3.Connection, fingerprints: Sequence[str]) -> None:
    """Drop those of these outlines that no run needs."""
    connection.execute(SQL["drop_outlines"], (to_json(list(fingerprints)).decode(),))


async def in_strides(left: Callable[[], Awaitable[bool]], go: Callable[[], Awaitable[None]]) -> None:
    """Go on while something is left, and rest after each stride for as long as it took, so that others can write."""
    while await left():
        began = time.perf_counter()
        await go()
        await asyncio.sleep(min(time.perf_counter() - began, _MOST_REST_SECONDS))


def gives_back(connection: sqlite3.Connection) -> bool:
    """Whether free pages can be given back in strides; databases of formats before 3 were not made for that."""
    return bool(connection.execute("PRAGMA auto_vacuum").fetchone()[0] == _INCREMENTAL)


def has_free_pages(connection: sqlite3.Connection) -> bool:
    """Whether pages of the file hold nothing."""
    return bool(connection.execute("PRAGMA freelist_count").fetchone()[0])


def give_back(connection: sqlite3.Connection) -> None:
    """Move pages from the file's end to where it is free, inside the caller's transaction, which then cuts the end."""
    began = time.perf_counter()
    while has_free_pages(connection) and time.perf_counter() - began < STRIDE_SECONDS:
        connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()  # a row for each page


def rewrite(connection: sqlite3.Connection) -> None:
    """Write the whole file anew, with nothing free in it, so that from now on it gives back in strides."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("VACUUM")


def shorten_log(connection: sqlite3.Connection) -> None:
    """Commit next to nothing: if the whole log was moved and no reader needs it, this commit begins and cuts it anew.

    Not by `wal_checkpoint(TRUNCATE)`, which moves the log without the write lock if it does not get it.
    """
    connection.execute("PRAGMA journal_size_limit = 0").fetchone()
    try:
        connection.execute(f"PRAGMA user_version = {VERSION}")  # as it is: one page is written
    finally:
        connection.execute("PRAGMA journal_size_limit = -1").fetchone()


def bytes_of(path: Path) -> int:
    """What the file and its write-ahead log take on the disk, but for the one frame that a log has at least."""
    found = 0
    for each, least_bytes in ((path, 0), (log_of(path), SHORTEST_LOG_BYTES)):
        with suppress(FileNotFoundError):
            found += max(0, each.stat().st_size - least_bytes)
    return found
