"""The checks of runs: each log is complete, matches its checksums and folds; row and snapshots agree with the fold."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json

from graphengine.engine.fold import evolve, fold
from graphengine.engine.ready import next_due
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.step_json import decode_step
from graphengine.engine.stored import decode_snapshot, to_record
from graphengine.errors import GraphEngineError
from graphengine.stores.base import read_summary, summary_text
from graphengine.stores.findings import Finding
from graphengine.stores.sqlite.doctor.checks import NONSENSE, key_of
from graphengine.stores.sqlite.faults import shows_damage
from graphengine.stores.sqlite.queries import DOCTOR_SQL, SQL
from graphengine.stores.sqlite.reads import KEY_BITS, SEQ_MASK, in_snapshot, newest_snapshot, read_steps, recorded_facts
from graphengine.stores.sqlite.texts import Texts
from graphengine.stores.summaries import differing_summary, summary_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from graphengine.state.json_values import JsonValue

MOST_OF_A_RUN: Final = 1000
"""The most findings of one run; further ones add no information."""

_DOCTOR: Final = "`graphengine doctor --repair`"
_FOLD_ERRORS: Final = (ValueError, KeyError, TypeError, IndexError, AttributeError)
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
    """How much was checked."""

    runs: int = 0
    steps: int = 0
    snapshots: int = 0


@dataclass(slots=True)
class _RunCheck:
    """One run while its log is read.

    Attributes:
        snapshot: The fold so far; None once the log cannot be folded.
        seq: The step that was read last.
        snapshots: The ids of its snapshots that were not reached yet, the next one last.
        first: The facts that its first step records, and its time.
        whole: The step before the first that is missing or damaged; None while there is none.
    """

    key: int
    row: dict[str, Any]
    snapshot: Snapshot | None
    seq: int
    snapshots: list[int]
    first: dict[str, Any] = field(default_factory=dict)
    whole: int | None = None

    @property
    def run_id(self) -> str:
        """The run's id in its row."""
        return str(self.row["id"])

    def finding(self, code: str, what: str, seq: int | None, repair: str, row: int = 0) -> Finding:
        """Return a finding of this run; one with a row can be repaired there."""
        return Finding(code, what, self.run_id, seq, repair, repairable=bool(row), row=row)


def runs(
    connection: sqlite3.Connection, counted: Counted, report: Callable[[], None], *, quick: bool
) -> Iterator[Finding]:
    """Yield what is wrong with each run. Update `counted` meanwhile, and call `report` for each run."""
    last = -(1 << 62)
    while True:
        found = connection.execute(DOCTOR_SQL["run_keys"], (last,)).fetchall()
        keys = sorted({key for (key,) in found if key > last})  # a damaged table can return them in any order
        if not keys:
            return
        for key in keys:
            counted.runs += 1
            report()
            try:
                yield from in_snapshot(connection, partial(_findings, key=key, counted=counted, quick=quick))
            except NONSENSE as error:
                if not shows_damage(error):
                    raise
                yield Finding(
                    "page",
                    f"the run of key {key} cannot be read: {type(error).__name__}: {error}",
                    repair=f"{_DOCTOR} saves every row that can be read into a new file",
                    repairable=True,
                )
        last = keys[-1]


def _findings(connection: sqlite3.Connection, key: int, counted: Counted, *, quick: bool) -> list[Finding]:
    return list(islice(_run(connection, key, counted, quick=quick), MOST_OF_A_RUN))


def state_at(connection: sqlite3.Connection, key: int, seq: int, run_id: str) -> Snapshot:
    """Return the state of a run after a step, from the newest readable snapshot before it.

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
    row: dict[str, Any] = dict(zip(_COLUMNS, found, strict=True))
    bounds = key << KEY_BITS, (key + 1) << KEY_BITS
    first = connection.execute(DOCTOR_SQL["first_of_log"], bounds).fetchone()
    if first is None:
        yield Finding("run_without_steps", "all its steps are missing", str(row["id"]), repair="restore a backup")
        return
    run = _RunCheck(key, row, None, 0, [])
    yield from _beginning(connection, run, first)
    shots = [shot for (shot,) in connection.execute(DOCTOR_SQL["run_snapshots"], bounds)]
    yield from (_stray_snapshot(run, shot) for shot in shots if shot & SEQ_MASK <= run.seq)
    run.snapshots = [shot for shot in reversed(shots) if shot & SEQ_MASK > run.seq]
    if quick and run.snapshots:  # the final state is read from the newest one
        run.snapshot = None
    texts = Texts(connection)
    for row_id, at, body, recorded, listed in connection.execute(DOCTOR_SQL["run_steps"], bounds):
        counted.steps += 1
        yield from _step(run, row_id, at, partial(texts.whole, row_id, body, listed, recorded))
        while run.snapshots and run.snapshots[-1] <= row_id:
            counted.snapshots += 1
            yield from _snapshot(connection, run, run.snapshots.pop())
    yield from (_stray_snapshot(run, shot) for shot in reversed(run.snapshots))
    if run.snapshot is None and run.whole is None:
        with suppress(GraphEngineError, *_FOLD_ERRORS):
            run.snapshot = state_at(connection, key, run.seq, run.run_id)
    if run.whole is None:
        yield from _row(connection, run)


def _beginning(connection: sqlite3.Connection, run: _RunCheck, first: Sequence[Any]) -> Iterator[Finding]:
    """Check where the run's own log begins: at step 1, or after the parent's step that it branched off from."""
    row_id, at, body, recorded, listed = first
    seq = row_id & SEQ_MASK
    run.seq = seq - 1
    with suppress(*_FOLD_ERRORS):
        step = decode_step(seq, Texts(connection).whole(row_id, body, listed, recorded))
        run.first = {"created_at": at, "parent_seq": seq - 1, **recorded_facts(step)}
    parent_id = run.first.get("parent", run.row["parent"])
    if "run_id" not in run.first:  # not the first step of a run: the steps before it are lost
        run.seq = run.row["parent_seq"]
    if parent_id is None:
        run.seq = 0
        run.snapshot = Snapshot()
        return
    parent_key = key_of(connection, str(parent_id))
    message = f"it branched off run {parent_id} after step {run.seq}, which cannot be read"
    repair = f"restore a backup; `graphengine doctor` shows what is wrong with run {parent_id}"
    if parent_key is None:
        run.whole = 0
        yield run.finding("parent_missing", f"{message}: there is no such run", run.seq, "restore a backup")
        return
    try:
        run.snapshot = state_at(connection, parent_key, run.seq, str(parent_id))
    except GraphEngineError as error:
        run.whole = 0
        yield run.finding("parent_damaged", f"{message}: {error.message}", run.seq, repair)
    except _FOLD_ERRORS as error:
        run.whole = 0
        yield run.finding("parent_damaged", f"{message}: {type(error).__name__}: {error}", run.seq, repair)


def _step(run: _RunCheck, row_id: int, at: float, whole: Callable[[], bytes]) -> Iterator[Finding]:
    seq = row_id & SEQ_MASK
    if seq != run.seq + 1:
        first, last = run.seq + 1, seq - 1
        missing = f"step {first} is missing" if first == last else f"steps {first} to {last} are missing"
        yield run.finding("steps_missing", missing, first, _before(run, run.seq))
        _mark_broken(run, run.seq)
    run.seq = seq
    try:
        step = decode_step(seq, whole())
    except _FOLD_ERRORS as error:
        yield run.finding("step_damaged", f"step {seq} cannot be read: {error}", seq, _before(run, seq - 1))
        _mark_broken(run, seq - 1)
        return
    if step.at != at:
        message = f"step {seq} was recorded at {step.at!r}; its row has {at!r}"
        values: dict[str, JsonValue] = {"at": step.at}
        repair = f"{_DOCTOR} corrects the row from the log"
        yield Finding("step_time", message, run.run_id, seq, repair, repairable=True, row=row_id, values=values)
    if run.snapshot is None:
        return
    try:
        evolve(run.snapshot, step)
    except _FOLD_ERRORS as error:
        message = f"the log does not fold at step {seq}: {type(error).__name__}: {error}"
        yield run.finding("not_foldable", message, seq, _before(run, seq - 1))
        _mark_broken(run, seq - 1)


def _mark_broken(run: _RunCheck, before: int) -> None:
    run.snapshot = None
    if run.whole is None:
        run.whole = before


def _before(run: _RunCheck, seq: int) -> str:
    if run.whole is not None or seq <= 0:
        return "restore a backup"
    return f"the steps before it are intact: `graphengine branch {run.run_id} --at {seq}` continues from there"


def _stray_snapshot(run: _RunCheck, shot: int) -> Finding:
    message = f"a snapshot after step {shot & SEQ_MASK}, which is not in its log"
    return run.finding("snapshot_stray", message, shot & SEQ_MASK, f"{_DOCTOR} drops it", shot)


def _snapshot(connection: sqlite3.Connection, run: _RunCheck, shot: int) -> Iterator[Finding]:
    seq = shot & SEQ_MASK
    body, recorded, listed = connection.execute(SQL["snapshot"], (shot,)).fetchone()
    repair = f"{_DOCTOR} drops it: it is derived from the log, and an older snapshot is used instead"
    try:
        body = Texts(connection).whole(shot, body, listed, recorded)
    except _FOLD_ERRORS:
        message = f"the snapshot after step {seq} was changed since it was written"
        yield run.finding("snapshot_damaged", message, seq, repair, shot)
        return
    if run.snapshot is None or run.snapshot.seq != seq:
        return
    try:
        is_same = _plain(decode_snapshot(body)) == _plain(run.snapshot)
    except _FOLD_ERRORS:
        is_same = False
    if not is_same:
        message = f"the snapshot after step {seq} differs from the log"
        yield run.finding("snapshot_differs", message, seq, repair, shot)


def _summary(connection: sqlite3.Connection, run: _RunCheck, snapshot: Snapshot) -> Iterator[Finding]:
    """Yield a finding if the run's summary disagrees with its log."""
    (text,) = connection.execute(DOCTOR_SQL["summary"], (run.key,)).fetchone()
    listed = differing_summary(read_summary(text), run.row["status"], snapshot)
    if listed:
        what, repair = f"its summary has {listed}", f"{_DOCTOR} rewrites it from the log"
        values: dict[str, JsonValue] = {"summary": summary_text(summary_of(snapshot))}
        yield Finding("summary_differs", what, run.run_id, repair=repair, repairable=True, row=run.key, values=values)


def _plain(snapshot: Snapshot) -> JsonValue:
    return from_json(to_json(to_record(snapshot)))


def _row(connection: sqlite3.Connection, run: _RunCheck) -> Iterator[Finding]:
    """Yield a finding if the run's row disagrees with its log."""
    row, snapshot = run.row, run.snapshot
    if snapshot is None:
        return
    # A run that waits or failed is not released while some of its work is in flight, and its process can die then.
    is_held = row["status"] == "running" and snapshot.status in ("waiting", "failed")
    status = "running" if is_held else snapshot.status
    waits = status == "waiting"
    right: dict[str, JsonValue] = {
        "id": snapshot.run_id,
        "graph": snapshot.graph,
        "fingerprint": snapshot.fingerprint,
        "status": status,
        "created_at": run.first.get("created_at", row["created_at"]),
        "parent": run.first.get("parent", row["parent"]),
        "parent_seq": run.first.get("parent_seq", row["parent_seq"]),
        "due_at": next_due(snapshot) if waits else None,
    }
    differing = [f"{name} {row[name]!r} instead of {value!r}" for name, value in right.items() if row[name] != value]
    is_wanted = bool(row["wanted"]) if waits else status == "running" and row["driver"] is None
    lowest = 0 if row["driver"] is None else 1  # a run that is queued had no driver yet
    right["fence"] = row["fence"] if isinstance(row["fence"], int) and row["fence"] >= lowest else 1
    if right["fence"] != row["fence"]:
        differing.append(f"fence {row['fence']!r}")
    right["wanted_at"] = row["wanted_at"]
    if (row["wanted_at"] is not None) != is_wanted:
        need = "needs" if is_wanted else "does not need"
        differing.append(f"wanted_at {row['wanted_at']!r}, though the run {need} a driver")
        right["wanted_at"] = snapshot.now if is_wanted else None
    if not differing:
        yield from _summary(connection, run, snapshot)
        return
    if right["parent"] is not None:
        found = key_of(connection, str(right["parent"]))
        right["parent"] = row["parent_key"] if found is None else found
    yield Finding(
        "run_differs",
        f"its row has {'; '.join(differing)}",
        run.run_id,
        repair=f"{_DOCTOR} corrects the row from the log",
        repairable=True,
        row=run.key,
        values=right,
    )
