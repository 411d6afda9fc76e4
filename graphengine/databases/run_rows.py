"""The columns of a run, by name: what both databases' view `run_facts` has, and the run that a row describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.databases.row_json import read_summary
from graphengine.kernel.store import RunInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.store import Status, StopMark


class RunRow(NamedTuple):
    """A row of `run_facts`, as `{run}` in a statement selects it.

    Attributes:
        tags: In SQLite joined by newlines.
        driven: In SQLite when the driver's lease ends, in PostgreSQL whether the driver is alive.
        wanted_at: Since when a process should take it, in SQLite.
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
    """Return a statement with the columns of a row of `run_facts AS f` for `{run}`, the last two from these."""
    return statement.replace("{run}", f"{_OF_BOTH}, {driven} AS driven, {wanted_at} AS wanted_at")


def run_of(row: RunRow, driver: str | None, tags: Sequence[str], *, is_alive: bool) -> RunInfo:
    """Return the run of a row: the fields of `RunInfo` in their order, as calls by name take longer.

    Args:
        row: The row.
        driver: The owner that holds it; None if it was released, which the row may not say yet.
        tags: Its tags.
        is_alive: Whether that owner is.
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
