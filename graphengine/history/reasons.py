"""Find out why recorded steps took their edges, with the graph specs that the store keeps."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from graphengine.engine.reasons import fingerprint_after, fingerprint_in, ways_of, why_of
from graphengine.engine.steps import outcome_of
from graphengine.errors import StoreError
from graphengine.history.load import graph_spec_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphengine.engine.graph_spec import GraphSpec
    from graphengine.engine.steps import Step
    from graphengine.stores.base import RunStore


async def load_specs(store: RunStore, steps: Iterable[Step], *more: str) -> Mapping[str, GraphSpec]:
    """Load the graph descriptions of all graph versions under which these steps were recorded, by fingerprint.

    Versions that cannot be read are left out.

    Args:
        store: The store of the run.
        steps: Steps of the run.
        more: The fingerprint that was in force before the first step, if the steps do not begin with the run's start.
    """
    wanted = {fingerprint_after(step) for step in steps}
    found: dict[str, GraphSpec] = {}
    for fingerprint in sorted({*wanted, *more} - {""}):
        with suppress(StoreError):  # Without the spec, the reasons contain only the measured values.
            spec = await graph_spec_of(store, fingerprint)
            if spec is not None:
                found[fingerprint] = spec
    return found


class StepReasons:
    """Explains in words why a stored run took its edges, one step at a time.

    Args:
        store: The store of the run.
        run_id: The id of the run.
    """

    def __init__(self, store: RunStore, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self._seq, self._fingerprint = 0, ""  # The last step that was asked for, and the fingerprint after this step.
        self._specs: dict[str, GraphSpec | None] = {}

    async def why(self, step: Step) -> str:
        """Return why the run took the edge at this step, in words; "" if the step took no edge.

        Calls are faster if the steps are passed in their order, because each step shows under which graph the next one
        was recorded.
        """
        if step.seq != self._seq + 1:
            self._fingerprint = ""
        self._seq, self._fingerprint = step.seq, fingerprint_after(step) or self._fingerprint
        outcome = outcome_of(step)
        if not outcome.to:
            return ""
        fingerprint = self._fingerprint = self._fingerprint or await self._in_force(step.seq)
        if fingerprint not in self._specs:
            self._specs[fingerprint] = (await load_specs(self._store, (), fingerprint)).get(fingerprint)
        return why_of(outcome, ways_of(self._specs[fingerprint], step))

    async def _in_force(self, seq: int) -> str:
        """Return the fingerprint of the graph under which a step was recorded."""
        loaded = await self._store.load(self._run_id, seq)
        recorded = (found for step in reversed(loaded.steps) if (found := fingerprint_after(step)))
        return next(recorded, fingerprint_in(loaded.snapshot or b"{}"))
