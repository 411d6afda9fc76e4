"""Opening a database for checks, and running all checks one after the other."""

from __future__ import annotations

import sqlite3
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from graphengine.stores.sqlite.definitions import harden
from graphengine.stores.sqlite.doctor import checks, logs
from graphengine.stores.sqlite.files import FileState, file_state, uri_to_read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphengine.stores.findings import Finding, Progress
    from graphengine.stores.sqlite.doctor.checks import Check
    from graphengine.stores.sqlite.owners import LeaseOptions


BUSY_TIMEOUT_SECONDS: Final = 10.0
"""How long to wait for another program's lock."""


class _InspectionConnection(sqlite3.Connection):
    """A connection to a possibly damaged file, on which SQLite's errors can quote invalid UTF-8."""

    def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:  # noqa: ANN401 - any value that SQLite accepts
        """Execute a statement.

        Raises:
            sqlite3.DatabaseError: The statement failed, also if SQLite's message is not UTF-8.
        """
        try:
            return super().execute(sql, *parameters)
        except UnicodeDecodeError as error:
            message = f"malformed: SQLite's error message is not UTF-8 ({error.reason})"
            raise sqlite3.DatabaseError(message) from error


def open_for_inspection(path: Path, state: FileState | None = None) -> sqlite3.Connection:
    """Return a read-only connection that creates no files; it replaces invalid UTF-8 in texts."""
    path = path.absolute()
    uri = uri_to_read(path, state or file_state(path))
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS, factory=_InspectionConnection
    )
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    harden(connection)
    return connection


def all_findings(
    connection: sqlite3.Connection,
    counted: logs.Counted,
    options: LeaseOptions,
    *,
    quick: bool,
    progress: Progress | None = None,
) -> Iterator[Finding]:
    """Yield all findings inside a database, check by check."""
    report = progress or (lambda _what, _done, _total: None)
    report("pages", 0, 0)
    yield from checks.guarded(partial(checks.pages, quick=quick), connection, "the check of pages")
    yield from checks.guarded(checks.schema, connection, "the schema")
    yield from checks.mark(connection)
    total = _total_runs(connection)
    count = lambda: report("runs", counted.runs, total)  # noqa: E731
    check_runs = partial(logs.runs, counted=counted, report=count, quick=quick)
    yield from checks.guarded(check_runs, connection, checks.NAMES["runs"])
    report("the rest", 0, 0)
    rest: dict[str, Check] = {
        "rows without a run": checks.strays,
        checks.NAMES["inbox"]: checks.messages,
        checks.NAMES["outlines"]: checks.outlines,
        checks.NAMES["texts"]: checks.texts,
        "the owners": partial(checks.owners, options=options),
    }
    yield from chain.from_iterable(checks.guarded(check, connection, what) for what, check in rest.items())


def _total_runs(connection: sqlite3.Connection) -> int:
    try:
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
    except sqlite3.DatabaseError:
        return 0
