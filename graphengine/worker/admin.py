"""What operators do with the runs, queues and schedules of a store, from Python."""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from graphengine.errors import GraphChanged, InputError, RunText
from graphengine.kernel.extension import compiled
from graphengine.kernel.inside import lives_of, missing, shown
from graphengine.kernel.reader import At  # noqa: TC001 - the door reads it
from graphengine.records import retention as pruning
from graphengine.records.trends import Trends
from graphengine.records.trends import trends as trends_of
from graphengine.worker.queue_limits import check_limits
from graphengine.worker.schedules import (
    Schedule,
    as_kept,
    as_schedule,
    changes,
    check_schedule,
    find,
    has_same_times,
    input_for,
    next_tick,
    start_due,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.kernel.extension import GraphDefinition, Retention
    from graphengine.kernel.store import QueueLimits
    from graphengine.records.bulk import Action, Bulk
    from graphengine.records.records import Records
    from graphengine.records.run_diff import Difference
    from graphengine.records.spending import Spent

log = logging.getLogger("graphengine.worker")


class Admin:
    """What operators do with a store: schedule runs, limit queues, remove runs, change many at once, and sum them up.

    `runner.admin` is one.

    Args:
        runner: The Runner over the store.

    Example:
        >>> async def main() -> None:
        ...     async with Runner() as runner:
        ...         await runner.start(count, run_id="first").result()
        ...         print((await runner.admin.prune(keep_last=0, dry_run=True)).runs)
        >>> asyncio.run(main())
        ('first',)
    """

    def __init__(self, runner: Records) -> None:
        self._runner, self._store, self._lives = runner, runner.store, lives_of(runner)

    async def schedule(self, schedule: Schedule, graph: GraphDefinition[Any], state: object = None) -> Schedule:
        """Start runs of a graph at given times: workers that have the graph start and drive them, each time once.

        Args:
            schedule: The times, and where the runs are queued. Adding the same again, as a program does whenever it
                starts, changes nothing. Another one of its name replaces it, as the log says: what was due is kept, and
                it stays paused. If it has other times, what was due by the earlier ones is started now.
            graph: The graph.
            state: The initial state, or a mapping of its fields, as for `start`.

        Returns:
            The schedule with its next time.

        Raises:
            CompileError; InputError: The times, the zone or the state are invalid.

        Example:
            >>> from graphengine import Schedule
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         daily = Schedule("daily", "0 7 * * *", count.name, zone="Europe/Berlin", missed="one")
            ...         print((await runner.admin.schedule(daily, count, {"n": 1})).input)
            >>> asyncio.run(main())
            {'n': 1}
        """
        self._lives.check_usable()
        plan = compiled(graph)
        if schedule.graph != plan.graph:
            text = f"it names the graph {shown(schedule.graph)}, and is given {plan.graph!r}"
            repair = f"Schedule({schedule.name!r}, {schedule.cron!r}, {plan.graph!r}, …)"
            raise InputError(text, where=f"schedule {schedule.name!r}", repair=repair)
        now = self._lives.shared.clock.now()
        found = check_schedule(replace(schedule, graph=plan.graph), plan, state, now)
        await self._store.open()
        kept = next((each for each in await self._store.schedules() if each.name == found.name), None)
        if kept is None:
            await self._store.keep_schedule(as_kept(found))
            return found
        old = as_schedule(kept)
        found = replace(found, paused=found.paused or old.paused)
        if not (changed := changes(old, found)):
            if old.recorded != found.recorded:  # the graph has changed, and its version has not
                await self._store.keep_schedule(kept._replace(body=as_kept(found).body))
            return replace(old, recorded=found.recorded)
        if old.next_at is not None and has_same_times(old, found):
            found = replace(found, next_at=old.next_at)
        elif not found.paused:
            earlier, due = replace(found, cron=old.cron, zone=old.zone), kept.next_at
            while due <= now and (after := await start_due(self._runner, graph, earlier, due, now)) != due:
                due = after
            if due <= now:  # it is queued behind a run that is not over
                found = replace(found, next_at=due)
        found = replace(found, next_at=None if found.paused else found.next_at)
        await self._store.keep_schedule(as_kept(found))
        log.info("schedule %s is changed: %s", found.name, RunText("; ".join(changed)))
        return found

    async def schedules(self) -> Sequence[Schedule]:
        """Return the schedules, by name."""
        self._lives.check_usable()
        await self._store.open()
        return [as_schedule(kept) for kept in await self._store.schedules()]

    async def misfit_schedules(self, *graphs: GraphDefinition[Any]) -> Mapping[str, InputError | GraphChanged]:
        """Return the schedules whose input does not fit its graph any more: each starts nothing until it is changed.

        Args:
            graphs: The graphs as they are now. Schedules of other graphs are left out.

        Returns:
            The reasons, by the name of the schedule.

        Raises:
            CompileError: A graph does not compile.
        """
        known = {graph.name: graph for graph in graphs}
        found: dict[str, InputError | GraphChanged] = {}
        for schedule in await self.schedules():
            if schedule.graph in known:
                try:
                    await input_for(self._runner, known[schedule.graph], schedule, f"{schedule.name}@…")
                except (InputError, GraphChanged) as error:
                    found[schedule.name] = error
        return found

    async def pause_schedule(self, name: str, *, paused: bool = True) -> Schedule:
        """Pause a schedule, or resume it at its next time: what it missed while it was paused is not started.

        Raises:
            InputError: There is no schedule of this name.
        """
        self._lives.check_usable()
        await self._store.open()
        found = await find(self._store, name)
        if found.paused == paused:  # what is due stays due
            return found
        found = replace(found, paused=paused)
        found = replace(found, next_at=None if paused else next_tick(found, self._lives.shared.clock.now()))
        await self._store.keep_schedule(as_kept(found))
        return found

    async def unschedule(self, name: str) -> None:
        """Remove a schedule; the runs that it started are not affected.

        Raises:
            InputError: There is no schedule of this name.
        """
        self._lives.check_usable()
        await self._store.open()
        await find(self._store, name)
        await self._store.drop_schedule(name)

    async def limit_queue(self, queue: str, limits: QueueLimits | None) -> None:
        """Set how much of a queue is driven at a time, and begins in a time, over all workers; None: no limits.

        Instead of a queue, `graph:NAME` or `tenant:NAME` can be paused: workers take none of their runs from any queue,
        a second later at most.

        Example:
            >>> from graphengine import QueueLimits
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         await runner.admin.limit_queue("mail", QueueLimits(concurrency=20, tenant_rate=(10, 60.0)))
            >>> asyncio.run(main())
        """
        self._lives.check_usable()
        check_limits(queue, limits)
        await self._store.open()
        await self._store.limit_queue(queue, limits)

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
            retention: In place of all others but `graph`: remove what workers would remove, with `keep_steps` also old
                steps of runs that go on.
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
        await self._store.open()
        now = self._lives.shared.clock.now()
        done = [await pruning.prune(self._store, rule, now, dry_run=dry_run) for rule in rules]
        if retention is not None and not dry_run:
            async with aclosing(pruning.trims(self._store, graph, retention.keep_steps)) as trims:
                done.append(pruning.Pruned(trimmed_steps=sum([gone async for gone in trims])))
        return pruning.merge_pruned(done, dry_run=dry_run)

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
        await self._store.open()
        return pruning.Vacuumed(*await self._store.vacuum())

    async def bulk(  # noqa: PLR0913 - an action and what it needs
        self,
        action: Literal[Action, "answer"],
        search: str,
        *,
        graphs: Sequence[GraphDefinition[Any]] = (),
        tag: str | None = None,
        why: str = "asked",
        value: object = None,
        wait: str | None = None,
        by: str = "",
        dry_run: bool = False,
    ) -> Bulk:
        """Do something to every run that a search finds, such as stop all that began today.

        Runs that an action is not for are left alone, so it can be repeated: after a crash it does what is left.

        Args:
            action: `stop` runs that have not ended, or `cancel` them for good, also failed and stopped ones;
                `resume` stopped ones, or `retry` failed ones: that is recorded, and workers drive them; `tag` or
                `untag` them; `prune` those that have ended, as `prune` does; `fill` in the fields that their graph
                declares with `search=`, of runs that began before; or `answer` questions of waiting runs: the answers
                are recorded, and whatever drives the runs takes them up.
            search: Words and filters, as for `runs`; at least one.
            graphs: The graphs of the runs to resume, retry or fill.
            tag: The tag to add or remove.
            why: The reason of a stop, final or not, for people.
            value: The answer, as for `runner.answer`.
            wait: The name of the questions to answer. Without it, the questions about effects are answered: how an
                effect ended, and whether an effect that is about to begin was already done by earlier code.
            by: Who answers.
            dry_run: Only report which runs would be changed.

        Raises:
            InputError: An argument is not valid.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         for run_id in ("first", "second"):
            ...             await runner.start(count, run_id=run_id, queue="later").result()
            ...         print((await runner.admin.bulk("stop", "graph:count since:1h", dry_run=True)).runs)
            ...         await runner.admin.bulk("stop", "graph:count since:1h", why="a wrong input")
            ...         print([info.status for info in await runner.runs()])
            >>> asyncio.run(main())
            ['second', 'first']
            ['stopped', 'stopped']
        """
        from graphengine.records.bulk import Order, bulk  # noqa: PLC0415 - few programs do it

        self._lives.check_usable()
        order = Order(action, search, graphs, tag, why, value, wait, by)
        await self._store.open()
        return await bulk(self._runner, order, dry_run=dry_run)

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
            ...         for each in (await runner.admin.trends("since:1d")).trends:
            ...             print(each.name, each.runs, dict(each.statuses), each.cost_usd)
            >>> asyncio.run(main())
            count 2 {'finished': 2} 0.0
        """
        self._lives.check_usable()
        await self._store.open()
        return await trends_of(self._store, search, by=by, every_seconds=(every or timedelta(days=1)).total_seconds())

    async def spending(self, run_id: str) -> Sequence[Spent]:
        """Return what a run spent on models so far, by agent, model and node; what it inherited is separate.

        Raises:
            UnknownRun: No run with this id is recorded.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         run = await runner.start(count).result()
            ...         print([spent.model for spent in await runner.admin.spending(run.run_id)])
            >>> asyncio.run(main())
            []
        """
        from graphengine.records.spending import spending  # noqa: PLC0415 - the same

        await self._lives.known(run_id)
        return spending(await self._store.steps(run_id), (await self._store.info(run_id)).parent_seq)

    async def diff(
        self, first: str, second: str, *, first_at: At | None = None, second_at: At | None = None
    ) -> Sequence[Difference]:
        """Compare the states of two runs, or of one run at two steps, each given as for `state_at`.

        Raises:
            UnknownRun; UnknownStep: There is no such step or visit.
        """
        from graphengine.records.run_diff import differences  # noqa: PLC0415 - few programs compare runs

        return differences(await self._runner.state_at(first, first_at), await self._runner.state_at(second, second_at))

    if not TYPE_CHECKING:  # type checkers know what it has

        def __getattr__(self, name: str) -> NoReturn:
            missing(self, name, "Runner", "Graph")


__all__ = ["Admin"]
