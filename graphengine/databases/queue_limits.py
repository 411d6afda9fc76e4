"""What a query leaves out: queues and tenants that may not begin a run now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.kernel.store import left_of

if TYPE_CHECKING:
    from graphengine.kernel.store import Load


def is_full(load: Load, queue: str) -> bool:
    """Return whether a queue is paused, or has as many driven runs as it may have."""
    limits = load.limits.get(queue)
    if limits is None or limits.paused or limits.concurrency is None:
        return limits is not None and limits.paused
    return sum(count for (name, _), count in load.driven.items() if name == queue) >= limits.concurrency


def full_tenants(load: Load, queue: str) -> list[str]:
    """Return the tenants of a queue that have as many driven runs as they may have."""
    limits = load.limits.get(queue)
    if limits is None or limits.tenant_concurrency is None:
        return []
    driven = ((tenant, count) for (name, tenant), count in load.driven.items() if name == queue and tenant)
    return sorted(tenant for tenant, count in driven if count >= limits.tenant_concurrency)


def spent_tenants(load: Load, queue: str, now: float) -> list[str]:
    """Return the tenants of a queue whose runs may not begin now."""
    limits = load.limits.get(queue)
    if limits is None or limits.tenant_rate is None:
        return []
    rates = ((tenant, until) for (name, tenant), until in load.rates.items() if name == queue and tenant)
    return sorted(tenant for tenant, until in rates if left_of(until, limits.tenant_rate, now) < 1)
