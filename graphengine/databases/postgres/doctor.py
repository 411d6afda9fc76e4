"""Checks of a PostgreSQL database for damage, which change nothing and do not block writers.

Every row is compared with its checksum, every log is folded (the run is rebuilt from its steps), and the row and
snapshots of each run are compared with the result. The server checks its own pages, with `pg_amcheck`. Only one fault
is repaired here: sequences that are behind the rows after a move to another server by logical replication.
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg

from graphengine.databases.addresses import parse
from graphengine.databases.findings import Counted, Finding, Repaired, Report, report_of
from graphengine.databases.postgres import opening, reads
from graphengine.databases.postgres.faults import explain
from graphengine.databases.postgres.queries import SQL
from graphengine.databases.postgres.reads import Own
from graphengine.databases.postgres.sessions import Connector
from graphengine.databases.refold import BACKUP, StoredRun, differences, refold
from graphengine.errors import StoreCorrupt, UnknownRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphengine.databases.findings import Progress
    from graphengine.databases.postgres.sessions import Connection
    from graphengine.kernel.reader import Step

_RUNS_AT_ONCE: Final = 500
_CLOCK_SECONDS: Final = 2.0
_MOVE: Final = "as the owner of the schema: `graphengine doctor --repair` moves it"
_OWN: Final = Own(None, ())


def examine(address: str, *, progress: Progress | None = None) -> Report:
    """Check all runs of a database.

    Args:
        address: The address of the database.
        progress: Called with the progress of the check.

    Raises:
        StoreUnreachable, StoreForbidden, StoreMissing, StoreNotADatabase, StoreTooNew, StoreNotSupported: The database
            cannot be opened.
    """
    place = parse(address)
    counted = Counted()
    try:
        with Connector(place, 0.0, read_only=True).first_connect() as connection:
            opening.check_readable(connection, place)
            return report_of(place.shown, _check_all_runs(connection, counted, progress), counted)
    except (psycopg.Error, OSError) as error:
        raise explain(error, place) from None


def repair(address: str, *, progress: Progress | None = None) -> Repaired:
    """Repair the sequences from which new rows get their numbers, then check all runs.

    Other processes may work meanwhile.

    A sequence needs this if the rows were copied without it, as by logical replication: its next number already belongs
    to a row.

    Raises:
        StoreReadOnly, StoreForbidden: The user does not own the schema, which this requires.
        StoreUnreachable, StoreMissing, StoreNotADatabase, StoreTooNew, StoreNotSupported: The database cannot be
            opened.
    """
    place = parse(address)
    try:
        with Connector(place, 0.0).first_connect() as connection:
            opening.check_readable(connection, place)
            behind = [each for each in _read_sequences(connection) if each.next_number <= each.highest]
            for each in behind:
                connection.execute(SQL["move_sequence"], (each.name, each.highest))
    except (psycopg.Error, OSError) as error:
        raise explain(error, place) from None
    done = [f"moved the sequence {each.name} from {each.next_number} to {each.highest + 1}" for each in behind]
    return Repaired(examine(address, progress=progress), done)


class _Sequence(NamedTuple):
    """A sequence, from which PostgreSQL takes the numbers of new rows of a table.

    Attributes:
        table: The table whose rows it numbers.
        name: The name of the sequence.
        highest: The highest number in the table.
        next_number: The number that the next row will get.
    """

    table: str
    name: str
    highest: int
    next_number: float


def _read_sequences(connection: Connection) -> Iterator[_Sequence]:
    """Yield the sequences of the schema, from which new rows take their numbers, each with its next number.

    The next number is infinity if the user may not read the sequence.
    """
    for table, name, highest, is_seen in connection.execute(SQL["sequences"]).fetchall():
        following = f"SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM {name}"  # noqa: S608 - the server quotes it
        (number,) = (connection.execute(following.encode()).fetchone() if is_seen else None) or (math.inf,)
        yield _Sequence(table, name, highest or 0, number)


def settings(address: str, names: Sequence[str]) -> dict[str, str]:
    """Return the values that settings of the server have in sessions of this user in this database.

    Raises:
        StoreUnreachable, StoreForbidden, StoreNotSupported: The server cannot be asked.
    """
    place = parse(address)
    try:
        with Connector(place, 0.0, read_only=True).first_connect() as connection:
            return dict(connection.execute(SQL["settings"], (list(names),)))
    except (psycopg.Error, OSError) as error:
        raise explain(error, place) from None


def _check_all_runs(connection: Connection, counted: Counted, progress: Progress | None) -> Iterator[Finding]:
    yield from _check_page_checksums(connection)
    yield from _check_clock(connection)
    yield from _check_sequences(connection)
    yield from _check_stored_specs(connection)
    (total,) = connection.execute(SQL["count_runs"]).fetchone() or (0,)
    last = ""
    while True:
        found = [row[0] for row in connection.execute(SQL["ids_after"], (last, _RUNS_AT_ONCE)).fetchall()]
        if not found:
            return
        for run_id in found:
            counted.runs += 1
            if progress is not None:
                progress("runs", counted.runs, total)
            yield from _check_run_and_log(connection, run_id, counted)
        last = found[-1]


def _check_page_checksums(connection: Connection) -> Iterator[Finding]:
    """Yield a note if the server does not keep checksums of its pages and so would not notice damaged ones."""
    row = connection.execute("SHOW data_checksums").fetchone()
    if row is not None and row[0] != "on":
        what = "the server keeps no checksums of its pages; only what graphengine reads is checked"
        yield Finding("no_data_checksums", what, repair="stop the server and run pg_checksums --enable", note=True)


def _check_clock(connection: Connection) -> Iterator[Finding]:
    """Yield a note if the clocks of this host and of the server differ.

    Sleeping runs and schedules are resumed by the clock of the host on which a worker runs. So on this host they would
    be resumed too early or too late.
    """
    began = time.time()
    ((there,),) = connection.execute(b"SELECT extract(epoch FROM clock_timestamp())::float8").fetchall()
    ahead = (began + time.time()) / 2 - there
    if abs(ahead) > _CLOCK_SECONDS + (time.time() - began):
        way = "ahead of" if ahead > 0 else "behind"
        what = f"this host's clock is {abs(ahead):.0f} s {way} the server's: sleeps and schedules are off by that"
        yield Finding(
            "clock", what, repair="let all hosts take the time from one source: chrony, systemd-timesyncd", note=True
        )


def _check_sequences(connection: Connection) -> Iterator[Finding]:
    """Yield a finding for each sequence whose next number already belongs to a row.

    In such a table no row, such as a run or a message, can be added.
    """
    for each in _read_sequences(connection):
        if each.next_number == math.inf:
            what = f"this user may not read the sequence {each.name}, so it was not compared with the rows"
            yield Finding("sequence_unread", what, repair="check as the owner of the schema", note=True)
        elif each.next_number <= each.highest:
            what = (
                f"the sequence {each.name} gives {each.next_number} next, and {each.table} has numbers up to "
                f"{each.highest}: logical replication copies rows and no sequences"
            )
            yield Finding("sequence_behind", what, repair=_MOVE, repairable=True)


def _check_stored_specs(connection: Connection) -> Iterator[Finding]:
    for (fingerprint,) in connection.execute("SELECT fingerprint FROM graph_specs ORDER BY fingerprint").fetchall():
        try:
            reads.shared.graph_spec(connection, fingerprint)
        except StoreCorrupt as error:
            yield Finding("graph_spec_damaged", error.message, repair=BACKUP)
    for (code,) in connection.execute("SELECT id FROM codes ORDER BY id").fetchall():
        try:
            reads.shared.code(connection, code)
        except StoreCorrupt as error:
            yield Finding("code_damaged", error.message, repair=BACKUP)


def _check_run_and_log(connection: Connection, run_id: str, counted: Counted) -> Iterator[Finding]:
    try:
        reads.shared.inbox(connection, [run_id])
    except StoreCorrupt as error:
        yield Finding("message_damaged", error.message, run_id, repair=BACKUP)
    try:
        info = reads.info(connection, _OWN, run_id)
        shots = {row[0] for row in connection.execute(SQL["shots"], (run_id,)).fetchall()}

        def load(seq: int) -> tuple[bytes | None, Sequence[Step]]:
            loaded = reads.load(connection, _OWN, run_id, seq)
            return loaded.snapshot, loaded.steps

        read = partial(reads.steps, connection, run_id)
        shot = partial(reads.snapshot_at, connection, run_id, own=_OWN)
        found, snapshot = refold(StoredRun(info, load, read, shots, shot), counted)
    except UnknownRun:  # the run was removed meanwhile
        return
    yield from found
    differing = [] if snapshot is None else differences(info, snapshot)
    if differing:
        yield Finding("run_differs", f"its row has {'; '.join(differing)}", run_id, repair=BACKUP)
