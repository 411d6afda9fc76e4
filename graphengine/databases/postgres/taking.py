"""How workers take runs from queues: in one transaction, which skips rows that another worker is just taking.

The transaction only claims the runs. Their snapshots, steps and messages are read afterwards, when no other process can
change them. Workers take runs from a queue with limits one after the other, since each locks the queue's row; from
other queues they take runs at the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from graphengine.databases.postgres import reads
from graphengine.databases.postgres.queries import SQL, clamped
from graphengine.databases.postgres.writes import tail_of
from graphengine.databases.queue_limits import full_tenants, is_full, spent_tenants
from graphengine.databases.row_json import read_limits
from graphengine.databases.sql import Claimed, TakenRuns, each_tenant
from graphengine.kernel.inside import is_name
from graphengine.kernel.store import NO_LOAD, Candidate, ClaimedRun, Load, choose

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from graphengine.databases.postgres.reads import Own
    from graphengine.databases.postgres.sessions import Connection
    from graphengine.kernel.store import ClaimQuery


def take(  # noqa: PLR0913 - what a transaction needs to know
    connection: Connection, *, again: bool, pick: ClaimQuery, own: Own, dead: Collection[str], token: int
) -> TakenRuns:
    """Claim due runs that no process drives; see `Store.take`.

    Args:
        connection: The connection.
        again: Whether this call repeats a call whose answer was lost, so that runs may already have been claimed.
        pick: The query of the worker, which says what runs it wants.
        own: What the store that takes the runs knows about its own runs.
        dead: The owners that are known to be dead, whose runs can be taken over.
        token: A number that is stored with each claim. If the call is repeated, the runs that it has already claimed
            are found by this number.

    Raises:
        StoreCorrupt: A message is damaged.
    """
    owner = own.id or ""
    orphans: list[int] = []
    with connection.transaction():
        # 1. The connection is cut during the commit. 2. The call is repeated: what the first one takes is known only
        # once that commit has ended.
        connection.execute(SQL["lock_token"], (token,))
        keys = (
            [row[0] for row in connection.execute(SQL["take_again"], {"owner": owner, "token": token})] if again else []
        )
        if not keys:
            orphans, keys = _take_due(connection, pick, owner, dead, token)
    rows = connection.execute(SQL["tails"], (list(keys),)).fetchall() if keys else []
    claimed = {run_id: Claimed(key, fence, tail_of(tail)) for key, run_id, fence, *tail in rows}
    infos = [reads.from_facts(row, own) for row in reads.facts_of(connection, [*orphans, *keys])]
    logs = reads.logs(connection, [run_id for run_id in claimed if run_id not in pick.kept], own)
    inbox = reads.shared.inbox(connection, list(claimed))
    taken = [
        ClaimedRun(
            # the facts from before the claim: a run with fence 1 was queued
            replace(info, driver=None, held=False, queued=claimed[info.id].fence == 1),
            claimed[info.id].fence,
            logs.get(info.id),
            [m for m in inbox if m.run_id == info.id],
        )
        if info.id in claimed
        else ClaimedRun(info, None)
        for info in infos
    ]
    return TakenRuns([each for each in taken if each.fence is not None or each.info.driver is None], claimed)


def _take_due(
    connection: Connection, pick: ClaimQuery, owner: str, known_dead: Collection[str], token: int
) -> tuple[list[int], list[int]]:
    """Claim due runs for a worker.

    Return the keys of due runs of dead owners, which are not claimed yet, and the keys of the claimed runs in their
    order.
    """
    named = None if pick.queues is None else _keep_names(pick.queues)
    dead = [row[0] for row in connection.execute(SQL["dead"], (owner,)) if row[0] in known_dead]
    values: dict[str, Any] = {
        "now": pick.now,
        "limit": max(clamped(pick.limit), 0),
        "graphs": None if pick.graphs is None else _keep_names(pick.graphs),
        "queues": named,
        "aside": _keep_names(pick.aside),
        "refused": _keep_names(pick.refused),
        "dead": dead,
        "paused": _keep_names(pick.paused_tenants),
        "blocked": [],
        "by_tenant": False,
    }
    orphans = [row[0] for row in connection.execute(SQL["orphans_of"], values)] if dead else []
    values["limit"] -= len(orphans)
    if values["limit"] <= 0:
        return orphans, []
    work = connection.execute(SQL["queues_with_work"], {"queues": named}).fetchall()
    limited = sorted(name for name, limits in work if limits is not None)
    load = _lock_load(connection, limited, values) if limited else NO_LOAD
    free = [name for name, _ in work if name not in load.limits and not pick.paused_tenants]
    found = _list_candidates(connection, {**values, "names": free}) if free else []
    for queue in sorted({name for name, _ in work}.difference(free)):
        if is_full(load, queue):
            continue
        full = [*full_tenants(load, queue), *values["paused"]]
        each = each_tenant(load.limits.get(queue), values["limit"]) or (values["limit"] if values["paused"] else None)
        asked = {
            **values,
            "names": [queue],
            "queue": queue,
            "blocked": full,
            "by_tenant": each is not None,
        }
        found += _list_candidates(connection, asked)
        if each is not None:
            asked |= {"each": each, "blocked": [*full, *spent_tenants(load, queue, pick.now)]}
            found += [
                Candidate(key, *others) for key, *others in connection.execute(SQL["candidates_by_tenant"], asked)
            ]
    chosen = choose(found, values["limit"], load, pick.now, pick.taken_before)
    if not chosen.ids:
        return orphans, []
    keys = [int(key) for key in chosen.ids]
    got = {row[0] for row in connection.execute(SQL["take"], {**values, "owner": owner, "token": token, "keys": keys})}
    if chosen.rates:
        connection.execute(SQL["drop_rates"], (limited, pick.now))
    for (queue, tenant), until in chosen.rates.items():
        connection.execute(SQL["keep_rate"], (queue, tenant, until))
    return orphans, [key for key in keys if key in got]


def _list_candidates(connection: Connection, values: Mapping[str, Any]) -> list[Candidate]:
    return [Candidate(key, *others) for key, *others in connection.execute(SQL["candidates"], values)]


def _lock_load(connection: Connection, queues: Sequence[str], values: Mapping[str, Any]) -> Load:
    """Read the limits of queues, the numbers of driven runs and the states of rate limits.

    The rows of the limits stay locked until the transaction ends, so that two workers cannot exceed a limit by taking
    runs at the same time.
    """
    names = list(queues)
    limits = {name: read_limits(text) for name, text in connection.execute(SQL["lock_limits"], (names,))}
    driven = connection.execute(SQL["driven_of"], {**values, "names": names})
    rates = connection.execute(SQL["rates_of"], (names,))
    return Load(
        limits,
        {(queue, tenant): count for queue, tenant, count in driven},
        {(queue, tenant): until for queue, tenant, until in rates},
    )


def _keep_names(texts: Iterable[str]) -> list[str]:
    return [text for text in texts if is_name(text)]
