"""Remove old runs: all at once with `Admin.prune`, or a few at a time while workers are running.

This module only proposes which runs to remove, with branches before their parents. What it has read can be out of date
when a run is removed, so `Store.remove` checks each run again in the transaction that removes the run. Therefore any
number of processes can prune at the same time, and a process that dies while pruning leaves no run partly removed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping  # noqa: TC003 - documents read the annotations
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeVar

from graphengine.errors import InputError, UnknownRun
from graphengine.kernel.extension import did_you_mean, is_seconds
from graphengine.kernel.inside import check_tags
from graphengine.kernel.store import EndedRun
from graphengine.records.kept_children import Starters

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence

    from graphengine.kernel.extension import Retention
    from graphengine.kernel.store import RunInfo, Status, Store

RunT = TypeVar("RunT", bound="RunInfo | EndedRun")

DRIVEN: Final = "driven by a live process, which `graphengine workers` lists"
"""The reason for keeping a run that a process drives."""
ENDED: Final = ("finished", "failed", "stopped", "cancelled")
"""The statuses of runs that may be pruned."""

_DAY_SECONDS: Final = 86_400.0
_PAGE: Final = 1000
_BATCH: Final = 2000
"""How many runs a prune removes in one transaction. Such a transaction takes some hundredths of a second."""

_BITE: Final = 25
"""How many runs a worker removes in one transaction, so that other work waits only some hundredths of a second."""

_STEPS_A_BITE: Final = 500
"""How many old steps of a kept run a worker removes in one transaction."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The result of removing old runs with `prune`. After a dry run: what would be removed.

    Attributes:
        runs: The ids of the removed runs, in order of removal.
        steps: How many steps the removed runs had, without the steps that they shared with their parents.
        db_bytes: The approximate size of the removed steps, snapshots and messages. The database file does not shrink.
            The space is reused, or `Admin.vacuum` returns it to the system.
        kept: Runs that were old enough and had a matching status but were kept: the reasons, by the ids of the runs.
        dry_run: Whether this was a dry run, which removes nothing.
        trimmed_steps: How many old steps of unfinished runs were removed because of `Retention(keep_steps=)`. A dry run
            does not count them and reports 0.
    """

    runs: tuple[str, ...] = ()
    steps: int = 0
    db_bytes: int = 0
    kept: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    trimmed_steps: int = 0


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """The size of the database before and after `Admin.vacuum`.

    Attributes:
        before_bytes: The size on disk before the vacuum.
        after_bytes: The size on disk after the vacuum.
    """

    before_bytes: int
    after_bytes: int


@dataclass(frozen=True, slots=True)
class Rule:
    """The conditions under which an ended run may be removed. All of them must be met.

    Attributes:
        keep_last: Keep this many of the newest runs of each graph, whatever their status.
        older_than: Remove only runs whose last step is at least this many seconds old.
        keep_tags: Keep runs that have one of these tags.
        graph: Remove only runs of this graph.
        statuses: Remove only runs with one of these statuses.
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
    """Check the arguments of `prune`, and return them as a `Rule`.

    Raises:
        InputError: Both `keep_last` and `older_than` are None, or a value is invalid.
    """
    if keep_last is None and older_than is None:
        repair = "write prune(keep_last=100), or prune(older_than=timedelta(days=30)), or both"
        raise InputError("prune() got no rule that says which runs to keep", where="prune", repair=repair)
    given_last: object = keep_last
    is_count = isinstance(given_last, int) and not isinstance(given_last, bool) and given_last >= 0
    if given_last is not None and not is_count:
        text = f"keep_last={given_last!r}: the number of runs to keep must be a whole number of at least 0"
        raise InputError(text, where="prune", repair="write prune(keep_last=100)")
    given_age: object = older_than.total_seconds() if isinstance(older_than, timedelta) else older_than
    if given_age is not None and not is_seconds(given_age, zero=True):
        text = f"older_than={older_than!r}: the age must be a timedelta, or a number of seconds of at least 0"
        raise InputError(text, where="prune", repair="write prune(older_than=timedelta(days=30))")
    wanted = (statuses,) if isinstance(statuses, str) else tuple(statuses)
    for status in wanted:
        if status in {"running", "waiting"}:
            repair = f"stop the runs first, and choose from these for statuses=: {', '.join(ENDED)}"
            raise InputError(f"runs with the status {status!r} are never pruned", where="prune", repair=repair)
        if status not in ENDED:
            raise InputError(f"{status!r} is not a status of a run", where="prune", repair=did_you_mean(status, ENDED))
    seconds = None if older_than is None else float(given_age)  # type: ignore[arg-type]  # seen above
    return Rule(keep_last, seconds, frozenset(check_tags(keep_tags, "keep_tags=")), graph, wanted)  # type: ignore[arg-type]


def merge_pruned(parts: Iterable[Pruned], *, dry_run: bool) -> Pruned:
    found = Pruned(dry_run=dry_run)
    for each in parts:
        counts = found.steps + each.steps, found.db_bytes + each.db_bytes
        trimmed = found.trimmed_steps + each.trimmed_steps
        found = Pruned(found.runs + each.runs, *counts, {**found.kept, **each.kept}, dry_run, trimmed)
    return found


def rules_of(graph: str | None, keep: Retention) -> list[Rule]:
    """Convert a `Retention`, which says how long runs are kept, to rules for one graph.

    If `graph` is None, the rules apply to all graphs.
    """
    ages: tuple[tuple[float | None, tuple[Status, ...]], ...] = (
        (keep.keep_days, ("finished", "cancelled")),
        (keep.keep_failed_days, ("failed", "stopped")),
    )
    kept = keep.keep_last, frozenset(keep.keep_tags)
    return [Rule(kept[0], days * _DAY_SECONDS, kept[1], graph, statuses) for days, statuses in ages if days is not None]


async def bites(store: Store, wanted: Rule, now: float) -> AsyncGenerator[int]:
    """Remove old runs in small transactions while other work goes on.

    After each transaction, yield how many runs it removed, so that the caller can pause. Unlike `prune`, this function
    keeps only one page of runs in memory. It reads the newest runs first, so that branches come before their parents.
    Two kinds of runs are left for the next pass:

    - The parent of a branch that is kept: the store refuses to remove the parent.
    - A child run whose starter is removed later in the same pass, if the starter could have been resumed until then.
    """
    starters = Starters(store)
    newest = await _load_newest_ids(store, wanted.graph or "", wanted.keep_last)
    for status in wanted.statuses:
        # A run began before its last step, so only runs that began before this time can be old enough.
        before, end = None, now - (wanted.older_than or 0.0)
        oldest = end
        while True:
            try:
                page = await store.runs(limit=_BITE, status=status, graph=wanted.graph, before=before, begun_before=end)
            except UnknownRun:  # Another process has removed the last run of the previous page.
                before = None
                continue
            if not page:
                break
            old = [info for info in page if info.updated_at <= oldest and not _reason_to_stay(info, wanted, newest)]
            needed = await starters.needing(old)
            removable = [info for info in old if info.id not in needed]
            refused = await store.remove(removable) if removable else {}
            yield len(removable) - len(refused)
            # `before=` names a run that must exist. If the last run of this page was just removed, the next page is
            # therefore chosen by time: it begins again with the runs that were created at the same time as that run.
            # This list is shorter by the removed run, so the loop makes progress.
            last = page[-1]
            before = None if last in removable and last.id not in refused else last.id
            end = math.nextafter(last.created_at, math.inf)


async def trims(store: Store, graph: str | None, keep_steps: int | None) -> AsyncGenerator[int]:
    """Remove the data of old steps of unfinished runs.

    After each transaction, yield how many steps it removed. Each pass visits all runs that have more than `keep_steps`
    steps. It removes no steps of a run that has no new snapshot since the previous pass.
    """
    statuses: tuple[Status, ...] = ("running", "waiting") if keep_steps is not None else ()
    for status in statuses:
        page = await store.runs(limit=_PAGE, status=status, graph=graph)
        while page:
            for info in page:
                if info.seq - info.parent_seq > (keep_steps or 0):
                    with suppress(UnknownRun):
                        while removed := await store.trim(info.id, keep_steps or 0, _STEPS_A_BITE):
                            yield removed
            page = await _next_page(store, page, status, graph)


async def prune(store: Store, wanted: Rule, now: float, *, dry_run: bool) -> Pruned:
    """Remove all runs that meet the conditions of a rule. A dry run only reports these runs."""
    kept: dict[str, str] = {}
    found = await _find_removable(store, wanted, now, kept)
    removed = await remove(store, found.copy(), kept, dry_run=dry_run)
    runs = [found[run_id] for run_id in removed]
    steps, db_bytes = sum(info.seq - info.parent_seq for info in runs), sum(info.size for info in runs)
    return Pruned(tuple(removed), steps, db_bytes, kept, dry_run)


async def remove(store: Store, found: dict[str, RunT], kept: dict[str, str], *, dry_run: bool) -> list[str]:
    """Remove the runs in `found`, except runs that another kept run still needs.

    The runs that are kept are added to `kept`, each with the reason. Branches are removed before their parents. If a
    starter may still need the result of its child run, the child is removed in a later transaction than the starter.
    This order matters in the following case:

    1. A run and the child run that it started have both failed and shall be removed.
    2. Meanwhile, another process resumes the starter.
    3. The store refuses to remove the starter, because the starter has changed. The child has not been removed yet, so
       it is kept as well.

    Returns:
        The ids of the removed runs, in order of removal.
    """
    starters = Starters(store)
    removable = await _in_order(store, found, kept, starters)
    needed = await starters.needing(removable)
    removed: list[str] = []
    for part in _batches(removable, needed):
        # Let the runs of this process continue between two batches. A dry run waits for nothing else.
        await asyncio.sleep(0)
        waits = {info.id: _say_needed_by(needed[info.id]) for info in part if needed.get(info.id) in kept}
        batch = [info for info in part if info.id not in waits]
        refused = {} if dry_run else await store.remove(batch)
        kept |= {**waits, **refused}
        removed += [info.id for info in batch if info.id not in refused]
    if not dry_run:
        await store.sweep()
    return removed


async def _find_removable(store: Store, wanted: Rule, now: float, kept: dict[str, str]) -> dict[str, EndedRun]:
    """Return the ended runs that meet the conditions of a rule and may therefore be removed, by id.

    Runs that are old enough but must stay, for example because of a tag, are added to `kept` with the reason.
    """
    found: dict[str, EndedRun] = {}
    newest: dict[str, Collection[str]] = {}
    oldest = math.inf if wanted.older_than is None else now - wanted.older_than
    for status in dict.fromkeys(wanted.statuses):
        page = await store.ended(status, graph=wanted.graph, limit=_PAGE)
        while page:
            for info in page:
                if info.updated_at > oldest:
                    continue
                if info.graph not in newest:
                    newest[info.graph] = await _load_newest_ids(store, info.graph, wanted.keep_last)
                reason = _reason_to_stay(info, wanted, newest[info.graph])
                if reason:
                    kept[info.id] = reason
                else:
                    found[info.id] = info
            page = await store.ended(status, graph=wanted.graph, after=page[-1], limit=_PAGE)
    return found


async def _in_order(store: Store, found: dict[str, RunT], kept: dict[str, str], starters: Starters) -> list[RunT]:
    """Return the runs in the order in which they have to be removed.

    Branches come before their parents, and runs before the child runs that they started. Runs that a kept run still
    needs are moved from `found` to `kept`.
    """
    count = -1
    # Keeping a run as a parent of a branch can make its child runs needed, and the other way round. So repeat until
    # no more runs are kept.
    while len(found) != count:
        count = len(found)
        await _keep_parents(store, found, kept)
        for run_id, starter in (await starters.needing(found.values())).items():
            if starter not in found:
                del found[run_id]
                kept[run_id] = _say_needed_by(starter)
    depths: dict[str, int] = {}
    for info in found.values():
        if info.parent is not None:
            _measure(info, found, depths)
    ordered = sorted(found.values(), key=attrgetter("depth", "created_at", "id"))
    return sorted(ordered, key=lambda info: -depths.get(info.id, 0)) if depths else ordered


def _say_needed_by(starter: str) -> str:
    return f"needed by parent {starter}"


def _batches(removable: Sequence[RunT], needed: Mapping[str, str]) -> Iterator[list[RunT]]:
    """Split the runs to remove into batches, each of which is removed in one transaction.

    A child run and the run that started it and may still need it are never in the same batch.
    """
    at = 0
    ids: set[str] = set()
    for end, info in enumerate(removable if needed else ()):
        if needed.get(info.id) in ids:
            yield from _split_in_batches(removable[at:end])
            at, ids = end, set()
        ids.add(info.id)
    yield from _split_in_batches(removable[at:])


def _split_in_batches(removable: Sequence[RunT]) -> Iterator[list[RunT]]:
    return (list(removable[at : at + _BATCH]) for at in range(0, len(removable), _BATCH))


async def _next_page(store: Store, page: Sequence[RunInfo], status: Status, graph: str | None) -> Sequence[RunInfo]:
    """Return the page of runs that follows the given page in the list of runs with this status and graph.

    Runs of the given page may have been removed meanwhile. The next page begins after the last run that still exists.
    """
    for last in reversed(page):
        with suppress(UnknownRun):
            return await store.runs(limit=_PAGE, status=status, graph=graph, before=last.id)
    return ()


async def _load_newest_ids(store: Store, graph: str, count: int | None) -> Collection[str]:
    return {info.id for info in await store.runs(limit=count, graph=graph)} if count else ()


def _reason_to_stay(info: RunInfo | EndedRun, wanted: Rule, newest: Collection[str]) -> str:
    """Return why a run must not be removed, because of a rule or because a process drives it; "" if it may be removed.

    Other runs that may need this run are not considered here.
    """
    if info.tags and (tags := wanted.keep_tags.intersection(info.tags)):
        return f"tag {min(tags)!r}"
    if info.id in newest:
        return f"among the newest {wanted.keep_last} of {info.graph}"
    return "" if info.driver is None else DRIVEN


async def _keep_parents(store: Store, found: dict[str, RunT], kept: dict[str, str]) -> None:
    """Move from `found` to `kept` each run from which a kept branch was started, and also the ancestors of such a run.

    A branch does not store the steps that it shares with its parent, so the parent must stay.
    """
    ids = [info.id for info in found.values() if not isinstance(info, EndedRun) or info.branched]
    stays: list[RunInfo | EndedRun] = []
    for at in range(0, len(ids), _PAGE):
        stays += [child for child in await store.branches(ids[at : at + _PAGE]) if child.id not in found]
    while stays:
        child = stays.pop()
        parent = found.pop(child.parent, None) if child.parent is not None else None
        if parent is not None:
            kept[parent.id] = f"needed by branch {child.id}"
            stays.append(parent)


def _measure(info: RunT, found: Mapping[str, RunT], depths: dict[str, int]) -> None:
    """Count how many ancestors of a branch will be removed too, and note the number in `depths`.

    The same is done for these ancestors. Branches are removed in the order of these numbers, since a branch must be
    removed before its parent.
    """
    line = [info]
    while line[-1].id not in depths and line[-1].parent is not None and line[-1].parent in found:
        line.append(found[line[-1].parent])
    depth = depths.get(line[-1].id, 0)
    for each in reversed(line):
        depths.setdefault(each.id, depth)
        depth = depths[each.id] + 1
