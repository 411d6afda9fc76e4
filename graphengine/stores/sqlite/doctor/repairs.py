"""Repairing rows according to the findings, in one transaction per pass, until a pass finds nothing to repair.

One repair can reveal the next, such as a missing run's row that is restored and then found out of date, so there are
several passes. No repair deletes a step.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from graphengine.stores.sqlite.doctor import checks, logs
from graphengine.stores.sqlite.doctor.inspection import all_findings
from graphengine.stores.sqlite.files import APPLICATION_ID
from graphengine.stores.sqlite.owners import lock_files, lock_shows_death, owner_of
from graphengine.stores.sqlite.queries import DOCTOR_SQL, SQL, latest_format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graphengine.stores.findings import Finding, Progress
    from graphengine.stores.sqlite.owners import LeaseOptions

_PASSES: Final = 8
_DROPPED: Final = {"index": "INDEX", "view": "VIEW", "trigger": "TRIGGER"}
_DONE: Final = {
    "index": "rebuilt the indexes",
    "schema": "repaired the schema",
    "mark": "set the file's mark and version",
    "run_differs": "corrected rows of runs from their logs",
    "summary_differs": "rewrote summaries of runs from their logs",
    "run_lost": "restored rows of runs from their logs",
    "step_time": "corrected the times in rows of steps",
    "snapshot_damaged": "dropped damaged snapshots",
    "snapshot_differs": "dropped snapshots that their logs contradict",
    "snapshot_stray": "dropped snapshots outside their logs",
    "snapshot_of_no_run": "dropped snapshots without a run",
    "message_damaged": "dropped messages that cannot be read",
    "message_of_no_run": "dropped messages without a run",
    "tag_of_no_run": "dropped tags without a run",
    "earlier_outline_of_no_run": "dropped references to earlier graphs without a run",
    "trash_of_a_run": "took existing runs off the list of removed runs",
    "outline_damaged": "dropped damaged outlines",
    "text_use_missing": "recorded which steps hold long texts",
    "text_use_of_no_row": "dropped uses of long texts by rows that do not hold them",
    "text_unused": "dropped unused long texts",
    "dead_owner": "removed dead owners",
    "driver_without_owner": "released runs held for unknown owners",
}


def needs_new_file(finding: Finding) -> bool:
    """Return whether a finding can only be repaired in a new file."""
    return finding.code in ("page", "log_damaged") or (
        finding.code == "schema" and finding.values.get("type") == "changed"
    )


def repair_rows(connection: sqlite3.Connection, options: LeaseOptions, progress: Progress | None = None) -> list[str]:
    """Repair all findings that concern rows. Return what was done, in words. No other process may write meanwhile.

    Raises:
        sqlite3.DatabaseError: Pages are damaged.
    """
    done: Counter[str] = Counter()
    seen: set[tuple[str, str, int | str]] = set()
    for _ in range(_PASSES):
        found = [finding for finding in _repairable(connection, options, progress) if _identity(finding) not in seen]
        if any(finding.code == "schema" for finding in found):  # first: a trigger could undo other repairs
            found = [finding for finding in found if finding.code == "schema"]
        if any(finding.code == "run_lost" for finding in found):  # rows without a run can belong to that run
            found = [finding for finding in found if not finding.code.endswith("_of_no_run")]
        if not found:
            break
        seen.update(map(_identity, found))
        _apply(connection, found, options)
        done.update(finding.code for finding in found)
    return [f"{_DONE[code]} ({count})" for code, count in done.items() if code in _DONE]


def repair_schema(connection: sqlite3.Connection, version: int, options: LeaseOptions) -> None:
    """Drop triggers and similar from a database of an older version, before its migrations change rows.

    Raises:
        sqlite3.DatabaseError: A table differs from that version's declaration.
    """
    found = [each for each in checks.schema(connection, version) if each.repairable]
    _apply(connection, _refuse_damaged_pages(found), options)


def _apply(connection: sqlite3.Connection, found: Sequence[Finding], options: LeaseOptions) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if any(finding.code == "index" for finding in found):
            connection.execute("REINDEX")
        for finding in found:
            _REPAIRS.get(finding.code, _nothing)(connection, finding, options)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _identity(finding: Finding) -> tuple[str, str, int | str]:
    return finding.code, finding.what, finding.row


def _repairable(connection: sqlite3.Connection, options: LeaseOptions, progress: Progress | None) -> Sequence[Finding]:
    found: list[Finding] = []
    for finding in all_findings(connection, logs.Counted(), options, quick=False, progress=progress):
        if finding.repairable and len(found) < checks.MOST_FINDINGS:
            found.append(finding)
    return _refuse_damaged_pages(found)


def _refuse_damaged_pages(found: Sequence[Finding]) -> Sequence[Finding]:
    for finding in found:
        if needs_new_file(finding):
            raise sqlite3.DatabaseError(finding.what)
    return found


def _nothing(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
    """Do nothing: the finding is repaired elsewhere."""


def _drop(statement: str) -> Callable[[sqlite3.Connection, Finding, LeaseOptions], None]:
    def drop(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
        del options
        connection.execute(statement, (finding.row,))

    return drop


def _repair_schema(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
    del options
    kind = finding.values["type"]
    if kind == "missing":
        if finding.values["sql"]:
            statement = finding.values["sql"]  # from the migrations
            connection.execute(statement)
    elif kind in _DROPPED:
        name = str(finding.row).replace('"', '""')
        connection.execute(f'DROP {_DROPPED[kind]} "{name}"')


def _set_mark(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
    del finding, options
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {latest_format()}")


def _set_step_time(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
    del options
    connection.execute(DOCTOR_SQL["set_step_time"], (finding.values["at"], finding.row))


def _correct_run(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
    del options
    right = finding.values
    wanted_at = right["wanted_at"]
    if right["status"] == "waiting" and wanted_at is not None:
        (wanted_at,) = connection.execute(DOCTOR_SQL["first_message"], (finding.row,)).fetchone() or (wanted_at,)
    names = ("id", "graph", "fingerprint", "status", "created_at", "parent", "parent_seq", "fence", "due_at")
    connection.execute(DOCTOR_SQL["set_run"], (*(right[name] for name in names), wanted_at, finding.row))


def _write_summary(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
    del options
    connection.execute(DOCTOR_SQL["set_summary"], (finding.values["summary"], finding.row))


def _restore_run(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
    values = finding.values
    connection.execute(DOCTOR_SQL["drop_run_without_steps"], (values["id"],))
    names = ("id", "graph", "fingerprint", "created_at", "parent", "parent_seq")
    with suppress(sqlite3.IntegrityError):  # another run with steps has that id: only a person can decide
        connection.execute(DOCTOR_SQL["restore_run"], (finding.row, *(values[name] for name in names), options.clock()))


def _drop_tag(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
    del options
    connection.execute(DOCTOR_SQL["drop_tag"], (finding.row, finding.values["tag"]))


def _use_text(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
    del options
    connection.execute(SQL["use_text"], (finding.values["text"], finding.row))


def _drop_text_use(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
    del options
    connection.execute(SQL["drop_text_use"], (finding.values["text"], finding.row))


def _remove_owner(connection: sqlite3.Connection, finding: Finding, options: LeaseOptions) -> None:
    connection.execute(SQL["release_all"], (options.clock(), finding.row))
    connection.execute(SQL["drop_owner"], (finding.row,))


_REPAIRS: Final[dict[str, Callable[[sqlite3.Connection, Finding, LeaseOptions], None]]] = {
    "schema": _repair_schema,
    "mark": _set_mark,
    "run_differs": _correct_run,
    "summary_differs": _write_summary,
    "run_lost": _restore_run,
    "step_time": _set_step_time,
    "snapshot_damaged": _drop(DOCTOR_SQL["drop_snapshot"]),
    "snapshot_differs": _drop(DOCTOR_SQL["drop_snapshot"]),
    "snapshot_stray": _drop(DOCTOR_SQL["drop_snapshot"]),
    "snapshot_of_no_run": _drop(DOCTOR_SQL["drop_snapshot"]),
    "message_damaged": _drop(DOCTOR_SQL["drop_message"]),
    "message_of_no_run": _drop(DOCTOR_SQL["drop_message"]),
    "tag_of_no_run": _drop_tag,
    "earlier_outline_of_no_run": _drop(SQL["drop_earlier_outlines"]),
    "trash_of_a_run": _drop(SQL["swept"]),
    "outline_damaged": _drop(DOCTOR_SQL["drop_outline"]),
    "text_use_missing": _use_text,
    "text_use_of_no_row": _drop_text_use,
    "text_unused": _drop(SQL["drop_unused_text"]),
    "dead_owner": _remove_owner,
    "driver_without_owner": _remove_owner,
}


def remove_lock_files(options: LeaseOptions) -> list[str]:
    """Remove the lock files of dead owners; a process may have opened the database since the repair."""
    names = [name for name in lock_files(options.folder) if lock_shows_death(owner_of(name), options.folder)]
    for name in names:
        with suppress(OSError):
            (options.folder / name).unlink()
    with suppress(OSError):
        options.folder.rmdir()
    return [f"removed lock files of dead owners ({len(names)})"] if names else []


def set_mode(path: Path) -> bool:
    """Restrict the file to its owner. Return whether the mode changed."""
    if not path.stat().st_mode & 0o077:
        return False
    path.chmod(0o600)
    return True
