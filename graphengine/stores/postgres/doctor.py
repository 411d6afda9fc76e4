"""Finding damage in a database, without changing it and without blocking writers.

Every row that is read is compared with its checksum, every log is folded, and the row and the snapshots of each run are
compared with the fold. The server's own pages are the business of the server: `pg_amcheck` checks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg
from pydantic_core import from_json, to_json

from graphengine.engine.fold import evolve
from graphengine.engine.ready import next_due
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.stored import decode_snapshot, to_record
from graphengine.errors import GraphEngineError, StoreCorrupt, UnknownRun
from graphengine.stores.addresses import parse
from graphengine.stores.findings import Finding, Report
from graphengine.stores.postgres import opening, reads
from graphengine.stores.postgres.faults import explain
from graphengine.stores.postgres.queries import SQL
from graphengine.stores.postgres.reads import Own
from graphengine.stores.postgres.sessions import Server
from graphengine.stores.summaries import differing_summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.stores.base import RunInfo
    from graphengine.stores.findings import Progress
    from graphengine.stores.postgres.sessions import Connection

MOST_FINDINGS: Final = 1000
_RUNS_AT_ONCE: Final = 500
_BACKUP: Final = "restore a backup"
_FOLD_ERRORS: Final = (ValueError, KeyError, TypeError, IndexError, AttributeError)


class _Counted:
    """How much was checked."""

    def __init__(self) -> None:
        self.runs = self.steps = self.snapshots = 0


def examine(address: str, *, quick: bool = False, progress: Progress | None = None) -> Report:
    """Check all runs of a database.

    Args:
        address: Its address.
        quick: Whether to skip the comparison of every snapshot with its log.
        progress: Called with the progress.

    Raises:
        StoreUnreachable, StoreForbidden, StoreMissing, StoreNotADatabase, StoreTooNew: It cannot be opened.
    """
    place = parse(address)
    counted = _Counted()
    findings: list[Finding] = []
    more = 0
    try:
        with Server(place, 0.0, read_only=True).connect() as connection:
            opening.check_readable(connection, place)
            own = Own(None, ())
            for finding in _all(connection, counted, progress, own, quick=quick):
                if len(findings) < MOST_FINDINGS:
                    findings.append(finding)
                else:
                    more += 1
    except (psycopg.Error, OSError) as error:
        raise explain(error, place) from None
    return Report(place.shown, findings, more, counted.runs, counted.steps, counted.snapshots)


def _all(
    connection: Connection, counted: _Counted, progress: Progress | None, own: Own, *, quick: bool
) -> Iterator[Finding]:
    yield from _checksums(connection)
    yield from _outlines(connection)
    total = _number(connection, SQL["count_runs"])
    last = ""
    while True:
        found = [row[0] for row in connection.execute(SQL["ids_after"], (last, _RUNS_AT_ONCE)).fetchall()]
        if not found:
            return
        for run_id in found:
            counted.runs += 1
            if progress is not None:
                progress("runs", counted.runs, total)
            yield from _run(connection, run_id, counted, own, quick=quick)
        last = found[-1]


def _checksums(connection: Connection) -> Iterator[Finding]:
    """Note a server that would not notice damaged pages itself."""
    row = connection.execute("SHOW data_checksums").fetchone()
    if row is not None and row[0] != "on":
        what = "the server keeps no checksums of its pages; only what graphengine reads is checked"
        yield Finding("no_data_checksums", what, repair="stop the server and run pg_checksums --enable", note=True)


def _outlines(connection: Connection) -> Iterator[Finding]:
    for (fingerprint,) in connection.execute("SELECT fingerprint FROM outlines ORDER BY fingerprint").fetchall():
        try:
            reads.outline(connection, fingerprint)
        except StoreCorrupt as error:
            yield Finding("outline_damaged", error.message, repair=_BACKUP)


def _run(connection: Connection, run_id: str, counted: _Counted, only: Own, *, quick: bool) -> Iterator[Finding]:
    try:
        reads.inbox(connection, [run_id])
    except StoreCorrupt as error:
        yield Finding("message_damaged", error.message, run_id, repair=_BACKUP)
    try:
        info = reads.info(connection, run_id, only)
        steps = reads.steps(connection, run_id, 0, info.seq)
    except UnknownRun:  # removed meanwhile
        return
    except StoreCorrupt as error:
        yield Finding("step_damaged", error.message, run_id, repair=error.repair)
        return
    own = [row[0] for row in connection.execute(SQL["shots"], (run_id,)).fetchall()]
    shots = set() if quick else {seq for seq in own if seq <= info.seq}
    snapshot = Snapshot()
    for step in steps:
        counted.steps += step.seq > info.parent_seq
        try:
            evolve(snapshot, step)
        except _FOLD_ERRORS as error:
            what = f"the log does not fold at step {step.seq}: {type(error).__name__}: {error}"
            yield Finding("not_foldable", what, run_id, step.seq, _BACKUP)
            return
        if step.seq in shots:
            counted.snapshots += 1
            yield from _snapshot(connection, run_id, snapshot, only)
    yield from _row(info, snapshot)


def _snapshot(connection: Connection, run_id: str, snapshot: Snapshot, own: Own) -> Iterator[Finding]:
    seq = snapshot.seq
    repair = "no step is affected: the run is read from an older snapshot, and this one goes with its run"
    try:
        stored = decode_snapshot(reads.snapshot_at(connection, run_id, seq, own))
        if from_json(to_json(to_record(stored))) != from_json(to_json(to_record(snapshot))):
            what = f"the snapshot after step {seq} differs from the log"
            yield Finding("snapshot_differs", what, run_id, seq, repair)
    except GraphEngineError as error:
        yield Finding("snapshot_damaged", error.message, run_id, seq, repair)
    except _FOLD_ERRORS as error:
        what = f"the snapshot after step {seq} cannot be read: {error}"
        yield Finding("snapshot_damaged", what, run_id, seq, repair)


def _row(info: RunInfo, snapshot: Snapshot) -> Iterator[Finding]:
    """Yield a finding if the run's row disagrees with its log."""
    # A run that waits or failed is not released while some of its work is in flight, and its process can die then.
    is_held = info.status == "running" and snapshot.status in ("waiting", "failed")
    status = "running" if is_held else snapshot.status
    right = {
        "id": snapshot.run_id,
        "graph": snapshot.graph,
        "fingerprint": snapshot.fingerprint,
        "status": status,
        "due_at": next_due(snapshot) if status == "waiting" else None,
    }
    differing = [
        f"{name} {getattr(info, name)!r} instead of {value!r}"
        for name, value in right.items()
        if getattr(info, name) != value
    ]
    if differing:
        yield Finding("run_differs", f"its row has {'; '.join(differing)}", info.id, repair=_BACKUP)
    elif listed := differing_summary(info.summary, info.status, snapshot):
        repair = "no step is affected, only lists of runs: set runs.summary of its row to NULL, and the log is read"
        yield Finding("summary_differs", f"its summary has {listed}", info.id, repair=repair)


def _number(connection: Connection, statement: bytes) -> int:
    row = connection.execute(statement).fetchone()
    return 0 if row is None else int(row[0])
