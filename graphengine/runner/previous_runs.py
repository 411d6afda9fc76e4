"""Earlier runs, as a node may read them: memory across runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel

from graphengine.errors import StoreError
from graphengine.history.load import load_snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from graphengine.stores.base import Store


class PastRun(BaseModel):
    """A finished run.

    Args:
        run_id: Its id.
        created_at: When it began, epoch seconds.
        state: What it ended with, as it was recorded; the wanted fields of it, as far as it has them.
    """

    run_id: str
    created_at: float
    state: dict[str, Any]


Past: TypeAlias = "Callable[[str, str, int, Collection[str] | None], Awaitable[Sequence[PastRun]]]"
"""`past_runs` of a store: by the id of the run that asks, the graph's name, how many at most, the fields wanted."""


async def past_runs(
    store: Store, run_id: str, graph: str, last: int, fields: Collection[str] | None
) -> Sequence[PastRun]:
    """The newest finished runs of a graph, but this one; those that cannot be read are left out."""
    found: list[PastRun] = []
    for info in await store.runs(limit=last + 1, status="finished", graph=graph):
        if info.id == run_id or len(found) == last:
            continue
        try:
            snapshot = await load_snapshot(store, info.id, None)
        except StoreError:
            continue
        ended = snapshot.root.values
        state = ended if fields is None else {name: ended[name] for name in fields if name in ended}
        found.append(PastRun(run_id=info.id, created_at=info.created_at, state=state))
    return found
