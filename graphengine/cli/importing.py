"""`graphengine import`: record exported runs in a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.busy import Busy
    from graphengine.cli.folders import Database
    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.history.export import Exported


@click.command(
    "import",
    cls=helping.Command,
    examples="""
        graphengine import tides.json --db elsewhere.db
        graphengine import tides.json            # already there: nothing is done
    """,
)
@click.argument(
    "files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False, dir_okay=True)
)
@options.database
@options.common
@click.pass_obj
def command(session: Session, files: tuple[Path, ...], database: Database | None) -> int:
    """Import runs from files that `graphengine export` wrote, under their original ids.

    Every file is checked before anything is written. A run that waits, failed or was interrupted can be resumed in
    this database as in the original one. If the database already has the same run, nothing is done.
    """
    import asyncio

    from graphengine.cli.busy import busy
    from graphengine.cli.places import place_of

    place = place_of(database)
    with busy(session, "reading") as work:
        runs = [_read(work, file, (number, len(files))) for number, file in enumerate(files, 1)]
        new = asyncio.run(_record(work, place, runs))
    if session.json:
        from graphengine.cli.run_documents import Imported, ImportedRun

        pairs = zip(runs, new, strict=True)
        listed = [ImportedRun(run_id=run.info.id, steps=len(run.steps), new=is_new) for run, is_new in pairs]
        session.document(Imported(runs=listed))
        return 0
    for run, is_new in zip(runs, new, strict=True):
        _show(session, run, place, is_new=is_new)
    return 0


def _read(work: Busy, file: Path, number: tuple[int, int]) -> Exported:
    from graphengine.history.export import read_file

    work.update("reading", *number, str(file))
    return read_file(file)


async def _record(work: Busy, place: Place, runs: Sequence[Exported]) -> list[bool]:
    """Record the runs; return for each whether it is new.

    Raises:
        RunExists: A different run has one of the ids; no run was recorded.
    """
    from graphengine.api.places import store_at
    from graphengine.history.export import check_ids, import_run

    store = store_at(place.database)
    await store.open()
    try:
        await check_ids(store, runs)
        new: list[bool] = []
        for number, run in enumerate(runs, 1):
            work.update("recording", number, len(runs), run.info.id)
            new.append(await import_run(store, run))
        return new
    finally:
        await store.close()


def _show(session: Session, run: Exported, place: Place, *, is_new: bool) -> None:
    from graphengine.cli.places import command as to_paste
    from graphengine.cli.places import graph_words, shown, worker_command
    from graphengine.cli.steps import counted

    info = run.info
    if not is_new:
        session.out.line("run ", (info.id, "bold"), f" is already in {shown(place.database)}; nothing was done")
        return
    status = "queued" if info.queued else "interrupted" if info.status == "running" else info.status
    session.out.line(
        "run ", (info.id, "bold"), f" of {info.graph}, {counted(len(run.steps), 'step')}, {status}: recorded"
    )
    if info.parent is not None:
        text = f"it branched from {info.parent} after step {info.parent_seq}"
        session.err.prose(f"{text}; it includes the steps that they share, and the parent itself is not imported")
    if info.queued:
        session.err.line(("worker: ", "dim"), worker_command(info.queue, graph_words(info.graph), place))
    elif info.status != "finished":
        resume = to_paste("resume", info.id, *graph_words(info.graph), place=place)
        session.err.line(("resume: ", "dim"), resume)
