"""Which runs are due to be resumed, and how workers take runs from queues.

Due are waiting runs that can continue, and runs whose driver is gone. They come from three sources: an index of timers,
an index of runs that need a driver (in `schema/0002_runs.sql`), and the runs of dead owners. Each source yields the
runs that are due for longest first, and only as many as needed. Runs of dead owners are returned first, because their
work was interrupted and should not queue behind work that has not begun. All sources skip runs that a live owner
drives.

Runs are taken in one write transaction, so that no other process can take them meanwhile.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from heapq import merge
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic_core import from_json

from graphengine.databases.queue_limits import full_tenants, is_full, spent_tenants
from graphengine.databases.row_json import read_limits
from graphengine.databases.run_rows import RunRow
from graphengine.databases.sql import Claimed, TakenRuns, each_tenant
from graphengine.databases.sqlite import reads
from graphengine.databases.sqlite.queries import SQL
from graphengine.databases.sqlite.writes import tail
from graphengine.errors import StoreError
from graphengine.kernel.store import Candidate, ClaimedRun, Load, OwnerInfo, choose

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from graphengine.databases.sqlite.owners import Lease, Onlooker
    from graphengine.kernel.store import ClaimQuery, QueueLimits, RunInfo

_LISTED: Final = 100

_Due: TypeAlias = "tuple[int, float, RunRow]"
"""The rank of a due run, the time since which it is due, and its row."""

_ORPHANS: Final = 0  # ranks
_OTHERS: Final = 1

_UNKNOWN: Final = 0.0  # without a row, the owner died before the owners that still have one


def due(
    connection: sqlite3.Connection,
    onlooker: Onlooker,
    now: float,
    *,
    limit: int = 100,
    graphs: Sequence[str] | None = None,
) -> list[RunInfo]:
    """Return the runs that are due at `now`; see `Store.due`.

    Of several runs that are due for equally long, the run that began first comes first. For example, this concerns all
    runs of owners whose row was removed. These runs are found by the ids of their owners, and the order of these random
    ids would mean nothing.
    """
    if limit <= 0:
        return []
    found: dict[str, RunInfo] = {}
    timers = ((_OTHERS, row.due_at or 0.0, row) for row in _select_runs(connection, "due_timers", now))
    wanted = ((_OTHERS, row.wanted_at or 0.0, row) for row in _select_runs(connection, "wanted_runs"))
    interrupted = _find_interrupted(connection, onlooker)
    for *_, row in merge(timers, wanted, *interrupted, key=lambda each: (each[0], each[1], each[2].key)):
        if graphs is not None and row.graph not in graphs:
            continue
        info = reads.from_row(connection, row, onlooker).info
        if info.driver is None:
            found[info.id] = info
            if len(found) == limit:
                break
    return list(found.values())


def _select_runs(connection: sqlite3.Connection, statement: str, *values: object) -> Iterator[RunRow]:
    return map(RunRow._make, connection.execute(SQL[statement], values))


def _find_interrupted(connection: sqlite3.Connection, onlooker: Onlooker) -> list[Iterator[_Due]]:
    """Return the running runs of each dead owner, which must be resumed.

    The time at which an owner died is not known. So its runs count as due since the end of the owner's lease.
    """
    sources: list[Iterator[_Due]] = []
    for driver, expires_at in _find_dead_owners(connection, onlooker).items():
        rows = _select_runs(connection, "running_of", driver)
        since = _UNKNOWN if expires_at is None else expires_at
        sources.append(zip(repeat(_ORPHANS), repeat(since), rows, strict=False))
    return sources


def _find_dead_owners(connection: sqlite3.Connection, onlooker: Onlooker) -> dict[str, float | None]:
    """Return the ids of the dead processes (owners) that still drive runs according to the database.

    The value of each id is the time when the owner's lease ends. It is None for an owner whose row was removed.
    """
    drivers = connection.execute(SQL["drivers"]).fetchall()
    return {
        driver: expires_at for driver, expires_at in drivers if not onlooker.sees_alive(connection, driver, expires_at)
    }


def take(connection: sqlite3.Connection, pick: ClaimQuery, lease: Lease, onlooker: Onlooker) -> TakenRuns:
    """Claim due runs that no process drives; see `Store.take`.

    The states and messages of the runs are read afterwards by `read`.
    """
    claimed: dict[str, Claimed] = {}
    dead = list(_find_dead_owners(connection, onlooker))
    taken, driven = _offer_orphans(_find_orphans(connection, pick, dead, onlooker), pick)
    room = pick.limit - len(taken)
    if room <= 0:
        return TakenRuns(taken, claimed)
    work = connection.execute(SQL["queues_with_work"]).fetchall()
    work = [(name, limits) for name, limits in work if pick.queues is None or name in pick.queues]
    load = _count_load(connection, {name: read_limits(text) for name, text in work if text is not None}, dead, driven)
    found: list[Candidate] = []
    for name, _ in work:
        if not is_full(load, name):
            found += _yield_candidates(connection, pick, name, load, room)
    chosen = choose(found, room, load, pick.now, pick.taken_before)
    for queue in load.limits if chosen.rates else ():
        connection.execute(SQL["drop_rates"], (queue, pick.now))
    for (queue, tenant), until in chosen.rates.items():
        connection.execute(SQL["keep_rate"], (queue, tenant, until))
    if chosen.ids:
        lease.register(connection)  # a process suspended past its lease would lose the runs again at once
    for number in map(int, chosen.ids):
        row = connection.execute(SQL["facts_of"], (number,)).fetchone()
        run = reads.from_row(connection, row, onlooker)
        connection.execute(SQL["set_driver"], (lease.id, run.fence + 1, number))
        claimed[run.info.id] = Claimed(number, run.fence + 1, tail(connection, number, run.info.seq))
        taken.append(ClaimedRun(run.info, run.fence + 1))
    return TakenRuns(taken, claimed)


def read(
    connection: sqlite3.Connection, onlooker: Onlooker, taken: Sequence[ClaimedRun], kept: Collection[str]
) -> list[ClaimedRun]:
    """Read the snapshots, steps and messages of runs that were just claimed.

    Only the messages are read for runs in `kept`, which the worker still has in memory.
    """
    ids = [each.info.id for each in taken if each.fence is not None]
    inbox = reads.shared.inbox(connection, ids) if ids else []
    found: list[ClaimedRun] = []
    for each in taken:
        run_id = each.info.id
        loaded = None
        if each.fence is not None and run_id not in kept:
            with suppress(StoreError):  # `load` reports it when the run is resumed
                loaded = reads.load(connection, onlooker, run_id)
        found.append(each._replace(loaded=loaded, inbox=[message for message in inbox if message.run_id == run_id]))
    return found


def _find_orphans(
    connection: sqlite3.Connection, pick: ClaimQuery, dead: Sequence[str], onlooker: Onlooker
) -> Iterator[RunInfo]:
    """Yield the runs that dead owners have left behind and that match the worker's query, because they are due.

    Runs that the worker does not want (`pick.aside`) are included, because they count in the limits of queues.
    """
    limits = connection.execute(SQL["limits"]).fetchall() if dead else ()
    paused = {name for name, text in limits if read_limits(text).paused}
    rows = (row for driver in dead for row in _select_runs(connection, "facts_of_driver", driver))
    infos = ((row, reads.from_row(connection, row, onlooker).info) for row in rows)
    return (
        info
        for row, info in infos
        if (info.status == "running" or row.wanted_at is not None or (info.due_at or pick.now + 1) <= pick.now)
        and (pick.graphs is None or info.graph in pick.graphs)
        and (pick.queues is None or info.queue in pick.queues)
        and info.queue not in paused
        and info.tenant not in pick.paused_tenants
    )


def _offer_orphans(orphans: Iterable[RunInfo], pick: ClaimQuery) -> tuple[list[ClaimedRun], Counter[tuple[str, str]]]:
    """Return the runs of dead owners that the worker gets, and how many runs of dead owners count as driven.

    These numbers are returned for each queue and tenant, because the limits of queues need them.
    """
    taken: list[ClaimedRun] = []
    places: Counter[tuple[str, str]] = Counter()
    for info in orphans:
        if len(taken) >= pick.limit:
            break
        if info.id not in pick.aside:
            taken.append(ClaimedRun(info, None))
        places[info.queue, info.tenant or ""] += info.id not in pick.refused
    return taken, places


def _yield_candidates(
    connection: sqlite3.Connection, pick: ClaimQuery, queue: str, load: Load, room: int
) -> Iterator[Candidate]:
    """Yield the first runs of a queue that a worker may take now.

    Runs of tenants that have reached their limits are left out.
    """
    full = [*full_tenants(load, queue), *pick.paused_tenants]

    def fitting(rows: Iterable[Sequence[Any]], count: int) -> Iterator[Candidate]:
        fit = (
            Candidate(row[0], row[1], row[2], row[3], bool(row[4]), row[5])
            for row in rows
            if row[8] is None
            and row[2] not in full
            and (pick.graphs is None or row[6] in pick.graphs)
            and row[7] not in pick.aside
        )
        return islice(fit, count)

    yield from fitting(connection.execute(SQL["wanted_of_queue"], {"queue": queue, "now": pick.now}), room)
    yield from fitting(_select_timed(connection, queue, pick.now), room)
    each = each_tenant(load.limits.get(queue), room) or (room if pick.paused_tenants else None)
    if each is None:
        yield from fitting(connection.execute(SQL["queued_of_queue"], (queue,)), room)
        return
    blocked = {*full, *spent_tenants(load, queue, pick.now)}
    for (tenant,) in connection.execute(SQL["tenants_of_queue"], {"queue": queue}).fetchall():
        if tenant not in blocked:
            yield from fitting(connection.execute(SQL["queued_of_tenant"], (queue, tenant)), each if tenant else room)


def _select_timed(connection: sqlite3.Connection, queue: str, now: float) -> Iterator[Sequence[Any]]:
    """Yield the runs of a queue whose timers have ended, in the order in which they are taken."""
    for (priority,) in connection.execute(SQL["priorities_of_timed"], {"queue": queue}):
        yield from connection.execute(SQL["timed_of_priority"], (queue, priority, now))


def _count_load(
    connection: sqlite3.Connection,
    limits: Mapping[str, QueueLimits],
    dead: Sequence[str],
    driven: Counter[tuple[str, str]],
) -> Load:
    """Count the driven runs of queues that have limits, and read the states of the rate limits of these queues.

    `driven` already contains the runs of dead owners that count as driven. The runs of live owners are added to it.
    """
    rates: dict[tuple[str, str], float] = {}
    for queue, tenant, driver, count in connection.execute(SQL["driven_of"]) if limits else ():
        if queue in limits and driver not in dead:
            driven[queue, tenant] += count
    for name in limits:
        rates |= {(queue, tenant): until for queue, tenant, until in connection.execute(SQL["rates_of"], (name,))}
    return Load(limits, driven, rates)


def owners(connection: sqlite3.Connection, onlooker: Onlooker) -> list[OwnerInfo]:
    """Return the live processes that can drive runs; see `Store.owners`."""
    found: list[OwnerInfo] = []
    for owner, host, pid, expires_at, role in connection.execute(SQL["owners"]).fetchall():
        if onlooker.sees_alive(connection, owner, expires_at):
            runs = [run_id for (run_id,) in connection.execute(SQL["driven_by"], (owner,))]
            found.append(OwnerInfo(owner, host, pid, from_json(role) if role else None, runs[:_LISTED], len(runs)))
    return found


def change(connection: sqlite3.Connection, statement: str, values: Mapping[str, object]) -> bool:
    """Run a statement by its name, and return whether it changed anything."""
    return connection.execute(SQL[statement], values).rowcount > 0
