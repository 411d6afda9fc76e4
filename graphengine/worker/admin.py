"""The methods with which operators manage the runs, queues and schedules of a store from Python."""

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
    """Tools for operators: schedule runs, limit queues, remove runs, change many runs at once, and read statistics.

    Use the object `runner.admin`.

    Args:
        runner: The Runner whose store is managed.

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
        """Add a schedule, so that workers start runs of a graph at given times. Each time starts one run.

        The runs of a schedule are started and driven by workers that have the graph. A program can call `schedule` each
        time that it starts. What the call does depends on whether a schedule with this name exists:

        - If the same schedule already exists, nothing changes.
        - If another schedule has this name, the new schedule replaces it, and the change is logged. Times that were due
          stay due, and a paused schedule stays paused. If the new schedule has other times, the runs that were due by
          the old times are started now.

        Args:
            schedule: The times, and the queue of the runs.
            graph: The graph.
            state: The initial state, or a mapping of its fields, as for `start`.

        Returns:
            The schedule with its next time.

        Raises:
            CompileError: The graph has problems.
            InputError: The times, the zone or the state are invalid.

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
            text = (
                f"the schedule names the graph {shown(schedule.graph)}, but the graph that was passed "
                f"to schedule(…) is {plan.graph!r}"
            )
            repair = f"write Schedule({schedule.name!r}, {schedule.cron!r}, {plan.graph!r}, …)"
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
            if old.recorded != found.recorded:  # The graph has changed without a new version number.
                await self._store.keep_schedule(kept._replace(body=as_kept(found).body))
            return replace(old, recorded=found.recorded)
        if old.next_at is not None and has_same_times(old, found):
            found = replace(found, next_at=old.next_at)
        elif not found.paused:
            earlier, due = replace(found, cron=old.cron, zone=old.zone), kept.next_at
            while due <= now and (after := await start_due(self._runner, graph, earlier, due, now)) != due:
                due = after
            if due <= now:  # This time is queued behind a run that has not ended.
                found = replace(found, next_at=due)
        found = replace(found, next_at=None if found.paused else found.next_at)
        await self._store.keep_schedule(as_kept(found))
        log.info("schedule %s is changed: %s", found.name, RunText("; ".join(changed)))
        return found

    async def schedules(self) -> Sequence[Schedule]:
        """Return all schedules, sorted by name."""
        self._lives.check_usable()
        await self._store.open()
        return [as_schedule(kept) for kept in await self._store.schedules()]

    async def misfit_schedules(self, *graphs: GraphDefinition[Any]) -> Mapping[str, InputError | GraphChanged]:
        """Return the schedules whose input no longer fits the graph. They start no runs until they are changed.

        Args:
            graphs: The graphs as they are now. Schedules of other graphs are left out.

        Returns:
            The reasons, by the name of the schedule.

        Raises:
            CompileError: A graph does not compile.
        """
        by_name = {graph.name: graph for graph in graphs}
        found: dict[str, InputError | GraphChanged] = {}
        for schedule in await self.schedules():
            if schedule.graph in by_name:
                try:
                    await input_for(self._runner, by_name[schedule.graph], schedule, f"{schedule.name}@…")
                except (InputError, GraphChanged) as error:
                    found[schedule.name] = error
        return found

    async def pause_schedule(self, name: str, *, paused: bool = True) -> Schedule:
        """Pause a schedule, or resume it with its next time. Times that it missed while it was paused start no runs.

        Args:
            name: The name of the schedule.
            paused: True to pause the schedule, False to resume it.

        Raises:
            InputError: No schedule has this name.
        """
        self._lives.check_usable()
        await self._store.open()
        found = await find(self._store, name)
        if found.paused == paused:  # Nothing changes, and times that are due stay due.
            return found
        found = replace(found, paused=paused)
        found = replace(found, next_at=None if paused else next_tick(found, self._lives.shared.clock.now()))
        await self._store.keep_schedule(as_kept(found))
        return found

    async def unschedule(self, name: str) -> None:
        """Remove a schedule. The runs that it has started are not affected.

        Raises:
            InputError: No schedule has this name.
        """
        self._lives.check_usable()
        await self._store.open()
        await find(self._store, name)
        await self._store.drop_schedule(name)

    async def limit_queue(self, queue: str, limits: QueueLimits | None) -> None:
        """Limit how many runs of a queue all workers together drive at a time, or begin within a time.

        `limit_queue` can also pause a graph or a tenant, with the name `graph:NAME` or `tenant:NAME` in place of a
        queue. Within a second, workers then take no more runs of this graph or this tenant from any queue.

        Args:
            queue: The name of the queue, or `graph:NAME` or `tenant:NAME`.
            limits: The limits; None to remove all limits.

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
        """Remove old runs with all their records. This cannot be undone.

        `prune` keeps a run, whatever its age, in each of these cases:

        - The run is running or waiting.
        - A live process holds the run.
        - A branch that is kept needs the steps of the run.
        - A run that is kept has started the run, and can still read its result.

        When `prune` returns, the runs are removed and their space can be reused. Other processes can work at the same
        time. If `prune` is interrupted, no kept run is lost, and the next process that opens the store for writing
        frees the rest of the space.

        Args:
            keep_last: Keep this many of the newest runs of each graph, in any status.
            older_than: Remove only runs whose last step is at least this old: seconds, or a timedelta.
            keep_tags: Keep runs that have one of these tags.
            graph: Remove only runs of this graph, by name.
            statuses: Remove only runs in these statuses. `failed` and `stopped` runs can still be resumed, so they are
                only removed if they are named here.
            retention: Remove the runs that workers would remove under this retention. With `keep_steps`, also remove
                old steps of unfinished runs. Only `graph` and `dry_run` can be given in addition.
            dry_run: Only report the runs that would be removed.

        Returns:
            The removed runs, and the runs that were old enough but kept, with the reasons.

        Raises:
            InputError: None of `keep_last`, `older_than` and `retention` is given, or a value is invalid.
        """
        self._lives.check_usable()
        if retention is not None and (keep_last, older_than, *keep_tags) != (None, None):
            text = "prune() accepts either retention= or keep_last=, older_than= and keep_tags=, but got both"
            repair = "write prune(retention=…), or prune(retention=…, graph='review')"
            raise InputError(text, where="prune", repair=repair)
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

        `vacuum` does the work in chunks, so that other processes can write between two chunks. It returns when all
        space has been returned.

        A database that was restored from a dump must be rewritten once, which needs free space of twice its size.
        Choose a quiet time for this: other processes that write have to wait. If the wait is longer than their timeout
        (10 s by default), they fail with `store_locked`, and their runs can be resumed.

        Raises:
            StoreLocked: Another process was writing all the time.
            StoreFull: The disk has no space for the copy. Nothing has changed.
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
        """Apply an action to every run that a search finds, for example stop all runs that began today.

        `bulk` skips runs to which the action does not apply. The call can therefore be repeated: after a crash, the
        next call completes the work.

        Args:
            action: The action:

                - `stop` stops runs that have not ended. `cancel` ends runs for good, including failed and stopped runs.
                - `resume` resumes stopped runs, and `retry` retries failed runs. This is recorded, and workers then
                  drive the runs.
                - `tag` and `untag` add or remove a tag.
                - `prune` removes runs that have ended, as the method `prune` does.
                - `fill` records the fields that the graph declares with `search=`, for runs that began before the graph
                  declared the fields.
                - `answer` answers questions of waiting runs. The answers are recorded, and the process or worker that
                  drives a run takes them up.
            search: Words and filters, as for `runs`. At least one is needed.
            graphs: The graphs of the runs to resume, retry or fill.
            tag: The tag to add or remove.
            why: The reason for a stop or a cancellation, for people.
            value: The answer, as for `runner.answer`.
            wait: The name of the questions to answer. Without a name, the questions about effects are answered: how an
                effect ended, and whether an effect that is about to begin was already done by earlier code.
            by: The person who answers.
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
        """Return statistics of runs by time intervals: numbers, statuses, losses, costs and durations.

        `trends` computes the statistics from the summaries of the runs. The summary of a run is written when the status
        of the run changes, so the amount that a running run has spent since then is not included.

        Args:
            search: Words and filters that select the runs, as for `runs`.
            by: Group the runs by graph or by tag. A run with several tags counts for each tag, and a run without tags
                is not counted.
            every: The length of an interval; one day by default. A run belongs to the interval in which it began.

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
        """Return the spending of a run on models so far, by agent, model and node.

        If the run is a branch, `spending` lists separately what was spent in the steps that the run shares with its
        parent.

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
        from graphengine.records.spending import spending  # noqa: PLC0415 - few programs need it

        await self._lives.wait_until_recorded(run_id)
        return spending(await self._store.steps(run_id), (await self._store.info(run_id)).parent_seq)

    async def diff(
        self, first: str, second: str, *, first_at: At | None = None, second_at: At | None = None
    ) -> Sequence[Difference]:
        """Compare the states of two runs, or of one run at two of its steps, and return the differences.

        The arguments `first_at` and `second_at` of `diff` choose the steps whose states are compared, in the same form
        as for `Runner.state_at`. By default, the last steps of the runs are compared.

        Raises:
            UnknownRun: One of the runs does not exist.
            UnknownStep: A run has no such step or visit.
        """
        from graphengine.records.run_diff import differences  # noqa: PLC0415 - few programs compare runs

        return differences(await self._runner.state_at(first, first_at), await self._runner.state_at(second, second_at))

    if not TYPE_CHECKING:  # Type checkers know the methods, so a misspelled name is an error for them.

        def __getattr__(self, name: str) -> NoReturn:
            missing(self, name, "Runner", "Graph")


__all__ = ["Admin"]
