"""`graphengine schedule`: the schedules of a database, which start runs at given times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from graphengine.cli import options
from graphengine.cli.terminal import Column
from graphengine.records.words import when

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from graphengine.api.runner import Runner
    from graphengine.cli.context import CommandContext
    from graphengine.kernel.store import QueueStore
    from graphengine.worker import Schedule

_MISSED: Final = ("skip", "one", "all")
_OVERLAP: Final = ("all", "skip", "queue", "replace")
_NAME: Final = click.argument("name", metavar="NAME")
_COLUMNS: Final[Sequence[Column[Schedule]]] = (
    Column("schedule", lambda each: each.name),
    Column("times", lambda each: each.cron),
    Column("zone", lambda each: each.zone, 4),
    Column("graph", lambda each: each.graph),
    Column("queue", lambda each: each.queue, 3),
    Column("missed", lambda each: each.missed, 1),
    Column("overlap", lambda each: each.overlap, 2),
    Column("next", lambda each: "paused" if each.next_at is None else when(each.next_at)),
)


@options.command(
    "list",
    options.DATABASE,
    examples="""
        graphengine schedule list
        graphengine schedule list --json
    """,
)
def schedule_list(context: CommandContext) -> int:
    """List the schedules, each with its next time."""
    return _show_schedules_of(context)


@options.command(
    "add",
    options.DATABASE,
    examples="""
        graphengine schedule add daily --cron "0 7 * * *" --graph review
        graphengine schedule add tea --cron "0 16 * * *" --graph desk --overlap skip
    """,
)
@_NAME
@click.option(
    "--cron",
    metavar="TIMES",
    required=True,
    help='The times: minute, hour, day of the month, month and day of the week, e.g. "0 7 * * *". A sixth field in'
    ' front is the second, e.g. "*/10 * * * * *".',
)
@click.option("--zone", metavar="NAME", default="UTC", show_default=True, help="The time zone of the times.")
@click.option(
    "--graph",
    "reference",
    metavar="FILE[:NAME]|NAME",
    required=True,
    shell_complete=options.complete_graphs,
    help="The graph to start.",
)
@click.option(
    "--input",
    "pairs",
    metavar="KEY=VALUE",
    multiple=True,
    help="Set a field of the state, as for `run`. May be repeated.",
)
@click.option(
    "--missed",
    type=options.Choice(_MISSED),
    default="skip",
    show_default=True,
    help="What to do about times at which no worker was running. skip: start no run for them. one: start a run for "
    "the last of them. all: start a run for each of them.",
)
@click.option(
    "--overlap",
    type=options.Choice(_OVERLAP),
    default="all",
    show_default=True,
    help="What to do if an earlier run of the schedule is not over at the next time. all: start the next run beside "
    "it. skip: start no run for this time. queue: start the next run when the earlier run is over. replace: stop the "
    "earlier run for good, and start the next run.",
)
@click.option("--queue", metavar="NAME", default="default", show_default=True, help="The queue of the runs.")
@click.option("--priority", type=int, default=0, help="Workers take runs with a higher number first.  [default: 0]")
@click.option("--tenant", metavar="NAME", help="The tenant to whom the runs belong. The tenants of a queue take turns.")
@options.tags
def schedule_add(
    context: CommandContext,
    /,
    *,
    name: str,
    reference: str,
    pairs: tuple[str, ...],
    **given: Any,  # noqa: ANN401 - the fields of a Schedule
) -> int:
    """Create a schedule that starts runs of a graph at given times, or change an existing schedule.

    If a schedule with this name exists, the command changes it and prints the differences. Runs that are already due
    are still started, and a paused schedule stays paused. If you give the same settings again, nothing changes.

    A worker that has the schedule's graph starts and drives the runs, one run for each time. The id of a run contains
    the time in UTC, as in daily@20261121T060000Z.
    """
    from graphengine.api.runner import Runner
    from graphengine.cli.inputs import forms_of, parse_pairs
    from graphengine.cli.project import find
    from graphengine.worker import Schedule
    from graphengine.worker.schedules import changes

    found = find(reference)
    notes: list[str] = []
    state = parse_pairs(pairs, forms_of(found.graph.state), "--input", notes)
    for note in notes:
        context.err.prose(note)
    added = Schedule(name=name, graph=found.graph.name, **given)

    async def add() -> tuple[Schedule | None, Schedule]:
        admin = Runner(context.store).admin
        earlier = {each.name: each for each in await admin.schedules()}
        return earlier.get(name), await admin.schedule(added, found.graph, state)

    context.use(found.file, writes=True)
    old, new = context.run(add())
    for change in changes(old, new) if old is not None else ():
        context.err.prose(change)
    return _show_schedules_of(context, name)


@options.command("pause", options.DATABASE, examples="graphengine schedule pause nightly")
@_NAME
def schedule_pause(context: CommandContext, name: str) -> int:
    """Pause a schedule, so that it starts no runs."""
    return _change_schedule(context, name, lambda runner: runner.admin.pause_schedule(name))


@options.command("resume", options.DATABASE, examples="graphengine schedule resume nightly")
@_NAME
def schedule_resume(context: CommandContext, name: str) -> int:
    """Resume a paused schedule at its next time. Runs that were due during the pause are not started."""
    return _change_schedule(context, name, lambda runner: runner.admin.pause_schedule(name, paused=False))


@options.command("remove", options.DATABASE, examples="graphengine schedule remove nightly")
@_NAME
def schedule_remove(context: CommandContext, name: str) -> int:
    """Remove a schedule. The runs that it started stay in the database."""
    return _change_schedule(context, name, lambda runner: runner.admin.unschedule(name))


def _change_schedule(
    context: CommandContext, name: str, change: Callable[[Runner], Coroutine[Any, Any, object]]
) -> int:
    from graphengine.api.runner import Runner

    context.use(writes=True)
    context.run(change(Runner(context.store)))
    return _show_schedules_of(context, name)


def _show_schedules_of(context: CommandContext, name: str | None = None) -> int:
    """Show all schedules, or only the named schedule after a command has changed or removed it."""
    from graphengine.worker.documents import Schedules
    from graphengine.worker.schedules import as_schedule

    async def kept(store: QueueStore) -> Sequence[Schedule]:
        return [as_schedule(each) for each in await store.schedules()]

    found = [each for each in context.read(kept) if name in (None, each.name)]
    no_schedule = "there is no schedule" if name is None else f"removed schedule {name}"
    return context.show_rows(Schedules(schedules=found), _COLUMNS, found, no_schedule)
