"""Recorded work: pieces of a node's work, and the start of an attempt that must not be repeated unasked.

A node that runs again finds what it recorded, under the keys of its calls, until its visit ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.engine.size_limits import added
from graphengine.engine.steps import Begun, Recorded, Step

if TYPE_CHECKING:
    from graphengine.engine.events import NodeBegun, WorkDone
    from graphengine.engine.snapshot import Snapshot


def node_begun(snapshot: Snapshot, event: NodeBegun) -> Step:
    """The start of an attempt, before it starts."""
    return Step(snapshot.seq + 1, event.now, Begun(), *event[:4])


def work_done(snapshot: Snapshot, event: WorkDone) -> Step:
    """A piece of a node's work, to be given again when the node runs again."""
    facts = Recorded(
        key=event.key,
        name=event.name,
        value=event.value,
        usage=event.usage or {},
        by=event.by or {},
        said=event.said or {},
    )
    weight = added(snapshot, event.size_bytes)
    return Step(snapshot.seq + 1, event.now, facts, *event[:5], weight=weight)
