"""The runs that are due to be resumed: waiting runs that can continue, and runs whose driver is gone.

They come from three sources, each of which yields the longest due first and only as many as needed: an index of timers,
an index of runs that need a driver (defined in `schema/0001_runs.sql`), and the runs of dead owners. The last are
returned first: their work was interrupted, and it must not queue after all the work that has not begun. A run that a
live owner drives is skipped in every source.
"""

from __future__ import annotations

from heapq import merge
from itertools import repeat
from typing import TYPE_CHECKING, Final, TypeAlias

from graphengine.stores.sqlite.queries import SQL
from graphengine.stores.sqlite.reads import from_row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import RunInfo
    from graphengine.stores.sqlite.owners import Onlooker

_Candidate: TypeAlias = tuple[int, float, "Sequence[JsonValue]"]
"""Its rank, since when it is due, and the row of `run_facts`."""

_ORPHANS: Final = 0  # ranks
_OTHERS: Final = 1

_KEY: Final = 0  # columns of `run_facts`
_GRAPH: Final = 2
_DUE_AT: Final = 13
_WANTED_AT: Final = 14
_UNKNOWN: Final = 0.0  # another process removed the dead owner's row: it died before the owners that have one


def due(
    connection: sqlite3.Connection,
    now: float,
    limit: int,
    graphs: Sequence[str] | None,
    onlooker: Onlooker,
) -> list[RunInfo]:
    """Return the runs that are due at `now`, in the order of `Store.due`.

    Of runs due for equally long, such as all those whose owners have no row, the first begun comes first: the owners'
    ids, by which they are looked up, are random.
    """
    if limit <= 0:
        return []
    found: dict[str, RunInfo] = {}
    timers = ((_OTHERS, row[_DUE_AT], row) for row in connection.execute(SQL["due_timers"], (now,)))
    wanted = ((_OTHERS, row[_WANTED_AT], row) for row in connection.execute(SQL["wanted_runs"]))
    for *_, row in merge(timers, wanted, *_orphans(connection, onlooker), key=_rank):
        if graphs is not None and row[_GRAPH] not in graphs:
            continue
        info = from_row(connection, row, onlooker).info
        if info.driver is None:
            found[info.id] = info
            if len(found) == limit:
                break
    return list(found.values())


def _rank(candidate: _Candidate) -> tuple[int, float, object]:
    rank, since, row = candidate
    return rank, since, row[_KEY]


def _orphans(connection: sqlite3.Connection, onlooker: Onlooker) -> list[Iterator[_Candidate]]:
    """Return the running runs of each dead owner, due since the end of its lease: the time of its death is unknown."""
    sources: list[Iterator[_Candidate]] = []
    for driver, expires_at in connection.execute(SQL["drivers"]).fetchall():
        if not onlooker.sees_alive(connection, driver, expires_at):
            since = _UNKNOWN if expires_at is None else expires_at
            rows = connection.execute(SQL["running_of"], (driver,))
            sources.append(zip(repeat(_ORPHANS), repeat(since), rows, strict=False))
    return sources
