"""`graphengine runs`: list what is recorded."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, cast

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphengine.cli.session import Session
    from graphengine.stores.base import RunInfo, Status

_STATUSES = ("running", "waiting", "finished", "stopped", "failed")


@click.command("runs")
@click.option("--status", type=click.Choice(_STATUSES), help="Only runs of this status.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The most runs to list.")
@options.database
@options.common
@click.pass_obj
def command(session: Session, status: str | None, limit: int, database: Path | None) -> int:
    """List the recorded runs, the newest first."""
    from graphengine.cli.places import place_of, shown
    from graphengine.cli.recorded import read
    from graphengine.document import runs_document

    place = place_of(database)
    found = read(place, lambda store: store.runs(limit=limit, status=cast("Status | None", status)))
    if session.json:
        session.document(runs_document(found))
    elif found:
        _show(session, found)
        if len(found) == limit:
            session.err.line(f"the newest {limit}; --limit shows more")
    else:
        session.err.line(f"no runs{f' with status {status}' if status else ''} in {shown(place.database)}")
    return 0


def _show(session: Session, runs: Sequence[RunInfo]) -> None:
    from graphengine.cli.tables import table

    rows = [
        (info.id, info.graph, _status(info), str(info.seq), when(info.created_at), when(info.updated_at), _parent(info))
        for info in runs
    ]
    session.out.show(table(("run", "graph", "status", "steps", "begun", "last step", "branched from"), rows))


def _status(info: RunInfo) -> str:
    return "interrupted" if info.status == "running" and info.driver is None else info.status


def _parent(info: RunInfo) -> str:
    return f"{info.parent} at {info.parent_seq}" if info.parent is not None else ""


def when(at: float) -> str:
    """A time as people read it, on this machine's clock."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
