"""`graphengine runs`: list what is recorded."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphengine.cli.session import Session
    from graphengine.stores.base import RunInfo, Status, Store

_STATUSES: Final = ("running", "interrupted", "waiting", "finished", "stopped", "failed")
_PAGE: Final = 50


@click.command("runs")
@click.option(
    "--status",
    type=click.Choice(_STATUSES),
    help="Only runs of this status; one is interrupted if its process ended without finishing it.",
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The most runs to list.")
@options.database
@options.common
@click.pass_obj
def command(session: Session, status: str | None, limit: int, database: Path | None) -> int:
    """List the recorded runs, the newest first.

    `seq` is the number of a run's last recorded step.
    """
    from graphengine.cli.places import place_of, shown
    from graphengine.cli.recorded import read
    from graphengine.document import runs_document

    place = place_of(database)
    found = read(place, lambda store: _listed(store, limit, status))
    if session.json:
        session.document(runs_document(found))
    elif found:
        _show(session, found)
        if len(found) == limit:
            session.err.line(f"the newest {limit}; --limit shows more")
    else:
        session.err.line(f"no runs{f' with status {status}' if status else ''} in {shown(place.database)}")
    return 0


async def _listed(store: Store, limit: int, status: str | None) -> Sequence[RunInfo]:
    """The newest runs that are shown with this status."""
    if status not in ("running", "interrupted"):
        return await store.runs(limit=limit, status=cast("Status | None", status))
    found: list[RunInfo] = []
    before: str | None = None
    while len(found) < limit:
        page = await store.runs(limit=_PAGE, status="running", before=before)
        found += [info for info in page if status_of(info) == status]
        if len(page) < _PAGE:
            break
        before = page[-1].id
    return found[:limit]


def _show(session: Session, runs: Sequence[RunInfo]) -> None:
    from graphengine.cli.tables import aligned

    columns = session.out.columns
    at = when if columns is None else short_time
    rows = [(i.id, i.graph, status_of(i), str(i.seq), at(i.created_at), at(i.updated_at), _parent(i)) for i in runs]
    headings = ("run", "graph", "status", "seq", "begun", "last step", "branched from")
    heading, *lines = aligned(headings, rows, columns=columns, expendable=("begun", "seq", "branched from"))
    session.out.line((heading, "bold"))
    for line in lines:
        session.out.line(line)


def status_of(info: RunInfo) -> str:
    """A run's status as people see it: one that nobody drives any more is interrupted."""
    return "interrupted" if info.status == "running" and info.driver is None else info.status


def _parent(info: RunInfo) -> str:
    return f"{info.parent} at {info.parent_seq}" if info.parent is not None else ""


def when(at: float) -> str:
    """A time as people read it, on this machine's clock."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short_time(at: float) -> str:
    """A time as short as it is clear today: the time of this day, a day of this year, or a date."""
    local, now = datetime.fromtimestamp(at).astimezone(), datetime.now().astimezone()
    if local.date() == now.date():
        return local.strftime("%H:%M:%S")
    return local.strftime("%m-%d %H:%M" if local.year == now.year else "%Y-%m-%d")
