"""Telemetry as an extension of the runner. It belongs into `graphengine.telemetry`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.engine.plan import Plan
    from graphengine.runner.extensions import OpenRun
    from graphengine.stores.base import Store
    from graphengine.telemetry import RunTrace, Telemetry


class Traced:
    """Follows a run with a trace."""

    def __init__(self, trace: RunTrace, store: Store) -> None:
        self._trace, self._store = trace, store
        self.entered = trace.enter
        self.recorded = trace.seen

    @property
    def labels(self) -> Mapping[str, str]:
        """The id of the trace."""
        return {"trace_id": self._trace.trace_id}

    async def left(self) -> None:
        """End the trace."""
        await self._trace.left(self._store)


class Tracing:
    """Makes the traces of a Runner's runs."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    is_used = False

    def checked(self, plan: Plan[Any]) -> None:
        """Do nothing."""

    async def opened(self, run: OpenRun) -> Traced:
        """Begin the trace of a run."""
        facts = run.store, run.snapshot, run.info
        return Traced(await self._telemetry.trace(*facts, parent=run.parent, caller=run.caller), run.store)

    async def closed(self) -> None:
        """Do nothing."""
