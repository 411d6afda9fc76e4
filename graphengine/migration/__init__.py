"""Resuming waiting runs under a changed graph: what migrations do to them, and whether they fit then."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from graphengine.errors import RunText
from graphengine.kernel.extension import Extension

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.extension import JsonValue, Plan
    from graphengine.kernel.inside import Shift
    from graphengine.kernel.reader import GraphSpec, Snapshot
    from graphengine.migration.positions import Mismatch

log = logging.getLogger("graphengine.runner")


class Migrations(Extension):
    """Lets runs that were recorded under another form of their graph continue, if they fit it or can be migrated."""

    _warned: frozenset[tuple[str, int, str]] = frozenset()  # a run is looked at before it is claimed, and after

    def fitted(self, plan: Plan[Any], snapshot: Snapshot, graph_spec: GraphSpec | None) -> tuple[Shift, Snapshot]:
        """Return the changes with which a run continues under this plan, and its snapshot after them.

        Raises:
            GraphChanged: It does not fit the plan.
        """
        from graphengine.migration import compatibility  # noqa: PLC0415 - few runs need it

        found = compatibility.field_changes(plan, snapshot, graph_spec)
        if found.mismatches:
            raise compatibility.mismatch_error(plan, snapshot, found)
        self._warn(plan, snapshot, found.left)
        return found.shift, found.after

    def migrate_state(
        self, plan: Plan[Any], snapshot: Snapshot, graph_spec: GraphSpec | None
    ) -> Mapping[str, JsonValue]:
        """Return the state of a run as today's graph has it.

        Raises:
            GraphChanged: It does not fit, or no migration leads to today's version.
        """
        from graphengine.migration import compatibility  # noqa: PLC0415 - few runs need it

        values, left = compatibility.migrate_state(plan, snapshot, graph_spec)
        self._warn(plan, snapshot, left)
        return values

    def _warn(self, plan: Plan[Any], snapshot: Snapshot, left: Sequence[Mismatch]) -> None:
        """Say in the log what a run leaves behind, once for each step and graph.

        A recorded input has no step, so that its losses are logged whenever a run is started with it.
        """
        key = (snapshot.run_id, snapshot.seq, plan.fingerprint)
        for each in left if key not in self._warned else ():
            self._warned |= {key} if snapshot.seq else frozenset()
            repair = f"; if it was renamed: {each.migration}" if each.code.startswith("field_") else ""
            log.warning("run %s: %s%s", snapshot.run_id, RunText(each.text), repair)


__all__ = ["Migrations"]
