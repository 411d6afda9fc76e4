"""`SQLiteStore`: the store that a Runner uses for the path of a file.

Suggested reading order:

1. `writes.py` and `reads.py`, the operations as functions of a connection;
2. `taking.py`, which runs are due;
3. `commits.py`, how writes share a transaction;
4. `owners.py`, which process drives a run;
5. this file, which encodes values, queues writes, and waits for results.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic_core import to_json

from graphengine.databases.addresses import path_of
from graphengine.databases.sql import SQLStore, encode_batch, read, read_as_owner, read_page, rows_of
from graphengine.databases.sqlite import erasure, files, reads, removal, taking, writes
from graphengine.databases.sqlite.announcements import Announcements
from graphengine.databases.sqlite.checkpoints import Checkpoints
from graphengine.databases.sqlite.commits import GroupCommit
from graphengine.databases.sqlite.direct import Direct, NotDone, is_lone_step
from graphengine.databases.sqlite.faults import explain
from graphengine.databases.sqlite.owners import Lease, LeaseOptions, Onlooker
from graphengine.databases.sqlite.queries import DIALECT
from graphengine.databases.sqlite.readers import Reader
from graphengine.databases.sqlite.worker import Worker
from graphengine.errors import DefinitionError

if TYPE_CHECKING:
    import asyncio
    import os
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.databases.sql import Claimed, TakenRuns
    from graphengine.databases.sqlite.files import Synchronous
    from graphengine.kernel.extension import JsonValue, Seconds, SecondsOrZero
    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.kernel.store import Append, ClaimedRun, ClaimQuery, Code, EndedRun, RunInfo

T = TypeVar("T")
log = logging.getLogger("graphengine.stores")

LEASE_SECONDS: Final = 30.0
BUSY_TIMEOUT_SECONDS: Final = 10.0
_BRIEF_TIMEOUT: Final = "PRAGMA busy_timeout = 200"


class SQLiteStore(SQLStore[sqlite3.Connection, Onlooker, Lease]):
    """A store in one SQLite file.

    Args:
        path: The file. The file and its folder are created if they are missing.
        synchronous: `FULL`: a completed write survives a power cut, because the write-ahead log is synced to the disk
            at every commit (on macOS with F_FULLFSYNC). `NORMAL`: a completed write survives the death of the process,
            but a power cut can lose the newest writes of all runs, because the log is synced only before it is moved
            into the file. A power cut never damages the file. Both need a disk that reports syncs truthfully, and a
            local file system: on a network file system, locks and shared memory do not work, and the file can be
            damaged. Source: https://sqlite.org/pragma.html#pragma_synchronous, https://sqlite.org/wal.html.
        busy_timeout_seconds: How long to wait for another program's lock.
        lease_seconds: How long an owner on another host counts as alive after it last renewed its lease.
        clock: Returns epoch seconds. Leases, and the order in which runs are due, use this clock.
        read_only: Whether the store can only read. Then it takes no lease, creates no file, and works in a folder that
            cannot be written.

    Attributes:
        path: The file.

    Raises:
        StoreNotSupported: The path is an address, `scheme://…`, or `:memory:`, or contains a variable such as `$HOME`.
        DefinitionError: An option is invalid.
        StoreMissing: From `open`: the store is read-only, and the file does not exist.
        StoreNotADatabase: From `open`: the file is not a database, or belongs to another application.
        StoreTooNew: From `open`: a newer version wrote the file.
        StoreReadOnly: From `open`: the file or its folder cannot be written.
        StoreLocked: From `open`: another program holds the lock of the file.
    """

    dialect = DIALECT
    info = read_as_owner(reads.info)
    infos = read_as_owner(reads.shared.infos)
    moved = read(reads.moved)
    counts = read(reads.lists.counts)
    summaries = read(reads.lists.summaries)
    unsearched = read(reads.lists.unsearched)
    ids = read(reads.shared.ids)
    load = read_as_owner(reads.load)
    former_lease = read_as_owner(reads.former_lease)
    steps = read(reads.steps)
    runs = read_page(reads.lists.runs)
    due = read_as_owner(taking.due)
    graph_spec = read(reads.shared.graph_spec)
    code = read(reads.shared.code)
    inbox = read(reads.shared.inbox)
    message_keys = read(reads.message_keys)
    branches = read_as_owner(reads.shared.branches)
    stop_over = read(reads.shared.stop_over)
    started = read_as_owner(reads.shared.started)
    ended = read_as_owner(removal.ended)
    owners = read_as_owner(taking.owners)

    def __init__(  # noqa: PLR0913  # keyword options of a call that people write once
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "FULL",
        busy_timeout_seconds: SecondsOrZero = BUSY_TIMEOUT_SECONDS,
        lease_seconds: Seconds = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
    ) -> None:
        self.path: Final = path_of(path).absolute()
        super().__init__(str(self.path), reads.shared.rows)
        if synchronous not in ("FULL", "NORMAL"):
            text = f"SQLiteStore(synchronous={synchronous!r}): synchronous must be 'FULL' or 'NORMAL'"
            raise DefinitionError(
                text, where="SQLiteStore", repair="write SQLiteStore('runs.db', synchronous='NORMAL')"
            )
        self._synchronous: Synchronous = synchronous
        self._options = LeaseOptions(self.path.resolve(), lease_seconds, busy_timeout_seconds, clock)
        self._read_only = read_only
        self._reader: Reader  # set while the store is open; all but the reader only if the store can write
        self._writer: Worker
        self._commits: GroupCommit
        self._checkpoints: Checkpoints
        self._direct: Direct | None = None
        self._announcements = Announcements(self._options.folder)

    async def _connect(self) -> bool:
        reader = Reader(
            self._options.path,
            busy_timeout_seconds=self._options.busy_timeout_seconds,
            at_rest=self._read_only,
        )
        has_trash = False
        if self._read_only:
            try:
                await reader.run(lambda _: None)
            except BaseException:
                await reader.close()
                raise
        else:
            has_trash = await self._open_writer(reader)
        self._reader = reader
        return has_trash

    async def _open_writer(self, reader: Reader) -> bool:
        """Open the database for writing, and register this process as an owner with a lease.

        Return whether the trash contains rows of removed runs that a sweep must still delete.
        """
        path = self._options.path
        files.prepare_file(path)
        lease = Lease(self._options, self._doubt, ends_process=self.ends_process)
        try:
            worker = await Worker.connect(
                f"{path.as_uri()}?mode=rw", busy_timeout_seconds=self._options.busy_timeout_seconds
            )
        except sqlite3.Error as error:
            raise explain(error, path) from error
        checkpoints = Checkpoints(path, self._synchronous)

        def prepare(connection: sqlite3.Connection) -> tuple[files.OpenFiles, bool]:
            files.set_up(connection, path, self._synchronous)
            lease.acquire_lock()
            lease.register(connection)
            lease.connect()
            has_trash = reads.has_trash(connection)
            return files.OpenFiles(path), has_trash

        try:
            place, has_trash = await worker.run(prepare)
            direct = Direct(place, checkpoints)
        except BaseException as error:
            await worker.close(lambda _: _stop_and_unlock(lease))
            if isinstance(error, sqlite3.Error | OSError | UnicodeDecodeError):
                raise explain(error, path) from error
            raise
        self._announcements = Announcements(self._options.folder)  # ignore earlier announcements
        self._writer, self.lease, self._checkpoints, self._direct = worker, lease, checkpoints, direct
        lease.place, lease.look_at_log = place, partial(checkpoints.ask, worker)
        self._commits = GroupCommit(worker, place, checkpoints, direct if self._synchronous == "NORMAL" else None)
        lease.keep(threading.current_thread(), partial(_abandon, worker, reader, checkpoints, direct))
        return has_trash

    async def _disconnect(self, lease: Lease | None) -> None:
        if lease is None:
            await self._reader.close()
            return
        retired = self._commits.submit(lease.retire)
        await self._commits.drain()
        if self._direct is not None:
            self._direct.close()
        await self._reader.close()
        failure = retired.exception()
        if failure is not None:
            text = "the lease on %s was not deleted; its released lock shows that it is free: %s"
            log.warning(text, self.path, failure)
        await self._writer.close(partial(_end_lease, lease=lease, checkpoints=self._checkpoints))

    def _drop(self, lease: Lease | None) -> None:
        if lease is None:
            self._reader.abandon()
            return
        lease.stop()
        _abandon(self._writer, self._reader, self._checkpoints, self._direct)
        lease.release_lock()

    def _create(
        self, info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec, code_body: Code | None, lease: Lease
    ) -> asyncio.Future[Claimed]:
        rows, row_bytes = rows_of(writes.Row, info.id, steps, 1 if info.parent is None else info.parent_seq + 1)
        work = partial(writes.create, info=info, rows=rows, graph_spec=graph_spec, code_body=code_body, owner=lease.id)
        return self._commits.submit(work, row_bytes, run_id=info.id if info.parent is None else None)

    def _claim(self, run_id: str, lease: Lease) -> asyncio.Future[Claimed]:
        return self._commits.submit(partial(writes.claim, run_id=run_id, lease=lease))

    def _release(self, run_id: str, fence: int, lease: Lease) -> asyncio.Future[None]:
        return self._commits.submit(partial(writes.release, run_id=run_id, fence=fence, lease=lease), run_id=run_id)

    def _append(self, batch: Append, driven: Claimed, lease: Lease) -> asyncio.Future[None] | None:
        if is_lone_step(batch) and self._commits.append_step(batch, driven, lease.id):
            return None
        addition, written_bytes = encode_batch(writes.Addition, writes.Row, batch, driven, lease.id)
        if batch.posts:
            messages = [
                writes.Post(
                    post.run_id, post.kind, to_json(post.payload).decode(), post.key, lease.now(), nonce=post.nonce
                )
                for post in batch.posts
            ]
            work = partial(writes.append_and_post, addition=addition, messages=messages)
            written_bytes += sum(len(message.payload) for message in messages)
            return self._commits.submit(work, written_bytes, run_id=batch.run_id)
        return self._commits.submit(addition, written_bytes, run_id=batch.run_id)

    def _post(  # noqa: PLR0913 - what a message is
        self, run_id: str, kind: str, payload: JsonValue, key: str, alone: str, nonce: str | None, lease: Lease
    ) -> asyncio.Future[bool]:
        message = writes.Post(run_id, kind, to_json(payload).decode(), key, lease.now(), alone, nonce)
        return self._commits.submit(partial(writes.post, message=message), len(message.payload), run_id=run_id)

    def _tag(self, run_id: str, added: Sequence[str], removed: Sequence[str]) -> asyncio.Future[tuple[str, ...]]:
        return self._commits.submit(partial(writes.tag, run_id=run_id, added=tuple(added), removed=tuple(removed)))

    async def set_fields(self, run: RunInfo, fields: Mapping[str, str]) -> bool:
        """Set the searchable fields of a run that no process drives; see `records.filling.Filling`."""
        self._writable_lease()
        return await self._commits.submit(partial(writes.set_fields, run=run, fields=fields))

    def _take(self, pick: ClaimQuery, lease: Lease) -> asyncio.Future[TakenRuns]:
        return self._commits.submit(partial(taking.take, pick=pick, lease=lease, onlooker=self._own()))

    async def _load_taken(self, found: TakenRuns, pick: ClaimQuery) -> Sequence[ClaimedRun]:
        return await self.read(partial(taking.read, taken=found.taken, kept=pick.kept))

    async def _change(self, statement: str, values: Mapping[str, object]) -> bool:
        self._writable_lease()
        return await self._commits.submit(partial(taking.change, statement=statement, values=values))

    async def write(
        self, work: Callable[[sqlite3.Connection], T], written_bytes: int = 0, *, run_id: str | None = None
    ) -> T:
        """Call a function that writes in a transaction; see `SQLStore.write`."""
        self._writable_lease()
        return await self._commits.submit(work, written_bytes, run_id=run_id)

    def _announce(self) -> None:
        self._announcements.announce()

    async def change_token(self) -> str:
        """Return a text that changes with every commit; see `Store.change_token`."""
        version = await self._reader.run(reads.change_token)  # comparable only within a connection
        return f"{self._reader.connections}.{version}"

    async def notifications(self, after: int) -> int:
        """Wait until other processes have announced something; see `Store.notifications`."""
        self._writable_lease()
        return await self._announcements.heard(after)

    async def remove(self, runs: Sequence[RunInfo | EndedRun]) -> Mapping[str, str]:
        """Remove runs from the store; see `Store.remove`."""
        lease = self._writable_lease()
        return await self._commits.submit(partial(removal.remove, runs=tuple(runs), lease=lease))

    async def trim(self, run_id: str, keep: int, limit: int) -> int:
        """Replace the content of a run's old steps by placeholders; see `Store.trim`."""
        self._writable_lease()
        return await self._commits.submit(partial(removal.trim, run_id=run_id, keep=keep, limit=limit))

    async def sweep(self) -> None:
        """Free the space of removed runs in short transactions; see `Store.sweep`."""
        self._writable_lease()
        await removal.in_strides(
            lambda: self.read(lambda connection, _: reads.has_trash(connection)),
            lambda: self._commits.submit(removal.stride),
        )
        if await self.read(lambda connection, _: removal.has_spare_specs(connection)):
            await self._commits.submit(removal.drop_spare_specs)

    async def vacuum(self) -> tuple[int, int]:
        """Return free space to the disk; see `Store.vacuum`.

        A database that was restored from a dump is rewritten once, and other processes must wait until that is done.
        """
        self._writable_lease()
        writer = self._writer
        before = removal.bytes_of(self._options.path)
        try:
            if await writer.run(removal.can_return_pages):
                await removal.in_strides(
                    lambda: self.read(lambda connection, _: removal.has_free_pages(connection)),
                    partial(self._commits.submit, removal.return_pages, removal.RETURNED_BYTES),
                )
            else:
                await writer.run(removal.rewrite)
            await removal.empty_log(writer, self.path, self._checkpoints)
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        return before, removal.bytes_of(self._options.path)

    async def rewrite(self) -> None:
        """Rewrite the whole file, so that no byte of removed data is left in the file or its write-ahead log.

        Other processes that write must wait until that is done.

        Raises: StoreLocked, StoreFull; then only the indexes of words have changed.
        """
        self._writable_lease()
        await self._commits.submit(erasure.merge_words)
        try:
            await self._writer.run(removal.rewrite)
            await removal.empty_log(self._writer, self.path, self._checkpoints)
        except sqlite3.Error as error:
            raise explain(error, self.path) from error

    def _own(self) -> Onlooker:
        lease = self.lease
        return Onlooker(self._options, None) if lease is None else Onlooker(self._options, lease.id, lease.owed.copy())

    def _refuse_newer(self, connection: sqlite3.Connection) -> None:
        files.check_format(connection, self.path)

    async def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        with suppress(NotDone):
            if self._direct is not None:
                return await self._direct.read(read)
        return await self._reader.run(read)


def _end_lease(connection: sqlite3.Connection, lease: Lease, checkpoints: Checkpoints) -> None:
    """Close a store: stop renewing the lease, move the write-ahead log into the file, and close the connections.

    SQLite removes the log when the last connection is closed. If other processes have the database open, the next
    writer restarts the log, so that it does not grow with each process that opens and closes the database. This
    function does not wait for readers, and waits only briefly for a writer.
    """
    try:
        lease.stop()
        connection.execute(_BRIEF_TIMEOUT).fetchone()
        checkpoints.make(connection)
    finally:
        checkpoints.close()
        connection.close()
        lease.release_lock()


def _stop_and_unlock(lease: Lease) -> None:
    lease.stop()
    lease.release_lock()


def _abandon(writer: Worker, reader: Reader, checkpoints: Checkpoints, direct: Direct | None) -> None:
    if direct is not None:
        direct.close()
    reader.abandon()  # first, because the last connection removes the log and must be able to write
    writer.abandon(checkpoints.close)
