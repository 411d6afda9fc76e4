"""Compare today with yesterday: runs, failed runs, losses and costs, by graph, version, tenant or agent.

The comparison is computed from the summaries of the runs of two days, so no log is read. A version of a graph is
compared with the version before it. Everything else is compared with yesterday until the same minute. A difference
counts as `worse` only if it is larger than three standard errors, and only if there are at least 20 runs. The groups
that got worse come first, then the groups that cost most. A run counts for each agent that called a model in it, with
the cost of this agent's answers.

A *cell* (`_Cell`) contains the numbers of the runs that have the same graph, version, tenant and agent.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from graphengine.records.selection import error_key, is_lossy, version_of
from graphengine.records.trends import DAY, JOINT, quantile, summaries
from graphengine.serve.read_documents import (
    Culprit,
    Group,
    Groups,
    NewError,
    Numbers,
    Rate,
    RetriedRuns,
    Spender,
    Today,
)
from graphengine.serve.reads.held import Held
from graphengine.serve.reads.retried import RetryLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from graphengine.kernel.store import Page, Store

By: TypeAlias = Literal["graph", "version", "tenant", "agent"]
_MOST: Final = 200_000
"""The maximum number of runs that are read. If there are more, only the runs of the last hours are read."""
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_HOURS: Final = 24
_FEW: Final = 20
_ERRORS: Final = 3.0
"""A difference of more standard errors than this is not due to chance."""
_NEW: Final = 20
"""The maximum number of new errors that are shown."""
_DIGITS: Final = re.compile(r"(\d+)")


class _RunSummary(Struct, gc=False):
    reason: str = ""
    cost_usd: float | None = 0.0
    seconds: float = 0.0
    losses: dict[str, int] = {}
    agents: dict[str, float | None] = {}


_DECODER: Final = msgspec.json.Decoder(list[_RunSummary | None])


@dataclass(slots=True)
class _ErrorGroup:
    """A group of runs that failed with similar error messages.

    It contains an example of the message, the times of the failures, the number of runs, and the versions and tenants
    of the runs.
    """

    example: str
    since: float
    last: float
    runs: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Cell:
    """Numbers about those runs of two days that have the same graph, version, tenant and agent.

    In a list of three numbers, the first is about yesterday until the same time of day, the second about today, and the
    third about all of yesterday. If `agent` is set, only runs in which this agent called a model are counted, and the
    cost is that of this agent's model calls.
    """

    graph: str = ""
    version: str = ""
    tenant: str = ""
    agent: str = ""
    first: float = math.inf
    runs: list[int] = field(default_factory=lambda: [0, 0, 0])
    failed: list[int] = field(default_factory=lambda: [0, 0, 0])
    lost: list[int] = field(default_factory=lambda: [0, 0, 0])
    cost: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    unknown: list[int] = field(default_factory=lambda: [0, 0, 0])
    seconds: list[float] = field(default_factory=list)
    hours: list[list[int]] = field(default_factory=lambda: [[0, 0, 0, 0] for _ in range(_HOURS)])
    errors: dict[str, _ErrorGroup] = field(default_factory=dict)
    had: set[str] = field(default_factory=set)

    def feed(self, status: str, at: float, ended: Iterable[_RunSummary | None], midnight: float, now: float) -> None:
        """Add a group of runs to the counts of this cell. The runs have the same status and began in the same minute.

        Args:
            status: The status of the runs.
            at: The time at which they began.
            ended: The summary of each run of the group; None for a run that has not ended.
            midnight: When today began.
            now: The current time.
        """
        is_today = at >= midnight
        days = (1,) if is_today else (0, 2) if at <= now - DAY else (2,)  # 2 means all of yesterday
        hour = self.hours[min(_HOURS - 1, int((at - midnight + (0 if is_today else DAY)) // _HOUR))]
        self.first = min(self.first, at)
        for each in ended:
            hour[0 if is_today else 2] += 1
            for day in days:
                self.runs[day] += 1
            if each is None:
                continue
            is_lost = is_lossy(status, each.losses)
            for day in days:
                self.failed[day] += status == "failed"
                self.lost[day] += is_lost
                self.cost[day] += each.cost_usd or 0.0
                self.unknown[day] += each.cost_usd is None
            if status == "failed":
                hour[1 if is_today else 3] += 1
                self._fail(each.reason, at, is_today=is_today)
            if is_today and status in ("finished", "failed", "stopped"):
                self.seconds.append(each.seconds)

    def _fail(self, reason: str, at: float, *, is_today: bool) -> None:
        like = error_key(reason)
        if not is_today:
            self.had.add(like)
            return
        error = self.errors.get(like)
        if error is None:
            error = self.errors[like] = _ErrorGroup(reason, at, at)
        error.since, error.last = min(error.since, at), max(error.last, at)
        error.runs += 1
        error.versions[f"{self.graph} {self.version}".strip()] += 1
        if self.tenant:
            error.tenants[self.tenant] += 1

    def add(self, other: _Cell) -> None:
        """Add the numbers of another cell to this cell, so that this cell then covers the runs of both."""
        self.first = min(self.first, other.first)
        for name in ("runs", "failed", "lost", "cost", "unknown"):
            mine, theirs = getattr(self, name), getattr(other, name)
            mine[:] = [one + two for one, two in zip(mine, theirs, strict=True)]
        self.seconds += other.seconds
        self.hours = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(self.hours, other.hours, strict=True)]
        self.had |= other.had
        for like, error in other.errors.items():
            merged = self.errors.setdefault(like, _ErrorGroup(error.example, error.since, error.last))
            merged.since, merged.last = min(merged.since, error.since), max(merged.last, error.last)
            merged.runs += error.runs
            merged.versions += error.versions
            merged.tenants += error.tenants


class TodayBook:
    """Compares the runs of today with those of yesterday. All pages that show the same store share one such object.

    The runs are read again only after a while, because reading them takes long.

    Args:
        store: The store, limited to what the caller can see.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._retries = RetryLog(store)
        self._held = Held[tuple[Sequence[_Cell], bool, Sequence[RetriedRuns]]](1.0)

    async def today(self, tenant: str | None, midnight: float, by: By) -> Today:
        """Return the comparison of today's runs with yesterday's runs.

        Args:
            tenant: Count only runs of this tenant; None counts all runs.
            midnight: The time at which today began, in epoch seconds.
            by: The property by which the runs are grouped.
        """
        now = time.time()
        key = tenant, midnight
        cells, is_cut, retried = await self._held.of(key, lambda: self._read(tenant, midnight, now))
        found = await asyncio.to_thread(_compare_days, cells, midnight, now, by, is_cut=is_cut)
        found.retried = retried
        return found

    async def _read(
        self, tenant: str | None, midnight: float, now: float
    ) -> tuple[Sequence[_Cell], bool, Sequence[RetriedRuns]]:
        since, left, is_cut = midnight - DAY, _MOST, False
        counts = await self._store.counts(every_seconds=_HOUR, tenant=tenant)
        hours: Counter[float] = Counter()
        for each in counts:
            hours[each.since] += each.runs
        for hour in sorted(hours, reverse=True):
            left -= hours[hour]
            if left < 0 and hour > since:
                since, is_cut = hour + _HOUR, True
                break
        page: Page = {"limit": _MOST, "begun_after": since, "begun_before": now, "tenant": tenant}
        found = await summaries(self._store, page, "version", _MINUTE)
        cells = await asyncio.to_thread(_build_cells, found, midnight, now)
        return cells, is_cut, await self._retries.load(tenant, midnight)


def _build_cells(found: Iterable[tuple[str, str, float, str]], midnight: float, now: float) -> Sequence[_Cell]:
    cells: dict[tuple[str, str], _Cell] = {}
    for name, status, at, texts in found:
        ended: list[_RunSummary | None]
        try:
            ended = _DECODER.decode(texts)
        except ValueError:  # a summary is damaged, so the others only count as runs
            ended = [None] * (texts.count('"reason"') or 1)
        by_agent: dict[str, list[_RunSummary | None]] = {"": ended}
        for each in ended:
            if each is not None:
                for agent, cost in each.agents.items():
                    by_agent.setdefault(agent, []).append(_RunSummary(each.reason, cost, each.seconds, each.losses))
        for agent, its in by_agent.items():
            if (name, agent) not in cells:
                graph, fingerprint, deploy, tenant = name.split(JOINT)
                cells[name, agent] = _Cell(graph, version_of(fingerprint, deploy), tenant, agent)
            cells[name, agent].feed(status, at, its, midnight, now)
    return [*cells.values()]


def _compare_days(found: Sequence[_Cell], midnight: float, now: float, by: By, *, is_cut: bool) -> Today:
    cells, whole = [each for each in found if not each.agent], _Cell()
    for each in cells:
        whole.add(each)
    versions = _group_cells(cells, lambda each: (each.graph, each.version))
    agents = [each for each in found if each.agent]
    groups = [*_iter_today_groups(agents if by == "agent" else cells, versions, by)]
    groups.sort(key=_rank_group)
    rest = whole.cost[2] - whole.cost[0]
    share = whole.cost[1] / whole.cost[0] if whole.cost[0] else 1.0
    newer = _find_versions_before(versions)
    marks = [(each.first, each.graph, each.version) for name, each in versions.items() if name in newer]
    marks = [each for each in marks if each[0] >= midnight]
    errors = [_build_new_error(each) for like, each in whole.errors.items() if like not in whole.had]
    return Today(
        midnight=midnight,
        now=now,
        today=_build_numbers(whole, 1),
        yesterday=_build_numbers(whole, 0),
        forecast_usd=whole.cost[1] + rest * share if whole.cost[2] else None,
        hours=whole.hours,
        marks=sorted(marks),
        groups=Groups(by=by, groups=groups),
        errors=sorted(errors, key=lambda each: -each.runs)[:_NEW],
        culprit=_find_culprit(cells, versions, groups if by == "graph" else None),
        retried=(),
        dearest=_find_dearest(agents),
        is_cut=is_cut,
    )


def _rank_group(group: Group) -> tuple[float, float, int]:
    """Return a sort key that puts groups whose failures got worse first, and the most expensive groups next."""
    worse = group.errors_off if group.verdict == "worse" else 0.0
    return -worse, -group.today.cost_usd, -group.today.runs


def _find_culprit(
    cells: Sequence[_Cell], versions: dict[tuple[str, ...], _Cell], graphs: Sequence[Group] | None
) -> Culprit | None:
    """Return the graph whose failure rate rose the most today. The result is None if no graph got clearly worse."""
    groups = sorted(_iter_today_groups(cells, versions, "graph"), key=_rank_group) if graphs is None else graphs
    if not groups or groups[0].verdict != "worse":
        return None
    worst = groups[0]
    is_version = worst.since is not None
    errors = versions[worst.graph, worst.version].errors if is_version else None
    most = None if errors is None else max(errors.values(), key=lambda each: each.runs, default=None)
    error = worst.error if errors is None else None if most is None else _build_new_error(most)
    return Culprit(worst.graph, worst.now, worst.was, is_version, error)


def _find_dearest(agents: Sequence[_Cell]) -> Spender | None:
    by_name = _group_cells(agents, lambda each: (each.agent,))
    most = max(by_name.items(), key=lambda item: item[1].cost[1], default=None)
    if most is None or not most[1].cost[1]:
        return None
    (name,), cell = most
    return Spender(name, cell.runs[1], cell.cost[1])


def _group_cells(cells: Iterable[_Cell], key: Callable[[_Cell], tuple[str, ...]]) -> dict[tuple[str, ...], _Cell]:
    found: dict[tuple[str, ...], _Cell] = {}
    for each in cells:
        name = key(each)
        if name not in found:
            found[name] = _Cell(each.graph, each.version, each.tenant)
        found[name].add(each)
    return found


def _iter_today_groups(cells: Sequence[_Cell], versions: dict[tuple[str, ...], _Cell], by: By) -> Iterator[Group]:
    """Yield one comparison for each graph, version, tenant or agent with a run today: how do today's runs differ?"""
    before = _find_versions_before(versions)
    if by == "version":
        for (graph, version), cell in versions.items():
            if cell.runs[1]:
                older = before.get((graph, version))
                rates = _compare_versions(cell, older)
                yield _build_group(cell, f"{graph} {version}", rates, cell if rates is not None else None)
        return
    keys: dict[str, Callable[[_Cell], tuple[str, ...]]] = {
        "graph": lambda each: (each.graph,),
        "tenant": lambda each: (each.tenant,),
        "agent": lambda each: (each.agent,),
    }
    for (name,), cell in _group_cells(cells, keys[by]).items():
        if not cell.runs[1]:
            continue
        own = [each for (graph, _), each in versions.items() if by == "graph" and graph == name and each.runs[1]]
        last = max(own, key=_age, default=None)
        older = before.get((name, last.version)) if last is not None else None
        cell.version = last.version if last is not None else ""
        rates = _compare_versions(last, older) if last is not None else None
        yield _build_group(cell, name, rates, last if rates is not None else None)


def _find_versions_before(versions: dict[tuple[str, ...], _Cell]) -> dict[tuple[str, ...], _Cell]:
    """Return, for each version of a graph, the version that was used before it.

    That is the version whose first run came directly before the first run of the other version. The first version of a
    graph has no entry.
    """
    found: dict[tuple[str, ...], _Cell] = {}
    last: dict[str, _Cell] = {}
    for name, cell in sorted(versions.items(), key=lambda item: _age(item[1])):
        if name[0] in last:
            found[name] = last[name[0]]
        last[name[0]] = cell
    return found


def _age(cell: _Cell) -> tuple[float, Sequence[tuple[int, str]]]:
    """Return a sort key that puts older versions first: by the minute of the first run, then with v9 before v10."""
    parts = [(int(each), "") if each.isdecimal() else (-1, each) for each in _DIGITS.split(cell.version)]
    return cell.first, parts


def _compare_versions(cell: _Cell, older: _Cell | None) -> tuple[Rate, Rate] | None:
    """Return how often the runs of a graph's version failed, and how often those of the version before it failed.

    The runs of yesterday and today are counted together.

    The result is None if there is no earlier version, or if one of the two has too few runs to compare.
    """
    if older is None or min(each.runs[1] + each.runs[2] for each in (cell, older)) < _FEW:
        return None
    both = [(each, each.runs[1] + each.runs[2], each.failed[1] + each.failed[2]) for each in (cell, older)]
    first, second = (Rate(each.version, runs, failed) for each, runs, failed in both)
    return first, second


def _build_group(cell: _Cell, name: str, rates: tuple[Rate, Rate] | None, since: _Cell | None) -> Group:
    now, was = rates or (Rate("today", cell.runs[1], cell.failed[1]), Rate("yesterday", cell.runs[0], cell.failed[0]))
    off = _count_standard_errors(now, was)
    verdict: Literal["worse", "better", "noise", "few", "new"] = "noise"
    if not was.runs:
        verdict = "new"
    elif min(now.runs, was.runs) < _FEW:
        verdict = "few"
    elif abs(off) > _ERRORS:
        verdict = "worse" if off > 0 else "better"
    ordered = sorted(cell.seconds)
    most = max(cell.errors.values(), key=lambda each: each.runs, default=None)
    return Group(
        name=name,
        graph=cell.graph,
        version=cell.version,
        since=None if since is None else since.first,
        today=_build_numbers(cell, 1),
        yesterday=_build_numbers(cell, 0),
        now=now,
        was=was,
        errors_off=off,
        verdict=verdict,
        median_seconds=quantile(ordered, 0.5),
        p95_seconds=quantile(ordered, 0.95),
        hours=[hour[:2] for hour in cell.hours],
        error=None if most is None else _build_new_error(most),
    )


def _count_standard_errors(now: Rate, was: Rate) -> float:
    """Return how clearly the failure rate rose from `was` to `now`, as a number of standard errors.

    A number near 0 can be chance. A large number means that the failure rate has really risen. It is negative if the
    rate fell.
    """
    if not now.runs or not was.runs:
        return 0.0
    share = (now.failed + was.failed) / (now.runs + was.runs)
    error = math.sqrt(share * (1 - share) * (1 / now.runs + 1 / was.runs))
    return (now.failed / now.runs - was.failed / was.runs) / error if error else 0.0


def _build_numbers(cell: _Cell, day: int) -> Numbers:
    return Numbers(cell.runs[day], cell.failed[day], cell.lost[day], cell.cost[day], cell.unknown[day])


def _build_new_error(error: _ErrorGroup) -> NewError:
    named = [[name for name, _ in each.most_common(_FEW)] for each in (error.versions, error.tenants)]
    return NewError(error.example, error_key(error.example), error.runs, error.since, error.last, *named)


__all__ = ["By", "TodayBook"]
