"""`graphengine backup`: copy a database while processes work on it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from graphengine.cli import options
from graphengine.cli.context import Exit

if TYPE_CHECKING:
    from graphengine.cli.context import CommandContext
    from graphengine.databases.findings import Progress

_REPORT_SECONDS: Final = 2.0


@options.command(
    "backup",
    options.DATABASE,
    examples="""
        graphengine backup runs-2026-11-27.db
        graphengine backup copy.db --store checkpoints/runs.db --json
        graphengine backup unchecked.db --no-check
    """,
    exits={
        0: "the copy is complete, and no fault was found in it",
        1: "the copy was made, but a fault was found in it",
        2: "there is a file of that name already, or the usage is wrong",
        5: "the database cannot be read, or the copy cannot be written",
    },
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--check/--no-check", default=True, help="Check every row of the copy, or leave out the check.  [default: check]"
)
def backup(context: CommandContext, /, *, file: Path, check: bool) -> int:
    """Copy a database of runs to FILE, in one pass, while runs are driven, and check the copy.

    The copy contains what was recorded when the backup began. You can use the copy as it is, for example with
    `graphengine worker --store FILE` after the workers of the original have ended. FILE must not exist. Until the copy
    is complete, its name is FILE.part.

    The command copies SQLite files. For PostgreSQL, use pg_dump or base backups.
    """
    from rich.filesize import decimal

    from graphengine.cli.doctor import show_report
    from graphengine.databases.sqlite import doctor
    from graphengine.databases.sqlite.backup import back_up

    source, began = _find_file_to_copy(context), time.monotonic()
    size = back_up(source, file, progress=_build_copy_progress(context))
    seconds = time.monotonic() - began
    report = doctor.examine(file) if check else None
    if context.json:
        from msgspec import UNSET

        from graphengine.cli.documents import BackedUp

        document = BackedUp(str(source), str(file), size, round(seconds, 3))
        document.sound = UNSET if report is None else report.is_sound
        document.findings = UNSET if report is None else report.findings
        context.document(document)
    else:
        context.out.line("copied to ", (str(file), "bold"), f": {decimal(size)} in {seconds:.1f} s")
        if report is not None:
            show_report(context, report, str(file), ("--store", str(file)))
    return Exit.FINISHED if report is None or report.is_sound else Exit.FAILED


def _find_file_to_copy(context: CommandContext) -> Path:
    """Return the path of the database file that `graphengine backup` has to copy.

    Raises:
        StoreNotSupported: The database is on a PostgreSQL server, so there is no file to copy.
    """
    database = context.place.database
    if isinstance(database, str):
        from graphengine.cli.places import shown
        from graphengine.errors import StoreNotSupported

        repair = (
            "run pg_dump -Fc -n graphengine -f runs.dump ADDRESS, or make a base backup with an archive of the log: "
            "see docs/use/machines.md"
        )
        message = "`graphengine backup` copies only SQLite files, and this database is in PostgreSQL"
        raise StoreNotSupported(message, where=shown(database), repair=repair)
    return database


def _build_copy_progress(context: CommandContext) -> Progress:
    from rich.filesize import decimal as size

    last = time.monotonic()

    def show(_: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _REPORT_SECONDS:
            last = time.monotonic()
            context.err.line(f"copied {size(done)} of {size(total)}")

    return show
