"""Let workers remove old runs and steps, a few at a time, as the retention of their graphs allows."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.doors import checked
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import Retention, did_you_mean
from graphengine.records.retention import bites, rules_of, trims
from graphengine.wings import ProjectBroken

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from graphengine.kernel.store import Store
    from graphengine.wings import Settings

PASS_SECONDS: Final = 600.0
"""The time between two passes over the runs."""
_RESTS: Final = 3.0
"""After each transaction, the worker rests this many times as long as the transaction took.

In this way, the steps of runs are written without long waits for the store.
"""
_LONGEST_REST_SECONDS: Final = 1.0


def retention_in(settings: Settings) -> Retention | None:
    """Read from the settings of a project how long old runs are kept; None if the project has no such setting.

    Raises:
        ProjectBroken: The setting is invalid.
    """
    found, where = settings.table, settings.place
    repair = "write the line [tool.graphengine.retention], and below it keep_days = 30"
    if found is None:
        return None
    if not isinstance(found, dict):
        raise ProjectBroken(f"the setting retention is {found!r}, but it must be a table", where=where, repair=repair)
    names = list(Retention.__dataclass_fields__)
    for name in found.keys() - set(names):
        message = f"the table [tool.graphengine.retention] contains the unknown setting {name!r}"
        raise ProjectBroken(message, where=where, repair=did_you_mean(name, names))
    try:
        retention: Retention = checked(Retention)(**found)
    except DefinitionError as error:
        raise ProjectBroken(error.message, where=where, repair=error.repair) from error
    return retention


@dataclass(frozen=True, slots=True)
class Removed:
    """An event of a worker: old runs, or old steps of unfinished runs, were removed because of a graph's retention.

    Attributes:
        graph: The name of the graph.
        runs: The number of removed runs.
        steps: The number of removed steps of unfinished runs.
    """

    graph: str
    runs: int
    steps: int = 0


class Remover:
    """Removes old runs and old steps for one worker, as the retention of their graphs allows.

    For each graph with a retention, only one worker removes runs, so that workers do not read the same lists: the
    worker whose name comes first in alphabetical order. If a worker has just started, two workers may both believe that
    they are first. This does no harm, because the store removes a run only once.

    Args:
        store: The store.
        kept: The retention of each graph, by the name of the graph.
    """

    def __init__(self, store: Store, kept: Mapping[str, Retention]) -> None:
        self._store = store
        self._kept = kept
        self._name = uuid.uuid4().hex

    @property
    def role(self) -> Mapping[str, object]:
        """What this worker tells other workers: its name, and the graphs whose old runs it can remove.

        The workers use the announcements to agree which one of them removes the old runs of a graph.
        """
        return {"name": self._name, "removes": sorted(self._kept)} if self._kept else {}

    async def once(self, now: float) -> AsyncGenerator[Removed]:
        """Remove the old runs and the old steps of the graphs for which this worker is responsible, once.

        It is responsible for a graph if its name is the first in alphabetical order among the workers that can remove
        runs of this graph. Yields an event for each graph of which something was removed.

        Args:
            now: The present time, from which the age of runs is counted.

        Raises:
            StoreError: The store failed. Runs that were removed before the failure stay removed.
        """
        roles = [each.role for each in await self._store.owners() if each.role]
        is_any = False
        for graph, keep in self._kept.items():
            first = min((role["name"] for role in roles if graph in role.get("removes", ())), default="")
            if first != self._name:
                continue
            runs = [await _rest_between_bites(bites(self._store, rule, now)) for rule in rules_of(graph, keep)]
            steps = await _rest_between_bites(trims(self._store, graph, keep.keep_steps))
            is_any = is_any or any(runs)
            if any(runs) or steps:
                yield Removed(graph, sum(runs), steps)
        if is_any:
            await self._store.sweep()


async def _rest_between_bites(removing: AsyncGenerator[int]) -> int:
    """Remove old runs, or old steps, in small transactions with pauses between them, and return how many were removed.

    The pauses let other processes write their steps without long waits.
    """
    removed, began = 0, time.perf_counter()
    async with aclosing(removing):
        async for bite in removing:
            removed += bite
            await asyncio.sleep(min(_RESTS * (time.perf_counter() - began), _LONGEST_REST_SECONDS))
            began = time.perf_counter()
    return removed


__all__ = ["PASS_SECONDS", "Removed", "Remover", "retention_in"]
