"""`graphengine branch`: start a run from a step of another run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from graphengine.api.runner import Runner
    from graphengine.cli.options import Given
    from graphengine.cli.session import Session
    from graphengine.engine.plan import Plan
    from graphengine.runner import Run


@click.command(
    "branch",
    cls=helping.Command,
    examples="""
        graphengine branch tides --at 1 --set "draft=Tides come twice a day."
        graphengine branch tides --at 2 --run-id tides-3 --tag tried
    """,
    exits=helping.DRIVES,
)
@options.run_id
@click.option("--at", type=int, metavar="SEQ", required=True, help="The last step that the branch shares with the run.")
@click.option(
    "--set",
    "pairs",
    metavar="FIELD=VALUE",
    multiple=True,
    help="Update a field first, through its reducer; values have the syntax of --input.",
)
@click.option(
    "--path",
    metavar="PATH",
    help="The state that --set updates, if several are active at that step: '' for the run's, article for that of the "
    "graph at that node, ~facts for that of the arm to facts.",
)
@click.option("--run-id", "branch_id", metavar="ID", help="The branch's id; generated if not given.")
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
    """Start a new run from a step of another run, which stays unchanged."""
    from graphengine.cli.driving import drive, recorded_job
    from graphengine.cli.inputs import parse_pairs, update_forms_of

    job, limits = recorded_job(session, run_id, reference, given, at)
    graph = job.found.graph
    forms = update_forms_of(_plan_at(graph.compile(), path or "").state)
    update = parse_pairs(pairs, forms, "--set", job.notes)
    more: dict[str, Any] = {"path": path, "run_id": branch_id, "limits": limits}
    more |= {"pause_before": given.pauses, "tags": tags}

    async def begin(runner: Runner) -> Run[Any]:
        return runner.branch(graph, job.run_id, at, update=update, **more)

    return drive(job, begin)


def _plan_at(plan: Plan[Any], path: str) -> Plan[Any]:
    """Return the graph whose fields a path names; an invalid path is reported by the branch itself."""
    for part in path.split("/"):
        node = plan.nodes.get(part.partition("~")[0].partition("[")[0])
        calls = () if node is None else (node.call, *node.choices.values())
        plan = next((call.graph for call in calls if call is not None and call.graph is not None), plan)
    return plan
