"""What the runs of a store wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphengine.history.load import Wait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.snapshot import Snapshot


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
    of_run = {"run_id": snapshot.run_id, "graph": snapshot.graph}
    return [
        RunWait(name, each.kind, each.question, each.schema, each.topic, each.due, None, since=frame.since, **of_run)
        for frame in snapshot.frames.values()
        for name, each in frame.waits.items()
        if each.id not in snapshot.posted
    ]
