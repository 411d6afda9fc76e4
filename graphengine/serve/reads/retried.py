"""Find the runs that failed today and were retried, and how they stand now.

The summary of a run shows only how the run stands now. A failure that a retry has repaired is found only in the log. To
read few logs, this module looks only at runs that can have been retried. Such a run stood still between its failure and
the retry, so more time has passed from its beginning to its last change than the run was driven. Of the log of such a
run, the last 300 steps are read. When the run is looked at again, only its new steps are read.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from graphengine.errors import StoreError
from graphengine.kernel.reader import AttemptEnded, show, status_of
from graphengine.records.selection import likeness
from graphengine.serve.read_documents import RetriedRuns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.store import RunInfo, Store

_PAGE: Final = 1000
_PAGES: Final = 20
_READ: Final = 1000
"""How many logs are read: those of the newest runs."""
_STEPS: Final = 300
_STOOD: Final = 1.0
"""A run that stood still for more seconds than this can have been retried."""
_Failed: TypeAlias = "tuple[str, float] | None"
"""The error with which a run failed, as a text, and the time of the failure."""


class RetryLog:
    """The runs of a store that were retried.

    Args:
        store: The store, as the caller can read it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, float], tuple[int, _Failed, _Failed]] = {}

    async def load(self, tenant: str | None, midnight: float) -> list[RetriedRuns]:
        """Return the runs that failed today and were retried, grouped by graph and message, the largest group first."""
        found: dict[tuple[str, str], RetriedRuns] = {}
        for info in await self._list_still_runs(tenant, midnight):
            failed = await self._load_failure(info)
            if failed is None:
                continue
            reason, at = failed
            key = info.graph, likeness(reason)
            group = found.setdefault(key, RetriedRuns(info.graph, reason, key[1], 0, at, at, {}))
            group.runs += 1
            group.since, group.last = min(group.since, at), max(group.last, at)
            group.statuses = Counter(group.statuses) + Counter([status_of(info)])
        return sorted(found.values(), key=lambda each: -each.runs)

    async def _list_still_runs(self, tenant: str | None, midnight: float) -> Sequence[RunInfo]:
        """Return the newest runs of today that stood idle for a while and then went on."""
        found: list[RunInfo] = []
        before: str | None = None
        for _ in range(_PAGES):
            page = await self._store.runs(
                limit=_PAGE, begun_after=midnight, begun_before=time.time(), tenant=tenant, before=before
            )
            for info in page:
                driven = 0.0 if info.summary is None else info.summary.seconds
                if info.updated_at - info.created_at - driven > _STOOD and info.status != "waiting":
                    found.append(info)
            if len(page) < _PAGE or len(found) >= _READ:
                break
            before = page[-1].id
        return found[:_READ]

    async def _load_failure(self, info: RunInfo) -> tuple[str, float] | None:
        """Return the error before the last retry of a run, and its time; None if the run was not retried."""
        key = info.id, info.created_at
        if len(self._known) > 2 * _READ:
            self._known.clear()
        seq, failed, retried = self._known.get(key, (max(info.parent_seq, info.seq - _STEPS), None, None))
        if seq < info.seq:
            with suppress(StoreError):  # it was removed meanwhile, or cannot be read
                for step in await self._store.steps(info.id, seq, info.seq):
                    facts = step.data
                    if isinstance(facts, AttemptEnded):
                        error = facts.error if facts.status == "failed" else None
                        text = "" if error is None else f"{error.path}: {error.kind}: {show(error.message)}"
                        failed = None if error is None else (text, step.at)
                    elif step.kind == "resumed" and failed is not None:
                        retried = failed
        self._known[key] = info.seq, failed, retried
        return retried


__all__ = ["RetryLog"]
