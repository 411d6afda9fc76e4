"""The checks of runs: every log whole, true to its checksums and foldable; row and snapshots as the fold has them."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from pydantic_core import from_json, to_json

from graphengine.engine.fold import evolve, fold
from graphengine.engine.ready import next_due
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import decode_step
from graphengine.engine.stored import decode_snapshot, to_record
from graphengine.errors import GraphEngineError
from graphengine.stores.sqlite.checksums import sum_of
from graphengine.stores.sqlite.doctor.checks import NONSENSE, key_of
from graphengine.stores.sqlite.doctor.findings import Finding
from graphengine.stores.sqlite.faults import shows_damage
from graphengine.stores.sqlite.queries import DOCTOR_SQL, SQL
from graphengine.stores.sqlite.reads import KEY_BITS, SEQ_MASK, in_snapshot, newest_snapshot, read_steps, told_by

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from graphengine.state.json_values import JsonValue

MOST_OF_A_RUN: Final = 1000
"""Findings of one run; with so many, more of them tell nothing."""

_MENDS: Final = "`graphengine doctor --repair`"
_NO_FOLD: Final = (ValueError, KeyError, TypeError, IndexError, AttributeError)
_COLUMNS: Final[Sequence[str]] = (
    "id",
    "graph",
    "fingerprint",
    "status",
    "created_at",
    "parent",
    "parent_seq",
    "fence",
    "driver",
    "due_at",
    "wanted_at",
    "parent_key",
    "wanted",
)


@dataclass(slots=True)
class Counted:
    """How much was looked at."""

    runs: int = 0
    steps: int = 0
    snapshots: int = 0


@dataclass(slots=True)
class _Look:
    """One run while its log is read.

    Attributes:
        snapshot: The fold so far; None once the log cannot be folded.
        seq: The step that was read last.
        snapshots: The ids of its snapshots that were not reached yet, the next one last.
        first: What its first step says of it, and when that was.
        whole: The step before the first that is missing or damaged; None while there is none.
    """

    key: int
    row: dict[str, JsonValue]
    snapshot: Snapshot | None
    seq: int
    snapshots: list[int]
    first: dict[str, JsonValue] = field(default_factory=dict)
    whole: int | None = None

    @property
    def run_id(self) -> str:
        """The run's id as its row has it."""
        return str(self.row["id"])

    def finding(self, code: str, what: str, seq: int | None, repair: str, row: int = 0) -> Finding:
        """A finding of this run; one with a row is mended there."""
        return Finding(code, what, self.run_id, seq, repair, repairable=bool(row), row=row)


def runs(
    connection: sqlite3.Connection, counted: Counted, tell: Callable[[], None], *, quick: bool
) -> Iterator[Finding]:
    """What is wrong with each run. `counted` grows meanwhile, and `tell` is called as it does."""
    last = -(1 << 62)
    while True:
        found = connection.execute(DOCTOR_SQL["run_keys"], (last,)).fetchall()
        keys = sorted({key for (key,) in found if key > last})  # a damaged table gives them in any order
        if not keys:
            return
        for key in keys:
            counted.runs += 1
            tell()
            try:
                yield from in_snapshot(connection, partial(_findings, key=key, counted=counted, quick=quick))
            except NONSENSE as error:
                if not shows_damage(error):
                    raise
                yield Finding(
                    "page",
                    f"the run of key {key} cannot be read: {type(error).__name__}: {error}",
                    repair=f"{_MENDS} saves every row that can be read into a new file",
                    repairable=True,
                )
        last = keys[-1]


def _findings(connection: sqlite3.Connection, key: int, counted: Counted, *, quick: bool) -> list[Finding]:
    return list(islice(_run(connection, key, counted, quick=quick), MOST_OF_A_RUN))


def state_at(connection: sqlite3.Connection, key: int, seq: int, run_id: str) -> Snapshot:
    """Where a run stood after a step, from the newest snapshot before it that can be read.

    Raises:
        StoreCorrupt: A step is missing or damaged.
        ValueError, KeyError, TypeError, IndexError, AttributeError: The log does not fold.
    """
    parts, stored = newest_snapshot(connection, key, seq, run_id)
    steps = read_steps(connection, run_id, parts, parts[0].shot or 0, seq)
    return fold(steps, Snapshot() if stored is None else decode_snapshot(stored))


def _run(connection: sqlite3.Connection, key: int, counted: Counted, *, quick: bool) -> Iterator[Finding]:
    found = connection.execute(DOCTOR_SQL["run_row"], (key,)).fetchone()
    if found is None:  # removed meanwhile
        return
    row: dict[str, JsonValue] = dict(zip(_COLUMNS, found, strict=True))
    bounds = key << KEY_BITS, (key + 1) << KEY_BITS
    first = connection.execute(DOCTOR_SQL["first_of_log"], bounds).fetchone()
    if first is None:
        yield Finding("run_without_steps", "none of its steps is there", str(row["id"]), repair="restore a backup")
        return
    look = _Look(key, row, None, 0, [])
    yield from _beginning(connection, look, first)
    shots = [shot for (shot,) in connection.execute(DOCTOR_SQL["run_snapshots"], bounds)]
    yield from (_stray(look, shot) for shot in shots if shot & SEQ_MASK <= look.seq)
    look.snapshots = [shot for shot in reversed(shots) if shot & SEQ_MASK > look.seq]
    if quick and look.snapshots:  # where it stands is read from the newest one
        look.snapshot = None
    for row_id, at, body, recorded in connection.execute(DOCTOR_SQL["run_steps"], bounds):
        counted.steps += 1
        yield from _step(look, row_id, at, body, recorded)
        while look.snapshots and look.snapshots[-1] <= row_id:
            counted.snapshots += 1
            yield from _snapshot(connection, look, look.snapshots.pop())
    yield from (_stray(look, shot) for shot in reversed(look.snapshots))
    if look.snapshot is None and look.whole is None:
        with suppress(GraphEngineError, *_NO_FOLD):
            look.snapshot = state_at(connection, key, look.seq, look.run_id)
    if look.whole is None:
        yield from _row(connection, look)


def _beginning(connection: sqlite3.Connection, look: _Look, first: Sequence[JsonValue]) -> Iterator[Finding]:
    """Where the run's own log begins: at step 1, or behind the parent's step it branched off from."""
    row_id, at, body, recorded = first
    seq = row_id & SEQ_MASK
    look.seq = seq - 1
    if recorded is None or sum_of(row_id, body) == recorded:
        with suppress(*_NO_FOLD):
            look.first = {"created_at": at, "parent_seq": seq - 1, **told_by(decode_step(seq, body))}
    parent_id = look.first.get("parent", look.row["parent"])
    if "run_id" not in look.first:  # not where a run begins: what was before it is lost
        look.seq = look.row["parent_seq"]
    if parent_id is None:
        look.seq = 0
        look.snapshot = Snapshot()
        return
    parent_key = key_of(connection, str(parent_id))
    told = f"it branched off run {parent_id} behind step {look.seq}, and that cannot be read"
    repair = f"restore a backup; `graphengine doctor` tells what is wrong with run {parent_id}"
    if parent_key is None:
        look.whole = 0
        yield look.finding("parent_missing", f"{told}: there is no such run", look.seq, "restore a backup")
        return
    try:
        look.snapshot = state_at(connection, parent_key, look.seq, str(parent_id))
    except GraphEngineError as error:
        look.whole = 0
        yield look.finding("parent_damaged", f"{told}: {error.message}", look.seq, repair)
    except _NO_FOLD as error:
        look.whole = 0
        yield look.finding("parent_damaged", f"{told}: {type(error).__name__}: {error}", look.seq, repair)


def _step(look: _Look, row_id: int, at: float, body: bytes, recorded: int | None) -> Iterator[Finding]:
    seq = row_id & SEQ_MASK
    if seq != look.seq + 1:
        missing = f"step {look.seq + 1}" if seq == look.seq + 2 else f"steps {look.seq + 1} to {seq - 1}"
        yield look.finding("steps_missing", f"{missing} of it are not there", look.seq + 1, _before(look, look.seq))
        _break(look, look.seq)
    look.seq = seq
    try:
        if recorded is not None and sum_of(row_id, body) != recorded:
            raise ValueError("it was changed since it was written")
        step = decode_step(seq, body)
    except _NO_FOLD as error:
        yield look.finding("step_damaged", f"step {seq} cannot be read: {error}", seq, _before(look, seq - 1))
        _break(look, seq - 1)
        return
    if step.at != at:
        told = f"step {seq} was recorded at {step.at!r}; its row says {at!r}"
        values: dict[str, JsonValue] = {"at": step.at}
        repair = f"{_MENDS} sets the row right from the log"
        yield Finding("step_time", told, look.run_id, seq, repair, repairable=True, row=row_id, values=values)
    if look.snapshot is None:
        return
    try:
        evolve(look.snapshot, step)
    except _NO_FOLD as error:
        told = f"the log does not fold at step {seq}: {type(error).__name__}: {error}"
        yield look.finding("not_foldable", told, seq, _before(look, seq - 1))
        _break(look, seq - 1)


def _break(look: _Look, before: int) -> None:
    look.snapshot = None
    if look.whole is None:
        look.whole = before


def _before(look: _Look, seq: int) -> str:
    if look.whole is not None or seq <= 0:
        return "restore a backup"
    return f"the steps before it are whole: `graphengine branch {look.run_id} --at {seq}` goes on from there"


def _stray(look: _Look, shot: int) -> Finding:
    told = f"a snapshot after step {shot & SEQ_MASK}, which is not in its log"
    return look.finding("snapshot_stray", told, shot & SEQ_MASK, f"{_MENDS} drops it", shot)


def _snapshot(connection: sqlite3.Connection, look: _Look, shot: int) -> Iterator[Finding]:
    seq = shot & SEQ_MASK
    body, recorded = connection.execute(SQL["snapshot"], (shot,)).fetchone()
    repair = f"{_MENDS} drops it: the log says the same, and an older snapshot will do"
    if recorded is not None and sum_of(shot, body) != recorded:
        told = f"the snapshot after step {seq} was changed since it was written"
        yield look.finding("snapshot_damaged", told, seq, repair, shot)
        return
    if look.snapshot is None or look.snapshot.seq != seq:
        return
    try:
        is_same = _plain(decode_snapshot(body)) == _plain(look.snapshot)
    except _NO_FOLD:
        is_same = False
    if not is_same:
        told = f"the snapshot after step {seq} is not what the log gives"
        yield look.finding("snapshot_differs", told, seq, repair, shot)


def _plain(snapshot: Snapshot) -> JsonValue:
    return from_json(to_json(to_record(snapshot)))


def _row(connection: sqlite3.Connection, look: _Look) -> Iterator[Finding]:
    """Where the run's row disagrees with its log."""
    row, snapshot = look.row, look.snapshot
    if snapshot is None:
        return
    if row["due_at"] == math.inf:  # an earlier version took it; it means none
        row = {**row, "due_at": None}
    # A run that waits or failed is not let go while something of it is in flight, and its process may die then.
    is_held = row["status"] == "running" and snapshot.status in ("waiting", "failed")
    status = "running" if is_held else snapshot.status
    waits = status == "waiting"
    right: dict[str, JsonValue] = {
        "id": snapshot.run_id,
        "graph": snapshot.graph,
        "fingerprint": snapshot.fingerprint,
        "status": status,
        "created_at": look.first.get("created_at", row["created_at"]),
        "parent": look.first.get("parent", row["parent"]),
        "parent_seq": look.first.get("parent_seq", row["parent_seq"]),
        "due_at": next_due(snapshot) if waits else None,
    }
    differing = [f"{name} {row[name]!r} instead of {value!r}" for name, value in right.items() if row[name] != value]
    is_wanted = bool(row["wanted"]) if waits else status == "running" and row["driver"] is None
    right["fence"] = row["fence"] if isinstance(row["fence"], int) and row["fence"] >= 1 else 1
    if right["fence"] != row["fence"]:
        differing.append(f"fence {row['fence']!r}")
    right["wanted_at"] = row["wanted_at"]
    if (row["wanted_at"] is not None) != is_wanted:
        differing.append(
            f"it is {'' if is_wanted else 'not '}wanted that somebody goes on with it, and its row differs"
        )
        right["wanted_at"] = snapshot.now if is_wanted else None
    if not differing:
        return
    if right["parent"] is not None:
        found = key_of(connection, str(right["parent"]))
        right["parent"] = row["parent_key"] if found is None else found
    yield Finding(
        "run_differs",
        f"its row says {'; '.join(differing)}",
        look.run_id,
        repair=f"{_MENDS} sets the row right from the log",
        repairable=True,
        row=look.key,
        values=right,
    )
