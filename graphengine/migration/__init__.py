"""Resuming waiting runs under a changed graph: what migrations do to them, and whether they fit then."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from graphengine.kernel.extension import Extension

if TYPE_CHECKING:
    from graphengine.kernel.extension import Plan
    from graphengine.kernel.inside import Shift
    from graphengine.kernel.reader import GraphSpec, Snapshot

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
        key = (snapshot.run_id, snapshot.seq, plan.fingerprint)
        for each in found.left if key not in self._warned else ():
            self._warned |= {key}
            log.warning("run %s: %s; if it was renamed: %s", snapshot.run_id, each.text, each.migration)
        return found.shift, found.after


__all__ = ["Migrations"]
