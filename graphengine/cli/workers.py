"""`graphengine workers`: list the processes that drive runs, and what they drive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.folders import Database
    from graphengine.cli.session import Session
    from graphengine.history.json_document import Document
    from graphengine.stores.base import OwnerInfo, Store

_LISTED = 5


@click.command(
    "workers",
    cls=helping.Command,
    examples="""
        graphengine workers
        graphengine workers --json
    """,
)
@options.database
@options.common
@click.pass_obj
def command(session: Session, database: Database | None) -> int:
    """List the processes that have a database open for driving runs and are alive, and the runs that they drive.

    A process that is not a worker drives the runs that it has started or resumed itself, as `graphengine run` does.
    """
    from graphengine.cli.places import place_of
    from graphengine.cli.recorded import read

    place = place_of(database)

    async def listed(store: Store) -> Sequence[OwnerInfo]:
        return sorted(await store.owners(), key=lambda each: (each.role is None, each.host, each.pid))

    found = read(place, listed)
    if session.json:
        session.document(_document(found))
    elif found:
        _show(session, found)
    else:
        session.err.line("no process is alive that drives runs; start one: graphengine worker")
    return 0


def _document(found: Sequence[OwnerInfo]) -> Document:
    from graphengine.cli.run_documents import OneWorker, Workers

    return Workers(workers=[OneWorker(**each._asdict()) for each in found])


def _show(session: Session, found: Sequence[OwnerInfo]) -> None:
    from graphengine.cli.tables import padded

    rows = [
        (
            "worker" if each.role is not None else "runner",
            each.host,
            str(each.pid),
            ", ".join((each.role or {}).get("queues") or []) or ("all" if each.role is not None else ""),
            str(each.driven) + (f" of {each.role['concurrency']}" if each.role is not None else ""),
            ", ".join(each.runs[:_LISTED]) + (" …" if each.driven > _LISTED else ""),
        )
        for each in found
    ]
    headings = ("kind", "host", "process", "queues", "drives", "runs")
    heading, *lines = padded(headings, rows, columns=session.out.columns, expendable=("queues", "kind"))
    session.out.line(("".join(heading), "bold"))
    for line in lines:
        session.out.line("".join(line))
