"""What the runs of a store wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphengine.kernel.reader import Wait, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.reader import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWait(Wait):
    """Something that one of many runs waits for.

    Attributes:
        run_id: The run.
        graph: The name of its graph.
        since: When it began to wait for it, epoch seconds.
    """

    run_id: str
    graph: str
    since: float


def run_waits_of(snapshot: Snapshot) -> Sequence[RunWait]:
    """Return all waits of a run, with the run, but not those that are answered."""
    at: Any = {"run_id": snapshot.run_id, "graph": snapshot.graph}
    return [
        RunWait(n, w.kind, show(w.question), w.schema, w.topic, w.due, None, *beside, since=frame.since, **at)
        for frame in snapshot.frames.values()
        for n, w in frame.waits.items()
        for beside in [(w.facts, w.proposed, w.old, w.id)]
        if w.id not in snapshot.posted
    ]
