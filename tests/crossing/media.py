"""Where the runs of a program are stored: in memory, or in a SQLite file, of which each process has its own store.

A process that is killed leaves what `kill -9` leaves: its runs stay held until another process claims them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from math import inf
from pathlib import Path
from typing import Any, Final, Protocol, cast
from unittest.mock import patch

from msgspec.structs import replace

from graphengine.databases.findings import Counted, Finding
from graphengine.databases.refold import StoredRun, differences, refold
from graphengine.databases.sqlite import SQLiteStore, doctor
from graphengine.engine.steps import Step
from graphengine.errors import RunIsDriven
from graphengine.runner.shared import INBOX_SECONDS
from graphengine.stores.base import RunInfo, Store
from graphengine.stores.memory import InMemoryStore, _Log
from tests.crossing.program import Program
from tests.crossing.world import LATEST, Loop, Process
from tests.stateful.media import empty_file, kill
from tests.stateful.threads import Threads

MANY: Final = 1_000_000
"""More runs than any program has."""


class Medium(Protocol):
    """Where the runs of a program are."""

    @property
    def view(self) -> Store:
        """A store that reads them, and drives none."""
        ...

    async def open(self) -> None:
        """Open the view."""
        ...

    def store(self, process: Process) -> Store:
        """Return the store of a process."""
        ...

    async def kill(self, store: Store) -> None:
        """End the store of a process as `kill -9` does."""
        ...

    async def close(self) -> None:
        """Close the view."""
        ...

    async def findings(self) -> Sequence[Finding]:
        """Return what doctor finds, once all is closed."""
        ...

    async def remove(self) -> None:
        """Remove everything."""
        ...


def medium_of(program: Program, loop: Loop) -> Medium:
    """Return the medium that a program asks for."""
    return File(program, loop) if program.disk else Memory(program, loop)


async def infos(store: Store) -> list[RunInfo]:
    """Return all runs of a store, the oldest first."""
    return [*reversed(await store.runs(limit=MANY))]


# --- In memory --------------------------------------------------------------------------------------------------------


class Common(InMemoryStore):
    """A store in memory that several processes share, of which each can die.

    Attributes:
        drivers: The process that drove each run last.
    """

    def __init__(self, loop: Loop, *, shared: bool) -> None:
        super().__init__(clock=loop.time)
        self.shared = shared
        self.drivers: dict[str, Process] = {}

    async def claim(self, run_id: str) -> int:
        log = self._log(run_id)
        if log.driver_fence is not None and not self.drivers[run_id].is_dead:
            raise RunIsDriven(run_id, self.drivers[run_id].name, inf)
        log.driver_fence = None
        return await super().claim(run_id)

    def free(self, process: Process) -> None:
        """Release what a process drives."""
        for run_id, log in self._logs.items():
            if self.drivers.get(run_id) is process:
                self._free(log)

    def _info(self, log: _Log) -> RunInfo:
        info = super()._info(log)
        driver = self.drivers.get(info.id) if info.held else None
        name = None if driver is None or driver.is_dead else driver.name
        return info if name == info.driver else replace(info, driver=name)  # a copy takes as long as all else


class Seat:
    """The store in memory as one process has it."""

    def __init__(self, common: Common, process: Process) -> None:
        self._common, self._process = common, process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._common, name)

    async def create(self, info: RunInfo, steps: Sequence[Step], graph_spec: Any, code_body: Any = None) -> int:
        """Record a new run, which this process drives."""
        fence = await self._common.create(info, steps, graph_spec, code_body)
        self._common.drivers[info.id] = self._process
        return fence

    async def claim(self, run_id: str) -> int:
        """Become the driver of a run."""
        fence = await self._common.claim(run_id)
        self._common.drivers[run_id] = self._process
        return fence

    async def open(self) -> None:
        """Do nothing: it is open."""

    async def close(self) -> None:
        """Release the runs of this process."""
        self._common.free(self._process)


class Memory:
    """The memory of one process, which stands for that of a server."""

    def __init__(self, program: Program, loop: Loop) -> None:
        self.view = Common(loop, shared=program.processes > 1)

    async def open(self) -> None:
        """Open the store."""
        await self.view.open()

    def store(self, process: Process) -> Store:
        """Return the store as a process has it."""
        return cast("Store", Seat(self.view, process))

    async def kill(self, store: Store) -> None:
        """Do nothing: its runs stay held."""

    async def close(self) -> None:
        """Do nothing: the store is read on."""

    async def findings(self) -> Sequence[Finding]:
        """Return what doctor finds in each run's log, snapshots and row."""
        found: list[Finding] = []
        for info in await infos(self.view):
            shots, upto = {}, info.seq
            while upto > info.parent_seq:
                loaded = await self.view.load(info.id, upto)
                upto -= len(loaded.steps)
                if loaded.snapshot is not None and upto > info.parent_seq:
                    shots[upto] = loaded.snapshot
                upto -= 1
            steps = await self.view.steps(info.id)
            before = await self.view.load(info.id, info.parent_seq) if info.parent_seq else None
            run = StoredRun(
                info,
                lambda _, before=before: before[1:],  # type: ignore[misc]
                lambda after, upto, steps=steps: steps[after:upto],  # type: ignore[misc]
                shots,
                shots.__getitem__,
            )
            wrong, snapshot = refold(run, Counted())
            found += wrong
            if snapshot is not None:
                found += [Finding("run_differs", what, info.id) for what in differences(info, snapshot)]
        return found

    async def remove(self) -> None:
        """Do nothing: it goes with the program."""


# --- In a file --------------------------------------------------------------------------------------------------------


class File:
    """A SQLite file. Its stores' threads take as many turns of the event loop as the program says."""

    def __init__(self, program: Program, loop: Loop) -> None:
        assert program.disk
        self._disk, self._now = program.disk, loop.time
        self._folder = Path(tempfile.mkdtemp(prefix="graphengine-crossing-"))
        self._path = self._folder / "runs.db"
        self._path.touch(0o600)
        self._path.write_bytes(empty_file())
        self._opened: list[SQLiteStore] = []
        self._patches, self._threads = ExitStack(), Threads(loop)
        self._threads.take([program.lag // 2, program.lag % 3])
        looks = patch("graphengine.databases.sqlite.announcements._LOOK_SECONDS", INBOX_SECONDS)
        ends = patch("graphengine.databases.sqlite.worker._ENDS_SECONDS", 0.0)  # a thread ends in later turns
        for each in (*self._threads.patches(), looks, ends):
            self._patches.enter_context(each)
        self.view: Store = self._store()

    def _store(self) -> SQLiteStore:
        seconds = 10 * LATEST  # none expires: that an owner died shows by its lock
        store = SQLiteStore(self._path, synchronous=self._disk, lease_seconds=seconds, clock=self._now)
        self._opened.append(store)
        return store

    async def open(self) -> None:
        """Open the view."""
        await self.view.open()

    def store(self, process: Process) -> Store:
        """Return a store of its own for a process."""
        return self._store()

    async def kill(self, store: Store) -> None:
        """Free its lock, and end its threads."""
        assert isinstance(store, SQLiteStore)
        self._opened.remove(store)
        if store.lease is not None:
            await kill(store)

    async def close(self) -> None:
        """Close the view."""
        await self.view.close()

    async def findings(self) -> Sequence[Finding]:
        """Return what `graphengine doctor` finds."""
        return doctor.examine(self._path).findings

    async def remove(self) -> None:
        """Remove the file, with all that is still open."""
        for store in [*self._opened]:
            await self.kill(store)
        self._threads.end()
        self._patches.close()
        shutil.rmtree(self._folder)
