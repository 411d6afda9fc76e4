"""`PostgresStore`: the store that a Runner uses for an address `postgresql://…`.

Suggested reading order:

1. `schema/0002_runs.sql`, whose functions decide which writes are allowed;
2. `writes.py` and `reads.py`, the calls of these functions;
3. `commits.py`, how writes share a transaction;
4. `direct.py` and `sessions.py`, connections and threads;
5. `owners.py`, which process drives a run;
6. this file, which encodes values, queues writes, and waits for results.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg

from graphengine.databases.addresses import is_postgres, parse, refuse_address
from graphengine.databases.postgres import opening, reads, removal, taking, writes
from graphengine.databases.postgres.commits import GroupCommit
from graphengine.databases.postgres.faults import alone, explain, is_lost
from graphengine.databases.postgres.owners import Lease
from graphengine.databases.postgres.queries import DIALECT, SQL, known
from graphengine.databases.postgres.reads import Own
from graphengine.databases.postgres.sessions import Connection, Connector, Sessions
from graphengine.databases.postgres.transactions import Transactions
from graphengine.databases.sql import SQLStore, encode_batch, read, read_as_owner, read_page
from graphengine.errors import DefinitionError, GraphEngineError, StoreError
from graphengine.kernel.store import Post, lease_lost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from graphengine.databases.addresses import Address
    from graphengine.databases.postgres.transactions import FunctionTransaction
    from graphengine.databases.postgres.writes import Command
    from graphengine.databases.sql import Claimed, TakenRuns
    from graphengine.kernel.extension import JsonValue, Seconds, SecondsOrZero
    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.kernel.store import Append, ClaimQuery, Code, EndedRun, RunInfo, StopMark

T = TypeVar("T")
log = logging.getLogger("graphengine.stores")

LEASE_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 30.0
_READERS: Final = 4
_CLOSING_SECONDS: Final = 2.0


class PostgresStore(SQLStore[Connection, Own, Lease]):
    """A store whose runs are kept in a schema of a PostgreSQL database.

    Args:
        address: `postgresql://user@host:5432/database`, with the options of libpq. `?schema=NAME` names the schema of
            the tables; the default is `graphengine`. Leave the password out and set PGPASSWORD, or use a passfile.
        lease_seconds: How long this process counts as alive after its host or network has disappeared. A process that
            dies is noticed at once.
        patience_seconds: How long to try to reach a server that went away before a call fails. The first connection is
            tried once, unless the server answers that it is starting.
        read_only: Whether the store can only read. Then it takes no lease, creates no schema, and works on a standby
            server.

    Attributes:
        address: The address; as text it has no password.

    Raises:
        StoreNotSupported: The address is not the address of a PostgreSQL database, or is not valid. From `open`: the
            server is too old, or a connection pooler does not keep a session for each client.
        StoreUnreachable: From `open`: the server cannot be reached.
        StoreForbidden: From `open`: the server refuses the user, or the user lacks a right.
        StoreMissing: From `open`: the database does not exist; or the store is read-only, and the database contains no
            runs.
        StoreNotADatabase: From `open`: the schema belongs to another application.
        StoreTooNew: From `open`: a newer version has migrated the schema.
        StoreReadOnly: From `open`: the server is a standby.
    """

    dialect = DIALECT
    change_token = read(reads.change_token)
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
    due = read_as_owner(reads.due)
    graph_spec = read(reads.shared.graph_spec)
    code = read(reads.shared.code)
    inbox = read(reads.shared.inbox)
    message_keys = read(reads.message_keys)
    branches = read_as_owner(reads.shared.branches)
    stop_over = read(reads.shared.stop_over)
    started = read_as_owner(reads.shared.started)
    ended = read_as_owner(reads.ended)
    owners = read_as_owner(reads.owners)

    def __init__(
        self,
        address: str,
        *,
        lease_seconds: Seconds = LEASE_SECONDS,
        patience_seconds: SecondsOrZero = PATIENCE_SECONDS,
        read_only: bool = False,
    ) -> None:
        if not is_postgres(address):
            refuse_address(address)
            text = f"PostgresStore({address!r}): the address of a PostgreSQL database must begin with postgresql://"
            raise DefinitionError(text, where="PostgresStore", repair='write PostgresStore("postgresql://HOST/NAME")')
        self.address: Final[Address] = parse(address)
        super().__init__(self.address.shown, reads.shared.rows)
        self._lease_seconds = lease_seconds
        self._patience_seconds = patience_seconds
        self._read_only = read_only
        self._server: Connector  # set while the store is open; the writer and its queue only if the store can write
        self._readers: Sessions
        self._writer: Sessions
        self._commits: GroupCommit
        self._transactions: Transactions
        self._announced = 0
        self._announcement = asyncio.Event()  # set at the next announcement

    async def _connect(self) -> bool:
        server = Connector(self.address, self._patience_seconds, read_only=self._read_only)
        readers = Sessions(server, _READERS, "graphengine-read")
        try:
            lease, has_trash = await readers.call(
                partial(self._prepare, readers, asyncio.get_running_loop(), threading.current_thread())
            )
        except BaseException:
            server.stopped.set()  # after a cancellation the thread still takes the lease
            readers.abandon()
            raise
        self._server, self._readers, self.lease = server, readers, lease
        if lease is not None:
            self._writer = Sessions(server, 1, "graphengine-write")
            self._commits = GroupCommit(self._writer, self.address)
            self._transactions = Transactions(server, self._lease_seconds, readers, self._addition_of)
        return has_trash

    def _prepare(
        self, readers: Sessions, loop: asyncio.AbstractEventLoop, loop_thread: threading.Thread
    ) -> tuple[Lease | None, bool]:
        """Connect to the database, create or migrate the schema, and register this process as an owner with a lease.

        Return the lease (None for a store that only reads), and whether the trash contains rows of removed runs that a
        sweep must still delete.
        """
        try:
            connection = readers.first_connect()
            if self._read_only:
                opening.check_readable(connection, self.address)
                return None, False
            opening.prepare(connection, self.address)
            has_trash = removal.has_trash(connection)
            lease = Lease(
                readers.server,
                self._lease_seconds,
                partial(self._hear, loop),
                self._doubt,
                ends_process=self.ends_process,
            )
            try:
                lease.connect()
            except psycopg.OperationalError as error:
                if not is_lost(error):
                    raise
                connection.execute("SELECT")  # if this works, only the second session was refused
                raise alone(error, self.address) from None
        except (psycopg.Error, OSError) as error:
            raise explain(error, self.address) from None
        lease.keep(loop_thread, self.abandon)
        return lease, has_trash

    def _hear(self, loop: asyncio.AbstractEventLoop) -> None:
        """Report to the event loop that a run may need attention. The lease's thread calls this."""
        with suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._announced += 1
        self._announcement.set()
        self._announcement = asyncio.Event()

    async def _disconnect(self, lease: Lease | None) -> None:
        server = self._server
        if lease is not None:
            self._transactions.close()
            await self._commits.drain()
            server.patience_seconds = min(server.patience_seconds, _CLOSING_SECONDS)
            try:
                await self._writer.run(partial(_retire, lease=lease))
            except GraphEngineError as failure:
                text = "the lease on %s was not deleted; the end of its session shows that it is free: %s"
                log.warning(text, self.address.shown, failure.message)
            await self._readers.call(lease.stop)
            await self._writer.close()
        server.stopped.set()
        await self._readers.close()

    def _drop(self, lease: Lease | None) -> None:
        if lease is not None:
            self._transactions.close()
            self._commits.abandon()
            lease.stop()
        self._server.stopped.set()
        if lease is not None:
            self._writer.abandon()
        self._readers.abandon()

    def _create(
        self, info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec, code_body: Code | None, lease: Lease
    ) -> asyncio.Future[Claimed]:
        return self._submit_claim(writes.create(info, steps, graph_spec, code_body, lease.id, lease.channel))

    def _claim(self, run_id: str, lease: Lease) -> asyncio.Future[Claimed]:
        owed = [fence for each, fence in lease.owed if each == run_id]
        return self._submit_claim(writes.claim(run_id, lease.id, owed))

    def _submit_claim(self, work: Command[Claimed]) -> asyncio.Future[Claimed]:
        pending = self._commits.submit(work)
        pending.add_done_callback(partial(self._note_untold, work.values[1]))
        return pending

    def _note_untold(self, token: int, taken: asyncio.Future[Any]) -> None:
        """Remember a call that failed but may have been executed, because its answer was lost; see `Lease.untold`."""
        if self.lease is not None and not taken.cancelled() and isinstance(taken.exception(), StoreError):
            self.lease.untold.append(token)

    def _release(self, run_id: str, fence: int, lease: Lease) -> asyncio.Future[None]:
        return self._commits.submit(writes.release(run_id, fence, lease.id, lease.channel))

    def _append(self, batch: Append, driven: Claimed, lease: Lease) -> asyncio.Future[None]:
        addition, _ = encode_batch(writes.Addition, partial(writes.row_of, batch.run_id), batch, driven, lease.id)
        return self._commits.add(addition, [writes.post(post, lease.channel) for post in batch.posts])

    def _addition_of(self, batch: Append) -> writes.Addition:
        """Encode the steps of an append for the database.

        Raises LeaseLost if this store no longer drives the run.
        """
        lease, driven = self._writable_lease(), self._driven.get(batch.run_id)
        if driven is None or driven.fence != batch.fence:
            raise lease_lost(batch.run_id, batch.fence)
        return encode_batch(writes.Addition, partial(writes.row_of, batch.run_id), batch, driven, lease.id)[0]

    def transaction(self) -> AbstractAsyncContextManager[FunctionTransaction]:
        """Return a context manager with a transaction for a function; see `graphengine.stores.base.Transactional`."""
        self._writable_lease()
        return self._transactions.transaction()

    def _post(  # noqa: PLR0913 - what a message is
        self, run_id: str, kind: str, payload: JsonValue, key: str, alone: str, nonce: str | None, lease: Lease
    ) -> asyncio.Future[bool]:
        return self._commits.submit(writes.post(Post(run_id, kind, payload, key, nonce), lease.channel, alone))

    def _tag(self, run_id: str, added: Sequence[str], removed: Sequence[str]) -> asyncio.Future[tuple[str, ...]]:
        return self._commits.submit(writes.tag(run_id, added, removed))

    async def set_fields(self, run: RunInfo, fields: Mapping[str, str]) -> bool:
        """Set the searchable fields of a run that no process drives; see `records.filling.Filling`."""
        self._writable_lease()
        return await self._run(partial(writes.set_fields, run=run, fields=fields))

    def _take(self, pick: ClaimQuery, lease: Lease) -> asyncio.Future[TakenRuns]:
        own, token = Own(lease.id, ()), writes.new_token()
        work = partial(taking.take, pick=pick, own=own, dead=lease.dead, token=token)
        pending = self._readers.begin(work)
        pending.add_done_callback(partial(self._note_untold, token))
        return pending

    async def _change(self, statement: str, values: Mapping[str, object]) -> bool:
        self._writable_lease()
        return await self._run(partial(reads.execute, statement, values))

    async def mark_stop(self, run_id: str, mark: StopMark) -> None:
        """Set or remove the mark that a run is being stopped; see `Store.mark_stop`."""
        await super().mark_stop(run_id, mark)
        if mark:
            await self._change("after_starts", {"id": known(run_id)})

    async def write(self, work: Callable[[Connection], T], written_bytes: int = 0, *, run_id: str | None = None) -> T:
        """Call a function that writes to the database, on another thread and in a transaction of its own.

        See `SQLStore.write`.
        """
        del written_bytes, run_id
        self._writable_lease()

        def transact(connection: Connection) -> T:
            with connection.transaction():
                return work(connection)

        return await self._run(transact)

    async def notifications(self, after: int) -> int:
        """Wait until other processes have announced that runs may need attention; see `Store.notifications`."""
        self._check_open()
        while self._announced <= after:
            await self._announcement.wait()
        return self._announced

    async def remove(self, runs: Sequence[RunInfo | EndedRun]) -> Mapping[str, str]:
        """Remove runs from the store; see `Store.remove`."""
        owner, token = self._writable_lease().id, writes.new_token()
        return await self._run(partial(removal.remove, runs=tuple(runs), owner=owner, token=token))

    async def trim(self, run_id: str, keep: int, limit: int) -> int:
        """Replace the content of a run's old steps by placeholders; see `Store.trim`."""
        self._writable_lease()
        return await self._run(partial(removal.trim, run_id=run_id, keep=keep, limit=limit))

    async def sweep(self) -> None:
        """Free the space of removed runs in short transactions; see `Store.sweep`."""
        self._writable_lease()
        await self._run(removal.sweep)

    async def vacuum(self) -> tuple[int, int]:
        """Return free space to the disk; see `Store.vacuum`.

        PostgreSQL returns free space at the ends of tables to the disk, and reuses other free space for new rows.
        """
        self._writable_lease()
        return await self._run(partial(removal.vacuum, address=self.address))

    def _own(self) -> Own:
        lease = self.lease
        return Own(None, ()) if lease is None else Own(lease.id, lease.owed.copy())

    def _refuse_newer(self, connection: Connection) -> None:
        opening.refuse_newer(connection, self.address)

    async def _run(self, read: Callable[[Connection], T]) -> T:
        return await self._readers.run(read)


def _retire(connection: Connection, lease: Lease) -> None:
    lease.retire()
    connection.execute(SQL["retire"], (lease.id, lease.channel))
