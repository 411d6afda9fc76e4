"""`graphengine export` and `graphengine import`: write a run to a JSON file, and read it into a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from graphengine.cli import options
from graphengine.cli.context import harmless_json
from graphengine.cli.places import graph_words, shown
from graphengine.errors import GraphEngineError, InputError
from graphengine.records.words import counted

if TYPE_CHECKING:
    from graphengine.cli.context import CommandContext
    from graphengine.records.export import Exported

_STDOUT: Final = "-"
_TABLE_ENDINGS: Final = (".csv", ".tsv", ".xlsx", ".parquet")


@options.command(
    "export",
    options.DATABASE,
    examples="""
        graphengine export tides -o copy.json
        graphengine export tides                 # to stdout
    """,
)
@options.run_id
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default=_STDOUT,
    help="The file to write. A new file is readable only by you. Without this option, or with '-', the command"
    " writes to stdout.",
)
def export(context: CommandContext, run_id: str, output: str) -> int:
    """Export a run to a JSON file: its steps, including those shared with its parents, and its unread messages.

    You can use the exported file in two ways. `graphengine import` records the run in another database, where you can
    resume the run. `graphengine replay` reads the file directly. The file contains the whole state of the run in clear
    text, except for secret fields.
    """
    from graphengine import __version__
    from graphengine.output_file import write_file
    from graphengine.records.export import export_run, to_json_text

    found = context.find(run_id).id
    if (ending := Path(output).suffix.lower()) in _TABLE_ENDINGS:
        message = f"`graphengine export` writes a run as JSON, which is not the format of a {ending} file"
        table = f"graphengine runs --fields NAMES --csv > {Path(output).stem}.csv"
        repair = f"give a name that ends with .json, or write a table of runs: {table}"
        raise InputError(message, where="-o", repair=repair)
    run = context.read(lambda store: export_run(store, found))
    text = harmless_json(to_json_text(run, __version__))
    if output == _STDOUT:
        context.out.write(text)
        return 0
    try:
        write_file(output, text.encode(), is_private=True)
    except OSError as error:
        message = f"the file {output!r} cannot be written: {error.strerror or error}"
        repair = "name a file in an existing folder that you can write to"
        raise GraphEngineError(message, where=output, repair=repair, code="export_unwritable") from error
    if context.json:
        from graphengine.cli.documents import Exported

        context.document(Exported(run_id=found, file=output, steps=len(run.steps)))
    else:
        context.err.line(f"run {found}, {counted(len(run.steps), 'step')}: written to {output}")
    return 0


@options.command(
    "import",
    options.DATABASE,
    examples="""
        graphengine import tides.json --store elsewhere.db
        graphengine import tides.json            # already there: nothing is done
    """,
)
@click.argument(
    "files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False, dir_okay=True)
)
def import_(context: CommandContext, files: tuple[Path, ...]) -> int:
    """Import runs from files that `graphengine export` wrote, under their original ids.

    Before it imports anything, the command checks every file. An imported run that waits, failed or was interrupted can
    be resumed in this database as in the original one. A run that the database already contains is left as it is.
    """
    from graphengine.records.export import check_ids, import_run, read_file

    context.use(writes=True)
    runs = [read_file(file) for file in files]

    async def record() -> list[bool]:
        await context.store.open()
        await check_ids(context.store, runs)
        return [await import_run(context.store, run) for run in runs]

    pairs = list(zip(runs, context.run(record()), strict=True))
    if context.json:
        from graphengine.cli.documents import Imported, ImportedRun

        listed = [ImportedRun(run_id=run.info.id, steps=len(run.steps), new=is_new) for run, is_new in pairs]
        context.document(Imported(runs=listed))
        return 0
    for run, is_new in pairs:
        _show_exported(context, run, is_new=is_new)
    return 0


def _show_exported(context: CommandContext, run: Exported, *, is_new: bool) -> None:
    info, place = run.info, context.place
    if not is_new:
        context.out.line("run ", (info.id, "bold"), f" is already in {shown(place.database)}; nothing was done")
        return
    status = "queued" if info.queued else "interrupted" if info.status == "running" else info.status
    steps = counted(len(run.steps), "step")
    context.out.line("run ", (info.id, "bold"), f" of {info.graph}, {steps}, {status}: recorded")
    if info.queued:
        context.err.line(("worker: ", "dim"), place.worker_command(info.queue, graph_words(info.graph)))
    elif info.status != "finished":
        context.err.line(("resume: ", "dim"), place.command("resume", info.id, *graph_words(info.graph)))
