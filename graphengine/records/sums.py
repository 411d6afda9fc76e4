"""Totals of the runs that a search finds, for each of the last seven days and for each node.

The totals of days are computed from the summaries of all runs, as in `graphengine.records.trends`. The totals of nodes
are computed from the recorded steps of the newest of these runs. The number of runs, the length of their logs and the
time for reading are limited, and the answer says how many runs were read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence  # noqa: TC003 - a document is made of these types
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, UnsetType

from graphengine.errors import StoreError
from graphengine.history.usage import Usage  # noqa: TC001 - a document is made of this type
from graphengine.kernel.extension import add_usage
from graphengine.kernel.inside import without_items
from graphengine.kernel.reader import AttemptEnded, usage_from
from graphengine.kernel.reader import Usage as UsageRecord
from graphengine.records.base_documents import Document, Part
from graphengine.records.selection import Wanted, count_unseen, find_runs
from graphengine.records.spending import spending, sum_by
from graphengine.records.trends import DAY, Groups, Trend, load_groups, quantile, trend_of
from graphengine.records.visits import Visits
from graphengine.records.words import counted

if TYPE_CHECKING:
    from graphengine.kernel.reader import Step
    from graphengine.kernel.store import RunInfo, Store

_DAYS: Final = 7
_QUARTER: Final = 900.0
"""Midnights differ between time zones by a multiple of this many seconds."""
_RUNS: Final = 200
"""The most runs of which the steps are read."""
_STEPS: Final = 5_000
"""A run with more steps than this is left out."""
_SECONDS: Final = 2.0
"""No further run is read after this time."""


class NodeSum(Part):
    """Totals of all visits of one node in the runs that were read.

    The time of a node that runs a graph or a map includes the time of the nodes inside. Steps that a branch shares with
    its parent are not counted.

    Attributes:
        graph: The name of the runs' graph.
        node: The path of the node, without the numbers of items.
        visits: How often the node was visited. All items of a map together count as one visit.
        failed: How many of these visits failed.
        median_seconds: The median duration of the ended visits, without times at which no process drove the run; null
            if no duration is known.
        p95_seconds: The duration that 95 % of these visits did not exceed; null if no duration is known.
        usage: The calls, tokens and cost of models at the node.
    """

    graph: str
    node: str
    visits: int
    failed: int
    median_seconds: float | None
    p95_seconds: float | None
    usage: Usage


class Sums(Document):
    """Totals of the runs that a search finds and that began in the last seven days.

    Attributes:
        days: The totals of each of the seven days, the newest first. Days without runs are included.
        week: The totals of the seven days together.
        runs: How many runs began in these days.
        nodes: The totals of the nodes of the runs that were read, the slowest nodes first.
        read: How many of these runs were read for `nodes`. The newest runs are read first.
        skipped: How many other runs were left out, because they have too many steps or cannot be read.
        sample: Which runs were read, as a sentence.
        looked_at: How many states were read to find the runs; omitted if the search compares no field of a state.
        unseen: How many runs the search could not judge, because they lack a field of the search that other runs of
            their graph have. Null if no run has the field; omitted if the search names no such field.
    """

    days: Sequence[Trend]
    week: Trend
    runs: int
    nodes: Sequence[NodeSum]
    read: int
    skipped: int
    sample: str
    looked_at: int | UnsetType = UNSET
    unseen: int | UnsetType | None = UNSET


@dataclass(slots=True)
class _NodeTotals:
    visits: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)
    usage: UsageRecord = field(default_factory=UsageRecord)


async def load_sums(store: Store, wanted: Wanted, *, midnight: float = 0.0) -> Sums:
    """Compute the totals of runs by day, for one week, and by node.

    Args:
        store: The open store, as the caller can read it.
        wanted: Selects the runs. The week ends today, or before `wanted.begun_before` if that is earlier, but not
            before 1970.
        midnight: A midnight in the time zone of the reader, epoch seconds. By default, days are days in UTC.

    Raises:
        StoreError: The runs cannot be listed.
    """
    now = time.time()
    offset = midnight % DAY // _QUARTER * _QUARTER
    end = now if wanted.begun_before is None else max(0.0, min(now, wanted.begun_before - 0.001))
    first = (end - offset) // DAY * DAY + offset - (_DAYS - 1) * DAY
    week = replace(wanted, begun_after=max(first, wanted.begun_after or first))
    groups, looked_at = await load_groups(store, week, "graph", _QUARTER if offset else DAY)
    days: list[Groups] = [{} for _ in range(_DAYS)]
    together: Groups = {}
    for (since, _), by_status in groups.items():
        day = days[min(_DAYS - 1, int((since - first) // DAY))]
        for status, totals in by_status.items():
            day.setdefault(status, []).extend(totals)
            together.setdefault(status, []).extend(totals)
    days_found = [trend_of(first + number * DAY, "", day) for number, day in enumerate(days)]
    nodes, read, skipped = await _load_nodes(store, replace(week, limit=_RUNS))
    found_week = trend_of(first, "", together)
    runs = found_week.runs
    return Sums(
        days=days_found[::-1],
        week=found_week,
        runs=runs,
        nodes=nodes,
        read=read,
        skipped=skipped,
        sample=_describe_sample(runs, read, skipped),
        looked_at=looked_at,
        unseen=await count_unseen(store, week),
    )


async def _load_nodes(store: Store, wanted: Wanted) -> tuple[Sequence[NodeSum], int, int]:
    """Add up the visits of each node in the newest runs of a search.

    Return the totals, how many runs were read, and how many were left out.
    """
    totals: dict[tuple[str, str], _NodeTotals] = {}
    until, read, skipped = time.monotonic() + _SECONDS, 0, 0
    for info in (await find_runs(store, wanted)).runs:
        if time.monotonic() > until:
            break
        try:
            steps = await store.steps(info.id, 0, info.seq) if info.seq <= _STEPS else ()
            if steps:
                await asyncio.to_thread(_add_run, totals, info, steps)  # the runs of this process move in between
        except (StoreError, ValueError, LookupError):  # it was removed, or cannot be read here
            steps = ()
        read, skipped = read + bool(steps), skipped + (not steps)
    nodes = [
        NodeSum(
            graph=graph,
            node=node,
            visits=each.visits,
            failed=each.failed,
            median_seconds=quantile(times := sorted(each.seconds), 0.5),
            p95_seconds=quantile(times, 0.95),
            usage=usage_from(each.usage),
        )
        for (graph, node), each in sorted(totals.items())
    ]
    return sorted(nodes, key=lambda each: -(each.p95_seconds or 0.0)), read, skipped


def _add_run(totals: dict[tuple[str, str], _NodeTotals], info: RunInfo, steps: Sequence[Step]) -> None:
    """Add the visits and the model usage of one run to the totals of its nodes.

    Steps that a branch shares with its parent are left out.
    """
    visits = Visits.of(steps).visits  # raises before anything is added
    for visit in visits:
        ends = [
            each
            for each in visit.entries
            if isinstance(each.step.data, AttemptEnded) and each.step.seq > info.parent_seq
        ]
        is_shared = bool(visit.entries) and visit.entries[-1].step.seq <= info.parent_seq
        if visit.track.kind == "item" or is_shared:
            continue
        node = totals.setdefault((info.graph, without_items(visit.path)), _NodeTotals())
        node.visits += 1
        node.failed += visit.status == "failed"
        times = [each.took for each in ends if each.took is not None]
        if visit.ended is not None and times:
            node.seconds.append(sum(times))
    spent = (each for each in spending(steps, info.parent_seq) if not each.inherited)
    for name, usage in sum_by(spent, lambda each: each.node).items():
        node = totals.setdefault((info.graph, name), _NodeTotals())
        node.usage = add_usage(node.usage, usage)


def _describe_sample(runs: int, read: int, skipped: int) -> str:
    if not runs:
        return "no such run began in these days"
    which = counted(runs, "run") if read + skipped == runs else f"the newest {read + skipped:,} of {runs:,} runs"
    but = f", but for {skipped:,} that have too many steps or cannot be read" if skipped else ""
    return f"by node: {which}{but}"


__all__ = ["NodeSum", "Sums", "load_sums"]
