"""`graphengine suite`: turn recorded runs into tests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from graphengine.cli import options
from graphengine.cli.places import project_of
from graphengine.errors import GraphEngineError, InputError
from graphengine.records.words import counted

if TYPE_CHECKING:
    from graphengine.cli.context import CommandContext
    from graphengine.cli.project import Found
    from graphengine.testing.suites import Suite

_MOST: Final = 10_000


@options.command(
    "suite",
    options.DATABASE,
    examples="""
        graphengine suite --runs "graph:review since:30d" -o tests/recorded
        graphengine suite tides tides-2 -o tests/two
        graphengine suite tides -o tests/recorded --update
    """,
    exits={
        0: "the suite is written, or the folder is up to date",
        1: "the folder contains a different suite, see --update; or no run can be replayed",
    },
)
@click.argument("names", metavar="[RUN_ID]...", nargs=-1, shell_complete=options.complete_runs)
@options.searched
@click.option(
    "-o", "--output", metavar="FOLDER", required=True, type=click.Path(path_type=Path), help="The folder to write."
)
@click.option("--update", is_flag=True, help="Replace the suite in the folder, and show what changed.")
@options.graph
def suite(  # noqa: PLR0913 - one for each option
    context: CommandContext,
    *,
    names: tuple[str, ...],
    search: tuple[str, ...],
    output: Path,
    update: bool,
    reference: str | None,
) -> int:
    """Export as tests the fewest recorded runs that together cover everything that occurred.

    A suite is a set of recorded runs that contains every edge, ending, failure and fallback that occurred in the given
    runs. The command exports the runs that it chooses to files, and writes one test file that replays them. The test
    runs no node and calls no model. Secret fields stay encrypted in the files, so the test needs their key.

    The output lists the edges that none of the given runs takes. If today's graph would decide a run differently from
    its record, the command leaves out this run. The output says how many runs were left out and why, and --json names
    these runs.
    """
    from graphengine.cli.whatif import ended_runs
    from graphengine.testing.suites import suite as chosen_of

    found, runs = ended_runs(context, names, search, reference, _MOST)
    chosen = context.read(lambda store: chosen_of(found.graph, runs, store))
    exists_already = any(output.glob("*.json"))
    chosen.folder, chosen.changes = str(output), chosen.changes_in(output, found.graph) if exists_already else []
    chosen.written = bool(chosen.runs) and (update or not exists_already)
    if chosen.written:
        module, name = locate_graph(found)
        try:
            context.read(lambda store: chosen.write(output, module, name, store))
        except OSError as error:
            raise describe_unwritable(chosen.folder, error) from error
    if context.json:
        context.document(chosen)
    else:
        _show_suite(context, chosen, exists_already=exists_already)
    return 0 if chosen.written or (chosen.runs and not chosen.changes) else 1


def describe_unwritable(folder: str, error: OSError) -> GraphEngineError:
    return GraphEngineError(
        f"the folder {folder} cannot be written: {error.strerror or error}",
        where=folder,
        repair="name a folder that you can write to",
        code="suite_unwritable",
    )


def locate_graph(found: Found) -> tuple[str, str]:
    """Return how the test of a suite imports the graph: the module's name, and the graph's name in the module.

    Raises:
        InputError: No test could import the graph, because the file or the variable has no importable name.
    """
    path = found.file.absolute()
    root = project_of(path.parent) or Path.cwd()
    place = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    module = ".".join(place.with_suffix("").parts)
    name = next((key for key, value in vars(found.module).items() if value is found.graph), "")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        message = "the test of the suite cannot import the graph from this file"
        repair = (
            "give the file a name that Python can import, such as review.py, and assign the graph to a variable in it"
        )
        raise InputError(message, where=str(found.file), repair=repair)
    return module, name


def _show_suite(context: CommandContext, found: Suite, *, exists_already: bool) -> None:
    out, err = context.out, context.err
    for line in found.changes:
        out.line(line)
    if found.changes:
        out.line("")
    for each in found.runs:
        out.line((each.run_id, "bold"), f"  {each.file}")
        for mark in each.adds:
            out.line(f"  {mark}")
    out.line("")
    for line in found.missing if found.runs else ():
        out.line(f"no run takes {line}")
    for why, count in Counter(found.differing.values()).items():
        out.line(f"left out: {counted(count, 'run')} decided otherwise today: {why}")
    for run_id, why in found.unread.items():
        out.line(f"left out: {run_id}: {why}")
    chosen = f"{counted(len(found.runs), 'run')} of {found.looked_at} take all that occurred"
    if found.written:
        out.line(f"{chosen}; written to {found.folder}")
        err.line(("test:   ", "dim"), f"pytest {found.folder}")
    elif not found.runs:
        out.line("no run can be replayed; nothing is written")
    else:
        state = "the folder has another suite; --update replaces it" if found.changes else "the folder is up to date"
        out.line(f"{chosen}; {state}" if exists_already else chosen)
