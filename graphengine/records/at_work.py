"""Describe what a running run is doing: its nodes at work and since when, its last recorded step, and its process.

Everything is read from the store. The log records when each attempt could begin, and the store records the host and the
number of each live process. The process itself is not asked, so that a process that hangs can be described as well.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence  # noqa: TC003 - msgspec reads them
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from graphengine.errors import UnknownRun
from graphengine.kernel.inside import UNREADABLE, ready
from graphengine.kernel.reader import load_snapshot, path_of
from graphengine.records.base_documents import Part
from graphengine.records.words import counted, seconds

if TYPE_CHECKING:
    from graphengine.kernel.reader import Snapshot, Step
    from graphengine.kernel.store import RunInfo, Store

_MOST: Final = 20
"""How many runs and how many nodes of a run are described. A map can have thousands of items at work."""
_RECENT: Final = 200
"""How many of the last steps are read, to find when an attempt started again."""
_WITHIN: Final = ("begun", "recorded", "refused")
"""The kinds of steps that an attempt records while it runs. A step of any other kind begins a new attempt."""
_LISTED: Final = 3


class NodeAtWork(Part):
    """A node whose function is running, or whose next attempt is due soon.

    Attributes:
        path: The path of the node, such as `article/review` or `pieces[3]`.
        node: The name of the node.
        visit: The number of the visit of the node, from 1.
        attempt: The number of the attempt of the visit, from 1.
        since: When this attempt began, epoch seconds.
        due: When this attempt will begin, if a retry has to wait; null if the attempt has begun.
    """

    path: str
    node: str
    visit: int
    attempt: int
    since: float
    due: float | None


class LastStep(Part):
    """The last step that a run has recorded.

    Attributes:
        seq: The number of the step.
        kind: The kind of the step, as the log names it.
        path: The path of the node; "" for the run itself.
        at: When the step was recorded, epoch seconds.
        age_seconds: How many seconds ago the step was recorded.
    """

    seq: int
    kind: str
    path: str
    at: float
    age_seconds: float


class DrivingProcess(Part):
    """The process that executes a run, as `graphengine workers` lists it.

    Attributes:
        host: The name of the host on which the process runs.
        pid: The number of the process on its host.
    """

    host: str
    pid: int


class AtWork(Part):
    """What a run is doing now, for a run that a process drives.

    Attributes:
        nodes: The nodes at work, at most 20.
        more: How many more nodes are at work.
        last_step: The last step that the run recorded.
        process: The process that drives the run. Null if the caller has a tenant, or if the process has just ended.
    """

    nodes: Sequence[NodeAtWork]
    more: int
    last_step: LastStep
    process: DrivingProcess | None


async def load_at_work(
    store: Store, runs: Sequence[RunInfo], snapshots: Mapping[str, Snapshot] | None = None
) -> Mapping[str, AtWork]:
    """Return what runs are doing now, by their ids. Only the first 20 runs that a live process drives are included.

    The function reads the snapshot and the last steps of each run, which takes some milliseconds if the state is large.

    Args:
        store: The store of the runs.
        runs: The rows of the runs.
        snapshots: Snapshots that the caller has already loaded, by the id of the run.
    """
    moving = [info for info in runs if info.status == "running" and info.driver is not None]
    if not moving:
        return {}
    processes = {each.id: DrivingProcess(each.host, each.pid) for each in await store.owners()}
    found: dict[str, AtWork] = {}
    for info in moving[:_MOST]:
        # Another process may have removed the run since, or this process cannot read its log.
        with suppress(UnknownRun, *UNREADABLE):
            snapshot = (snapshots or {}).get(info.id) or await load_snapshot(store, info.id, None)
            if snapshot.status != "running":
                continue
            recent = await store.steps(info.id, max(0, snapshot.seq - _RECENT), snapshot.seq)
            nodes, now = nodes_at_work(snapshot, recent), time.time()
            step = recent[-1]
            last = LastStep(step.seq, step.kind, step.path, step.at, max(0.0, now - step.at))
            process = processes.get(info.driver or "")
            found[info.id] = AtWork(nodes[:_MOST], max(0, len(nodes) - _MOST), last, process)
    return found


def nodes_at_work(snapshot: Snapshot, recent: Sequence[Step] = ()) -> Sequence[NodeAtWork]:
    """Return the nodes that a run is executing now, or whose next attempt is due soon, as far as its log shows.

    Args:
        snapshot: The last snapshot of the run.
        recent: The last steps of the run. If a resume or an answer started an attempt again, the attempt counts as
            begun at that step, which only these steps show.
    """
    now = time.time()
    again = {step.frame: step.at for step in recent if step.kind not in _WITHIN}
    resumed = max((step.at for step in recent if step.kind == "resumed"), default=0.0)
    found: list[NodeAtWork] = []
    for task in ready(snapshot):
        if task.mode in ("run", "fallback"):
            path = path_of(task.frame, task.node)
            began = (
                max(snapshot.frames[task.frame].arrived, again.get(task.frame, 0.0), resumed, task.due) or snapshot.now
            )
            due = task.due if task.due > now else None
            found.append(NodeAtWork(path, task.node, task.visit, task.attempt, began, due))
    return found


def at_work_words(found: AtWork, now: float) -> str:
    """Describe on one line what a run is doing now: its nodes at work, its last step and its process.

    >>> nodes = [NodeAtWork("fetch", "fetch", 1, 1, 70.0, None), NodeAtWork("score", "score", 2, 3, 130.0, 130.0)]
    >>> at_work_words(AtWork(nodes, 0, LastStep(4, "node", "plan", 70.0, 30.0), DrivingProcess("lima", 4711)), 100.0)
    'at fetch for 30.0 s, score (visit 2, attempt 3) in 30.0 s; last step 4, 30.0 s ago; process 4711 on lima'
    """
    nodes = [_node_words(node, now) for node in found.nodes[:_LISTED]]
    if more := len(found.nodes) - len(nodes) + found.more:
        nodes.append(f"and {counted(more, 'node')} more")
    last = f"last step {found.last_step.seq}, {seconds(max(0.0, now - found.last_step.at))} ago"
    return "; ".join(filter(None, (f"at {', '.join(nodes)}" if nodes else "", last, process_words(found.process))))


def _node_words(node: NodeAtWork, now: float) -> str:
    numbers = [f"visit {node.visit}"] * (node.visit > 1) + [f"attempt {node.attempt}"] * (node.attempt > 1)
    name = f"{node.path} ({', '.join(numbers)})" if numbers else node.path
    return f"{name} in {seconds(node.due - now)}" if node.due is not None else f"{name} for {seconds(now - node.since)}"


def process_words(process: DrivingProcess | None) -> str:
    """Return the number and host of a process as error messages show them; "" if the process is not known.

    >>> process_words(DrivingProcess("lima", 4711))
    'process 4711 on lima'
    """
    return "" if process is None else f"process {process.pid} on {process.host}"


__all__ = [
    "AtWork",
    "DrivingProcess",
    "LastStep",
    "NodeAtWork",
    "at_work_words",
    "load_at_work",
    "nodes_at_work",
    "process_words",
]
