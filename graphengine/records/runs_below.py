"""The runs below a run: those that its nodes started, and theirs. Rows of the store alone are read, level by level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.records.base_documents import Part
from graphengine.records.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel.store import RunInfo, RunStore

MOST: Final = 10_000
"""How many runs are read: of a larger tree the levels that hold the first of them count."""


class CountsBelow(Part):
    """How many runs are below a run, at any depth, and how many of them failed.

    Attributes:
        runs: How many there are in the store.
        failed: How many of them failed.
    """

    runs: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class RunsBelow:
    """The runs below some runs.

    Attributes:
        children: The runs that nodes of a run started, by its id.
    """

    children: Mapping[str, Sequence[RunInfo]]

    def each(self, run_id: str) -> Iterator[RunInfo]:
        """Yield the runs below a run, each before those below it."""
        left = [*reversed(self.children.get(run_id, ()))]
        while left:
            info = left.pop()
            yield info
            left += reversed(self.children.get(info.id, ()))

    def counts(self, run_id: str) -> CountsBelow:
        """Return how many runs are below a run, and how many of them failed."""
        statuses = [info.status for info in self.each(run_id)]
        return CountsBelow(len(statuses), statuses.count("failed"))

    def failed(self, run_id: str) -> Sequence[RunInfo]:
        """Return where it went wrong below a run: the failed runs that have no failed run below them."""
        return [
            info
            for info in self.each(run_id)
            if info.status == "failed" and not any(each.status == "failed" for each in self.each(info.id))
        ]


async def runs_below(store: RunStore, run_ids: Sequence[str]) -> RunsBelow:
    """Return the runs below these runs; those that stay when others stop are trees of their own, and not among them."""
    children: dict[str, list[RunInfo]] = {}
    seen, level = {*run_ids}, [*run_ids]
    while level and len(seen) < MOST and (found := await store.started(level)):
        for info in sorted(found, key=lambda info: (info.created_at, info.id)):
            children.setdefault(info.starter or "", []).append(info)
        level = [info.id for info in found if info.id not in seen]
        seen |= {*level}
    return RunsBelow(children)


async def runs_above(store: RunStore, info: RunInfo) -> Sequence[RunInfo]:
    """Return the runs above a run, from the top of its tree; one that was removed ends the line."""
    found: list[RunInfo] = []
    while info.starter is not None and (above := await store.infos([info.starter])):
        if above[0].nonce != info.starter_nonce:
            break  # a later run with its id
        info = above[0]
        if any(each.id == info.id for each in found):
            break
        found.insert(0, info)
    return found


def failed_words(counts: CountsBelow) -> str:
    """Return how many runs below failed; "" if none did.

    >>> failed_words(CountsBelow(12, 2)), failed_words(CountsBelow(12, 0))
    ('2 of 12 runs below failed', '')
    """
    return f"{counts.failed:,} of {counted(counts.runs, 'run')} below failed" if counts.failed else ""


__all__ = ["CountsBelow", "RunsBelow", "failed_words", "runs_above", "runs_below"]
