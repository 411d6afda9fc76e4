"""Which runs a worker takes from the queues: one decision for all stores.

A store finds the candidates, which are the first runs of each queue, and counts how many runs are driven. `choose`
applies the limits of the queues and lets queues take turns.

Tenants of a queue take turns because every new run gets a number, its turn, and the lowest turn is taken first. A turn
is one more than the turn of the tenant's last run, but at least the lowest turn that is waiting:

1. Tenant A queues 100,000 runs, which get the turns 0, 1, 2, …, 99,999.
2. Tenant B queues three runs. They get the turns 0, 1, 2, and are taken after the first, second and third run of A.
3. When the lowest turn of A is 40,000, tenant C queues its first run. The run gets the turn 40,000, too.
"""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.stores.base import QueueLimits

WHOLE: Final = ""
"""The tenant of runs without a tenant, and the key of the limits that hold for a whole queue."""


class Candidate(NamedTuple):
    """A due run that a worker may take, if the limits of the run's queue allow it.

    Attributes:
        id: The key by which the store finds the run.
        queue: The name of the queue that the run is in.
        tenant: The tenant of the run; "" for a run without a tenant.
        priority: The priority of the run.
        is_queued: Whether no process has driven the run before. Runs that were driven before come first, and limits on
            rates do not apply to them.
        place: The run's turn if it is queued, otherwise the time since which it is due. Smaller numbers come first.
    """

    id: int | str
    queue: str
    tenant: str
    priority: int
    is_queued: bool
    place: float

    @property
    def order(self) -> tuple[int, bool, float]:
        """The key by which the candidates of one queue are sorted."""
        return -self.priority, self.is_queued, self.place


class Load(NamedTuple):
    """The limits of queues and how much of them is used, which decide how many runs of each queue may be taken now.

    Attributes:
        limits: The limits by the name of the queue.
        driven: How many runs are driven, by the names of queue and tenant.
        rates: When the rate limit of a queue and tenant allows its full number of runs again, epoch seconds; see
            `left_of`.
    """

    limits: Mapping[str, QueueLimits]
    driven: Mapping[tuple[str, str], int]
    rates: Mapping[tuple[str, str], float]


_SKEW_SECONDS: Final = 60.0
"""By how much the clocks of workers may differ."""

NO_LOAD: Final = Load({}, {}, {})


class Chosen(NamedTuple):
    """The runs to take, in order, and the values of `Load.rates` after they have begun."""

    ids: Sequence[int | str]
    rates: Mapping[tuple[str, str], float]


def choose(candidates: Iterable[Candidate], limit: int, load: Load, now: float, taken_before: int = 0) -> Chosen:
    """Choose the runs that a worker takes, at most `limit`, in the order in which it takes them.

    The limits of each queue are applied, and queues take turns. Which queue comes first depends on how many runs the
    worker has taken before. Otherwise a busy worker, which takes a single run whenever one has ended, would take all
    runs of the first queue before any run of another.

    Example:
        >>> runs = [Candidate(n, queue, "", 0, True, n) for n, queue in enumerate(["a", "a", "a", "b"])]
        >>> choose(runs, 3, NO_LOAD, 0.0).ids
        [0, 3, 1]
        >>> choose(runs, 1, NO_LOAD, 0.0, taken_before=1).ids
        [3]
    """
    queues: dict[str, list[Candidate]] = defaultdict(list)
    for each in candidates:
        queues[each.queue].append(each)
    filtered = (
        _filter_allowed(sorted(found, key=lambda each: each.order), load, queue, now)
        for queue, found in sorted(queues.items())
    )
    allowed = [found for found in filtered if found]
    first = taken_before % len(allowed) if allowed else 0
    rounds = zip_longest(*allowed[first:], *allowed[:first])
    in_turn = [each for each in chain.from_iterable(rounds) if each is not None][: max(limit, 0)]
    rates: dict[tuple[str, str], float] = {}
    for each in in_turn:
        for tenant, rate in _rates_for_run(each, load.limits.get(each.queue)):
            place = each.queue, tenant
            rates[place] = rates[place] + rate[1] / rate[0] if place in rates else now + rate[1]
    return Chosen([each.id for each in in_turn], rates)


def _filter_allowed(found: Sequence[Candidate], load: Load, queue: str, now: float) -> list[Candidate]:
    limits = load.limits.get(queue)
    if limits is None:
        return list(found)
    driven = defaultdict(int, {tenant: count for (name, tenant), count in load.driven.items() if name == queue})
    total = sum(driven.values())
    left: dict[str, int] = {}
    allowed: list[Candidate] = []
    for each in found:
        if limits.paused or (limits.concurrency is not None and total >= limits.concurrency):
            break
        if each.tenant and limits.tenant_concurrency is not None and driven[each.tenant] >= limits.tenant_concurrency:
            continue
        rates = _rates_for_run(each, limits)
        for tenant, rate in rates:
            left.setdefault(tenant, left_of(load.rates.get((queue, tenant), 0.0), rate, now))
        if any(left[tenant] < 1 for tenant, _ in rates):
            continue
        for tenant, _ in rates:
            left[tenant] -= 1
        total += 1
        driven[each.tenant] += 1
        allowed.append(each)
    return allowed


def _rates_for_run(run: Candidate, limits: QueueLimits | None) -> list[tuple[str, tuple[int, float]]]:
    """Return the rate limits that count when a run begins: that of its queue, and that of its tenant.

    Each limit is returned with the tenant whose runs it counts. The list is empty for a run that was driven before,
    because rates only limit how many runs begin.
    """
    if limits is None or not run.is_queued:
        return []
    found = [(WHOLE, limits.rate)] if limits.rate is not None else []
    return found + ([(run.tenant, limits.tenant_rate)] if limits.tenant_rate is not None and run.tenant else [])


def left_of(whole_at: float, rate: tuple[int, float], now: float) -> int:
    """Return how many runs a rate limit allows to begin now.

    A rate of (10, 1.0) means: in no period of one second do more than ten runs begin. Think of slots of `seconds /
    count`, here 0.1 s. Ten runs that begin at once use up the next ten slots. Each slot that passes unused allows one
    more run to begin at once, up to `count`.

    A run that begins uses up what was saved before. Otherwise nine runs could begin one after the other in a second,
    and the ten saved before in the same second.

    Args:
        whole_at: When the full number of runs is allowed again, epoch seconds.
        rate: The limit as (count, seconds).
        now: The current time, epoch seconds.
    """
    count, seconds = rate
    if whole_at > now + 2 * seconds + _SKEW_SECONDS:  # the clock was set back: do not wait until it has caught up
        return count
    return count - max(0, math.ceil((whole_at - now) * count / seconds - 1e-6))
