"""Count runs over time, by graph or tag: how many began, how they ended, what went wrong, and their cost and duration.

Only the summaries of the runs are read, and no logs. A search selects the same runs here as in a list of runs.
`graphengine.records.sums` computes the totals of a week, and those of nodes.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence  # noqa: TC003 - what a document has is read at run time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec
from msgspec import UNSET, Struct, UnsetType

from graphengine.errors import InputError
from graphengine.kernel.store import summary_text
from graphengine.records.base_documents import Document, Part
from graphengine.records.search import wanted_of
from graphengine.records.selection import Scan, Wanted, count_unseen

if TYPE_CHECKING:
    from graphengine.kernel.store import Page, RunInfo, Store, Summary

By: TypeAlias = Literal["graph", "tag", "version"]
DAY: Final = 86_400.0
JOINT: Final = "\x1f"
_NONE_LOST: Final = b"{}"
_ENDED: Final = ("finished", "stopped", "failed", "cancelled")


class Trend(Part):
    """Totals of the runs that began in one interval, for a graph, for a tag, or for all graphs.

    Attributes:
        name: The name of the graph or tag; "" for the runs of all graphs.
        since: When the interval begins, epoch seconds.
        runs: How many runs began in the interval.
        statuses: The number of runs by status. Queued and interrupted runs count as `running`.
        with_losses: In how many runs something went wrong on the way, such as a retry or a failed item.
        losses: How often things went wrong, by kind.
        cost_usd: The cost of models in US dollars, as far as prices are known.
        unknown_costs: How many runs called a model whose price is not known.
        seconds: How many seconds processes drove these runs in total.
        median_seconds: The median of this time over the runs that ended; null if none did.
        p95_seconds: The time that 95 % of the runs that ended did not exceed; null if none did.
    """

    name: str
    since: float
    runs: int
    statuses: Mapping[str, int]
    with_losses: int
    losses: Mapping[str, int]
    cost_usd: float
    unknown_costs: int
    seconds: float
    median_seconds: float | None
    p95_seconds: float | None


class Trends(Document):
    """Totals of runs for each interval of time, by graph or by tag.

    Attributes:
        by: Whether runs are grouped by graph or by tag.
        every_seconds: The length of an interval. The first interval begins at 1970-01-01 UTC.
        trends: The totals, with the newest interval first and sorted by name within an interval. Intervals without runs
            are left out.
        looked_at: How many states were read to find the runs; omitted if the search compares no field of a state.
        unseen: How many runs the search could not judge, because they lack a field of the search that other runs of
            their graph have. Null if no run has the field; omitted if the search names no such field.
    """

    by: Literal["graph", "tag"]
    every_seconds: float
    trends: Sequence[Trend]
    looked_at: int | UnsetType = UNSET
    unseen: int | UnsetType | None = UNSET


class RunTotals(Struct, gc=False):
    """The numbers of one run that trends add up: its cost, its duration and what went wrong in it.

    `losses` stays encoded as JSON, because most runs have none.
    """

    cost_usd: float | None = 0.0
    seconds: float = 0.0
    losses: msgspec.Raw = msgspec.Raw(_NONE_LOST)


Groups: TypeAlias = dict[str, list[RunTotals | None]]
"""What runs spent, by their status; None for a run that has no summary yet."""
_DECODER: Final = msgspec.json.Decoder(list[RunTotals | None])
_LOSSES: Final = msgspec.json.Decoder(dict[str, int])


@runtime_checkable
class _Grouping(Protocol):
    """A store that can group the summaries of many runs in one query."""

    async def summaries(self, page: Page, by: By, every_seconds: float) -> Sequence[tuple[str, str, float, str]]:
        """Return the summaries of runs as JSON arrays, each with its group, its status and the start of its interval.

        `by` says whether a group consists of the runs of a graph, of a tag or of a version.
        """
        ...


async def trends(
    store: Store, search: str | Wanted = "", *, by: Literal["graph", "tag"] = "graph", every_seconds: float = DAY
) -> Trends:
    """Count runs over time by graph or tag, with their statuses, losses, cost and duration.

    Args:
        store: The open store.
        search: Only the runs that these words find, as for `Runner.runs`.
        by: How the runs are grouped. A run with several tags counts for each tag; a run without tags is not counted by
            tag.
        every_seconds: The length of an interval. A run counts in the interval in which it began.

    Raises:
        InputError: An argument is not valid.
    """
    wanted = wanted_of(search, Wanted(0)) if isinstance(search, str) else search
    if by not in ("graph", "tag"):
        text = f"trends(by={by!r}): runs can only be counted by 'graph' or by 'tag'"
        raise InputError(text, where="trends", repair="write trends(by='graph')")
    if not 1 <= every_seconds < math.inf:
        text = f"the intervals of trends() are {every_seconds:g} s long, but must have a length from 1 s on"
        raise InputError(text, where="trends", repair="write trends(every=timedelta(hours=1))")
    found, looked_at = await load_groups(store, wanted, by, every_seconds)
    trends_found: list[Trend] = []
    for key, groups in sorted(found.items(), key=lambda item: (-item[0][0], item[0][1])):
        trends_found.append(trend_of(*key, groups))
        await asyncio.sleep(0)
    return Trends(
        by=by,
        every_seconds=every_seconds,
        trends=trends_found,
        looked_at=looked_at,
        unseen=await count_unseen(store, wanted),
    )


async def load_groups(
    store: Store, wanted: Wanted, by: Literal["graph", "tag"], every_seconds: float
) -> tuple[dict[tuple[float, str], Groups], int | UnsetType]:
    """Read the cost, duration and losses of runs, grouped by interval of time, by graph or tag, and by status.

    The first value contains these numbers. The second value is how many states were read to find the runs; see
    `Found.looked_at`.
    """
    found: dict[tuple[float, str], Groups] = {}
    if not wanted.is_read:
        for name, status, since, texts in await summaries(store, wanted.page(sys.maxsize, None), by, every_seconds):
            found.setdefault((since, name), {}).setdefault(status, []).extend(_decode_summaries(texts))
            await asyncio.sleep(0)  # the runs of this process move in between
        return found, UNSET
    scan = Scan(store, wanted)
    async with aclosing(scan.runs()) as infos:
        async for info in infos:
            for name in _group_names(info, by):
                key = info.created_at // every_seconds * every_seconds, name
                found.setdefault(key, {}).setdefault(info.status, []).append(_totals_of(info.summary))
    return found, scan.looked_at


async def summaries(store: Store, page: Page, by: By, every_seconds: float) -> Sequence[tuple[str, str, float, str]]:
    """Return the summaries of runs by group, status and interval of time, from any kind of store.

    A store that can group runs does this itself; see `_Grouping.summaries`. For other stores, the rows of all runs are
    read. A group of `by="version"` is named by the graph, the fingerprint with which the runs began, the deploy and the
    tenant, joined by `JOINT`.
    """
    if isinstance(store, _Grouping):
        return await store.summaries(page, by, every_seconds)
    return [
        (name, info.status, info.created_at // every_seconds * every_seconds, f"[{text}]")
        for info in await store.runs(**page)
        for text in ["null" if info.summary is None else summary_text(info.summary)]
        for name in _group_names(info, by)
    ]


def _group_names(info: RunInfo, by: By) -> Sequence[str]:
    if by == "tag":
        return info.tags
    version = (info.graph, info.began_with, info.deploy, info.tenant or "")
    return [info.graph if by == "graph" else JOINT.join(version)]


def _totals_of(summary: Summary | None) -> RunTotals | None:
    if summary is None:
        return None
    return RunTotals(summary.cost_usd, summary.seconds, msgspec.Raw(msgspec.json.encode(summary.losses)))


def _decode_summaries(summaries: str) -> list[RunTotals | None]:
    try:
        return _DECODER.decode(summaries)
    except ValueError:  # one is damaged: what the others spent is not worth a guess
        return [RunTotals(cost_usd=None)] * summaries.count('"reason"')


def trend_of(since: float, name: str, groups: Mapping[str, Sequence[RunTotals | None]]) -> Trend:
    """Add up the numbers of the runs of one graph or tag that began in one interval of time, for one entry of a trend.

    `groups` contains the runs by their status.
    """
    known = [each for group in groups.values() for each in group if each is not None]
    times = sorted(each.seconds for status in _ENDED for each in groups.get(status, ()) if each is not None)
    lost = [text for each in known if (text := bytes(each.losses)) != _NONE_LOST]
    losses: Counter[str] = Counter()
    for alike, times_lost in Counter(lost).items():
        losses.update({name: number * times_lost for name, number in _LOSSES.decode(alike).items()})
    return Trend(
        name=name,
        since=since,
        runs=sum(map(len, groups.values())),
        statuses={status: len(group) for status, group in sorted(groups.items())},
        with_losses=len(lost),
        losses=dict(losses),
        cost_usd=math.fsum(each.cost_usd or 0.0 for each in known),
        unknown_costs=sum(1 for each in known if each.cost_usd is None),
        seconds=math.fsum(each.seconds for each in known),
        median_seconds=quantile(times, 0.5),
        p95_seconds=quantile(times, 0.95),
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the quantile of some values: the smallest value that at least the given share of them does not exceed.

    The values must be in ascending order. If there are none, return None. For example, a share of 0.5 gives the median.
    """
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None
