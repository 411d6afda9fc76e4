"""A program that is killed: `transaction_victim.py PROGRAM [NAME NUMBER]`.

It passes points around each statement and commit of its own database, and those of `crash_points` around each commit of
its runs and each task; with runs in PostgreSQL around each statement of a transaction that a function got, which the
record and COMMIT are too, and around each write of the runs. They are written to `points`, in the current folder, if it
ends by itself.
"""

import runpy
import sys
from functools import wraps
from pathlib import Path
from typing import Any

import psycopg

from graphengine.databases.postgres.commits import GroupCommit
from graphengine.databases.postgres.transactions import HandedConnection
from tests.kit.crash_points import CrashPoints, Point

POINTS = CrashPoints(Point(sys.argv[2], int(sys.argv[3])) if len(sys.argv) > 2 else None)


def watch(name: str) -> None:
    """Pass points before and after a method of each connection."""
    method = getattr(psycopg.AsyncConnection, name)

    @wraps(method)
    async def watched(*args: Any) -> Any:
        POINTS.passes(f"before shop {name}")
        result = await method(*args)
        POINTS.passes(f"after shop {name}")
        return result

    setattr(psycopg.AsyncConnection, name, watched)


def watch_held() -> None:
    """Pass points before and after each statement of a transaction that a function got, and each write of the runs."""
    execute, begin, settle = HandedConnection.execute, GroupCommit._send_next, GroupCommit._settle  # noqa: SLF001

    @wraps(execute)
    def executed(*args: Any, **kwargs: Any) -> Any:
        POINTS.passes("before held execute")
        result = execute(*args, **kwargs)
        POINTS.passes("after held execute")
        return result

    def begun(self: GroupCommit) -> None:
        POINTS.passes("before write")
        begin(self)

    def settled(self: GroupCommit, error: Exception | None) -> None:
        POINTS.passes("after write")
        settle(self, error)

    HandedConnection.execute = executed  # type: ignore[method-assign]
    GroupCommit._send_next, GroupCommit._settle = begun, settled  # type: ignore[method-assign]  # noqa: SLF001


watch("execute")
watch("commit")
watch_held()
with POINTS.installed():
    runpy.run_path(sys.argv[1], run_name="__main__")
Path("points").write_text("\n".join(f"{each.name}:{each.number}" for each in POINTS.passed), encoding="utf-8")
