"""Decide which ended child runs must be kept because the run that started them, the *starter*, can still need them.

A child is needed while the visit of the node that started it continues. The node may not have read the child's result
yet, and when the node is tried again, it asks for the same child. A visit that has ended never continues, and neither
does a run that has finished. Therefore a starter needs to be read only once, without a lock: a child that is not needed
at that time will not be needed later.
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
    """A visit of a node that has not ended, at which the run may still use the result of a child run.

    The node belongs to the run's own graph, and not to a graph inside a node.

    Attributes:
        names: The present name of the node, and the name that the node had when the visit began if a changed graph has
            renamed it since.
        number: The number of the visit of this node, from 1.
    """

    names: tuple[str, str]
    number: int


class Starters:
    """Finds out which child runs can still be needed by the runs that started them (their starters).

    A child run that is needed must not be removed. Each starter is read only once.

    Args:
        store: The store of the runs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._visits: dict[tuple[str, str], Collection[_Visit] | None] = {}  # by id and nonce

    async def needing(self, runs: Iterable[RunInfo | EndedRun]) -> dict[str, str]:
        """Return which of these child runs must be kept for the runs that started them (their starters).

        The keys of the result are the ids of the child runs, and the values are the ids of their starters. If a log is
        damaged so that the question cannot be decided, the child run counts as needed.
        """
        starters = {info.id: (info.starter, info.starter_nonce) for info in runs if info.starter is not None}
        await self._read({*starters.values()})
        return {child: starter[0] for child, starter in starters.items() if await self._is_needed(child, starter)}

    async def _read(self, starters: Collection[tuple[str, str]]) -> None:
        """Read from the store which visits of nodes have not ended, for those of the given runs that were not read yet.

        The runs are starters of child runs. Each is given by its id and nonce. A run that has finished, was cancelled
        or is not stored has no such visits.
        """
        new = sorted(starter for starter in starters if starter not in self._visits)
        self._visits.update((starter, ()) for starter in new)
        for at in range(0, len(new), _AT_ONCE):
            for info in await self._store.infos([run_id for run_id, _ in new[at : at + _AT_ONCE]]):
                if info.status not in FINAL and (info.id, info.nonce) in starters:
                    self._visits[info.id, info.nonce] = await self._load_open_visits(info.id)

    async def _load_open_visits(self, run_id: str) -> Collection[_Visit] | None:
        """Return the visits of a run that have not ended; None if this process cannot read the log.

        A node that runs a graph of its own counts as one visit. The visits inside that graph are not listed.
        """
        try:
            snapshot = await load_snapshot(self._store, run_id, None)
        except UnknownRun:  # Another process has removed the run.
            return ()
        except UNREADABLE:
            return None
        own = [frame for frame in snapshot.frames.values() if frame.sub is None and frame.kind in ("root", "arm")]
        return [_Visit((frame.at, frame.named), frame.visit) for frame in own]

    async def _is_needed(self, child: str, starter: tuple[str, str]) -> bool:
        """Return whether a starter may still need a child run, because the visit that started the child may continue.

        The first step of the child records this visit. If the node is in a graph inside another node, the record does
        not say which visit of the outer node it was. Then any visit of the outer node counts.
        """
        visits = self._visits[starter]
        if not visits:
            return visits is None
        try:
            first = (await self._store.steps(child, 0, 1))[0].data
        except UnknownRun:  # Another process has removed the child.
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
    """Return the ids of the runs that nodes started in these steps."""
    works = [step.data for step in steps if isinstance(step.data, Recorded) and step.data.name == STARTS]
    return [str(work.value["run_id"]) for work in works if isinstance(work.value, dict)]
