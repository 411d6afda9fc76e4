"""The checks of a database as a whole: pages, schema, rows without a run, outlines, owners. Each yields findings.

`logs.py` has the checks of single runs. A check runs even if another one met damage, and each run is read in its own
transaction, so that a check of hours blocks no other process.
"""

from __future__ import annotations

import re
import sqlite3
import stat
from typing import TYPE_CHECKING, Final, TypeAlias

from graphengine.engine.step_json import decode_step
from graphengine.engine.steps import fingerprint_of
from graphengine.stores.checksums import message_place, sum_of
from graphengine.stores.findings import Finding
from graphengine.stores.sqlite import definitions
from graphengine.stores.sqlite.faults import shows_damage
from graphengine.stores.sqlite.files import APPLICATION_ID, bytes_of_log, log_of
from graphengine.stores.sqlite.owners import Owner, lock_files, lock_shows_death, owner_of
from graphengine.stores.sqlite.queries import DOCTOR_SQL, SQL, latest_format
from graphengine.stores.sqlite.reads import KEY_BITS, SEQ_MASK, recorded_facts
from graphengine.stores.sqlite.texts import Texts, digest_of, keys_in
from graphengine.stores.sqlite.torn import describe_damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from graphengine.stores.sqlite.owners import LeaseOptions

Check: TypeAlias = "Callable[[sqlite3.Connection], Iterator[Finding]]"

MOST_FINDINGS: Final = 10_000
"""More than a person reads; the rest is counted, and found by the next check."""

_MOST_MESSAGES: Final = 100
NONSENSE: Final = (sqlite3.Error, TypeError, ValueError, KeyError, OverflowError)
"""Exceptions from reading a damaged database: a page can yield rows of any shape, or too few."""

_INDEX: Final = re.compile("missing from index|wrong # of entries in index|non-unique entry in index")
_DOCTOR: Final = "`graphengine doctor --repair`"
_SALVAGES: Final = f"{_DOCTOR} saves every row that can be read into a new file"

_KINDS_OF_SCHEMA: Final = frozenset({"table", "index", "view", "trigger"})
_KINDS: Final = frozenset({"answer", "message", "stop"})

NAMES: Final = {
    "runs": "the list of runs",
    "steps": "the steps",
    "snapshots": "the snapshots",
    "inbox": "the messages",
    "outlines": "the outlines",
    "texts": "the long texts",
}


def guarded(check: Check, connection: sqlite3.Connection, what: str) -> Iterator[Finding]:
    """Yield the findings of a check, and one more if damage prevents it from continuing.

    Raises:
        sqlite3.Error: It met a lock or a full disk, which say nothing about the content of the file.
    """
    try:
        yield from check(connection)
    except NONSENSE as error:
        if not shows_damage(error):
            raise
        yield Finding("page", f"{what}: {type(error).__name__}: {error}", repair=_SALVAGES, repairable=True)


def pages(connection: sqlite3.Connection, *, quick: bool) -> Iterator[Finding]:
    """Yield what SQLite's own check finds wrong with pages, rows and indexes."""
    pragma = "quick_check" if quick else "integrity_check"
    for (text,) in connection.execute(f"PRAGMA {pragma}({_MOST_MESSAGES})"):
        if text == "ok":
            continue
        is_index = bool(_INDEX.search(text))
        code, repair = ("index", f"{_DOCTOR} rebuilds the indexes") if is_index else ("page", _SALVAGES)
        yield Finding(code, " ".join(text.split())[:500], repair=repair, repairable=True)


def schema(connection: sqlite3.Connection, version: int | None = None) -> Iterator[Finding]:
    """Yield definitions that are not graphengine's, and those of a format, the latest if not given, that differ."""
    version = latest_format() if version is None else version
    found, expected = definitions.definitions(connection), definitions.expected_of(version)
    tables = {name for kind, name in expected if kind == "table"}
    for (kind, name), (table, sql) in found.items():
        is_internal = name.startswith("sqlite_") and kind in ("index", "table")
        if expected.get((kind, name)) == (table, sql) or is_internal:
            continue
        if (kind, name) in expected or kind not in _KINDS_OF_SCHEMA:  # a damaged row can have an impossible kind
            message = f"{kind} {name} is not declared as this version declares it"
            yield Finding("schema", message, repair=_SALVAGES, repairable=True, row=name, values={"type": "changed"})
        elif definitions.is_harmless(kind, name, table, sql, tables):
            message = f"the {kind} {name} is not graphengine's; nothing uses it"
            yield Finding("schema_more", message, repair="drop it if it is not needed", note=True)
        else:
            message = f"the {kind} {name} is not graphengine's; it can change what is recorded or read"
            repair = f"{_DOCTOR} drops it"
            yield Finding("schema", message, repair=repair, repairable=True, row=name, values={"type": kind})
    for kind, name in expected.keys() - found.keys():
        statement = definitions.schema_of(version)[name]
        message = f"the {kind} {name} is missing"
        facts = {"type": "missing" if kind != "table" else "changed", "sql": statement}
        yield Finding("schema", message, repair=f"{_DOCTOR} creates it", repairable=True, row=name, values=facts)


def mark(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Yield a finding if the file's mark or version is wrong."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) != (APPLICATION_ID, latest_format()):
        message = (
            f"the file's mark is {application:#x} and its version {version}, "
            f"not {APPLICATION_ID:#x} and {latest_format()}"
        )
        yield Finding("mark", message, repair=f"{_DOCTOR} sets them", repairable=True)


def strays(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Yield rows that belong to no run."""
    for key in _logs_without_row(connection):
        yield _log_without_row(connection, key)
    (removed,) = connection.execute(DOCTOR_SQL["trash"]).fetchone()
    if removed:
        message = f"{removed} removed runs whose steps are not deleted yet"
        yield Finding("unfinished_removal", message, repair="`graphengine prune` finishes it", note=True)
    for key, run_id in connection.execute(DOCTOR_SQL["trash_with_row"]):
        message = "it is listed as removed, and it exists"
        repair = f"{_DOCTOR} takes it off that list"
        yield Finding("trash_of_a_run", message, run_id, repair=repair, repairable=True, row=key)
    for (row,) in connection.execute(DOCTOR_SQL["snapshots_without_row"]):
        message = f"a snapshot without a run (row {row})"
        yield Finding("snapshot_of_no_run", message, repair=f"{_DOCTOR} drops it", repairable=True, row=row)
    for tag, run in connection.execute(DOCTOR_SQL["tags_without_run"]):
        message = f"the tag {tag!r} without a run (key {run})"
        repair = f"{_DOCTOR} drops it"
        yield Finding("tag_of_no_run", message, repair=repair, repairable=True, row=run, values={"tag": tag})
    for (run,) in connection.execute(DOCTOR_SQL["earlier_outlines_without_run"]):
        message = f"earlier graphs without a run (key {run})"
        yield Finding("earlier_outline_of_no_run", message, repair=f"{_DOCTOR} drops them", repairable=True, row=run)


def _logs_without_row(connection: sqlite3.Connection) -> Iterator[int]:
    last = -(1 << 31)
    while found := connection.execute(DOCTOR_SQL["next_log"], ((last + 1) << KEY_BITS,)).fetchone():
        key, has_row, is_trash = found
        if key <= last:  # in a damaged table the next row can be an earlier one again
            return
        if not has_row and not is_trash:
            yield key
        last = key


def key_of(connection: sqlite3.Connection, run_id: str) -> int | None:
    """Return the key of a run; read the whole table if the index of ids does not lead to it."""
    for statement in ("key_of_run", "key_by_scan"):
        for (key,) in connection.execute(DOCTOR_SQL[statement], (run_id,)).fetchall():
            if connection.execute(SQL["id_of"], (key,)).fetchone() == (run_id,):
                return int(key)
    return None


def _log_without_row(connection: sqlite3.Connection, key: int) -> Finding:
    """Return the finding for a log without a run's row; the row is derived from its first step if that is readable."""
    what = f"steps without a run (key {key})"
    bounds = key << KEY_BITS, (key + 1) << KEY_BITS
    row, at, body, recorded, listed = connection.execute(DOCTOR_SQL["first_of_log"], bounds).fetchone()
    seq = row & SEQ_MASK
    try:
        step = decode_step(seq, Texts(connection).whole(row, body, listed, recorded))
        facts = recorded_facts(step)
        run_id, fingerprint = facts["run_id"], fingerprint_of(step)
    except (ValueError, KeyError, TypeError):
        pass
    else:
        parent = facts["parent"]
        parent_key = None if parent is None else key_of(connection, str(parent))
        if (parent is None) == (parent_key is None) == (seq == 1):
            graph = facts.get("graph") or connection.execute(DOCTOR_SQL["graph_of"], (parent_key,)).fetchone()[0]
            values = {"id": run_id, "graph": graph, "fingerprint": fingerprint, "created_at": at}
            values |= {"parent": parent_key, "parent_seq": seq - 1}
            repair = f"{_DOCTOR} restores the run's row from its log"
            message = f"{what}: its row is missing; the log is that of run {run_id}"
            return Finding("run_lost", message, str(run_id), seq, repair, repairable=True, row=key, values=values)
    repair = "its first step is lost, so the run is unknown; restore a backup"
    return Finding("steps_of_no_run", what, seq=seq, repair=repair, row=key)


def messages(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Yield messages that cannot be read, or whose run does not exist."""
    for row, key, message_key, kind, payload, recorded, run_id in connection.execute(DOCTOR_SQL["messages"]):
        if run_id is None:
            message = f"a message without a run (row {row})"
            yield Finding("message_of_no_run", message, repair=f"{_DOCTOR} drops it", repairable=True, row=row)
        elif kind not in _KINDS or (sum_of(message_place(key, kind, message_key), payload) != recorded):
            message = f"the {kind} {message_key!r} (message {row}) was changed since it was written"
            repair = f"{_DOCTOR} drops it, so that the run can continue; send it again"
            yield Finding("message_damaged", message, run_id, repair=repair, repairable=True, row=row)


def outlines(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Yield outlines that cannot be read, are missing or unused."""
    for row, fingerprint, body, recorded in connection.execute(DOCTOR_SQL["outlines"]):
        if sum_of(fingerprint, body) != recorded:
            message = f"the outline of graph {fingerprint} was changed since it was written"
            repair = f"{_DOCTOR} drops it; the next run of that graph records it again"
            yield Finding("outline_damaged", message, repair=repair, repairable=True, row=row)
    for fingerprint, count in connection.execute(DOCTOR_SQL["missing_outlines"]):
        message = (
            f"the outline of graph {fingerprint} is missing; {count} runs have it: drawing them needs the graph's file"
        )
        yield Finding("outline_missing", message, repair="the next run of that graph records it again", note=True)
    (unused,) = connection.execute(DOCTOR_SQL["unused_outlines"]).fetchone()
    if unused:
        message = f"{unused} outlines are not of the current graph of any run"
        yield Finding("outline_unused", message, repair="no action is needed", note=True)


def texts(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Yield long texts that were changed or that no row holds, and uses that disagree with the rows."""
    for key, digest, body in connection.execute(DOCTOR_SQL["texts"]):
        if digest_of(body) != digest:
            message = f"text {key} was changed since it was written: the steps that hold it cannot be read"
            yield Finding("text_damaged", message, repair="restore a backup; other steps are not affected", row=key)
    for statement in ("texts_of_steps", "texts_of_snapshots"):
        for row, listed in connection.execute(DOCTOR_SQL[statement]):
            for key in sorted(keys_in(listed)):
                if not connection.execute(DOCTOR_SQL["has_text_use"], (key, row)).fetchone()[0]:
                    message = f"row {row} holds text {key}, which a prune of other runs could delete"
                    repair = f"{_DOCTOR} records the use"
                    values = {"text": key}
                    yield Finding("text_use_missing", message, repair=repair, repairable=True, row=row, values=values)
    for key, row in connection.execute(DOCTOR_SQL["uses_without_row"]):
        message = f"text {key} is kept for row {row}, which does not hold it"
        yield Finding(
            "text_use_of_no_row",
            message,
            repair=f"{_DOCTOR} drops the use",
            repairable=True,
            row=row,
            values={"text": key},
        )
    for (key,) in connection.execute(DOCTOR_SQL["unused_texts"]):
        message = f"text {key} is in no step or snapshot"
        yield Finding("text_unused", message, repair=f"{_DOCTOR} drops it", repairable=True, row=key)


def owners(connection: sqlite3.Connection, options: LeaseOptions) -> Iterator[Finding]:
    """Yield what dead processes left behind: notes, since resuming their runs cleans it up."""
    rows = [Owner(*row) for row in connection.execute(DOCTOR_SQL["owners"])]
    for owner in rows:
        if not is_alive(owner, options):
            (count,) = connection.execute(DOCTOR_SQL["driven_by"], (owner.id,)).fetchone()
            message = f"{owner} died; {count} {'run is' if count == 1 else 'runs are'} still held for it"
            repair = f"resuming a run takes it over; {_DOCTOR} removes the owner"
            yield Finding("dead_owner", message, repair=repair, repairable=True, note=True, row=owner.id)
    for driver, count in connection.execute(DOCTOR_SQL["drivers_without_owner"]):
        message = f"{count} runs are held for owner {driver}, which does not exist"
        repair = f"resuming a run takes it over; {_DOCTOR} releases them"
        yield Finding("driver_without_owner", message, repair=repair, repairable=True, note=True, row=driver)
    known = {owner.lock_file for owner in rows}
    for name in sorted(lock_files(options.folder)):
        if name not in known and lock_shows_death(owner_of(name), options.folder):
            message = f"the lock file {name} belongs to no owner"
            yield Finding("stray_lock", message, repair=f"{_DOCTOR} removes it", repairable=True, note=True, row=name)


def is_alive(owner: Owner, options: LeaseOptions) -> bool:
    """Return whether an owner can still write."""
    return owner.expires_at > options.clock() and not lock_shows_death(owner, options.folder)


def file_itself(path: Path) -> Iterator[Finding]:
    """Yield findings on the file's mode and on its write-ahead log."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        message = f"the file has mode {mode:04o}: other users can read or write it"
        yield Finding("mode", message, repair=f"{_DOCTOR} sets 0600", repairable=True)
    log = log_of(path)
    damage = describe_damage(path)
    if damage:
        yield Finding("log_damaged", f"{log.name} {damage}", repair=_SALVAGES, repairable=True)
    log_bytes = bytes_of_log(path)
    if log_bytes:
        message = f"{log.name} ({log_bytes} bytes) holds steps that are not yet in {path.name} itself"
        repair = f'it belongs to the database: to copy both, use `sqlite3 {path.name} ".backup COPY"`, not cp'
        yield Finding("log_beside", message, repair=repair, note=True)
