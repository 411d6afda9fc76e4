"""What the runs of a store wait for."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from graphengine.errors import UnknownRun
from graphengine.kernel.inside import UNREADABLE, find_posted
from graphengine.kernel.reader import Wait, show
from graphengine.kernel.store import summary_of
from graphengine.records.now import load_now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.reader import Snapshot
    from graphengine.kernel.store import RunInfo, RunStore


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


async def as_answered(store: RunStore, runs: Sequence[RunInfo]) -> list[RunInfo]:
    """Return the rows of a list with summaries in which only the waits count that have no answer yet."""
    waiting = [info.id for info in runs if info.status == "waiting"]
    inbox = await store.inbox(waiting) if waiting else ()
    found: dict[str, RunInfo] = {}
    for info in runs if inbox else ():
        if info.status == "waiting" and find_posted(inbox, info.id):
            with suppress(UnknownRun, *UNREADABLE):  # it was removed meanwhile, or cannot be read here
                found[info.id] = replace(info, summary=summary_of(await load_now(store, info.id), info.status))
    return [found.get(info.id, info) for info in runs]
