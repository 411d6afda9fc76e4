"""The runs of a database against today's graphs, before these are deployed.

async def test_no_waiting_run_is_lost() -> None:
    found = await preflight([desk, orders], "checkpoints/runs.db")
    assert found.fits, found
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from graphengine.api.places import store_at
from graphengine.migration import preflight as preflights
from graphengine.migration.preflight import Preflight, Reason, RunGroup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphengine.api.graph import Graph
    from graphengine.stores.base import Store


async def preflight(
    graphs: Iterable[Graph[Any]], store: str | PathLike[str] | Store, *, newer_seconds: float | None = None
) -> Preflight:
    """Find out whether every run that has not ended would continue under today's graphs; nothing is written.

    Args:
        graphs: Today's graphs. Runs of others do not fit.
        store: The database: a path, `postgresql://…`, or a store, which stays open.
        newer_seconds: Only runs whose last step is not older than this, seconds.

    Returns:
        The runs in groups, with the reasons of those that do not fit and drafts of `migrate=`.

    Raises:
        CompileError: A graph has an error.
        StoreError: The database cannot be read.
    """
    plans = {graph.name: graph.compile() for graph in graphs}
    if not isinstance(store, str | PathLike):
        await store.open()
        return await preflights.preflight(store, plans, newer_seconds=newer_seconds)
    opened = store_at(store, read_only=True)
    try:
        await opened.open()
        return await preflights.preflight(opened, plans, newer_seconds=newer_seconds)
    finally:
        await opened.close()


__all__ = ["Preflight", "Reason", "RunGroup", "preflight"]
