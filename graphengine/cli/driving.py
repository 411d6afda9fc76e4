"""Driving one run from the command line: start it, show it, stop it on a signal, and tell what it came to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    from graphengine.runner import Result, Run


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a run is begun.

    Attributes:
        begin: Starts, resumes or branches it on a runner.
        after: The last step that is not shown again.
    """

    begin: Callable[[Runner], Run[Any]]
    after: int = 0


def drive(job: Job, beginning: Beginning) -> int:
    """Drive a run until it ends, and report it; gives the exit code.

    Raises:
        GraphEngineError: It could not be begun or recorded.
    """
    with Stopper() as stopper:
        ended = asyncio.run(_drive(job, beginning, stopper))
    return report(job, ended)


def _last_words(job: Job, run_id: str) -> list[tuple[int, str]]:
    """What is said, and where, when Ctrl-C ends the process at once."""
    graph = ["--graph", job.found.reference] if job.found.reference else []
    resume = command("resume", run_id, *graph, place=job.place)
    if not job.session.json:
        return [(2, f"interrupted; what was recorded is safe\nresume: {resume}\n")]
    error = Interrupted("interrupted", where=f"run {run_id}", repair=resume)
    number = job.session.out.number
    return [] if number is None else [(number, as_json(error_document(error)) + "\n")]


async def _drive(job: Job, beginning: Beginning, stopper: Stopper) -> Ended:
    async with Runner(job.place.database) as runner:
        run = beginning.begin(runner)
        stopper.last_words = _last_words(job, run.id)
        job.announce(run.id)
        result = asyncio.ensure_future(run.result())
        watching = asyncio.create_task(_watch(job, beginning.after, runner, run, result, stopper))
        try:
            ended = await _outcome(result)
        except BaseException:
            await asyncio.wait((watching,))  # it has nothing to add: the run was not begun, or not recorded
            raise
        finally:
            stopper.over()
        await watching
        store = runner.store
        info = await store.info(run.id)
        return Ended(ended, info, await load_snapshot(store, run.id, None), await store.steps(run.id))


async def _outcome(result: asyncio.Future[Result[Any]]) -> Result[Any]:
    try:
        return await result
    except RunFailed as failed:
        return failed.result


async def _watch(  # noqa: PLR0913 - everything that looks at a run meets here
    job: Job,
    after: int,
    runner: Runner,
    run: Run[Any],
    result: asyncio.Future[Result[Any]],
    stopper: Stopper,
) -> None:
    progress = Progress(job.session.err)
    is_begun = False
    async for event in run.events(after):
        if not is_begun:
            is_begun = True
            await asyncio.wait((result,), timeout=0)
            if result.done() and not isinstance(result.exception(), RunFailed | None):
                return  # it was never begun here: these are events of another one's run
            stopper.drives(runner, run)
        progress.show(event)
