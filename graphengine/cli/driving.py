"""Driving one run from the command line: start it, show it, stop it on a signal, and tell what it came to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from graphengine.cli.places import command
from graphengine.cli.progress import Progress
from graphengine.cli.report import Ended, report
from graphengine.cli.session import Interrupted, as_json
from graphengine.cli.signals import Stopper
from graphengine.document import error_document
from graphengine.history import load_snapshot
from graphengine.runner import RunFailed, Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.cli.report import Job
    from graphengine.runner import Run
    from graphengine.runner.run import Event


Begin: TypeAlias = "Callable[[Runner], Run[Any]]"
"""Starts, resumes or branches a run on a runner."""

_BEGINNING: Final = "interrupted while the run was about to be recorded"
_LOOK: Final = "see with `graphengine runs` whether it was"


def drive(job: Job, begin: Begin) -> int:
    """Drive a run until it ends, and report it; gives the exit code.

    Raises:
        GraphEngineError: It could not be begun or recorded.
    """
    with Stopper() as stopper:
        stopper.last_words = _last_words(job, Interrupted(_BEGINNING, repair=_LOOK))
        job.session.has_driven = True
        ended = asyncio.run(_drive(job, begin, stopper))
    return report(job, ended)


def _last_words(job: Job, error: Interrupted) -> list[tuple[int, str]]:
    """What is said, and where, when Ctrl-C ends the process at once."""
    if job.session.json:
        number = job.session.out.number
        return [] if number is None else [(number, as_json(error_document(error)) + "\n")]
    return [(2, f"{error.message}\n{'resume: ' if error.where else ''}{error.repair}\n")]


async def _drive(job: Job, begin: Begin, stopper: Stopper) -> Ended:
    async with Runner(job.place.database) as runner:
        run = begin(runner)
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        run.watchers.append(events)  # before it moves, so that nothing is missed and nothing of the past is read
        resume = command("resume", run.id, *job.graph_words, place=job.place)

        def begun() -> None:
            safe = Interrupted("interrupted; what was recorded is safe", where=f"run {run.id}", repair=resume)
            stopper.last_words = _last_words(job, safe)
            job.announce(run.id)
            stopper.drives(runner, run)

        watching = asyncio.create_task(_watch(job, events, begun))
        try:
            result = await run.result()
        except RunFailed as failed:
            result = failed.result
        finally:
            stopper.over()
            await watching
        if result.status == "finished" and not job.is_announced:
            job.announce(run.id)  # it had finished before, so that nothing was recorded of it now
        store = runner.store
        info = await store.info(run.id)
        steps = await store.steps(run.id)
        return Ended(result, info, await load_snapshot(store, run.id, None), steps, stopper.asked_by)


async def _watch(job: Job, events: asyncio.Queue[Event | None], begun: Callable[[], None]) -> None:
    """Show events until the run is over; the first one tells that it is driven here, and that a step is durable."""
    progress = Progress(job.session.err)
    event = await events.get()
    if event is not None:
        begun()
    while event is not None:
        progress.show(event)
        event = await events.get()
