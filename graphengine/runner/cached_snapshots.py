"""Snapshots of runs that take long to load, so that an answer or a resume in the same process reads only new steps.

A run with 3,000 open questions takes 50 ms to load, and an answer changes one of them. For each turn of a conversation,
up to 250 steps would be folded, although the turn adds only seven. Therefore a Runner keeps the last snapshot of such a
run, and reads only the steps since then from the log, beginning with the last step of the snapshot itself. If that step
is a different one now, the run was removed and recorded again, and is loaded as a whole. A caller that has just read
the row of the run passes the row: if its last step is the one of the snapshot, nothing is read from the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.engine.fold import fold
from graphengine.errors import GraphEngineError
from graphengine.history.load import load_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.engine.snapshot import Snapshot
    from graphengine.stores.base import RunInfo, RunStore

_MANY: Final = 64
"""The number of open waits with which a run is worth keeping. Loading such a run takes about a millisecond."""
_LONG: Final = 9
"""A waiting run with at least this many steps is kept, unless its snapshot is too large or its size is not known.

The first turn of a chat records this many steps.
"""
_RUNS: Final = 16
"""The number of runs whose snapshots are kept. The runs that were used last are kept."""
_MOST_BYTES: Final = _RUNS * 1024 * 1024
"""The number of bytes of JSON that all kept snapshots may have together, as far as their sizes are known."""


def _no_size(run_id: str) -> int:
    del run_id
    return -1


class CachedSnapshot(NamedTuple):
    """The snapshot of a run, and an upper bound of its size as JSON. The size is -1 if it is not known."""

    snapshot: Snapshot
    size_bytes: int = -1


class CachedSnapshots:
    """Keeps the last snapshots of long runs in memory, so that an answer or a resume need not load them again.

    Args:
        store: The store of the runs.
        size_of: A function that returns an upper bound of the size of a run's snapshot as JSON if the run is driven
            here, and otherwise -1.
    """

    def __init__(self, store: RunStore, size_of: Callable[[str], int] = _no_size) -> None:
        self._store, self._size_of = store, size_of
        self._kept: dict[str, CachedSnapshot] = {}

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._kept

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the runs whose snapshots are kept."""
        return frozenset(self._kept)

    def keep(self, snapshot: Snapshot, size_bytes: int = -1) -> None:
        """Keep a snapshot in the cache if the run waits, and if loading it again from the store would be slow.

        All steps of the snapshot must be recorded. The caller must not change the snapshot any more.

        Args:
            snapshot: The snapshot.
            size_bytes: The size of the snapshot as JSON; -1 if it is not known.
        """
        is_long = snapshot.seq >= _LONG and 0 <= size_bytes <= _MOST_BYTES
        # for example a map in which some items work while others wait
        is_asking = snapshot.status == "running" and snapshot.open_waits.count > 0
        if (snapshot.status == "waiting" or is_asking) and (is_long or snapshot.open_waits.count >= _MANY):
            self.hand_over(snapshot, size_bytes)

    def drop(self, run_id: str) -> None:
        """Forget the snapshot of a run, because the run has ended."""
        self._kept.pop(run_id, None)

    def hand_over(self, snapshot: Snapshot, size_bytes: int = -1) -> None:
        """Put a snapshot into the cache in any case, even if it is short and quickly loaded.

        This is done, for example, for a run that is about to be resumed. The caller must not use the snapshot any more.
        """
        self._kept[snapshot.run_id] = CachedSnapshot(snapshot, size_bytes)
        while len(self._kept) > _RUNS or sum(each.size_bytes for each in self._kept.values()) > _MOST_BYTES:
            del self._kept[next(iter(self._kept))]

    async def read(self, run_id: str, info: RunInfo | None = None) -> Snapshot:
        """Return the last snapshot of a run, from the cache or the store, and keep it in the cache for later callers.

        The caller must not use the snapshot after the next `await`, because another caller may take the snapshot then
        and change it.

        Args:
            run_id: The id of the run.
            info: The row of the run if the caller has just read it. With it, a kept snapshot of the last step is
                returned without reading the log.

        Raises:
            UnknownRun, StoreCorrupt: The run cannot be loaded; see `load_snapshot`.
        """
        was_kept = run_id in self._kept
        snapshot, size_bytes = await self.take(run_id, info)
        keep = self.hand_over if was_kept else self.keep
        keep(snapshot, size_bytes if size_bytes >= 0 else self._size_of(run_id))
        return snapshot

    async def take(self, run_id: str, info: RunInfo | None = None) -> CachedSnapshot:
        """Return the last snapshot of a run and remove it from the cache, so that the caller may change it.

        Args:
            run_id: The id of the run.
            info: The row of the run if the caller has just read it. It contains the number and the time of the last
                step, so a kept snapshot of this step is returned without reading the log.

        Raises:
            UnknownRun, StoreCorrupt: The run cannot be loaded; see `load_snapshot`.
        """
        kept = self._kept.pop(run_id, None)
        if kept is not None:
            snapshot = kept.snapshot
            if info is not None and (info.seq, info.updated_at) == (snapshot.seq, snapshot.now):
                return kept
            steps = await self._store.steps(run_id, snapshot.seq - 1)
            if steps and (steps[0].seq, steps[0].at) == (snapshot.seq, snapshot.now):
                try:
                    fold(steps[1:], snapshot)
                except (GraphEngineError, ValueError, LookupError):
                    pass  # loading the whole run reports the error
                else:
                    return CachedSnapshot(snapshot) if len(steps) > 1 else kept
        return CachedSnapshot(await load_snapshot(self._store, run_id, None))
