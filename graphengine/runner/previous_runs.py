"""Earlier runs, as a node can read them: memory across runs."""

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

    Attributes:
        run_id: Its id.
        created_at: When it began, epoch seconds.
        state: Its final state, as recorded; only the requested fields that it has.
    """

    run_id: str
    created_at: float
    state: dict[str, Any]


Past: TypeAlias = "Callable[[str, str, int, Collection[str] | None], Awaitable[Sequence[PastRun]]]"
"""`past_runs` of a store; called with the id of the calling run, the graph's name, the maximum number, the fields."""


async def past_runs(
    store: Store, run_id: str, graph: str, last: int, fields: Collection[str] | None
) -> Sequence[PastRun]:
    """Return the newest finished runs of a graph, without the calling run and runs that cannot be read."""
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
