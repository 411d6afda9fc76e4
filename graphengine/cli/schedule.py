"""`graphengine schedule`: list, add, remove, pause and resume the schedules of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.stores.base import QueueStore
    from graphengine.worker import Schedule

_ACTIONS: Final = ("list", "add", "remove", "pause", "resume")
_MISSED: Final = ("skip", "one", "all")


@options.command(
    "schedule",
    options.DATABASE,
    examples="""
        graphengine schedule
        graphengine schedule add daily --cron "0 7 * * *" --graph review
        graphengine schedule add tea --cron "0 16 * * *" --graph desk --missed one
        graphengine schedule list --json
    """,
)
@click.argument("action", metavar="[list|add|remove|pause|resume]", type=options.Choice(_ACTIONS), default="list")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--cron", metavar="TIMES", help='add: minute, hour, day, month, day of the week, e.g. "0 7 * * *".')
@click.option("--zone", metavar="NAME", default="UTC", show_default=True, help="add: The time zone of the times.")
@click.option(
    "--graph",
    "reference",
    metavar="FILE[:NAME]|NAME",
    shell_complete=options.complete_graphs,
    help="add: The graph to start.",
)
@click.option("--input", "pairs", metavar="KEY=VALUE", multiple=True, help="add: A field of the state, as for `run`.")
@click.option(
    "--missed",
    type=options.Choice(_MISSED),
    default="skip",
    show_default=True,
    help="add: What to do with times at which no worker was there: skip them, start the last one, or all.",
)
@click.option("--queue", metavar="NAME", default="default", show_default=True, help="add: The queue of the runs.")
@click.option("--priority", type=int, default=0, help="add: The higher, the sooner a run is taken.  [default: 0]")
@click.option("--tenant", metavar="NAME", help="add: For whom the runs are; the tenants of a queue take turns.")
@options.tags
def schedule(
    context: CommandContext,
    /,
    *,
    action: str,
    name: str | None,
    **given: Any,  # noqa: ANN401 - options
) -> int:
    """List, add, remove, pause and resume schedules.

    A schedule starts runs at given times: workers that have the graph start and drive them, each time once. `add` adds
    one, or replaces the one of its name; its runs have ids such as daily@20261121T060000Z, with the time in UTC. A
    paused schedule starts nothing, and what it missed is not started when it is resumed.
    """
    from graphengine.cli.documents import Schedules
    from graphengine.worker.schedules import as_schedule

    if action != "list" and name is None:
        raise click.UsageError(f"name the schedule: graphengine schedule {action} NAME")
    if action == "add":
        _add(context, str(name), given)
    elif action != "list":
        context.use(writes=True)
        context.run(_change(context, action, str(name)))

    async def kept(store: QueueStore) -> Sequence[Schedule]:
        return [as_schedule(each) for each in await store.schedules()]

    found = [each for each in context.read(kept) if name in (None, each.name)]
    if context.json:
        context.document(Schedules(schedules=found))
    elif found:
        _show(context, found)
    else:
        context.err.line(f"removed schedule {name}" if action == "remove" else "there is no schedule")
    return 0


def _add(context: CommandContext, name: str, given: Mapping[str, Any]) -> None:
    from graphengine.api.runner import Runner
    from graphengine.cli.inputs import forms_of, parse_pairs
    from graphengine.cli.project import find
    from graphengine.worker import Schedule

    if given["cron"] is None or given["reference"] is None:
        raise click.UsageError('give the times and the graph: --cron "0 7 * * *" --graph NAME')
    found = find(given["reference"])
    notes: list[str] = []
    state = parse_pairs(given["pairs"], forms_of(found.graph.state), "--input", notes)
    for note in notes:
        context.err.prose(note)
    facts = {each: given[each] for each in ("cron", "zone", "missed", "queue", "priority", "tenant", "tags")}
    added = Schedule(name=name, graph=found.graph.name, **facts)

    async def add() -> None:
        await Runner(context.store).schedule(added, found.graph, state)

    context.use(found.file, writes=True)
    context.run(add())


async def _change(context: CommandContext, action: str, name: str) -> None:
    from graphengine.api.runner import Runner

    runner = Runner(context.store)
    if action == "remove":
        await runner.unschedule(name)
    else:
        await runner.pause_schedule(name, paused=action == "pause")


def _show(context: CommandContext, found: Sequence[Schedule]) -> None:
    from graphengine.cli.terminal import when

    rows = [
        (
            *(each.name, each.cron, each.zone, each.graph, each.queue, each.missed),
            "paused" if each.next_at is None else when(each.next_at),
        )
        for each in found
    ]
    headings = ("schedule", "times", "zone", "graph", "queue", "missed", "next")
    context.out.table(headings, rows, expendable=("missed", "queue", "zone"))
