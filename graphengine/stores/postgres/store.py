"""`PostgresStore`: the store that a Runner uses for an address `postgresql://…`.

Reading order: `schema/0001_runs.sql` (what may be written is decided there), `writes.py` and `reads.py` (the calls),
`commits.py` (how writes share a transaction), `direct.py` and `sessions.py` (connections and threads), `owners.py`
(which process drives a run), then this file, which only encodes, queues and awaits.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from pydantic_core import from_json, to_json

from graphengine.errors import DefinitionError, GraphEngineError, StoreError, StoreReadOnly
from graphengine.graph.options import is_seconds
from graphengine.stores.addresses import is_postgres, parse, refuse_address
from graphengine.stores.base import KeptSchedule, OwnerInfo, Page, QueueCount
from graphengine.stores.closing import finish
from graphengine.stores.dispatch import limits_text, read_limits
from graphengine.stores.postgres import opening, reads, removal, taking, writes
from graphengine.stores.postgres.commits import GroupCommit
from graphengine.stores.postgres.faults import explain
from graphengine.stores.postgres.owners import Lease
from graphengine.stores.postgres.queries import SQL
from graphengine.stores.postgres.reads import Own
from graphengine.stores.postgres.sessions import Server, Sessions
from graphengine.stores.refusals import check_process, lease_lost, not_open

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.engine.outline import Outline
    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.addresses import Address
    from graphengine.stores.base import (
        Append,
        Count,
        Loaded,
        Message,
        Pick,
        QueueLimits,
        RunInfo,
        Status,
        Taken,
    )
    from graphengine.stores.postgres.sessions import Connection
    from graphengine.stores.postgres.writes import Call, Claimed

T = TypeVar("T")
log = logging.getLogger("graphengine.stores")

LEASE_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 30.0
_READERS: Final = 4
_CLOSING_SECONDS: Final = 2.0


class PostgresStore:
    """A store in a schema of a PostgreSQL database.

    Args:
        address: `postgresql://user@host:5432/database`, with the options of libpq; `?schema=NAME` names the schema of
            the tables, by default `graphengine`. Leave the password out and set PGPASSWORD, or use a passfile.
        lease_seconds: How long an owner counts as alive after its host or its network disappeared. A process that dies
            is noticed at once.
        patience_seconds: How long to try to reach a server that went away before a call fails. The first connection is
            tried once, unless the server answers that it is just starting.
        read_only: Whether to only read: take no lease, create no schema, and work on a standby.

    Attributes:
        address: The address; as text it has no password.
        lease: This owner's lease, while the store is open and not read-only.

    Raises:
        StoreNotSupported: The address is not one of PostgreSQL, or cannot be read.
    """

    def __init__(
        self,
        address: str,
        *,
        lease_seconds: float = LEASE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        read_only: bool = False,
    ) -> None:
        if not is_postgres(address):
            refuse_address(address)
            raise DefinitionError(f"PostgresStore({address!r})", repair='write PostgresStore("postgresql://…")')
        self.address: Final[Address] = parse(address)
        for name, seconds in (("lease_seconds", lease_seconds), ("patience_seconds", patience_seconds)):
            if not is_seconds(seconds, zero=name == "patience_seconds"):
                raise DefinitionError(f"PostgresStore({name}={seconds!r})", repair="pass seconds above 0")
        self._lease_seconds = lease_seconds
        self._patience_seconds = patience_seconds
        self._read_only = read_only
        self._pid = 0
        self._opening: asyncio.Lock | None = None
        self._server: Server | None = None
        self._readers: Sessions | None = None
        self._writer: Sessions | None = None
        self._commits: GroupCommit | None = None
        self.lease: Lease | None = None
        self._driven: dict[str, Claimed] = {}
        self._announced = 0
        self._waiting: set[asyncio.Future[None]] = set()  # those who wait for the next announcement
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def shared(self) -> bool:
        """True: any process can use the same database."""
        return True

    async def open(self) -> None:
        """Open the store; see `Store.open`.

        Raises:
            StoreUnreachable: The server cannot be reached.
            StoreForbidden: It refuses the user, or a right is missing.
            StoreMissing: There is no such database; or it is opened read-only, and has no runs.
            StoreNotADatabase: The schema is another application's.
            StoreTooNew: A newer version migrated it.
            StoreReadOnly: The server is a standby.
            RunnerClosed: This process is a fork of the one that opened the store.
        """
        if self._readers is not None:
            check_process(self._pid, self.address.shown)
            return
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._readers is None:
                self._pid = os.getpid()
                server = Server(self.address, self._patience_seconds, read_only=self._read_only)
                readers = Sessions(server, _READERS, "graphengine-read")
                try:
                    lease, has_trash = await readers.call(
                        partial(self._connect, readers, asyncio.get_running_loop(), threading.current_thread())
                    )
                except BaseException:
                    server.stopped.set()  # if this was cancelled, its thread takes the lease nevertheless
                    readers.abandon()
                    raise
                self._server, self._readers, self.lease = server, readers, lease
                if lease is not None:
                    self._writer = Sessions(server, 1, "graphengine-write")
                    self._commits = GroupCommit(self._writer, self.address, lease.id)
                if has_trash:
                    self._sweeping = asyncio.create_task(self._resume_sweep(), name="graphengine sweep")

    def _connect(
        self, readers: Sessions, loop: asyncio.AbstractEventLoop, loop_thread: threading.Thread
    ) -> tuple[Lease | None, bool]:
        """Check and prepare the schema, and take the lease. Return it, and whether rows of removed runs are left."""
        try:
            connection = readers.first_connect()
            if self._read_only:
                opening.check_readable(connection, self.address)
                return None, False
            opening.prepare(connection, self.address)
            has_trash = removal.has_trash(connection)
            lease = Lease(readers.server, self._lease_seconds, partial(self._hear, loop))
            lease.connect()
        except (psycopg.Error, OSError) as error:
            raise explain(error, self.address) from None
        lease.keep(loop_thread, self.abandon)
        return lease, has_trash

    def _hear(self, loop: asyncio.AbstractEventLoop) -> None:
        """Announce that a run may need attention; called by the lease's thread."""
        with suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(self._announce)

    def _announce(self) -> None:
        self._announced += 1
        waiting, self._waiting = self._waiting, set()
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def close(self) -> None:
        """Finish pending writes, release runs and lease, and end the connections; see `Store.close`."""
        if self._opening is not None and self._pid == os.getpid():
            await finish(self._opening, self._close())  # an opening that is in progress ends first

    async def _close(self) -> None:
        readers, self._readers = self._readers, None
        if readers is None:
            return
        sweeping, self._sweeping = self._sweeping, None
        if sweeping is not None:
            sweeping.cancel()
            await asyncio.wait([sweeping])
        writer, self._writer = self._writer, None
        commits, self._commits = self._commits, None
        lease, self.lease = self.lease, None
        server, self._server = self._server, None
        self._driven.clear()
        if writer is not None and commits is not None and lease is not None and server is not None:
            await commits.drain()
            server.patience_seconds = min(server.patience_seconds, _CLOSING_SECONDS)
            try:
                await writer.run(partial(_retire, lease=lease))
            except GraphEngineError as failure:
                text = "the lease on %s was not deleted; the end of its session shows that it is free: %s"
                log.warning(text, self.address.shown, failure.message)
            await readers.call(lease.stop)
            await writer.close()
        if server is not None:
            server.stopped.set()
        await readers.close()

    def abandon(self) -> None:
        """Free all resources without the event loop in which the store was opened. If that loop runs, use `close`.

        Writes that are not durable yet can be lost, as in a crash; other processes see at once that the owner is dead.
        Call it from a thread without an event loop. Do nothing if the store is not open.
        """
        readers, self._readers = self._readers, None
        if readers is None or self._pid != os.getpid():
            return
        server, self._server = self._server, None
        writer, self._writer = self._writer, None
        lease, self.lease = self.lease, None
        commits, self._commits = self._commits, None
        self._sweeping = None
        self._driven.clear()
        if commits is not None:
            commits.abandon()
        if lease is not None:
            lease.stop()
        if server is not None:
            server.stopped.set()
        for each in (writer, readers):
            if each is not None:
                each.abandon()

    async def create(self, info: RunInfo, steps: Sequence[Step], outline: Outline) -> int:
        """Record a new run, driven by this owner; see `Store.create`."""
        commits, lease = self._writing()
        work = writes.create(info, steps, outline, lease.id, lease.channel)
        if info.queued:
            return (await commits.submit(work)).fence
        return await self._drive(info.id, commits, work)

    async def claim(self, run_id: str) -> int:
        """Become the run's driver; see `Store.claim`."""
        commits, lease = self._writing()
        owed = [fence for each, fence in lease.owed if each == run_id]
        return await self._drive(run_id, commits, writes.claim(run_id, lease.id, owed))

    async def _drive(self, run_id: str, commits: GroupCommit, work: Call[Claimed]) -> int:
        pending = commits.submit(work)
        pending.add_done_callback(partial(self._note_untold, work.values[1]))
        try:
            claimed = await asyncio.shield(pending)
        except asyncio.CancelledError:
            # The caller does not get the fence, so nothing would drive the run although it counts as driven.
            pending.add_done_callback(partial(self._owe_release, run_id))
            with suppress(GraphEngineError):
                await self._release(run_id, (await asyncio.shield(pending)).fence)
            raise
        self._driven[run_id] = claimed
        return claimed.fence

    def _note_untold(self, token: int, taken: asyncio.Future[Any]) -> None:
        """Note a call that failed, but may have been done: the answer was lost, and the server stayed away."""
        if self.lease is not None and not taken.cancelled() and isinstance(taken.exception(), StoreError):
            self.lease.untold.append(token)

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
        await commits.submit(writes.release(run_id, fence, lease.id, lease.channel))
        lease.owed.discard((run_id, fence))

    def append(self, batch: Append) -> asyncio.Future[None]:
        """Encode and queue steps. The future is done when they are durable; see `Store.append`."""
        commits, _ = self._writing()
        driven = self._driven.get(batch.run_id)
        if driven is None or driven.fence != batch.fence:
            raise lease_lost(batch.run_id, batch.fence)
        pending = commits.add(writes.addition_of(batch, driven))
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
        return await self._read(partial(reads.info, run_id=run_id, own=self._own()))

    async def seqs(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the last seq of these runs; see `Store.seqs`."""
        return await self._read(partial(reads.seqs, run_ids=run_ids)) if run_ids else {}

    async def infos(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the facts about these runs; see `Store.infos`."""
        return await self._read(partial(reads.infos, run_ids=run_ids, own=self._own())) if run_ids else []

    async def pulse(self) -> str:
        """Return a text that changes with every transaction of the server; see `Store.pulse`."""
        return await self._read(reads.pulse)

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
        return await self._read(partial(reads.load, run_id=run_id, upto=upto, own=self._own()))

    async def steps(self, run_id: str, after: int = 0, upto: int | None = None) -> Sequence[Step]:
        """Return a range of the log; see `Store.steps`."""
        return await self._read(partial(reads.steps, run_id=run_id, after=after, upto=upto, own=self._own()))

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
        return await self._read(partial(reads.runs, page=page, own=self._own()))

    async def due(self, now: float, *, limit: int = 100, graphs: Sequence[str] | None = None) -> Sequence[RunInfo]:
        """Return the runs that are due to be resumed; see `Store.due`."""
        return await self._read(partial(reads.due, now=now, limit=limit, graphs=graphs, own=self._own()))

    async def take(self, pick: Pick) -> Sequence[Taken]:
        """Become the driver of due runs that no process drives; see `Store.take`."""
        _, lease = self._writing()
        own, token = Own(lease.id, ()), writes.new_token()
        work = partial(taking.take, pick=pick, own=own, dead=lease.dead, token=token)
        pending = self._check_open().begin(work)
        pending.add_done_callback(partial(self._note_untold, token))
        try:
            haul = await asyncio.shield(pending)
        except asyncio.CancelledError:
            pending.add_done_callback(self._give_back)
            raise
        self._driven.update(haul.claimed)
        return haul.taken

    def _give_back(self, pending: asyncio.Future[taking.Haul]) -> None:
        """Release what was taken for a caller that did not get it: nothing would drive it."""
        commits, lease = self._commits, self.lease
        if commits is None or lease is None or pending.cancelled() or pending.exception() is not None:
            return  # closing releases everything
        for run_id, claimed in pending.result().claimed.items():
            lease.owed.add((run_id, claimed.fence))  # tried again with each renewal, should this fail
            released = commits.submit(writes.release(run_id, claimed.fence, lease.id, lease.channel))
            released.add_done_callback(partial(self._given_back, lease, (run_id, claimed.fence)))

    def _given_back(self, lease: Lease, given: tuple[str, int], released: asyncio.Future[None]) -> None:
        if not released.cancelled() and released.exception() is None:
            lease.owed.discard(given)

    async def limit_queue(self, queue: str, limits: QueueLimits | None) -> None:
        """Set the limits of a queue, or remove them; see `Store.limit_queue`."""
        self._writing()
        values = (queue,) if limits is None else (queue, limits_text(limits))
        await self._read(partial(reads.execute, "drop_limits" if limits is None else "set_limits", values))

    async def queue_limits(self) -> Mapping[str, QueueLimits]:
        """Return the limits by queue; see `Store.queue_limits`."""
        rows = await self._read(partial(reads.rows, "limits", ()))
        return {name: read_limits(text) for name, text in rows}

    async def queue_counts(self) -> Sequence[QueueCount]:
        """Return how many runs each queue has; see `Store.queue_counts`."""
        return [QueueCount(*row) for row in await self._read(partial(reads.rows, "queue_counts", ()))]

    async def keep_schedule(self, schedule: KeptSchedule) -> None:
        """Add or replace a schedule; see `Store.keep_schedule`."""
        await self._change("keep_schedule", (schedule.name, to_json(schedule.body).decode(), schedule.next_at))

    async def drop_schedule(self, name: str) -> bool:
        """Remove a schedule; see `Store.drop_schedule`."""
        return await self._change("drop_schedule", (name,))

    async def schedules(self) -> Sequence[KeptSchedule]:
        """Return all schedules; see `Store.schedules`."""
        rows = await self._read(partial(reads.rows, "schedules", ()))
        return [KeptSchedule(name, from_json(body), next_at) for name, body, next_at in rows]

    async def move_schedule(self, name: str, seen: float, next_at: float) -> None:
        """Set the next time of a schedule; see `Store.move_schedule`."""
        await self._change("move_schedule", (next_at, name, seen))

    async def _change(self, statement: str, values: Sequence[object]) -> bool:
        """Run a statement that can be repeated; return whether it changed anything."""
        self._writing()
        return await self._read(partial(reads.execute, statement, values))

    async def set_role(self, role: Mapping[str, JsonValue]) -> None:
        """Record that this owner is a worker; see `Store.set_role`."""
        _, lease = self._writing()
        await self._read(partial(reads.execute, "set_role", (to_json(role).decode(), lease.id)))

    async def owners(self) -> Sequence[OwnerInfo]:
        """Return the owners that are alive; see `Store.owners`."""
        rows = await self._read(partial(reads.rows, "owners", (self._own().id,)))
        return [
            OwnerInfo(owner, host, pid, from_json(role) if role else None, runs, driven)
            for owner, host, pid, role, driven, runs in rows
        ]

    async def outline(self, fingerprint: str) -> Outline | None:
        """Return the outline of this fingerprint; see `Store.outline`."""
        return await self._read(partial(reads.outline, fingerprint=fingerprint))

    async def post(self, run_id: str, kind: str, payload: JsonValue, key: str) -> bool:
        """Put a message into a run's inbox; see `Store.post`."""
        commits, lease = self._writing()
        return await commits.submit(writes.post(run_id, kind, payload, key, lease.channel))

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[Message]:
        """Return the undelivered messages of these runs; see `Store.inbox`."""
        return await self._read(partial(reads.inbox, run_ids=run_ids)) if run_ids else []

    async def news(self, after: int) -> int:
        """Return once another process announced something; see `Store.news`."""
        self._check_open()
        while self._announced <= after:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            await waiting
        return self._announced

    async def tag(self, run_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> tuple[str, ...]:
        """Change a run's tags; see `Store.tag`."""
        commits, _ = self._writing()
        return await commits.submit(writes.tag(run_id, add, remove))

    async def branches(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the direct branches of these runs; see `Store.branches`."""
        return await self._read(partial(reads.branches, run_ids=run_ids, own=self._own()))

    async def weigh(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the approximate bytes of these runs; see `Store.weigh`."""
        return await self._read(partial(reads.weigh, run_ids=run_ids))

    async def remove(self, runs: Sequence[RunInfo]) -> Mapping[str, str]:
        """Remove runs from the store; see `Store.remove`."""
        _, lease = self._writing()
        token = writes.new_token()
        return await self._read(partial(removal.remove, runs=tuple(runs), owner=lease.id, token=token))

    async def sweep(self) -> None:
        """Free the space of removed runs in short transactions; see `Store.sweep`."""
        self._writing()
        await self._read(removal.sweep)

    async def _resume_sweep(self) -> None:
        """Continue the sweep of a process that was interrupted."""
        try:
            await self.sweep()
        except GraphEngineError as error:
            log.warning("removed runs still take up space in %s: %s", self.address.shown, error)

    async def vacuum(self) -> tuple[int, int]:
        """Return free space to the disk; see `Store.vacuum`.

        PostgreSQL returns what is free at the end of a table, and reuses the rest for new rows.
        """
        self._writing()
        return await self._read(partial(removal.vacuum, schema=self.address.schema))

    def _own(self) -> Own:
        lease = self.lease
        return Own(None, ()) if lease is None else Own(lease.id, lease.owed.copy())

    async def _read(self, read: Callable[[Connection], T]) -> T:
        return await self._check_open().run(partial(_once, read))

    def _writing(self) -> tuple[GroupCommit, Lease]:
        self._check_open()
        if self._commits is None or self.lease is None:
            message = "the database was opened read-only"
            raise StoreReadOnly(message, where=self.address.shown, repair="open the store without read_only=True")
        return self._commits, self.lease

    def _check_open(self) -> Sessions:
        if self._readers is None:
            raise not_open()
        check_process(self._pid, self.address.shown)
        return self._readers


def _once(read: Callable[[Connection], T], connection: Connection, *, again: bool) -> T:
    """Read: if the connection breaks, reading again does no harm."""
    del again
    return read(connection)


def _retire(connection: Connection, *, again: bool, lease: Lease) -> None:
    del again
    lease.retire()
    connection.execute(SQL["retire"], (lease.id, lease.channel))
