"""How waiting runs resume after their graph was changed.

A run is recorded with the spec of its graph at that time. If the graph has changed when the run resumes, this package
decides whether the run still fits it. `Migrations` is the extension that the runner asks. `GraphFit`, in
`compatibility`, holds the changes that the resume must record, and a list of `Mismatch`es, which are the reasons why
the run cannot continue.

Each entry of `Graph(migrate={1: …})` is a migration. It leads a run from one version of the graph to the next: it
changes the fields of the state, and renames or moves nodes. `apply` carries the migrations out, `positions` checks the
place in the graph where each frame is, and `draft` writes a proposal for `migrate=`.
"""

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
    """Lets a run continue after its graph has changed. This is an extension of the Runner.

    Before a run resumes, the extension checks whether the run fits today's graph, and applies the graph's migrations.
    """

    _warned: frozenset[tuple[str, int, str]] = frozenset()  # a run is checked both before it is claimed and after that

    def fitted(self, plan: Plan[Any], snapshot: Snapshot, graph_spec: GraphSpec | None) -> tuple[Shift, Snapshot]:
        """Compute what must change in a recorded run so that the run can continue in today's graph.

        Returns:
            The changes that the resume must record, and the snapshot of the run after these changes.

        Raises:
            GraphChanged: The run does not fit the plan.
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
        """Return the recorded state of a run, converted to the state of today's graph.

        Raises:
            GraphChanged: The state does not fit, or no migration leads to today's version.
        """
        from graphengine.migration import compatibility  # noqa: PLC0415 - few runs need it

        values, left = compatibility.migrate_state(plan, snapshot, graph_spec)
        self._warn(plan, snapshot, left)
        return values

    def _warn(self, plan: Plan[Any], snapshot: Snapshot, left: Sequence[Mismatch]) -> None:
        """Log a warning about recorded values that have no place in today's state, so that they are not lost silently.

        For a run, the warning is logged once for each step at which the run is. A recorded input has no step. Its
        warning is therefore logged every time a run is started from the input.
        """
        key = (snapshot.run_id, snapshot.seq, plan.fingerprint)
        for each in left if key not in self._warned else ():
            self._warned |= {key} if snapshot.seq else frozenset()
            repair = f"; if it was renamed: {each.migration}" if each.code.startswith("field_") else ""
            log.warning("run %s: %s%s", snapshot.run_id, RunText(each.text), repair)


__all__ = ["Migrations"]
