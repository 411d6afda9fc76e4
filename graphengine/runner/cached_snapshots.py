"""Snapshots of runs that take long to load, so that an answer or a resume in the same process reads only news.

A run with 3,000 open questions takes 50 ms to load, and an answer changes one of them; of a conversation up to 250
steps are folded for each turn, which adds seven. A Runner therefore keeps the last snapshot of such a run, and reads
the steps since from the log, beginning with the snapshot's own last step. If that is another step, the run was removed
and recorded again, and is loaded as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.engine.fold import fold
from graphengine.errors import GraphEngineError
from graphengine.history.load import load_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.engine.snapshot import Snapshot
    from graphengine.stores.base import RunStore

_MANY: Final = 64
"""How many open waits make a run worth keeping. Loading it takes about a millisecond then."""
_LONG: Final = 9
"""A waiting run with at least this many steps is kept, unless its snapshot is too large or of unknown size. The first
turn of a chat records this many steps."""
_RUNS: Final = 16
"""Of how many runs to keep the snapshots: those used last."""
_MOST_BYTES: Final = _RUNS * 1024 * 1024
"""How many bytes of JSON those may have together, as far as that is known."""


def _no_size(run_id: str) -> int:
    del run_id
    return -1


class CachedSnapshot(NamedTuple):
    """A loaded snapshot, and an upper bound of its size as JSON; -1 if that is unknown."""

    snapshot: Snapshot
    size_bytes: int = -1


class CachedSnapshots:
    """The kept snapshots of one Runner.

    Args:
        store: The store of the runs.
        size_of: Returns an upper bound of the size of a run's snapshot as JSON, if the run is driven here; else -1.
    """

    def __init__(self, store: RunStore, size_of: Callable[[str], int] = _no_size) -> None:
        self._store, self._size_of = store, size_of
        self._kept: dict[str, CachedSnapshot] = {}

    def __contains__(self, run_id: str) -> bool:
        """Return whether the snapshot of a run is kept."""
        return run_id in self._kept

    @property
    def ids(self) -> frozenset[str]:
        """The runs that have a kept snapshot."""
        return frozenset(self._kept)

    def keep(self, snapshot: Snapshot, size_bytes: int = -1) -> None:
        """Keep a snapshot whose steps are all recorded, if that is worth it. Its caller must not change it any more."""
        is_long = snapshot.seq >= _LONG and 0 <= size_bytes <= _MOST_BYTES
        is_asking = snapshot.status == "running" and snapshot.open_waits.count > 0  # as a map, some of whose items work
        if (snapshot.status == "waiting" or is_asking) and (is_long or snapshot.open_waits.count >= _MANY):
            self.hand_over(snapshot, size_bytes)

    def drop(self, run_id: str) -> None:
        """Forget the snapshot of a run that has ended."""
        self._kept.pop(run_id, None)

    def hand_over(self, snapshot: Snapshot, size_bytes: int = -1) -> None:
        """Keep a snapshot that was just loaded for a run that is about to be resumed. Its caller must not use it."""
        self._kept[snapshot.run_id] = CachedSnapshot(snapshot, size_bytes)
        while len(self._kept) > _RUNS or sum(each.size_bytes for each in self._kept.values()) > _MOST_BYTES:
            del self._kept[next(iter(self._kept))]

    async def read(self, run_id: str) -> Snapshot:
        """Return the last snapshot of a run, to be read before the next `await`.

        Raises:
            UnknownRun, StoreCorrupt: As `load_snapshot`.
        """
        was_kept = run_id in self._kept
        snapshot, size_bytes = await self.take(run_id)
        keep = self.hand_over if was_kept else self.keep
        keep(snapshot, size_bytes if size_bytes >= 0 else self._size_of(run_id))
        return snapshot

    async def take(self, run_id: str) -> CachedSnapshot:
        """Return the last snapshot of a run for the caller alone, which may change it.

        Raises:
            UnknownRun, StoreCorrupt: As `load_snapshot`.
        """
        kept = self._kept.pop(run_id, None)
        if kept is not None:
            snapshot = kept.snapshot
            steps = await self._store.steps(run_id, snapshot.seq - 1)
            if steps and (steps[0].seq, steps[0].at) == (snapshot.seq, snapshot.now):
                try:
                    fold(steps[1:], snapshot)
                except (GraphEngineError, ValueError, LookupError):
                    pass  # loading the whole reports it
                else:
                    return CachedSnapshot(snapshot) if len(steps) > 1 else kept
        return CachedSnapshot(await load_snapshot(self._store, run_id, None))
