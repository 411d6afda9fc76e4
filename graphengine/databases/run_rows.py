"""The columns of a run in the view `run_facts`, which both databases have, and their conversion to `RunInfo`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.databases.row_json import read_summary
from graphengine.kernel.store import RunInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.store import Status, StopMark


class RunRow(NamedTuple):
    """A row of the view `run_facts`, which contains the facts about one run.

    Its columns are those that replace `{run}` in an SQL statement.

    Attributes:
        tags: The run's tags; in SQLite joined by newlines.
        driven: In SQLite the time when the driver's lease ends; in PostgreSQL whether the driver is alive.
        wanted_at: The time since which the run waits for a process to take it. Only in SQLite.
    """

    key: int
    id: str
    graph: str
    fingerprint: str
    status: Status
    seq: int
    created_at: float
    updated_at: float
    parent: str | None
    parent_seq: int
    driver: str | None
    fence: int
    due_at: float | None
    tags: Any
    queue: str
    priority: int
    queue_key: str
    summary: str | None
    title: str
    user_name: str
    starter: str | None
    root: str | None
    depth: int
    began_with: str
    deploy: str
    stop_asked: StopMark
    ended_at: float | None
    nonce: str
    starter_nonce: str
    root_nonce: str
    code: str
    driven: Any
    wanted_at: float | None = None


_OF_BOTH: Final = ", ".join(f"f.{name}" for name in RunRow._fields[:-2])


def selected(statement: str, *, driven: str, wanted_at: str) -> str:
    """Replace `{run}` in an SQL statement by the columns of a run in the view `run_facts AS f`.

    `driven` and `wanted_at` are the SQL expressions for the columns of the same names. They are parameters, because the
    expressions for SQLite and PostgreSQL differ.
    """
    return statement.replace("{run}", f"{_OF_BOTH}, {driven} AS driven, {wanted_at} AS wanted_at")


def run_of(row: RunRow, driver: str | None, tags: Sequence[str], *, is_alive: bool) -> RunInfo:
    """Convert a row of the view `run_facts` to the facts about a run.

    Args:
        row: The row.
        driver: The owner that drives the run; None if this owner has just released the run, which the row may not show
            yet.
        tags: The run's tags.
        is_alive: Whether the driver is alive. A dead driver is left out of the result.
    """
    return RunInfo(
        row.id, row.graph, row.fingerprint, row.status, row.seq, row.created_at, row.updated_at,
        row.parent, row.parent_seq, driver if is_alive else None, driver is not None, row.due_at,
        tuple(sorted(tags)) if tags else (), row.queue, row.priority, row.queue_key or None, row.fence == 0,
        read_summary(row.summary), row.title, row.user_name or None, row.starter, row.root, row.depth,
        row.began_with, row.deploy, row.stop_asked, row.ended_at, row.code, row.nonce,
        row.starter_nonce, row.root_nonce,
    )  # fmt: skip


__all__ = ["RunRow", "run_of", "selected"]
