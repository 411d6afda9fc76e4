"""`graphengine stop`: stop a run that waits, or ask the process that drives it to stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import helping, options
from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from graphengine.cli.folders import Database
    from graphengine.cli.session import Session


@click.command(
    "stop",
    cls=helping.Command,
    examples="""
        graphengine stop post
        graphengine stop desk --now --json     # cancels what is in flight
    """,
    exits={
        0: "it is stopped, or its process was asked to stop it",
        2: "it has already ended, or no process drives it; or wrong usage",
    },
)
@options.run_id
@click.option("--now", is_flag=True, help="Cancel the nodes in flight, as calls of models; a resume repeats them.")
@options.database
@options.common
@click.pass_obj
def command(session: Session, run_id: str, now: bool, database: Database | None) -> int:  # noqa: FBT001 - as click gives it
    """Stop a run: at its next safe point if another process drives it, at once if it waits or is queued."""
    import asyncio

    from graphengine.api.runner import Runner
    from graphengine.cli.places import command as to_paste
    from graphengine.cli.places import graph_words, place_of
    from graphengine.cli.recorded import read_info, run_id_of

    place = place_of(database)
    run_id = run_id_of(session, place, run_id)
    info = read_info(place, run_id)
    resume = to_paste("resume", run_id, *graph_words(info.graph), place=place)
    if info.status not in ("running", "waiting"):
        raise GraphEngineError(
            f"run {run_id} is already {info.status}",
            where=f"run {run_id}",
            repair="nothing needs to be done",
            code="not_running",
        )
    is_waiting = info.driver is None and (info.status == "waiting" or info.queued)
    if info.driver is None and not is_waiting:
        message = f"no process drives run {run_id}: its process died before finishing it"
        raise GraphEngineError(message, where=f"run {run_id}", repair=resume, code="not_running")

    async def ask() -> None:
        async with Runner(place.database) as runner:
            await runner.stop(run_id, now=now)

    asyncio.run(ask())
    if session.json:
        from graphengine.cli.run_documents import Stopped

        session.document(Stopped(run_id=run_id, stop="done" if is_waiting else "asked"))
    else:
        when = "at once" if now else "after the node in flight"
        asked = f"asked the process that drives run {run_id} to stop it {when}"
        session.out.line(
            f"stopped run {run_id}, which {'was queued' if info.queued else 'waited'}" if is_waiting else asked
        )
        session.err.line(("resume: ", "dim"), resume)
    return 0
