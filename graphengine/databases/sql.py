"""`SQLStore`: what a store in a database does whatever the database is.

It opens and closes, knows which runs are driven here, releases what a cancelled caller took, and awaits. How a database
opens, reads, queues its writes and closes is in the store of its dialect, a subclass.
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

    from graphengine.databases.leases import LeaseDoubt, LeaseThread
    from graphengine.databases.snapshots import Tail
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
"""Returns the stored form of a step or snapshot, given its seq, its time and its encoding."""
OwnT = TypeVar("OwnT")
"""What a read must know of this process to tell which runs are driven."""

log = logging.getLogger("graphengine.stores")


class Claimed(Struct, gc=False):
    """A run that this store drives."""

    key: int
    fence: int
    tail: Tail


class Addition(Struct, Generic[RowT]):
    """One batch of steps, encoded.

    Attributes:
        run_id: The run.
        key: Its key.
        fence: The run's fence, as far as the writer knows.
        owner: The id of the owner that writes.
        rows: The steps; they follow one another.
        status: The run's status after them.
        due_at: When the first timer of a waiting run is due, epoch seconds.
        consume: Ids of the messages to consume.
        shot: The snapshot after the steps, if one is due.
        fingerprint: The new fingerprint, if it changed.
        graph_spec: The JSON of its graph spec.
        code: The id of the code of its nodes, if it changed.
        code_body: The JSON of that code.
        summary: The JSON of the run's new summary, if it changed.
        cost_usd: What it cost, by that summary; None if that is not known.
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
    """Return the stored form of a batch, with a snapshot if one is due, and its size in bytes.

    Raises:
        StoreError: Its steps do not follow one another.
    """
    rows, written_bytes = rows_of(row_of, batch.run_id, batch.steps)
    shot: RowT | None = None
    if driven.tail.grow(len(rows), written_bytes) and batch.snapshot is not None and rows:
        made = batch.snapshot()
        if driven.tail.settle(len(made)):
            shot = row_of(batch.steps[-1].seq, 0.0, made)
            written_bytes += len(made)
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
    """Return steps as they are stored, and their bytes.

    Raises:
        StoreError: They do not directly follow one another, or the step before `first`.
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
    """What one call took: the runs, and those that are driven here now, by id."""

    taken: Sequence[ClaimedRun]
    claimed: Mapping[str, Claimed]


class Promise(Struct, Generic[T], eq=False):
    """A result, and the future that gets it; both are set on the thread that writes."""

    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Resolve the future unless it was cancelled; called on the loop after the commit."""
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
    """Return the method of a store that calls a function of a connection; see `Store` for what each returns."""

    @wraps(function)
    async def method(store: SQLStore[ConnectionT, Any, Any], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store.read(lambda connection, _: function(connection, *args, **kwargs))

    return method  # type: ignore[return-value]  # mypy does not know what an `async def` returns exactly


def read_as_owner(
    function: Callable[Concatenate[ConnectionT, OwnT, P], T],
) -> Callable[Concatenate[SQLStore[ConnectionT, OwnT, Any], P], CoroutineType[Any, Any, T]]:
    """Return the method of a store that calls a function of a connection and of what the store knows of its runs."""

    @wraps(function)
    async def method(store: SQLStore[ConnectionT, OwnT, Any], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store.read(lambda connection, own: function(connection, own, *args, **kwargs))

    return method  # type: ignore[return-value]  # mypy does not know what an `async def` returns exactly


def read_page(
    function: Callable[Concatenate[ConnectionT, OwnT, ...], Sequence[RunInfo]],
) -> Callable[..., CoroutineType[Any, Any, Sequence[RunInfo]]]:
    """Return the method of a store that calls a function of a connection for a page of runs; see `Store.runs`."""

    @wraps(function)
    async def method(store: SQLStore[ConnectionT, OwnT, Any], /, **page: Unpack[Page]) -> Sequence[RunInfo]:
        check_page(page)  # here, since an error of a thread that reads is one of the database
        return await store.read(lambda connection, own: function(connection, own, **page))

    return method  # type: ignore[return-value]  # mypy does not know what an `async def` returns exactly


_UNREADABLE: Final = (StoreCorrupt, StoreAltered, StoreError)
"""The very types of errors for what cannot be read: a row, a definition, a statement."""


class SQLStore(ABC, Generic[ConnectionT, OwnT, LeaseT]):
    """A store of runs in a database; see `Store` for its methods.

    Args:
        where: The database, for errors.
        rows: Returns the rows of a statement, by its name.

    Attributes:
        shared: Whether other processes can use the same runs: any can open the database.
        lease: This owner's lease, while the store is open and not read-only.
        ends_process: Whether the process ends with exit code 7 if its lease could not be renewed, and its event loop
            did not cancel what acts in time. Set it before the store is opened.
    """

    shared: bool = True
    ends_process: bool = False

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
        """Call a function when this process may no longer drive its runs; see `Store.on_doubt`."""
        self._doubters.append(doubted)

    def _doubt(self, doubt: LeaseDoubt) -> None:
        """Pass on a doubt about the lease, from a thread that renews or watches it."""
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
        """Open the database and take the lease. Return whether rows of removed runs are still to be deleted."""

    @abstractmethod
    async def _disconnect(self, lease: LeaseT | None) -> None:
        """Finish pending writes, release runs and lease, and free all resources."""

    @abstractmethod
    def _drop(self, lease: LeaseT | None) -> None:
        """Free all resources without the event loop."""

    @abstractmethod
    def _own(self) -> OwnT: ...

    @abstractmethod
    def _refuse_newer(self, connection: ConnectionT) -> None:
        """Raise StoreTooNew if a newer version has migrated the database."""

    @abstractmethod
    async def _run(self, read: Callable[[ConnectionT], T]) -> T:
        """Call a function that reads on another thread."""

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
        """Write or queue steps. Return None if they are durable already and leave their run `running`."""

    @abstractmethod
    def _post(  # noqa: PLR0913 - what a message is
        self, run_id: str, kind: str, payload: JsonValue, key: str, alone: str, nonce: str | None, lease: LeaseT
    ) -> asyncio.Future[bool]: ...

    @abstractmethod
    def _tag(self, run_id: str, added: Sequence[str], removed: Sequence[str]) -> asyncio.Future[tuple[str, ...]]: ...

    @abstractmethod
    def _take(self, pick: ClaimQuery, lease: LeaseT) -> asyncio.Future[TakenRuns]: ...

    @abstractmethod
    async def _change(self, statement: str, values: Sequence[Any]) -> bool:
        """Run a statement that can be repeated, by its name. Return whether it changed anything."""

    @abstractmethod
    async def write(self, work: Callable[[ConnectionT], T], written_bytes: int = 0, *, run_id: str | None = None) -> T:
        """Call a function of a connection in a transaction of its own, on the thread that writes.

        It can be called again after a fault, so what it writes must be the same twice.

        Args:
            work: Writes, and raises nothing but errors of the database.
            written_bytes: Roughly how much it writes.
            run_id: The run for which it changes a few rows: then it may be called by the event loop.

        Raises:
            StoreReadOnly: The store was opened read-only.
            StoreError: The medium failed.
        """

    @abstractmethod
    async def sweep(self) -> None:
        """Free the space of removed runs in short transactions; see `Store.sweep`."""

    def _announce(self) -> None:
        """Wake the processes that wait for notifications, unless the database itself does."""

    async def _load_taken(self, found: TakenRuns, pick: ClaimQuery) -> Sequence[ClaimedRun]:
        """Return what was taken, with what it needs."""
        del pick
        return found.taken

    async def open(self) -> None:
        """Open the store; see `Store.open`.

        Raises:
            StoreError: The database cannot be opened; the subclass says which.
            RunnerClosed: It is open in another event loop, or this process is a fork of the one that opened it.
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

        Another event loop than the one in which it is open closes nothing, while that one is not closed.
        """
        await self._leave_ended_loop()
        is_here = self._loop is None or self._loop is asyncio.get_running_loop()
        if self._opening is not None and self._pid == os.getpid() and is_here:
            await finish(self._opening, self._close())  # an opening that is in progress ends first

    async def _leave_ended_loop(self) -> None:
        """Free what is left of a store that was not closed in its event loop, which is over."""
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
        """Free all resources without the event loop in which the store was opened. If that loop runs, use `close`.

        Writes that are not durable yet can be lost, as in a crash; other processes see at once that the owner is dead.
        Call it from a thread without an event loop. Do nothing if the store is not open.
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
        """Record a new run, driven by this owner; see `Store.create`."""
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
                # Once more, to wait for it: when the caller continues, other processes can claim the run.
                await self.release(run_id, (await asyncio.shield(pending)).fence)
            raise
        self._driven[run_id] = claimed
        return claimed.fence

    def _give_back(self, claimed: Callable[[], Mapping[str, Claimed]], pending: asyncio.Future[Any]) -> None:
        """Release what a cancelled caller did not get: nothing would drive it, although it counts as driven."""
        lease = self.lease
        if lease is None or pending.cancelled() or pending.exception() is not None:
            return  # closing releases everything
        for run_id, each in claimed().items():
            lease.owed.add((run_id, each.fence))  # tried again with each renewal, should this fail
            released = self._release(run_id, each.fence, lease)
            released.add_done_callback(partial(self._on_given_back, lease, (run_id, each.fence)))

    def _on_given_back(self, lease: LeaseT, given: tuple[str, int], released: asyncio.Future[None]) -> None:
        if not released.cancelled() and released.exception() is None:
            lease.owed.discard(given)
            self._announce()

    async def release(self, run_id: str, fence: int) -> None:
        """Stop being the driver; see `Store.release`."""
        lease = self._writable_lease()
        driven = self._driven.get(run_id)
        if driven is not None and driven.fence == fence:
            del self._driven[run_id]
        lease.owed.add((run_id, fence))
        await self._release(run_id, fence, lease)
        lease.owed.discard((run_id, fence))
        self._announce()

    def append(self, batch: Append) -> asyncio.Future[None] | None:
        """Encode and write or queue steps. The future is done when they are durable; see `Store.append`."""
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
        """Forget a run once the append that releases it is durable; a rejected append changes nothing."""
        is_written = not written.cancelled() and written.exception() is None
        if is_written and self._driven.get(run_id) is driven:
            del self._driven[run_id]

    async def take(self, pick: ClaimQuery) -> Sequence[ClaimedRun]:
        """Become the driver of due runs that no process drives; see `Store.take`."""
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
        """Set the limits of a queue, or remove them; see `Store.limit_queue`."""
        if limits is None:
            await self._change("drop_limits", (queue,))
        else:
            await self._change("set_limits", (queue, limits_text(limits)))

    async def queue_limits(self) -> Mapping[str, QueueLimits]:
        """Return the limits by queue; see `Store.queue_limits`."""
        return {name: read_limits(text) for name, text in await self._rows("limits")}

    async def queue_counts(self) -> Sequence[QueueCount]:
        """Return how many runs each queue has; see `Store.queue_counts`."""
        return [QueueCount(*row) for row in await self._rows("queue_counts")]

    async def keep_schedule(self, schedule: StoredSchedule) -> None:
        """Add or replace a schedule; see `Store.keep_schedule`."""
        await self._change("keep_schedule", (schedule.name, to_json(schedule.body).decode(), schedule.next_at))

    async def drop_schedule(self, name: str) -> bool:
        """Remove a schedule; see `Store.drop_schedule`."""
        return await self._change("drop_schedule", (name,))

    async def schedules(self) -> Sequence[StoredSchedule]:
        """Return all schedules; see `Store.schedules`."""
        return [StoredSchedule(name, from_json(body), next_at) for name, body, next_at in await self._rows("schedules")]

    async def move_schedule(self, name: str, seen: float, next_at: float) -> None:
        """Set the next time of a schedule; see `Store.move_schedule`."""
        await self._change("move_schedule", (next_at, name, seen))

    async def set_role(self, role: Mapping[str, JsonValue]) -> None:
        """Record that this owner is a worker; see `Store.set_role`."""
        await self._change("set_role", (to_json(role).decode(), self._writable_lease().id))

    async def mark_stop(self, run_id: str, mark: StopMark) -> None:
        """Set or remove the mark of a run; see `Store.mark_stop`."""
        if is_name(run_id):  # no other run is there
            await self._change("mark_stop", (mark, run_id))

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

    async def _resume_sweep(self) -> None:
        """Continue the sweep of a process that was interrupted."""
        try:
            await self.sweep()
        except GraphEngineError as error:
            log.warning("removed runs still take up space in %s: %s", self._where, error)

    async def read(self, function: Callable[[ConnectionT, OwnT], T]) -> T:
        """Call a function of a connection, and of what this store knows of its own runs, on another thread."""
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
        """Return the lease of a store that can be written."""
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
    """Return how many runs of each tenant at most begin at once; None if there are no limits for tenants."""
    if limits is None or (limits.tenant_concurrency is None and limits.tenant_rate is None):
        return None
    counts = limits.tenant_concurrency, limits.tenant_rate and limits.tenant_rate[0]
    return min(room, *(count for count in counts if count is not None))


def fold_words(texts: Sequence[str | None]) -> str:
    """Return the words of some texts, each once, with blanks between them."""
    return " ".join(dict.fromkeys(words_of("\n".join(filter(None, texts)))))
