"""`graphengine branch`: begin a run behind a step of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from graphengine.cli.options import Given
    from graphengine.cli.session import Session
    from graphengine.runner import Run, Runner


@click.command("branch")
@click.argument("run_id", metavar="RUN_ID")
@click.option("--at", type=int, metavar="SEQ", required=True, help="The last step that the branch shares with the run.")
@click.option(
    "--set",
    "pairs",
    metavar="FIELD=VALUE",
    multiple=True,
    help="Write a field first, through its reducer; values are written as for --input.",
)
@click.option("--branch-id", metavar="ID", help="The branch's id; one is made if not given.")
@options.tags
@options.graph
@click.pass_obj
@options.driving
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    run_id: str,
    at: int,
    pairs: tuple[str, ...],
    branch_id: str | None,
    tags: tuple[str, ...],
    reference: str | None,
    given: Given,
) -> int:
    """Begin a new run behind a step of another one, which stays as it is."""
    from graphengine.cli.driving import drive, recorded_job
    from graphengine.cli.inputs import parse_pairs, update_forms_of

    job, limits = recorded_job(session, run_id, reference, given, at)
    graph = job.found.graph
    update = parse_pairs(pairs, update_forms_of(graph.compile().state), "--set")
    more: dict[str, Any] = {"branch_id": branch_id, "limits": limits, "pause_before": given.pauses, "tags": tags}

    async def begin(runner: Runner) -> Run[Any]:
        return runner.branch(graph, job.run_id, at, update=update, **more)

    return drive(job, begin)
