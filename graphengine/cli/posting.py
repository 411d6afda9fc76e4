"""Answers and messages from the command line: recorded first, which needs no graph; then the run is resumed here.

It is driven as far as possible at once: `answer` and `send` do not wait while it sleeps.

Once recorded, an answer or a message is never taken back. If the run cannot be resumed here, for instance because its
graph is not found, the error is reported, and a worker or a later `resume` continues the run.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from graphengine.api.runner import Runner
from graphengine.cli.driving import drive, limits_of
from graphengine.cli.folders import ProjectBroken
from graphengine.cli.models import models_for
from graphengine.cli.places import command, graph_words
from graphengine.cli.project import GraphFileBroken, graph_of
from graphengine.cli.recorded import read_info, read_run
from graphengine.cli.report import Job, check_output
from graphengine.cli.session import Exit
from graphengine.errors import (
    CompileError,
    GraphChanged,
    GraphEngineError,
    GraphNotFound,
    InputError,
    RunIsDriven,
    RunNotResumable,
    SecretKeyWrong,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from graphengine.cli.options import Given
    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.runner import Run

_CANNOT_RESUME: Final = (
    SecretKeyWrong,
    CompileError,
    GraphChanged,
    GraphFileBroken,
    GraphNotFound,
    InputError,
    ProjectBroken,
    RunNotResumable,
)
"""Errors that keep a run from being resumed in this process, but perhaps not in another."""


@dataclass(frozen=True, slots=True)
class Post:
    """An answer or a message to a run.

    Attributes:
        run_id: The run.
        place: Where it is stored.
        send: Records it with a runner.
        what: Its kind and its outcome, as in the document: `("answer", "recorded")`.
        note: A further line to show.
    """

    run_id: str
    place: Place
    send: Callable[[Runner], Awaitable[None]]
    what: tuple[str, str]
    note: str = ""


def check_options(given: Given, *, resumes: bool) -> None:
    """Check the options before anything is recorded.

    Raises:
        click.UsageError: Some options have no effect with --no-resume.
        GraphEngineError: The result cannot be written.
    """
    if not resumes and (given.limits or given.pauses or given.output is not None or given.models):
        message = "--no-resume does not resume the run, so --limit, --model, --pause-before and --output have no effect"
        raise click.UsageError(message)
    if given.output is not None:
        check_output(given.output)


def post_and_resume(session: Session, post: Post, reference: str | None, given: Given) -> int:
    """Record it, and resume the run as `resume` does; return the exit code.

    Raises:
        GraphEngineError: It was refused, or the store failed.
    """
    recorded = read_run(post.place, post.run_id)
    limits = limits_of(recorded, given)
    if given.models:  # fail before anything is recorded
        models_for(given.models, graph_of(recorded.info.graph, reference))
    _send(session, post)
    try:
        found = graph_of(recorded.info.graph, reference)
        found.graph.compile()
        job = Job(session, found, post.place, given.output, post.run_id, sleeps=False, models=given.models)

        async def begin(runner: Runner) -> Run[Any]:
            return runner.resume(found.graph, post.run_id, limits=limits, pause_before=given.pauses, wait_out=False)

        return drive(job, begin)
    except RunIsDriven:  # another process, such as a worker, took it first
        return _report(session, post, reference)
    except _CANNOT_RESUME as error:
        return _report(session, post, reference, error)


def post_only(session: Session, post: Post, reference: str | None) -> int:
    """Record it for the process that drives the run, now or later.

    Raises:
        GraphEngineError: It was refused.
    """
    _send(session, post)
    return _report(session, post, reference)


def _send(session: Session, post: Post) -> None:
    async def send() -> None:
        async with Runner(post.place.database) as runner:
            await post.send(runner)

    asyncio.run(send())
    if post.note:
        session.err.prose(post.note)


def _report(session: Session, post: Post, reference: str | None, error: GraphEngineError | None = None) -> int:
    """Show that it is recorded, why the run was not resumed here, if it was tried, and what continues it."""
    name, done = post.what
    code = Exit.FINISHED if error is None else Exit.WAITING
    if session.json:
        from msgspec import UNSET

        from graphengine.cli.run_documents import Answered, Sent
        from graphengine.history.json_document import refusal_of

        kind = Answered if name == "answer" else Sent
        session.document(kind(run_id=post.run_id, error=UNSET if error is None else refusal_of(error)))
        return code
    info = read_info(post.place, post.run_id)
    is_known = reference is not None and not isinstance(error, GraphNotFound)
    words = ["--graph", reference] if is_known else graph_words(info.graph)
    session.out.line(f"the {name} is {done}")
    if error is not None:
        session.err.prose(("not resumed here", "bold yellow"), f": {error.message}")
        if error.where:
            session.err.prose(("  at: ", "dim"), error.where)
        if error.repair and not isinstance(error, GraphNotFound):  # the command below is its repair
            session.err.prose(("  repair: ", "bold"), error.repair)
    if info.driver is not None:
        session.err.line(f"run {info.id} is driven by {info.driver}, which continues it")
    elif info.status in ("waiting", "running"):
        resume = command("resume", info.id, *words, place=post.place)
        session.err.line((f"no process drives run {info.id}; start `graphengine worker`, or resume: ", "dim"), resume)
    elif info.status != "finished":
        resume = command("resume", info.id, *words, place=post.place)
        session.err.line((f"run {info.id} is {info.status}; resume: ", "dim"), resume)
    return code
