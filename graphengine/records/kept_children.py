"""Which ended child runs the run that started them can still need.

A child is needed while the visit of the node that started it goes on: the node may not have read the child's end, and
when it is tried again, it asks for the same child. A visit that is over never goes on, nor does a run that has
finished. So what was read of a run once holds for every child that it started before, and nothing is locked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.errors import UnknownRun
from graphengine.kernel.inside import FINAL, STARTS, UNREADABLE
from graphengine.kernel.reader import Recorded, Started, load_snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from graphengine.kernel.reader import Step
    from graphengine.kernel.store import EndedRun, RunInfo, Store

_AT_ONCE: Final = 1000


class _Visit(NamedTuple):
    """A visit that goes on in the run's own graph: the node, by its names before and after a migration."""

    names: tuple[str, str]
    number: int


class Starters:
    """The runs that started others, each read once.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._visits: dict[tuple[str, str], Collection[_Visit] | None] = {}  # by id and nonce

    async def needing(self, runs: Iterable[RunInfo | EndedRun]) -> dict[str, str]:
        """Return which of these runs are needed, by id, each with the run that started it and can still need it.

        A run is also needed if it cannot be seen whether it is, because a log is damaged.
        """
        starters = {info.id: (info.starter, info.starter_nonce) for info in runs if info.starter is not None}
        await self._read({*starters.values()})
        return {child: starter[0] for child, starter in starters.items() if await self._is_needed(child, starter)}

    async def _read(self, starters: Collection[tuple[str, str]]) -> None:
        """Read which visits go on in these runs: none in one that has finished, was cancelled or is not stored."""
        new = sorted(starter for starter in starters if starter not in self._visits)
        self._visits.update((starter, ()) for starter in new)
        for at in range(0, len(new), _AT_ONCE):
            for info in await self._store.infos([run_id for run_id, _ in new[at : at + _AT_ONCE]]):
                if info.status not in FINAL and (info.id, info.nonce) in starters:
                    self._visits[info.id, info.nonce] = await self._load_open_visits(info.id)

    async def _load_open_visits(self, run_id: str) -> Collection[_Visit] | None:
        """Return the visits that go on in a run's own graph; None if its log cannot be read here.

        Visits of nodes in a graph inside are parts of those.
        """
        try:
            snapshot = await load_snapshot(self._store, run_id, None)
        except UnknownRun:  # another process has removed it
            return ()
        except UNREADABLE:
            return None
        own = [frame for frame in snapshot.frames.values() if frame.sub is None and frame.kind in ("root", "arm")]
        return [_Visit((frame.at, frame.named), frame.visit) for frame in own]

    async def _is_needed(self, child: str, starter: tuple[str, str]) -> bool:
        """Return whether the visit in which a run was started may go on.

        The child's record has the visit of the node itself. In a graph inside, that says nothing of the node that is
        this graph: then any visit of that one counts.
        """
        visits = self._visits[starter]
        if not visits:
            return visits is None
        try:
            first = (await self._store.steps(child, 0, 1))[0].data
        except UnknownRun:  # another process has removed it
            return False
        except UNREADABLE:
            return True
        if not isinstance(first, Started) or first.starter is None:
            return False
        outer, _, inside = first.starter.node.partition("/")
        name, number = outer.partition("[")[0], first.starter.visit
        return any(name in visit.names and (inside or visit.number <= number) for visit in visits)


__all__ = ["Starters"]


def children_in(steps: Sequence[Step]) -> list[str]:
    """Return the runs that nodes started in these steps."""
    works = [step.data for step in steps if isinstance(step.data, Recorded) and step.data.name == STARTS]
    return [str(work.value["run_id"]) for work in works if isinstance(work.value, dict)]
