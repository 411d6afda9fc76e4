"""`SQLiteStore`: the store that a Runner uses for a path.

Reading order: `writes.py` and `reads.py` (the operations, as plain functions of a connection), `due.py` (which runs are
due), `commits.py` (how writes share a transaction), `owners.py` (which process drives a run), then this file, which
only encodes, queues and awaits.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic_core import to_json

from graphengine.engine.step_json import encode_step
from graphengine.errors import DefinitionError, GraphEngineError, StoreReadOnly
from graphengine.graph.options import is_seconds
from graphengine.stores.addresses import refuse_address
from graphengine.stores.base import Page, summary_text
from graphengine.stores.closing import finish
from graphengine.stores.dispatch import limits_text
from graphengine.stores.refusals import check_process, lease_lost, not_open
from graphengine.stores.sqlite import files, reads, removal, taking, writes
from graphengine.stores.sqlite.announcements import Announcements
from graphengine.stores.sqlite.checkpoints import Checkpoints
from graphengine.stores.sqlite.commits import GroupCommit
from graphengine.stores.sqlite.direct import Direct
from graphengine.stores.sqlite.due import due
from graphengine.stores.sqlite.faults import explain
from graphengine.stores.sqlite.owners import Lease, LeaseOptions, Onlooker
from graphengine.stores.sqlite.readers import Reader
from graphengine.stores.sqlite.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.engine.outline import Outline
    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import (
        Append,
        Count,
        KeptSchedule,
        Loaded,
        Message,
        OwnerInfo,
        Pick,
        QueueCount,
        QueueLimits,
        RunInfo,
        Status,
        Taken,
    )
    from graphengine.stores.sqlite.files import Synchronous
    from graphengine.stores.sqlite.writes import Addition, Claimed

T = TypeVar("T")
log = logging.getLogger("graphengine.stores")

LEASE_SECONDS: Final = 30.0
BUSY_TIMEOUT_SECONDS: Final = 10.0
_BRIEF_TIMEOUT: Final = "PRAGMA busy_timeout = 200"


class SQLiteStore:
    """A store in one SQLite file.

    Args:
        path: The file; it and its folder are created if they are missing.
        synchronous: `FULL`: a returned write survives a power cut, since the write-ahead log is synced at every commit
            (on macOS with F_FULLFSYNC). `NORMAL`: it survives the death of the process; the log is synced before it is
            moved into the file and not at a commit, so a power cut can lose the last writes of all runs, always the
            newest ones, and never damages the file. Both need a disk that reports syncs truthfully, and a local file
            system: on a network file system locks and shared memory do not work, and the file can be damaged.
            Source: https://sqlite.org/pragma.html#pragma_synchronous, https://sqlite.org/wal.html.
        busy_timeout_seconds: How long to wait for another program's lock.
        lease_seconds: How long an owner on another host counts as alive without a renewal.
        clock: Returns epoch seconds, for leases and for the order in which runs are due.
        read_only: Whether to only read: take no lease, create no file, and work in a folder that cannot be written.

    Attributes:
        path: The file.
        lease: This owner's lease, while the store is open and not read-only.

    Raises:
        StoreNotSupported: The path is an address, `scheme://…`.
        DefinitionError: An option is invalid.
    """

    def __init__(  # noqa: PLR0913  # keyword options of a call that people write once
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "FULL",
        busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
    ) -> None:
        refuse_address(path)
        self.path: Final = Path(path).absolute()
        if synchronous not in ("FULL", "NORMAL"):
            raise DefinitionError(f"SQLiteStore(synchronous={synchronous!r})", repair="give 'FULL' or 'NORMAL'")
        self._synchronous: Synchronous = synchronous
        for name, seconds in (("busy_timeout_seconds", busy_timeout_seconds), ("lease_seconds", lease_seconds)):
            if not is_seconds(seconds, zero=name == "busy_timeout_seconds"):
                raise DefinitionError(f"SQLiteStore({name}={seconds!r})", repair="pass seconds above 0")
        self._options = LeaseOptions(self.path.resolve(), lease_seconds, busy_timeout_seconds, clock)
        self._read_only = read_only
        self._pid = 0
        self._opening: asyncio.Lock | None = None
        self._reader: Reader | None = None
        self._writer: Worker | None = None
        self._commits: GroupCommit | None = None
        self._checkpoints: Checkpoints | None = None
        self._direct: Direct | None = None
        self.lease: Lease | None = None
        self._outlines: dict[str, str] = {}  # the JSON of outlines by fingerprint, encoded once
        self._sweeping: asyncio.Task[None] | None = None
        self._driven: dict[str, Claimed] = {}
        self._announcements = Announcements(self._options.folder)

    @property
    def shared(self) -> bool:
        """True: any process can open the same file."""
        return True

    async def open(self) -> None:
        """Open the store; see `Store.open`.

        Raises:
            StoreMissing: It is opened read-only, and there is no database.
            StoreNotADatabase: The file is not a database, or another application's.
            StoreTooNew: A newer version wrote it.
            StoreReadOnly: The file or its folder cannot be written.
            StoreLocked: Another program holds its lock.
            RunnerClosed: This process is a fork of the one that opened the store.
        """
        if self._reader is not None:
            check_process(self._pid, str(self.path))
            return
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._reader is None:
                self._pid = os.getpid()
                reader = Reader(
                    self._options.path,
                    busy_timeout_seconds=self._options.busy_timeout_seconds,
                    at_rest=self._read_only,
                )
                if self._read_only:
                    await self._try(reader)
                elif await self._open_writer(reader):
                    self._sweeping = asyncio.create_task(self._resume_sweep(), name="graphengine sweep")
                self._reader = reader

    async def _try(self, reader: Reader) -> None:
        """Check that the file can be read."""
        try:
            await reader.run(lambda _: None)
        except BaseException:
            await reader.close()
            raise

    async def _open_writer(self, reader: Reader) -> bool:
        """Open the store for writing. Return whether rows of removed runs are still to be deleted."""
        path = self._options.path
        files.prepare_file(path)
        lease = Lease(self._options)
        try:
            worker = Worker(f"{path.as_uri()}?mode=rw", busy_timeout_seconds=self._options.busy_timeout_seconds)
        except sqlite3.Error as error:
            raise explain(error, path) from error
        checkpoints = Checkpoints(path, self._synchronous)

        def prepare(connection: sqlite3.Connection) -> tuple[files.Place, Direct | None, bool]:
            files.set_up(connection, path, self._synchronous)
            lease.acquire_lock()
            lease.register(connection)
            lease.connect()
            has_trash = removal.has_trash(connection)
            place = files.Place(path)
            return place, Direct(place, checkpoints) if self._synchronous == "NORMAL" else None, has_trash

        try:
            place, direct, has_trash = await worker.run(prepare)
        except BaseException as error:
            await worker.close(lambda _: _give_up(lease))
            if isinstance(error, sqlite3.Error | OSError | UnicodeDecodeError):
                raise explain(error, path) from error
            raise
        self._announcements = Announcements(self._options.folder)  # what was announced before has been done
        self._writer, self.lease, self._checkpoints, self._direct = worker, lease, checkpoints, direct
        lease.place = place
        self._commits = GroupCommit(worker, place, checkpoints, direct)
        lease.keep(threading.current_thread(), partial(_abandon, worker, reader, checkpoints, direct))
        return has_trash

    async def close(self) -> None:
        """Finish pending writes, release runs and lease, and leave only the database file; see `Store.close`."""
        if self._opening is not None and self._pid == os.getpid():
            await finish(self._opening, self._close())  # an opening that is in progress ends first

    async def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is None:
            return
        sweeping, self._sweeping = self._sweeping, None
        if sweeping is not None:
            sweeping.cancel()
            await asyncio.wait([sweeping])
        self._driven.clear()
        writer, self._writer = self._writer, None
        commits, self._commits = self._commits, None
        lease, self.lease = self.lease, None
        if writer is None or commits is None or lease is None:
            await reader.close()
            return
        retired = commits.submit(lease.retire)
        await commits.drain()
        direct, self._direct = self._direct, None
        if direct is not None:
            direct.close()
        await reader.close()
        failure = retired.exception()
        if failure is not None:
            text = "the lease on %s was not deleted; its released lock shows that it is free: %s"
            log.warning(text, self.path, failure)
        await writer.close(partial(_end, lease=lease, checkpoints=self._checkpoints))

    def abandon(self) -> None:
        """Free all resources without the event loop in which the store was opened. If that loop runs, use `close`.

        Writes that are not durable yet can be lost, as in a crash; other processes see at once that the owner is dead.
        Call it from a thread without an event loop. Do nothing if the store is not open.
        """
        reader, self._reader = self._reader, None
        if reader is None or self._pid != os.getpid():
            return
        writer, self._writer = self._writer, None
        lease, self.lease = self.lease, None
        self._commits = self._sweeping = None
        self._driven.clear()
        if lease is not None:
            lease.stop()
        direct, self._direct = self._direct, None
        _abandon(writer, reader, self._checkpoints, direct)
        if lease is not None:
            lease.release_lock()

    async def create(self, info: RunInfo, steps: Sequence[Step], outline: Outline) -> int:
        """Record a new run, driven by this owner; see `Store.create`."""
        commits, lease = self._writing()
        rows = [_row(step) for step in steps]
        body = self._outlines.get(info.fingerprint)
        if body is None:
            body = self._outlines[info.fingerprint] = _json(outline)
        work = partial(writes.create, info=info, rows=rows, outline=body, owner=lease.id)
        row_bytes = sum(len(row.body) for row in rows)
        pending = commits.submit(work, row_bytes, run_id=info.id if info.parent is None else None)
        if info.queued:
            fence = (await pending).fence
            self._announcements.announce()
            return fence
        return await self._drive(info.id, pending)

    async def claim(self, run_id: str) -> int:
        """Become the run's driver; see `Store.claim`."""
        commits, lease = self._writing()
        return await self._drive(run_id, commits.submit(partial(writes.claim, run_id=run_id, lease=lease)))

    async def _drive(self, run_id: str, pending: asyncio.Future[Claimed]) -> int:
        try:
            claimed = pending.result() if pending.done() else await asyncio.shield(pending)
        except asyncio.CancelledError:
            # The caller does not get the fence, so nothing would drive the run although it counts as driven.
            pending.add_done_callback(partial(self._owe_release, run_id))
            with suppress(GraphEngineError):
                await self._release(run_id, (await asyncio.shield(pending)).fence)
            raise
        self._driven[run_id] = claimed
        return claimed.fence

    def _owe_release(self, run_id: str, taken: asyncio.Future[Claimed]) -> None:
        """Mark a claim for release, so that it is released even if the caller is cancelled again."""
        if self.lease is not None and not taken.cancelled() and taken.exception() is None:
            self.lease.owed.add((run_id, taken.result().fence))

    async def release(self, run_id: str, fence: int) -> None:
        """Stop being the driver; see `Store.release`."""
        self._writing()
        driven = self._driven.get(run_id)
        if driven is not None and driven.fence == fence:
            del self._driven[run_id]
        await self._release(run_id, fence)

    async def _release(self, run_id: str, fence: int) -> None:
        commits, lease = self._writing()
        lease.owed.add((run_id, fence))
        await commits.submit(partial(writes.release, run_id=run_id, fence=fence, lease=lease), run_id=run_id)
        lease.owed.discard((run_id, fence))
        self._announcements.announce()

    def append(self, batch: Append) -> asyncio.Future[None] | None:
        """Encode and write or queue steps. The future is done when they are durable; see `Store.append`."""
        commits, lease = self._writing()
        driven = self._driven.get(batch.run_id)
        if driven is None or driven.fence != batch.fence:
            raise lease_lost(batch.run_id, batch.fence)
        addition, written_bytes = _encode(batch, driven, lease.id)
        pending = commits.submit(addition, written_bytes, run_id=batch.run_id)
        if pending.done():
            if batch.status != "running":
                self._forget_released(batch.run_id, driven, pending)
            return None
        if batch.status != "running":
            pending.add_done_callback(partial(self._forget_released, batch.run_id, driven))
        return pending

    def _forget_released(self, run_id: str, driven: Claimed, written: asyncio.Future[None]) -> None:
        """Forget a run once the append that releases it is durable; a rejected append changes nothing."""
        is_written = not written.cancelled() and written.exception() is None
        if is_written and self._driven.get(run_id) is driven:
            del self._driven[run_id]

    async def info(self, run_id: str) -> RunInfo:
        """Return the facts about a run; see `Store.info`."""
        found = await self._read(partial(reads.find, run_id=run_id, onlooker=self._onlooker()))
        if self.lease is not None and (run_id, found.fence) in self.lease.owed:
            return replace(found.info, driver=None, held=False)  # released, though not recorded in the file yet
        return found.info

    async def seqs(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the last seq of these runs; see `Store.seqs`."""
        return await self._read(partial(reads.seqs, run_ids=run_ids)) if run_ids else {}

    async def infos(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the facts about these runs; see `Store.infos`."""
        return await self._read(partial(reads.infos, run_ids=run_ids, onlooker=self._onlooker())) if run_ids else []

    async def pulse(self) -> str:
        """Return a text that differs after every commit; see `Store.pulse`."""
        version = await self._read(reads.pulse)
        return f"{0 if self._reader is None else self._reader.connections}.{version}"

    async def counts(
        self, *, tag: str | None = None, text: str | None = None, every_seconds: float | None = None
    ) -> Sequence[Count]:
        """Return how many runs there are by graph and status; see `Store.counts`."""
        return await self._read(partial(reads.counts, tag=tag, text=text, every_seconds=every_seconds))

    async def ids(self, prefix: str, *, limit: int = 50) -> Sequence[str]:
        """Return the ids that begin with this text; see `Store.ids`."""
        return await self._read(partial(reads.ids, prefix=prefix, limit=limit))

    async def load(self, run_id: str, upto: int | None = None) -> Loaded:
        """Return a snapshot and the steps after it; see `Store.load`."""
        return await self._read(partial(reads.load, run_id=run_id, upto=upto, onlooker=self._onlooker()))

    async def steps(self, run_id: str, after: int = 0, upto: int | None = None) -> Sequence[Step]:
        """Return a range of the log; see `Store.steps`."""
        return await self._read(partial(reads.steps, run_id=run_id, after=after, upto=upto))

    async def runs(  # noqa: PLR0913 - what a run can be selected by
        self,
        *,
        limit: int = 50,
        status: Status | None = None,
        graph: str | None = None,
        tag: str | None = None,
        before: str | None = None,
        text: str | None = None,
        begun_after: float | None = None,
        begun_before: float | None = None,
    ) -> Sequence[RunInfo]:
        """Return a page of the list of runs; see `Store.runs`."""
        page = Page(limit, status, graph, tag, before, text, begun_after, begun_before)
        return await self._read(partial(reads.runs, page=page, onlooker=self._onlooker()))

    async def due(self, now: float, *, limit: int = 100, graphs: Sequence[str] | None = None) -> Sequence[RunInfo]:
        """Return the runs that are due to be resumed; see `Store.due`."""
        return await self._read(partial(due, now=now, limit=limit, onlooker=self._onlooker(), graphs=graphs))

    async def take(self, pick: Pick) -> Sequence[Taken]:
        """Become the driver of due runs that no process drives; see `Store.take`."""
        commits, lease = self._writing()
        onlooker = self._onlooker()
        pending = commits.submit(partial(taking.take, pick=pick, lease=lease, onlooker=onlooker))
        try:
            haul = await asyncio.shield(pending)
            taken = await self._read(partial(taking.read, taken=haul.taken, kept=pick.kept, onlooker=onlooker))
        except (asyncio.CancelledError, GraphEngineError):
            pending.add_done_callback(self._give_back)
            raise
        self._driven.update(haul.claimed)
        return taken

    def _give_back(self, pending: asyncio.Future[taking.Haul]) -> None:
        """Release what was taken for a caller that did not get it: nothing would drive it."""
        commits, lease = self._commits, self.lease
        if commits is None or lease is None or pending.cancelled() or pending.exception() is not None:
            return  # closing releases everything
        for run_id, claimed in pending.result().claimed.items():
            lease.owed.add((run_id, claimed.fence))  # tried again with each renewal, should this fail
            released = commits.submit(partial(writes.release, run_id=run_id, fence=claimed.fence, lease=lease))
            released.add_done_callback(partial(self._given_back, lease, (run_id, claimed.fence)))

    def _given_back(self, lease: Lease, given: tuple[str, int], released: asyncio.Future[None]) -> None:
        if not released.cancelled() and released.exception() is None:
            lease.owed.discard(given)

    async def limit_queue(self, queue: str, limits: QueueLimits | None) -> None:
        """Set the limits of a queue, or remove them; see `Store.limit_queue`."""
        commits, _ = self._writing()
        text = None if limits is None else limits_text(limits)
        await commits.submit(partial(taking.set_limits, queue=queue, limits=text))

    async def queue_limits(self) -> Mapping[str, QueueLimits]:
        """Return the limits by queue; see `Store.queue_limits`."""
        return await self._read(taking.limits)

    async def queue_counts(self) -> Sequence[QueueCount]:
        """Return how many runs each queue has; see `Store.queue_counts`."""
        return await self._read(taking.counts)

    async def keep_schedule(self, schedule: KeptSchedule) -> None:
        """Add or replace a schedule; see `Store.keep_schedule`."""
        await self._change("keep_schedule", (schedule.name, _json(dict(schedule.body)), schedule.next_at))

    async def drop_schedule(self, name: str) -> bool:
        """Remove a schedule; see `Store.drop_schedule`."""
        return await self._change("drop_schedule", (name,))

    async def schedules(self) -> Sequence[KeptSchedule]:
        """Return all schedules; see `Store.schedules`."""
        return await self._read(taking.schedules)

    async def move_schedule(self, name: str, seen: float, next_at: float) -> None:
        """Set the next time of a schedule; see `Store.move_schedule`."""
        await self._change("move_schedule", (next_at, name, seen))

    async def _change(self, statement: str, values: Sequence[object]) -> bool:
        """Run a statement that can be repeated; return whether it changed anything."""
        commits, _ = self._writing()
        return await commits.submit(partial(taking.change, statement=statement, values=values))

    async def set_role(self, role: Mapping[str, JsonValue]) -> None:
        """Record that this owner is a worker; see `Store.set_role`."""
        commits, lease = self._writing()
        await commits.submit(partial(taking.set_role, role=_json(dict(role)), owner=lease.id))

    async def owners(self) -> Sequence[OwnerInfo]:
        """Return the owners that are alive; see `Store.owners`."""
        return await self._read(partial(taking.owners, onlooker=self._onlooker()))

    async def outline(self, fingerprint: str) -> Outline | None:
        """Return the outline of this fingerprint; see `Store.outline`."""
        return await self._read(partial(reads.outline, fingerprint=fingerprint))

    async def post(self, run_id: str, kind: str, payload: JsonValue, key: str) -> bool:
        """Put a message into a run's inbox; see `Store.post`."""
        commits, lease = self._writing()
        message = writes.Post(run_id, kind, _json(payload), key, lease.now())
        is_new = await commits.submit(partial(writes.post, message=message), len(message.payload), run_id=run_id)
        self._announcements.announce()
        return is_new

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[Message]:
        """Return the undelivered messages of these runs; see `Store.inbox`."""
        return await self._read(partial(reads.inbox, run_ids=run_ids)) if run_ids else []

    async def news(self, after: int) -> int:
        """Return once another process announced something; see `Store.news`."""
        self._writing()
        return await self._announcements.heard(after)

    async def tag(self, run_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> tuple[str, ...]:
        """Change a run's tags; see `Store.tag`."""
        commits, _ = self._writing()
        return await commits.submit(partial(writes.tag, run_id=run_id, added=tuple(add), removed=tuple(remove)))

    async def branches(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the direct branches of these runs; see `Store.branches`."""
        return await self._read(partial(removal.branches, run_ids=run_ids, onlooker=self._onlooker()))

    async def weigh(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the approximate bytes of these runs; see `Store.weigh`."""
        return await self._read(partial(removal.weigh, run_ids=run_ids))

    async def remove(self, runs: Sequence[RunInfo]) -> Mapping[str, str]:
        """Remove runs from the store; see `Store.remove`."""
        commits, lease = self._writing()
        return await commits.submit(partial(removal.remove, runs=tuple(runs), lease=lease))

    async def sweep(self) -> None:
        """Free the space of removed runs in strides; see `Store.sweep`."""
        commits, _ = self._writing()
        await removal.in_strides(lambda: self._read(removal.has_trash), lambda: commits.submit(removal.stride))
        spare = await self._read(removal.spare_outlines)
        if spare:
            await commits.submit(partial(removal.drop_outlines, fingerprints=spare))

    async def _resume_sweep(self) -> None:
        """Continue the sweep of a process that was interrupted."""
        try:
            await self.sweep()
        except GraphEngineError as error:
            log.warning("removed runs still take up space in %s: %s", self.path, error)

    async def vacuum(self) -> tuple[int, int]:
        """Return free space to the disk; see `Store.vacuum`.

        A database that was restored from a dump is rewritten once, and other processes wait until that is done.
        """
        commits, _ = self._writing()
        writer = self._writer
        if writer is None:
            raise not_open()
        before = removal.bytes_of(self._options.path)
        try:
            if await writer.run(removal.can_return_pages):
                return_pages = partial(commits.submit, removal.return_pages, removal.RETURNED_BYTES)
                await removal.in_strides(lambda: self._read(removal.has_free_pages), return_pages)
            else:
                await writer.run(removal.rewrite)
            checkpoints = self._checkpoints
            if checkpoints is not None:
                await writer.run(lambda connection: removal.empty_log(connection, self.path, checkpoints))
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        return before, removal.bytes_of(self._options.path)

    def _onlooker(self) -> Onlooker:
        return Onlooker(self._options, None if self.lease is None else self.lease.id)

    async def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        if self._reader is None:
            raise not_open()
        check_process(self._pid, str(self.path))
        return await self._reader.run(read)

    def _writing(self) -> tuple[GroupCommit, Lease]:
        if self._reader is None:
            raise not_open()
        check_process(self._pid, str(self.path))
        if self._commits is None or self.lease is None:
            message = "the database was opened read-only"
            raise StoreReadOnly(message, where=str(self.path), repair="open the store without read_only=True")
        return self._commits, self.lease


def _end(connection: sqlite3.Connection, lease: Lease, checkpoints: Checkpoints | None) -> None:
    """Stop the lease's thread, move the write-ahead log into the file, free the connections, then the lock.

    The last connection that is closed removes the log. If other processes have the database open, the next writer
    restarts the log, so that it does not grow with each process that opens and closes it. This waits for no reader and
    only briefly for a writer.
    """
    try:
        lease.stop()
        if checkpoints is not None:
            connection.execute(_BRIEF_TIMEOUT).fetchone()
            checkpoints.make(connection)
            checkpoints.close()
        connection.close()
    finally:
        lease.release_lock()


def _give_up(lease: Lease) -> None:
    lease.stop()
    lease.release_lock()


def _abandon(writer: Worker | None, reader: Reader, checkpoints: Checkpoints | None, direct: Direct | None) -> None:
    if direct is not None:
        direct.close()
    reader.abandon()  # first: the last connection removes the log, and one that only reads cannot
    if writer is not None:
        writer.abandon(None if checkpoints is None else lambda _: checkpoints.close())


def _json(value: JsonValue) -> str:
    return to_json(value).decode()


def _row(step: Step) -> writes.Row:
    return writes.Row(step.seq, step.at, encode_step(step))


def _encode(batch: Append, driven: Claimed, owner: str) -> tuple[Addition, int]:
    """Return the stored form of a batch, and its size in bytes."""
    rows = [_row(step) for step in batch.steps]
    row_bytes = len(rows[0].body) if len(rows) == 1 else sum(len(row.body) for row in rows)
    snapshot: bytes | None = None
    due = driven.tail.grow(len(rows), row_bytes)
    if due and batch.snapshot is not None:
        made = batch.snapshot()
        snapshot = made if driven.tail.settle(len(made)) else None
    addition = writes.Addition(
        batch.run_id,
        driven.key,
        batch.fence,
        owner,
        rows,
        batch.status,
        batch.consume,
        snapshot,
        batch.fingerprint,
        None if batch.outline is None else _json(batch.outline),
        batch.due_at,
        None if batch.summary is None else summary_text(batch.summary),
    )
    return addition, row_bytes + len(snapshot or b"")
