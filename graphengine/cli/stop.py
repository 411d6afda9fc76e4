"""`graphengine stop`: stop a run that waits, or ask the process that drives it to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import completing, helping, options
from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from pathlib import Path

    from graphengine.cli.session import Session


class NotRunning(GraphEngineError):
    """There is nothing to stop."""

    code = "not_running"


@click.command(
    "stop",
    cls=helping.Command,
    examples="""
        graphengine stop post
        graphengine stop desk --json
    """,
    exits={
        0: "it is stopped, or its process is asked to",
        2: "it has ended already, or nobody drives it; or wrong usage",
    },
)
@click.argument("run_id", metavar="RUN_ID", shell_complete=completing.runs)
@options.database
@options.common
@click.pass_obj
def command(session: Session, run_id: str, database: Path | None) -> int:
    """Stop a run that another process drives, at its next safe point, or one that waits, at once."""
    import asyncio

    from graphengine.cli.places import command as to_paste
    from graphengine.cli.places import graph_words, place_of
    from graphengine.cli.recorded import read_info, run_id_of
    from graphengine.history.json_document import SCHEMA
    from graphengine.runner import Runner

    place = place_of(database)
    run_id = run_id_of(session, place, run_id)
    info = read_info(place, run_id)
    resume = to_paste("resume", run_id, *graph_words(info.graph), place=place)
    if info.status not in ("running", "waiting"):
        raise NotRunning(
            f"run {run_id} is {info.status} already", where=f"run {run_id}", repair="nothing is to be done"
        )
    is_waiting = info.status == "waiting" and info.driver is None
    if info.driver is None and not is_waiting:
        told = f"no process drives run {run_id}: the one that did has ended without finishing it"
        raise NotRunning(told, where=f"run {run_id}", repair=resume)

    async def ask() -> None:
        async with Runner(place.database) as runner:
            await runner.stop(run_id)

    asyncio.run(ask())
    if session.json:
        session.document({"schema": SCHEMA, "run_id": run_id, "stop": "done" if is_waiting else "asked"})
    else:
        asked = f"asked the process that drives run {run_id} to stop it after the node in flight"
        session.out.line(f"stopped run {run_id}, which waited" if is_waiting else asked)
        session.err.line(("resume: ", "dim"), resume)
    return 0
