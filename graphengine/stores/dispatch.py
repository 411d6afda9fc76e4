"""Which runs a worker takes from the queues: one decision for all stores.

A store finds candidates, the first of each queue in the order in which they are to be taken, and counts what is driven.
`choose` applies the limits and lets queues take turns. Tenants take turns because of `RunInfo.queued` runs' turns: a
new run gets the turn after the last run of its tenant, but not before those whose turn it is.

1. Tenant A queues runs with the turns 0, 1, 2, …, 99,999. 2. Tenant B queues three: they get the turns 0, 1, 2, and are
taken after the first, second and third of A. 3. When A's turn 40,000 is the first one, C's first run gets 40,000 too.
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
"""The tenant of runs without one, and the word for the limits of a whole queue."""


class Candidate(NamedTuple):
    """A run that could be taken.

    Attributes:
        id: What the store knows it by.
        queue: Its queue.
        tenant: Its tenant; "" for none.
        priority: Its priority.
        is_queued: Whether it was never driven: it comes after runs that were begun, and counts for rates.
        place: Its turn if it is queued, else since when it is due.
    """

    id: int | str
    queue: str
    tenant: str
    priority: int
    is_queued: bool
    place: float

    @property
    def order(self) -> tuple[int, bool, float]:
        """Its place among the candidates of its queue."""
        return -self.priority, self.is_queued, self.place


class Load(NamedTuple):
    """What the limits of some queues depend on.

    Attributes:
        limits: The limits by queue.
        driven: How many runs are driven, by queue and tenant.
        rates: When a whole rate is free again, by queue and tenant, epoch seconds; see `left_of`.
    """

    limits: Mapping[str, QueueLimits]
    driven: Mapping[tuple[str, str], int]
    rates: Mapping[tuple[str, str], float]


_SKEW_SECONDS: Final = 60.0
"""How far the clocks of workers may be apart."""

NO_LOAD: Final = Load({}, {}, {})


class Chosen(NamedTuple):
    """The runs to take, and the rates after that."""

    ids: Sequence[int | str]
    rates: Mapping[tuple[str, str], float]


def choose(candidates: Iterable[Candidate], limit: int, load: Load, now: float) -> Chosen:
    """Return which runs to take, at most `limit`, in the order in which they are taken.

    Example:
        >>> runs = [Candidate(n, queue, "", 0, True, n) for n, queue in enumerate(["a", "a", "a", "b"])]
        >>> choose(runs, 3, NO_LOAD, 0.0).ids
        [0, 3, 1]
    """
    queues: dict[str, list[Candidate]] = defaultdict(list)
    for each in candidates:
        queues[each.queue].append(each)
    allowed = [
        _filter_allowed(sorted(found, key=lambda each: each.order), load, queue, now)
        for queue, found in sorted(queues.items())
    ]
    in_turn = [each for each in chain.from_iterable(zip_longest(*allowed)) if each is not None][: max(limit, 0)]
    rates: dict[tuple[str, str], float] = {}
    for each in in_turn:
        for tenant, rate in _rates_for_run(each, load.limits.get(each.queue)):
            place = each.queue, tenant
            rates[place] = rates[place] + rate[1] / rate[0] if place in rates else now + rate[1]
    return Chosen([each.id for each in in_turn], rates)


def _filter_allowed(found: Sequence[Candidate], load: Load, queue: str, now: float) -> list[Candidate]:
    """Return the candidates of one queue that its limits allow."""
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
    """Return the limits on rates that hold for a run, by tenant; only beginning counts."""
    if limits is None or not run.is_queued:
        return []
    found = [(WHOLE, limits.rate)] if limits.rate is not None else []
    return found + ([(run.tenant, limits.tenant_rate)] if limits.tenant_rate is not None and run.tenant else [])


def left_of(whole_at: float, rate: tuple[int, float], now: float) -> int:
    """Return how many runs may begin now, so that no span of the rate's length has more than its count.

    When k runs begin at once, none begins in the next k slots of `seconds / count`. A slot in which one may begin, and
    none does, adds one to those that may begin at once, up to the whole count. What was saved up is lost when runs
    begin: otherwise, with (10, 1.0), nine could begin one after the other, and the ten saved up before in the same
    second.
    """
    count, seconds = rate
    if whole_at > now + 2 * seconds + _SKEW_SECONDS:  # the clock was set back: do not wait until it has caught up
        return count
    return count - max(0, math.ceil((whole_at - now) * count / seconds - 1e-6))
