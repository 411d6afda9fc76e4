"""Opening a database to look at it, and every check of it, one after the other."""

from __future__ import annotations

import sqlite3
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from graphengine.stores.sqlite.definitions import harden
from graphengine.stores.sqlite.doctor import checks, logs
from graphengine.stores.sqlite.files import Look, look_at, uri_to_read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphengine.stores.sqlite.doctor.checks import Check
    from graphengine.stores.sqlite.doctor.findings import Finding, Progress
    from graphengine.stores.sqlite.owners import LeaseOptions


BUSY_TIMEOUT_SECONDS: Final = 10.0
"""How long to wait for another program's lock."""


class _Looking(sqlite3.Connection):
    """A connection to a file that may be damaged: an error of SQLite's that quotes what is no UTF-8 is one as any."""

    def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:  # noqa: ANN401 - whatever SQLite takes
        """Do as every connection does.

        Raises:
            sqlite3.DatabaseError: It cannot be done, in whatever words.
        """
        try:
            return super().execute(sql, *parameters)
        except UnicodeDecodeError as error:
            message = f"malformed, as an error says whose text is no UTF-8 ({error.reason})"
            raise sqlite3.DatabaseError(message) from error


def opened_to_look(path: Path, look: Look | None = None) -> sqlite3.Connection:
    """A connection that only reads and leaves nothing beside the file; texts are given as far as they can be read."""
    path = path.absolute()
    uri = uri_to_read(path, look or look_at(path))
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS, factory=_Looking)
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
    """Everything that is wrong inside a database, check by check."""
    tell = progress or (lambda _what, _done, _total: None)
    tell("pages", 0, 0)
    yield from checks.guarded(partial(checks.pages, quick=quick), connection, "the check of pages")
    yield from checks.guarded(checks.schema, connection, "the schema")
    yield from checks.mark(connection)
    total = _total_runs(connection)
    count = lambda: tell("runs", counted.runs, total)  # noqa: E731
    looking = partial(logs.runs, counted=counted, tell=count, quick=quick)
    yield from checks.guarded(looking, connection, checks.NAMES["runs"])
    tell("the rest", 0, 0)
    rest: dict[str, Check] = {
        "rows of no run": checks.strays,
        checks.NAMES["inbox"]: checks.messages,
        checks.NAMES["outlines"]: checks.outlines,
        "the owners": partial(checks.owners, options=options),
    }
    yield from chain.from_iterable(checks.guarded(check, connection, what) for what, check in rest.items())


def _total_runs(connection: sqlite3.Connection) -> int:
    try:
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
    except sqlite3.DatabaseError:
        return 0
