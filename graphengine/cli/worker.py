"""`graphengine worker`, `workers` and `queues`: drive due runs, list the processes that do, and limit how many run."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from graphengine.cli import options
from graphengine.cli.context import unexpected
from graphengine.cli.places import graph_words, shown
from graphengine.cli.terminal import Column
from graphengine.errors import GraphEngineError, StoreError
from graphengine.records.words import counted, one_line
from graphengine.wings.delivery import deliver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graphengine.api.graph import Graph
    from graphengine.cli.context import CommandContext
    from graphengine.cli.driving import Stopper
    from graphengine.kernel.extension import Retention
    from graphengine.kernel.store import OwnerInfo, QueueLimits, QueueStore
    from graphengine.records.base_documents import Document
    from graphengine.worker.worker import Refused, RunOutcome, WorkerEvent

_WHY = {
    "queued": "it begins",
    "due": "its time has come",
    "sent": "it received an answer or a message",
    "orphan": "no process was driving it",
}
_COLUMNS = len("finished ")
_STYLES = {"finished": "bold green", "failed": "bold red"}


@options.command(
    "worker",
    options.MODEL,
    options.DATABASE,
    *options.OBSERVED,
    examples="""
        graphengine worker
        graphengine worker --concurrency 8 --graph flows/review.py
        graphengine worker --queue mail --queue reports --health 8080
        graphengine worker --json                # a JSON document on each line
    """,
    exits={
        0: "SIGTERM or Ctrl-C stopped the worker; another worker can continue its runs",
        7: "the worker lost its lease while code blocked its event loop, so effects in flight could not be cancelled",
    },
)
@options.concurrency(4)
@options.poll
@options.graphs("Drive only runs of these graphs")
@click.option(
    "--queue",
    "queues",
    metavar="NAME",
    multiple=True,
    help="Take only runs of this queue. May be repeated. By default, the worker takes runs of all queues in turn.",
)
@click.option(
    "--health",
    metavar="[HOST:]PORT",
    help="Answer HTTP requests with the health of the worker: status 200, or 503 if the worker stops or fails."
    " By default, only this machine can ask, at 127.0.0.1.",
)
@click.option(
    "--cut-off",
    type=click.Choice(("end", "stay")),
    default="end",
    show_default=True,
    help="What to do if the lease ends while code blocks the event loop, so that effects in flight cannot be "
    "cancelled. end: end the process. stay: let the process continue.",
)
@options.users
def worker(
    context: CommandContext,
    /,
    *,
    references: tuple[str, ...],
    health: str | None,
    cut_off: Literal["end", "stay"],
    users_file: Path | None,
    **given: Any,  # noqa: ANN401 - concurrency, poll_seconds, queues
) -> int:
    """Continue the due runs of a database until stopped.

    A run is due in these cases:

    - It is queued, for example by `graphengine run --queue`.
    - Its sleep is over.
    - It received an answer or a message.
    - The process that drove it died.

    Any number of workers can share a database. Each worker takes only the runs of its own graphs. If you choose a model
    for one agent with --model, the choice applies to all graphs that contain this agent.

    The worker prints a line on stdout for each run that it takes, and another line with the outcome of the run. If the
    output is a terminal, the outcome includes the text of a question or an error. Otherwise it includes only the node
    and the code, because such output is often kept as a log. With --json, each line is a JSON document.

    A worker also removes old runs. How long runs are kept is set by `retention=` of a graph, or by
    [tool.graphengine.retention] of the project. If several workers share a database, one of them removes the runs.
    `graphengine prune --retention --dry-run` shows which runs would be removed.

    SIGTERM or Ctrl-C stops the worker with exit code 0. The worker lets the nodes that are running finish, and releases
    its runs, so that other workers can continue them. A second Ctrl-C ends the worker at once, with exit code 130.

    A worker has a lease on the runs that it drives. If it cannot renew the lease, it cancels effects in flight before
    the lease ends, because another worker may then take its runs. If code blocks the event loop of the worker, the
    effects cannot be cancelled. The worker then ends with exit code 7, unless --cut-off is stay.

    With --users, the worker checks each approved tool call again before the call begins. If the user who approved the
    call has lost the right to answer since then, the call does not begin, and the run asks for approval again.
    """
    from graphengine.cli.driving import fleet_of, until_stopped

    fleet = fleet_of(context, references, writes=True, only_able=True)
    graphs = fleet.graphs
    with until_stopped(context, "start another worker") as (stopper, telemetry):
        names, where = ", ".join(graphs), shown(context.place.database)
        context.err.prose(f"worker for {counted(len(graphs), 'graph')} ({names}) in {where}")
        given |= {**fleet.for_runner, "telemetry": telemetry, "retention": fleet.retention}
        if users_file is not None:
            from graphengine.serve.approvers import Approvers
            from graphengine.serve.users import Users

            given["extensions"] = [*given["extensions"], Approvers(Users(users_file))]
        context.drive(_run_worker(context, graphs, _endpoint(health), stopper, ends=cut_off == "end", **given))
    context.err.line("worker stopped; another worker can continue the runs that it released")
    return 0


def _endpoint(given: str | None) -> tuple[str, int] | None:
    if given is None:
        return None
    host, _, port = given.rpartition(":")
    if not port.isdecimal() or int(port) >= 1 << 16:
        raise click.UsageError(f"--health {given} is not valid: give a port from 0 to 65535, or HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


async def _run_worker(  # noqa: PLR0913 - how a worker works
    context: CommandContext,
    graphs: Mapping[str, Graph[Any]],
    health: tuple[str, int] | None,
    stopper: Stopper,
    *,
    queues: tuple[str, ...],
    concurrency: int,
    poll_seconds: float,
    retention: Retention | None,
    ends: bool,
    **of_runner: Any,  # noqa: ANN401 - those of a Runner
) -> None:
    from graphengine.api.runner import Runner
    from graphengine.databases.sql import SQLStore
    from graphengine.worker.worker import Worker

    stopper.opens()
    store = context.store
    if isinstance(store, SQLStore):
        store.ends_process = ends
    async with Runner(store, **of_runner) as runner:
        worker = Worker(
            runner,
            *graphs.values(),
            queues=queues or None,
            concurrency=concurrency,
            poll_seconds=poll_seconds,
            on_event=lambda event: show_event(context, event),
            retention=retention,
        )

        async def stop() -> None:
            worker.stop()

        async with AsyncExitStack() as stack:
            await deliver(of_runner["extensions"], runner, stack)
            if health is not None:
                from graphengine.serve.health import serving_health

                host, port = health
                port = await stack.enter_async_context(serving_health(worker, host, port))
                context.err.line(f"health: http://{f'[{host}]' if ':' in host else host}:{port}/")
            stopper.drives(stop)
            await worker.run()


def show_event(context: CommandContext, event: WorkerEvent) -> None:
    """Write a line for the operator about something that the worker did, such as that it took a run.

    If a run failed, the command that resumes it is shown too.
    """
    from graphengine.worker.retention import Removed
    from graphengine.worker.worker import RunOutcome, Took

    if context.json:
        context.line(_build_event_document(event))
    elif isinstance(event, Took):
        text = f" of {event.info.graph}: {_WHY[event.why]}"
        context.out.line((f"{'resumes':<{_COLUMNS}}", "bold"), (event.info.id, "bold"), text)
    elif isinstance(event, RunOutcome):
        _show_end(context, event)
    elif isinstance(event, Removed):
        what = [counted(event.runs, "run")] if event.runs else []
        what += [f"{event.steps:,} steps of runs that go on"] if event.steps else []
        text = f"{' and '.join(what)} of {event.graph}, as its retention says"
        context.out.line((f"{'removed':<{_COLUMNS}}", "bold"), text)
    else:
        _show_refusal(context, event)


def _show_end(context: CommandContext, event: RunOutcome) -> None:
    result = event.result
    verb = "left" if result.status == "running" else result.status
    text = ""
    if context.is_for_operator:
        text = f" of {event.info.graph}" + (
            f" at {result.waits[0].name}: {result.waits[0].kind}" if result.waits else ""
        )
        text += f" at {result.error.path or 'the run'}: {result.error.kind}" if result.error is not None else ""
    elif result.error is not None:
        text = f" at {result.error.path or 'the run'}: {one_line(f'{result.error.kind}: {result.error.message}')}"
    elif result.ending is not None and (result.label or result.status in ("stopped", "cancelled")):
        text = f" [{result.label}]" if result.label else f": {one_line(result.ending.why)}"
    elif result.waits:
        first, *others = result.waits
        text = f": {one_line(first.question)}" + (f" (and {len(others)} more)" if others else "")
    context.out.line((f"{verb:<{_COLUMNS}}", _STYLES.get(verb, "bold yellow")), (event.info.id, "bold"), text)
    if result.status == "failed":
        resume = context.place.command("resume", event.info.id, *graph_words(event.info.graph))
        context.err.line(("  resume: ", "dim"), resume)


def _show_refusal(context: CommandContext, event: Refused) -> None:
    error = event.error if isinstance(event.error, GraphEngineError) else unexpected(event.error)
    what = (
        f"run {event.info.id} of {event.info.graph} cannot be resumed" if event.info else "the poll for due runs failed"
    )
    is_hidden = context.is_for_operator and not isinstance(error, StoreError)
    context.out.line((f"{'refused':<{_COLUMNS}}", "bold red"), what, f": {error.code}" if is_hidden else "")
    if not is_hidden:
        context.show(error)


def _build_event_document(event: WorkerEvent) -> Document:
    from msgspec import UNSET

    from graphengine.records.base_documents import refusal_of
    from graphengine.records.step_document import failure_document
    from graphengine.worker import documents
    from graphengine.worker.retention import Removed
    from graphengine.worker.worker import RunOutcome, Took

    if isinstance(event, Removed):
        return documents.Removed(run_id=None, graph=event.graph, runs=event.runs, steps=event.steps)
    info = event.info
    if isinstance(event, Took):
        return documents.GoesOn(run_id=event.info.id, graph=event.info.graph, why=event.why)
    if isinstance(event, RunOutcome):
        result = event.result
        return documents.WorkerEnded(
            run_id=event.info.id,
            graph=event.info.graph,
            status="left" if result.status == "running" or result.status == "queued" else result.status,  # noqa: PLR1714
            seq=result.seq,
            ending=result.ending,
            error=failure_document(result.error) if result.error is not None else None,
            waits=result.waits,
        )
    error = event.error if isinstance(event.error, GraphEngineError) else unexpected(event.error)
    graph = UNSET if info is None else info.graph
    return documents.Refused(run_id=None if info is None else info.id, graph=graph, error=refusal_of(error))


# --- workers ---

_LISTED = 5


_PROCESSES: Final[Sequence[Column[OwnerInfo]]] = (
    Column("kind", lambda each: "worker" if each.role is not None else "runner", 2),
    Column("host", lambda each: each.host),
    Column("process", lambda each: str(each.pid)),
    Column("queues", lambda each: "" if each.role is None else ", ".join(each.role.get("queues") or []) or "all", 1),
    Column(
        "drives", lambda each: str(each.driven) + (f" of {each.role['concurrency']}" if each.role is not None else "")
    ),
    Column("runs", lambda each: ", ".join(each.runs[:_LISTED]) + (" …" if each.driven > _LISTED else "")),
)


@options.command(
    "workers",
    options.DATABASE,
    examples="""
        graphengine workers
        graphengine workers --json
    """,
)
def workers(context: CommandContext) -> int:
    """List the live processes that can drive runs of a database, and the runs that they drive.

    The command lists workers and other processes. A worker takes due runs of its graphs. Any other process, such as
    `graphengine run`, drives only the runs that it started or resumed itself.
    """
    from graphengine.worker.documents import Workers

    async def listed(store: QueueStore) -> Sequence[OwnerInfo]:
        return sorted(await store.owners(), key=lambda each: (each.role is None, each.host, each.pid))

    found = context.read(listed)
    no_process = "no process that drives runs is alive; start a worker: graphengine worker"
    return context.show_rows(Workers(workers=found), _PROCESSES, found, no_process)


# --- queues ---


class _Rate(click.ParamType):  # type: ignore[type-arg]  # click before 8.4 takes none
    """The type of an option that limits how many runs can begin in a time, such as 100/60s or 5/1h."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, float]:  # noqa: ANN401
        """Convert a rate such as `100/60s` to the number of runs and the time in seconds."""
        found = re.fullmatch(r"([1-9][0-9]{0,8})/(.+)", str(value))
        if found is None:
            self.fail(f"{value!r} is not a rate: give a number of runs and a time, e.g. 100/60s", param, ctx)
        seconds = options.Age().convert(found[2], param, ctx)
        if not seconds:
            self.fail(f"the time of {value!r} is 0: give a longer time, e.g. 100/60s", param, ctx)
        return int(found[1]), seconds


@options.command(
    "list",
    options.DATABASE,
    examples="""
        graphengine queues list
        graphengine queues list --json
    """,
)
def queues_list(context: CommandContext) -> int:
    """List the queues that contain queued or driven runs, and the queues that have limits.

    `graphengine run --queue` and `start(…, queue=)` put runs into a queue, and workers take the runs from there.
    """
    return _list_queues(context)


@options.command(
    "set",
    options.DATABASE,
    examples="""
        graphengine queues set mail --concurrency 20 --rate 100/60s
        graphengine queues set mail --tenant-concurrency 2 --tenant-rate 10/1m
        graphengine queues set mail --no-limits
        graphengine queues set mail --pause
        graphengine queues set mail --unpause
        graphengine queues set graph:review --pause
        graphengine queues set tenant:acme --pause
    """,
)
@click.argument("queue", metavar="QUEUE")
@click.option("--concurrency", type=click.IntRange(min=1), help="The most runs of the queue that are driven at a time.")
@click.option(
    "--rate", type=_Rate(), metavar="N/TIME", help="Let at most N runs of the queue begin in this time, e.g. 100/60s."
)
@click.option("--tenant-concurrency", type=click.IntRange(min=1), help="The same as --concurrency, for each tenant.")
@click.option("--tenant-rate", type=_Rate(), metavar="N/TIME", help="The same as --rate, for each tenant.")
@click.option(
    "--pause/--unpause",
    "paused",
    default=None,
    help="Pause the queue, or end the pause. Given alone, this option keeps the limits of the queue.",
)
@click.option("--no-limits", is_flag=True, help="Remove the limits and the pause of the queue.")
def queues_set(
    context: CommandContext,
    /,
    *,
    queue: str,
    no_limits: bool,
    paused: bool | None,
    **given: Any,  # noqa: ANN401 - the limits
) -> int:
    """Set the limits of a queue.

    The new limits replace all earlier limits of the queue, and they apply to all workers together.

    While a queue is paused, workers take no runs from it: neither new runs nor runs that are due, that were answered,
    or whose process died. Runs that a process already drives continue; to stop them, use `graphengine bulk stop`. A
    pause does not end when you set new limits, but it ends with --no-limits.

    To pause a graph or a tenant in all queues, write graph:NAME or tenant:NAME in place of QUEUE. Workers notice a
    pause within a second. A pause that you set before you start the workers applies from their first run on.
    """
    from graphengine.api.runner import Runner
    from graphengine.kernel.store import QueueLimits

    is_alone = all(value is None for value in given.values())
    if is_alone and not no_limits and paused is None:
        raise click.UsageError(
            f"the command sets nothing for the queue {queue!r}: give a limit such as --concurrency 20, or --pause, or "
            "--no-limits"
        )
    if no_limits and not (is_alone and paused is None):
        raise click.UsageError("--no-limits removes all limits and ends a pause: leave out all other options")
    context.use(writes=True)

    async def setting() -> None:
        runner = Runner(context.store)
        await runner.store.open()
        earlier = (await runner.store.queue_limits()).get(queue, QueueLimits())
        limits = earlier if is_alone else QueueLimits(**given)
        limits = replace(limits, paused=earlier.paused if paused is None else paused)
        await runner.admin.limit_queue(queue, None if no_limits or limits == QueueLimits() else limits)

    context.run(setting())
    return _list_queues(context, queue)


def _list_queues(context: CommandContext, queue: str | None = None) -> int:
    """Show all queues, or only the queue that a command has changed."""
    from graphengine.worker.documents import OneQueue, Queues

    counts = context.read(lambda store: store.queue_counts())
    limits = context.read(lambda store: store.queue_limits())
    here = {count.queue: (count.queued, count.driven) for count in counts}
    names = sorted({*here, *limits})
    rows = [OneQueue(name, *here.get(name, (0, 0)), limits.get(name)) for name in names if queue in (None, name)]
    no_row = "no run is queued or driven" if queue is None else f"queue {queue} has no runs and no limits"
    columns: Sequence[Column[OneQueue]] = (
        Column("queue", lambda each: each.queue),
        Column("queued", lambda each: str(each.queued)),
        Column("driven", lambda each: str(each.driven)),
        Column("limits", lambda each: _format_limits(each.limits)),
    )
    return context.show_rows(Queues(queues=rows), columns, rows, no_row)


def _format_limits(limits: QueueLimits | None) -> str:
    if limits is None:
        return ""
    found = ["paused"] if limits.paused else []
    for of, concurrency, rate in (
        ("", limits.concurrency, limits.rate),
        (" of a tenant", limits.tenant_concurrency, limits.tenant_rate),
    ):
        found += [f"{concurrency} at a time{of}"] if concurrency is not None else []
        found += [f"{rate[0]} in {rate[1]:g} s{of}"] if rate is not None else []
    return ", ".join(found)
