"""`graphengine branch`: begin a run behind a step of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from graphengine.cli import completing, helping, options

if TYPE_CHECKING:
    from graphengine.cli.options import Given
    from graphengine.cli.session import Session
    from graphengine.engine.plan import Plan
    from graphengine.runner import Run, Runner


@click.command(
    "branch",
    cls=helping.Command,
    examples="""
        graphengine branch tides --at 1 --set "draft=Tides come twice a day."
        graphengine branch tides --at 2 --branch-id tides-3 --tag tried
    """,
    exits=helping.DRIVES,
)
@click.argument("run_id", metavar="RUN_ID", shell_complete=completing.runs)
@click.option("--at", type=int, metavar="SEQ", required=True, help="The last step that the branch shares with the run.")
@click.option(
    "--set",
    "pairs",
    metavar="FIELD=VALUE",
    multiple=True,
    help="Write a field first, through its reducer; values are written as for --input.",
)
@click.option(
    "--path",
    metavar="PATH",
    help="Whose fields --set writes, where several states are open there: '' for the run's, article for those of the "
    "graph at that node, ~facts for what the arm to facts sees.",
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
    path: str | None,
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
    update = parse_pairs(pairs, update_forms_of(_plan_at(graph.compile(), path or "").state), "--set")
    more: dict[str, Any] = {"path": path, "branch_id": branch_id, "limits": limits}
    more |= {"pause_before": given.pauses, "tags": tags}

    async def begin(runner: Runner) -> Run[Any]:
        return runner.branch(graph, job.run_id, at, update=update, **more)

    return drive(job, begin)


def _plan_at(plan: Plan[Any], path: str) -> Plan[Any]:
    """The graph whose fields a path names; where it leads nowhere the branch itself says so."""
    for part in path.split("/"):
        node = plan.nodes.get(part.partition("~")[0].partition("[")[0])
        calls = () if node is None else (node.call, *node.choices.values())
        plan = next((call.graph for call in calls if call is not None and call.graph is not None), plan)
    return plan
