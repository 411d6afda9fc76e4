"""`SQLiteStore`: the store of a Runner that was given a path.

Read it in this order: `writes.py` and `reads.py` (what happens, as plain functions of a connection),
`due.py` (who waits for somebody), `commits.py` (how writes share a transaction), `owners.py` (who drives), then
this file, which only encodes, queues and awaits.
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

from graphengine.engine.steps import encode_step
from graphengine.errors import DefinitionError, GraphEngineError, RunnerClosed, StoreReadOnly
from graphengine.graph.options import is_seconds
from graphengine.stores.addresses import refuse_address
from graphengine.stores.sqlite import files, reads, removal, writes
from graphengine.stores.sqlite.checkpoints import Checkpoints
from graphengine.stores.sqlite.commits import GroupCommit
from graphengine.stores.sqlite.due import due
from graphengine.stores.sqlite.faults import explain
from graphengine.stores.sqlite.owners import Lease, LeaseOptions, Onlooker
from graphengine.stores.sqlite.readers import Reader
from graphengine.stores.sqlite.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import Append, Loaded, Message, RunInfo, Status
    from graphengine.stores.sqlite.files import Synchronous
    from graphengine.stores.sqlite.writes import Addition, Claimed

T = TypeVar("T")
log = logging.getLogger("graphengine.stores")

LEASE_SECONDS: Final = 30.0
BUSY_TIMEOUT_SECONDS: Final = 10.0
_LEAVING: Final = "PRAGMA busy_timeout = 200"


class SQLiteStore:
    """Keeps runs in one SQLite file.

    Args:
        path: The file; it and its folder are made if they are missing.
        synchronous: `FULL`: a returned write survives a power cut, since the write-ahead log is synced at every commit
            (on macOS with F_FULLFSYNC). `NORMAL`: it survives the death of the process; the log is synced before it is
            moved into the file and not at a commit, so a power cut may take the last writes of all runs, always the
            newest ones, and never damages the file. Both need a disk that does not lie about syncs, and a local file
            system: on a network's, locks and shared memory do not work and the file may be damaged.
            Source: https://sqlite.org/pragma.html#pragma_synchronous, https://sqlite.org/wal.html.
        busy_timeout_seconds: How long to wait for another program's lock.
        lease_seconds: How long an owner on another host counts as alive without a sign of life.
        clock: Gives epoch seconds, for leases and for the order in which runs are due.
        read_only: Only read: takes no lease, creates no file, and works in a folder that cannot be written.

    Attributes:
        path: The file.
        lease: This owner's lease, while the store is open and not read-only.

    Raises:
        StoreNotSupported: The path is an address, `scheme://…`.
    """

    def __init__(  # noqa: PLR0913  # options, each by its name, of a call that people write once
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
        self._synchronous: Synchronous = synchronous
        for name, seconds in (("busy_timeout_seconds", busy_timeout_seconds), ("lease_seconds", lease_seconds)):
            if not is_seconds(seconds, zero=name == "busy_timeout_seconds"):
                raise DefinitionError(f"SQLiteStore({name}={seconds!r})", repair="give seconds above 0")
        self._options = LeaseOptions(self.path.resolve(), lease_seconds, busy_timeout_seconds, clock)
        self._read_only = read_only
        self._pid = 0
        self._opening: asyncio.Lock | None = None
        self._reader: Reader | None = None
        self._writer: Worker | None = None
        self._commits: GroupCommit | None = None
        self._checkpoints: Checkpoints | None = None
        self.lease: Lease | None = None
        self._outlines: dict[str, str] = {}  # the JSON of outlines by fingerprint, made once
        self._sweeping: asyncio.Task[None] | None = None
        self._driven: dict[str, Claimed] = {}

    @property
    def shared(self) -> bool:
        """Yes: any process may open the same file."""
        return True

    async def open(self) -> None:
        """Make ready; see `Store.open`.

        Raises:
            StoreMissing: Opened to read, and there is no database.
            StoreNotADatabase: The file is something else, or another application's.
            StoreTooNew: Written by a newer version.
            StoreReadOnly: The file or its folder cannot be written.
            StoreLocked: Another program holds its lock.
            RunnerClosed: This process is a fork of the one that opened it.
        """
        if self._reader is not None:
            self._check_process()
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
                    self._sweeping = asyncio.create_task(self._go_on_sweeping(), name="graphengine sweep")
                self._reader = reader

    async def _try(self, reader: Reader) -> None:
        """See that the file can be read."""
        try:
            await reader.run(lambda _: None)
        except BaseException:
            await reader.close()
            raise

    async def _open_writer(self, reader: Reader) -> bool:
        """Make ready to write; whether runs were removed whose rows are still to go."""
        path = self._options.path
        files.prepare_file(path)
        lease = Lease(self._options)
        try:
            worker = await Worker.connect(
                f"{path.as_uri()}?mode=rw", busy_timeout_seconds=self._options.busy_timeout_seconds
            )
        except sqlite3.Error as error:
            raise explain(error, path) from error
        try:
            await worker.run(partial(files.set_up, path=path, synchronous=self._synchronous))
            await worker.run(partial(_register, lease=lease))
            has_trash = await worker.run(removal.has_trash)
        except BaseException as error:
            await worker.close()
            lease.release_lock()
            if isinstance(error, sqlite3.Error | OSError | UnicodeDecodeError):
                raise explain(error, path) from error
            raise
        self._writer, self.lease = worker, lease
        self._checkpoints = Checkpoints(path, self._synchronous)
        lease.place = files.Place(path)
        self._commits = GroupCommit(worker, lease.place, self._checkpoints)
        lease.keep(threading.current_thread(), partial(_abandon, worker, reader))
        return has_trash

    async def close(self) -> None:
        """Finish pending writes, give up runs and lease, and leave one file; see `Store.close`."""
        reader, self._reader = self._reader, None
        if reader is None or self._pid != os.getpid():
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
        await reader.close()
        failure = retired.exception()
        if failure is not None:
            log.warning("the lease on %s was not given back, its lock shows it free: %s", self.path, failure)
        await writer.run(partial(_leave, lease=lease, checkpoints=self._checkpoints))
        await writer.close()
        lease.release_lock()

    def abandon(self) -> None:
        """Let everything go at once, where the event loop is gone that it was opened in; else use `close`.

        What is durable stays, what is not may be lost, as in a crash; others see at once that its owner is dead. Call
        it from a thread without an event loop. Nothing happens where it is not open.
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
        if writer is not None:
            writer.abandon()
        reader.abandon()
        if lease is not None:
            lease.release_lock()

    async def create(self, info: RunInfo, steps: Sequence[Step], outline: Mapping[str, JsonValue]) -> int:
        """Record a new run, driven by this owner; see `Store.create`."""
        commits, lease = self._writing()
        rows = [_row(step) for step in steps]
        body = self._outlines.get(info.fingerprint)
        if body is None:
            body = self._outlines[info.fingerprint] = _json(outline)
        work = partial(writes.create, info=info, rows=rows, outline=body, owner=lease.id)
        return await self._drive(info.id, commits, work)

    async def claim(self, run_id: str) -> int:
        """Become the run's driver; see `Store.claim`."""
        commits, lease = self._writing()
        return await self._drive(run_id, commits, partial(writes.claim, run_id=run_id, lease=lease))

    async def _drive(self, run_id: str, commits: GroupCommit, work: Callable[[sqlite3.Connection], Claimed]) -> int:
        pending = commits.submit(work)
        try:
            claimed = await asyncio.shield(pending)
        except asyncio.CancelledError:
            # Nobody will learn the fence, so the run would have no driver and yet count as driven.
            pending.add_done_callback(partial(self._owe, run_id))
            with suppress(GraphEngineError):
                await self._give_back(run_id, (await asyncio.shield(pending)).fence)
            raise
        self._driven[run_id] = claimed
        return claimed.fence

    def _owe(self, run_id: str, taken: asyncio.Future[Claimed]) -> None:
        """See that a run that nobody waits for any more is let go, also if who does that is cancelled."""
        if self.lease is not None and not taken.cancelled() and taken.exception() is None:
            self.lease.owed.add((run_id, taken.result().fence))

    async def release(self, run_id: str, fence: int) -> None:
        """Stop being the driver; see `Store.release`."""
        self._writing()
        driven = self._driven.get(run_id)
        if driven is not None and driven.fence == fence:
            del self._driven[run_id]
        await self._give_back(run_id, fence)

    async def _give_back(self, run_id: str, fence: int) -> None:
        commits, lease = self._writing()
        lease.owed.add((run_id, fence))
        await commits.submit(partial(writes.release, run_id=run_id, fence=fence, lease=lease))
        lease.owed.discard((run_id, fence))

    def append(self, batch: Append) -> asyncio.Future[None]:
        """Encode and queue steps; done when they are durable; see `Store.append`."""
        commits, lease = self._writing()
        driven = self._driven.get(batch.run_id)
        if driven is None or driven.fence != batch.fence:
            raise writes.lease_lost(batch.run_id, batch.fence)
        addition = _encode(batch, driven, lease.id)
        written_bytes = sum(len(row.body) for row in addition.rows) + len(addition.snapshot or "")
        pending = commits.submit(partial(writes.append, addition=addition), written_bytes)
        if batch.status != "running":
            pending.add_done_callback(partial(self._let_go, batch.run_id, driven))
        return pending

    def _let_go(self, run_id: str, driven: Claimed, written: asyncio.Future[None]) -> None:
        """Forget a run once the append that releases it is durable; one that was refused changed nothing."""
        is_written = not written.cancelled() and written.exception() is None
        if is_written and self._driven.get(run_id) is driven:
            del self._driven[run_id]

    async def info(self, run_id: str) -> RunInfo:
        """What the store knows of a run; see `Store.info`."""
        found = await self._read(partial(reads.find, run_id=run_id, onlooker=self._onlooker()))
        if self.lease is not None and (run_id, found.fence) in self.lease.owed:
            return replace(found.info, driver=None, held=False)  # it was let go, though the file does not say so yet
        return found.info

    async def seqs(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        """How far these runs came; see `Store.seqs`."""
        return await self._read(partial(reads.seqs, run_ids=run_ids)) if run_ids else {}

    async def load(self, run_id: str, upto: int | None = None) -> Loaded:
        """A snapshot and the steps behind it; see `Store.load`."""
        return await self._read(partial(reads.load, run_id=run_id, upto=upto, onlooker=self._onlooker()))

    async def steps(self, run_id: str, after: int = 0, upto: int | None = None) -> Sequence[Step]:
        """A stretch of the log; see `Store.steps`."""
        return await self._read(partial(reads.steps, run_id=run_id, after=after, upto=upto))

    async def runs(
        self,
        *,
        limit: int = 50,
        status: Status | None = None,
        graph: str | None = None,
        tag: str | None = None,
        before: str | None = None,
    ) -> Sequence[RunInfo]:
        """A page of the list of runs; see `Store.runs`."""
        page = reads.Page(limit, status, graph, tag, before)
        return await self._read(partial(reads.runs, page=page, onlooker=self._onlooker()))

    async def due(self, now: float, *, limit: int = 100, graphs: Sequence[str] | None = None) -> Sequence[RunInfo]:
        """The runs that somebody should go on with; see `Store.due`."""
        return await self._read(partial(due, now=now, limit=limit, onlooker=self._onlooker(), graphs=graphs))

    async def outline(self, fingerprint: str) -> Mapping[str, JsonValue] | None:
        """The outline of this fingerprint; see `Store.outline`."""
        return await self._read(partial(reads.outline, fingerprint=fingerprint))

    async def post(self, run_id: str, kind: str, payload: JsonValue, key: str) -> bool:
        """Put a message into a run's inbox; see `Store.post`."""
        commits, lease = self._writing()
        message = writes.Post(run_id, kind, _json(payload), key, lease.now())
        return await commits.submit(partial(writes.post, message=message))

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[Message]:
        """The messages waiting for these runs; see `Store.inbox`."""
        return await self._read(partial(reads.inbox, run_ids=run_ids)) if run_ids else []

    async def tag(self, run_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> tuple[str, ...]:
        """Change a run's tags; see `Store.tag`."""
        commits, _ = self._writing()
        return await commits.submit(partial(writes.tag, run_id=run_id, added=tuple(add), removed=tuple(remove)))

    async def branches(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """The runs that were branched from these; see `Store.branches`."""
        return await self._read(partial(removal.branches, run_ids=run_ids, onlooker=self._onlooker()))

    async def weigh(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        """The bytes that go with these runs; see `Store.weigh`."""
        return await self._read(partial(removal.weigh, run_ids=run_ids))

    async def remove(self, runs: Sequence[RunInfo]) -> Mapping[str, str]:
        """Take runs out of the store; see `Store.remove`."""
        commits, lease = self._writing()
        return await commits.submit(partial(removal.remove, runs=tuple(runs), lease=lease))

    async def sweep(self) -> None:
        """Free what removed runs still take, in strides; see `Store.sweep`."""
        commits, _ = self._writing()
        await removal.in_strides(lambda: self._read(removal.has_trash), lambda: commits.submit(removal.stride))
        spare = await self._read(removal.spare_outlines)
        if spare:
            await commits.submit(partial(removal.drop_outlines, fingerprints=spare))

    async def _go_on_sweeping(self) -> None:
        """Go on where a process that removed runs was cut short."""
        try:
            await self.sweep()
        except GraphEngineError as error:
            log.warning("removed runs still take room in %s: %s", self.path, error)

    async def vacuum(self) -> tuple[int, int]:
        """Give free room back to the disk; see `Store.vacuum`.

        A database that an older version made is written anew once, and others wait until that is done.
        """
        commits, _ = self._writing()
        writer = self._writer
        if writer is None:
            raise _closed()
        before = removal.bytes_of(self._options.path)
        try:
            if await writer.run(removal.gives_back):
                give_back = partial(commits.submit, removal.give_back, removal.GIVEN_BACK_BYTES)
                await removal.in_strides(lambda: self._read(removal.has_free_pages), give_back)
            else:
                await writer.run(removal.rewrite)
            if self._checkpoints is not None:
                await writer.run(self._checkpoints.make)
            await writer.run(removal.shorten_log)
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        return before, removal.bytes_of(self._options.path)

    def _onlooker(self) -> Onlooker:
        return Onlooker(self._options, None if self.lease is None else self.lease.id)

    async def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        if self._reader is None:
            raise _closed()
        self._check_process()
        return await self._reader.run(read)

    def _writing(self) -> tuple[GroupCommit, Lease]:
        if self._reader is None:
            raise _closed()
        self._check_process()
        if self._commits is None or self.lease is None:
            message = "the database was opened to be read only"
            raise StoreReadOnly(message, where=str(self.path), repair="open the store without read_only=True")
        return self._commits, self.lease

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            message = "the store was opened in another process, of which this one is a fork"
            raise RunnerClosed(message, where=str(self.path), repair="make a Runner in this process")


def _closed() -> RunnerClosed:
    return RunnerClosed("the store is not open", repair="use it inside `async with Runner(...)`")


def _register(connection: sqlite3.Connection, lease: Lease) -> None:
    lease.acquire_lock()
    lease.register(connection)


def _leave(connection: sqlite3.Connection, lease: Lease, checkpoints: Checkpoints | None) -> None:
    """End the lease's thread, then move the write-ahead log into the file.

    The last connection that is closed removes the log. If others have the database open, its next writer begins the log
    anew, so that it does not grow with each process that comes and goes. Nothing waits for what others read or write.
    """
    lease.stop()
    if checkpoints is not None:
        connection.execute(_LEAVING).fetchone()
        checkpoints.make(connection)
        checkpoints.close()


def _abandon(writer: Worker, reader: Reader) -> None:
    writer.abandon()
    reader.abandon()


def _json(value: JsonValue) -> str:
    return to_json(value).decode()


def _row(step: Step) -> writes.Row:
    return writes.Row(step.seq, step.at, encode_step(step).decode())


def _encode(batch: Append, driven: Claimed, owner: str) -> Addition:
    rows = [_row(step) for step in batch.steps]
    snapshot: str | None = None
    due = driven.tail.grow(len(rows), sum(len(row.body) for row in rows))
    if due and batch.snapshot is not None:
        made = batch.snapshot()
        snapshot = made.decode() if driven.tail.settle(len(made)) else None
    return writes.Addition(
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
    )
