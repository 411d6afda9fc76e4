"""Every check of a database, one after the other."""

from __future__ import annotations

import sqlite3
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from graphengine.stores.sqlite.doctor import checks, logs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.stores.sqlite.doctor.checks import Check
    from graphengine.stores.sqlite.doctor.findings import Finding, Progress
    from graphengine.stores.sqlite.owners import LeaseOptions


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
