"""A SQLite file as the place of a run: each process has a store of its own on it, with its lease, lock and connections.

Invariants
    - A write is a COMMIT of any of a process's connections. A process dies before it, when the transaction is lost, or
      after it, when it is durable and nobody learns of it.
    - Of two processes only the one that has the claim changes the run: `Wire` looks at each commit, with statements of
      its own, whether a process added steps to a run that it did not drive, or took it from a driver that was alive.
    - The threads of the stores take turns of the event loop (`tests.kit.threads`), so that the same program is
      always played in the same way, and none is started. At NORMAL the event loop writes itself, at FULL the thread.
    - Once all stores are closed, the file has no log any more.

What races, and how it is played
    1. A process stalls after a commit, and does not learn that it is durable. 2. Its lease is over, though it holds its
    lock. 3. Another process claims the run under the next fence, and goes on. 4. After some commits of that one, or
    when it rests, the first one goes on: whatever it has in hand is refused, as the fence is not its own.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Awaitable, Collection
from contextlib import ExitStack, closing
from inspect import iscoroutinefunction
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from graphengine.databases.sqlite import SQLiteStore, doctor
from graphengine.databases.sqlite.writes import ADD_NEXT_STEP
from graphengine.errors import StoreFull
from graphengine.runner.shared import INBOX_SECONDS
from graphengine.stores.base import Append
from tests.kit.sqlite_files import empty_file, kill
from tests.kit.threads import Threads
from tests.sim.model import Wrong
from tests.sim.world import ENDS, RUN, Loop, Loss, Process, World

_STEPS: Final = "SELECT count(*) FROM steps WHERE id > runs.key << 32 AND id < (runs.key + 1) << 32"
_LAST: Final = "SELECT max(seq) FROM steps WHERE steps.id > runs.key << 32 AND steps.id < (runs.key + 1) << 32"
_HEADS: Final = f"SELECT id, ({_LAST}) FROM runs"  # noqa: S608 - no input
_SEEN: Final = f"SELECT driver, fence, ({_STEPS}) FROM runs WHERE id = ?"  # noqa: S608 - no input


class Seen(NamedTuple):
    """A run as a transaction sees it: its driver and fence, and the number of its steps."""

    driver: str | None = None
    fence: int = 0
    steps: int = 0


class Disk:
    """A SQLite file; `order` draws how fast its threads are and when processes that stalled go on."""

    losses: tuple[Loss, ...] = ("before", "after", "stall")

    def __init__(self, loop: Loop, order: int) -> None:
        self.random = Random(order)  # noqa: S311 - no secret
        self.folder = Path(tempfile.mkdtemp(prefix="graphengine-sim-"))
        self.path = self.folder / "runs.db"
        self.path.touch(0o600)
        self.path.write_bytes(empty_file())
        self._now = loop.time
        self._synchronous = self.random.choice(("NORMAL", "NORMAL", "FULL"))
        self._patches, self._threads = patched(loop, [self.random.randint(0, 2) for _ in range(3)])
        self.view: Any = self._store()
        self.stores: dict[Process, SQLiteStore] = {}
        self.owners: dict[Process, str] = {}

    def _store(self) -> SQLiteStore:
        return SQLiteStore(self.path, synchronous=self._synchronous, lease_seconds=10 * ENDS, clock=self._now)  # type: ignore[arg-type]

    async def open(self) -> None:
        """Open the view."""
        await self.view.open()

    def process(self, world: World) -> Process:
        """Return a new process."""
        process = Process(world)
        store = self.stores[process] = self._store()
        process.door = Door(self, process, store)
        return process

    async def ends(self, process: Process) -> None:
        """Free the lock of a process, and end its threads, as the system does."""
        store = self.stores.pop(process)
        if store.lease is not None:
            await kill(store)

    def forget(self, process: Process) -> None:
        """Note that a process closed its store."""
        del self.stores[process]

    def expires(self, process: Process) -> None:
        """Let the lease of a process be over."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("UPDATE owners SET expires_at = 0 WHERE id = ?", (self.owner(process),))

    def drives(self, process: Process, run_id: str = RUN) -> bool:
        """Return whether a process has the claim on a run."""
        with closing(sqlite3.connect(self.path)) as connection:
            return seen(connection, run_id).driver == self.owner(process)

    def owner(self, process: Process) -> str:
        """Return the id of a process as an owner; "" if it never was one."""
        return self.owners.get(process, "")

    def commits(self, process: Process, before: Seen, after: Seen) -> None:
        """Check a transaction of a process; another one that stalled may go on after it."""
        mine = self.owner(process)
        is_queued = not before.steps and after.fence == 0  # by the process that starts it, which does not drive it
        if before.steps != after.steps and mine not in (before.driver, after.driver) and not is_queued:
            process.world.broken = f"steps were added by a process that does not drive the run: {before}, {after}"
        if (before.driver, before.fence) != (after.driver, after.fence) and mine != before.driver:
            of = next((each for each in self.stores if self.owner(each) == before.driver), None)
            if of is not None and not (of.is_dead or of.has_stalled):
                process.world.broken = f"the run is taken from a driver that is alive: {before}, {after}"
            if after.fence <= before.fence:
                process.world.broken = f"the run is taken without a new fence: {before}, {after}"
        made = range(before.steps + 1, after.steps + 1)
        process.world.writers.update({(RUN, seq): process for seq in made})
        if after.driver == mine:
            for each in self.stores:
                if each is not process and not each.awake.is_set() and self.random.random() < 0.3:
                    each.awake.set()

    async def check(self) -> None:
        """Close the view, and let doctor look at the file. Raises: Wrong."""
        await self.view.close()
        check_file(self.path)

    async def remove(self) -> None:
        """Remove the file."""
        if self.view.lease is not None:
            await kill(self.view)
        for process in [*self.stores]:
            await self.ends(process)
        self._threads.end()
        self._patches.close()
        shutil.rmtree(self.folder)


class Door:
    """A store as its process has it: closed when it is dead, and without an answer while it is stalled."""

    def __init__(self, disk: Disk, process: Process, store: SQLiteStore) -> None:
        self._disk, self._process, self._store = disk, process, store

    def __getattr__(self, name: str) -> Any:
        self._process.lives()
        found = getattr(self._store, name)
        if name.startswith("_") or not iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._answer(found(*args, **kwargs))

        return call

    async def open(self) -> None:
        """Open the store, once, and stand between it and its file."""
        self._process.lives()
        if self._store.lease is None:
            await self._store.open()
            assert self._store.lease is not None
            self._disk.owners[self._process] = self._store.lease.id
            wires(self._store, self._disk, self._process)

    async def notifications(self, after: int) -> int:
        """Wait for an announcement; a dead process hears none, and its worker, which nobody has ended yet, rests."""
        if self._process.is_dead:
            await asyncio.get_running_loop().create_future()
        return int(await self._answer(self._store.notifications(after)))

    def append(self, batch: Append) -> Awaitable[None] | None:
        """Add steps."""
        self._process.lives()
        if not self._process.awake.is_set():
            return self._late(batch)
        pending = self._store.append(batch)
        if not self._process.lost.is_set():  # else it may be refused
            self._process.world.spends(batch.run_id, batch.steps)
        return pending if pending is None and self._process.awake.is_set() else self._answer(pending)

    async def _late(self, batch: Append) -> None:
        await self._process.awake.wait()
        self._process.lives()
        await self._answer(self._store.append(batch))

    async def _answer(self, pending: Awaitable[Any] | None) -> Any:
        """Return an answer once the process is awake."""
        try:
            answer = None if pending is None else await pending
        except Exception:
            await self._process.awake.wait()
            self._process.lives()
            raise
        await self._process.awake.wait()
        self._process.lives()
        return answer


class Wire:
    """A connection as its process has it: transactions are watched, and end with the process."""

    def __init__(self, connection: sqlite3.Connection, disk: Disk, process: Process) -> None:
        self._connection, self._disk, self._process = connection, disk, process
        self._before = Seen()
        self._heads: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        """Execute a statement; a lone step, which commits itself, in a transaction that is watched."""
        if sql != "ROLLBACK":
            self._process.lives()
        if sql == ADD_NEXT_STEP and not self._connection.in_transaction:
            self.execute("BEGIN IMMEDIATE")
            try:
                done = self.execute(sql, *given)
                self.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            return done
        if sql == "COMMIT":
            try:
                self._process.before_write()
            except StoreFull as error:
                full = sqlite3.OperationalError(str(error))
                full.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise full from error
            self._disk.commits(self._process, self._before, seen(self._connection))
            for run_id, head in self.heads().items():
                made = range(self._heads.get(run_id, 0) + 1, head + 1)
                self._process.world.writers.update({(run_id, seq): self._process for seq in made})
        done = self._connection.execute(sql, *given)
        if sql == "BEGIN IMMEDIATE":
            self._before, self._heads = seen(self._connection), self.heads()
        elif sql == "COMMIT":
            self._process.after_write()
        return done

    def heads(self) -> dict[str, int]:
        """Return the last step of each run, if somebody is to know who made it."""
        return dict(self._connection.execute(_HEADS).fetchall()) if self._process.world.heads else {}


def wires(store: SQLiteStore, disk: Disk, process: Process) -> None:
    """Stand between a store and its connections that write."""
    opened = store._writer._opened  # noqa: SLF001 - the store has no seam there
    opened[:] = [Wire(each, disk, process) for each in opened]  # type: ignore[misc]
    direct = store._direct  # noqa: SLF001
    if direct is not None and direct._connection is not None:  # noqa: SLF001
        direct._connection = Wire(direct._connection, disk, process)  # type: ignore[assignment]  # noqa: SLF001


def check_file(path: Path, no_faults: Collection[str] = ()) -> None:
    """Check that nobody has a file open any more, as the last one removes its log, and that doctor finds nothing in it.

    Raises: Wrong.
    """
    left = [each for each in ("-wal", "-shm") if path.with_name(path.name + each).exists()]
    if left:
        raise Wrong(f"everything is closed, and the file has {left} still")
    found = [each for each in doctor.examine(path).findings if each.code not in no_faults]
    if found:
        raise Wrong(f"doctor finds {found[0]}")


def seen(connection: sqlite3.Connection, run_id: str = RUN) -> Seen:
    """Return a run as a connection sees it now."""
    row = connection.execute(_SEEN, (run_id,)).fetchone()
    return Seen() if row is None else Seen(*row)


class NoThread:
    """A thread that is never started: the loop does its work, or nothing does, as nobody renews a lease here."""

    def __init__(self, **given: Any) -> None:
        del given

    def start(self) -> None:
        """Do nothing."""

    def join(self, timeout: float | None = None) -> None:
        """Return at once."""


def patched(loop: Loop, turns: list[int]) -> tuple[ExitStack, Threads]:
    """Let the threads of stores take turns of a loop, until the stack is closed; nothing depends on real time then.

    No thread is started: to start one and to wait for its end takes longer than what a store does in a short life.
    """
    patches, threads = ExitStack(), Threads(loop)
    threads.take(turns)
    looks = patch("graphengine.databases.sqlite.announcements._LOOK_SECONDS", INBOX_SECONDS)
    sleeps = patch("graphengine.runner.shared.LOOK_SECONDS", 60.0)  # else a fifth of the time goes to looks
    ends = patch("graphengine.databases.sqlite.worker._ENDS_SECONDS", 0.0)  # a thread ends in later turns
    yields = patch("graphengine.runner.driving._TURN_SECONDS", float("inf"))  # else how busy the machine is decides
    no_threads = SimpleNamespace(**{**vars(threading), "Thread": NoThread})
    none = [patch(f"graphengine.databases.{name}.threading", no_threads) for name in ("sqlite.worker", "leases")]
    for each in (*threads.patches(), looks, sleeps, ends, yields, *none):
        patches.enter_context(each)
    return patches, threads
