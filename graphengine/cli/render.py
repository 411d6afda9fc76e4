"""`graphengine render`: draw a graph, a run on its graph or a chart of a run, or write the story of a run as a page."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import click

from graphengine.cli import options
from graphengine.cli.places import may_find, shown
from graphengine.errors import GraphNotFound, UnknownRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.api.graph import Graph
    from graphengine.cli.context import CommandContext
    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.render.charts import Chart
    from graphengine.render.looks import Theme
    from graphengine.render.parts import Detail

_Kind: TypeAlias = Literal["timeline", "scores"]

_KINDS: Final[tuple[_Kind, ...]] = ("timeline", "scores")


_AT_A_TIME: Final = 1000
"""How many steps of a run are read at a time."""


@options.command(
    "render",
    options.DATABASE,
    examples="""
        graphengine render review -o review.svg
        graphengine render tides -o tides.txt    # a run, on its graph
        graphengine render tides --timeline -o timeline.svg
        graphengine render tides -o story.html   # how it came to its result, to send
        graphengine render tides tides-2 -o story.html   # where two runs part
    """,
)
@click.argument("reference", metavar="FILE[:NAME]|NAME|RUN_ID", shell_complete=options.complete_runs_or_graphs)
@click.argument("other", metavar="[RUN_ID]", required=False, shell_complete=options.complete_runs_or_graphs)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    help="The file to write. Its suffix (.svg, .png, .pdf, .html, .dot, .mmd or .txt) determines the format.",
)
@click.option(
    "--fold",
    metavar="DEPTH|PATH",
    multiple=True,
    help="Draw a nested graph as a single box. DEPTH folds all nested graphs at this depth or deeper, and 0 folds all. "
    "PATH folds the nested graph at this path, e.g. desk/article, and may be repeated.",
)
@click.option(
    "--theme",
    type=click.Choice(("auto", "light", "dark")),
    default="auto",
    help="The colours. With auto, .svg and .html files follow the reader's preference, and other formats are light.",
)
@click.option(
    "--detail",
    type=click.Choice(("brief", "full")),
    default="full",
    help="How much to write. brief writes only names and labels, which suits a large graph.",
)
@click.option("--timeline", is_flag=True, help="Draw a timeline of the run, with the duration and cost of each node.")
@click.option(
    "--scores",
    metavar="[PATH]",
    is_flag=False,
    flag_value="",
    help="Draw how a number in the state changed, step by step. PATH names the number, e.g. history[-1].score. Without "
    "PATH, the numbers that the graph's conditions compare or watch are drawn. Put this option after the run.",
)
def render(  # noqa: PLR0913 - one for each option
    context: CommandContext,
    reference: str,
    other: str | None,
    output: Path,
    fold: tuple[str, ...],
    theme: Theme,
    detail: Detail,
    timeline: bool,  # noqa: FBT001 - as click gives it
    scores: str | None,
) -> int:
    """Draw a graph, a run on its graph, or a chart of a run.

    To draw a run, the command needs only what the database recorded, and not the code of the run's graph. A chart of a
    run, which is drawn with --timeline or --scores, can be written as .svg, .html, .png or .txt.

    If you write a run as .html, the file tells the story of the run. It is one file of about two printed pages, which
    you can send to other people. They need no server and no network to read it. The story contains:

    - the question and the answer as text, and the conversations with models
    - the graph with the path that the run took, and what the run waits for
    - each call with its duration and cost
    - what was rejected and why, and what was lost

    If you name a second run, the story compares the two runs. It shows what was changed, where the runs diverge and
    why, what the change saved, and how the results differ, word by word. Fields that are declared secret are left out.
    """
    from graphengine.cli.project import file_of

    kind = _find_chart_kind(timeline=timeline, scores=scores)
    is_page = kind is None and output.suffix == ".html"
    is_story = is_page and (
        other is not None or (file_of(reference) is None and _find_run(context, reference) is not None)
    )
    if other is not None and not is_story:
        raise click.UsageError("two runs can only be compared in a story: give -o a file that ends with .html")
    if is_story:
        _write_story(context, reference, other, output)
    elif kind is None:
        depth_or_paths = int(fold[0]) if len(fold) == 1 and fold[0].isdecimal() else fold or None
        _draw(context, reference, output, fold=depth_or_paths, theme=theme, detail=detail)
    elif fold or theme != "auto" or detail != "full":
        raise click.UsageError(
            "--fold, --theme and --detail apply only to the picture of a graph, or of a run on its graph: leave out "
            "these options"
        )
    else:
        from graphengine.render.charts import write_chart

        run_id = _find_run_id(context, reference)
        write_chart(output, lambda: context.read(lambda store: _load_chart(store, kind, run_id, scores or "")))
    if context.json:
        from graphengine.render.documents import Drawn

        context.document(Drawn(file=str(output)))
    else:
        context.err.line(f"{'written' if is_story else 'drawn'}: {output}")
    return 0


def _write_story(context: CommandContext, reference: str, other: str | None, output: Path) -> None:
    from graphengine.output_file import write_file
    from graphengine.render.story import story_of

    ids = [_find_run_id(context, each) for each in (reference, other) if each is not None]
    second = ids[1] if len(ids) > 1 else None
    page = context.read(lambda store: story_of(store, ids[0], second, time.time()))
    write_file(output, page.encode())


def _draw(context: CommandContext, reference: str, output: Path, **look: Any) -> None:  # noqa: ANN401 - how it is drawn
    from graphengine.api.graph import Graph
    from graphengine.cli.project import file_of
    from graphengine.kernel.reader import graph_spec_of, status_of
    from graphengine.render import render_graph_spec

    recorded = _find_run(context, reference) if file_of(reference) is None else None
    drawn = recorded or _find_graph_or_run(context, reference)
    if isinstance(drawn, Graph):
        drawn.render(output, **look)
        return
    graph_spec = context.read(partial(graph_spec_of, fingerprint=drawn.fingerprint)) or {}
    specs: dict[str, GraphSpec] = {}
    steps = _iter_run_steps(context, drawn, specs)
    render_graph_spec(graph_spec, output, steps=steps, specs=specs, status=status_of(drawn), **look)


def _iter_run_steps(context: CommandContext, info: RunInfo, specs: dict[str, GraphSpec]) -> Iterator[Step]:
    """Read the steps of a run and yield them. They are read in parts, because a long run may not fit into memory.

    The descriptions of the graphs that recorded these steps are added to `specs`, by their fingerprints.

    Raises:
        UnknownRun: There is no such run.
        StoreError: The run cannot be read.
    """
    from graphengine.kernel.inside import load_specs

    for after in range(0, info.seq, _AT_A_TIME):
        upto = min(after + _AT_A_TIME, info.seq)
        steps = context.read(lambda store: store.steps(info.id, after, upto))  # noqa: B023 - read at once
        specs.update(context.read(partial(load_specs, steps=steps)))
        yield from steps


def _find_graph_or_run(context: CommandContext, reference: str) -> Graph[Any] | RunInfo:
    """Return the graph with this name or file. If there is no such graph, return the run whose id begins with the text.

    Raises:
        GraphNotFound: Neither a graph nor a run matches.
    """
    from graphengine.cli.project import file_of, find

    try:
        return find(reference).graph
    except GraphNotFound as error:
        if file_of(reference) is not None:
            raise
        near = "see the ids with `graphengine runs`, or name another database with --store PATH"
        try:
            if context.place.exists:
                return context.find(reference)
        except UnknownRun as unknown:
            near = unknown.repair
        message = error.message.replace("there is no graph", "there is no run and no graph", 1)
        where = f"{shown(context.place.database)} (runs); {error.where} (graphs)"
        raise GraphNotFound(message, where=where, repair=f"{near}; {error.repair}") from error


def _find_run(context: CommandContext, run_id: str) -> RunInfo | None:
    """Return the entry of a run in the list of runs of the database; None if the run does not exist."""
    try:
        return context.read(lambda store: store.info(run_id)) if context.place.exists else None
    except UnknownRun:
        return None


# --- charts ---


def _find_chart_kind(**asked: str | bool | None) -> _Kind | None:
    """Return the chart that the options select; None if no option selects a chart, so that the graph is drawn.

    Raises:
        UsageError: Several charts are selected.
    """
    kinds: list[_Kind] = [kind for kind in _KINDS if asked[kind] not in (None, False)]
    if len(kinds) > 1:
        names = " and ".join(f"--{kind}" for kind in kinds)
        raise click.UsageError(f"{names} are separate pictures: draw one at a time")
    return kinds[0] if kinds else None


def _find_run_id(context: CommandContext, given: str) -> str:
    """Return the full id of the run that the user named.

    Raises:
        UnknownRun: There is no such run. If the user gave the name of a graph, the message says that a run is needed.
    """
    try:
        return context.find(given).id
    except UnknownRun as error:
        if not may_find(given):
            raise
        message = f"{error.message}; {given!r} is a graph, but this picture needs a run"
        raise UnknownRun(message, where=error.where, repair=error.repair) from error


async def _load_chart(store: Store, kind: _Kind, run_id: str, path: str) -> Chart:
    """Read a run, and return its timeline or its chart of numbers in the state (`scores`).

    `path` names the number to draw. If it is "", the chart contains the numbers that the graph's conditions use.
    """
    from graphengine.kernel.reader import graph_spec_of, status_of
    from graphengine.render.charts import scores, timeline

    info, steps = await store.info(run_id), await store.steps(run_id)
    if kind == "timeline":
        return timeline(steps, status_of(info))
    return scores(await graph_spec_of(store, info.fingerprint) or {}, steps, path, status=status_of(info))
