"""`graphengine import`: record exported runs in a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.busy import Busy
    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.history.export import Exported


@click.command(
    "import",
    cls=helping.Command,
    examples="""
        graphengine import tides.json --db elsewhere.db
        graphengine import tides.json            # there already: nothing is done
    """,
)
@click.argument(
    "files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False, dir_okay=True)
)
@options.database
@options.common
@click.pass_obj
def command(session: Session, files: tuple[Path, ...], database: Path | None) -> int:
    """Record the runs of files that `graphengine export` wrote, under the ids they had.

    Every file is checked before anything is written. A run that waits, failed or was cut off can be gone on with in
    this database as in the one it comes from. Where the very same run is there already, nothing is done.
    """
    import asyncio

    from graphengine.cli.busy import busy
    from graphengine.cli.places import place_of
    from graphengine.history.json_document import SCHEMA

    place = place_of(database)
    with busy(session, "reading") as work:
        runs = [_read(work, file, (number, len(files))) for number, file in enumerate(files, 1)]
        new = asyncio.run(_record(work, place, runs))
    if session.json:
        listed = [
            {"run_id": run.info.id, "steps": len(run.steps), "new": is_new}
            for run, is_new in zip(runs, new, strict=True)
        ]
        session.document({"schema": SCHEMA, "runs": listed})
        return 0
    for run, is_new in zip(runs, new, strict=True):
        _tell(session, run, place, is_new=is_new)
    return 0


def _read(work: Busy, file: Path, number: tuple[int, int]) -> Exported:
    from graphengine.history.export import read_file

    work.says("reading", *number, str(file))
    return read_file(file)


async def _record(work: Busy, place: Place, runs: Sequence[Exported]) -> list[bool]:
    """Record the runs; tells of each whether it was not there yet.

    Raises:
        RunExists: Another run has one of the ids; then none was recorded.
    """
    from graphengine.history.export import check_ids, import_run
    from graphengine.stores.sqlite import SQLiteStore

    store = SQLiteStore(place.database)
    await store.open()
    try:
        await check_ids(store, runs)
        new: list[bool] = []
        for number, run in enumerate(runs, 1):
            work.says("recording", number, len(runs), run.info.id)
            new.append(await import_run(store, run))
        return new
    finally:
        await store.close()


def _tell(session: Session, run: Exported, place: Place, *, is_new: bool) -> None:
    from graphengine.cli.places import command as to_paste
    from graphengine.cli.places import graph_words, shown
    from graphengine.cli.steps import counted

    info = run.info
    if not is_new:
        session.out.line(
            "run ", (info.id, "bold"), f" is in {shown(place.database)} already, the very same; nothing was done"
        )
        return
    status = "interrupted" if info.status == "running" else info.status
    session.out.line(
        "run ", (info.id, "bold"), f" of {info.graph}, {counted(len(run.steps), 'step')}, {status}: recorded"
    )
    if info.parent is not None:
        told = f"it branched from {info.parent} behind step {info.parent_seq}"
        session.err.line(f"{told}; the steps that they share are its own here, the parent itself is not brought")
    if info.status != "finished":
        resume = to_paste("resume", info.id, *graph_words(info.graph), place=place)
        session.err.line(("resume: ", "dim"), resume)
