"""Find the runs that failed and were retried today, and their current status.

The row of a run in the store contains only its current status. A failure that a retry has repaired is found only in the
log. To read few logs, this module reads only the logs of runs that may have been retried. Between its failure and the
retry, such a run was not driven. Therefore the time from its beginning to its last change is longer than the time for
which it was driven. This is also true of runs that waited for a person or slept.

When the log of such a run is read for the first time, only its last 300 steps are read. Later, only its new steps are
read. A request reads at most 1,000 logs, newest runs first, and the next request continues with the others. So the logs
of many runs that only waited do not prevent older runs from being found.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from graphengine.errors import StoreError
from graphengine.kernel.reader import AttemptEnded, show, status_of
from graphengine.records.selection import error_key
from graphengine.records.trends import DAY
from graphengine.serve.read_documents import RetriedRuns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.store import RunInfo, Store

_PAGE: Final = 1000
_PAGES: Final = 20
_READ: Final = 1000
"""The maximum number of logs that are read for one request of the page."""
_BACK: Final = 7 * DAY
"""Runs that began longer than this before today are not searched, in seconds."""
_STEPS: Final = 300
_STOOD: Final = 1.0
"""A run that was not driven for more seconds than this can have been retried."""
_Failed: TypeAlias = "tuple[str, float]"
"""The error with which a run failed, as a text, and the time of the failure."""


@dataclass(slots=True)
class _RetryRecord:
    """The failures and retries in the part of a run's log that was read so far.

    When the log grows, only its new steps have to be read.

    Attributes:
        seq: The number of the last step that was read.
        failed: The last failure, if the run was not retried since.
        retried: The failure after which the run was last retried.
        at: The time of this retry.
    """

    seq: int
    failed: _Failed | None = None
    retried: _Failed | None = None
    at: float = 0.0


class RetryLog:
    """Finds the failed runs that were retried today, by reading the logs of the runs.

    What was read from a log is remembered, so that the next request reads only the new steps.

    Args:
        store: The store, limited to what the caller can see.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, float], _RetryRecord] = {}

    async def load(self, tenant: str | None, midnight: float) -> list[RetriedRuns]:
        """Return the runs that were retried today, grouped by graph and message, the largest group first."""
        found: dict[tuple[str, str], RetriedRuns] = {}
        left = _READ
        if len(self._known) > 2 * _PAGE * _PAGES:
            self._known.clear()
        for info in await self._list_still_runs(tenant, midnight):
            new = _RetryRecord(max(info.parent_seq, info.seq - _STEPS))
            read = self._known.setdefault((info.id, info.created_at), new)
            if read.seq < info.seq and left:
                left -= 1
                await self._read_log(info, read)
            if read.retried is None or read.at < midnight:
                continue
            reason, at = read.retried
            key = info.graph, error_key(reason)
            group = found.setdefault(key, RetriedRuns(info.graph, reason, key[1], 0, at, at, {}))
            group.runs += 1
            group.since, group.last = min(group.since, at), max(group.last, at)
            group.statuses = Counter(group.statuses) + Counter([status_of(info)])
        return sorted(found.values(), key=lambda each: -each.runs)

    async def _list_still_runs(self, tenant: str | None, midnight: float) -> Sequence[RunInfo]:
        """Return the runs that may have been retried today, newest first.

        A retried run is not driven between its failure and its retry. Therefore these are the runs that changed today,
        and that no process drove for some time before.
        """
        found: list[RunInfo] = []
        before: str | None = None
        since = midnight - _BACK
        for _ in range(_PAGES):
            page = await self._store.runs(
                limit=_PAGE, begun_after=since, begun_before=time.time(), tenant=tenant, before=before
            )
            for info in page:
                driven = 0.0 if info.summary is None else info.summary.seconds
                if info.updated_at >= midnight and info.updated_at - info.created_at - driven > _STOOD:
                    found.append(info)
            if len(page) < _PAGE:
                break
            before = page[-1].id
        return found

    async def _read_log(self, info: RunInfo, read: _RetryRecord) -> None:
        """Read the new steps of a run's log, and update `read`: the run's last failure, and its last retry."""
        with suppress(StoreError):  # it was removed meanwhile, or cannot be read
            for step in await self._store.steps(info.id, read.seq, info.seq):
                facts = step.data
                if isinstance(facts, AttemptEnded):
                    error = facts.error if facts.status == "failed" else None
                    text = "" if error is None else f"{error.path}: {error.kind}: {show(error.message)}"
                    read.failed = None if error is None else (text, step.at)
                elif step.kind == "resumed" and read.failed is not None:
                    read.retried, read.at = read.failed, step.at
        read.seq = info.seq


__all__ = ["RetryLog"]
