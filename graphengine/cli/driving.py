"""Driving one run from the command line: start it, show it, stop it on a signal, and report its outcome."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from graphengine.api.runner import Runner
from graphengine.cli import notices, options
from graphengine.cli.executors import executors_of
from graphengine.cli.observing import line_of, telemetry_of
from graphengine.cli.places import place_of
from graphengine.cli.progress import Progress
from graphengine.cli.project import file_of, graph_of
from graphengine.cli.recorded import fallbacks_of, read_run, run_id_of
from graphengine.cli.report import Ended, Job, check_output, report
from graphengine.cli.session import Interrupted, as_json
from graphengine.cli.signals import STOPPING, Stopper, run_loop
from graphengine.cli.times import when
from graphengine.errors import StoreCorrupt
from graphengine.graph.options import Limits
from graphengine.history.json_document import error_document
from graphengine.history.load import load_snapshot
from graphengine.history.visits import Visits
from graphengine.runner import RunFailed, StepRecorded
from graphengine.state.amounts import allows_unknown_cost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphengine.cli.options import Given
    from graphengine.cli.recorded import Recorded
    from graphengine.cli.session import Session
    from graphengine.runner import Run
    from graphengine.runner.run_events import Event
    from graphengine.telemetry import Telemetry


Begin: TypeAlias = "Callable[[Runner], Awaitable[Run[Any]]]"
"""A function that starts, resumes or branches a run on a runner."""

_BEGINNING: Final = "interrupted while the run was being started"
_LOOK: Final = "check with `graphengine runs` whether it was recorded"
_LEAVING: Final = "leaving the run waiting"


def recorded_job(
    session: Session, run_id: str, reference: str | None, given: Given, at: int | None = None
) -> tuple[Job, Limits | None]:
    """Return the job that continues a recorded run, and its limits if any were given.

    If the run cannot be read to its end, its record up to step `at` is used, if that is given.

    Raises:
        GraphEngineError: There is no such run or graph, or the result cannot be written.
    """
    if given.output is not None:
        check_output(given.output)
    place = place_of(given.database, file_of(reference))
    meant = run_id_of(session, place, run_id)
    try:
        recorded = read_run(place, meant)
    except StoreCorrupt:
        if at is None:
            raise
        recorded = read_run(place, meant, at)
    found = graph_of(recorded.info.graph, reference)
    job = Job(session, found, place, given.output, recorded.info.id, models=given.models)
    return job, limits_of(recorded, given)


def limits_of(recorded: Recorded, given: Given) -> Limits | None:
    """Return the run's limits with the given ones in place of its own; None if none was given."""
    if not given.limits:
        return None
    known = recorded.snapshot.limits
    limits = Limits(
        known.get("steps"),
        known.get("tokens"),
        known.get("cost_usd"),
        known.get("seconds"),
        unknown_cost=allows_unknown_cost(known),
    )
    return options.limits_from(given.limits, limits)


def drive(job: Job, begin: Begin) -> int:
    """Drive a run until it ends or waits, and report it; return the exit code.

    Raises:
        GraphEngineError: The run cannot be started or recorded.
    """
    return report(job, driven(job, begin))


def driven(job: Job, begin: Begin) -> Ended:
    """Drive a run until it ends or waits, and show its progress.

    Raises:
        GraphEngineError: The run cannot be started or recorded.
    """
    with stopper_of(job.session) as stopper, notices.shown(job.session), telemetry_of(job.session) as telemetry:
        stopper.wipes = job.session.err.is_live and not job.session.json
        stopper.last_words = last_words(job.session, Interrupted(_BEGINNING, repair=_LOOK))
        job.session.has_driven = True
        return run_loop(_drive(job, begin, stopper, telemetry))


def stopper_of(session: Session) -> Stopper:
    """Return what handles the signals of a command, and says so in its log if that is JSON."""
    return Stopper(line_of if session.log_format == "json" else None)


def last_words(session: Session, error: Interrupted) -> list[tuple[int, str]]:
    """Return what to write to which file descriptor when Ctrl-C ends the process at once."""
    if session.json:
        number = session.out.number
        return [] if number is None else [(number, as_json(error_document(error)) + "\n")]
    if session.log_format == "json":
        return [(2, line_of(error.message, code=error.code, where=error.where, repair=error.repair))]
    return [(2, f"{error.message}\n{'resume: ' if error.where else ''}{error.repair}\n")]


async def _drive(job: Job, begin: Begin, stopper: Stopper, telemetry: Telemetry | None) -> Ended:
    executors = executors_of(job.found.file)
    async with Runner(job.place.database, models=job.chosen, executors=executors, telemetry=telemetry) as runner:
        run = await begin(runner)
        events = run.live()  # before its first step, so that no event is missed and no past one is read
        watching = asyncio.create_task(_Watch(job, stopper, runner, run).show(events))
        try:
            result = await run.result()
        except RunFailed as failed:
            result = failed.result
        finally:
            stopper.over()
            await watching
        if result.status in ("finished", "waiting") and not job.is_announced:
            job.announce(run.id)  # it had ended or waited before, so no event announced it
        store = runner.store
        info = await store.info(run.id)
        steps = await store.steps(run.id)
        return Ended(result, info, await load_snapshot(store, run.id, None), steps, stopper.asked_by)


class _Watch:
    """Shows the events of a run, and sets what a signal does according to the run's state."""

    def __init__(self, job: Job, stopper: Stopper, runner: Runner, run: Run[Any]) -> None:
        self._job = job
        self._stopper = stopper
        self._runner = runner
        self._run = run
        self._progress = Progress(job.session.err, is_live=not job.session.json)
        self._is_begun = False

    async def show(self, events: asyncio.Queue[Event | None]) -> None:
        """Show events until the run is over; the first one means that it is driven here and a step is durable."""
        await self._run.begun()
        async with self._progress.ticking():
            await self._show(events)

    async def _show(self, events: asyncio.Queue[Event | None]) -> None:
        while True:
            until = await self._asleep_until() if events.empty() else None
            if until is not None and events.empty():  # no event arrived during the await above
                self._begun()
                self._stopper.action = _LEAVING
                self._progress.sleeps(when(until))
            event = await events.get()
            if event is None:
                self._job.session.err.wipe()
                return
            self._stopper.action = STOPPING
            self._begun()
            await self._catch_up(event)
            self._progress.show(event)

    async def _catch_up(self, event: Event) -> None:
        """Load the run's state before its first event here."""
        if isinstance(event, StepRecorded) and event.seq != self._progress.visits.snapshot.seq + 1:
            before = await load_snapshot(self._runner.store, self._run.id, event.seq - 1)
            fallbacks = await fallbacks_of(self._runner.store, before)
            self._progress.continues(Visits(before, keeps=False), fallbacks)

    def _begun(self) -> None:
        if self._is_begun:
            return
        self._is_begun = True
        run_id = self._run.id
        resume = self._job.resume_command(run_id, *self._job.graph_words)
        safe = Interrupted("interrupted; what was recorded is safe", where=f"run {run_id}", repair=resume)
        self._stopper.last_words = last_words(self._job.session, safe)
        self._job.announce(run_id)
        self._stopper.drives(self._stop)

    async def _asleep_until(self) -> float | None:
        """Return when the run wakes up here if all of it sleeps; otherwise None."""
        if not self._job.sleeps or not self._run.is_going or await self._status() != "waiting":
            return None
        waits = await self._runner.waits(self._run.id)
        dues = [wait.due_at for wait in waits if wait.due_at is not None and wait.kind == "sleep"]
        return min(dues) if dues and len(dues) == len(waits) else None

    async def _stop(self) -> None:
        """Stop the run after the node in flight; release it on SIGTERM, or if it waits with nothing in flight."""
        is_waiting = not self._runner.drives(self._run.id) and await self._status() == "waiting"
        if is_waiting or self._stopper.asked_by == "SIGTERM":
            await self._runner.release(self._run.id)
        else:
            await self._runner.stop(self._run.id)

    async def _status(self) -> str:
        return (await self._runner.store.info(self._run.id)).status
