"""Retention: workers remove the runs and steps that their graphs no longer keep, a few at a time."""

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
"""How long after one pass over the runs the next one begins."""
_RESTS: Final = 3.0
"""How many times as long as a bite took it rests, so that steps find the store free."""
_LONGEST_REST_SECONDS: Final = 1.0


def retention_in(settings: Settings) -> Retention | None:
    """Return how long a project keeps runs; None if it does not say.

    Raises:
        ProjectBroken: The setting cannot be used.
    """
    found, where = settings.table, settings.place
    repair = "write [tool.graphengine.retention] and below it keep_days = 30"
    if found is None:
        return None
    if not isinstance(found, dict):
        raise ProjectBroken(f"retention is {found!r}, not a table", where=where, repair=repair)
    known = list(Retention.__dataclass_fields__)
    for name in found.keys() - set(known):
        message = f"[tool.graphengine.retention] has {name} = …, which is not read"
        raise ProjectBroken(message, where=where, repair=did_you_mean(name, known))
    try:
        made: Retention = checked(Retention)(**found)
    except DefinitionError as error:
        raise ProjectBroken(error.message, where=where, repair=error.repair) from error
    return made


@dataclass(frozen=True, slots=True)
class Removed:
    """Runs, or steps of runs that go on, were removed that the retention of their graph no longer keeps.

    Attributes:
        graph: The graph.
        runs: How many runs.
        steps: How many steps of runs that go on.
    """

    graph: str
    runs: int
    steps: int = 0


class Remover:
    """Removes runs for one worker.

    Of the workers that keep a graph's runs for a time, the one whose name comes first removes them: so they do not read
    the same lists. Two that both believe to be first, because one has just started, do no harm: the store removes a run
    once.

    Args:
        store: The store.
        kept: How long the runs of each graph are kept.
    """

    def __init__(self, store: Store, kept: Mapping[str, Retention]) -> None:
        self._store = store
        self._kept = kept
        self._name = uuid.uuid4().hex

    @property
    def role(self) -> Mapping[str, object]:
        """What `graphengine workers` and other workers see of it; nothing if no graph's runs are kept for a time."""
        return {"name": self._name, "removes": sorted(self._kept)} if self._kept else {}

    async def once(self, now: float) -> AsyncGenerator[Removed]:
        """Make one pass over the runs of all graphs for which this worker comes first.

        Raises:
            StoreError: The store failed. What was removed until then stays removed.
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
    """Return how much was removed, with a rest after each bite."""
    removed, began = 0, time.perf_counter()
    async with aclosing(removing):
        async for bite in removing:
            removed += bite
            await asyncio.sleep(min(_RESTS * (time.perf_counter() - began), _LONGEST_REST_SECONDS))
            began = time.perf_counter()
    return removed


__all__ = ["PASS_SECONDS", "Removed", "Remover", "retention_in"]
