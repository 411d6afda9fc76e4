"""`graphengine branch`: begin a run behind a step of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from pathlib import Path

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
@options.graph
@options.limit
@options.output
@options.database
@options.common
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    run_id: str,
    at: int,
    pairs: tuple[str, ...],
    branch_id: str | None,
    reference: str | None,
    limits: tuple[str, ...],
    output: Path | None,
    database: Path | None,
) -> int:
    """Begin a new run behind a step of another one, which stays as it is."""
    from graphengine.cli.driving import drive
    from graphengine.cli.inputs import parse_pairs, update_forms_of
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
    update = parse_pairs(pairs, update_forms_of(found.graph.compile().state), "--set")
    known: dict[str, Any] = {**dict.fromkeys(Limits.__dataclass_fields__), **recorded.snapshot.limits}
    wanted = options.limits_from(limits, Limits(**known)) if limits else None

    def begin(runner: Runner) -> Run[Any]:
        return runner.branch(found.graph, run_id, at, update=update, branch_id=branch_id, limits=wanted)

    return drive(Job(session, found, place, output), begin)
