"""The waits of many runs: questions, messages and times, each together with its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphengine.kernel.reader import Wait, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.reader import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWait(Wait):
    """What a run waits for (a question, a message or a time), with the run that waits.

    Attributes:
        run_id: The id of the run.
        graph: The name of the run's graph.
        since: When the wait began, epoch seconds.
    """

    run_id: str
    graph: str
    since: float


def run_waits_of(snapshot: Snapshot) -> Sequence[RunWait]:
    """Return the questions, messages and times for which a run waits.

    A question whose answer is already stored is left out.
    """
    at: Any = {"run_id": snapshot.run_id, "graph": snapshot.graph}
    return [
        RunWait(n, w.kind, show(w.question), w.schema, w.topic, w.due, None, *beside, since=frame.since, **at)
        for frame in snapshot.frames.values()
        for n, w in frame.waits.items()
        for beside in [(w.facts, w.proposed, w.old, w.id)]
        if w.id not in snapshot.posted
    ]
