"""Pruning of old runs, and validation of tags.

The runs selected here are only a proposal, with branches before their parents: the reads can be out of date when a run
is removed. So the store checks each run again while it removes it (`Store.remove`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from graphengine.errors import InputError, UnknownRun
from graphengine.graph.options import is_seconds
from graphengine.runner.arguments import checked_tags
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence

    from graphengine.stores.base import RunInfo, Status, Store

ENDED: Final = ("finished", "failed", "stopped")
"""The statuses of runs that may be pruned."""

_PAGE: Final = 1000
_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune removed, or would remove.

    Attributes:
        runs: The ids of the removed runs, in order of removal.
        steps: How many steps they had themselves, without those of their parents.
        db_bytes: The approximate size of their steps, snapshots and messages. The file does not shrink: the space is
            reused, or returned by `Runner.vacuum`.
        kept: The runs that are old enough and have such a status but were kept, by id, each with the reason.
        dry_run: Whether nothing was removed.
    """

    runs: tuple[str, ...] = ()
    steps: int = 0
    db_bytes: int = 0
    kept: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What shrinking the file did.

    Attributes:
        before_bytes: The size on disk before.
        after_bytes: The size now.
    """

    before_bytes: int
    after_bytes: int


@dataclass(frozen=True, slots=True)
class Rule:
    """Which runs may be removed.

    Attributes:
        keep_last: Keep this many of the newest runs of each graph, in any status.
        older_than: The minimum age of the last step, in seconds.
        keep_tags: Keep runs with one of these tags.
        graph: Only runs of this graph.
        statuses: Only runs in these statuses.
    """

    keep_last: int | None
    older_than: float | None
    keep_tags: frozenset[str]
    graph: str | None
    statuses: tuple[Status, ...]


def rule(
    keep_last: int | None,
    older_than: float | timedelta | None,
    keep_tags: Iterable[str],
    graph: str | None,
    statuses: Iterable[str],
) -> Rule:
    """Check the arguments of a prune, and return them as a rule.

    Raises:
        InputError: Nothing limits what is removed, or a value is invalid.
    """
    if keep_last is None and older_than is None:
        repair = "say what to keep: keep_last=100, or older_than=timedelta(days=30), or both"
        raise InputError("neither keep_last nor older_than is given", where="prune", repair=repair)
    given_last: object = keep_last
    is_count = isinstance(given_last, int) and not isinstance(given_last, bool) and given_last >= 0
    if given_last is not None and not is_count:
        raise InputError(f"keep_last={given_last!r}", where="prune", repair="give how many runs to keep, 0 or more")
    given_age: object = older_than.total_seconds() if isinstance(older_than, timedelta) else older_than
    if given_age is not None and not is_seconds(given_age, zero=True):
        raise InputError(f"older_than={older_than!r}", where="prune", repair="give seconds, or a timedelta")
    wanted = (statuses,) if isinstance(statuses, str) else tuple(statuses)
    for status in wanted:
        if status in {"running", "waiting"}:
            repair = f"stop them first; statuses may name {', '.join(ENDED)}"
            raise InputError(f"runs that are {status} are never pruned", where="prune", repair=repair)
        if status not in ENDED:
            raise InputError(f"unknown status {status!r}", where="prune", repair=did_you_mean(status, ENDED))
    seconds = None if older_than is None else float(given_age)  # type: ignore[arg-type]  # seen above
    return Rule(keep_last, seconds, frozenset(checked_tags(keep_tags, "keep_tags=")), graph, wanted)  # type: ignore[arg-type]


async def prune(store: Store, wanted: Rule, now: float, *, dry_run: bool) -> Pruned:
    """Remove the runs that the rule allows to remove, or only report them."""
    kept: dict[str, str] = {}
    going = await _going(store, wanted, now, kept)
    runs: list[str] = []
    steps = db_bytes = 0
    for at in range(0, len(going), _BATCH):
        batch = going[at : at + _BATCH]
        weights = await store.size_of([info.id for info in batch])
        stay = {} if dry_run else await store.remove(batch)
        kept.update(stay)
        gone = [info for info in batch if info.id not in stay]
        runs += [info.id for info in gone]
        steps += sum(info.seq - info.parent_seq for info in gone)
        db_bytes += sum(weights.get(info.id, 0) for info in gone)
    if not dry_run:
        await store.sweep()
    return Pruned(tuple(runs), steps, db_bytes, kept, dry_run)


async def _going(store: Store, wanted: Rule, now: float, kept: dict[str, str]) -> list[RunInfo]:
    """Return the runs to remove, branches before their parents; add the others to `kept`."""
    found: dict[str, RunInfo] = {}
    newest: dict[str, Collection[str]] = {}
    async for info in _ended(store, wanted):
        if wanted.older_than is not None and info.updated_at > now - wanted.older_than:
            continue
        if info.graph not in newest:
            newest[info.graph] = await _newest(store, info.graph, wanted.keep_last)
        reason = _reason_to_stay(info, wanted, newest[info.graph])
        if reason:
            kept[info.id] = reason
        else:
            found[info.id] = info
    await _keep_parents(store, found, kept)
    depths: dict[str, int] = {}
    for info in found.values():
        _measure(info, found, depths)
    return sorted(found.values(), key=lambda info: (-depths[info.id], info.created_at, info.id))


async def _ended(store: Store, wanted: Rule) -> AsyncIterator[RunInfo]:
    """Return all runs of the rule's graph and statuses."""
    for status in dict.fromkeys(wanted.statuses):
        page = await store.runs(limit=_PAGE, status=status, graph=wanted.graph)
        while page:
            for info in page:
                yield info
            page = await _next_page(store, page, status, wanted.graph)


async def _next_page(store: Store, page: Sequence[RunInfo], status: Status, graph: str | None) -> Sequence[RunInfo]:
    """Return the next page, after the last run of this page that no other process has removed meanwhile."""
    for last in reversed(page):
        with suppress(UnknownRun):
            return await store.runs(limit=_PAGE, status=status, graph=graph, before=last.id)
    return ()


async def _newest(store: Store, graph: str, count: int | None) -> Collection[str]:
    return {info.id for info in await store.runs(limit=count, graph=graph)} if count else ()


def _reason_to_stay(info: RunInfo, wanted: Rule, newest: Collection[str]) -> str:
    """Return why a run itself must be kept; "" if there is no reason."""
    tags = wanted.keep_tags.intersection(info.tags)
    if tags:
        return f"tag {min(tags)!r}"
    if info.id in newest:
        return f"among the newest {wanted.keep_last} of {info.graph}"
    return "" if info.driver is None else f"driven by {info.driver}"


async def _keep_parents(store: Store, found: dict[str, RunInfo], kept: dict[str, str]) -> None:
    """Keep the runs whose steps a kept run needs, and the parents of those."""
    ids = list(found)
    stays: list[RunInfo] = []
    for at in range(0, len(ids), _PAGE):
        stays += [child for child in await store.branches(ids[at : at + _PAGE]) if child.id not in found]
    while stays:
        child = stays.pop()
        parent = found.pop(child.parent, None) if child.parent is not None else None
        if parent is not None:
            kept[parent.id] = f"needed by branch {child.id}"
            stays.append(parent)


def _measure(info: RunInfo, found: Mapping[str, RunInfo], depths: dict[str, int]) -> None:
    """Record, for a run and its ancestors, how many ancestors of each are among those found."""
    line = [info]
    while line[-1].id not in depths and line[-1].parent is not None and line[-1].parent in found:
        line.append(found[line[-1].parent])
    depth = depths.get(line[-1].id, 0)
    for each in reversed(line):
        depths.setdefault(each.id, depth)
        depth = depths[each.id] + 1
