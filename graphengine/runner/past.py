"""Earlier runs, as a node may read them: memory across runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from graphengine.errors import StoreError
from graphengine.history import load_snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.stores.base import Store


class PastRun(BaseModel):
    """A finished run.

    Args:
        run_id: Its id.
        created_at: When it began, epoch seconds.
        state: What it ended with, as it was recorded.
    """

    run_id: str
    created_at: float
    state: dict[str, Any]


async def past_runs(store: Store, run_id: str, graph: str, last: int) -> Sequence[PastRun]:
    """The newest finished runs of a graph, but this one; those that cannot be read are left out."""
    found: list[PastRun] = []
    for info in await store.runs(limit=last + 1, status="finished", graph=graph):
        if info.id == run_id or len(found) == last:
            continue
        try:
            snapshot = await load_snapshot(store, info.id, None)
        except StoreError:
            continue
        found.append(PastRun(run_id=info.id, created_at=info.created_at, state=snapshot.root.values))
    return found
