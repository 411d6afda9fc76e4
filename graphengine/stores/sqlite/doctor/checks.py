"""The checks of a database as a whole: pages, schema, rows of no run, outlines, owners. Each gives findings.

`logs.py` has those of one run after the other. Every check goes on where another met damage, and each run is read in a
transaction of its own, so that a check of hours holds nobody up.
"""

from __future__ import annotations

import re
import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from graphengine.engine.steps import decode_step, fingerprint_of
from graphengine.stores.sqlite import definitions
from graphengine.stores.sqlite.checksums import message_place, sum_of
from graphengine.stores.sqlite.doctor.findings import Finding
from graphengine.stores.sqlite.faults import shows_damage
from graphengine.stores.sqlite.files import APPLICATION_ID, VERSION, log_of, migrate
from graphengine.stores.sqlite.owners import Owner, lock_shows_death
from graphengine.stores.sqlite.queries import DOCTOR_SQL, SQL
from graphengine.stores.sqlite.reads import KEY_BITS, SEQ_MASK, told_by
from graphengine.stores.sqlite.torn import commits_behind_damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graphengine.stores.sqlite.owners import LeaseOptions

Check: TypeAlias = "Callable[[sqlite3.Connection], Iterator[Finding]]"

MOST_FINDINGS: Final = 10_000
"""More than a person reads; what is left out is counted, and found by the next look."""

_MOST_TROUBLES: Final = 100
NONSENSE: Final = (sqlite3.Error, TypeError, ValueError, KeyError, OverflowError)
"""What reading a damaged database ends with: a page may give rows of any shape, or fewer than there were."""

_INDEX: Final = re.compile("missing from index|wrong # of entries in index|non-unique entry in index")
_MENDS: Final = "`graphengine doctor --repair`"
_SALVAGES: Final = f"{_MENDS} saves every row that can be read into a new file"

_KINDS_OF_SCHEMA: Final = frozenset({"table", "index", "view", "trigger"})
_KINDS: Final = frozenset({"answer", "message", "stop"})

NAMES: Final = {
    "runs": "the list of runs",
    "steps": "the steps",
    "snapshots": "the snapshots",
    "inbox": "the messages",
    "outlines": "the outlines",
}


def guarded(check: Check, connection: sqlite3.Connection, what: str) -> Iterator[Finding]:
    """The findings of a check; where it meets damage that keeps it from going on, that is one too.

    Raises:
        sqlite3.Error: It met a lock or a full disk, which tell nothing of what is in the file.
    """
    try:
        yield from check(connection)
    except NONSENSE as error:
        if not shows_damage(error):
            raise
        yield Finding("page", f"{what}: {type(error).__name__}: {error}", repair=_SALVAGES, repairable=True)


def pages(connection: sqlite3.Connection, *, quick: bool) -> Iterator[Finding]:
    """What SQLite itself finds wrong with pages, rows and indexes."""
    pragma = "quick_check" if quick else "integrity_check"
    for (text,) in connection.execute(f"PRAGMA {pragma}({_MOST_TROUBLES})"):
        if text == "ok":
            continue
        is_index = bool(_INDEX.search(text))
        code, repair = ("index", f"{_MENDS} makes the indexes anew") if is_index else ("page", _SALVAGES)
        yield Finding(code, " ".join(text.split())[:500], repair=repair, repairable=True)


def _statements(version: int) -> dict[str, str]:
    """The statements that a database of a version is declared with, by name."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, Path(":memory:"), version)
        return {row[1]: row[3] for row in connection.execute(DOCTOR_SQL["schema"])}


def schema(connection: sqlite3.Connection, version: int = VERSION) -> Iterator[Finding]:
    """What is declared in the database and not by us, and what of ours is missing or changed."""
    found, expected = definitions.definitions(connection), definitions.expected_of(version)
    tables = {name for kind, name in expected if kind == "table"}
    for (kind, name), (table, sql) in found.items():
        is_internal = name.startswith("sqlite_") and kind in ("index", "table")
        if expected.get((kind, name)) == (table, sql) or is_internal:
            continue
        if (kind, name) in expected or kind not in _KINDS_OF_SCHEMA:  # a damaged row says what cannot be
            message = f"{kind} {name} is not declared as this version declares it"
            yield Finding("schema", message, repair=_SALVAGES, repairable=True, row=name, values={"type": "changed"})
        elif definitions.is_harmless(kind, name, table, sql, tables):
            message = f"a {kind} {name} that is not ours; nothing here touches it"
            yield Finding("schema_more", message, repair="drop it if nobody needs it", note=True)
        else:
            message = f"a {kind} {name} that is not ours; it may change what is recorded or read"
            repair = f"{_MENDS} drops it"
            yield Finding("schema", message, repair=repair, repairable=True, row=name, values={"type": kind})
    statements = _statements(version)
    for kind, name in expected.keys() - found.keys():
        statement = statements[name]
        message = f"the {kind} {name} is missing"
        facts = {"type": "missing" if kind != "table" else "changed", "sql": statement}
        yield Finding("schema", message, repair=f"{_MENDS} makes it", repairable=True, row=name, values=facts)


def mark(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Whether the file says that it is ours and which version it has."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) != (APPLICATION_ID, VERSION):
        message = (
            f"the file's mark is {application:#x} and its version {version}, not {APPLICATION_ID:#x} and {VERSION}"
        )
        yield Finding("mark", message, repair=f"{_MENDS} sets them", repairable=True)


def strays(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Rows that belong to no run."""
    for key in _logs_without_row(connection):
        yield _log_without_row(connection, key)
    (removed,) = connection.execute(DOCTOR_SQL["trash"]).fetchone()
    if removed:
        message = f"{removed} removed runs whose steps are still to go"
        yield Finding("unfinished_removal", message, repair="`graphengine prune` finishes it", note=True)
    for key, run_id in connection.execute(DOCTOR_SQL["trash_with_row"]):
        told = "it is listed as removed, and it is there"
        yield Finding("trash_of_a_run", told, run_id, repair=f"{_MENDS} takes it off", repairable=True, row=key)
    for (row,) in connection.execute(DOCTOR_SQL["snapshots_without_row"]):
        message = f"a snapshot of no run (row {row})"
        yield Finding("snapshot_of_no_run", message, repair=f"{_MENDS} drops it", repairable=True, row=row)
    for tag, run in connection.execute(DOCTOR_SQL["tags_without_run"]):
        message = f"the tag {tag!r} of no run (key {run})"
        repair = f"{_MENDS} drops it"
        yield Finding("tag_of_no_run", message, repair=repair, repairable=True, row=run, values={"tag": tag})
    for (run,) in connection.execute(DOCTOR_SQL["earlier_outlines_without_run"]):
        message = f"earlier graphs of no run (key {run})"
        yield Finding("earlier_outline_of_no_run", message, repair=f"{_MENDS} drops them", repairable=True, row=run)


def _logs_without_row(connection: sqlite3.Connection) -> Iterator[int]:
    last = -(1 << 31)
    while found := connection.execute(DOCTOR_SQL["next_log"], ((last + 1) << KEY_BITS,)).fetchone():
        key, has_row, is_trash = found
        if key <= last:  # in a damaged table what comes next may be what was before
            return
        if not has_row and not is_trash:
            yield key
        last = key


def key_of(connection: sqlite3.Connection, run_id: str) -> int | None:
    """The key of a run; by reading the whole table where the index of ids does not lead to it."""
    for statement in ("key_of_run", "key_by_scan"):
        for (key,) in connection.execute(DOCTOR_SQL[statement], (run_id,)).fetchall():
            if connection.execute(SQL["id_of"], (key,)).fetchone() == (run_id,):
                return int(key)
    return None


def _log_without_row(connection: sqlite3.Connection, key: int) -> Finding:
    """A log that no run's row belongs to: its first step tells the row, if that can be read."""
    what = f"steps of no run (key {key})"
    bounds = key << KEY_BITS, (key + 1) << KEY_BITS
    row, at, body, recorded = connection.execute(DOCTOR_SQL["first_of_log"], bounds).fetchone()
    seq = row & SEQ_MASK
    if recorded is None or sum_of(row, body) == recorded:
        try:
            step = decode_step(seq, body)
            says = told_by(step)
            run_id, fingerprint = says["run_id"], fingerprint_of(step)
        except (ValueError, KeyError, TypeError):
            run_id = None
        else:
            parent = says["parent"]
            parent_key = None if parent is None else key_of(connection, str(parent))
            if (parent is None) == (parent_key is None) == (seq == 1):
                graph = says.get("graph") or connection.execute(DOCTOR_SQL["graph_of"], (parent_key,)).fetchone()[0]
                values = {"id": run_id, "graph": graph, "fingerprint": fingerprint, "created_at": at}
                values |= {"parent": parent_key, "parent_seq": seq - 1}
                repair = f"{_MENDS} makes the run's row from its log"
                message = f"{what}: its row is missing; the log is that of run {run_id}"
                return Finding("run_lost", message, str(run_id), seq, repair, repairable=True, row=key, values=values)
    repair = "its first step is lost, so nobody can tell which run it is; restore a backup"
    return Finding("steps_of_no_run", what, seq=seq, repair=repair, row=key)


def messages(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Messages that cannot be read, or whose run is not there."""
    for row, key, message_key, kind, payload, recorded, run_id in connection.execute(DOCTOR_SQL["messages"]):
        if run_id is None:
            told = f"a message of no run (row {row})"
            yield Finding("message_of_no_run", told, repair=f"{_MENDS} drops it", repairable=True, row=row)
        elif kind not in _KINDS or (
            recorded is not None and sum_of(message_place(key, kind, message_key), payload) != recorded
        ):
            told = f"the {kind} {message_key!r} (message {row}) was changed since it was written"
            repair = f"{_MENDS} drops it, so that the run can go on; send it again"
            yield Finding("message_damaged", told, run_id, repair=repair, repairable=True, row=row)


def outlines(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Outlines that cannot be read, are missing or of no use."""
    for row, fingerprint, body, recorded in connection.execute(DOCTOR_SQL["outlines"]):
        if recorded is not None and sum_of(fingerprint, body) != recorded:
            told = f"the outline of graph {fingerprint} was changed since it was written"
            repair = f"{_MENDS} drops it; the next run of that graph records it again"
            yield Finding("outline_damaged", told, repair=repair, repairable=True, row=row)
    for fingerprint, count in connection.execute(DOCTOR_SQL["missing_outlines"]):
        told = (
            f"no outline of graph {fingerprint}, which {count} runs have: they are not drawn without the graph's file"
        )
        yield Finding("outline_missing", told, repair="the next run of that graph records it again", note=True)
    (unused,) = connection.execute(DOCTOR_SQL["unused_outlines"]).fetchone()
    if unused:
        told = f"{unused} outlines that no run's newest graph has"
        yield Finding("outline_unused", told, repair="nothing needs to be done", note=True)


def owners(connection: sqlite3.Connection, options: LeaseOptions) -> Iterator[Finding]:
    """What processes that died left behind. That is nobody's fault: whoever goes on with their runs clears it away."""
    rows = [Owner(*row) for row in connection.execute(DOCTOR_SQL["owners"])]
    for owner in rows:
        if not is_alive(owner, options):
            (count,) = connection.execute(DOCTOR_SQL["driven_by"], (owner.id,)).fetchone()
            told = f"{owner} died; {count} {'run is' if count == 1 else 'runs are'} still held for it"
            repair = f"resuming a run takes it over; {_MENDS} clears the owner away"
            yield Finding("dead_owner", told, repair=repair, repairable=True, note=True, row=owner.id)
    for driver, count in connection.execute(DOCTOR_SQL["drivers_without_owner"]):
        told = f"{count} runs are held for owner {driver}, which is not there any more"
        repair = f"resuming a run takes it over; {_MENDS} lets them go"
        yield Finding("driver_without_owner", told, repair=repair, repairable=True, note=True, row=driver)
    known = {owner.lock_file for owner in rows}
    for name in sorted(lock_files(options)):
        if name not in known and lock_shows_death(Owner(name[: -len(".lock")], host(), 0, name, 0.0), options.folder):
            told = f"the lock file {name} of no owner"
            yield Finding("stray_lock", told, repair=f"{_MENDS} removes it", repairable=True, note=True, row=name)


def is_alive(owner: Owner, options: LeaseOptions) -> bool:
    """Whether an owner may still write."""
    return owner.expires_at > options.clock() and not lock_shows_death(owner, options.folder)


def lock_files(options: LeaseOptions) -> set[str]:
    """The names of the owners' lock files."""
    folder = options.folder
    return {path.name for path in folder.glob("*.lock")} if folder.is_dir() else set()


def host() -> str:
    """This host's name, as owners record it."""
    return socket.gethostname()


def file_itself(path: Path) -> Iterator[Finding]:
    """Whether others may read the file, and what lies beside it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        told = f"the file has mode {mode:04o}: others than its user may read or write it"
        yield Finding("mode", told, repair=f"{_MENDS} sets 0600", repairable=True)
    log = log_of(path)
    damage = commits_behind_damage(path)
    if damage:
        yield Finding("log_damaged", f"{log.name} {damage}", repair=_SALVAGES, repairable=True)
    if log.exists() and log.stat().st_size:
        told = f"{log.name} ({log.stat().st_size} bytes) holds steps that are not yet in {path.name} itself"
        repair = f'it belongs to the database: to copy that, use `sqlite3 {path.name} ".backup COPY"`, not cp'
        yield Finding("log_beside", told, repair=repair, note=True)
