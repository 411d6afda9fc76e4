"""`graphengine render`: draw a graph or a run into a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.core.steps import Step
    from graphengine.records import JsonValue
    from graphengine.stores.base import Store


@click.command("render")
@click.argument("reference", metavar="FILE[:NAME]|NAME|RUN_ID")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="The picture; its ending, .svg, .png, .pdf, .mmd or .dot, says how it is drawn.",
)
@options.database
@options.common
@click.pass_obj
def command(session: Session, reference: str, output: Path, database: Path | None) -> int:
    """Draw a graph, or a run on its graph.

    A run is drawn from what is recorded; its code is not needed.
    """
    from graphengine.cli.places import place_of
    from graphengine.cli.project import file_of, find
    from graphengine.document import SCHEMA
    from graphengine.render import render_graph, render_outline

    recorded = _recorded(place_of(database), reference) if file_of(reference) is None else None
    if recorded is not None:
        outline, steps = recorded
        render_outline(outline, output, steps=steps)
    else:
        render_graph(find(reference).graph, output)
    if session.json:
        session.document({"schema": SCHEMA, "file": str(output)})
    else:
        session.err.line(f"drawn: {output}")
    return 0


def _recorded(place: Place, run_id: str) -> tuple[Mapping[str, JsonValue], Sequence[Step]] | None:
    """The outline and the steps of a run; None where there is no such run."""
    from graphengine.cli.recorded import read
    from graphengine.errors import UnknownRun

    async def reading(store: Store) -> tuple[Mapping[str, JsonValue], Sequence[Step]]:
        info = await store.info(run_id)
        return await store.outline(info.fingerprint) or {}, await store.steps(run_id)

    if not place.database.exists():
        return None
    try:
        return read(place, reading)
    except UnknownRun:
        return None
