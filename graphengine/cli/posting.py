"""Answers and messages from the command line: recorded first, which needs no graph; then the run goes on here.

It goes on as far as it can at once: who answers or sends does not sleep with the run.

Once one is recorded nothing takes it back. Where the run cannot be gone on with here, because its graph is not found
for instance, that is told, and a worker or a later `resume` goes on with it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

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
from graphengine.history.json_document import SCHEMA, error_document
from graphengine.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from graphengine.cli.options import Given
    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.runner import Run

_CANNOT_GO_ON: Final = (
    SecretKeyWrong,
    CompileError,
    GraphChanged,
    GraphFileBroken,
    GraphNotFound,
    InputError,
    ProjectBroken,
    RunNotResumable,
)
"""What keeps a run from going on in this process, and perhaps in no other."""


@dataclass(frozen=True, slots=True)
class Post:
    """What is handed to a run.

    Attributes:
        run_id: The run.
        place: Where it is kept.
        send: Hands it over, given a runner.
        what: What it is and what has become of it, as the document says it: `("answer", "recorded")`.
        note: What else is to be told of it.
    """

    run_id: str
    place: Place
    send: Callable[[Runner], Awaitable[None]]
    what: tuple[str, str]
    note: str = ""


def check_options(given: Given, *, resumes: bool) -> None:
    """See, before anything is recorded, that the options can be followed.

    Raises:
        click.UsageError: They ask for what is not done.
        GraphEngineError: There is no place for the result.
    """
    if not resumes and (given.limits or given.pauses or given.output is not None or given.models):
        told = (
            "--no-resume does not go on with the run, so that --limit, --model, --pause-before and --output have no "
            "meaning"
        )
        raise click.UsageError(told)
    if given.output is not None:
        check_output(given.output)


def post_and_go_on(session: Session, post: Post, reference: str | None, given: Given) -> int:
    """Hand it over, and go on with the run as `resume` would; gives the exit code.

    Raises:
        GraphEngineError: It was refused, or the store failed.
    """
    recorded = read_run(post.place, post.run_id)
    limits = limits_of(recorded, given)
    if given.models:  # what is wrong with them is told before anything is recorded
        models_for(given.models, graph_of(recorded.info.graph, reference))
    _send(session, post)
    try:
        found = graph_of(recorded.info.graph, reference)
        found.graph.compile()
        job = Job(session, found, post.place, given.output, post.run_id, sleeps=False, models=given.models)

        async def begin(runner: Runner) -> Run[Any]:
            return runner.resume(found.graph, post.run_id, limits=limits, pause_before=given.pauses)

        return drive(job, begin)
    except RunIsDriven:  # another process, a worker for instance, was quicker
        return _tell(session, post)
    except _CANNOT_GO_ON as error:
        return _tell(session, post, error)


def post_only(session: Session, post: Post) -> int:
    """Hand it over to whoever drives the run, or will.

    Raises:
        GraphEngineError: It was refused.
    """
    _send(session, post)
    return _tell(session, post)


def _send(session: Session, post: Post) -> None:
    async def send() -> None:
        async with Runner(post.place.database) as runner:
            await post.send(runner)

    asyncio.run(send())
    if post.note:
        session.err.line(post.note)


def _tell(session: Session, post: Post, error: GraphEngineError | None = None) -> int:
    """Say that it is recorded, what kept the run from going on here if anything did, and who goes on with it."""
    name, done = post.what
    code = Exit.FINISHED if error is None else Exit.WAITING
    if session.json:
        more = {"error": error_document(error)["error"]} if error is not None else {}
        session.document({"schema": SCHEMA, "run_id": post.run_id, name: done, **more})
        return code
    info = read_info(post.place, post.run_id)
    session.out.line(f"the {name} is {done}")
    if error is not None:
        session.err.prose(("not gone on with here", "bold yellow"), f": {error.message}")
        if error.where:
            session.err.prose(("  at: ", "dim"), error.where)
    if info.driver is not None:
        session.err.line(f"run {info.id} is driven by {info.driver}, which goes on with it")
    elif info.status in ("waiting", "running"):
        resume = command("resume", info.id, *graph_words(info.graph), place=post.place)
        session.err.line((f"no process drives run {info.id}; start `graphengine worker`, or resume: ", "dim"), resume)
    elif info.status != "finished":
        resume = command("resume", info.id, *graph_words(info.graph), place=post.place)
        session.err.line((f"run {info.id} is {info.status}; resume: ", "dim"), resume)
    return code
