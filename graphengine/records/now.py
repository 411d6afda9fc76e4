"""Where a run is now, and what has been answered in it since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.kernel import load_snapshot, posted_in

if TYPE_CHECKING:
    from graphengine.kernel import RunStore, Snapshot


async def load_now(store: RunStore, run_id: str) -> Snapshot:
    """Load a run's last snapshot, with the answers that it has not taken up: what readers show.

    Raises:
        UnknownRun; StoreCorrupt: The log does not fold.
    """
    inbox = await store.inbox([run_id])  # first: what is taken out of it is in the log
    snapshot = await load_snapshot(store, run_id, None)
    snapshot.posted = posted_in(inbox, run_id)
    return snapshot
