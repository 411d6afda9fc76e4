"""The checks of a SQLite file: pages, schema, runs, messages, graph specs, long texts, and rows that belong to nothing.

A check runs even if another check met damage. Each run is read in its own transaction, so that a check of hours does
not block other processes. A finding that can be repaired in place contains the SQL statement for this. Other repairable
findings need a new file.
"""

from __future__ import annotations

import re
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec.structs import replace

from graphengine.databases.checksums import message_place, sum_of
from graphengine.databases.findings import Finding
from graphengine.databases.refold import BACKUP, StoredRun, differences, refold, row_of
from graphengine.databases.run_rows import RunRow
from graphengine.databases.sqlite.definitions import refuse_foreign
from graphengine.databases.sqlite.faults import shows_damage
from graphengine.databases.sqlite.files import APPLICATION_ID
from graphengine.databases.sqlite.queries import DOCTOR_SQL, SQL, latest_format
from graphengine.databases.sqlite.reads import (
    KEY_BITS,
    from_row,
    identities,
    in_snapshot,
    lineage,
    newest_snapshot,
    read_steps,
)
from graphengine.databases.sqlite.reads import snapshot as snapshot_of
from graphengine.databases.sqlite.texts import digest_of, keys_in
from graphengine.errors import StoreAltered
from graphengine.kernel.store import summary_of, summary_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from graphengine.databases.findings import Counted, Progress
    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Snapshot, Step
    from graphengine.kernel.store import RunInfo

Check: TypeAlias = "Callable[[sqlite3.Connection], Iterator[Finding]]"

NONSENSE: Final = (sqlite3.Error, TypeError, ValueError, KeyError, IndexError, OverflowError)
"""Exceptions from reading a damaged database. A damaged page can return rows of any shape, or too few."""

_MOST_MESSAGES: Final = 100
_INDEX: Final = re.compile("missing from index|wrong # of entries in index|non-unique entry in index")
_DOCTOR: Final = "`graphengine doctor --repair`"
_NEW_FILE: Final = f"{_DOCTOR} saves every row that can be read into a new file"
_KINDS: Final = frozenset({"answer", "message", "stop"})
_OF_NO_RUN: Final = "run NOT IN (SELECT key FROM runs) AND run NOT IN (SELECT key FROM trash)"
STRAYS: Final = {
    "inbox": _OF_NO_RUN,
    "tags": _OF_NO_RUN,
    "run_fields": _OF_NO_RUN,
    "earlier_graph_specs": _OF_NO_RUN,
    "earlier_codes": _OF_NO_RUN,
    "snapshots": "id >> 32 NOT IN (SELECT key FROM runs) AND id >> 32 NOT IN (SELECT key FROM trash)",
    "trash": "key IN (SELECT key FROM runs)",
    "text_uses": """NOT CASE WHEN row > 0
        THEN EXISTS (SELECT * FROM steps AS s WHERE s.id = row AND s.texts IS NOT NULL)
        ELSE EXISTS (SELECT * FROM snapshots AS s WHERE s.id = -row AND s.texts IS NOT NULL) END""",
    "texts": "key NOT IN (SELECT text FROM text_uses)",
    "budget_holds": "(budget, key) NOT IN (SELECT budget, key FROM budget_accounts)",
}
"""SQL conditions for rows that belong to no run, step or snapshot, by table."""


def all_findings(
    connection: sqlite3.Connection, path: Path, counted: Counted, *, progress: Progress | None = None
) -> Iterator[Finding]:
    """Yield all findings about the content of a database, one check after another.

    Meanwhile, the checked runs, steps and snapshots are counted in `counted`. If the database contains foreign
    definitions, only those are reported and nothing more is read.
    """
    report = progress or (lambda _what, _done, _total: None)
    report("pages", 0, 0)
    yield from _run_check(_check_pages, connection, "the check of pages")
    yield from _run_check(_check_mark, connection, "the mark")
    altered = list(_run_check(partial(_check_schema, path=path), connection, "the schema"))
    yield from altered
    if altered:
        return
    yield from _run_check(partial(_check_runs, counted=counted, report=report), connection, "the runs")
    report("the rest", 0, 0)
    for what, check in (
        ("messages", _check_messages),
        ("graph specs", _check_graph_specs),
        ("codes", _check_codes),
        ("long texts", _check_texts),
        ("rest", _check_strays),
        ("counts of runs", _check_counts),
    ):
        yield from _run_check(check, connection, f"the {what}")


def _run_check(check: Check, connection: sqlite3.Connection, what: str) -> Iterator[Finding]:
    """Run one check of a database, and yield what the check finds.

    If damage in the file ends the check early, yield a finding about the damage.

    Raises:
        sqlite3.Error: The check met a lock or a full disk, which tell nothing about the content of the file.
    """
    try:
        yield from check(connection)
    except NONSENSE as error:
        if not shows_damage(error):
            raise
        yield _page_finding(f"{what}: {type(error).__name__}: {error}")


def _page_finding(what: str) -> Finding:
    return Finding("page", what, repair=_NEW_FILE, repairable=True)


def _check_pages(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Run SQLite's own integrity check, and yield a finding for each damaged page, row or index that it reports."""
    connection.execute("PRAGMA writable_schema = RESET")
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # read the schema as stores do
    finally:
        connection.execute("PRAGMA writable_schema = ON")
    for (text,) in connection.execute(f"PRAGMA integrity_check({_MOST_MESSAGES})"):
        if text == "ok":
            continue
        what = " ".join(text.split())[:500]
        if _INDEX.search(text):
            repair = f"{_DOCTOR} rebuilds the indexes"
            yield Finding("index", what, repair=repair).repaired_by("REINDEX")
        else:
            yield _page_finding(what)


def _check_schema(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    """Yield a finding if definitions of graphengine are missing, or if another program has added some.

    Definitions are tables, indexes, triggers and views.
    """
    try:
        refuse_foreign(connection, path, latest_format())
    except StoreAltered as error:
        yield Finding("schema", error.message, repair=_NEW_FILE, repairable=True)


def _check_mark(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Yield a finding if the header of the file does not contain the mark or the version of a graphengine database.

    The content can be undamaged, for example if the database was restored from a `.dump`.
    """
    marks = tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if marks != (APPLICATION_ID, latest_format()):
        message = f"the file's mark and version are {marks}, not {(APPLICATION_ID, latest_format())}"
        why = ", as a `.dump` that was loaded leaves it" if marks == (0, 0) else ""
        yield Finding("mark", message + why, repair=_NEW_FILE, repairable=True)


def _check_runs(connection: sqlite3.Connection, counted: Counted, report: Progress) -> Iterator[Finding]:
    (total,) = connection.execute("SELECT count(*) FROM runs").fetchone()
    yield from _check_logs_without_row(connection)
    last = -(1 << 62)
    while True:
        found = connection.execute(DOCTOR_SQL["run_keys"], (last,)).fetchall()
        keys = sorted({key for (key,) in found if key > last})  # a damaged table can return them in any order
        if not keys:
            return
        for key in keys:
            counted.runs += 1
            report("runs", counted.runs, total)
            check: Check = partial(_check_run, key=key, counted=counted)
            yield from in_snapshot(connection, partial(_list_findings, check=check, what=f"the run of key {key}"))
        last = keys[-1]


def _list_findings(connection: sqlite3.Connection, check: Check, what: str) -> list[Finding]:
    return list(_run_check(check, connection, what))


def _check_logs_without_row(connection: sqlite3.Connection) -> Iterator[Finding]:
    last = -(1 << 31)
    while found := connection.execute(DOCTOR_SQL["next_log"], ((last + 1) << KEY_BITS,)).fetchone():
        key, is_known = found
        if key <= last:  # in a damaged table the next row can be an earlier one again
            return
        last = key
        if is_known:
            continue
        _, facts = identities(connection, key)
        what = f"steps without a run (key {key})"
        if not facts:
            repair = "its first step is lost, so the run is unknown; restore a backup"
            yield Finding("steps_of_no_run", what, repair=repair)
            continue
        run_id, seq = str(facts["run_id"]), int(str(facts["parent_seq"])) + 1
        parent = _find_key(connection, facts["parent"])
        row = key << KEY_BITS | seq
        values = key, run_id, row, parent, row, run_id
        repair = f"{_DOCTOR} restores the run's row from its log"
        what = f"{what}: its row is missing; the log is that of run {run_id}"
        yield Finding("run_lost", what, run_id, seq, repair).repaired_by(DOCTOR_SQL["restore_run"], values)


def _find_key(connection: sqlite3.Connection, run_id: JsonValue) -> int | None:
    """Return the key of a run without using the index of ids, which may be damaged."""
    row = connection.execute(DOCTOR_SQL["key_by_scan"], (run_id,)).fetchone()
    return None if row is None else int(row[0])


def _check_run(connection: sqlite3.Connection, key: int, counted: Counted) -> Iterator[Finding]:
    row = connection.execute(SQL["facts_of"], (key,)).fetchone()
    if row is None:  # the run was removed meanwhile
        return
    info = from_row(connection, row, None).info
    in_row, in_log = identities(connection, key)
    wrong = [name for name, fact in in_log.items() if in_row[name] != fact and name != "graph"]
    differing = [f"{name} {in_row[name]!r} instead of {in_log[name]!r}" for name in wrong]
    if differing:  # compare the rest after this is repaired
        parent = _find_key(connection, in_log["parent"]) if "parent" in in_log else None
        what = f"its row has {'; '.join(differing)}"
        if in_log.get("parent") is not None and parent is None:
            yield Finding("parent_damaged", f"{what}, and there is no such run", info.id, repair=BACKUP)
            return
        values = in_log.get("run_id", info.id), parent, in_log["parent_seq"], key
        yield _wrong_row(info, what, DOCTOR_SQL["set_identity"], values)
        return
    own = [seq for (seq,) in connection.execute(DOCTOR_SQL["run_snapshots"], (key, key))]
    shots = {seq for seq in own if info.parent_seq < seq <= info.seq}

    def load(seq: int) -> tuple[bytes | None, Sequence[Step]]:
        parts, shot = newest_snapshot(connection, key, seq, info.id)
        return shot, read_steps(connection, info.id, parts, parts[0].shot or 0, seq)

    def read(after: int, upto: int) -> Sequence[Step]:
        return read_steps(connection, info.id, lineage(connection, key, upto, after=after), after, upto)

    run = StoredRun(info, load, read, shots, lambda seq: snapshot_of(connection, key << KEY_BITS | seq))
    found, snapshot = refold(run, counted)
    found += [Finding("snapshot", f"it is of step {seq}, outside its log", info.id, seq) for seq in {*own} - shots]
    for finding in found:
        if finding.code != "snapshot":
            yield finding
            continue
        shot = key << KEY_BITS | (finding.seq or 0)
        repair = f"{_DOCTOR} drops the snapshot; the run is then read from earlier steps"
        yield replace(finding, repair=repair).repaired_by(DOCTOR_SQL["drop_snapshot"], (shot,))
    if snapshot is not None:
        yield from _check_row_of_run(connection, key, info, RunRow._make(row).wanted_at, snapshot)


def _check_row_of_run(
    connection: sqlite3.Connection, key: int, info: RunInfo, wanted_at: float | None, snapshot: Snapshot
) -> Iterator[Finding]:
    """Yield findings if the row of a run does not contain the values that follow from the run's log."""
    right = row_of(info, snapshot)
    differing = differences(info, snapshot)
    since: float | None = None
    if right["status"] == "waiting":
        (since,) = connection.execute(DOCTOR_SQL["first_message"], (key,)).fetchone() or (None,)
    elif right["status"] == "running" and not info.held:
        since = snapshot.now
    if (wanted_at is None) != (since is None):
        need = "does not need" if since is None else "needs"
        differing.append(f"wanted_at {wanted_at!r}, though the run {need} a driver")
    if differing:
        fields = {} if info.summary is None else info.summary.fields
        summary = None if right["status"] == "running" else summary_of(snapshot, None, fields)
        more = {
            "wanted_at": since if since is None or wanted_at is None else wanted_at,
            "summary": None if summary is None else summary_text(summary),
            "cost_usd": None if summary is None else summary.cost_usd,
            "key": key,
        }
        values = {**right, **more}
        yield _wrong_row(info, f"its row has {'; '.join(differing)}", DOCTOR_SQL["set_run"], values)
    if info.updated_at != snapshot.now:  # lists read the time from the step's row, folds from its body
        what = f"the row of its last step has the time {info.updated_at!r} instead of {snapshot.now!r}"
        yield _wrong_row(info, what, DOCTOR_SQL["set_time"], (snapshot.now, key << KEY_BITS | info.seq))


def _wrong_row(info: RunInfo, what: str, statement: str, values: Sequence[object] | Mapping[str, object]) -> Finding:
    repair = f"{_DOCTOR} corrects the row from the log"
    return Finding("run_differs", what, info.id, repair=repair).repaired_by(statement, values)


def _check_messages(connection: sqlite3.Connection) -> Iterator[Finding]:
    for row, key, message_key, kind, payload, recorded, run_id in connection.execute(DOCTOR_SQL["messages"]):
        if kind in _KINDS and sum_of(message_place(key, kind, message_key), payload) == recorded:
            continue
        message = f"the {kind} {message_key!r} (message {row}) was changed since it was written"
        repair = f"{_DOCTOR} drops it, so that the run can continue; send it again"
        yield Finding("message_damaged", message, run_id, repair=repair).repaired_by(DOCTOR_SQL["drop_message"], (row,))


def _check_graph_specs(connection: sqlite3.Connection) -> Iterator[Finding]:
    for row, fingerprint, body, recorded in connection.execute(DOCTOR_SQL["graph_specs"]):
        if sum_of(fingerprint, body) != recorded:
            message = f"the graph spec of graph {fingerprint} was changed since it was written"
            repair = f"{_DOCTOR} drops it; the next run of that graph records it again"
            found = Finding("graph_spec_damaged", message, repair=repair)
            yield found.repaired_by(DOCTOR_SQL["drop_graph_spec"], (row,))


def _check_codes(connection: sqlite3.Connection) -> Iterator[Finding]:
    for row, code, body, recorded in connection.execute(DOCTOR_SQL["codes"]):
        if sum_of(code, body) != recorded:
            message = f"the record of the code {code} was changed since it was written"
            repair = f"{_DOCTOR} drops it; runs that began under it count as begun under changed code"
            yield Finding("code_damaged", message, repair=repair).repaired_by(DOCTOR_SQL["drop_code"], (row,))


def _check_texts(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Yield findings about long texts that were changed, and about steps whose use of a text is not recorded.

    Without the record, the removal of other runs could delete a text that is still needed.
    """
    for key, digest, body in connection.execute(DOCTOR_SQL["texts"]):
        if digest_of(body) != digest:
            message = f"text {key} was changed since it was written: the steps that hold it cannot be read"
            yield Finding("text_damaged", message, repair=BACKUP)
    for row, listed in connection.execute(DOCTOR_SQL["texts_held"]):
        for key in sorted(keys_in(listed)):
            if not connection.execute(DOCTOR_SQL["has_text_use"], (key, row)).fetchone()[0]:
                what, repair = f"the use of text {key} by row {row} is not recorded", f"{_DOCTOR} records this use"
                yield Finding("text_use", what, repair=repair).repaired_by(SQL["use_text"], (key, row))


def _check_strays(connection: sqlite3.Connection) -> Iterator[Finding]:
    for table, condition in STRAYS.items():
        (count,) = connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()  # noqa: S608 - constants
        if count:
            what, repair = f"{count} rows of the table {table!r} are left over", f"{_DOCTOR} drops these rows"
            statement = f"DELETE FROM {table} WHERE {condition}"  # noqa: S608 - constants
            yield Finding("stray", what, repair=repair).repaired_by(statement)


def _check_counts(connection: sqlite3.Connection) -> Iterator[Finding]:
    (wrong,) = connection.execute(DOCTOR_SQL["wrong_counts"]).fetchone()
    if wrong:
        what, repair = f"{wrong} numbers of runs by graph and status are wrong", f"{_DOCTOR} counts them again"
        yield Finding("counts", what, repair=repair).repaired_by(DOCTOR_SQL["count_again"])
