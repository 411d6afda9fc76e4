"""Schedules, which name the times at which workers start runs, and the Ticker that starts these runs."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from itertools import islice, takewhile
from json import dumps
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from pydantic_core import to_jsonable_python

from graphengine.errors import GraphChanged, InputError, RunExists
from graphengine.kernel.extension import compiled, is_tag
from graphengine.kernel.inside import RecordedInput, given_in, lives_of
from graphengine.kernel.reader import OVER
from graphengine.kernel.store import DEFAULT_QUEUE, StoredSchedule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.kernel.extension import GraphDefinition, Plan, Runner
    from graphengine.kernel.store import QueueStore, RunInfo

Missed: TypeAlias = Literal["skip", "one", "all"]
Overlap: TypeAlias = Literal["all", "skip", "queue", "replace"]

LATE_SECONDS: Final = 60.0
"""If a worker sees a tick more than this many seconds late, the tick counts as missed."""

log = logging.getLogger("graphengine.worker")

_AT_ONCE: Final = 100
_STOP_SECONDS: Final = 1.0
_STOPS: Final[set[asyncio.Task[None]]] = set()
"""The tasks that stop replaced runs. They are kept here because asyncio does not keep tasks alive."""
_HOUR: Final = {5: 1, 6: 2}
"""The index of the hour in a cron expression, by the number of fields of the expression."""
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule: runs of a graph that workers start at given times.

    Attributes:
        name: The name of the schedule. The ids of its runs are `NAME@20261121T060000Z`, with the time in UTC.
        cron: The times as a cron expression: minute, hour, day of the month, month and day of the week. An optional
            sixth field in front is the second.
        zone: The time zone of the times, such as `Europe/Berlin`. When its clocks change, a time with a fixed hour that
            is skipped comes right after the gap, and a time that occurs twice comes once. If the hour is `*`, the times
            follow the clock.
        graph: The name of the graph.
        input: The fields of the initial state.
        missed: What happens to ticks that no worker saw in time. `skip` starts no run, `one` starts a run for the last
            missed tick, and `all` starts a run for each of them.
        overlap: What happens at a tick while an earlier run of the schedule has not ended. `all` starts another run
            beside it. `skip` skips the tick. `queue` starts the run when the earlier run has ended. `replace` stops the
            earlier run for good and starts the new run. If several ticks are queued, only the last one starts a run;
            with `missed="all"`, each of them starts a run, one after another.
        queue: The queue of the runs.
        priority: The priority of the runs in the queue.
        tenant: The tenant of the runs.
        tags: The tags of the runs.
        paused: Whether the schedule starts no runs until it is resumed.
        next_at: The next tick, epoch seconds; None while the schedule is paused.
        recorded: Facts that `Runner.admin.schedule` records so that the input can be migrated when it is used: the
            `version` and the `fingerprint` of the graph; in `others`, the values with which the other fields would have
            begun; and in `given`, the given fields as a run records them, if this form differs from the input. None if
            the schedule was stored without these facts. Then the input is read as an input of the current version.
    """

    name: str
    cron: str
    graph: str
    zone: str = "UTC"
    input: Mapping[str, Any] = field(default_factory=dict)
    missed: Missed = "skip"
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    tenant: str | None = None
    tags: Sequence[str] = ()
    paused: bool = False
    next_at: float | None = None
    recorded: Mapping[str, Any] | None = field(default=None, repr=False)
    overlap: Overlap = "all"


def check_schedule(schedule: Schedule, plan: Plan[Any], given: object, now: float) -> Schedule:
    """Check a new schedule, and fill in its recorded input and the time of its next run.

    Raises:
        InputError: The name, the times, the zone, another setting or the input is invalid.
    """
    where = f"schedule {schedule.name!r}"
    if not is_tag(schedule.name) or any(map(str.isspace, schedule.name)) or "@" in schedule.name:
        text = f"{schedule.name!r} cannot be the name of a schedule, because the name must be one word without '@'"
        raise InputError(text, where=where, repair="choose a name such as 'daily-report'")
    if schedule.missed not in get_args(Missed):
        text = f"missed={schedule.missed!r}: missed must be 'skip', 'one' or 'all'"
        raise InputError(text, where=where, repair='write missed="one" to start one run for all missed times')
    if schedule.overlap not in get_args(Overlap):
        text = f"overlap={schedule.overlap!r}: overlap must be 'all', 'skip', 'queue' or 'replace'"
        raise InputError(text, where=where, repair='write overlap="skip" to start no run beside one that goes on')
    if schedule.overlap != "all" and not is_tag(schedule_tag(schedule.name)):
        text = (
            f"the name of the schedule is too long: with overlap={schedule.overlap!r} each of its runs gets a tag with "
            "this name, and a tag has at most 100 characters"
        )
        raise InputError(text, where=where, repair="choose a shorter name, such as 'daily-report'")
    fields = given_in(given if given is not None else {})
    secret = sorted(plan.state.secrets & fields.keys())
    if secret:
        names = ", ".join(map(repr, secret))
        message = f"the input of a schedule cannot contain the secret {names}, because it is stored in clear text"
        raise InputError(message, where=where, repair="leave it out of the input, and read the secret in a node")
    kept = to_jsonable_python(fields)
    written = RecordedInput.of(plan, kept, where)
    recorded = {"version": written.version, "fingerprint": written.fingerprint, "others": written.others}
    if written.given != kept:
        recorded["given"] = written.given
    found = replace(schedule, input=kept, recorded=recorded)
    return replace(found, next_at=next_tick(found, now))


def next_tick(schedule: Schedule, after: float) -> float:
    """Return the first time of the schedule after the given time, in epoch seconds.

    Raises:
        InputError: The times or the zone are invalid, or the schedule has no further time.
    """
    for tick in ticks(schedule, after):
        return tick
    where = f"schedule {schedule.name!r}"
    text = f"the times {schedule.cron!r} never come: no such date exists in the next years"
    raise InputError(
        text, where=where, repair='choose a date that exists: "0 7 28 2 *" is each 28th of February at 7:00'
    )


def ticks(schedule: Schedule, after: float) -> Iterator[float]:
    """Yield the times of the schedule after the given time, in epoch seconds.

    The change of clocks in the zone is handled as by Debian's cron. A time with a fixed hour comes exactly once on such
    a day: if the clocks skip the time, right after the gap; if the time occurs twice, the first time. If the hour is
    `*` or a step such as `*/2`, times follow the clock: none of them falls into the gap, and the times of a repeated
    hour are repeated.

    Raises:
        InputError: The times or the zone are invalid.

    Example:
        >>> daily = Schedule("daily", "0 7 * * *", "report", zone="Europe/Berlin")
        >>> next(ticks(daily, 1_000_000_000.0))
        1000011600.0
    """
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415 - only schedules need it

    from cronsim import CronSim, CronSimError  # noqa: PLC0415

    where = f"schedule {schedule.name!r}"
    try:
        zone = UTC if schedule.zone == "UTC" else ZoneInfo(schedule.zone)
    except (KeyError, ValueError, OSError) as error:
        what, repair = (
            f"there is no time zone {schedule.zone!r}",
            "use a name of the IANA database, such as Europe/Berlin",
        )
        if not available_timezones():  # Alpine and Windows have no database of time zones.
            what = f"the time zone {schedule.zone!r} is unknown: this system has no database of time zones"
            repair = "install it: `pip install tzdata`"
        raise InputError(what, where=where, repair=repair) from error
    fields, begin = schedule.cron.split(), datetime.fromtimestamp(after, zone)
    is_named = len(fields) in _HOUR and not fields[_HOUR[len(fields)]].startswith("*")
    try:
        found = CronSim(schedule.cron, begin.replace(tzinfo=None) if is_named else begin)
    except CronSimError as error:
        repair = (
            'write minute, hour, day, month and day of the week: "0 7 * * *" is every day at 7:00. A sixth field in '
            'front is the second: "*/10 * * * * *" is every 10 seconds'
        )
        message = f"{schedule.cron!r} is not a valid cron expression: {error}"
        raise InputError(message, where=where, repair=repair) from error
    last = after
    for local in found:
        # A tick that is not later than the last one is skipped. Example with a daily run at 2:30:
        # 1. At 3:00 the clocks are set back to 2:00.
        # 2. At 2:10, which comes for the second time, the next tick of the schedule is computed.
        # 3. Today's tick is the first 2:30, which is over. The second 2:30 must not start another run today.
        tick = _instant(local, zone) if is_named else local.timestamp()
        if tick > last:
            yield (last := tick)


def _instant(local: datetime, zone: tzinfo) -> float:
    """Convert a local time of a time zone to epoch seconds.

    If the local time occurs twice, because the clocks are set back, the first time counts. If the clocks skip it, the
    result is the moment at which they are moved forward.
    """
    tick = local.replace(tzinfo=zone).timestamp()
    if datetime.fromtimestamp(tick, zone).replace(tzinfo=None) == local:
        return tick
    # A skipped local time can be read with the offset after the change or with the offset before it. The clocks are
    # moved between these two moments, so the loop searches between them.
    before, until = int(local.replace(tzinfo=zone, fold=1).timestamp()), int(tick)
    offset = datetime.fromtimestamp(until, zone).utcoffset()
    while before + 1 < until:
        middle = (before + until) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            until = middle
        else:
            before = middle
    return float(until)


def ticks_around(schedule: Schedule, tick: float, now: float) -> tuple[float, float]:
    """Return the last time of a schedule that is not later than now, and the next time after it.

    A binary search makes this fast, even if thousands of times were missed.

    Args:
        schedule: The schedule.
        tick: Any time of the schedule that is not later than `now`.
        now: The present time.

    Example:
        >>> each_second = Schedule("often", "* * * * * *", "report")
        >>> ticks_around(each_second, 1_000_000_000.0, 1_002_592_000.5)
        (1002592000.0, 1002592001.0)
    """
    end = now  # The last tick is between `tick` and `end`. Each turn of the loop halves this interval.
    while (after := next_tick(schedule, tick)) <= now:
        tick, middle = after, (after + end) // 2
        found = next_tick(schedule, middle)
        if found <= now:
            tick = found
        else:
            end = middle
    return tick, after


def run_id_of(name: str, tick: float) -> str:
    """Return the id of the run that a schedule starts at this time.

    >>> run_id_of("daily", 1_000_000_000.0)
    'daily@20010909T014640Z'
    """
    return f"{name}@{datetime.fromtimestamp(tick, UTC):%Y%m%dT%H%M%SZ}"


def as_schedule(kept: StoredSchedule) -> Schedule:
    """Convert a stored schedule to a `Schedule`."""
    settings = {name: fact for name, fact in kept.body.items() if name in Schedule.__dataclass_fields__}
    found = Schedule(**{**settings, "name": kept.name, "tags": tuple(settings.get("tags", ()))})
    return replace(found, next_at=None if found.paused else kept.next_at)


def as_kept(schedule: Schedule) -> StoredSchedule:
    """Convert a `Schedule` to the form in which a store keeps it."""
    body = asdict(schedule)
    next_at = body.pop("next_at")
    return StoredSchedule(body.pop("name"), body, _NEVER if schedule.paused or next_at is None else next_at)


async def find(store: QueueStore, name: str) -> Schedule:
    """Load a schedule by its name.

    Raises:
        InputError: No schedule has this name.
    """
    found = [kept for kept in await store.schedules() if kept.name == name]
    if not found:
        raise InputError(
            f"there is no schedule {name!r}", where="schedules", repair="`graphengine schedule list` lists them"
        )
    return as_schedule(found[0])


def changes(old: Schedule, new: Schedule) -> Sequence[str]:
    """Describe the differences between two versions of a schedule, for the log.

    The time of the next run is not compared.

    >>> changes(Schedule("daily", "0 7 * * *", "report"), Schedule("daily", "0 8 * * *", "report"))
    ["cron is now '0 8 * * *', and was '0 7 * * *'"]
    """
    found = []
    names = ("cron", "zone", "graph", "input", "missed", "overlap", "queue", "priority", "tenant", "tags", "paused")
    for name in names:
        was, is_now = (getattr(each, name) for each in (old, new))
        # Inputs are compared as JSON, because 1 and True are equal in Python.
        if name == "input" and dumps(was, sort_keys=True) != dumps(is_now, sort_keys=True):
            found.append("the input is another one")
        elif name != "input" and (tuple(was) != tuple(is_now) if name == "tags" else was != is_now):
            found.append(f"{name} is now {is_now!r}, and was {was!r}")
    versions = [None if each.recorded is None else each.recorded["version"] for each in (old, new)]
    if None not in versions and versions[0] != versions[1]:
        found.append(f"the input is of version {versions[1]} of the graph, and was of version {versions[0]}")
    return found


def has_same_times(old: Schedule, new: Schedule) -> bool:
    """Return whether two schedules start runs at the same times."""
    return (old.cron, old.zone) == (new.cron, new.zone)


async def input_for(
    runner: Runner, graph: GraphDefinition[Any], schedule: Schedule, run_id: str
) -> Mapping[str, object]:
    """Return the input for a run of the schedule. It is migrated if the graph has changed since the input was recorded.

    Args:
        runner: The Runner that starts the run.
        graph: The graph.
        schedule: The schedule.
        run_id: The id of the run, for errors and warnings.

    Raises:
        InputError, GraphChanged: The input no longer fits the graph.
    """
    plan, recorded = compiled(graph), schedule.recorded
    found: Mapping[str, object] = schedule.input
    if recorded is not None and recorded["fingerprint"] != plan.fingerprint:
        recorded_input = recorded.get("given", schedule.input)
        written = RecordedInput(recorded_input, recorded["version"], recorded["fingerprint"], recorded["others"])
        found = await written.fields_for(lives_of(runner).shared, plan, run_id)
    plan.state.initial(found, f"graph {plan.graph}")
    return found


async def start_due(
    runner: Runner, graph: GraphDefinition[Any], schedule: Schedule, next_at: float, now: float
) -> float:
    """Start the runs of a schedule that are due, at most 100, and return the next time of the schedule.

    The returned time may be in the past. That is so if 100 runs were started and more are due, or if `overlap="queue"`
    holds a run back until an earlier run has ended.

    Args:
        runner: The Runner that starts the runs.
        graph: The graph.
        schedule: The schedule.
        next_at: The first time of the schedule for which no run was started yet. It is not later than `now`.
        now: The present time.

    Raises:
        InputError, GraphChanged: The input of the schedule no longer fits the graph.
    """
    due, after = _due_ticks(schedule, next_at, now)
    tags = [*schedule.tags]
    if schedule.overlap != "all":
        due, after = await _without_overlap(runner, schedule, due, after, next_at, now)
        tags.append(schedule_tag(schedule.name))
    for tick in due:
        run_id = run_id_of(schedule.name, tick)
        run = runner.start(
            graph,
            await input_for(runner, graph, schedule, run_id),
            run_id=run_id,
            tags=tags,
            queue=schedule.queue,
            priority=schedule.priority,
            tenant=schedule.tenant,
        )
        with suppress(RunExists):  # Another worker was faster, or this worker started the run before it crashed.
            await run.result()
    return after


def _due_ticks(schedule: Schedule, next_at: float, now: float) -> tuple[list[float], float]:
    """Return the times of a schedule for which runs must be started now, and the time of the schedule after them.

    If no worker ran for a while, several times may have been missed. The setting `missed` of the schedule decides for
    which of them a run is started: for all, for the last one, or for none.
    """
    if schedule.missed == "all":  # If more than 100 ticks are due, the next call starts the rest.
        missed = takewhile(lambda tick: tick <= now, ticks(schedule, next_at))
        due = [next_at, *islice(missed, _AT_ONCE - 1)]
        return due, next_tick(schedule, due[-1])
    last, after = ticks_around(schedule, next_at, now)
    return ([last] if schedule.missed == "one" or now - last <= LATE_SECONDS else []), after


async def _without_overlap(  # noqa: PLR0913 - the ticks, and what they depend on
    runner: Runner, schedule: Schedule, due: list[float], after: float, next_at: float, now: float
) -> tuple[list[float], float]:
    """Decide which due run of a schedule may start while an earlier run of the schedule may still be running.

    The setting `overlap` of the schedule decides: the new run is skipped, replaces the earlier run, which is then
    stopped, or waits for its end. Returns the times for which a run is started now (at most one) and the next time of
    the schedule. Several workers can call this function at the same time:

    - If two workers see the same time and the first worker starts its run, the second worker does not treat this run as
      an earlier run. So both workers come to the same result.
    - If a worker was suspended, it finds the run of a later time and starts nothing.
    - If a time of the schedule lies between the times of two workers' clocks, these workers can still start two runs at
      once.
    """
    own = run_id_of(schedule.name, due[-1] if due else next_at)
    latest, open_runs = await _load_open_runs(runner, schedule, own)
    if latest is not None and latest.id > own:  # The order of the runs' ids is the order of their ticks.
        return [], after
    if schedule.overlap == "skip":
        return ([] if open_runs else due[:1]), after
    if schedule.overlap == "replace":
        for info in open_runs if due else ():
            await _begin_to_stop(runner, info.id, f"replaced by {own}")
        return due[-1:], after
    if open_runs:
        return [], next_at
    if latest is not None and (latest.ended_at or 0.0) > next_at and not due:
        return [*ticks_around(schedule, next_at, now)[:1]], after  # The tick was queued and does not count as missed.
    return due[:1], next_tick(schedule, due[0]) if due else after


async def _begin_to_stop(runner: Runner, run_id: str, why: str) -> None:
    """Stop an earlier run of a schedule for good, because a new run replaces it.

    The function waits only a second for the end of the run, because a node that is at work may take long.
    """
    stop = asyncio.create_task(runner.stop(run_id, why, final=True))
    _STOPS.add(stop)
    stop.add_done_callback(_STOPS.discard)
    done, _ = await asyncio.wait([stop], timeout=_STOP_SECONDS)
    for each in done:
        each.result()


async def _load_open_runs(runner: Runner, schedule: Schedule, own: str) -> tuple[RunInfo | None, Sequence[RunInfo]]:
    """Load the newest run of a schedule, if there is one, and all runs of the schedule that have not ended.

    The run with the id `own`, which the caller is about to start, is left out. Runs are found by their tag, but a
    caller of the HTTP service can give a run any tag and almost any id. Therefore a run only counts as a run of the
    schedule if its id has the form that `run_id_of` makes, and if its graph and its tenant are those of the schedule.
    """
    tag, is_of_tick = schedule_tag(schedule.name), re.compile(rf"{re.escape(schedule.name)}@\d{{8}}T\d{{6}}Z").fullmatch
    found: list[RunInfo] = []
    for status in ("running", "waiting", None):
        limit = _AT_ONCE if status else 2
        page = await runner.store.runs(
            limit=limit, status=status, tag=tag, graph=schedule.graph, tenant=schedule.tenant
        )
        found += [info for info in page if info.tenant == schedule.tenant and is_of_tick(info.id) and info.id != own]
    latest = max(found, key=lambda info: info.id, default=None)
    return latest, [*{info.id: info for info in found if info.status not in OVER}.values()]


def schedule_tag(name: str) -> str:
    """Return the tag that all runs of a schedule have, by which the schedule finds its earlier runs.

    >>> schedule_tag("daily")
    'schedule:daily'
    """
    return f"schedule:{name}"


class Ticker:
    """Starts the runs of schedules. Several workers may do so at the same time; each run is still started only once.

    The id of a run consists of the name of its schedule and the time. If two workers start the same run, or if one of
    them repeats a start after a crash, the second start raises `RunExists` and starts nothing. The schedule moves to
    its next time only after the start.

    Args:
        runner: The Runner that starts the runs.
        graphs: The graphs by name. Schedules of other graphs are left to other workers.
    """

    def __init__(self, runner: Runner, graphs: Mapping[str, GraphDefinition[Any]]) -> None:
        self._runner = runner
        self._graphs = graphs
        self._seen_at = _NEVER
        self._aside: dict[str, float] = {}

    async def tick(self) -> InputError | GraphChanged | None:
        """Start the runs of all schedules whose time has come.

        If a schedule could not start its run, the error is logged and returned. The start is tried again later. A
        schedule whose input does not fit its graph keeps its next time, so that a worker with another version of the
        graph can start the run. If several schedules do not fit, each call reports one of them, in turn.

        Raises:
            StoreError: The store failed.
        """
        now, store = lives_of(self._runner).shared.clock.now(), self._runner.store
        is_back, self._seen_at = now < self._seen_at, now  # `is_back` is also True in the first call.
        trouble: InputError | GraphChanged | None = None
        for kept in await store.schedules():
            schedule = as_schedule(kept)
            if schedule.graph not in self._graphs or schedule.paused or self._aside.get(kept.name, 0.0) > now:
                continue
            try:
                if kept.next_at <= now:
                    await self._start(schedule, kept, now)
                elif is_back and (earlier := next_tick(schedule, now)) < kept.next_at:
                    # 1. The clock jumps ahead, and the run of a tick in the future is started.
                    # 2. The clock is corrected.
                    # 3. Without this move, no run would be started until the clock reaches that future time again.
                    await store.move_schedule(kept.name, kept.next_at, earlier)
            # A person must change the schedule, or a worker with another version of the graph starts the run.
            except (InputError, GraphChanged) as error:
                if trouble is None:
                    self._aside[kept.name] = now + LATE_SECONDS
                    error.where = f"schedule {kept.name}, {error.where}"
                    trouble = error
                    log.error("schedule %s starts no run: %s", kept.name, error)  # noqa: TRY400 - for people
        return trouble

    async def _start(self, schedule: Schedule, kept: StoredSchedule, now: float) -> None:
        """Start the runs that are due, and only then store the schedule's next time, so that a crash loses no run."""
        after = await start_due(self._runner, self._graphs[schedule.graph], schedule, kept.next_at, now)
        await self._runner.store.move_schedule(kept.name, kept.next_at, after)


__all__ = [
    "Schedule",
    "Ticker",
    "as_kept",
    "as_schedule",
    "changes",
    "check_schedule",
    "find",
    "has_same_times",
    "input_for",
    "next_tick",
    "run_id_of",
    "start_due",
    "ticks",
    "ticks_around",
]
