"""`graphengine resume`: go on with a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from graphengine.cli.session import Session
    from graphengine.runner import Run, Runner


@click.command("resume")
@click.argument("run_id", metavar="RUN_ID")
@options.graph
@options.limit
@options.output
@options.database
@options.common
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    run_id: str,
    reference: str | None,
    limits: tuple[str, ...],
    output: Path | None,
    database: Path | None,
) -> int:
    """Go on with a run after a crash, a stop, a failure or a reached limit.

    What finished is not run again. A run that is finished gives its result once more.
    """
    from graphengine.cli.driving import drive
    from graphengine.cli.places import place_of
    from graphengine.cli.project import file_of, graph_of
    from graphengine.cli.recorded import read_run
    from graphengine.cli.report import Job, check_output
    from graphengine.options import Limits

    if output is not None:
        check_output(output)
    place = place_of(database, file_of(reference))
    recorded = read_run(place, run_id)
    found = graph_of(recorded.info.graph, reference)
    known: dict[str, Any] = {**dict.fromkeys(Limits.__dataclass_fields__), **recorded.snapshot.limits}
    wanted = options.limits_from(limits, Limits(**known)) if limits else None

    def begin(runner: Runner) -> Run[Any]:
        return runner.resume(found.graph, run_id, limits=wanted)

    return drive(Job(session, found, place, output), begin)
