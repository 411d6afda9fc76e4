"""`graphengine resume`: resume a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from graphengine.api.runner import Runner
    from graphengine.cli.options import Given
    from graphengine.cli.session import Session
    from graphengine.runner import Run


@click.command(
    "resume",
    cls=helping.Command,
    examples="""
        graphengine resume cut --limit steps=100
        graphengine resume cut -o draft.md       # finished: prints its result again
    """,
    exits=helping.DRIVES,
)
@options.run_id
@options.no_wait
@options.graph
@click.pass_obj
@options.driving
def command(
    session: Session,
    run_id: str,
    no_wait: bool,  # noqa: FBT001 - as click gives it
    reference: str | None,
    given: Given,
) -> int:
    """Resume a run after a crash, a stop, a failure, a reached limit or an answer.

    Finished nodes are not run again. A finished run prints its result again; a run that still waits shows what it waits
    for. Nodes given with --pause-before replace those given before. Ctrl-C stops the run after the node in flight;
    SIGTERM releases it after the node in flight, so that a worker can continue it.
    """
    from graphengine.cli.driving import drive, recorded_job

    job, limits = recorded_job(session, run_id, reference, given)
    job.sleeps = not no_wait

    async def begin(runner: Runner) -> Run[Any]:
        return runner.resume(job.found.graph, job.run_id, limits=limits, pause_before=given.pauses, wait_out=job.sleeps)

    return drive(job, begin)
