"""Which of the recorded runs are meant: by status, graph, tag and age; and what is said where none are."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from graphengine.stores.base import RunInfo, Status, Store

_PAGE: Final = 200
_ONLY_SEEN: Final = ("running", "interrupted")
"""Statuses that the store holds as one: whether a driver is alive tells them apart."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What runs are asked for; None where something does not matter.

    Attributes:
        limit: The most runs.
        status: As people see it, `interrupted` among them.
        graph: The name of their graph.
        tag: A word that they are marked with.
        older_seconds: Their last step must lie at least so far back.
        newer_seconds: Their last step must not lie further back.
    """

    limit: int
    status: str | None = None
    graph: str | None = None
    tag: str | None = None
    older_seconds: float | None = None
    newer_seconds: float | None = None

    def __str__(self) -> str:
        """The wishes as they stand behind `no runs`; "" where there are none."""
        named = (("status", self.status), ("graph", self.graph), ("tag", self.tag))
        told = " and".join(f" with {name} {given}" for name, given in named if given)
        told += " whose last step is older" if self.older_seconds is not None else ""
        return told + (" whose last step is newer" if self.newer_seconds is not None else "")

    def fits(self, info: RunInfo, now: float) -> bool:
        """Whether a run that the store gave is wanted."""
        old = now - info.updated_at
        return (
            (self.status is None or status_of(info) == self.status)
            and (self.older_seconds is None or old >= self.older_seconds)
            and (self.newer_seconds is None or old <= self.newer_seconds)
        )


def status_of(info: RunInfo) -> str:
    """A run's status as people see it: one that nobody drives any more is interrupted."""
    return "interrupted" if info.status == "running" and info.driver is None else info.status


async def newest(store: Store, wanted: Wanted) -> Sequence[RunInfo]:
    """The newest runs that are wanted.

    Raises:
        StoreError: They cannot be read.
    """
    found: list[RunInfo] = []
    now = time.time()
    async for info in _all(store, wanted):
        if wanted.fits(info, now):
            found.append(info)
            if len(found) == wanted.limit:
                break
    return found


async def _all(store: Store, wanted: Wanted) -> AsyncIterator[RunInfo]:
    """The runs that the store can tell to be wanted, page by page."""
    status = cast("Status | None", "running" if wanted.status in _ONLY_SEEN else wanted.status)
    before: str | None = None
    while True:
        page = await store.runs(limit=_PAGE, status=status, graph=wanted.graph, tag=wanted.tag, before=before)
        for info in page:
            yield info
        if len(page) < _PAGE:
            return
        before = page[-1].id


async def hint_of(store: Store, wanted: Wanted) -> str:
    """What may have been meant where no run is wanted; "" where the words that were given are known ones."""
    from graphengine.state.path import did_you_mean

    graphs: set[str] = set()
    tags: set[str] = set()
    async for info in _all(store, Wanted(wanted.limit)):
        graphs.add(info.graph)
        tags.update(info.tags)
    for what, given, known in (("graph", wanted.graph, graphs), ("tag", wanted.tag, tags)):
        if given and known and given not in known:
            return f"no run has the {what} {given!r}; {did_you_mean(given, known)}"
    return ""
