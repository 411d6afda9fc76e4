"""Recorded runs: list, read, compare, tag and remove them. Nothing here drives a run."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from graphengine.kernel import At, InputError, UnknownRun, as_shown, checked_tags, load_now
from graphengine.kernel import Runner as CoreRunner
from graphengine.kernel.definitions import did_you_mean
from graphengine.records import retention as pruning
from graphengine.records.run_waits import RunWait, as_answered, run_waits_of
from graphengine.records.search import wanted_of
from graphengine.records.selection import STATUSES, Wanted, newest
from graphengine.records.trends import Trends
from graphengine.records.trends import trends as trends_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphengine.kernel import RunInfo
    from graphengine.kernel.definitions import GraphDefinition, Retention
    from graphengine.records.bulk import Action, Bulk
    from graphengine.records.run_diff import Difference
    from graphengine.records.spending import Spent

S = TypeVar("S")
T = TypeVar("T")


class Page(list[T]):
    """A page of a list.

    Attributes:
        more: Whether the list has others after these; `before=` the last run's id returns them.
    """

    more: bool = False


class Records(CoreRunner):
    """A Runner that also lists, reads, compares, tags and removes recorded runs."""

    async def runs(  # noqa: PLR0913 - each selects runs
        self,
        search: str = "",
        *,
        status: str | None = None,
        graph: str | None = None,
        tag: str | None = None,
        tenant: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Page[RunInfo]:
        """Return the recorded runs, the newest first, whichever process drives them.

        Args:
            search: Only runs that these words find, as on the command line: `"timeout status:failed"`. A run is found
                by the words of its id, graph, tags and first input, and of what it waits for or why it ended, or by
                their beginnings, in any order and case. The filters are `status:`, `graph:`, `tag:`, `tenant:`,
                `since:`, `after:`, `before:` and `cost>`.
            status: Only runs with this status: `running`, `waiting`, `finished`, `stopped` or `failed`; `queued` for a
                running run that no process has driven yet, `interrupted` for one that no process drives any more;
                `running` then are those that one drives.
            graph: Only runs of this graph, by name.
            tag: Only runs with this tag.
            tenant: Only runs for this tenant.
            limit: The maximum number; `more` of the result says whether there are others.
            before: The id of the last run of a page, for the next page.

        Raises:
            InputError: There is no such status, a filter of the search has no such value, or the limit is below 1.
            UnknownRun: There is no run `before`.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         await runner.start(count, run_id="first", tags=["nightly"]).result()
            ...         print([(info.id, info.status) for info in await runner.runs(tag="nightly")])
            ...         print([info.id for info in await runner.runs("FIRST since:1h")])
            >>> asyncio.run(main())
            [('first', 'finished')]
            ['first']
        """
        self._lives.check_usable()
        if status is not None and status not in STATUSES:
            raise InputError(f"no run has the status {status!r}", where="runs", repair=did_you_mean(status, STATUSES))
        if limit < 1:
            raise InputError(f"runs(limit={limit})", repair="give 1 or more")
        await self.store.open()
        wanted = Wanted(limit + 1, status, graph, tag, before=before, tenant=tenant)
        found = await newest(self.store, wanted_of(search, wanted))
        page = Page(map(as_shown, await as_answered(self.store, found[:limit])))
        page.more = len(found) > limit
        return page

    async def trends(
        self, search: str = "", *, by: Literal["graph", "tag"] = "graph", every: timedelta | None = None
    ) -> Trends:
        """Return how many runs there were, how they ended, and what they lost, cost and took, over time.

        They are computed from the summaries of the runs, which are written when a run's status changes: what a running
        run spends is not in them yet.

        Args:
            search: Only runs that these words find, as for `runs`.
            by: Group them by graph or by tag; a run with several tags counts for each, one without tags for none.
            every: The length of an interval, a day if not given; a run belongs to the one in which it began.

        Raises:
            InputError: An argument is not valid.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         for _ in range(2):
            ...             await runner.start(count).result()
            ...         for each in (await runner.trends("since:1d")).trends:
            ...             print(each.name, each.runs, dict(each.statuses), each.cost_usd)
            >>> asyncio.run(main())
            count 2 {'finished': 2} 0.0
        """
        self._lives.check_usable()
        await self.store.open()
        return await trends_of(self.store, search, by=by, every_seconds=(every or timedelta(days=1)).total_seconds())

    async def waits(
        self, run_id: str | None = None, *, graph: str | None = None, limit: int = 100, before: str | None = None
    ) -> Page[RunWait]:
        """Return what a run waits for, or what all waiting runs wait for, those of the newest run first.

        A question whose answer is recorded is left out, also if no process has continued the run yet. A run that still
        does something else is not among the waiting runs. The last step of each is read, which takes
        about a millisecond.

        Args:
            run_id: The run; all waiting runs if not given.
            graph: Only runs of this graph, by name.
            limit: The maximum number of runs; `more` of the result says whether there are others.
            before: The id of the last run of a page, for the next page.

        Raises:
            UnknownRun; InputError: The limit is below 1.

        Example:
            >>> graph = Graph("asks", Count)
            >>> graph.add_node("number", ask("Which number?", int), writes="n")
            >>> graph.add_path(START, "number", END)
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         for run_id in ("first", "second"):
            ...             await runner.start(graph, run_id=run_id).result()
            ...         for wait in await runner.waits(graph="asks"):
            ...             print(wait.run_id, wait.name, wait.kind, wait.question)
            >>> asyncio.run(main())
            second number ask Which number?
            first number ask Which number?
        """
        if run_id is not None:
            await self._lives.known(run_id)
            return Page(run_waits_of(await load_now(self.store, run_id)))
        runs = await self.runs(status="waiting", graph=graph, limit=limit, before=before)
        found = Page[RunWait]()
        found.more = runs.more
        for info in runs:
            with suppress(UnknownRun):  # it was removed meanwhile
                found += run_waits_of(await load_now(self.store, info.id))
        return found

    async def diff(
        self, first: str, second: str, *, first_at: At | None = None, second_at: At | None = None
    ) -> Sequence[Difference]:
        """Compare the states of two runs, or of one run at two steps, each given as for `state_at`.

        Raises:
            UnknownRun; UnknownStep: There is no such step or visit.
        """
        from graphengine.records.run_diff import differences  # noqa: PLC0415 - few programs compare runs

        return differences(await self.state_at(first, first_at), await self.state_at(second, second_at))

    async def tag(self, run_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Sequence[str]:
        """Change a run's tags, in any status and whichever process drives it, and return them sorted.

        Args:
            run_id: The run.
            add: Tags to add, each of 1 to 100 printable characters.
            remove: Tags to remove; those that it does not have are ignored.

        Raises:
            UnknownRun; InputError: A text that cannot be a tag.
        """
        added, removed = checked_tags(add, "add="), checked_tags(remove, "remove=")
        await self._lives.known(run_id)
        return await self.store.tag(run_id, added, removed)

    async def prune(  # noqa: PLR0913 - one parameter for each reason to keep a run
        self,
        *,
        keep_last: int | None = None,
        older_than: float | timedelta | None = None,
        keep_tags: Iterable[str] = (),
        graph: str | None = None,
        statuses: Iterable[str] = ("finished",),
        retention: Retention | None = None,
        dry_run: bool = False,
    ) -> pruning.Pruned:
        """Remove old runs, with everything that is recorded of them. This cannot be undone.

        A run is always kept if it is running or waiting, if a live process holds it, if a kept branch needs its steps,
        or if a kept run that started it can still read its end. When this returns, the runs are removed and their space
        can be reused; other processes can work meanwhile. If it is interrupted, no kept run is lost, and the next
        process that opens the store for writing frees the rest.

        Args:
            keep_last: Keep this many of the newest runs of each graph, in any status.
            older_than: Remove only runs whose last step is at least this old: seconds, or a timedelta.
            keep_tags: Keep runs with one of these tags.
            graph: Remove only runs of this graph, by name.
            statuses: Remove only runs in these statuses; `failed` and `stopped` runs can still be resumed, so they must
                be named.
            retention: In place of all others but `graph`: remove what workers would remove.
            dry_run: Only report what would be removed.

        Returns:
            The removed runs, and the runs that were old enough but kept, with the reasons.

        Raises:
            InputError: Neither keep_last, older_than nor retention is given, or a value is invalid.
        """
        self._lives.check_usable()
        if retention is not None and (keep_last, older_than, *keep_tags) != (None, None):
            repair = "give prune(retention=…) alone, or with graph="
            raise InputError("retention= is given with other reasons to keep a run", where="prune", repair=repair)
        rules = (
            [pruning.rule(keep_last, older_than, keep_tags, graph, statuses)]
            if retention is None
            else pruning.rules_of(graph, retention)
        )
        await self.store.open()
        now = self._lives.shared.clock.now()
        done = [await pruning.prune(self.store, rule, now, dry_run=dry_run) for rule in rules]
        return pruning.merged(done, dry_run=dry_run)

    async def bulk(  # noqa: PLR0913 - an action and what it needs
        self,
        action: Action,
        search: str,
        *,
        graphs: Sequence[GraphDefinition[Any]] = (),
        tag: str | None = None,
        why: str = "asked",
        dry_run: bool = False,
    ) -> Bulk:
        """Do something to every run that a search finds, such as stop all that began today.

        Runs that an action is not for are left alone, so it can be repeated: after a crash it does what is left.

        Args:
            action: `stop` runs that have not ended, or `cancel` them for good, also failed and stopped ones;
                `resume` stopped ones, or `retry` failed ones: that is recorded, and workers drive them; `tag` or
                `untag` them; `prune` those that have ended, as `Runner.prune` does.
            search: Words and filters, as for `runs`; at least one.
            graphs: The graphs of the runs to resume or retry.
            tag: The tag to add or remove.
            why: The reason of a stop, final or not, for people.
            dry_run: Only report which runs would be changed.

        Raises:
            InputError: An argument is not valid.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         for run_id in ("first", "second"):
            ...             await runner.start(count, run_id=run_id, queue="later").result()
            ...         print((await runner.bulk("stop", "graph:count since:1h", dry_run=True)).runs)
            ...         await runner.bulk("stop", "graph:count since:1h", why="a wrong input")
            ...         print([info.status for info in await runner.runs()])
            >>> asyncio.run(main())
            ['second', 'first']
            ['stopped', 'stopped']
        """
        from graphengine.records.bulk import Order, bulk  # noqa: PLC0415 - few programs do it

        self._lives.check_usable()
        order = Order(action, search, graphs, tag, why)
        await self.store.open()
        return await bulk(self, order, dry_run=dry_run)

    async def vacuum(self) -> pruning.Vacuumed:
        """Return the space of pruned runs to the disk.

        It works in chunks between which other processes can write, and returns when all space is returned. A database
        that was restored from a dump is rewritten once: that needs twice its size of free space, and processes that
        write meanwhile wait, and fail with `store_locked` if it takes longer than their timeout (10 s by default);
        their runs can then be resumed. Choose a quiet time for that.

        Raises:
            StoreLocked: Another process was writing all the time.
            StoreFull: The disk has no space for the copy; nothing has changed.
        """
        self._lives.check_usable()
        await self.store.open()
        return pruning.Vacuumed(*await self.store.vacuum())

    async def spending(self, run_id: str) -> Sequence[Spent]:
        """Return what a run spent on models so far, by agent, model and node; what it inherited is separate.

        Raises:
            UnknownRun: No run with this id is recorded.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         run = await runner.start(count).result()
            ...         print([spent.model for spent in await runner.spending(run.run_id)])
            >>> asyncio.run(main())
            []
        """
        from graphengine.records.spending import spending  # noqa: PLC0415 - the same

        await self._lives.known(run_id)
        return spending(await self.store.steps(run_id), (await self.store.info(run_id)).parent_seq)


__all__ = ["Page", "Records", "RunWait"]
