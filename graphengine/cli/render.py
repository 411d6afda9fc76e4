"""`graphengine render`: draw a graph or a run into a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from graphengine.cli import charts, completing, helping, options

if TYPE_CHECKING:
    from graphengine.api.graph import Graph
    from graphengine.cli.folders import Database
    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.engine.outline import Outline
    from graphengine.render.folding import Fold
    from graphengine.render.looks import Theme
    from graphengine.render.parts import Detail
    from graphengine.stores.base import RunInfo, Store

    Drawn: TypeAlias = tuple[Outline, RunInfo]


@click.command(
    "render",
    cls=helping.Command,
    examples="""
        graphengine render review -o review.svg
        graphengine render tides -o tides.txt    # a run, on its graph
        graphengine render tides --timeline -o timeline.svg
    """,
)
@click.argument("reference", metavar="FILE[:NAME]|NAME|RUN_ID", shell_complete=completing.runs_or_graphs)
@click.argument("other", metavar="[RUN_ID]", required=False, shell_complete=completing.runs)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    help="The file to write; its suffix (.svg, .png, .pdf, .html, .dot, .mmd or .txt) determines the format.",
)
@click.option(
    "--fold",
    metavar="DEPTH|PATH",
    multiple=True,
    help="Draw nested graphs as one box each: those at this depth or deeper (0: all), or those at these paths, as "
    "--fold articles --fold desk/article.",
)
@click.option(
    "--theme",
    type=click.Choice(("auto", "light", "dark")),
    default="auto",
    help="The colours; auto: .svg and .html follow the reader's preference, other formats are light.",
)
@click.option(
    "--detail",
    type=click.Choice(("brief", "full")),
    default="full",
    help="How much to write; brief: only names and labels, for a large graph.",
)
@charts.options
@options.database
@options.common
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    reference: str,
    other: str | None,
    output: Path,
    database: Database | None,
    fold: tuple[str, ...],
    theme: Theme,
    detail: Detail,
    timeline: bool,  # noqa: FBT001 - as click gives it
    scores: str | None,
    branches: bool,  # noqa: FBT001 - as click gives it
) -> int:
    """Draw a graph, a run on its graph, two runs compared on it, or a chart of a run.

    A run is drawn from its record; its code is not needed. Two runs of one graph are drawn on it together, with the
    steps that they share and the point where they diverge. Charts, and two runs, can be .svg, .html, .png or .txt.
    """
    from graphengine.cli.places import place_of

    place = place_of(database)
    wanted = charts.wanted(reference, other, timeline=timeline, scores=scores, branches=branches)
    if wanted is None:
        _draw(session, place, reference, _Picture(output, _folded(fold), theme, detail))
    elif fold or theme != "auto" or detail != "full":
        raise click.UsageError("--fold, --theme and --detail are for the picture of a graph, or of a run on it")
    else:
        charts.draw(session, place, wanted, output)
    if session.json:
        from graphengine.cli.graph_documents import Drawn

        session.document(Drawn(file=str(output)))
    else:
        session.err.line(f"drawn: {output}")
    return 0


@dataclass(frozen=True, slots=True)
class _Picture:
    """How a graph is drawn, and into which file."""

    output: Path
    fold: Fold
    theme: Theme
    detail: Detail


def _folded(asked: tuple[str, ...]) -> Fold:
    """Return the depth if one number is given, otherwise the paths."""
    if len(asked) == 1 and asked[0].isdecimal():
        return int(asked[0])
    return asked or None


def _draw(session: Session, place: Place, reference: str, picture: _Picture) -> None:
    """Draw a graph, or a run on it."""
    from graphengine.api.graph import Graph
    from graphengine.cli.project import file_of
    from graphengine.cli.recorded import steps_of
    from graphengine.render import render_outline

    recorded = _recorded(place, reference) if file_of(reference) is None else None
    drawn = recorded or _graph(session, place, reference)
    if isinstance(drawn, Graph):
        drawn.render(picture.output, fold=picture.fold, theme=picture.theme, detail=picture.detail)
    else:
        outline, info = drawn
        with steps_of(place, info) as steps:
            render_outline(
                outline, picture.output, steps=steps, fold=picture.fold, theme=picture.theme, detail=picture.detail
            )


def _graph(session: Session, place: Place, reference: str) -> Graph[Any] | Drawn:
    """Return the graph of this name or file, or else the run whose id has this prefix.

    Raises:
        GraphNotFound: Neither a graph nor a run matches.
    """
    from graphengine.cli.places import shown
    from graphengine.cli.project import file_of, find
    from graphengine.cli.recorded import run_id_of
    from graphengine.errors import GraphNotFound, UnknownRun

    try:
        return find(reference).graph
    except GraphNotFound as error:
        if file_of(reference) is not None:
            raise
        near = "see the ids with `graphengine runs`, or name another database with --db PATH"
        try:
            drawn = _recorded(place, run_id_of(session, place, reference)) if place.exists else None
        except UnknownRun as unknown:
            drawn, near = None, unknown.repair
        if drawn is not None:
            return drawn
        message = error.message.replace("there is no graph", "there is no run and no graph", 1)
        where = f"{shown(place.database)} (runs); {error.where} (graphs)"
        raise GraphNotFound(message, where=where, repair=f"{near}; {error.repair}") from error


def _recorded(place: Place, run_id: str) -> Drawn | None:
    """Return the outline and the row of a run; None if there is no such run."""
    from graphengine.cli.recorded import read
    from graphengine.errors import UnknownRun
    from graphengine.history.load import outline_of

    async def reading(store: Store) -> Drawn:
        info = await store.info(run_id)
        return await outline_of(store, info.fingerprint) or {}, info

    if not place.exists:
        return None
    try:
        return read(place, reading)
    except UnknownRun:
        return None
