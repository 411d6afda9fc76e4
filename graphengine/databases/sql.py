"""`SQLStore`: the part of a store that is the same for all SQL databases.

The class opens and closes the store, knows which runs this process drives, releases runs whose caller was cancelled,
and awaits results. Subclasses for each database open the database, read, write, and close.
"""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, NamedTuple, ParamSpec, TypeAlias, TypeVar

from msgspec import Struct
from pydantic_core import from_json, to_json

from graphengine.databases.closing import finish
from graphengine.databases.refusals import forked_error, open_elsewhere
from graphengine.databases.row_json import limits_text, read_limits
from graphengine.errors import GraphEngineError, StoreAltered, StoreCorrupt, StoreError, StoreReadOnly
from graphengine.kernel.inside import is_name
from graphengine.kernel.reader import encode_step
from graphengine.kernel.store import (
    QueueCount,
    StoredSchedule,
    check_page,
    lease_lost,
    not_dense,
    not_open,
    summary_text,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from types import CoroutineType

    from typing_extensions import Unpack

    from graphengine.databases.accounts import Accounts
    from graphengine.databases.leases import LeaseDoubt, LeaseThread
    from graphengine.databases.snapshots import Tail
    from graphengine.databases.statements import Dialect
    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.kernel.store import (
        Append,
        ClaimedRun,
        ClaimQuery,
        Code,
        Page,
        QueueLimits,
        RunInfo,
        Status,
        StopMark,
    )

P = ParamSpec("P")
T = TypeVar("T")
ConnectionT = TypeVar("ConnectionT")
RowT = TypeVar("RowT")
"""A step or snapshot as the database stores it."""
AdditionT = TypeVar("AdditionT", bound="Addition[Any]")
RowMaker: TypeAlias = "Callable[[int, float, bytes], RowT]"
"""Returns the row of a step or snapshot, given its step number, its time and its encoded JSON."""
OwnT = TypeVar("OwnT")
"""The data about this process that a read needs to decide which runs are driven."""

log = logging.getLogger("graphengine.stores")


class Claimed(Struct, gc=False):
    """A run that this store drives, with the values that are needed to append steps to it.

    Attributes:
        key: The run's key in the database.
        fence: The fence of the claim, which the database compares before it accepts steps.
        tail: The steps since the last snapshot.
    """

    key: int
    fence: int
    tail: Tail


class Addition(Struct, Generic[RowT]):
    """A batch of steps, encoded for the database.

    Attributes:
        run_id: The id of the run.
        key: The run's key in the database.
        fence: The run's fence, as far as the writer knows.
        owner: The id of the owner that writes.
        rows: The encoded steps, without gaps between their numbers.
        status: The run's status after these steps.
        due_at: When the first timer of a waiting run ends, epoch seconds.
        consume: The ids of the inbox messages that these steps deliver.
        shot: The snapshot after the steps, if one is due.
        fingerprint: The graph's new fingerprint, if it changed.
        graph_spec: The JSON of the graph spec with this fingerprint.
        code: The id of the code of the graph's nodes, if it changed.
        code_body: The JSON of that code.
        summary: The JSON of the run's new summary, if it changed.
        cost_usd: The run's cost according to the summary; None if it is unknown.
    """

    run_id: str
    key: int
    fence: int
    owner: str
    rows: Sequence[RowT]
    status: Status
    due_at: float | None = None
    consume: Sequence[int] = ()
    shot: RowT | None = None
    fingerprint: str | None = None
    graph_spec: str | None = None
    code: str | None = None
    code_body: str | None = None
    summary: str | None = None
    cost_usd: float | None = None


def encode_batch(
    kind: type[AdditionT], row_of: RowMaker[RowT], batch: Append, driven: Claimed, owner: str
) -> tuple[AdditionT, int]:
    """Encode the steps of a batch for the database, together with a snapshot if one is due.

    Return the encoded batch and its size in bytes.

    Raises:
        StoreError: The numbers of the steps have gaps.
    """
    rows, written_bytes = rows_of(row_of, batch.run_id, batch.steps)
    shot: RowT | None = None
    if driven.tail.grow(len(rows), written_bytes) and batch.snapshot is not None and rows:
        encoded = batch.snapshot()
        if driven.tail.settle(len(encoded)):
            shot = row_of(batch.steps[-1].seq, 0.0, encoded)
            written_bytes += len(encoded)
    addition = kind(
        batch.run_id,
        driven.key,
        batch.fence,
        owner,
        rows,
        batch.status,
        batch.due_at,
        batch.consume,
        shot,
        batch.fingerprint,
        None if batch.graph_spec is None else to_json(batch.graph_spec).decode(),
        batch.code,
        None if batch.code_body is None else to_json(batch.code_body).decode(),
        None if batch.summary is None else summary_text(batch.summary),
        None if batch.summary is None else batch.summary.cost_usd,
    )
    return addition, written_bytes


def rows_of(
    row_of: RowMaker[RowT], run_id: str, steps: Sequence[Step], first: int | None = None
) -> tuple[list[RowT], int]:
    """Encode steps as rows of the database. Return the rows and the sum of their bytes.

    Raises:
        StoreError: The numbers of the steps have gaps, or do not begin with `first`.
    """
    rows: list[RowT] = []
    row_bytes = 0
    for step in steps:
        expected = step.seq if first is None else first
        if step.seq != expected:
            raise not_dense(run_id, step.seq, expected)
        body = encode_step(step)
        row_bytes += len(body)
        rows.append(row_of(step.seq, step.at, body))
        first = expected + 1
    return rows, row_bytes


class TakenRuns(NamedTuple):
    """The runs that `Store.take` returns to a worker, before their steps and messages are read.

    Attributes:
        taken: The runs that the worker gets.
        claimed: Those of the runs that this store now drives, by the id of the run.
    """

    taken: Sequence[ClaimedRun]
    claimed: Mapping[str, Claimed]


class Promise(Struct, Generic[T], eq=False):
    """A write to the database that somebody waits for: the result of the write, and the future that receives it.

    The thread that writes sets the result or the error. After the commit, the event loop passes it to the future.
    """

    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Pass the result or the error of a write to the future of the caller who waits for the write.

        Nothing happens if the future was cancelled. Call this on the event loop, after the commit.
        """
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # a T once there is no error


LeaseT = TypeVar("LeaseT", bound="LeaseThread")


def read(
    function: Callable[Concatenate[ConnectionT, P], T],
) -> Callable[Concatenate[SQLStore[ConnectionT, Any, Any], P], CoroutineType[Any, Any, T]]:
    """Make an async method of a store from a function that reads from a connection.

    `Store` documents what each of these methods returns.
    """

    @wraps(function)
    async def method(store: SQLStore[ConnectionT, Any, Any], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store.read(lambda connection, _: function(connection, *args, **kwargs))

    return method  # type: ignore[return-value]  # mypy does not know what an `async def` returns exactly


def read_as_owner(
    function: Callable[Concatenate[ConnectionT, OwnT, P], T],
) -> Callable[Concatenate[SQLStore[ConnectionT, OwnT, Any], P], CoroutineType[Any, Any, T]]:
    """Make an async method of a store from a function that reads from a connection.

    The function also receives what this store knows about its own runs, for example which runs it has just released.
    """

    @wraps(function)
    async def method(store: SQLStore[ConnectionT, OwnT, Any], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store.read(lambda connection, own: function(connection, own, *args, **kwargs))

    return method  # type: ignore[return-value]  # mypy does not know what an `async def` returns exactly


def read_page(
    function: Callable[Concatenate[ConnectionT, OwnT, ...], Sequence[RunInfo]],
) -> Callable[..., CoroutineType[Any, Any, Sequence[RunInfo]]]:
    """Make the method `runs` of a store from a function that reads a page of runs; see `Store.runs`."""

    @wraps(function)
    async def method(store: SQLStore[ConnectionT, OwnT, Any], /, **page: Unpack[Page]) -> Sequence[RunInfo]:
        check_page(page)  # checked here, because errors of the reading thread count as errors of the database
        return await store.read(lambda connection, own: function(connection, own, **page))

    return method  # type: ignore[return-value]  # mypy does not know what an `async def` returns exactly


_UNREADABLE: Final = (StoreCorrupt, StoreAltered, StoreError)
"""The exact types of the errors for a row, a table definition or a statement that cannot be read."""


class SQLStore(ABC, Generic[ConnectionT, OwnT, LeaseT]):
    """The base class of stores in an SQL database; see `Store` for the methods.

    Args:
        where: The name of the database, for errors.
        rows: Runs an SQL statement by its name, and returns the rows.

    Attributes:
        dialect: The SQL dialect of the database.
        shared: Always True: other processes can open the same database.
        lease: This process's lease while the store is open for writing; otherwise None.
        ends_process: Whether the process ends with exit code 7 if the lease could not be renewed and the event loop did
            not cancel running work in time. Set this before the store is opened.
    """

    shared: bool = True
    ends_process: bool = False
    dialect: Dialect[ConnectionT]

    def __init__(self, where: str, rows: Callable[[ConnectionT, str], Sequence[Sequence[Any]]]) -> None:
        self._where = where
        self._rows_of = rows
        self._pid = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_open = False
        self._opening: asyncio.Lock | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._driven: dict[str, Claimed] = {}
        self._doubters: list[Callable[[LeaseDoubt], Coroutine[Any, Any, None]]] = []
        self._doubting: set[asyncio.Task[None]] = set()
        self.lease: LeaseT | None = None

    def on_doubt(self, doubted: Callable[[LeaseDoubt], Coroutine[Any, Any, None]]) -> None:
        """Call a function when other processes may have taken this process's runs; see `Store.on_doubt`."""
        self._doubters.append(doubted)

    def _doubt(self, doubt: LeaseDoubt) -> None:
        """Report a doubt about the lease to the event loop. Called by the threads that renew and watch the lease."""
        with suppress(RuntimeError):  # the loop was closed, or there is none yet
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._tell, doubt)

    def _tell(self, doubt: LeaseDoubt) -> None:
        task = asyncio.create_task(self._on_lease_doubt(doubt), name="graphengine lease")
        self._doubting.add(task)
        task.add_done_callback(self._doubting.discard)

    async def _on_lease_doubt(self, doubt: LeaseDoubt) -> None:
        await asyncio.gather(*(doubted(doubt) for doubted in self._doubters))
        if doubt == "late" and self.lease is not None:
            self.lease.obeyed()

    @abstractmethod
    async def _connect(self) -> bool:
        """Open the database and take the lease. Return whether a sweep must still delete rows of removed runs."""

    @abstractmethod
    async def _disconnect(self, lease: LeaseT | None) -> None:
        """Finish pending writes, release all runs and the lease, and free all resources."""

    @abstractmethod
    def _drop(self, lease: LeaseT | None) -> None:
        """Free all resources from a thread without an event loop."""

    @abstractmethod
    def _own(self) -> OwnT: ...

    @abstractmethod
    def _refuse_newer(self, connection: ConnectionT) -> None:
        """Raise StoreTooNew if a newer version of the package has migrated the database."""

    @abstractmethod
    async def _run(self, read: Callable[[ConnectionT], T]) -> T:
        """Call a function that reads, on another thread."""

    @abstractmethod
    def _create(
        self, info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec, code_body: Code | None, lease: LeaseT
    ) -> asyncio.Future[Claimed]: ...

    @abstractmethod
    def _claim(self, run_id: str, lease: LeaseT) -> asyncio.Future[Claimed]: ...

    @abstractmethod
    def _release(self, run_id: str, fence: int, lease: LeaseT) -> asyncio.Future[None]: ...

    @abstractmethod
    def _append(self, batch: Append, driven: Claimed, lease: LeaseT) -> asyncio.Future[None] | None:
        """Write or queue steps. Return None if they are already durable and the run stays `running`."""

    @abstractmethod
    def _post(  # noqa: PLR0913 - what a message is
        self, run_id: str, kind: str, payload: JsonValue, key: str, alone: str, nonce: str | None, lease: LeaseT
    ) -> asyncio.Future[bool]: ...

    @abstractmethod
    def _tag(self, run_id: str, added: Sequence[str], removed: Sequence[str]) -> asyncio.Future[tuple[str, ...]]: ...

    @abstractmethod
    def _take(self, pick: ClaimQuery, lease: LeaseT) -> asyncio.Future[TakenRuns]: ...

    @abstractmethod
    async def _change(self, statement: str, values: Mapping[str, object]) -> bool:
        """Run a statement by its name, and return whether it changed anything. The statement may be executed twice."""

    @abstractmethod
    async def write(self, work: Callable[[ConnectionT], T], written_bytes: int = 0, *, run_id: str | None = None) -> T:
        """Call a function with a connection, in a transaction of its own on the thread that writes.

        After a fault the function can be called again. So a repeated call must write the same.

        Args:
            work: Writes, and raises only errors of the database.
            written_bytes: About how many bytes the function writes.
            run_id: The run whose rows the function changes, if it changes only a few rows of one run. Then the event
                loop itself may call the function.

        Raises:
            StoreReadOnly: The store was opened read-only.
            StoreError: The database failed.
        """

    @abstractmethod
    async def sweep(self) -> None:
        """Free the space of removed runs in short transactions; see `Store.sweep`."""

    def _announce(self) -> None:
        """Wake processes that wait for notifications. Does nothing where the database announces changes itself."""

    async def _load_taken(self, found: TakenRuns, pick: ClaimQuery) -> Sequence[ClaimedRun]:
        """Return the taken runs, with the snapshots, steps and messages that the worker needs."""
        del pick
        return found.taken

    async def open(self) -> None:
        """Open the store; see `Store.open`.

        Raises:
            StoreError: The database cannot be opened; the class of the error says why.
            RunnerClosed: The store is open in another event loop, or this process was forked from the one that opened
                it.
        """
        if self._is_open and self._pid != os.getpid():
            raise forked_error(self._where)
        await self._leave_ended_loop()
        here = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not here:
            raise open_elsewhere(self._where)
        if self._is_open:
            return
        self._loop, self._opening = here, self._opening or asyncio.Lock()
        try:
            async with self._opening:
                if not self._is_open:
                    self._pid = os.getpid()
                    has_trash = await self._connect()
                    self._is_open = True
                    if has_trash:
                        self._sweeping = asyncio.create_task(self._resume_sweep(), name="graphengine sweep")
        finally:
            self._loop = here if self._is_open else None

    async def close(self) -> None:
        """Finish pending writes, release runs and lease, and free all resources; see `Store.close`.

        If the store is open in another event loop that is not closed, this call does nothing.
        """
        await self._leave_ended_loop()
        is_here = self._loop is None or self._loop is asyncio.get_running_loop()
        if self._opening is not None and self._pid == os.getpid() and is_here:
            await finish(self._opening, self._close())  # under the lock, so that an opening in progress ends first

    async def _leave_ended_loop(self) -> None:
        """Free the resources of a store whose event loop was closed without closing the store."""
        if self._loop is not None and self._loop.is_closed():
            await asyncio.to_thread(self.abandon)
            self._opening = None

    async def _close(self) -> None:
        is_open, self._is_open, self._loop = self._is_open, False, None
        lease, self.lease = self.lease, None
        if not is_open:
            return
        sweeping, self._sweeping = self._sweeping, None
        if sweeping is not None:
            sweeping.cancel()
            await asyncio.wait([sweeping])
        self._driven.clear()
        await self._disconnect(lease)

    def abandon(self) -> None:
        """Free all resources from a thread without an event loop. If the store's event loop is running, use `close`.

        As in a crash, writes that are not durable yet can be lost. Other processes see at once that this owner is dead.
        Do nothing if the store is not open.
        """
        is_open, self._is_open, self._loop = self._is_open, False, None
        lease, self.lease = self.lease, None
        if is_open and self._pid == os.getpid():
            self._sweeping = None
            self._driven.clear()
            self._drop(lease)

    async def create(
        self, info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec, code_body: Code | None = None
    ) -> int:
        """Record a new run; see `Store.create`."""
        pending = self._create(info, steps, graph_spec, code_body, self._writable_lease())
        if not info.queued:
            return await self._drive(info.id, pending)
        fence = (await pending).fence
        self._announce()
        return fence

    async def claim(self, run_id: str) -> int:
        """Become the run's driver; see `Store.claim`."""
        return await self._drive(run_id, self._claim(run_id, self._writable_lease()))

    async def _drive(self, run_id: str, pending: asyncio.Future[Claimed]) -> int:
        try:
            claimed = pending.result() if pending.done() else await asyncio.shield(pending)
        except asyncio.CancelledError:
            pending.add_done_callback(partial(self._give_back, lambda: {run_id: pending.result()}))
            with suppress(GraphEngineError):
                # Release again and wait, so that other processes can claim the run when the caller continues.
                await self.release(run_id, (await asyncio.shield(pending)).fence)
            raise
        self._driven[run_id] = claimed
        return claimed.fence

    def _give_back(self, claimed: Callable[[], Mapping[str, Claimed]], pending: asyncio.Future[Any]) -> None:
        """Release runs that were claimed for a caller who was cancelled before the result reached it.

        Otherwise the runs would count as driven although no process executes them.
        """
        lease = self.lease
        if lease is None or pending.cancelled() or pending.exception() is not None:
            return  # closing the store releases all runs
        for run_id, each in claimed().items():
            lease.owed.add((run_id, each.fence))  # if the release fails, each renewal tries again
            released = self._release(run_id, each.fence, lease)
            released.add_done_callback(partial(self._on_released, lease, (run_id, each.fence)))

    def _on_released(self, lease: LeaseT, claim: tuple[str, int], released: asyncio.Future[None]) -> None:
        if not released.cancelled() and released.exception() is None:
            lease.owed.discard(claim)
            self._announce()

    async def release(self, run_id: str, fence: int) -> None:
        """Stop being the driver of a run, so that another process can continue the run; see `Store.release`."""
        lease = self._writable_lease()
        driven = self._driven.get(run_id)
        if driven is not None and driven.fence == fence:
            del self._driven[run_id]
        lease.owed.add((run_id, fence))
        await self._release(run_id, fence, lease)
        lease.owed.discard((run_id, fence))
        self._announce()

    def append(self, batch: Append) -> asyncio.Future[None] | None:
        """Encode steps, and write or queue them; see `Store.append`. The future is done when the steps are durable."""
        lease = self._writable_lease()
        driven = self._driven.get(batch.run_id)
        if driven is None or driven.fence != batch.fence:
            raise lease_lost(batch.run_id, batch.fence)
        pending = self._append(batch, driven, lease)
        if pending is None:
            return None
        if batch.posts:
            pending.add_done_callback(lambda _: self._announce())
        if not pending.done():
            if batch.status != "running":
                pending.add_done_callback(partial(self._forget_released, batch.run_id, driven))
            return pending
        if batch.status != "running":
            self._forget_released(batch.run_id, driven, pending)
        return None

    def _forget_released(self, run_id: str, driven: Claimed, written: asyncio.Future[None]) -> None:
        """Forget that this store drives a run, once the append that ended or released the run is durable.

        If the append fails, this store still drives the run.
        """
        is_written = not written.cancelled() and written.exception() is None
        if is_written and self._driven.get(run_id) is driven:
            del self._driven[run_id]

    async def take(self, pick: ClaimQuery) -> Sequence[ClaimedRun]:
        """Claim due runs that no process drives; see `Store.take`."""
        pending = self._take(pick, self._writable_lease())
        try:
            found = await asyncio.shield(pending)
            taken = await self._load_taken(found, pick) if found.taken else ()
        except (asyncio.CancelledError, GraphEngineError):
            pending.add_done_callback(partial(self._give_back, lambda: pending.result().claimed))
            raise
        self._driven.update(found.claimed)
        return taken

    async def limit_queue(self, queue: str, limits: QueueLimits | None) -> None:
        """Set or remove the limits of a queue; see `Store.limit_queue`."""
        if limits is None:
            await self._change("drop_limits", {"name": queue})
        else:
            await self._change("set_limits", {"name": queue, "limits": limits_text(limits)})

    async def queue_limits(self) -> Mapping[str, QueueLimits]:
        """Return the limits by queue; see `Store.queue_limits`."""
        return {name: read_limits(text) for name, text in await self._rows("limits")}

    async def queue_counts(self) -> Sequence[QueueCount]:
        """Return how many runs each queue has; see `Store.queue_counts`."""
        return [QueueCount(*row) for row in await self._rows("queue_counts")]

    async def keep_schedule(self, schedule: StoredSchedule) -> None:
        """Add or replace a schedule; see `Store.keep_schedule`."""
        body = to_json(schedule.body).decode()
        await self._change("keep_schedule", {"name": schedule.name, "body": body, "next_at": schedule.next_at})

    async def drop_schedule(self, name: str) -> bool:
        """Remove a schedule; see `Store.drop_schedule`."""
        return await self._change("drop_schedule", {"name": name})

    async def schedules(self) -> Sequence[StoredSchedule]:
        """Return all schedules; see `Store.schedules`."""
        return [StoredSchedule(name, from_json(body), next_at) for name, body, next_at in await self._rows("schedules")]

    async def move_schedule(self, name: str, seen: float, next_at: float) -> None:
        """Set the time of a schedule's next run; see `Store.move_schedule`."""
        await self._change("move_schedule", {"name": name, "seen": seen, "next_at": next_at})

    async def set_role(self, role: Mapping[str, JsonValue]) -> None:
        """Record that this owner is a worker; see `Store.set_role`."""
        await self._change("set_role", {"role": to_json(role).decode(), "owner": self._writable_lease().id})

    async def mark_stop(self, run_id: str, mark: StopMark) -> None:
        """Set or remove the mark that a run is being stopped; see `Store.mark_stop`."""
        if is_name(run_id):  # other ids cannot be in the database
            await self._change("mark_stop", {"mark": mark, "id": run_id})

    async def post(  # noqa: PLR0913 - what a message is
        self, run_id: str, kind: str, payload: JsonValue, key: str, alone: str = "", nonce: str | None = None
    ) -> bool:
        """Put a message into a run's inbox; see `Store.post`."""
        is_new = await self._post(run_id, kind, payload, key, alone, nonce, self._writable_lease())
        self._announce()
        return is_new

    async def tag(self, run_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> tuple[str, ...]:
        """Change a run's tags; see `Store.tag`."""
        self._writable_lease()
        return await self._tag(run_id, add, remove)

    @property
    def accounts(self) -> Accounts[ConnectionT]:
        """The accounts of budgets."""
        from graphengine.databases.accounts import Accounts  # noqa: PLC0415 - few runs need it

        return Accounts(self.dialect)

    async def _resume_sweep(self) -> None:
        try:
            await self.sweep()
        except GraphEngineError as error:
            log.warning("removed runs still take up space in %s: %s", self._where, error)

    async def read(self, function: Callable[[ConnectionT, OwnT], T]) -> T:
        """Call a function on another thread with a connection for reading, and return the function's result.

        The function also receives what this store knows about its own runs before the database shows it.
        """
        self._check_open()
        own = self._own()
        try:
            return await self._run(lambda connection: function(connection, own))
        except StoreError as error:
            # 1. This process opens a database of its format. 2. A newer version migrates it, and writes a row with a
            # field that is not known here. 3. The row is read here: it is not damaged.
            if type(error) in _UNREADABLE:
                await self._run(self._refuse_newer)
            raise

    async def _rows(self, statement: str) -> Sequence[Sequence[Any]]:
        return await self.read(lambda connection, _: self._rows_of(connection, statement))

    def _writable_lease(self) -> LeaseT:
        if self.lease is None or self._pid != os.getpid():
            self._check_open()
            message = "the database was opened read-only"
            raise StoreReadOnly(message, where=self._where, repair="open the store without read_only=True")
        return self.lease

    def _check_open(self) -> None:
        if not self._is_open:
            raise not_open()
        if self._pid != os.getpid():
            raise forked_error(self._where)


def each_tenant(limits: QueueLimits | None, room: int) -> int | None:
    """Return how many runs of one tenant may begin at once, if a worker can take `room` runs of the queue.

    Return None if the queue has no limits for tenants.
    """
    if limits is None or (limits.tenant_concurrency is None and limits.tenant_rate is None):
        return None
    counts = limits.tenant_concurrency, limits.tenant_rate and limits.tenant_rate[0]
    return min(room, *(count for count in counts if count is not None))


def fold_words(texts: Sequence[str | None]) -> str:
    """Return the words of some texts, each once, separated by spaces."""
    return " ".join(dict.fromkeys(words_of("\n".join(filter(None, texts)))))
