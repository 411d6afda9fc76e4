"""Power cuts: whatever part of the write-ahead log reached the disk, the database holds a prefix of what was recorded.

A power cut leaves a truncated log, or frames that were not completely written. So a run is recorded without its log
ever being moved into the file, and a copy is truncated at frames and inside some. `make test` takes every sixth frame,
`CUTS=all` every frame, as `make soak` does. `DAMAGE=all` resumes the run at every cut too, and damages every 97th byte
of the log; `SEED=7` cuts and damages elsewhere. `pytest -s` prints the counts.

Sources: https://sqlite.org/wal.html and https://sqlite.org/fileformat2.html#the_write_ahead_log (frames, commits),
https://sqlite.org/testing.html (how SQLite itself tests power cuts).
"""

# these tests are alone on their loop

import os
import random
import sqlite3
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import NamedTuple

import pytest

from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore, doctor
from graphengine.engine.step_json import encode_step
from graphengine.errors import StoreCorrupt, StoreMissing, StoreNotADatabase, UnknownRun
from tests.databases import support
from tests.databases.recorded import State, everything, finish, small_snapshots

ALL = os.environ.get("DAMAGE") == "all"
SEED = os.environ.get("SEED", "")
FRAMES_BETWEEN_CUTS = 1 if ALL or os.environ.get("CUTS") == "all" else 6
HEADER = 32
FRAME_HEADER = 24
RUNS = ("first", "second", "child")

Logs = dict[str, list[bytes]]


class Recording(NamedTuple):
    """A database during its life: the file and its log, and what was recorded.

    `safe` frames of the log are in the file already: SQLite had synced them before it moved them.
    """

    file: bytes
    log: bytes
    logs: Logs
    state: dict[str, object]
    safe: int = 0

    @property
    def frame_bytes(self) -> int:
        """The size of a frame."""
        (page_bytes,) = struct.unpack_from(">I", self.log, 8)
        return FRAME_HEADER + int(page_bytes)

    @property
    def frames(self) -> int:
        """The number of frames."""
        return (len(self.log) - HEADER) // self.frame_bytes


@asynccontextmanager
async def opened(path: Path, *, read_only: bool = False) -> AsyncIterator[SQLiteStore]:
    """Open a store that never moves the log into the file by itself."""
    async with support.opened(path, read_only=read_only) as store:
        if not read_only:
            writer = store._writer  # noqa: SLF001 - only this test needs it, so there is no option
            assert writer is not None
            await writer.run(lambda connection: connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall())
        yield store


async def logs_of(store: SQLiteStore) -> Logs:
    """Return the recorded steps of each run."""
    found: Logs = {}
    for run_id in RUNS:
        try:
            found[run_id] = [encode_step(step) for step in await store.steps(run_id)]
        except UnknownRun:
            found[run_id] = []
    return found


async def recorded(path: Path, *, moved: bool) -> Recording:
    """Record two runs and a branch; if `moved`, the log's beginning is moved into the file meanwhile."""
    safe = 0
    with small_snapshots():
        async with opened(path) as store, Runner(store) as runner:
            await runner.start(everything(), State(rounds=2), run_id="first").result()
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM runs").fetchone()  # keeps the log from being restarted
                await runner.start(everything(), State(rounds=2, asks=True), run_id="second").result()
                if moved:
                    with closing(sqlite3.connect(path)) as mover:
                        _, total, safe = mover.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                        assert 0 < safe < total
                await runner.answer("second", value=True)
                await runner.resume("second", everything()).result()
                await runner.branch("first", everything(), 8, run_id="child").result()
                file, log = path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()
                logs = await logs_of(store)
                state = dict(await runner.state_at("second"))
    return Recording(file, log, logs, state, safe)


async def found_in(path: Path, made: Recording, log: bytes) -> Logs:
    """Return what a database with this much of the log holds, opened as after a power cut."""
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    path.write_bytes(made.file)
    path.chmod(0o600)
    path.with_name(path.name + "-wal").write_bytes(log)
    try:
        async with opened(path, read_only=True) as store:
            return await logs_of(store)
    except (StoreMissing, StoreNotADatabase):  # before the first commit there is no database
        return {run_id: [] for run_id in RUNS}


@pytest.mark.parametrize("moved", [False, True])
async def test_a_power_cut_leaves_a_prefix_of_the_log(tmp_path: Path, *, moved: bool) -> None:
    """At each cut every log is a prefix of the true one, never shorter than at an earlier cut; resume completes it."""
    made = await recorded(tmp_path / "runs.db", moved=moved)
    counts: Counter[str] = Counter()
    cut_file = tmp_path / "cut.db"
    known = dict.fromkeys(RUNS, 0)
    chosen = random.Random(f"cuts {SEED}")  # noqa: S311 - repeatable, not for security
    frames = sorted({*range(made.safe, made.frames + 1, FRAMES_BETWEEN_CUTS), made.frames})
    for number, frame in enumerate(frames):
        at = HEADER + frame * made.frame_bytes
        inside = [at + chosen.randrange(made.frame_bytes)] if number % 5 == 0 and frame < made.frames else []
        for cut in [at, *inside]:
            found = await found_in(cut_file, made, made.log[:cut])
            for run_id, steps in found.items():
                assert steps == made.logs[run_id][: len(steps)], (cut, run_id)
                assert len(steps) >= known[run_id], (cut, run_id)
                known[run_id] = len(steps)
            counts["cuts inside frames" if cut != at else "cuts at frames"] += 1
        if known["second"] and (ALL or number % (24 // FRAMES_BETWEEN_CUTS) == 0):
            if ALL or number % (48 // FRAMES_BETWEEN_CUTS) == 0:
                assert doctor.examine(cut_file).faults == [], frame
            assert await finish(cut_file, "second") == made.state, frame
            counts["resumed"] += 1
    assert known == {run_id: len(steps) for run_id, steps in made.logs.items()}
    assert counts["resumed"] > 3
    print(f"\n{'file with a part of the log' if moved else 'log alone'}: {dict(counts)}, {known}")  # noqa: T201 - the counts


async def test_a_damaged_log_is_refused_or_read_up_to_the_damage(tmp_path: Path) -> None:
    """A wrong byte before finished commits is refused, one in the last commit ends the log: no step is invented."""
    made = await recorded(tmp_path / "runs.db", moved=False)
    chosen = random.Random(f"tears {SEED}")  # noqa: S311 - repeatable, not for security
    places = range(0, len(made.log), 97) if ALL else sorted(chosen.randrange(len(made.log)) for _ in range(30))
    shorter = refused = 0
    for place in places:
        torn = bytearray(made.log)
        torn[place] ^= 0xFF
        try:
            found = await found_in(tmp_path / "torn.db", made, bytes(torn))
        except StoreCorrupt:
            refused += 1
            continue
        for run_id, steps in found.items():
            assert steps == made.logs[run_id][: len(steps)], (place, run_id)
        shorter += found != made.logs
    text = f"bytes of the log flipped: {len(places)}, of which {refused} were refused and {shorter} cut it short"
    print(f"\n{text}")  # noqa: T201 - the counts
    assert refused > len(places) // 2
    assert refused + shorter <= len(places)


async def test_the_log_is_synced_at_every_commit_if_requested(tmp_path: Path) -> None:
    """FULL makes SQLite sync each commit, on macOS to the disk itself; NORMAL does not."""
    for level, expected in (("FULL", (2, 1, 1)), ("NORMAL", (1, 0, 0))):
        async with support.opened(tmp_path / f"{level}.db", synchronous=level) as store:
            writer = store._writer  # noqa: SLF001 - the setting is not visible from outside
            assert writer is not None
            names = ("synchronous", "fullfsync", "checkpoint_fullfsync")
            for name, value in zip(names, expected, strict=True):
                statement = f"PRAGMA {name}"
                assert (await writer.run(lambda c, s=statement: c.execute(s).fetchone())) == (value,), name  # type: ignore[misc]
