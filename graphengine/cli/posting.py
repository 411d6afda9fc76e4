"""Answers and messages from the command line: handed to the run, which then goes on here unless another drives it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphengine.cli.driving import drive, recorded_job
from graphengine.cli.places import command, graph_words
from graphengine.cli.recorded import read_info
from graphengine.document import SCHEMA
from graphengine.errors import RunIsDriven
from graphengine.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphengine.cli.options import Given
    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.runner import Run


@dataclass(frozen=True, slots=True)
class Post:
    """What is handed to a run.

    Attributes:
        place: Where the run is kept.
        send: Hands it over, given a runner.
        what: What it is and what has become of it, as the document says it: `("answer", "recorded")`.
    """

    run_id: str
    place: Place
    send: Callable[[Runner], Awaitable[None]]
    what: tuple[str, str]


def post_and_go_on(session: Session, post: Post, reference: str | None, given: Given) -> int:
    """Hand it over, and go on with the run as `resume` would; gives the exit code.

    Raises:
        GraphEngineError: It was refused, or the run could not be gone on with.
    """
    job, limits = recorded_job(session, post.run_id, reference, given)

    async def begin(runner: Runner) -> Run[Any]:
        await post.send(runner)
        return runner.resume(job.found.graph, post.run_id, limits=limits, pause_before=given.pauses)

    try:
        return drive(job, begin)
    except RunIsDriven:  # another process, a worker for instance, was quicker
        return _tell(session, post)


def post_only(session: Session, post: Post) -> int:
    """Hand it over to whoever drives the run, or will.

    Raises:
        GraphEngineError: It was refused.
    """

    async def send() -> None:
        async with Runner(post.place.database) as runner:
            await post.send(runner)

    asyncio.run(send())
    return _tell(session, post)


def _tell(session: Session, post: Post) -> int:
    name, done = post.what
    if session.json:
        session.document({"schema": SCHEMA, "run_id": post.run_id, name: done})
        return 0
    info = read_info(post.place, post.run_id)
    session.out.line(f"the {name} is {done}")
    if info.driver is not None:
        session.err.line(f"run {info.id} is driven by {info.driver}, which goes on with it")
    elif info.status != "finished":
        resume = command("resume", info.id, *graph_words(info.graph), place=post.place)
        session.err.line((f"run {info.id} is {info.status}; resume: ", "dim"), resume)
    return 0
