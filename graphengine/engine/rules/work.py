"""Recorded work: the results of a node's recorded calls, and the start of an attempt that needs consent to repeat.

A node that runs again finds these results under the keys of its calls, until its visit ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.engine.size_limits import added
from graphengine.engine.steps import Begun, Decided, Recorded

if TYPE_CHECKING:
    from graphengine.engine.events import NodeBegun, WorkDone
    from graphengine.engine.lookup import RunState
    from graphengine.engine.snapshot import Snapshot


def node_begun(snapshot: Snapshot, event: NodeBegun) -> Decided:
    """Return the step that records the start of an attempt, before it runs."""
    return Decided(snapshot.seq + 1, event.now, Begun(), *event[:4])


def work_done(run: RunState, event: WorkDone) -> Decided:
    """Return the step that records a piece of work, which the node gets back if it runs again."""
    facts = Recorded(
        key=event.key,
        name=event.name,
        value=event.value,
        usage=event.usage or {},
        by=event.by,
        said=event.said or {},
    )
    weight = added(run, event.size_bytes)
    return Decided(run.snapshot.seq + 1, event.now, facts, *event[:5], weight=weight)
