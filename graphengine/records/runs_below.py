"""Find the runs below a run: the child runs that its nodes started, their child runs, and so on.

Only rows of the store are read, with one query for each level of the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.records.base_documents import Part
from graphengine.records.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel.store import RunInfo, RunStore

MOST: Final = 10_000
"""The levels of a tree are read until so many runs have been found. The deeper levels of a larger tree are left out."""


class CountsBelow(Part):
    """The number of runs below a run, and how many of them failed.

    The runs below are the child runs that its nodes started, their child runs, and so on.

    Attributes:
        runs: The number of runs below that are in the store.
        failed: How many of these runs failed.
    """

    runs: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class RunsBelow:
    """The trees of child runs below several runs.

    Attributes:
        children: The child runs that nodes of a run started, by the id of that run.
    """

    children: Mapping[str, Sequence[RunInfo]]

    def each(self, run_id: str) -> Iterator[RunInfo]:
        """Yield all runs below a run: its child runs, their child runs, and so on.

        Each run comes before its own child runs.
        """
        left = [*reversed(self.children.get(run_id, ()))]
        while left:
            info = left.pop()
            yield info
            left += reversed(self.children.get(info.id, ()))

    def counts(self, run_id: str) -> CountsBelow:
        """Count the runs below a run, and the failed runs among them."""
        statuses = [info.status for info in self.each(run_id)]
        return CountsBelow(len(statuses), statuses.count("failed"))

    def failed(self, run_id: str) -> Sequence[RunInfo]:
        """Return the runs below a run in which a failure began.

        These are the failed runs below which no other run failed.
        """
        return [
            info
            for info in self.each(run_id)
            if info.status == "failed" and not any(each.status == "failed" for each in self.each(info.id))
        ]


async def runs_below(store: RunStore, run_ids: Sequence[str]) -> RunsBelow:
    """Read the child runs of some runs, their child runs, and so on.

    Runs that a node started to continue independently, even if their starter stops, are left out.
    """
    children: dict[str, list[RunInfo]] = {}
    known_ids, level = {*run_ids}, [*run_ids]
    while level and len(known_ids) < MOST and (found := await store.started(level)):
        for info in sorted(found, key=lambda info: (info.created_at, info.id)):
            children.setdefault(info.starter or "", []).append(info)
        level = [info.id for info in found if info.id not in known_ids]
        known_ids |= {*level}
    return RunsBelow(children)


async def runs_above(store: RunStore, info: RunInfo) -> Sequence[RunInfo]:
    """Return the runs above a run: the run that started it, the starter of that run, and so on.

    The topmost run comes first. The list ends at a run whose starter was removed from the store.
    """
    found: list[RunInfo] = []
    while info.starter is not None and (above := await store.infos([info.starter])):
        if above[0].nonce != info.starter_nonce:
            break  # This is a later run that has the id of the removed starter.
        info = above[0]
        if any(each.id == info.id for each in found):
            break
        found.insert(0, info)
    return found


def failed_words(counts: CountsBelow) -> str:
    """Return how many runs below a run failed, in words; "" if no run failed.

    >>> failed_words(CountsBelow(12, 2)), failed_words(CountsBelow(12, 0))
    ('2 of 12 runs below failed', '')
    """
    return f"{counts.failed:,} of {counted(counts.runs, 'run')} below failed" if counts.failed else ""


__all__ = ["CountsBelow", "RunsBelow", "failed_words", "runs_above", "runs_below"]
