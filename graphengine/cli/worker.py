"""`graphengine worker`: continue the due runs of a database."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from graphengine.cli import completing, helping, options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from graphengine.api.graph import Graph
    from graphengine.cli.folders import Database
    from graphengine.cli.models import Chosen
    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.cli.signals import Stopper
    from graphengine.history.json_document import Document
    from graphengine.runner.worker import Ended, Refused, WorkerEvent
    from graphengine.telemetry import Telemetry

_WHY = {
    "queued": "it begins",
    "due": "its time has come",
    "sent": "it was answered or sent a message",
    "orphan": "no process drove it",
}
_COLUMNS = len("finished ")
_STYLES = {"finished": "bold green", "failed": "bold red"}


@click.command(
    "worker",
    cls=helping.Command,
    examples="""
        graphengine worker
        graphengine worker --concurrency 8 --graph flows/review.py
        graphengine worker --queue mail --queue reports --health 8080
        graphengine worker --json                # a JSON document on each line
    """,
    exits={0: "stopped by SIGTERM or Ctrl-C; another worker can continue its runs"},
)
@options.concurrency(4)
@options.poll
@click.option(
    "--graph",
    "references",
    metavar="FILE[:NAME]",
    multiple=True,
    shell_complete=completing.graphs,
    help="Drive only runs of these graphs; may be repeated. Default: all graphs of the project.",
)
@click.option(
    "--queue",
    "queues",
    metavar="NAME",
    multiple=True,
    help="Take only runs of this queue; may be repeated. Default: all queues, in turn.",
)
@click.option(
    "--health",
    metavar="[HOST:]PORT",
    help="Answer HTTP requests with its health: 200, or 503 if it stops or fails. By default only on 127.0.0.1.",
)
@options.model
@options.database
@options.observed
@options.common
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    concurrency: int,
    poll_seconds: float,
    references: tuple[str, ...],
    queues: tuple[str, ...],
    health: str | None,
    models: tuple[str, ...],
    database: Database | None,
) -> int:
    """Continue the due runs of a database until stopped.

    A run is due if it is queued (`run --queue`), if its sleep is over, if it received an answer or a message, or if the
    process that drove it died. Runs of other graphs are left alone. Any number of workers can share a database. The
    worker prints a line on stdout
    for each run that it takes, and another with the outcome; under --json each line is a JSON document. A --model
    option for an agent applies to the graphs that have this agent.

    SIGTERM or Ctrl-C stops the worker with exit code 0: nodes in flight finish and are recorded, and the runs are
    released to other workers. A second Ctrl-C ends it at once (130).
    """
    from graphengine.cli import notices
    from graphengine.cli.driving import last_words, stopper_of
    from graphengine.cli.executors import executors_of, with_executors
    from graphengine.cli.models import models_for_all
    from graphengine.cli.observing import telemetry_of
    from graphengine.cli.places import place_of, shown
    from graphengine.cli.project import file_of, graphs_to_drive
    from graphengine.cli.session import Interrupted
    from graphengine.cli.signals import run_loop
    from graphengine.cli.steps import counted

    executors = executors_of(file_of(references[0]) if references else None)
    found = graphs_to_drive(references) if references else with_executors(graphs_to_drive([]), executors)
    for problem in found.unread:
        session.err.prose(("warning ", "bold yellow"), problem)
    chosen = models_for_all(models, found.found)
    place = place_of(database, file_of(references[0]) if references else None)
    with stopper_of(session) as stopper, notices.shown(session), telemetry_of(session) as telemetry:
        stopper.action = "releasing the runs after the nodes in flight"
        safe = Interrupted("interrupted; what was recorded is safe", repair="start another worker")
        stopper.last_words = last_words(session, safe)
        names = ", ".join(found.graphs)
        session.err.prose(f"worker for {counted(len(found.graphs), 'graph')} ({names}) in {shown(place.database)}")
        pace = _Pace(concurrency, poll_seconds, queues or None, _endpoint(health))
        what = (found.graphs, chosen, executors, telemetry)
        run_loop(_work(session, place, what, pace, stopper))
        session.err.line("worker stopped; another worker can continue the runs that it released")
    return 0


@dataclass(frozen=True, slots=True)
class _Pace:
    """How the worker works."""

    concurrency: int
    poll_seconds: float
    queues: tuple[str, ...] | None
    health: tuple[str, int] | None


def _endpoint(given: str | None) -> tuple[str, int] | None:
    """Return the host and port of the health endpoint."""
    if given is None:
        return None
    host, _, port = given.rpartition(":")
    if not port.isdecimal() or int(port) >= 1 << 16:
        raise click.UsageError(f"--health {given}: give a port, or HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


async def _work(
    session: Session,
    place: Place,
    what: tuple[Mapping[str, Graph[Any]], Chosen, Mapping[str, Callable[[], Executor]], Telemetry | None],
    pace: _Pace,
    stopper: Stopper,
) -> None:
    from graphengine.api.runner import Runner
    from graphengine.runner.worker import Worker
    from graphengine.web.health import serving_health

    graphs, models, executors, telemetry = what
    async with Runner(place.database, models=models, executors=executors, telemetry=telemetry) as runner:
        worker = Worker(
            runner,
            graphs,
            queues=pace.queues,
            concurrency=pace.concurrency,
            poll_seconds=pace.poll_seconds,
            on_event=lambda event: show_event(session, place, event),
        )

        async def stop() -> None:
            worker.stop()

        stopper.drives(stop)
        async with AsyncExitStack() as stack:
            if pace.health is not None:
                host, port = pace.health
                port = await stack.enter_async_context(serving_health(worker, host, port))
                session.err.line(f"health: http://{f'[{host}]' if ':' in host else host}:{port}/")
            await worker.run()


def show_event(session: Session, place: Place, event: WorkerEvent) -> None:
    """Show an event of a run on one line, and below it how to react to it."""
    from graphengine.runner.worker import Ended, Took

    if session.json:
        session.line(_document(event))
    elif isinstance(event, Took):
        text = f" of {event.info.graph}: {_WHY[event.why]}"
        session.out.line((f"{'resumes':<{_COLUMNS}}", "bold"), (event.info.id, "bold"), text)
    elif isinstance(event, Ended):
        _show_end(session, place, event)
    else:
        _show_refusal(session, event)


def _show_end(session: Session, place: Place, event: Ended) -> None:
    from graphengine.cli.places import command as to_paste
    from graphengine.cli.places import graph_words
    from graphengine.cli.terminal import one_line

    result = event.result
    verb = "left" if result.status == "running" else result.status
    text = ""
    if result.error is not None:
        text = f" at {result.error.path or 'the run'}: {one_line(f'{result.error.kind}: {result.error.message}')}"
    elif result.ending is not None and (result.label or result.status == "stopped"):
        text = f" [{result.label}]" if result.label else f": {one_line(result.ending.explanation)}"
    elif result.waits:
        first, *others = result.waits
        text = f": {one_line(first.question)}" + (f" (and {len(others)} more)" if others else "")
    session.out.line((f"{verb:<{_COLUMNS}}", _STYLES.get(verb, "bold yellow")), (event.info.id, "bold"), text)
    if result.status == "failed":
        resume = to_paste("resume", event.info.id, *graph_words(event.info.graph), place=place)
        session.err.line(("  resume: ", "dim"), resume)


def _show_refusal(session: Session, event: Refused) -> None:
    from graphengine.cli.session import unexpected
    from graphengine.errors import GraphEngineError

    error = event.error if isinstance(event.error, GraphEngineError) else unexpected(event.error)
    what = (
        f"run {event.info.id} of {event.info.graph} cannot be resumed" if event.info else "the poll for due runs failed"
    )
    session.out.line((f"{'refused':<{_COLUMNS}}", "bold red"), what)
    session.show(error)


def _document(event: WorkerEvent) -> Document:
    from msgspec import UNSET

    from graphengine.cli import run_documents as documents
    from graphengine.cli.session import unexpected
    from graphengine.errors import GraphEngineError
    from graphengine.history.json_document import failure_document, refusal_of
    from graphengine.runner.worker import Ended, Took

    info = event.info
    if isinstance(event, Took):
        return documents.GoesOn(run_id=event.info.id, graph=event.info.graph, why=event.why)
    if isinstance(event, Ended):
        result = event.result
        return documents.Ended(
            run_id=event.info.id,
            graph=event.info.graph,
            status="left" if result.status == "running" else result.status,
            seq=result.seq,
            stop=result.ending,
            error=failure_document(result.error) if result.error is not None else None,
            waits=result.waits,
        )
    error = event.error if isinstance(event.error, GraphEngineError) else unexpected(event.error)
    graph = UNSET if info is None else info.graph
    return documents.Refused(run_id=None if info is None else info.id, graph=graph, error=refusal_of(error))
