"""Queues and tenants whose limits allow no new run now, so that queries for runs can skip them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.kernel.store import left_of

if TYPE_CHECKING:
    from graphengine.kernel.store import Load


def is_full(load: Load, queue: str) -> bool:
    """Return whether workers must not take any run from a queue now.

    That is so if the queue is paused, or if as many of its runs are driven as its limit allows.
    """
    limits = load.limits.get(queue)
    if limits is None or limits.paused or limits.concurrency is None:
        return limits is not None and limits.paused
    return sum(count for (name, _), count in load.driven.items() if name == queue) >= limits.concurrency


def full_tenants(load: Load, queue: str) -> list[str]:
    """Return the tenants whose runs workers must not take from a queue now.

    As many runs of these tenants are driven as the limit for a tenant allows.
    """
    limits = load.limits.get(queue)
    if limits is None or limits.tenant_concurrency is None:
        return []
    driven = ((tenant, count) for (name, tenant), count in load.driven.items() if name == queue and tenant)
    return sorted(tenant for tenant, count in driven if count >= limits.tenant_concurrency)


def spent_tenants(load: Load, queue: str, now: float) -> list[str]:
    """Return the tenants of a queue whose rate limit does not allow a run to begin now."""
    limits = load.limits.get(queue)
    if limits is None or limits.tenant_rate is None:
        return []
    rates = ((tenant, until) for (name, tenant), until in load.rates.items() if name == queue and tenant)
    return sorted(tenant for tenant, until in rates if left_of(until, limits.tenant_rate, now) < 1)
