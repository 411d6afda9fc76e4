"""Removal of runs and of old steps, and freeing their space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.databases.postgres.queries import SQL, clamped, known
from graphengine.databases.postgres.reads import Own, snapshot_at
from graphengine.databases.postgres.writes import replace_steps
from graphengine.kernel.store import strip_removed, unknown_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.databases.addresses import Address
    from graphengine.databases.postgres.sessions import Connection
    from graphengine.kernel.store import EndedRun, RunInfo

_ROWS_AT_ONCE: Final = 500


def remove(connection: Connection, runs: Sequence[RunInfo | EndedRun], owner: str, token: int) -> dict[str, str]:
    """Remove runs from the store by moving them to the trash, from where `sweep` deletes their rows.

    Runs that have changed or that other runs need are kept.

    Return the ids of the runs that are kept, with the reasons.
    """
    expected = [(known(run.id), run.nonce, run.status, clamped(run.seq), "\n".join(run.tags)) for run in runs]
    columns = [list(column) for column in zip(*expected, strict=True)] or [[]] * 5
    rows = connection.execute(SQL["remove"], (owner, token, *columns)).fetchall()
    return {run.id: reason for run, (_, reason) in zip(runs, rows, strict=True) if reason}


def trim(connection: Connection, run_id: str, keep: int, limit: int) -> int:
    """Replace the content of a run's old steps by placeholders; see `Store.trim`."""
    with connection.transaction():
        locked = connection.execute(SQL["lock_to_trim"], (known(run_id),)).fetchone()
        if locked is None:
            raise unknown_run(run_id)
        found = connection.execute(SQL["trim_at"], (locked[0], keep)).fetchone()
        if found is None:
            return 0
        first, shot, at, is_begun = found
        going = connection.execute(SQL["trimmable"], (locked[0], first, shot, clamped(limit))).fetchall()
        steps = [strip_removed(seq, at) for seq, at in going]
        if going and not is_begun:
            steps.append(strip_removed(shot, at, snapshot_at(connection, run_id, shot, Own(None, ()))))
        replace_steps(connection, run_id, locked[0], steps, shot)
        return len(going)


def sweep(connection: Connection) -> None:
    """Delete the rows of removed runs, which are in the trash, and the graph specs that no run needs any more.

    The work is split into short transactions, so that other processes can write in between.
    """
    while True:
        row = connection.execute(SQL["sweep"], (_ROWS_AT_ONCE,)).fetchone()
        if row is None or not row[0]:
            break
    connection.execute(SQL["drop_graph_specs"])


def has_trash(connection: Connection) -> bool:
    """Return whether a sweep must still delete rows of removed runs."""
    row = connection.execute(SQL["has_trash"]).fetchone()
    return row is not None and bool(row[0])


def vacuum(connection: Connection, address: Address) -> tuple[int, int]:
    """Return the free space at the ends of the tables to the disk.

    The result is the size of the schema in bytes, before and afterwards.
    """
    before = _bytes_of_schema(connection, address.schema)
    for (table,) in connection.execute(SQL["own_tables"], (address.schema,)).fetchall():
        connection.execute(f"VACUUM (ANALYZE) {address.quoted}.{table}".encode())
    return before, _bytes_of_schema(connection, address.schema)


def _bytes_of_schema(connection: Connection, schema: str) -> int:
    row = connection.execute(SQL["bytes"], (schema,)).fetchone()
    return 0 if row is None else int(row[0])
